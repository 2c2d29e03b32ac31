//! Draws a tree of 1,000,000 nodes for a browser to be measured with (`cargo xtask bench --only html`):
//! `cargo run --release -p render --example million DIR` writes million.html, million-over-time.html (with a
//! timeline as long as one may be), million.svg, and million.inferno.svg with inferno.

use std::path::Path;
use std::time::Instant;

use profile::{
    CallTree, Caption, Frame, FrameId, FrameKind, TimeCell, TimeGroup, TimeRow, Timeline,
};
use render::html::{Report, Subject, Times, report};
use render::{SvgOptions, folded, svg};

const NODES: usize = 1_000_000;
const FUNCTIONS: u64 = 50_000;
const ROWS: u64 = 300_000;
const CELLS: u64 = 3_000;
const GROUPS: u64 = 64;

/// xorshift64: the same tree every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Grows where it is: few paths are hot, most are thin. Names follow no pattern that would compress.
fn tree(dice: &mut Dice) -> CallTree {
    let mut tree = CallTree::new();
    let frames: Vec<FrameId> = (0..FUNCTIONS)
        .map(|i| tree.frames.intern(Frame::new(&format!("ns::f{i}"), "m", FrameKind::User)))
        .collect();
    while tree.nodes().len() < NODES {
        let near = tree.nodes().len() as u64;
        let parent = dice.below(near).min(dice.below(near)) as u32;
        let node = tree.child(parent, frames[dice.below(FUNCTIONS) as usize]);
        tree.add_self(node, 1 + dice.below(5));
    }
    tree
}

fn timeline(dice: &mut Dice) -> Timeline {
    let cell =
        |number| TimeCell { capture: 0, start_ns: number * 20_000_000, observed_ns: 20_000_000 };
    let group = |number| TimeGroup {
        process: format!("server ({})", number / 8),
        thread: format!("worker ({number})"),
        cpu: Some(number as u32 % 4),
        ..TimeGroup::default()
    };
    let mut timeline = Timeline {
        cells: (0..CELLS).map(cell).collect(),
        rows: Vec::new(),
        groups: (0..GROUPS).map(group).collect(),
    };
    let row = |_| TimeRow {
        node: dice.below(NODES as u64) as u32,
        cell: dice.below(CELLS) as u32,
        group: dice.below(GROUPS) as u32,
        weight: 1,
    };
    timeline.rows = (0..ROWS).map(row).collect();
    timeline.unite();
    timeline
}

fn main() {
    let directory = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let write = |name: &str, draw: &dyn Fn() -> Vec<u8>| {
        let start = Instant::now();
        let drawn = draw();
        let took = start.elapsed();
        let path = Path::new(&directory).join(name);
        std::fs::write(path, &drawn).expect("the directory is there and writable");
        println!("{name}: {:.2} MB, written in {took:.1?}", drawn.len() as f64 / 1e6);
    };
    let mut dice = Dice(11);
    let tree = tree(&mut dice);
    let timeline = timeline(&mut dice);
    let caption =
        Caption { title: "A million nodes".into(), unit: "samples", ..Caption::default() };
    let times = Times { timeline: &timeline, starts_unix_ns: &[None] };
    for (name, times) in [("million.html", None), ("million-over-time.html", Some(times))] {
        let subject = Subject::Profile { tree: &tree, times, sample_weight: 1 };
        let page =
            Report { caption: &caption, findings: &[], subject, provenance: &[], modules: &[] };
        write(name, &|| report(&page).into_bytes());
    }
    write("million.svg", &|| svg::flamegraph(&tree, &caption, &SvgOptions::default()).into_bytes());
    let mut lines = Vec::new();
    folded::write(&tree, &mut lines).expect("memory can be written");
    let lines = String::from_utf8(lines).expect("folded stacks are UTF-8");
    write("million.inferno.svg", &|| {
        let mut picture = Vec::new();
        let mut options = inferno::flamegraph::Options::default();
        inferno::flamegraph::from_lines(&mut options, lines.lines(), &mut picture)
            .expect("inferno reads folded stacks");
        picture
    });
}
