//! Pictures as a reader of XML sees them: goldens, sums, determinism.
//! `BLESS=1 cargo test -p render` writes the goldens again.

mod strict_xml;

use std::path::PathBuf;

use profile::{
    CallTree, Caption, DiffNode, DiffTree, Frame, FrameId, FrameKind, Grade, NoName, Warning,
};
use render::{Coloring, Direction, SvgOptions, svg};
use strict_xml::shape;

fn frame(name: &str, module: &str, kind: FrameKind) -> Frame {
    Frame::new(name, module, kind)
}

fn caption() -> Caption {
    Caption {
        title: "spin: 10 s of CPU time".into(),
        subtitle: "9.98 CPU-seconds in 1 process".into(),
        warnings: vec![
            Warning { incomplete: false, text: "1.0 % of CPU time has no names".into() },
            Warning { incomplete: true, text: "INCOMPLETE: the last block is cut off".into() },
        ],
        footer: vec!["host · Linux 6.1".into(), "99 Hz · lost 0 of 990 samples".into()],
        unit: "CPU-seconds",
        weight_per_unit: 1_000_000_000,
    }
}

/// One frame of each kind, and one too narrow to draw.
fn every_kind() -> CallTree {
    let mut tree = CallTree::new();
    let frames = [
        frame("spin (77)", "", FrameKind::Process),
        frame("event_loop(std::vector<Client> const&)", "spin", FrameKind::User),
        Frame { inlined: true, ..frame("Poller<Client>::wait", "spin", FrameKind::User) },
        frame("epoll_wait", "libc.so.6", FrameKind::Library),
        frame("do_syscall_64", "[kernel]", FrameKind::Kernel),
        frame("LazyCompile:*f", "", FrameKind::Jit),
        frame("[libx.so]", "libx.so", FrameKind::NoName(NoName::NoFile)),
        frame("[caller may be missing]", "", FrameKind::Marker),
        frame("rare", "spin", FrameKind::User),
    ];
    let id = frames.map(|f| tree.frames.intern(f));
    let ms = 1_000_000;
    tree.add(&[id[0], id[1], id[2], id[3], id[4]], 4000 * ms);
    tree.add(&[id[0], id[1], id[2], id[3]], 2500 * ms);
    tree.add(&[id[0], id[7], id[3]], 1000 * ms);
    tree.add(&[id[0], id[5]], 1480 * ms);
    tree.add(&[id[0], id[1], id[6]], 996 * ms);
    tree.add(&[id[0], id[1], id[8], id[8]], 3 * ms);
    tree.add(&[id[0], id[1], id[3]], ms);
    tree
}

/// Grown, shrunk, noise, new and gone.
fn every_grade() -> DiffTree {
    let source = every_kind();
    let row = |parent, frame, before: f64, after: f64, grade| DiffNode {
        parent,
        frame: FrameId(frame),
        before_self: 0.0,
        before_total: before,
        after_self: 0.0,
        after_total: after,
        grade,
    };
    let nodes = vec![
        row(0, 0, 1.0, 1.5, Grade::Grew),
        row(0, 0, 1.0, 1.5, Grade::Grew),
        row(1, 1, 0.2, 1.2, Grade::Grew),
        row(2, 3, 0.0, 1.0, Grade::Grew),
        row(1, 5, 0.4, 0.0, Grade::Shrank),
        row(1, 6, 0.31, 0.3, Grade::Noise),
        row(1, 8, 0.0001, 0.0, Grade::Noise),
    ];
    DiffTree { frames: source.frames, nodes, unit: "cores", judged_by: profile::JudgedBy::Counting }
}

fn still() -> SvgOptions {
    SvgOptions { static_only: true, ..SvgOptions::default() }
}

fn assert_golden(name: &str, picture: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, picture).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == picture, "{name} is not the golden one; look at it, then BLESS=1 cargo test");
}

#[test]
fn a_picture_of_every_kind_of_frame_is_the_golden_one() {
    assert_golden("kinds.svg", &svg::flamegraph(&every_kind(), &caption(), &still()));
}

#[test]
fn a_picture_with_the_root_at_the_bottom_is_the_golden_one() {
    let options = SvgOptions { direction: Direction::Flame, width_px: 800, ..still() };
    assert_golden("flame.svg", &svg::flamegraph(&every_kind(), &caption(), &options));
}

#[test]
fn a_diff_of_every_grade_is_the_golden_one() {
    assert_golden("diff.svg", &svg::diff_flamegraph(&every_grade(), &caption(), &still()));
}

#[test]
fn colours_tell_modules_or_languages_apart_on_request() {
    let with = |coloring| {
        let options = SvgOptions { coloring, ..still() };
        svg::flamegraph(&every_kind(), &caption(), &options)
    };
    let (kinds, modules) = (with(Coloring::Kind), with(Coloring::Module));
    assert!(kinds.contains(">library<") && !modules.contains(">library<"), "{modules}");
    assert!(modules.contains(">libc.so.6<") && modules.contains(">kernel<"), "{modules}");
    assert!(with(Coloring::Language).contains(">C or assembly<"));
}

#[test]
fn what_only_the_base_has_is_listed_below_the_picture() {
    let picture = svg::diff_flamegraph(&every_grade(), &caption(), &still());
    let (_, list) = picture.split_once(">Gone: only in the base<").unwrap();
    assert!(list.contains("−"), "{list}");
    let nothing = DiffTree { nodes: every_grade().nodes[..1].to_vec(), ..every_grade() };
    assert!(!svg::diff_flamegraph(&nothing, &caption(), &still()).contains("Gone:"));
}

