//! Answers of look-ups as one flat block of bytes, to be kept in a file and mapped again.
//!
//! A table holds what was asked of one module, not the module: for each stretch of addresses the
//! functions there (or why there are none) and, apart from it, what the frame pointer is. Whoever
//! keeps it gives it a key, the identity of the files that the answers came from.
//!
//! ```text
//! header         magic, version, checksum of all that follows, number of rows of each section
//! key            bytes of the keeper's own
//! names          starts u64 ascending │ (length u32, answer u32): a call, or a reason
//! frame_pointers starts u64 ascending │ (length u32, answer u32)
//! calls          (function, file, line, the call it is in): ranges share their outer calls
//! functions      (name, raw name, start line, source and whether inlined)
//! strings        ends u32 │ text
//! ```
//!
//! All numbers are little-endian, nothing is aligned. A table is as hostile as any other file:
//! one that contradicts itself has no answers, and the module's files are asked.

mod builder;
mod codes;
mod layout;
mod reader;

pub use builder::TableBuilder;
pub use reader::{OpenError, Table};

/// Counts up whenever an answer of [`crate::Symbols`], or how it is stored, changes: tables of
/// another version are not read. (`tests/files/decoder_version.rs` notices most changes.)
pub const DECODER_VERSION: u32 = 4;

/// Functions at one address; answers with more are not stored. DWARF's are cut at 255.
const MAX_FRAMES: usize = 256;
