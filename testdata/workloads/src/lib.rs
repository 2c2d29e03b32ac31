//! Small programs to record, whose truth is known by construction. One binary each in `src/bin`;
//! the first lines of each say what a profile of it must show.
//!
//! They are built with frame pointers (`cargo xtask` passes `-C force-frame-pointers=yes`), like
//! the programs of people who profile in production.

#![allow(unsafe_code)] // clock and rusage calls of libc

use std::time::Duration;

/// CPU time (user and system) used by this process and the children it has waited for.
#[must_use]
pub fn cpu_time() -> Duration {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN].into_iter().map(rusage).sum()
}

fn rusage(who: i32) -> Duration {
    // SAFETY: rusage is plain data, for which zeros are a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a live rusage that the kernel fills.
    let status = unsafe { libc::getrusage(who, &raw mut usage) };
    assert_eq!(status, 0, "getrusage cannot fail for these arguments");
    [usage.ru_utime, usage.ru_stime]
        .into_iter()
        .map(|t| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000))
        .sum()
}

/// CPU time of the calling thread.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec that the kernel fills.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "every Linux has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Work that the optimizer cannot remove and that makes no calls.
#[inline(always)]
#[must_use]
pub fn churn(mut state: u64, rounds: u64, multiplier: u64) -> u64 {
    for _ in 0..rounds {
        state = std::hint::black_box(state.wrapping_mul(multiplier).rotate_left(17) ^ rounds);
    }
    state
}

/// The number at `index` of the command line, or `default` where there is none.
///
/// # Panics
/// When there is one that is not a number.
#[must_use]
pub fn number_argument(index: usize, default: f64) -> f64 {
    std::env::args().nth(index).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("argument {index} is not a number: {text}"))
    })
}
