//! From (module bytes, address in the file) to inlined frames, or the reason why not.
//!
//! The crate takes bytes: it opens no file, asks no network and knows no archive. Whoever calls it
//! finds a module's files, checks that they belong together ([`identify`]) and asks ([`Symbols`]):
//!
//! ```no_run
//! use profile::Svma;
//! use symbolize::{Files, Symbols};
//! let image = std::fs::read("/usr/bin/env").unwrap();
//! let symbols = Symbols::new(Files { image: Some(&image), ..Files::default() }).unwrap();
//! match symbols.lookup(Svma(0x4321)) {
//!     Ok(frames) => frames.iter().for_each(|f| println!("{}", f.name)),
//!     Err(why) => println!("no name: {}", why.describe()),
//! }
//! ```
//!
//! Every input is hostile: nothing panics, allocations are bounded by the bytes that are there,
//! recursion is capped. The same address gets the same answer in whatever order addresses are asked.

mod cpp;
mod demangle;
mod dwarf;
mod elf;
mod error;
mod filling;
mod frame;
mod go;
mod identity;
mod mini_debug_info;
mod plt;
mod ranges;
mod sections;
mod span;
mod symbol_table;
mod symbols;
mod table;
pub mod unwind;

pub use demangle::demangle;
pub use elf::Machine;
pub use error::Error;
pub use frame::{Found, SourceFrame};
pub use identity::{AltLink, DebugLink, Identity, identify};
pub use symbols::{Files, Symbols};
pub use table::{DECODER_VERSION, OpenError, Table, TableBuilder};
pub use unwind::FramePointer;
