//! Bars with their labels and tooltips.

use ::svg::node::Node;
use ::svg::node::element::Element;
use profile::{CallTree, Caption, DiffTree, Frame, FrameKind, Grade, JudgedBy};

use super::page::{BAR_PX, Legend, PAD_PX, ROW_PX, plot_width_px};
use super::{Direction, element, hundredths, text_element};
use crate::coloring::Colors;
use crate::layout::{Bar, Layout, What, pixels};
use crate::palette::{Paint, degree_of_change, shade_of_name};
use crate::{amount, safe_text, shorten};

/// Names in tooltips and labels are cut in the middle at this many characters; modules, too.
const LONGEST_NAME: usize = 400;
const LONGEST_MODULE: usize = 120;

/// Advance of one cell of the monospaced fonts we ask for at 11 px, the widest of them (DejaVu,
/// Menlo: 0.602 em), in hundredths of a pixel. The script uses the same figure.
const CELL: u64 = 663;
/// Room left free on each side of a label, in hundredths of a pixel.
const LABEL_PAD: u64 = 300;

/// What a bar shows.
pub(super) struct Face {
    pub paint: Paint,
    pub shade: u8,
    /// First line of the tooltip, and the label as far as it fits.
    pub name: String,
    /// Further lines of the tooltip.
    pub lines: Vec<String>,
    /// Both sides of a diff, in the layout's weights, for the share that a search matches.
    pub sides: Option<[u64; 2]>,
}

/// Knows what each bar of a layout shows.
pub(super) trait Faces {
    fn face(&self, bar: &Bar) -> Face;
    fn legend(&self, layout: &Layout) -> Legend;
}

/// Paints all bars; `top` is the upper edge of the highest row.
pub(super) fn paint(
    layout: &Layout,
    faces: &impl Faces,
    direction: Direction,
    top: u64,
    width_px: u32,
) -> Element {
    let mut group = element("g", &[("class", "bars"), ("font-size", "11")]);
    group.assign("font-family", super::page::MONOSPACED);
    for bar in &layout.bars {
        let row = match direction {
            Direction::Icicle => bar.depth,
            Direction::Flame => layout.deepest - bar.depth,
        };
        let y = top + u64::from(row) * ROW_PX;
        let (left, width) = pixels(bar, layout.total, plot_width_px(width_px));
        group.append(paint_one(bar, &faces.face(bar), PAD_PX * 100 + left, width, y));
    }
    group
}

fn paint_one(bar: &Bar, face: &Face, left: u64, width: u64, y: u64) -> Element {
    let class = format!("{}{}", face.paint.letter(), face.shade);
    let mut group = element("g", &[("class", &class)]);
    group.assign("data-d", bar.depth);
    group.assign("data-w", bar.weight);
    if let Some([before, after]) = face.sides {
        group.assign("data-b", before);
        group.assign("data-a", after);
    }
    let mut tooltip = face.name.clone();
    for line in &face.lines {
        tooltip.push('\n');
        tooltip.push_str(line);
    }
    group.append(text_element("title", &[], &tooltip));
    let mut rect = element("rect", &[]);
    rect.assign("x", hundredths(left));
    rect.assign("y", y);
    rect.assign("width", hundredths(width - gap(width)));
    rect.assign("height", BAR_PX);
    rect.assign("fill", face.paint.light(face.shade).to_string());
    group.append(rect);
    if let Some(label) = label(face.paint, &face.name, width) {
        let mut text = text_element("text", &[], &label);
        text.assign("x", hundredths(left + LABEL_PAD));
        text.assign("y", y + 12);
        group.append(text);
    }
    group
}

/// The slit between neighbours: narrow bars cannot spare one.
fn gap(width: u64) -> u64 {
    match width {
        301.. => 80,
        101.. => 30,
        _ => 0,
    }
}

/// What is written in a bar of this width.
fn label(paint: Paint, name: &str, width: u64) -> Option<String> {
    let cells = (width.saturating_sub(2 * LABEL_PAD) / CELL) as usize;
    let glyph = match paint {
        Paint::Grew => "▲",
        Paint::Shrank => "▼",
        _ => return shorten::fit(name, cells),
    };
    match shorten::fit(name, cells.saturating_sub(2)) {
        Some(name) => Some(format!("{glyph} {name}")),
        None => (cells >= 1).then(|| glyph.to_owned()),
    }
}

fn name_of(frame: &Frame) -> String {
    let name = safe_text::clean_up_to(&frame.name, LONGEST_NAME);
    if name.trim().is_empty() { "[no name]".to_owned() } else { name.into_owned() }
}

/// "libc.so.6 · library, inlined".
fn origin_of(frame: &Frame) -> String {
    let mut origin = safe_text::clean_up_to(&frame.module, LONGEST_MODULE).into_owned();
    if !origin.is_empty() {
        origin.push_str(" · ");
    }
    match frame.kind {
        FrameKind::NoName(why) => origin.push_str(&format!("no name: {}", why.describe())),
        FrameKind::Process => origin.push_str("process"),
        FrameKind::User => origin.push_str("program"),
        FrameKind::Library => origin.push_str("library"),
        FrameKind::Jit => origin.push_str("compiled at run time"),
        FrameKind::Kernel => origin.push_str("kernel"),
        FrameKind::Marker => origin.push_str("not code"),
    }
    if frame.inlined {
        origin.push_str(", inlined");
    }
    origin
}

