//! Stacks of real programs, at every instruction that they execute, against what is known of them by
//! construction. Needs gcc and g++ (Debian packages of these names) and an x86-64 Linux.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

#[cfg(feature = "campaign")]
mod gdb_campaign;
mod traced;

use std::collections::BTreeSet;

use profile::ModuleId;
use symbolize::unwind::{Frame, Step, Stop, WalkEnd};
use traced::{Sample, Traced};

/// Which function may stand above which: callee, caller.
const CALLERS: [(&str, &str); 27] = [
    ("leaf", "inner"),
    ("inner", "plain"),
    ("inner", "with_alloca"),
    ("inner", "realigned"),
    ("inner", "realigned_and_growing"),
    ("inner", "large"),
    ("inner", "recurse"),
    ("inner", "tail_target"),
    ("inner", "compare"),
    ("inner", "on_signal"),
    ("inner", "jumping"),
    ("inner", "jumped"),
    ("plain", "main"),
    ("with_alloca", "main"),
    ("realigned", "main"),
    ("realigned_and_growing", "main"),
    ("large", "main"),
    ("recurse", "recurse"),
    ("recurse", "main"),
    ("tail_target", "before_tail"),
    ("tail_calling", "before_tail"),
    ("before_tail", "main"),
    ("compare", "sorting"),
    ("on_signal", "interrupted"),
    ("interrupted", "main"),
    ("jumping", "jumped"),
    ("jumped", "main"),
];

/// What to run, and the stack below which `leaf` runs.
const SHAPES: [(&str, &[&str]); 12] = [
    ("plain", &["leaf", "inner", "plain", "main"]),
    ("with_alloca", &["leaf", "inner", "with_alloca", "main"]),
    ("realigned", &["leaf", "inner", "realigned", "main"]),
    ("realigned_and_growing", &["leaf", "inner", "realigned_and_growing", "main"]),
    ("large", &["leaf", "inner", "large", "main"]),
    ("recurse", &["leaf", "inner", "recurse", "main"]),
    ("before_tail", &["leaf", "inner", "tail_target", "before_tail", "main"]),
    ("sorting", &["leaf", "inner", "compare", "sorting", "main"]),
    ("interrupted", &["leaf", "inner", "on_signal", "interrupted", "main"]),
    ("jumped", &["leaf", "inner", "jumped", "main"]),
    ("polling", &["polling", "main"]),
    ("first_call", &["first_call", "main"]),
];

fn is_legal(names: &[String]) -> bool {
    let known = |callee: &str, caller: &str| {
        CALLERS.contains(&(callee, caller))
            || ["sorting", "polling", "first_call"].contains(&callee) && caller == "main"
    };
    names.last().is_some_and(|root| root == "main")
        && names.windows(2).all(|pair| known(&pair[0], &pair[1]))
}

/// How often a function may stand on a stack: `recurse(20)` calls itself 20 times.
fn is_exact(names: &[String], expected: &[&str]) -> bool {
    let recursions = names.iter().filter(|name| *name == "recurse").count();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.dedup();
    names == expected && (recursions == 0 || recursions == 21)
}

/// Unwinds all samples of all shapes, and says what is wrong.
fn check(flags: &[&str]) -> String {
    let program = traced::compile("shapes.c", "gcc", flags);
    let mut wrong = String::new();
    for (what, expected) in SHAPES {
        let traced = Traced::run(&program, what);
        let (mut exact, mut longjmps, mut bad) = (0, 0, Vec::new());
        for sample in &traced.samples {
            let (frames, end) = traced.unwind(sample, usize::MAX);
            let names = traced.own_names(&frames);
            let is_leaf = names.first().is_some_and(|name| *name == expected[0]);
            let is_right =
                is_legal(&names) && (!is_leaf || what == "jumped" || is_exact(&names, expected));
            exact += usize::from(is_exact(&names, expected));
            if what == "jumped" && end != WalkEnd::Root {
                // While longjmp loads the registers, the stack is that of neither side.
                longjmps += 1;
                assert!(names.iter().all(|name| ["jumping", "jumped", "main"].contains(&&**name)));
            } else if !is_right
                || end != WalkEnd::Root
                || frames.iter().any(|f| f.step != Step::Proven)
            {
                bad.push(format!("{names:?} {end:?} at {}", traced.describe(&frames)));
            }
        }
        assert!(traced.samples.len() > 20 && exact > 3, "{what}: {exact} exact");
        assert!(longjmps < 20, "{longjmps} instructions of longjmp");
        let count = bad.len();
        bad.sort();
        bad.dedup();
        if count > 0 {
            let total = traced.samples.len();
            bad.truncate(12);
            wrong.push_str(&format!(
                "{flags:?} {what}: {count} of {total}\n  {}\n",
                bad.join("\n  ")
            ));
        }
    }
    wrong
}

