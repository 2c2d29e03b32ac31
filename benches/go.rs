//! A Go program's own tables, cold: opened, then asked for random addresses of its code in ascending
//! order, as `analyze` does. The file is in the page cache; nothing of it is mapped or decoded before. Times are
//! CPU time of the one thread that works, so that other load on the machine disturbs little.
//!
//! `cargo bench -p benches --bench go -- PROGRAM [ADDRESSES=60000]`, with any Go program, stripped or
//! not. Stripped ones of 50 to 100 MB are `kubectl`, `terraform` and `hugo`.
#![allow(unsafe_code)] // a file is mapped, as in `analyze`: reading it would be measured as well

use std::fs::File;

use benches::thread_ns;
use profile::{NameSource, Svma};
use symbolize::{Files, Symbols, identify};

const RUNS: usize = 7;

fn main() {
    // `cargo bench` adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let Some(path) = arguments.next() else {
        println!(
            "go: not measured: name a Go program, cargo bench -p benches --bench go -- PROGRAM"
        );
        return;
    };
    let count = arguments.next().map_or(60_000, |n| n.parse().expect("a number of addresses"));
    let addresses = code_addresses(&path, count);
    let mut runs: Vec<(f64, f64)> = (0..RUNS).map(|_| measure(&path, &addresses)).collect();
    runs.sort_by(|a, b| (a.0 + a.1).total_cmp(&(b.0 + b.1)));
    let (open_ms, ask_ms) = runs[RUNS / 2];
    println!(
        "{path}: median of {RUNS}: opened in {open_ms:.1} ms, {} addresses in {ask_ms:.1} ms, \
         together {:.1} ms; fastest {:.1} ms",
        addresses.len(),
        open_ms + ask_ms,
        runs[0].0 + runs[0].1
    );
}

fn map(path: &str) -> memmap2::Mmap {
    let file = File::open(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // SAFETY: a file that somebody changes meanwhile spoils the benchmark, nothing else.
    unsafe { memmap2::Mmap::map(&file) }.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Random addresses that Go's tables name, ascending.
fn code_addresses(path: &str, count: usize) -> Vec<u64> {
    let bytes = map(path);
    let symbols = Symbols::new(Files { image: Some(&bytes), ..Files::default() }).expect("ELF");
    let segments = identify(&bytes).expect("ELF").segments;
    let code = segments.iter().find(|s| s.flags & 1 != 0).expect("a segment of code");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut addresses = Vec::new();
    let mut outside = 0;
    while addresses.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let address = code.svma.0 + state % code.memory_bytes;
        match symbols.lookup(Svma(address)) {
            Ok(frames) if frames[0].source == NameSource::Pclntab => addresses.push(address),
            _ => outside += 1,
        }
        assert!(outside < 20 * count, "{path} has no Go tables, or little Go code");
    }
    addresses.sort_unstable();
    addresses
}

/// Milliseconds to open the program, and for all addresses.
fn measure(path: &str, addresses: &[u64]) -> (f64, f64) {
    let started = thread_ns();
    let bytes = map(path);
    let symbols = Symbols::new(Files { image: Some(&bytes), ..Files::default() }).expect("ELF");
    let first = symbols.lookup(Svma(addresses[0]));
    let opened = thread_ns();
    let frames: usize =
        addresses.iter().map(|a| symbols.lookup(Svma(*a)).map_or(0, |frames| frames.len())).sum();
    let asked = thread_ns();
    std::hint::black_box((first.is_ok(), frames));
    let ms = |from: u64, to: u64| (to - from) as f64 / 1e6;
    (ms(started, opened), ms(opened, asked))
}