/// The paints that occur, in the legend's order.
fn paints(layout: &Layout, faces: &impl Faces) -> Vec<Paint> {
    let mut used: Vec<Paint> = layout.bars.iter().skip(1).map(|b| faces.face(b).paint).collect();
    used.sort_unstable();
    used.dedup();
    Paint::ALL.into_iter().filter(|paint| used.contains(paint)).collect()
}

fn merged_note(layout: &Layout) -> String {
    format!("{} too small to draw", amount::frames(layout.hidden_frames))
}

/// Faces of one tree.
pub(super) struct CallFaces<'a> {
    pub tree: &'a CallTree,
    pub caption: &'a Caption,
    pub total: u64,
    pub colors: &'a Colors,
}

impl CallFaces<'_> {
    fn amount(&self, weight: u64) -> String {
        let figure = amount::weight(weight, self.caption.weight_per_unit);
        format!("{figure} {}", safe_text::clean(self.caption.unit)).trim_end().to_owned()
    }

    fn share(&self, weight: u64) -> String {
        amount::percent(weight as f64, self.total as f64)
    }

    fn weight_line(&self, weight: u64) -> String {
        format!("{}, {} of all", self.amount(weight), self.share(weight))
    }
}

impl Faces for CallFaces<'_> {
    fn face(&self, bar: &Bar) -> Face {
        let plain = |paint, name, lines| Face { paint, shade: 0, name, lines, sides: None };
        let node = match bar.what {
            What::Node(0) => {
                let name = if self.total == 0 {
                    "all: nothing was recorded".to_owned()
                } else {
                    format!("all: {}", self.amount(bar.weight))
                };
                return plain(Paint::Process, name, Vec::new());
            }
            What::Merged { frames, .. } => {
                let name = format!("{}, {}", amount::frames(frames), self.share(bar.weight));
                let lines = vec!["too small to draw".to_owned(), self.weight_line(bar.weight)];
                return plain(Paint::Merged, name, lines);
            }
            What::Node(node) => self.tree.nodes()[node as usize],
        };
        let frame = self.tree.frames.get(node.frame);
        let mut weight_line = self.weight_line(bar.weight);
        let mut lines = vec![origin_of(frame)];
        if node.self_weight == bar.weight {
            weight_line.push_str(", all of it self");
        }
        lines.push(weight_line);
        if node.self_weight > 0 && node.self_weight < bar.weight {
            lines.push(format!("self {}", self.weight_line(node.self_weight)));
        }
        Face {
            paint: self.colors.paint(frame),
            shade: shade_of_name(&frame.name),
            name: name_of(frame),
            lines,
            sides: None,
        }
    }

    fn legend(&self, layout: &Layout) -> Legend {
        let entry = |paint| match paint {
            Paint::Merged => (paint, vec![0], merged_note(layout)),
            _ => (paint, vec![1, 3], self.colors.describe(paint).into_owned()),
        };
        Legend { entries: paints(layout, self).into_iter().map(entry).collect(), note: None }
    }
}

/// Weights of a diff as whole numbers: the larger root is this many.
const DIFF_WHOLE: f64 = 1e12;

/// Both sides as whole weights on one scale.
fn whole_sides(tree: &DiffTree) -> Vec<[u64; 2]> {
    let sane = |weight: f64| if weight.is_finite() && weight > 0.0 { weight } else { 0.0 };
    let root = &tree.nodes[0];
    let whole = sane(root.before_total).max(sane(root.after_total));
    let scale = if whole > 0.0 { DIFF_WHOLE / whole } else { 0.0 };
    let convert = |weight: f64| (sane(weight) * scale).round().min(DIFF_WHOLE) as u64;
    tree.nodes.iter().map(|n| [convert(n.before_total), convert(n.after_total)]).collect()
}

/// Width of each node: the larger side, and no less than its children together. A child that
/// moved from one parent's side to another's needs its room on both.
pub(super) fn union_weights(tree: &DiffTree) -> Vec<u64> {
    let sides = whole_sides(tree);
    let mut children = vec![0u64; sides.len()];
    let mut weights = vec![0u64; sides.len()];
    for node in (0..sides.len()).rev() {
        weights[node] = sides[node][0].max(sides[node][1]).max(children[node]);
        if node > 0 {
            let parent = &mut children[tree.nodes[node].parent as usize];
            *parent = parent.saturating_add(weights[node]);
        }
    }
    weights
}

/// Faces of a diff.
pub(super) struct DiffFaces<'a> {
    tree: &'a DiffTree,
    sides: Vec<[u64; 2]>,
    /// Before and after of what each node's merged bar stands for.
    merged: Vec<[f64; 2]>,
    merged_sides: Vec<[u64; 2]>,
}

