//! A known split: 70 % of the time in `seventy`, 20 % in `twenty`, 10 % in `ten`.
//!
//! Each turn gives each function its share of the *thread's CPU time*, measured by the thread's own
//! clock, so that the split holds on a noisy machine too.
//!
//! Usage: split [SECONDS]; prints the CPU time it used in each function and in all.

use std::time::{Duration, Instant};

use workloads::{churn, thread_cpu_time};

#[inline(never)]
fn seventy(seed: u64, budget: Duration) -> u64 {
    burn(seed, budget, 0x9e37_79b9_7f4a_7c15)
}

#[inline(never)]
fn twenty(seed: u64, budget: Duration) -> u64 {
    burn(seed, budget, 0xbf58_476d_1ce4_e5b9)
}

#[inline(never)]
fn ten(seed: u64, budget: Duration) -> u64 {
    burn(seed, budget, 0x94d0_49bb_1331_11eb)
}

/// Inlined into each of the three, so that the time is theirs.
#[inline(always)]
fn burn(mut seed: u64, budget: Duration, multiplier: u64) -> u64 {
    let until = thread_cpu_time() + budget;
    while thread_cpu_time() < until {
        seed = churn(seed, 20_000, multiplier);
    }
    seed
}

fn main() {
    let seconds = workloads::number_argument(1, 10.0);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut seed = std::env::args().len() as u64;
    let mut spent = [Duration::ZERO; 3];
    // Turns of 7.3 ms: short against a run, long against one look at the clock, and in no simple ratio to
    // the period of a sampler (5 ms turns beat with 99 Hz, and runs were off by up to 3 points).
    while Instant::now() < end {
        let marks = [
            thread_cpu_time(),
            {
                seed = seventy(seed, Duration::from_micros(5110));
                thread_cpu_time()
            },
            {
                seed = twenty(seed, Duration::from_micros(1460));
                thread_cpu_time()
            },
            {
                seed = ten(seed, Duration::from_micros(730));
                thread_cpu_time()
            },
        ];
        for (total, pair) in spent.iter_mut().zip(marks.windows(2)) {
            *total += pair[1] - pair[0];
        }
    }
    std::hint::black_box(seed);
    let [a, b, c] = spent.map(|d| d.as_secs_f64());
    println!(
        "seventy {a:.3} twenty {b:.3} ten {c:.3} cpu_s {:.3}",
        workloads::cpu_time().as_secs_f64()
    );
}
