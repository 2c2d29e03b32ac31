//! What other profilers print: as stacks and summaries, and held against how inferno folds the same text.

use std::collections::BTreeMap;
use std::fs;

use inferno::collapse::{Collapse, dtrace, ghcprof, sample, vtune};

use crate::made::Desk;
use crate::testdata::{case, golden};

#[test]
fn each_is_recognised_and_says_what_it_measures() {
    for name in ["dtrace.txt", "ghc.prof", "sample.txt", "visual_studio.csv", "vtune.csv"] {
        let stem = name.split('.').next().unwrap();
        golden("printed", name, &format!("{stem}.txt"));
        golden("printed", &format!("{name} --format folded"), &format!("{stem}.folded"));
    }
    golden("printed", "sample.txt --by thread --format folded", "sample.threads.folded");
}

/// Weights by the function that ran, of folded stacks.
fn leaves(folded: &str) -> BTreeMap<String, u64> {
    let mut leaves = BTreeMap::new();
    for line in folded.lines() {
        let (stack, weight) = line.rsplit_once(' ').unwrap();
        let leaf = stack.rsplit([';', '`']).next().unwrap();
        *leaves.entry(leaf.to_owned()).or_default() += weight.parse::<u64>().unwrap();
    }
    leaves.retain(|_, weight| *weight > 0);
    leaves
}

/// What inferno makes of a text, and what we make of it, a unit of inferno's being so much weight.
fn both(text: &str, mut inferno: impl Collapse, unit: u64) -> [BTreeMap<String, u64>; 2] {
    let mut folded = Vec::new();
    inferno.collapse(text.as_bytes(), &mut folded).unwrap();
    let desk = Desk::with(&[("text", text.as_bytes().to_vec())]);
    let ran = desk.analyze("text -o - --format folded");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let mut ours = leaves(&ran.stdout);
    ours.values_mut().for_each(|weight| *weight /= unit);
    [leaves(&String::from_utf8(folded).unwrap()), ours]
}

#[test]
fn leaves_weigh_what_inferno_says() {
    let text = |name: &str| fs::read_to_string(case("printed").join(name)).unwrap();

    let [inferno, ours] = both(&text("vtune.csv"), vtune::Folder::default(), 1_000_000);
    assert_eq!(inferno["[Unknown]"], ours["[libc.so.6]"]);
    let named = |leaves: BTreeMap<String, u64>| -> BTreeMap<String, u64> {
        leaves.into_iter().filter(|(name, _)| !name.starts_with('[')).collect()
    };
    assert_eq!(named(inferno), named(ours));

    let mut options = ghcprof::Options::default();
    options.source = ghcprof::Source::Ticks;
    let [inferno, ours] = both(&text("ghc.prof"), ghcprof::Folder::from(options), 1_000_000);
    assert_eq!(inferno, ours);

    // A key in front of the stack is a function that ran to inferno.
    let without_key = text("dtrace.txt").replace("  java\n", "");
    let [inferno, ours] = both(&without_key, dtrace::Folder::default(), 1);
    assert_eq!(inferno, ours);

    // Inferno leaves out what waits, and what is a function's own where it called others.
    let [inferno, ours] = both(&text("sample.txt"), sample::Folder::default(), 1);
    let expected = BTreeMap::from([("work".to_owned(), 25), ("thread_start".to_owned(), 7)]);
    let known = |leaves: &BTreeMap<String, u64>| -> BTreeMap<String, u64> {
        leaves.clone().into_iter().filter(|(name, _)| expected.contains_key(name)).collect()
    };
    assert_eq!((known(&inferno), known(&ours)), (expected.clone(), expected.clone()));
    assert!(!inferno.contains_key("read") && ours["read"] == 20);
}