#[test]
fn the_script_is_one_constant_part_and_all_that_interactive_pictures_add() {
    let options = SvgOptions::default();
    let script = |picture: &str| {
        let start = picture.find("<script>").unwrap();
        picture[start..].to_owned()
    };
    let one = svg::flamegraph(&every_kind(), &caption(), &options);
    let other = svg::diff_flamegraph(&every_grade(), &Caption::default(), &options);
    assert_eq!(script(&one), script(&other));
    assert_eq!(one.matches("<script").count(), 1);
    for forbidden in ["innerHTML", "eval(", "Function(", "http-equiv", "import(", "prompt("] {
        assert!(!one.contains(forbidden), "{forbidden}");
    }
    assert!(!svg::flamegraph(&every_kind(), &caption(), &still()).contains("script"));
}

/// A tree with more frames than fit, some names as long as C++ has them.
fn large(order: impl Fn(usize) -> usize) -> CallTree {
    let mut tree = CallTree::new();
    for i in 0..20_000 {
        let i = order(i);
        let name =
            |level: usize| format!("ns::Map<K{level}, std::pair<A, B>>::f{}", i % (level * 9));
        let stack: Vec<FrameId> = (1..8)
            .map(|level| tree.frames.intern(frame(&name(level), "m", FrameKind::User)))
            .collect();
        tree.add(&stack, 1 + i as u64 % 7);
    }
    tree
}

#[test]
fn the_same_profile_gives_the_same_bytes_however_its_tree_was_built() {
    let options = SvgOptions::default();
    let forward = svg::flamegraph(&large(|i| i), &caption(), &options);
    let backward = svg::flamegraph(&large(|i| 19_999 - i), &caption(), &options);
    assert!(forward == backward);
}

#[test]
fn a_large_profile_keeps_to_its_size_and_still_adds_up() {
    let tree = large(|i| i);
    for most_bytes in [100_000, 500_000] {
        let options = SvgOptions { max_bytes: most_bytes, ..SvgOptions::default() };
        let picture = svg::flamegraph(&tree, &caption(), &options);
        assert!(picture.len() <= most_bytes, "{}", picture.len());
        assert!(picture.len() > most_bytes / 2, "room is used: {}", picture.len());
        assert!(picture.contains("too small to draw"));
        assert_sums(&picture, tree.total());
    }
}

/// Reads depths and weights back from the file: no parent is less than its children together, and
/// the leaves' bars are all there.
fn assert_sums(picture: &str, total: u64) {
    let number = |tag: &str, key: &str| -> u64 {
        let from = tag.find(key).unwrap() + key.len();
        tag[from..].split('"').next().unwrap().parse().unwrap()
    };
    let bars: Vec<(u64, u64)> = picture
        .split("<g class=")
        .filter(|tag| tag.contains("data-d="))
        .map(|tag| (number(tag, "data-d=\""), number(tag, "data-w=\"")))
        .collect();
    assert_eq!(bars[0], (0, total));
    for (i, (depth, weight)) in bars.iter().enumerate() {
        let below = bars[i + 1..].iter().take_while(|(d, _)| d > depth);
        let children: u64 = below.filter(|(d, _)| *d == depth + 1).map(|(_, w)| w).sum();
        // Every stack of this tree ends at the same depth: nothing in between has weight itself.
        assert!(children == *weight || children == 0, "bar {i}: {children} of {weight}");
    }
}

#[test]
fn an_empty_profile_says_so() {
    let picture = svg::flamegraph(&CallTree::new(), &caption(), &SvgOptions::default());
    assert!(picture.contains("all: nothing was recorded"));
    shape(&picture);
}

#[test]
fn a_deep_stack_is_drawn_to_the_end_when_there_is_room() {
    let mut tree = CallTree::new();
    let f = tree.frames.intern(frame("f", "m", FrameKind::User));
    tree.add(&vec![f; 10_000], 1);
    let options = SvgOptions { max_frames: 20_000, max_bytes: usize::MAX, ..still() };
    assert_eq!(svg::flamegraph(&tree, &caption(), &options).matches("data-d=").count(), 10_001);
    let picture = svg::flamegraph(&tree, &caption(), &SvgOptions::default());
    assert!(picture.len() <= 500_000);
    assert!(picture.contains("frames too small to draw"));
}

#[test]
fn warnings_of_incomplete_input_come_first() {
    let picture = svg::flamegraph(&every_kind(), &caption(), &still());
    assert!(picture.find("INCOMPLETE").unwrap() < picture.find("has no names").unwrap());
}

#[test]
fn a_diff_says_what_is_new_and_gone_and_reads_in_greyscale() {
    let picture = svg::diff_flamegraph(&every_grade(), &caption(), &still());
    for words in [
        "before 0, after 1.00 cores (66.7 %)",
        "+1.00 cores: grew, not tested against noise; new: not in the base",
        "−0.400 cores: shrank, not tested against noise; gone: only in the base",
        "(−3.2 %): within counting error",
        ">▲ event_loop",
        ">▼ LazyCompile",
        ">[libx.so]",
        "Not tested against noise.",
    ] {
        assert!(picture.contains(words), "{words}");
    }
}

#[test]
fn a_diff_with_impossible_numbers_is_still_a_picture() {
    let mut tree = every_grade();
    let odd = [f64::NAN, f64::INFINITY, -1.0, f64::MAX, 1e-300, 0.0, 5.0];
    for (node, value) in tree.nodes.iter_mut().zip(odd) {
        node.after_total = value;
    }
    shape(&svg::diff_flamegraph(&tree, &caption(), &SvgOptions::default()));
}
