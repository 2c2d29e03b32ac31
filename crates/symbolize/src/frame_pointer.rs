//! Whether the frame pointer is a function's own at an address, from call frame information.
//!
//! A walk along frame pointers skips the direct caller of code that has not (yet, or any more, or
//! at all) made the frame pointer its own. Unwind tables know where that is.

use std::borrow::Cow;
use std::sync::{Mutex, OnceLock, PoisonError};

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EhFrame, EndianSlice, LittleEndian, Register,
    RegisterRule, UnwindContext, UnwindOffset, UnwindSection,
};
use rustc_hash::FxHashMap;

use crate::elf::{Elf, Machine};
use crate::sections::{self, InflateBudget};
use crate::span::Span;

/// What a walk along frame pointers finds at an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FramePointer {
    /// The function's own: the walk's next frame is its direct caller.
    Set,
    /// Still or again the caller's, or used for something else: the direct caller is skipped.
    NotSet,
    /// There is no caller: the stack ends here.
    Outermost,
    /// The file does not say.
    Unknown,
}

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Longer descriptions of one function are not run: real ones have some KiB, and a hostile one
/// would be run again for every address.
const MAX_FDE_BYTES: usize = 64 << 10;

/// `DW_OP_breg6 0`: saved where the frame pointer points. GCC writes this in functions that align
/// their stack.
const AT_RBP: [u8; 2] = [0x76, 0];

/// Where a function's description stands.
#[derive(Clone, Copy, Debug)]
struct FdeRow {
    begin: u64,
    end: u64,
    offset: usize,
}

/// The unwind tables of a module.
pub(crate) struct UnwindRules<'d> {
    machine: Machine,
    address_bytes: u8,
    bases: BaseAddresses,
    eh_frame: &'d [u8],
    eh_frame_at: u64,
    header: Option<HeaderTable<'d>>,
    eh_index: OnceLock<Vec<FdeRow>>,
    debug_frame: Cow<'d, [u8]>,
    debug_index: OnceLock<Vec<FdeRow>>,
    context: Mutex<UnwindContext<usize>>,
}

impl<'d> UnwindRules<'d> {
    /// `.eh_frame` is in the module's own file, `.debug_frame` in either.
    pub fn read(files: &[&Elf<'d>]) -> Self {
        let with_eh = files.iter().find(|e| !e.section_bytes(b".eh_frame").is_empty());
        let address = |name: &[u8]| {
            with_eh.or(files.first()).and_then(|e| e.section(name)).map_or(0, |s| s.address)
        };
        let debug_frame = files.iter().find_map(|elf| {
            let mut budget = InflateBudget::for_file(elf.bytes);
            sections::content(elf, ".debug_frame", &mut budget).filter(|b| !b.is_empty())
        });
        let header_at = address(b".eh_frame_hdr");
        Self {
            machine: files.first().map_or(Machine::Other(0), |e| e.machine),
            address_bytes: if files.first().is_some_and(|e| e.is_64) { 8 } else { 4 },
            bases: BaseAddresses::default()
                .set_eh_frame(address(b".eh_frame"))
                .set_eh_frame_hdr(header_at)
                .set_text(address(b".text"))
                .set_got(address(b".got")),
            eh_frame: with_eh.map_or(&[], |e| e.section_bytes(b".eh_frame")),
            eh_frame_at: address(b".eh_frame"),
            header: with_eh
                .and_then(|e| HeaderTable::read(e.section_bytes(b".eh_frame_hdr"), header_at)),
            eh_index: OnceLock::new(),
            debug_frame: debug_frame.unwrap_or_default(),
            debug_index: OnceLock::new(),
            context: Mutex::new(UnwindContext::new()),
        }
    }

    /// Narrows `span` to addresses with the same answer.
    pub fn frame_pointer(&self, address: u64, span: &mut Span) -> FramePointer {
        let mut eh = EhFrame::new(self.eh_frame, LittleEndian);
        eh.set_address_size(self.address_bytes);
        let offset = match &self.header {
            Some(table) => table
                .find(address, span)
                .and_then(|fde| usize::try_from(fde.checked_sub(self.eh_frame_at)?).ok()),
            None => find_row(self.eh_index.get_or_init(|| index(&eh, &self.bases)), address, span),
        };
        if let Some(found) = offset.and_then(|offset| self.run(&eh, offset, address, span)) {
            return found;
        }
        let mut debug = DebugFrame::new(&self.debug_frame, LittleEndian);
        debug.set_address_size(self.address_bytes);
        let rows = self.debug_index.get_or_init(|| index(&debug, &self.bases));
        if !self.eh_frame.is_empty() {
            span.narrow_to(address); // where .eh_frame is silent has no border of its own
        }
        let found = find_row(rows, address, span)
            .and_then(|offset| self.run(&debug, offset, address, span));
        found.unwrap_or_else(|| {
            if !rows.is_empty() {
                span.narrow_to(address);
            }
            FramePointer::Unknown
        })
    }

    /// Runs one function's description up to the address; `None` where it does not cover it.
    fn run<'s, S>(
        &self,
        section: &S,
        offset: usize,
        address: u64,
        span: &mut Span,
    ) -> Option<FramePointer>
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
            return Some(FramePointer::Unknown);
        }
        let mut context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(row) = fde.unwind_info_for_address(section, &self.bases, &mut context, address)
        else {
            span.narrow_to(address);
            return Some(FramePointer::Unknown);
        };
        span.narrow(row.start_address(), row.end_address());
        let return_address = row.register(fde.cie().return_address_register());
        if return_address == Some(RegisterRule::Undefined) {
            return Some(FramePointer::Outermost);
        }
        Some(match self.machine {
            Machine::X86_64 => {
                let saved = match row.register(Register(6)) {
                    Some(RegisterRule::Offset(at)) => {
                        at == -16 && cfa_register(row.cfa()) == Some(6)
                    }
                    Some(RegisterRule::Expression(at)) => {
                        at.get(section).is_ok_and(|e| e.0.slice() == AT_RBP)
                    }
                    _ => false,
                };
                if saved { FramePointer::Set } else { FramePointer::NotSet }
            }
            // Compilers save x29 and x30 side by side and point x29 there with the next
            // instruction, while the CFA often stays relative to sp.
            Machine::Aarch64 => match (row.register(Register(29)), return_address) {
                (Some(RegisterRule::Offset(fp)), Some(RegisterRule::Offset(lr)))
                    if fp.checked_add(8) == Some(lr) =>
                {
                    FramePointer::Set
                }
                _ => FramePointer::NotSet,
            },
            Machine::Other(_) => FramePointer::Unknown,
        })
    }
}

fn cfa_register(cfa: &CfaRule<usize>) -> Option<u16> {
    match cfa {
        CfaRule::RegisterAndOffset { register, .. } => Some(register.0),
        CfaRule::Expression(_) => None,
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

impl std::fmt::Debug for UnwindRules<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnwindRules").field("machine", &self.machine).finish_non_exhaustive()
    }
}
