//! Outputs that other tools read, and people elsewhere.

pub mod csv;
pub mod json;
pub mod markdown;
pub mod pprof;
