//! The words kept of a stack are those that lead to the true callers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use profile::{KeptValue, Slice, StackId};
use rayon::iter::ParallelIterator as _;

use crate::recording::*;

const WITHOUT_FRAME_POINTERS: &[&str] = &["-O2", "-fomit-frame-pointer"];

/// Where the functions of a program are, by `nm`.
fn functions(binary: &Path) -> BTreeMap<u64, String> {
    let output = succeed(Command::new("nm").arg("--defined-only").arg(binary));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let mut words = line.split(' ');
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        words.next().filter(|kind| kind.eq_ignore_ascii_case("t"))?;
        Some((address, words.next()?.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// Slices of all stacks that have one.
fn slices(recorded: &Recorded) -> BTreeMap<StackId, Slice> {
    let mut slices = BTreeMap::new();
    for block in recorded.archive.slice_blocks().collect::<Vec<_>>() {
        block.unwrap().for_each(|stack, slice| {
            slices.insert(stack, slice.clone());
        });
    }
    slices
}

/// For each sample the function at its leaf, and those of the program's own that its slice returns to.
fn chains(recorded: &Recorded, binary: &Path) -> Vec<(String, Vec<String>)> {
    let functions = functions(binary);
    let tables = recorded.archive.tables();
    let name = |module, address: u64| {
        let module = tables.module(module)?;
        (Path::new(&*module.path.lossy()) == binary).then_some(())?;
        let segment = module
            .segments
            .iter()
            .find(|s| (s.file_offset.0..s.file_offset.0 + s.file_bytes).contains(&address))?;
        let svma = address - segment.file_offset.0 + segment.svma.0;
        functions.range(..=svma).next_back().map(|(start, name)| (svma - start, name.clone()))
    };
    let slices = slices(recorded);
    let mut chains = Vec::new();
    for block in recorded.archive.data_blocks().collect::<Vec<_>>() {
        block.unwrap().for_each_sample(|sample| {
            let leaf = tables.nodes.get(tables.stacks.get(sample.stack).user);
            let Some(slice) = slices.get(&sample.stack) else { return };
            let words = slice.kept.iter().filter(|kept| kept.word().is_some());
            let callers = words.filter_map(|kept| match kept.value {
                // The start of a function is a pointer to it, not what a call returns to.
                KeptValue::Code { module, address } => {
                    name(module, address).filter(|(inside, _)| *inside > 0).map(|(_, name)| name)
                }
                KeptValue::Stack(_) => None,
            });
            let leaf = leaf.and_then(|node| name(node.module, node.address));
            let leaf = leaf.map(|(_, name)| name).unwrap_or_default();
            chains.push((leaf, callers.collect()));
        });
    }
    chains
}

fn record(dir: &Path, unwind: &str, command: &[&str]) -> Recorded {
    let path = dir.join(format!("{unwind}.arc"));
    let mut recorder = capture();
    recorder.args(["--force", "-F", "499", "--unwind", unwind, "-o"]).arg(&path);
    succeed(recorder.arg("--").args(command));
    let recorded = read(&path);
    recorded.assert_balanced();
    recorded
}

#[test]
fn a_slice_holds_the_true_callers_in_their_order() {
    let dir = dir();
    let binary = program(dir.path(), "chain", WITHOUT_FRAME_POINTERS);
    for unwind in ["auto", "dwarf"] {
        let recorded = record(dir.path(), unwind, &[binary.to_str().unwrap(), "2"]);
        let chains = chains(&recorded, &binary);
        let at_leaf: Vec<_> = chains.iter().filter(|(leaf, _)| leaf == "leaf").collect();
        assert!(at_leaf.len() > 800, "{unwind}: {} samples in leaf()", at_leaf.len());
        for (_, callers) in at_leaf {
            // What called main() is the C library's; _start() is at the stack's top, and before it
            // addresses that the start code left behind.
            let callers: Vec<&str> = callers.iter().map(String::as_str).collect();
            assert!(
                callers.starts_with(&["inner", "middle", "outer", "main"]),
                "{unwind}: {callers:?}"
            );
        }
        let registers = &recorded.archive.facts().unwind_regs;
        assert_eq!(*registers, [3, 6, 10, 12, 13, 14, 15], "{unwind}");
    }
}

#[test]
fn a_slice_goes_on_where_the_stack_is_deep() {
    let dir = dir();
    let flags = [WITHOUT_FRAME_POINTERS, &["-DROOM=50000"]].concat();
    let binary = program(dir.path(), "chain", &flags);
    let path = dir.path().join("deep.arc");
    let mut recorder = capture();
    succeed(recorder.arg("-o").arg(&path).arg("--").arg(&binary).arg("5"));
    let chains = chains(&read(&path), &binary);
    let at_leaf: Vec<_> = chains.iter().filter(|(leaf, _)| leaf == "leaf").collect();
    assert!(at_leaf.len() > 400, "{} samples in leaf()", at_leaf.len());
    let path = main_path(&["inner", "middle", "outer"]);
    let whole = at_leaf.iter().filter(|(_, callers)| callers.starts_with(&path)).count();
    // Room in the ring permitting: at 99 Hz it is five megabytes a second.
    assert!(whole * 10 >= at_leaf.len() * 9, "{whole} of {}: {at_leaf:?}", at_leaf.len());
}

#[test]
fn with_frame_pointers_a_small_slice_holds_the_caller_that_they_skip() {
    let dir = dir();
    let flags = ["-O2", "-fno-omit-frame-pointer"];
    let binary = program(dir.path(), "chain", &flags);
    let recorded = record(dir.path(), "auto", &[binary.to_str().unwrap(), "2"]);
    // leaf() has no frame of its own: frame pointers lead from it to middle(), inner()'s caller.
    let chains = chains(&recorded, &binary);
    let at_leaf: Vec<_> = chains.iter().filter(|(leaf, _)| leaf == "leaf").collect();
    let small = at_leaf.iter().filter(|(_, callers)| *callers == ["inner", "middle"]).count();
    let deep = at_leaf.iter().filter(|(_, callers)| callers.len() >= 4).count();
    assert_eq!(small + deep, at_leaf.len(), "{chains:?}");
    assert!(deep > 0, "nothing is known of the first chains");
    assert!(small * 10 > at_leaf.len() * 7, "{small} of {}", at_leaf.len());
    let words: Vec<u32> = slices(&recorded).values().map(|s| s.looked_at_words).collect();
    assert!(words.contains(&3), "a return address and inner()'s frame: {words:?}");
}

#[test]
fn chains_alone_need_no_slices() {
    let dir = dir();
    let binary = program(dir.path(), "chain", WITHOUT_FRAME_POINTERS);
    let recorded = record(dir.path(), "fp", &[binary.to_str().unwrap(), "0.5"]);
    assert!(recorded.times_ns.len() > 200);
    assert_eq!(slices(&recorded).len(), 0);
    assert_eq!(recorded.archive.facts().unwind_regs, [0u32; 0]);
}

#[test]
fn callers_beyond_a_library_without_frame_pointers_are_in_the_slice() {
    let dir = dir();
    let binary = program(dir.path(), "callback", &["-O2", "-fno-omit-frame-pointer"]);
    let recorded = record(dir.path(), "auto", &[binary.to_str().unwrap(), "2"]);
    let chains = chains(&recorded, &binary);
    let at_leaf: Vec<_> = chains.iter().filter(|(leaf, _)| leaf == "compare").collect();
    assert!(at_leaf.len() > 800, "{} samples in compare()", at_leaf.len());
    let whole = at_leaf.iter().filter(|(_, callers)| callers.starts_with(&main_path(&["sort"])));
    let whole = whole.count();
    assert!(
        whole * 100 >= at_leaf.len() * 99,
        "{whole} of {}: {:?}",
        at_leaf.len(),
        at_leaf.last()
    );
}

/// These functions and main(), which called the last one.
fn main_path(functions: &[&str]) -> Vec<String> {
    functions.iter().chain(&["main"]).map(|name| (*name).to_owned()).collect()
}