#[test]
fn every_instruction_of_optimised_code_has_its_true_stack() {
    let wrong = check(&["-O2", "-Wl,-z,lazy"]);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_instruction_of_code_with_frame_pointers_has_its_true_stack() {
    let wrong = check(&["-O2", "-fno-omit-frame-pointer", "-Wl,-z,now", "-fcf-protection"]);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn tables_of_the_debugger_serve_where_there_are_no_others() {
    let flags = ["-O2", "-g", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"];
    let wrong = check(&[&flags[..], &["-Wl,-z,now"]].concat());
    assert!(wrong.is_empty(), "{wrong}");
}

/// Small slices: what is found is part of the true stack, and in a program with frame pointers the
/// direct caller is never missing.
#[test]
fn a_few_words_repair_what_the_frame_pointers_skip() {
    let program =
        traced::compile("shapes.c", "gcc", &["-O2", "-fno-omit-frame-pointer", "-Wl,-z,lazy"]);
    for what in ["plain", "realigned", "large", "polling"] {
        let traced = Traced::run(&program, what);
        let (mut whole, mut skipped) = (0, 0);
        // What libc does with large frames wants more.
        let own = |sample: &&Sample| traced.chain(sample)[0].0 == ModuleId(1);
        for sample in traced.samples.iter().filter(own) {
            let (truth, _) = traced.unwind(sample, usize::MAX);
            let (found, _) = traced.unwind(sample, 32);
            whole += usize::from(traced.own_names(&truth) == traced.own_names(&found));
            let (truth, found) = (addresses(&truth), addresses(&found));
            let mut rest = truth.iter();
            assert!(found.iter().all(|frame| rest.any(|other| other == frame)), "{what}: invented");
            let chain = traced.chain(sample);
            skipped += usize::from(chain.get(1) != truth.get(1));
            assert_eq!(found.get(1), truth.get(1), "{what}: the direct caller");
        }
        let total = traced.samples.iter().filter(own).count();
        assert!(skipped > 3, "{what}: {skipped} of {total} chains lack the direct caller");
        assert!(whole * 10 >= total * 7, "{what}: {whole} of {total} whole");
    }
}

fn addresses(frames: &[Frame]) -> Vec<(ModuleId, u64)> {
    frames.iter().map(|frame| (frame.module, frame.address)).collect()
}

/// A handler on a stack of its own: what lies below is on another stack, of which nothing was kept.
#[test]
fn a_handler_on_another_stack_ends_where_that_stack_ends() {
    let program = traced::compile("shapes.c", "gcc", &["-O2"]);
    let traced = Traced::run(&program, "elsewhere");
    let mut handled = 0;
    for sample in &traced.samples {
        let (frames, end) = traced.unwind(sample, usize::MAX);
        let names = traced.own_names(&frames);
        if names.contains(&"on_signal".into()) {
            handled += 1;
            assert!(matches!(end, WalkEnd::Stopped(Stop::Interrupted, _)), "{end:?}");
            assert_eq!(names.last().unwrap(), "on_signal", "{}", traced.describe(&frames));
        }
    }
    assert!(handled > 20, "{handled} samples in the handler");
}

/// A coroutine has a stack of its own, that begins with a function of the C library, which nobody called.
#[test]
fn a_coroutine_ends_at_its_own_start() {
    let program = traced::compile("shapes.c", "gcc", &["-O2"]);
    let traced = Traced::run(&program, "resuming");
    let (mut inside, mut switching) = (0, 0);
    for sample in &traced.samples {
        let (frames, end) = traced.unwind(sample, usize::MAX);
        let names = traced.own_names(&frames);
        if names[..] == ["leaf", "inner", "in_coroutine"] {
            inside += 1;
            let found = traced.describe(&frames);
            assert!(matches!(end, WalkEnd::Stopped(Stop::NotCode, _)), "{found} {end:?}");
            assert!(frames.len() == 4 && !frames[3].is_return, "{found}");
        }
        if !names.last().is_some_and(|last| last == "main" || last == "in_coroutine") {
            // While swapcontext loads the registers, the stack is that of neither side.
            switching += 1;
            assert!(end != WalkEnd::Root && traced.describe(&frames).starts_with("swapcontext"));
        }
    }
    assert!(switching < 30, "{switching} instructions of swapcontext");
    assert!(inside > 5, "{inside} instructions of the coroutine");
}

#[test]
fn stacks_are_whole_while_exceptions_pass() {
    let program = traced::compile("exceptions.cc", "g++", &["-O2"]);
    let traced = Traced::run(&program, "all");
    let mut seen = BTreeSet::new();
    for sample in &traced.samples {
        let (frames, end) = traced.unwind(sample, usize::MAX);
        let names = traced.own_names(&frames);
        assert_eq!(end, WalkEnd::Root, "{names:?}");
        if names[0].starts_with("leaf") {
            seen.insert(names.join(" "));
        }
    }
    let cleanups = |depth: usize| {
        let throwing = " throwing(int)".repeat(depth);
        format!("leaf() Guard::~Guard(){throwing} catching(int) main")
    };
    let expected = [cleanups(1), cleanups(2), cleanups(3), "leaf() catching(int) main".into()];
    assert_eq!(seen, BTreeSet::from(expected));
}

/// What a program keeps on its stack is no matter: with every word there the stacks are the same.
#[test]
fn masking_loses_no_frame() {
    for flags in [&["-O2"][..], &["-O2", "-fno-omit-frame-pointer"]] {
        let program = traced::compile("shapes.c", "gcc", flags);
        let (mut samples, mut words, mut kept) = (0, 0, 0);
        for (what, _) in SHAPES {
            let traced = Traced::run(&program, what);
            for sample in &traced.samples {
                let (masked, all) = (traced.slice(sample, usize::MAX), traced.unmasked(sample));
                let (found, end) = traced.unwind_slice(sample, &masked);
                let (truth, true_end) = traced.unwind_slice(sample, &all);
                // While longjmp loads the registers, both stop, each at another word.
                if true_end == WalkEnd::Root || end == WalkEnd::Root {
                    assert_eq!((&found, end), (&truth, true_end), "{what}");
                } else {
                    assert_eq!(what, "jumped", "{}", traced.describe(&truth));
                }
                (samples, words, kept) =
                    (samples + 1, words + all.kept.len(), kept + masked.kept.len());
            }
        }
        println!("{flags:?}: {samples} samples, {kept} of {words} words kept");
        assert!(samples > 5_000 && kept * 3 < words, "{samples}: {kept} of {words} words kept");
    }
}

#[test]
fn samples_hold_no_more_than_production_keeps() {
    let program = traced::compile("shapes.c", "gcc", &["-O2"]);
    let traced = Traced::run(&program, "large");
    let words = |sample: &Sample| traced.slice(sample, usize::MAX).kept.len();
    let kept: usize = traced.samples.iter().map(words).sum();
    let all: usize = traced.samples.iter().map(|sample| sample.words.len()).sum();
    assert!(kept * 4 < all, "{kept} of {all} words were kept");
}
