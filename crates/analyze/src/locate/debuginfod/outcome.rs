//! What became of a file that was wanted.

use super::Wanted;

/// A file that was wanted, and whether it is there now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchOutcome {
    /// What was asked for.
    pub wanted: Wanted,
    /// Where it came from, or why it did not.
    pub result: Result<Origin, NotFetched>,
}

/// Where a file came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It was fetched before, by this program or another.
    Cache,
    /// A server sent it.
    Server {
        /// Its address, without credentials.
        server: String,
        /// Size of the file.
        bytes: u64,
    },
}

/// Why a file did not come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotFetched {
    /// No server has it (now, or when it was last asked).
    Absent,
    /// It could not be had: each server with its reason, except those that do not have it.
    Failed(Vec<(String, Reason)>),
    /// The cache could not be written, so that nothing was asked.
    NotKept(String),
}

/// Why one server gave no file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reason {
    /// It does not have it.
    #[error("does not have it")]
    Absent,
    /// No connection within the time for it.
    #[error("cannot be reached ({0})")]
    Unreachable(String),
    /// It failed so that it was not asked again.
    #[error("was not asked again")]
    GivenUp,
    /// It connected and then said nothing.
    #[error("said nothing for {0} s")]
    Silent(u64),
    /// It sends so little that it would take for ever.
    #[error("sends less than 100 KiB in {0} s")]
    TooSlow(u64),
    /// The file takes longer than is waited for.
    #[error("takes longer than {0} s for one file")]
    TooLong(u64),
    /// Another HTTP status than "there it is" and "not here".
    #[error("answered with status {0}")]
    Status(u16),
    /// It wants to be asked elsewhere, where we do not go.
    #[error("redirects {0}, which is not followed")]
    Redirect(&'static str),
    /// Its name means an address of the local link only.
    #[error("has a link-local address, which is not asked")]
    LinkLocal,
    /// More than is taken of one file.
    #[error("sends more than {} MiB", .0 >> 20)]
    TooLarge(u64),
    /// It does not say how much it sends, so that nobody could see that something is missing.
    #[error("does not state a length")]
    NoLength,
    /// It stopped in the middle, or spoke no HTTP.
    #[error("broke off ({0})")]
    BrokeOff(String),
    /// What it sent could not be written.
    #[error("sent what could not be written ({0})")]
    NotWritten(String),
    /// What came is another build, or no program at all.
    #[error("sent something else than was asked for")]
    OtherBuild,
}

impl Reason {
    /// Whether asking the server for another file would only cost the same again.
    pub(super) fn ends_asking(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Silent(_) | Self::TooSlow(_) | Self::LinkLocal)
    }
}
