//! A call tree as text: callers above, what they call below them, the heaviest first.
//!
//! A function that does nothing but call one other stands above it without another step to the right: of
//! a stack of forty frames usually five decide. What is left out is counted where it would stand.

use profile::{CallTree, Caption, DiffTree, FrameId, FrameKind, FrameTable, Grade};
use unicode_width::UnicodeWidthStr;

use super::{BLUE, Columns, DIM, RED, Row, TableOptions};
use crate::{amount, safe_text};

/// Paths below this part of the whole are left out.
const LEAST_SHARE: f64 = 0.01;

/// The heaviest call paths, with totals and self weights; at most [`TableOptions::rows`] of them.
#[must_use]
pub fn call_tree(tree: &CallTree, caption: &Caption, options: &TableOptions) -> String {
    let totals = tree.totals();
    let whole = totals[0] as f64;
    let parents: Vec<u32> = tree.nodes().iter().map(|node| node.parent).collect();
    let sizes: Vec<f64> = totals.iter().map(|total| *total as f64).collect();
    let own: Vec<bool> = tree.nodes().iter().map(|node| node.self_weight > 0).collect();
    let figure = |weight: u64| amount::weight(weight, caption.weight_per_unit);
    let columns = Columns {
        numbers: ["total", "%", "self"].map(String::from).to_vec(),
        title: format!("function ({})", safe_text::clean(caption.unit)),
    };
    let rows = lines(&Shape { parents: &parents, sizes: &sizes, own: &own }, options.rows)
        .into_iter()
        .map(|line| match line.what {
            What::Node(node) => {
                let node = node as usize;
                let numbers = vec![
                    figure(totals[node]),
                    amount::percent(sizes[node], whole),
                    figure(tree.nodes()[node].self_weight),
                ];
                row(&tree.frames, tree.nodes()[node].frame, line.lead, numbers, "")
            }
            What::LeftOut { nodes, size } => {
                let numbers =
                    vec![figure(size as u64), amount::percent(size, whole), String::new()];
                left_out(nodes, line.lead, numbers)
            }
        });
    columns.table(&rows.collect::<Vec<_>>(), options)
}

/// The call paths that changed most, in both directions.
#[must_use]
pub fn diff_tree(tree: &DiffTree, options: &TableOptions) -> String {
    let parents: Vec<u32> = tree.nodes.iter().map(|node| node.parent).collect();
    // What grew in one place and shrank in another is a change, though the sum is none.
    let mut sizes: Vec<f64> =
        tree.nodes.iter().map(|n| (n.after_total - n.before_total).abs()).collect();
    for node in (1..sizes.len()).rev() {
        let parent = parents[node] as usize;
        sizes[parent] = sizes[parent].max(sizes[node]);
    }
    let own: Vec<bool> =
        tree.nodes.iter().map(|n| n.before_self > 0.0 || n.after_self > 0.0).collect();
    let columns = Columns {
        numbers: ["", "change", "before", "after"].map(String::from).to_vec(),
        title: format!("function ({})", safe_text::clean(tree.unit)),
    };
    let rows = lines(&Shape { parents: &parents, sizes: &sizes, own: &own }, options.rows)
        .into_iter()
        .map(|line| match line.what {
            What::Node(index) => {
                let node = &tree.nodes[index as usize];
                let (glyph, style) = match node.grade {
                    Grade::Grew => ("▲", RED),
                    Grade::Shrank => ("▼", BLUE),
                    Grade::Noise => (" ", ""),
                };
                let numbers = vec![
                    glyph.to_owned(),
                    amount::signed(node.after_total - node.before_total),
                    amount::three_digits(node.before_total),
                    amount::three_digits(node.after_total),
                ];
                row(&tree.frames, node.frame, line.lead, numbers, style)
            }
            What::LeftOut { nodes, .. } => left_out(nodes, line.lead, vec![String::new(); 4]),
        });
    columns.table(&rows.collect::<Vec<_>>(), options)
}

