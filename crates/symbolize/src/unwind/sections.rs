//! A module's call frame information, wherever it stands.

use std::borrow::Cow;

use profile::Svma;

use crate::elf::{Elf, Machine};
use crate::sections::{self, InflateBudget};

/// The sections that unwinding needs, each with the address that its relative pointers count from.
/// Empty ones are absent.
#[derive(Clone, Debug)]
pub struct UnwindSections<'d> {
    /// Whose registers they speak of.
    pub machine: Machine,
    /// Bytes of an address: 8, or 4 in 32-bit files.
    pub address_bytes: u8,
    /// `.eh_frame`.
    pub eh_frame: Cow<'d, [u8]>,
    /// Where it stands.
    pub eh_frame_at: Svma,
    /// `.eh_frame_hdr`.
    pub eh_frame_hdr: Cow<'d, [u8]>,
    /// Where it stands.
    pub eh_frame_hdr_at: Svma,
    /// `.debug_frame`.
    pub debug_frame: Cow<'d, [u8]>,
    /// Where `.text` begins.
    pub text_at: Svma,
    /// Where `.got` begins.
    pub got_at: Svma,
    /// Where the program begins; 0 in libraries.
    pub entry_at: Svma,
    /// `.debug_frame` is of Go's compiler.
    pub is_go: bool,
}

impl<'d> UnwindSections<'d> {
    /// `.eh_frame` is in the module's own file, `.debug_frame` in either.
    pub(crate) fn of(files: &[&Elf<'d>]) -> Self {
        let with_eh = files.iter().find(|e| !e.section_bytes(b".eh_frame").is_empty());
        let address = |name: &[u8]| {
            let file = with_eh.or(files.first());
            Svma(file.and_then(|e| e.section(name)).map_or(0, |s| s.address))
        };
        let bytes = |name: &[u8]| Cow::Borrowed(with_eh.map_or(&[][..], |e| e.section_bytes(name)));
        let debug_frame = files.iter().find_map(|elf| {
            let mut budget = InflateBudget::for_file(elf.bytes);
            sections::content(elf, ".debug_frame", &mut budget).filter(|b| !b.is_empty())
        });
        Self {
            machine: files.first().map_or(Machine::Other(0), |e| e.machine),
            address_bytes: if files.first().is_some_and(|e| e.is_64) { 8 } else { 4 },
            eh_frame: bytes(b".eh_frame"),
            eh_frame_at: address(b".eh_frame"),
            eh_frame_hdr: bytes(b".eh_frame_hdr"),
            eh_frame_hdr_at: address(b".eh_frame_hdr"),
            debug_frame: debug_frame.unwrap_or_default(),
            text_at: address(b".text"),
            got_at: address(b".got"),
            entry_at: Svma(files.first().map_or(0, |elf| elf.entry)),
            is_go: files.iter().any(|elf| elf.section(b".note.go.buildid").is_some()),
        }
    }
}
