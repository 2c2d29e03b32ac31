//! Finds what a module says of an address: in Go code its pclntab, which every build has, else the call frame
//! information, `.eh_frame` first, then `.debug_frame`.

use std::sync::{Mutex, OnceLock, PoisonError};

use gimli::{
    BaseAddresses, CieOrFde, DebugFrame, EhFrame, EndianSlice, LittleEndian, UnwindContext,
    UnwindOffset, UnwindSection, Vendor,
};
use profile::Svma;
use rustc_hash::FxHashMap;

use super::{FramePointer, NoRule, Rule, UnwindSections};
use crate::elf::{Elf, Machine};
use crate::go::GoCode;
use crate::span::Span;
use crate::{Error, Files};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Longer descriptions of one function are not run: real ones have some KiB, and a hostile one
/// would be run again for every address.
const MAX_FDE_BYTES: usize = 64 << 10;

/// A program's first instructions need no tables to say that nobody called them: the dynamic linker's,
/// in assembly, have none. On x86-64 they take 61 bytes.
const ENTRY_BYTES: u64 = 64;

/// Where a function's description stands.
#[derive(Clone, Copy, Debug)]
struct FdeRow {
    begin: u64,
    end: u64,
    offset: usize,
}

/// The unwind tables of a module. Several threads may ask one value; asking runs the function's
/// description up to the address, so answers are worth keeping.
pub struct UnwindTables<'d> {
    sections: UnwindSections<'d>,
    /// The module's own file, if it is here, and what is Go's in it.
    image: Option<Elf<'d>>,
    go: OnceLock<GoCode<'d>>,
    bases: BaseAddresses,
    eh_index: OnceLock<Vec<FdeRow>>,
    debug_index: OnceLock<Vec<FdeRow>>,
    context: Mutex<UnwindContext<usize>>,
}

impl<'d> UnwindTables<'d> {
    /// Opens the tables of a module's files. A file without any is no error: then no address has a
    /// rule.
    ///
    /// # Errors
    /// When no file was given, or one is no ELF file that can be read.
    pub fn open(files: Files<'d>) -> Result<Self, Error> {
        let image = files.image.map(Elf::parse).transpose()?;
        let debug = files.debug.map(Elf::parse).transpose()?;
        let files: Vec<&Elf<'d>> = image.iter().chain(&debug).collect();
        if files.is_empty() {
            return Err(Error::NoFile);
        }
        let sections = UnwindSections::of(&files);
        Ok(Self { image, ..Self::new(sections) })
    }

    /// From sections, wherever they came from.
    #[must_use]
    pub fn new(sections: UnwindSections<'d>) -> Self {
        let bases = BaseAddresses::default()
            .set_eh_frame(sections.eh_frame_at.0)
            .set_eh_frame_hdr(sections.eh_frame_hdr_at.0)
            .set_text(sections.text_at.0)
            .set_got(sections.got_at.0);
        Self {
            sections,
            image: None,
            go: OnceLock::new(),
            bases,
            eh_index: OnceLock::new(),
            debug_index: OnceLock::new(),
            context: Mutex::new(UnwindContext::new()),
        }
    }

    /// The rule at an address. Of a return address, ask for the byte before.
    ///
    /// # Errors
    /// When the tables say nothing, or nothing that makes sense.
    pub fn rule(&self, address: Svma) -> Result<Rule, NoRule> {
        self.find(address.0, &mut { Span::ALL })
    }

    /// What a walk along frame pointers finds at an address. Narrows `span` to addresses with the same
    /// answer.
    pub(crate) fn frame_pointer(&self, address: u64, span: &mut Span) -> FramePointer {
        self.find(address, span).map_or(FramePointer::Unknown, |rule| rule.frame_pointer())
    }

    fn find(&self, address: u64, span: &mut Span) -> Result<Rule, NoRule> {
        let sections = &self.sections;
        if let Some(found) = self.in_go(address, span) {
            return found;
        }
        let known = sections.machine.registers().is_some() && sections.address_bytes == 8;
        if !known || (sections.eh_frame.is_empty() && sections.debug_frame.is_empty()) {
            return Err(NoRule::NoTables);
        }
        let vendor = match sections.machine {
            Machine::Aarch64 => Vendor::AArch64,
            _ => Vendor::Default,
        };
        let mut eh = EhFrame::new(&sections.eh_frame, LittleEndian);
        eh.set_address_size(sections.address_bytes);
        eh.set_vendor(vendor);
        let header = HeaderTable::read(&sections.eh_frame_hdr, sections.eh_frame_hdr_at.0);
        let offset = match header {
            Some(table) => table
                .find(address, span)
                .and_then(|fde| usize::try_from(fde.checked_sub(sections.eh_frame_at.0)?).ok()),
            None => find_row(self.eh_index.get_or_init(|| index(&eh, &self.bases)), address, span),
        };
        if let Some(found) = offset.and_then(|offset| self.run(&eh, offset, address, span)) {
            return found;
        }
        let mut debug = DebugFrame::new(&sections.debug_frame, LittleEndian);
        debug.set_address_size(sections.address_bytes);
        debug.set_vendor(vendor);
        let rows = self.debug_index.get_or_init(|| index(&debug, &self.bases));
        if !sections.eh_frame.is_empty() {
            span.narrow_to(address); // where .eh_frame is silent has no border of its own
        }
        let found = find_row(rows, address, span)
            .and_then(|offset| self.run(&debug, offset, address, span));
        let mut found = found.unwrap_or_else(|| {
            if !rows.is_empty() {
                span.narrow_to(address);
            }
            self.not_covered(address, span)
        });
        if let (Ok(rule), true) = (&mut found, sections.is_go) {
            rule.add_frame_pointer_of_go();
        }
        found
    }