fn row(
    frames: &FrameTable,
    frame: FrameId,
    lead: String,
    numbers: Vec<String>,
    style: &'static str,
) -> Row {
    let frame = frames.get(frame);
    let style = match frame.kind {
        FrameKind::NoName(_) | FrameKind::Marker if style.is_empty() => DIM,
        _ => style,
    };
    Row { numbers, lead, name: frame.name.to_string(), module: frame.module.to_string(), style }
}

fn left_out(nodes: usize, lead: String, numbers: Vec<String>) -> Row {
    let name = format!("({} left out)", amount::frames(nodes as u64));
    Row { numbers, lead, name, module: String::new(), style: DIM }
}

/// A tree as far as its lines need it. A node's index is larger than its parent's.
struct Shape<'a> {
    parents: &'a [u32],
    /// By node; never more than its parent's.
    sizes: &'a [f64],
    /// By node, whether it has weight of its own.
    own: &'a [bool],
}

/// One line of the tree.
struct Line {
    /// What stands before the name.
    lead: String,
    what: What,
}

enum What {
    Node(u32),
    /// Children that are left out, with everything below them; and what they weigh.
    LeftOut {
        nodes: usize,
        size: f64,
    },
}

/// Nodes that are shown: at least a hundredth of the whole, and the largest of them where these are too
/// many. Equal ones stay or go together, so that the order in which the tree was made does not matter.
fn shown(shape: &Shape<'_>, most: usize) -> Vec<bool> {
    let least = shape.sizes[0] * LEAST_SHARE;
    let is_large = |size: &f64| *size > 0.0 && *size >= least;
    let mut large: Vec<f64> = shape.sizes.iter().skip(1).copied().filter(is_large).collect();
    large.sort_by(|a, b| b.total_cmp(a));
    let beyond = large.get(most).copied().unwrap_or(0.0);
    shape.sizes.iter().map(|size| is_large(size) && *size > beyond).collect()
}

/// Columns that leads take at most: deeper calls are not set further to the right.
const WIDEST_LEAD: usize = 40;

