//! Why an archive cannot be written or opened at all. Damage inside one is no error: see
//! [`crate::Damage`].

use std::io;

/// What stops reading or writing altogether.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input could not be read.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// The output could not be written. What was written before stays readable.
    #[error("cannot write the archive after {written_bytes} bytes")]
    Write {
        /// How much had been written; a part of one frame may follow it.
        written_bytes: u64,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An earlier write failed, so nothing further is written: a frame after half a frame would
    /// only be found by searching.
    #[error("the archive is closed since a write failed after {written_bytes} bytes")]
    Poisoned {
        /// How much had been written.
        written_bytes: u64,
    },
    /// `begin_epoch` was called with samples that refer to rows of the old epoch.
    #[error("a new epoch cannot begin with {rows} samples not yet flushed")]
    Unflushed {
        /// Samples pending.
        rows: usize,
    },
    /// Facts or end details do not fit into one frame.
    #[error("the facts of the recording take {bytes} bytes, more than one frame holds")]
    TooLarge {
        /// Serialised size.
        bytes: usize,
    },
    /// The compressor failed, which it does only without memory.
    #[error("cannot compress a block")]
    Compress(#[source] io::Error),
    /// There is nothing to open.
    #[error("the file is empty")]
    Empty,
    /// Neither the start of an archive nor any of its frames.
    #[error("this is not a Flamearc archive")]
    NotAnArchive,
    /// The archive asks for a newer reader.
    #[error(
        "the archive has format {format} and needs a reader of format {oldest_reader} or newer; \
         this one reads format {}: use a newer version of this program",
        crate::FORMAT
    )]
    NewerFormat {
        /// Format of the file.
        format: u16,
        /// Oldest format whose readers may open it.
        oldest_reader: u16,
    },
    /// Every copy of the facts is gone: the file was cut inside its first frames, or is damaged there
    /// and has no end.
    #[error(
        "the archive's opening block is lost: of {file_bytes} bytes nothing can be interpreted"
    )]
    NoFacts {
        /// Size of the file.
        file_bytes: u64,
    },
}
