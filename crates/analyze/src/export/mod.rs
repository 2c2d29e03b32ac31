//! Outputs that other tools read.

pub mod pprof;
