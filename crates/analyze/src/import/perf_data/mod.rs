//! Reads recordings of `perf record` by writing them as an archive, which then is read like any other.
//!
//! ```text
//! file.rs      what the file says of itself        attribute.rs   which fields its records have
//! records.rs   bytes → records (zstd)              order.rs       by time
//! sample.rs, sideband.rs   a record → its fields   bytes.rs       fields → numbers
//! processes.rs, address_map.rs   who has what mapped   modules.rs   what that is
//! stacks.rs    callchains → paths                  slice.rs       registers and stack → what unwinds
//! rows.rs      what samples need → archive::Writer facts.rs    where, when, of what
//! import.rs    drives all of it, record by record
//! ```
//! So a sample costs memory only until it is written, and everything behind this (unwinding, names,
//! comparisons, what is said of losses) knows one kind of recording.

mod address_map;
mod attribute;
mod bytes;
mod error;
mod facts;
mod file;
mod import;
#[cfg(all(test, feature = "campaign"))]
mod masking_campaign;
mod modules;
mod order;
mod processes;
mod records;
mod rows;
mod sample;
mod sideband;
mod slice;
mod stacks;

use std::io::{Read, Seek, SeekFrom};

use archive::Archive;
use tempfile::{SpooledData, SpooledTempFile, spooled_tempfile};

pub use error::PerfDataError;

use file::{About, Data, is_pipe};
use import::Import;

/// Recordings that take less as an archive stay in memory.
const IN_MEMORY_BYTES: usize = 64 << 20;

/// A recording as an archive.
pub(super) struct Imported {
    pub(super) archive: Archive,
    /// What could not be read of it, a sentence each.
    pub(super) statements: Vec<String>,
}

/// Whether an input begins as one of perf's.
pub(super) fn is_perf_data(head: &[u8]) -> bool {
    head.starts_with(&file::MAGIC) || head.starts_with(&file::SWAPPED_MAGIC)
}

/// Whether an input begins as perf writes into a pipe: then it need not be sought in.
pub(super) fn is_perf_pipe(head: &[u8]) -> bool {
    is_pipe(head)
}

/// Imports a file, which may have been written as a pipe.
///
/// # Errors
/// When nothing of it can be read.
pub(super) fn import_file<R: Read + Seek>(mut input: R) -> Result<Imported, PerfDataError> {
    let mut head = [0; 16];
    let read = input.read(&mut head).map_err(PerfDataError::Read)?;
    input.seek(SeekFrom::Start(0)).map_err(PerfDataError::Read)?;
    if is_pipe(&head[..read]) {
        return import_pipe(input);
    }
    let (about, data) = file::open_file(&mut input)?;
    import(input, about, data)
}

/// Imports what `perf record -o -` writes, to its end.
///
/// # Errors
/// As [`import_file`].
pub(super) fn import_pipe(mut input: impl Read) -> Result<Imported, PerfDataError> {
    let (about, data) = file::open_pipe(&mut input)?;
    import(input, about, data)
}

fn import(input: impl Read, about: About, data: Data) -> Result<Imported, PerfDataError> {
    let out = spooled_tempfile(IN_MEMORY_BYTES);
    let (out, statements) = Import::run(input, about, data, out)?;
    let archive = reopen(out)?;
    Ok(Imported { archive, statements })
}

fn reopen(out: SpooledTempFile) -> Result<Archive, PerfDataError> {
    match out.into_inner() {
        SpooledData::InMemory(bytes) => Archive::from_bytes(bytes.into_inner()),
        SpooledData::OnDisk(file) => Archive::open(file),
    }
    .map_err(PerfDataError::Keep)
}
