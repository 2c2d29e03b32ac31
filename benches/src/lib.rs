//! Benchmarks of the budgets: one file beside the manifest for each, run with `cargo bench -p benches`.

/// Nanoseconds that this thread ran (Linux, CONFIG_SCHED_INFO): unlike time, not disturbed by others.
#[must_use]
pub fn thread_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number")
}
