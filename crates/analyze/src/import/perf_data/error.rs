//! Why a perf.data file cannot be read at all. What is merely missing of one is said in the summary.

use std::io;

/// What stops reading altogether.
#[derive(Debug, thiserror::Error)]
pub enum PerfDataError {
    /// The input could not be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// What was read could not be kept.
    #[error("cannot keep what was read in a temporary file (set TMPDIR to a place with room)")]
    Keep(#[source] archive::Error),
    /// No temporary file could be made.
    #[error("cannot make a temporary file (set TMPDIR to a place with room)")]
    Temporary(#[source] io::Error),
    /// The header does not describe a recording.
    #[error("its header is cut off or damaged ({0})")]
    Header(&'static str),
    /// Recorded on a machine of the other byte order.
    #[error("it was recorded on a big-endian machine, which is not supported")]
    BigEndian,
    /// Records do not say which event they are of.
    #[error("its {events} events cannot be told apart (record with --sample-identifier)")]
    Indistinct {
        /// How many.
        events: usize,
    },
}
