//! Benchmarks of the budgets: one file beside the manifest for each, run with `cargo bench -p benches`.