fn lines(shape: &Shape<'_>, most: usize) -> Vec<Line> {
    let shown = shown(shape, most);
    let mut children: Vec<Vec<u32>> = vec![Vec::new(); shape.parents.len()];
    let mut left_out = vec![(0usize, 0.0f64); shape.parents.len()];
    let mut below = vec![1usize; shape.parents.len()];
    for node in (1..shape.parents.len()).rev() {
        let parent = shape.parents[node] as usize;
        if shown[node] {
            children[parent].push(node as u32);
        } else {
            below[parent] += below[node];
            // Counted where it would stand; below what is left out itself, it is part of that.
            if shown[parent] || parent == 0 {
                left_out[parent].0 += below[node];
                left_out[parent].1 += shape.sizes[node];
            }
        }
    }
    let mut lines = Vec::new();
    // What is to be written, and what stands before the lines below it.
    let mut work: Vec<(Line, String)> = Vec::new();
    let mut push_children = |work: &mut Vec<(Line, String)>, node: u32, rest: &str| {
        let mut kept = std::mem::take(&mut children[node as usize]);
        let size = |node: &u32| shape.sizes[*node as usize];
        kept.sort_by(|a, b| size(b).total_cmp(&size(a)).then_with(|| a.cmp(b)));
        let (nodes, more) = left_out[node as usize];
        let passes_on = kept.len() == 1 && nodes == 0 && (node == 0 || !shape.own[node as usize]);
        let mut items: Vec<What> = kept.into_iter().map(What::Node).collect();
        if nodes > 0 {
            items.push(What::LeftOut { nodes, size: more });
        }
        let count = items.len();
        for (index, what) in items.into_iter().enumerate().rev() {
            let (branch, trunk) = match (passes_on || node == 0, index + 1 == count) {
                (true, _) => ("", ""),
                (false, true) => ("└ ", "  "),
                (false, false) => ("├ ", "│ "),
            };
            let lead = format!("{rest}{branch}");
            let deep = rest.width() >= WIDEST_LEAD;
            let rest = if deep { rest.to_owned() } else { format!("{rest}{trunk}") };
            work.push((Line { lead, what }, rest));
        }
    };
    push_children(&mut work, 0, "");
    while let Some((line, rest)) = work.pop() {
        if let What::Node(node) = line.what {
            push_children(&mut work, node, &rest);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::Frame;

    fn tree(stacks: &[(&str, u64)]) -> CallTree {
        let mut tree = CallTree::new();
        for (stack, weight) in stacks {
            let ids: Vec<FrameId> = stack
                .split(';')
                .map(|name| tree.frames.intern(Frame::new(name, "m", FrameKind::User)))
                .collect();
            tree.add(&ids, *weight);
        }
        tree
    }

    const OPTIONS: TableOptions = TableOptions { rows: 20, width: 60, color: false };

    #[test]
    fn chains_stand_below_each_other_and_branches_are_drawn() {
        let tree = tree(&[
            ("app;start;main;parse;read", 600),
            ("app;start;main;parse", 100),
            ("app;start;main;write", 295),
            ("app;start;main;tiny;tinier", 5),
        ]);
        assert_eq!(
            call_tree(&tree, &Caption { unit: "samples", ..Caption::default() }, &OPTIONS),
            "total        %  self  function (samples)\n\
             1,000  100.0 %     0  app  m\n\
             1,000  100.0 %     0  start  m\n\
             1,000  100.0 %     0  main  m\n\
             \x20 700   70.0 %   100  ├ parse  m\n\
             \x20 600   60.0 %   600  │ └ read  m\n\
             \x20 295   29.5 %   295  ├ write  m\n\
             \x20   5   0.50 %        └ (2 frames left out)\n"
        );
    }

    #[test]
    fn no_more_rows_than_wanted_and_equal_ones_go_together() {
        let tree = tree(&[("a", 50), ("b", 20), ("c", 20), ("d", 10)]);
        let options = TableOptions { rows: 2, ..OPTIONS };
        let text = call_tree(&tree, &Caption::default(), &options);
        assert_eq!(
            text.lines().skip(1).collect::<Vec<_>>(),
            ["   50  50.0 %    50  a  m", "   50  50.0 %        (3 frames left out)"]
        );
    }

    #[test]
    fn no_stack_is_too_deep_and_no_line_too_wide() {
        let names: Vec<String> = (0..5_000).map(|i| format!("function_{i}")).collect();
        let deep = names.join(";");
        let mut stacks = vec![(deep.as_str(), 1)];
        let parts: Vec<String> = (1..200).map(|n| names[..n].join(";")).collect();
        stacks.extend(parts.iter().map(|part| (part.as_str(), 1_000)));
        let options = TableOptions { rows: 1_000, ..OPTIONS };
        let text = call_tree(&tree(&stacks), &Caption::default(), &options);
        assert!(text.lines().count() > 150);
        assert!(text.lines().all(|line| line.width() <= 60), "{text}");
    }

    #[test]
    fn what_grew_and_what_shrank_hang_at_their_callers() {
        let mut frames = FrameTable::default();
        let mut id = |name: &str| frames.intern(Frame::new(name, "m", FrameKind::User));
        let (main, grown, shrunk, same) = (id("main"), id("grown"), id("shrunk"), id("same"));
        let node = |parent, frame, before: f64, after: f64, grade| profile::DiffNode {
            parent,
            frame,
            before_self: before,
            before_total: before,
            after_self: after,
            after_total: after,
            grade,
        };
        let nodes = vec![
            node(0, main, 3.0, 3.0, Grade::Noise),
            node(0, main, 3.0, 3.0, Grade::Noise),
            node(1, grown, 0.5, 1.5, Grade::Grew),
            node(1, shrunk, 2.0, 1.0, Grade::Shrank),
            node(1, same, 0.5, 0.5, Grade::Noise),
        ];
        let text = diff_tree(
            &DiffTree { frames, nodes, unit: "cores", judged_by: profile::JudgedBy::Counting },
            &OPTIONS,
        );
        assert_eq!(
            text,
            "   change  before  after  function (cores)\n\
             \x20       0    3.00   3.00  main  m\n\
             ▲   +1.00   0.500   1.50  ├ grown  m\n\
             ▼   −1.00    2.00   1.00  ├ shrunk  m\n\
             \x20                         └ (1 frame left out)\n"
        );
    }
}
