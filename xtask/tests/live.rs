//! End to end: the built programs record real processes with real eBPF, and what `analyze` says is
//! held against what is known by construction. Needs root and the programs that
//! `cargo xtask test` builds; without them these tests fail, they do not pass.

#![cfg(feature = "live")]

mod live {
    mod accounting;
    mod embedded;
    mod goroutines;
    mod interrupted;
    mod languages;
    mod names;
    mod recording;
    mod stacks;
    mod verdicts;
}
