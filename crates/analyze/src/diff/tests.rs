use super::*;
use profile::{CallTree, Frame, FrameKind, TimeCell, TimeRow};

const MS: u64 = 1_000_000;

fn tree(stacks: &[(&str, u64)]) -> CallTree {
    let mut tree = CallTree::new();
    for (stack, samples) in stacks {
        let ids: Vec<FrameId> = stack
            .split(';')
            .map(|name| tree.frames.intern(Frame::new(name, "m", FrameKind::User)))
            .collect();
        tree.add(&ids, samples * MS);
    }
    tree
}

static NO_TIMES: Timeline = Timeline { cells: Vec::new(), rows: Vec::new(), groups: Vec::new() };

fn side(tree: &CallTree, seconds: u64, scale: Scale) -> Side<'_> {
    Side {
        tree,
        whole: tree.total(),
        timeline: &NO_TIMES,
        captures: &[],
        observed_ns: seconds * 1_000_000_000,
        period_ns: MS,
        cpus: 4.0,
        work: 0.0,
        scale,
    }
}

fn counting(before: &Side<'_>, after: &Side<'_>) -> Diff {
    compare(before, after, Judge::Counting("they have no times".into()))
}

fn function(diff: &Diff, name: &str) -> FunctionChange {
    let found = diff.functions.iter().find(|f| &*diff.tree.frames.get(f.frame).name == name);
    found.unwrap().clone()
}

fn node(diff: &Diff, path: &str) -> DiffNode {
    let wanted: Vec<&str> = path.split(';').collect();
    let at = (1..diff.tree.nodes.len() as u32).find(|i| {
        let names: Vec<&str> =
            diff.tree.path(*i).iter().map(|f| &*diff.tree.frames.get(*f).name).collect();
        names == wanted
    });
    diff.tree.nodes[at.unwrap() as usize]
}

#[test]
fn other_durations_and_rates_compare_in_cores() {
    // 0.5 cores for 4 s at 1 kHz, and 0.5 cores for 16 s at 100 Hz.
    let before = tree(&[("main;f", 2_000)]);
    let mut after = CallTree::new();
    let main = after.frames.intern(Frame::new("main", "m", FrameKind::User));
    let f = after.frames.intern(Frame::new("f", "m", FrameKind::User));
    after.add(&[main, f], 800 * 10 * MS);
    let after = Side { period_ns: 10 * MS, ..side(&after, 16, Scale::Cores) };
    let diff = counting(&side(&before, 4, Scale::Cores), &after);
    assert_eq!(
        function(&diff, "f").own,
        Change { before: 0.5, after: 0.5, grade: Grade::Noise, effect: None }
    );
    assert_eq!(diff.whole, Change { before: 0.5, after: 0.5, grade: Grade::Noise, effect: None });
    assert_eq!(diff.tree.unit, "cores");
}

#[test]
fn a_job_that_takes_twice_as_long_shows_in_total_but_not_in_cores() {
    let (before, after) = (tree(&[("f", 1_000)]), tree(&[("f", 2_000)]));
    let cores = counting(&side(&before, 1, Scale::Cores), &side(&after, 2, Scale::Cores));
    assert_eq!(cores.whole.delta(), 0.0);
    let total = counting(&side(&before, 1, Scale::Total), &side(&after, 2, Scale::Total));
    assert_eq!(total.whole, Change { before: 1.0, after: 2.0, grade: Grade::Grew, effect: None });
}

#[test]
fn shares_are_parts_of_each_sides_own_whole() {
    let (before, after) = (tree(&[("f", 100), ("g", 300)]), tree(&[("f", 1_000)]));
    let diff = counting(&side(&before, 1, Scale::Share), &side(&after, 1, Scale::Share));
    assert_eq!(
        function(&diff, "f").own,
        Change { before: 25.0, after: 100.0, grade: Grade::Grew, effect: None }
    );
    assert_eq!(diff.whole.grade, Grade::Noise);
}

#[test]
fn frames_of_one_side_stay_with_zero_on_the_other() {
    let (before, after) = (tree(&[("main;old", 100)]), tree(&[("main;new", 900)]));
    let diff = counting(&side(&before, 1, Scale::Total), &side(&after, 1, Scale::Total));
    let (old, new) = (node(&diff, "main;old"), node(&diff, "main;new"));
    assert_eq!((old.before_total, old.after_total, old.grade), (0.1, 0.0, Grade::Shrank));
    assert_eq!((new.before_total, new.after_total, new.grade), (0.0, 0.9, Grade::Grew));
    assert_eq!(function(&diff, "old").total.after, 0.0);
    let main = node(&diff, "main");
    assert_eq!((main.before_self, main.before_total, main.after_total), (0.0, 0.1, 0.9));
}

