//! Stacks of programs that are known by construction, recorded and unwound: no frame that is not in the
//! true chain, and none that is missing without a word.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::recording::{capture, folded, succeed};

/// Chains of `shapes.c` below `main`: a stack has the whole of one below `leaf`, and the beginning of one
/// anywhere else.
const CHAINS: [&[&str]; 19] = [
    &["plain", "inner", "leaf"],
    &["with_alloca", "inner", "leaf"],
    &["realigned", "inner", "leaf"],
    &["realigned_and_growing", "inner", "leaf"],
    &["large", "inner", "leaf"],
    &["recurse", "inner", "leaf"],
    &["before_tail", "tail_target", "inner", "leaf"],
    &["before_tail", "tail_calling"],
    &["sorting", "compare", "inner", "leaf"],
    &["jumped", "jumping", "inner", "leaf"],
    &["jumped", "inner", "leaf"],
    &["by_timer", "plain", "inner", "leaf"],
    &["interrupted"],
    &["elsewhere"],
    &["polling"],
    &["first_call"],
    &["telling_time"],
    &["resuming"],
    &["again"],
];

/// What begins anew: the handler of a signal, and a coroutine.
const HANDLER: [&[&str]; 1] = [&["on_signal", "inner", "leaf"]];
const COROUTINE: [&[&str]; 1] = [&["in_coroutine", "inner", "leaf"]];

/// Those that call only functions of the program: none of a library may stand below them.
const CALL_NO_LIBRARY: [&str; 10] = [
    "plain",
    "realigned",
    "realigned_and_growing",
    "large",
    "recurse",
    "before_tail",
    "tail_target",
    "compare",
    "inner",
    "leaf",
];

const DEPTH_OF_RECURSION: usize = 21;

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/symbolize/tests/unwind").join(name)
}

/// Builds a program that runs for a while, records it, and gives its stacks without their process.
fn record(
    (name, compiler): (&str, &str),
    flags: &[&str],
    unwind: &str,
) -> BTreeMap<Vec<String>, u64> {
    let dir = tempfile::tempdir().unwrap();
    let (program, archive) = (dir.path().join("shapes"), dir.path().join("run.arc"));
    let mut compile = Command::new(compiler);
    compile.args(flags).args(["-w", "-DLIVE", "-o"]).arg(&program).arg(source(name));
    succeed(&mut compile);
    let mut record = capture();
    record.args(["-F", "1999", "--unwind", unwind, "-o"]).arg(&archive).arg("--").arg(&program);
    succeed(record.args(["all", "-", "-"]));
    let stacks = folded(&archive, &["--no-kernel", "--no-inlines", "--no-cache"]);
    let own = stacks.into_iter().filter(|(stack, _)| stack[0] == "shapes");
    let mut found = BTreeMap::new();
    for (stack, weight) in own {
        // Compilers move what is seldom run away from its function.
        let names = stack[1..].iter().map(|name| name.replace(" [clone .cold]", ""));
        *found.entry(names.collect()).or_default() += weight;
    }
    found
}

fn is_own(name: &str) -> bool {
    CHAINS.iter().chain(&HANDLER).chain(&COROUTINE).any(|chain| chain.contains(&name))
}

/// Whether such frames, root first, can be on one of these chains.
fn is_true(chains: &[&[&str]], frames: &[&str]) -> bool {
    let mut own: Vec<&str> = frames.iter().copied().filter(|name| is_own(name)).collect();
    let recursions = own.iter().filter(|name| **name == "recurse").count();
    own.dedup();
    let is_begun = |chain: &[&str]| match own.last() {
        Some(&"leaf") => own == chain,
        _ => chain.starts_with(&own),
    };
    let is_deep_enough = match own[..] {
        ["recurse"] => recursions <= DEPTH_OF_RECURSION,
        ["recurse", ..] => recursions == DEPTH_OF_RECURSION,
        _ => true,
    };
    // Anything may be interrupted, and then calls the trampoline that a handler returns to.
    let may_call = |pair: &[&str]| is_own(pair[1]) || !CALL_NO_LIBRARY.contains(&pair[0]);
    chains.iter().any(|chain| is_begun(chain))
        && is_deep_enough
        && (own.first() == Some(&"by_timer") || frames.windows(2).all(may_call))
}

/// What is there of a stack.
#[derive(PartialEq, Eq, Debug)]
enum Found {
    /// Its true chain, from the root on.
    Whole,
    /// What a signal interrupted on another stack is missing, and a marker says so.
    Handler,
    /// More is missing, and a marker says so.
    Cut,
    /// Nothing of the program: its start and its end.
    Outside,
    Wrong,
}

fn is_marker(name: &str) -> bool {
    name.starts_with("[truncated") || name.starts_with("[caller")
}

