//! A table of 60,000 answers: how long it takes to make, open and ask, and its size.
//!
//!     cargo bench -p benches --bench symbol_table -- FILE
//!
//! FILE is an ELF file with names, best a vmlinux with debug information.

use std::hint::black_box;
use std::time::{Duration, Instant};

use profile::{Segment, Svma};
use symbolize::{Files, Symbols, Table, TableBuilder, identify};

const ADDRESSES: usize = 60_000;
const ROUNDS: usize = 15;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [path] = &arguments[..] else {
        println!(
            "symbol_table: left out, it needs a file: cargo bench --bench symbol_table -- FILE"
        );
        return;
    };
    let bytes = std::fs::read(path).expect("a file");
    let segments = identify(&bytes).expect("an ELF file").segments;
    let random = random_addresses(&segments);
    let mut ascending = random.clone();
    ascending.sort_unstable();
    ascending.dedup();

    let symbols = Symbols::new(Files { image: Some(&bytes), ..Files::default() }).expect("names");
    let cold = Instant::now();
    let answers: Vec<_> = ascending.iter().map(|at| (*at, symbols.lookup_range(*at))).collect();
    println!("{:>9.1} ms  {} look-ups in the file", ms(cold.elapsed()), answers.len());
    let frame_pointers: Vec<_> =
        ascending.iter().map(|at| (*at, symbols.frame_pointer_range(*at))).collect();

    let make = |frame_pointers: &[(Svma, _)]| {
        let mut builder = TableBuilder::default();
        answers.iter().for_each(|(at, found)| builder.add_names(*at, found));
        for (at, (answer, extent)) in frame_pointers {
            builder.add_frame_pointer(*at, *answer, std::ops::Range::clone(extent));
        }
        builder.finish(b"bench").expect("a table")
    };
    let table = make(&frame_pointers);
    println!("{:>9} bytes with frame pointers, {} without", table.len(), make(&[]).len());
    show("making it", || make(&frame_pointers));
    show("opening it", || Table::open(&table).expect("a table"));
    show("adding nothing to it", || {
        let open = Table::open(&table).expect("a table");
        TableBuilder::with(&open).finish(b"bench").expect("a table")
    });
    for (order, addresses) in [("ascending", &ascending), ("random", &random)] {
        show(&format!("opening it and {ADDRESSES} look-ups, {order}"), || {
            let table = Table::open(&table).expect("a table");
            for at in addresses {
                black_box(table.lookup(*at).expect("an answer"));
            }
        });
    }
    let open = Table::open(&table).expect("a table");
    for (at, found) in &answers {
        assert_eq!(open.lookup(*at).expect("an answer").names, found.names);
    }
}

/// In the executable segments, the same ones in every run.
fn random_addresses(segments: &[Segment]) -> Vec<Svma> {
    let code: Vec<&Segment> =
        segments.iter().filter(|s| s.flags & Segment::EXECUTE != 0 && s.file_bytes > 0).collect();
    let total: u64 = code.iter().map(|s| s.file_bytes).sum();
    assert!(total > 0, "a file with code");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut at = (state >> 16) % total;
        for segment in &code {
            if at < segment.file_bytes {
                return Svma(segment.svma.0 + at);
            }
            at -= segment.file_bytes;
        }
        unreachable!("below the total");
    };
    (0..ADDRESSES).map(|_| draw()).collect()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Prints the median.
fn show<T>(what: &str, run: impl Fn() -> T) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("{:>9.2} ms  {what}", ms(times[ROUNDS / 2]));
}
