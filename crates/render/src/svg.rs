//! Flamegraphs as SVG: complete as a still picture, and with one constant script that adds zoom,
//! search and tooltips where scripts may run.
//!
//! The picture is an icicle by default: the root on top, so that a document opens where stacks
//! begin, however deep they are. Names stand in text nodes only; attributes carry numbers, classes
//! and colours of our own. There are no links, handlers, foreign objects or external references.

mod bars;
mod page;
mod vanished;

use std::cmp::Ordering;

use ::svg::node::element::Element;
use ::svg::node::{Blob, Node};
use profile::{CallTree, Caption, DiffTree, Frame};

use crate::coloring::{Coloring, Colors};
use crate::layout::{Layout, Room, Shape, lay_out};
use bars::{CallFaces, DiffFaces, Faces};
use page::Page;

/// The viewer's script, but for how names are shortened, which the HTML report's viewer does alike.
const SCRIPT: &str = include_str!("svg/flamegraph.js");
const SHORTEN: &str = include_str!("svg/shorten.js");
const PLACE_OF_SHORTEN: &str = "/* shorten.js */\n";

/// Fewer bars than this are never asked for, however small the file should be.
const LEAST_BARS: usize = 64;

const NARROWEST_PX: u32 = 640;
const WIDEST_PX: u32 = 20_000;

/// Where the root stands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Direction {
    /// On top; leaves hang down.
    #[default]
    Icicle,
    /// At the bottom; leaves stand up.
    Flame,
}

/// How a picture is drawn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SvgOptions {
    /// Width of the picture; at least 640.
    pub width_px: u32,
    /// Leaves the script out.
    pub static_only: bool,
    /// Bars at most. The narrowest merge into bars that say what they hide.
    pub max_frames: usize,
    /// Size at most, as far as fewer bars can achieve it.
    pub max_bytes: usize,
    /// Where the root stands.
    pub direction: Direction,
    /// What colours say; in a comparison they say what changed.
    pub coloring: Coloring,
}

impl Default for SvgOptions {
    fn default() -> Self {
        Self {
            width_px: 1200,
            static_only: false,
            max_frames: 4000,
            max_bytes: 500_000,
            direction: Direction::Icicle,
            coloring: Coloring::Kind,
        }
    }
}

/// A flamegraph of one tree.
#[must_use]
pub fn flamegraph(tree: &CallTree, caption: &Caption, options: &SvgOptions) -> String {
    let parents: Vec<u32> = tree.nodes().iter().map(|node| node.parent).collect();
    let weights = tree.totals();
    let shape = Shape { parents: &parents, weights: &weights };
    let frame = |node: u32| tree.frames.get(tree.nodes()[node as usize].frame);
    let colors = Colors::new(options.coloring, tree);
    paint(
        &shape,
        caption,
        options,
        |a, b| by_name(frame(a), frame(b)),
        &[],
        |_| CallFaces { tree, caption, total: weights[0], colors: &colors },
    )
}

/// A flamegraph of what changed. A bar is as wide as the larger of its two sides (and at least as
/// its children together), so what exists on one side only stays in the picture; its colour and
/// glyph say in which direction it changed.
#[must_use]
pub fn diff_flamegraph(tree: &DiffTree, caption: &Caption, options: &SvgOptions) -> String {
    let parents: Vec<u32> = tree.nodes.iter().map(|node| node.parent).collect();
    let weights = bars::union_weights(tree);
    let shape = Shape { parents: &parents, weights: &weights };
    let frame = |node: u32| tree.frames.get(tree.nodes[node as usize].frame);
    paint(
        &shape,
        caption,
        options,
        |a, b| by_name(frame(a), frame(b)),
        &vanished::lines(tree),
        |layout| DiffFaces::new(tree, layout),
    )
}

/// Order of siblings.
pub(crate) fn by_name(a: &Frame, b: &Frame) -> Ordering {
    (&a.name, &a.module, a.kind, a.inlined).cmp(&(&b.name, &b.module, b.kind, b.inlined))
}

fn paint<F: Faces>(
    shape: &Shape<'_>,
    caption: &Caption,
    options: &SvgOptions,
    order: impl Fn(u32, u32) -> Ordering + Copy,
    vanished: &[String],
    faces: impl Fn(&Layout) -> F,
) -> String {
    let width_px = options.width_px.clamp(NARROWEST_PX, WIDEST_PX);
    let mut most_bars = options.max_frames.max(LEAST_BARS);
    loop {
        let room = Room { width_px: page::plot_width_px(width_px), most_bars };
        let layout = lay_out(shape, room, order);
        let picture = document(&layout, &faces(&layout), caption, vanished, options);
        if picture.len() <= options.max_bytes || most_bars <= LEAST_BARS {
            return picture;
        }
        // Bytes grow about as bars do; a little less, so that this rarely runs three times.
        let fitting = layout.bars.len().min(most_bars) * options.max_bytes / picture.len();
        most_bars = (fitting * 19 / 20).max(LEAST_BARS);
    }
}

fn document(
    layout: &Layout,
    faces: &impl Faces,
    caption: &Caption,
    vanished: &[String],
    options: &SvgOptions,
) -> String {
    let width_px = options.width_px.clamp(NARROWEST_PX, WIDEST_PX);
    let mut page = Page::new(width_px, !options.static_only);
    page.heading(caption);
    page.legend(&faces.legend(layout));
    let top = page.place_bars(layout.deepest + 1);
    let bars = bars::paint(layout, faces, options.direction, top, width_px);
    page.list("Gone: only in the base", vanished);
    page.footer(caption);

    let mut root = page.root(caption);
    root.append(bars);
    if !options.static_only {
        let mut script = element("script", &[]);
        script.append(Blob::new(format!("<![CDATA[\n{}]]>", self::script())));
        root.append(script);
    }
    let mut picture = root.to_string();
    picture.push('\n');
    picture
}

/// The script; the same in every picture.
fn script() -> String {
    let functions = SHORTEN.replace("export function", "function");
    SCRIPT.replacen(PLACE_OF_SHORTEN, &functions, 1)
}

/// An element with attributes of our own making.
fn element(name: &str, attributes: &[(&str, &str)]) -> Element {
    let mut element = Element::new(name);
    for (name, value) in attributes {
        element.assign(*name, *value);
    }
    element
}

/// An element with text in it; the text is foreign, already clean, and escaped here by `svg`.
fn text_element(name: &str, attributes: &[(&str, &str)], text: &str) -> Element {
    let mut element = element(name, attributes);
    element.append(::svg::node::Text::new(text));
    element
}

/// Hundredths of a pixel as an attribute's value: "12.5", "3", "0.07".
fn hundredths(value: u64) -> String {
    let (whole, rest) = (value / 100, value % 100);
    match rest {
        0 => whole.to_string(),
        r if r % 10 == 0 => format!("{whole}.{}", r / 10),
        r => format!("{whole}.{r:02}"),
    }
}