#[test]
fn a_recursive_function_counts_once_per_stack() {
    let (before, after) = (tree(&[("f;f;f", 100)]), tree(&[("f;f", 100), ("f;g;f", 300)]));
    let diff = counting(&side(&before, 1, Scale::Total), &side(&after, 1, Scale::Total));
    let f = function(&diff, "f");
    assert_eq!((f.total.before, f.total.after), (0.1, 0.4));
    assert_eq!((f.own.before, f.own.after), (0.1, 0.4));
}

#[test]
fn counting_error_alone_says_nothing() {
    // 100 against 128 samples: 28 <= 2·√228 = 30.2; 131: 31 > 2·√231 = 30.4.
    let grade = |before, after| {
        let (b, a) = (tree(&[("f", before)]), tree(&[("f", after)]));
        counting(&side(&b, 1, Scale::Cores), &side(&a, 1, Scale::Cores)).whole.grade
    };
    assert_eq!(grade(100, 128), Grade::Noise);
    assert_eq!(grade(100, 131), Grade::Grew);
    assert_eq!(grade(131, 100), Grade::Shrank);
    assert_eq!(grade(0, 4), Grade::Noise);
    assert_eq!(grade(0, 5), Grade::Grew);
}

#[test]
fn totals_of_the_tree_are_the_sums_of_their_parts() {
    let (before, after) =
        (tree(&[("a;b", 7), ("a", 5), ("c", 3)]), tree(&[("a;d;b", 11), ("c", 2)]));
    let diff = counting(&side(&before, 1, Scale::Total), &side(&after, 1, Scale::Total));
    let sums: (f64, f64) = diff
        .tree
        .nodes
        .iter()
        .fold((0.0, 0.0), |sum, n| (sum.0 + n.before_self, sum.1 + n.after_self));
    assert!((sums.0 - 0.015).abs() < 1e-12 && (sums.1 - 0.013).abs() < 1e-12);
    assert_eq!(diff.tree.nodes[0].before_total, 0.015);
    assert_eq!(diff.tree.nodes[0].after_total, 0.013);
}

#[test]
fn an_empty_side_is_no_division_by_zero() {
    let (before, after) = (tree(&[]), tree(&[("f", 10)]));
    for scale in [Scale::Cores, Scale::Total, Scale::Share] {
        let diff = counting(&side(&before, 0, scale), &side(&after, 1, scale));
        assert_eq!(diff.whole.before, 0.0);
        assert!(diff.tree.nodes.iter().all(|n| n.before_total == 0.0));
    }
}

/// A profile over time: what each path weighs in each of some seconds, in samples.
fn over_time(paths: &[(&str, &dyn Fn(u64) -> u64)], seconds: u64) -> (CallTree, Timeline) {
    let mut tree = CallTree::new();
    let cell = |second| TimeCell {
        capture: 0,
        start_ns: second * 1_000_000_000,
        observed_ns: 1_000_000_000,
    };
    let cells = (0..seconds).map(cell).collect();
    let mut timeline = Timeline { cells, ..Timeline::default() };
    for (path, samples) in paths {
        let ids: Vec<FrameId> = path
            .split(';')
            .map(|name| tree.frames.intern(Frame::new(name, "m", FrameKind::User)))
            .collect();
        let node = tree.path_to(&ids);
        for second in 0..seconds {
            let weight = samples(second) * MS;
            tree.add_self(node, weight);
            timeline.rows.push(TimeRow { node, cell: second as u32, group: 0, weight });
        }
    }
    timeline.unite();
    (tree, timeline)
}

fn judged(before: &(CallTree, Timeline), after: &(CallTree, Timeline), scale: Scale) -> Diff {
    let captures = [Capture { recording: [1; 16], host: "a".into() }];
    fn at<'a>(
        profile: &'a (CallTree, Timeline),
        captures: &'a [Capture],
        scale: Scale,
    ) -> Side<'a> {
        Side { timeline: &profile.1, captures, ..side(&profile.0, 60, scale) }
    }
    let (before, after) = (at(before, &captures, scale), at(after, &captures, scale));
    compare(&before, &after, Judge::Noise { min_effect_percent: 1.0 })
}