    fn in_go(&self, address: u64, span: &mut Span) -> Option<Result<Rule, NoRule>> {
        let open = || self.image.as_ref().map_or(GoCode::None, GoCode::open);
        let GoCode::Table(table) = self.go.get_or_init(open) else { return None };
        span.narrow_to(address);
        table.rule(self.sections.machine, address)
    }

    /// The rule where the tables say nothing.
    fn not_covered(&self, address: u64, span: &mut Span) -> Result<Rule, NoRule> {
        let Svma(entry) = self.sections.entry_at;
        if entry == 0 || address.wrapping_sub(entry) >= ENTRY_BYTES {
            return Err(NoRule::NotCovered);
        }
        span.narrow_to(address);
        Rule::outermost(self.sections.machine).ok_or(NoRule::NoTables)
    }

    /// Runs one function's description up to the address; `None` where it does not cover it.
    fn run<'s, S>(
        &self,
        section: &S,
        offset: usize,
        address: u64,
        span: &mut Span,
    ) -> Option<Result<Rule, NoRule>>
    where
        S: UnwindSection<Slice<'s>>,
        S::Offset: From<usize>,
    {
        let fde = section.fde_from_offset(&self.bases, offset.into(), S::cie_from_offset).ok()?;
        if !fde.contains(address) {
            return None;
        }
        span.narrow(fde.initial_address(), fde.initial_address().saturating_add(fde.len()));
        if fde.entry_len() > MAX_FDE_BYTES || fde.cie().entry_len() > MAX_FDE_BYTES {
            return Some(Err(NoRule::Damaged));
        }
        let mut context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        let row = fde.unwind_info_for_address(section, &self.bases, &mut context, address);
        let rule = row.ok().and_then(|row| {
            span.narrow(row.start_address(), row.end_address());
            Rule::new(
                self.sections.machine,
                address,
                row,
                fde.cie().return_address_register(),
                fde.is_signal_trampoline(),
                |expression| Some(expression.get(section).ok()?.0.slice()),
            )
        });
        if rule.is_none() {
            span.narrow_to(address);
        }
        Some(rule.ok_or(NoRule::Damaged))
    }
}

fn find_row(rows: &[FdeRow], address: u64, span: &mut Span) -> Option<usize> {
    let next = rows.partition_point(|row| row.begin <= address);
    if let Some(row) = rows.get(next) {
        span.narrow(0, row.begin);
    }
    let at = next.checked_sub(1)?;
    Some(&rows[at]).filter(|row| address < row.end).map(|row| row.offset)
}

/// All descriptions by address. A damaged entry ends the walk: its length is not to be trusted.
fn index<'s, S>(section: &S, bases: &BaseAddresses) -> Vec<FdeRow>
where
    S: UnwindSection<Slice<'s>>,
    S::Offset: UnwindOffset<usize> + std::hash::Hash,
{
    let mut rows = Vec::new();
    // Thousands of descriptions share one CIE.
    let mut cies = FxHashMap::default();
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial.parse(|section, bases, offset| {
            if let Some(cie) = cies.get(&offset) {
                return Clone::clone(cie);
            }
            let cie = section.cie_from_offset(bases, offset);
            cies.insert(offset, cie.clone());
            cie
        });
        if let Ok(fde) = fde {
            let begin = fde.initial_address();
            let end = begin.saturating_add(fde.len());
            if begin < end {
                rows.push(FdeRow { begin, end, offset: fde.offset() });
            }
        }
    }
    rows.sort_by_key(|row| row.begin);
    rows
}

/// The search table of `.eh_frame_hdr` in the one encoding that linkers write: pairs of signed
/// 32-bit distances from the section's start, sorted. (LSB Core, section 10.6.2)
struct HeaderTable<'d> {
    rows: &'d [[u8; 8]],
    address: u64,
}

impl<'d> HeaderTable<'d> {
    fn read(bytes: &'d [u8], address: u64) -> Option<Self> {
        // Version 1, any 4-byte pointer to .eh_frame, udata4 count, datarel|sdata4 table.
        let [1, pointer, 0x03, 0x3b, ..] = bytes else { return None };
        if pointer & 0x0f != 0x0b && pointer & 0x0f != 0x03 {
            return None;
        }
        let count = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?) as usize;
        let (rows, _) = bytes.get(12..)?.as_chunks::<8>();
        Some(Self { rows: rows.get(..count).filter(|rows| !rows.is_empty())?, address })
    }

    /// Address of the description whose function begins last at or before `address`.
    fn find(&self, address: u64, span: &mut Span) -> Option<u64> {
        let word = |row: &[u8; 8], at: usize| {
            let [a, b, c, d, e, f, g, h] = *row;
            let bytes = if at == 0 { [a, b, c, d] } else { [e, f, g, h] };
            self.address.wrapping_add_signed(i64::from(i32::from_le_bytes(bytes)))
        };
        let next = self.rows.partition_point(|row| word(row, 0) <= address);
        if let Some(row) = self.rows.get(next) {
            span.narrow(0, word(row, 0));
        }
        Some(word(&self.rows[next.checked_sub(1)?], 1))
    }
}

impl std::fmt::Debug for UnwindTables<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnwindTables")
            .field("machine", &self.sections.machine)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
