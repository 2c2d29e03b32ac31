//! Stacks of a known depth: every sample in `leaf` has DEPTH frames of `descend` below it.
//!
//! Usage: deep [DEPTH] [SECONDS]

use std::hint::black_box;
use std::time::{Duration, Instant};

#[inline(never)]
fn leaf(seed: u64) -> u64 {
    workloads::churn(seed, 2_000_000, 0x9e37_79b9_7f4a_7c15)
}

#[inline(never)]
fn descend(depth: u32, seed: u64) -> u64 {
    if depth == 0 {
        return leaf(seed);
    }
    // Used after the call, so that it is a call and no jump.
    black_box(descend(depth - 1, seed)) ^ u64::from(depth)
}

fn main() {
    let depth = workloads::number_argument(1, 33.0) as u32;
    let end = Instant::now() + Duration::from_secs_f64(workloads::number_argument(2, 10.0));
    let mut seed = 1;
    while Instant::now() < end {
        seed = descend(depth, seed);
    }
    println!("{} cpu_s {:.3}", black_box(seed) & 1, workloads::cpu_time().as_secs_f64());
}
