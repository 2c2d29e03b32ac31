//! Outputs that other tools read, and people elsewhere.

pub mod csv;
pub mod html;
pub mod json;
pub mod markdown;
pub mod pprof;