/// Noise that repeats itself nowhere within a minute.
fn noise(seed: u64, second: u64, most: u64) -> u64 {
    let mixed = (second + 1).wrapping_mul(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 33) % (most + 1)
}

#[test]
fn a_change_beyond_noise_is_called_by_its_name_and_noise_is_not() {
    let before = over_time(
        &[
            ("main;parse", &|s| 20 + noise(3, s, 20)),
            ("main;read", &|s| 40 + noise(5, s, 60)),
            ("main;gone", &|_| 10),
        ],
        60,
    );
    let after = over_time(
        &[
            ("main;parse", &|s| 60 + noise(7, s, 20)),
            ("main;read", &|s| 40 + noise(11, s, 60)),
            ("main;new", &|_| 12),
        ],
        60,
    );
    let diff = judged(&before, &after, Scale::Cores);
    let verdict = |name: &str| function(&diff, name).total.effect.unwrap().verdict;
    assert_eq!(verdict("parse"), Verdict::Regression);
    assert_eq!(verdict("read"), Verdict::Inconclusive);
    assert_eq!((verdict("gone"), verdict("new")), (Verdict::Improvement, Verdict::Regression));
    assert_eq!(function(&diff, "new").labels, [Label::New]);
    assert_eq!(function(&diff, "gone").labels, [Label::Gone]);
    assert!(function(&diff, "parse").labels.is_empty());
    let parse = function(&diff, "parse").total;
    let effect = parse.effect.unwrap();
    assert!(effect.low < parse.delta() && parse.delta() < effect.high && effect.low > 0.03);
    assert_eq!(node(&diff, "main;parse").grade, Grade::Grew);
    assert_eq!(node(&diff, "main;read").grade, Grade::Noise);
    let tested = diff.tested.unwrap();
    assert_eq!((tested.kind, tested.noise_floor.unwrap().0), (UnitKind::Blocks, 0));
}

#[test]
fn work_that_another_callee_does_now_has_moved() {
    let work: &dyn Fn(u64) -> u64 = &|s| 40 + noise(3, s, 9);
    let rest: &dyn Fn(u64) -> u64 = &|s| 200 + noise(5, s, 9);
    let before = over_time(&[("main;parse;copy", work), ("main;serve", rest)], 60);
    let after = over_time(&[("main;parse;memcpy", work), ("main;serve", rest)], 60);
    let diff = judged(&before, &after, Scale::Cores);
    assert_eq!(function(&diff, "copy").labels, [Label::Gone, Label::Moved]);
    assert_eq!(function(&diff, "memcpy").labels, [Label::New, Label::Moved]);
    assert!(function(&diff, "parse").labels.is_empty());
}

#[test]
fn a_profile_against_itself_has_not_changed() {
    let both = over_time(&[("main;parse", &|s| 20 + noise(3, s, 20)), ("main", &|_| 500)], 60);
    let diff = judged(&both, &both, Scale::Cores);
    assert!(diff.functions.iter().all(|f| f.total.grade == Grade::Noise));
    assert!(diff.tree.nodes.iter().all(|node| node.grade == Grade::Noise));
    assert_eq!(diff.whole.delta(), 0.0);
    assert!(diff.whole.effect.unwrap().smallest > 0.0);
}

#[test]
fn one_burst_is_no_regression() {
    let quiet = over_time(&[("main;work", &|_| 50)], 60);
    let burst: &dyn Fn(u64) -> u64 = &|s| if s == 30 { 900 } else { 0 };
    let after = over_time(&[("main;work", &|_| 50), ("main;burst", burst)], 60);
    let diff = judged(&quiet, &after, Scale::Cores);
    let effect = function(&diff, "burst").total.effect.unwrap();
    assert_eq!((effect.verdict, effect.seen_in), (Verdict::Inconclusive, [0, 1]));
}

#[test]
fn more_load_is_more_in_cores_and_the_same_in_shares() {
    let load = |times: u64| {
        let parse: &dyn Fn(u64) -> u64 = &|s| times * (20 + noise(3 + times, s, 10));
        let read: &dyn Fn(u64) -> u64 = &|s| times * (40 + noise(9 + times, s, 20));
        over_time(&[("main;parse", parse), ("main;read", read)], 60)
    };
    let verdict = |scale| {
        let diff = judged(&load(1), &load(2), scale);
        function(&diff, "parse").total.effect.unwrap().verdict
    };
    assert_eq!(verdict(Scale::Cores), Verdict::Regression);
    assert_ne!(verdict(Scale::Share), Verdict::Regression);
}
