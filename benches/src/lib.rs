//! Benchmarks of the budgets: one file beside the manifest for each, run with `cargo bench -p benches`.

/// Nanoseconds that this thread ran (Linux, CONFIG_SCHED_INFO): unlike time, not disturbed by others.
#[must_use]
pub fn thread_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number")
}

/// Numbers that only look random: the same in every run.
#[derive(Debug)]
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one, below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
