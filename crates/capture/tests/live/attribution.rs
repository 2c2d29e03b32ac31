//! Stacks are whole, and processes are named after the program they ran.

use profile::StackEnd;
use rayon::iter::ParallelIterator as _;

use crate::recording::*;

/// Frames in `depth` itself, by how many samples had so many, most frequent first; and how the most
/// frequent one's chain ended.
fn depths(levels: &str) -> (Vec<(usize, usize)>, StackEnd) {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let depth = program(dir.path(), "depth", WITH_FRAME_POINTERS);
    succeed(capture().args(["-F", "997", "-o"]).arg(&path).arg("--").arg(depth).arg(levels));
    let recorded = read(&path);
    let tables = recorded.archive.tables();
    let mut counts = std::collections::BTreeMap::<usize, (usize, Option<StackEnd>)>::new();
    for block in recorded.archive.data_blocks().collect::<Vec<_>>() {
        block.unwrap().for_each_sample(|sample| {
            let stack = tables.stacks.get(sample.stack);
            let of_program =
                |module| tables.module(module).is_some_and(|m| m.path.file_name() == "depth");
            let frames = tables.nodes.walk(stack.user);
            let count = frames.filter(|(_, node)| of_program(node.module)).count();
            let slot = counts.entry(count).or_default();
            *slot = (slot.0 + 1, Some(stack.end));
        });
    }
    let mut counts: Vec<(usize, usize, StackEnd)> =
        counts.into_iter().map(|(depth, (samples, end))| (samples, depth, end.unwrap())).collect();
    counts.sort_by_key(|(samples, ..)| std::cmp::Reverse(*samples));
    (counts.iter().map(|(samples, depth, _)| (*depth, *samples)).collect(), counts[0].2)
}

#[test]
fn a_stack_of_known_depth_is_recorded_whole_and_a_deeper_one_says_where_it_was_cut() {
    let (counts, end) = depths("40");
    let all: usize = counts.iter().map(|(_, samples)| samples).sum();
    // descend() 41 times and main(); what called main() is libc, built without frame pointers.
    assert_eq!((counts[0].0, end), (42, StackEnd::NotCode), "{counts:?}");
    assert!(counts[0].1 * 100 >= all * 97, "{counts:?}");

    let (counts, end) = depths("200");
    assert_eq!((counts[0].0, end), (127, StackEnd::DepthLimit), "{counts:?}");
}

#[test]
fn a_program_that_calls_exec_at_once_is_not_named_after_the_next_one() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let spin = program(dir.path(), "spin", &["-O1"]);
    // Over before /proc is asked for the first time.
    let script = format!("for i in {{1..3000}}; do :; done; exec {} 1", spin.display());
    succeed(capture().args(["-F", "9999", "-o"]).arg(&path).args(["--", "bash", "-c", &script]));
    let recorded = read(&path);
    let tables = recorded.archive.tables();
    let names_of = |program: &str| -> Vec<String> {
        let runs = |p: &&profile::Process| {
            tables.module(p.exe).is_some_and(|m| m.path.lossy().ends_with(program))
        };
        tables.processes.iter().filter(runs).map(|p| p.argv0.lossy().into_owned()).collect()
    };
    assert!(names_of("/bash").iter().all(|name| name.is_empty() || name == "bash"));
    assert!(!names_of("/bash").is_empty());
    assert_eq!(names_of("/spin"), [spin.display().to_string()]);
}
