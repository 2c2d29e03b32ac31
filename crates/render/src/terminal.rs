//! Tables for a terminal: fixed columns, the rest of the width for the function's name.
//!
//! Whether to colour (a terminal, no `NO_COLOR`) and how wide it is are the caller's to find out.
//! Names pass [`crate::safe_text`]: no escape sequence reaches the terminal that is not ours.

mod tree;

use std::fmt::Write as _;

use profile::{CallTree, Caption, FrameKind, Grade};
use unicode_width::UnicodeWidthStr;

use crate::{amount, safe_text, shorten};
pub use tree::{call_tree, diff_tree};

/// How a table is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableOptions {
    /// Rows at most; what is left out is summed up in a last line.
    pub rows: usize,
    /// Columns of the terminal; at least 60 are used.
    pub width: usize,
    /// Whether to use colours (ANSI SGR sequences).
    pub color: bool,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { rows: 20, width: 100, color: false }
    }
}

/// What a table of functions is sorted by, most first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SortBy {
    /// Weight in the function itself.
    SelfWeight,
    /// Weight of the stacks it is on.
    Total,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const BLUE: &str = "34";

fn styled(text: &str, style: &str, color: bool) -> String {
    if color && !style.is_empty() { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Self and total weight of the heaviest functions, with shares of all weight. Process frames are
/// no functions; they appear only with weight of their own.
#[must_use]
pub fn top_functions(
    tree: &CallTree,
    caption: &Caption,
    sort_by: SortBy,
    options: &TableOptions,
) -> String {
    let whole = tree.total() as f64;
    let mut functions: Vec<_> = tree
        .functions()
        .into_iter()
        .filter(|f| f.total_weight > 0)
        .filter(|f| f.self_weight > 0 || tree.frames.get(f.frame).kind != FrameKind::Process)
        .collect();
    functions.sort_by(|a, b| {
        let key = |f: &profile::FunctionTotals| match sort_by {
            SortBy::SelfWeight => (f.self_weight, f.total_weight),
            SortBy::Total => (f.total_weight, f.self_weight),
        };
        let name = |f: &profile::FunctionTotals| {
            let frame = tree.frames.get(f.frame);
            (frame.name.clone(), frame.module.clone())
        };
        key(b).cmp(&key(a)).then_with(|| name(a).cmp(&name(b)))
    });
    let columns = Columns {
        numbers: vec!["self".into(), "%".into(), "total".into(), "%".into()],
        title: format!("function ({})", safe_text::clean(caption.unit)),
    };
    let figure = |w: u64| amount::weight(w, caption.weight_per_unit);
    let share = |w: u64| amount::percent(w as f64, whole);
    let rows = functions.iter().take(options.rows).map(|f| {
        let frame = tree.frames.get(f.frame);
        Row {
            numbers: vec![
                figure(f.self_weight),
                share(f.self_weight),
                figure(f.total_weight),
                share(f.total_weight),
            ],
            lead: String::new(),
            name: frame.name.to_string(),
            module: frame.module.to_string(),
            style: match frame.kind {
                FrameKind::NoName(_) | FrameKind::Marker => DIM,
                _ => "",
            },
        }
    });
    let mut table = columns.table(&rows.collect::<Vec<_>>(), options);
    if functions.len() > options.rows {
        let rest = &functions[options.rows..];
        let own: u64 = rest.iter().map(|f| f.self_weight).sum();
        let line =
            format!("{} more functions, self {}", amount::thousands(rest.len() as u64), share(own));
        writeln!(table, "{}", styled(&line, DIM, options.color)).expect("a string");
    }
    table
}

/// One function on both sides of a diff.
#[derive(Clone, PartialEq, Debug)]
pub struct DiffRow<'a> {
    /// For display, as it came.
    pub name: &'a str,
    /// The module's short name; may be empty.
    pub module: &'a str,
    /// Weight in the base, in the diff's unit.
    pub before: f64,
    /// Weight in the new side.
    pub after: f64,
    /// What may be said of the difference.
    pub grade: Grade,
    /// Between what the true difference lies, where that is known.
    pub interval: Option<(f64, f64)>,
    /// What kind of change it is ("new", "moved"); may be empty.
    pub label: String,
}

/// Changes by function, in the order given.
#[must_use]
pub fn diff_functions(rows: &[DiffRow<'_>], unit: &str, options: &TableOptions) -> String {
    let intervals = rows.iter().any(|row| row.interval.is_some());
    let interval = if intervals { "95 % interval" } else { "" };
    let columns = Columns {
        numbers: ["", "change", interval, "before", "after", ""].map(String::from).to_vec(),
        title: format!("function ({})", safe_text::clean(unit)),
    };
    let shown = rows.iter().take(options.rows).map(|row| {
        let (glyph, style) = match row.grade {
            Grade::Grew => ("▲", RED),
            Grade::Shrank => ("▼", BLUE),
            Grade::Noise => (" ", DIM),
        };
        let interval = row.interval.map_or_else(String::new, |(low, high)| {
            format!("{}…{}", amount::signed(low), amount::signed(high))
        });
        Row {
            numbers: vec![
                glyph.to_owned(),
                amount::signed(row.after - row.before),
                interval,
                amount::three_digits(row.before),
                amount::three_digits(row.after),
                row.label.clone(),
            ],
            lead: String::new(),
            name: row.name.to_owned(),
            module: row.module.to_owned(),
            style,
        }
    });
    let mut table = columns.table(&shown.collect::<Vec<_>>(), options);
    if rows.len() > options.rows {
        let line = format!("{} more", amount::thousands((rows.len() - options.rows) as u64));
        writeln!(table, "{}", styled(&line, DIM, options.color)).expect("a string");
    }
    table
}

struct Columns {
    numbers: Vec<String>,
    title: String,
}

struct Row {
    numbers: Vec<String>,
    /// What stands before the name: the branches of a tree.
    lead: String,
    name: String,
    module: String,
    style: &'static str,
}

impl Columns {
    /// Numbers right-aligned, then the name, then the module in what room is left.
    fn table(&self, rows: &[Row], options: &TableOptions) -> String {
        let width = options.width.max(60);
        let widths: Vec<usize> = (0..self.numbers.len())
            .map(|i| {
                let cells = rows.iter().map(|row| row.numbers[i].width());
                cells.chain([self.numbers[i].width()]).max().unwrap_or(0)
            })
            .collect();
        let used: usize = widths.iter().filter(|w| **w > 0).map(|w| w + 2).sum();
        let left = width.saturating_sub(used).max(12);
        let mut out = String::new();
        let head = format!("{}{}", aligned(&self.numbers, &widths), self.title);
        writeln!(out, "{}", styled(head.trim_end(), BOLD, options.color)).expect("a string");
        for row in rows {
            let numbers = aligned(&row.numbers, &widths);
            let lead: String = row.lead.chars().take(left / 2).collect();
            let name = named(row, left - lead.chars().count());
            let text = format!("{numbers}{lead}{}", name.0);
            let line = styled(&text, row.style, options.color);
            let module = match name.1 {
                Some(module) => format!("  {}", styled(&module, DIM, options.color)),
                None => String::new(),
            };
            writeln!(out, "{line}{module}").expect("a string");
        }
        out
    }
}

fn aligned(cells: &[String], widths: &[usize]) -> String {
    let mut out = String::new();
    // A column in which nothing stands takes no room.
    for (cell, width) in cells.iter().zip(widths).filter(|(_, width)| **width > 0) {
        out.extend(std::iter::repeat_n(' ', width - cell.width()));
        out.push_str(cell);
        out.push_str("  ");
    }
    out
}

/// Name and module in `room` columns; the name is shortened first for the module's sake, but the
/// module never takes more than a third.
fn named(row: &Row, room: usize) -> (String, Option<String>) {
    let name = safe_text::clean(&row.name);
    let module = safe_text::clean(&row.module);
    let module = shorten::start(&module, room / 3);
    let for_module = module.as_ref().map_or(0, |m| m.width() + 2);
    let name = shorten::fit(&name, room - for_module).unwrap_or_else(|| "[no name]".into());
    (name, module)
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::Frame;

    fn tree() -> CallTree {
        let mut tree = CallTree::new();
        let process = tree.frames.intern(Frame::new("spin (7)", "", FrameKind::Process));
        let long = "ns::Map<int, std::vector<A>>::insert(std::pair<int, A> const&)";
        let insert = tree.frames.intern(Frame::new(long, "spin", FrameKind::User));
        let hash = tree.frames.intern(Frame::new("hash", "libc.so.6", FrameKind::Library));
        let evil = tree.frames.intern(Frame::new("\u{1b}[2J\nx", "", FrameKind::Jit));
        tree.add(&[process, insert], 1_000_000_000);
        tree.add(&[process, insert, hash], 6_000_000_000);
        tree.add(&[process, evil], 3_000_000_000);
        tree
    }

    fn caption() -> Caption {
        Caption { unit: "CPU-s", weight_per_unit: 1_000_000_000, ..Caption::default() }
    }

    #[test]
    fn functions_are_sorted_and_summed_and_processes_are_none() {
        let options = TableOptions { rows: 20, width: 66, color: false };
        assert_eq!(
            top_functions(&tree(), &caption(), SortBy::SelfWeight, &options),
            "self       %  total       %  function (CPU-s)\n\
             6.00  60.0 %   6.00  60.0 %  hash  libc.so.6\n\
             3.00  30.0 %   3.00  30.0 %  \u{fffd}[2J x\n\
             1.00  10.0 %   7.00  70.0 %  ns::Map::insert  spin\n"
        );
        let options = TableOptions { rows: 1, ..options };
        assert_eq!(
            top_functions(&tree(), &caption(), SortBy::Total, &options),
            "self       %  total       %  function (CPU-s)\n\
             1.00  10.0 %   7.00  70.0 %  ns::Map::insert  spin\n\
             2 more functions, self 90.0 %\n"
        );
    }

    #[test]
    fn changes_carry_glyphs_and_say_what_is_on_one_side_only() {
        let row = |name, before, after, grade, label: &str| DiffRow {
            name,
            module: "m",
            before,
            after,
            grade,
            interval: None,
            label: label.into(),
        };
        let mut rows = [
            row("parse", 0.25, 0.5, Grade::Grew, ""),
            row("old", 0.125, 0.0, Grade::Shrank, "gone"),
            row("same", 1.0, 1.01, Grade::Noise, ""),
        ];
        let options = TableOptions { rows: 9, width: 60, color: false };
        assert_eq!(
            diff_functions(&rows, "cores", &options),
            "    change  before  after        function (cores)\n\
             ▲   +0.250   0.250  0.500        parse  m\n\
             ▼   −0.125   0.125      0  gone  old  m\n\
             \x20  +0.0100    1.00   1.01        same  m\n"
        );
        rows[0].interval = Some((0.125, 0.375));
        let with_interval = diff_functions(&rows[..1], "cores", &options);
        assert_eq!(
            with_interval,
            "   change  95 % interval  before  after  function (cores)\n\
             ▲  +0.250  +0.125…+0.375   0.250  0.500  parse  m\n"
        );
    }

    #[test]
    fn colour_adds_nothing_but_sgr_sequences_of_our_own() {
        let plain = TableOptions { color: false, ..TableOptions::default() };
        let colored = TableOptions { color: true, ..plain };
        let mut text = top_functions(&tree(), &caption(), SortBy::Total, &colored);
        assert!(text.contains("\x1b[1mself"));
        for sgr in ["\x1b[0m", "\x1b[1m", "\x1b[2m"] {
            text = text.replace(sgr, "");
        }
        assert_eq!(text, top_functions(&tree(), &caption(), SortBy::Total, &plain));
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 60..140 {
            let options = TableOptions { rows: 20, width, color: false };
            for line in top_functions(&tree(), &caption(), SortBy::Total, &options).lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn an_empty_tree_is_a_heading() {
        let options = TableOptions::default();
        let text = top_functions(&CallTree::new(), &caption(), SortBy::Total, &options);
        assert_eq!(text, "self  %  total  %  function (CPU-s)\n");
    }
}