impl<'a> DiffFaces<'a> {
    pub(super) fn new(tree: &'a DiffTree, layout: &Layout) -> Self {
        let sides = whole_sides(tree);
        let mut merged = vec![[0.0; 2]; sides.len()];
        let mut merged_sides = vec![[0; 2]; sides.len()];
        for (i, node) in tree.nodes.iter().enumerate().skip(1) {
            let parent = node.parent as usize;
            if layout.visible[parent] && !layout.visible[i] {
                merged[parent][0] += node.before_total;
                merged[parent][1] += node.after_total;
                merged_sides[parent][0] += sides[i][0];
                merged_sides[parent][1] += sides[i][1];
            }
        }
        Self { tree, sides, merged, merged_sides }
    }

    fn amount(&self, value: f64) -> String {
        format!("{} {}", amount::three_digits(value), safe_text::clean(self.tree.unit))
    }

    /// "before 0.20 cores (4.1 %), after 0.31 cores (6.3 %)".
    fn sides_line(&self, before: f64, after: f64) -> String {
        let root = &self.tree.nodes[0];
        let side = |value: f64, whole: f64| {
            if value <= 0.0 {
                "0".to_owned()
            } else if self.tree.unit.starts_with('%') {
                self.amount(value) // already a share of its side
            } else {
                format!("{} ({})", self.amount(value), amount::percent(value, whole))
            }
        };
        format!(
            "before {}, after {}",
            side(before, root.before_total),
            side(after, root.after_total)
        )
    }

    fn change_line(&self, before: f64, after: f64, grade: Grade) -> String {
        let delta = after - before;
        let mut line = format!("{} {}", amount::signed(delta), safe_text::clean(self.tree.unit));
        if before > 0.0 && after > 0.0 {
            let sign = if delta < 0.0 { '−' } else { '+' };
            line.push_str(&format!(" ({sign}{})", amount::percent(delta.abs(), before)));
        }
        line.push_str(match (self.tree.judged_by, grade) {
            (JudgedBy::Noise, Grade::Noise) => ": no change that can be told from noise",
            (JudgedBy::Noise, Grade::Grew) => ": grew, more than noise explains",
            (JudgedBy::Noise, Grade::Shrank) => ": shrank, more than noise explains",
            (JudgedBy::Counting, Grade::Noise) => ": within counting error",
            (JudgedBy::Counting, Grade::Grew) => ": grew, not tested against noise",
            (JudgedBy::Counting, Grade::Shrank) => ": shrank, not tested against noise",
            (JudgedBy::Nothing, _) => ": no verdict",
        });
        if before <= 0.0 && after > 0.0 {
            line.push_str("; new: not in the base");
        } else if after <= 0.0 && before > 0.0 {
            line.push_str("; gone: only in the base");
        }
        line
    }
}

impl Faces for DiffFaces<'_> {
    fn face(&self, bar: &Bar) -> Face {
        let node = match bar.what {
            What::Merged { parent, frames } => {
                let [before, after] = self.merged[parent as usize];
                return Face {
                    paint: Paint::Merged,
                    shade: 0,
                    name: amount::frames(frames),
                    lines: vec!["too small to draw".into(), self.sides_line(before, after)],
                    sides: Some(self.merged_sides[parent as usize]),
                };
            }
            What::Node(node) => node,
        };
        let n = &self.tree.nodes[node as usize];
        let (name, mut lines) = if node == 0 {
            let before = amount::three_digits(n.before_total);
            (format!("all: {before} → {}", self.amount(n.after_total)), Vec::new())
        } else {
            let frame = self.tree.frames.get(n.frame);
            (name_of(frame), vec![origin_of(frame)])
        };
        lines.push(self.sides_line(n.before_total, n.after_total));
        lines.push(self.change_line(n.before_total, n.after_total, n.grade));
        let shade = match n.grade {
            Grade::Noise => 0,
            Grade::Grew | Grade::Shrank => degree_of_change(n.before_total, n.after_total),
        };
        let paint = Paint::of_grade(n.grade);
        Face { paint, shade, name, lines, sides: Some(self.sides[node as usize]) }
    }

    fn legend(&self, layout: &Layout) -> Legend {
        let (grey, note) = match self.tree.judged_by {
            JudgedBy::Noise => (
                "not told from noise",
                "Coloured is what changed more than noise explains. Stronger colour: more of the box \
                 changed. Width: the larger of before and after.",
            ),
            JudgedBy::Counting => (
                "within counting error",
                "Not tested against noise. Stronger colour: more of the box changed. Width: the larger of \
                 before and after.",
            ),
            JudgedBy::Nothing => (
                "no verdict",
                "No verdict: the two sides do not compare. Width: the larger of before and after.",
            ),
        };
        let mut entries = vec![
            (Paint::Grew, vec![0, 1, 2, 3, 4], "▲ grew".to_owned()),
            (Paint::Shrank, vec![0, 1, 2, 3, 4], "▼ shrank".to_owned()),
            (Paint::Noise, vec![0], grey.to_owned()),
        ];
        if layout.hidden_frames > 0 {
            entries.push((Paint::Merged, vec![0], merged_note(layout)));
        }
        Legend { entries, note: Some(note) }
    }
}