fn judge(stack: &[String]) -> Found {
    let frames: Vec<&str> = stack.iter().map(String::as_str).collect();
    let handler = frames.iter().position(|name| *name == "on_signal").unwrap_or(frames.len());
    let (interrupted, handler) = frames.split_at(handler);
    let is_marked = frames.iter().any(|name| is_marker(name));
    let own: Vec<&str> = frames.iter().copied().filter(|name| is_own(name)).collect();
    let is_part = |chain: &&[&str]| chain.windows(own.len()).any(|part| part == own);
    let found = match interrupted {
        _ if own.is_empty() => Found::Outside,
        [_, "main", rest @ ..] if !is_marked && is_true(&CHAINS, rest) => Found::Whole,
        [_, "in_coroutine", ..] if !is_marked && is_true(&COROUTINE, &frames[1..]) => Found::Whole,
        rest if is_marked && !handler.is_empty() && !rest.iter().any(|f| is_own(f)) => {
            Found::Handler
        }
        [marker, ..] if is_marker(marker) && CHAINS.iter().any(is_part) => Found::Cut,
        _ => Found::Wrong,
    };
    if handler.is_empty() || is_true(&HANDLER, handler) { found } else { Found::Wrong }
}

/// Records `shapes.c` and holds its stacks against what it does. `whole` is the least share in percent
/// of what could be whole.
fn assert_true(flags: &[&str], unwind: &str, whole: u64) {
    let stacks = record(("shapes.c", "gcc"), flags, unwind);
    let of = |wanted: &Found| -> u64 {
        stacks.iter().filter(|(stack, _)| judge(stack) == *wanted).map(|(_, weight)| weight).sum()
    };
    let all: u64 = stacks.values().sum();
    let kinds = [Found::Whole, Found::Handler, Found::Cut, Found::Outside];
    let shares = kinds.map(|kind| of(&kind) as f64 * 100.0 / all as f64);
    println!("{flags:?} {unwind}: whole, handlers, cut, outside: {shares:.2?} %");
    let wrong = stacks.keys().filter(|stack| judge(stack) == Found::Wrong);
    let wrong: Vec<String> = wrong.map(|stack| stack.join(";")).collect();
    assert!(wrong.is_empty(), "{flags:?} {unwind}:\n  {}", wrong.join("\n  "));
    for chain in CHAINS.iter().filter(|chain| chain.contains(&"leaf")) {
        let is_there = stacks.keys().any(|stack| stack.iter().any(|frame| frame == chain[0]));
        assert!(is_there, "no sample of {chain:?}");
    }
    // One shape of sixteen has its handler on another stack.
    let handlers = of(&Found::Handler);
    assert!(handlers * 10 <= all && handlers * 50 >= all, "{handlers} of {all} ns in handlers");
    let least = (all - handlers) * whole;
    assert!(of(&Found::Whole) * 100 >= least, "{flags:?} {unwind}: {shares:?} % of {stacks:#?}");
}

#[test]
fn stacks_of_a_program_without_frame_pointers_are_true_and_whole() {
    assert_true(&["-O2", "-fomit-frame-pointer"], "dwarf", 99);
}

#[test]
fn stacks_of_a_program_with_frame_pointers_are_true_and_whole() {
    assert_true(&["-O2", "-fno-omit-frame-pointer"], "dwarf", 99);
}

/// `auto` takes small slices where chains end as they should, and larger ones where they lead through code without
/// frame pointers (`clock_gettime` of libc below the vDSO's).
#[test]
fn slices_where_they_are_needed_lead_to_true_stacks() {
    assert_true(&["-O2", "-fomit-frame-pointer", "-Wl,-z,now"], "auto", 98);
    assert_true(&["-O2", "-fno-omit-frame-pointer", "-fcf-protection"], "auto", 98);
}

#[test]
fn stacks_are_true_and_whole_while_exceptions_pass() {
    let stacks = record(("exceptions.cc", "g++"), &["-O2"], "auto");
    let (mut whole, mut cleanups) = (0, 0);
    for (stack, weight) in &stacks {
        let names: Vec<&str> = stack.iter().map(String::as_str).collect();
        let [_, "main", "catching(int)", rest @ ..] = &names[..] else {
            let own = ["catching(int)", "throwing(int)", "leaf()", "Guard::~Guard()"];
            assert!(!names.iter().any(|name| own.contains(name)), "{names:?}");
            continue;
        };
        let throwing = rest.iter().take_while(|name| name.starts_with("throwing(int)")).count();
        let is_leaf = names.last() == Some(&"leaf()");
        let is_true = match &rest[throwing..] {
            ["leaf()"] => throwing == 0,
            ["Guard::~Guard()", "leaf()"] => (1..4).contains(&throwing),
            library => !is_leaf && !library.iter().any(|name| is_marker(name)),
        };
        assert!(is_true, "{names:?}");
        whole += weight;
        cleanups += if is_leaf && throwing > 0 { *weight } else { 0 };
    }
    println!("{whole} ns in catching(), {cleanups} in destructors while an exception passes");
    assert!(whole > 100_000_000 && cleanups > 50_000_000, "{stacks:#?}");
}
