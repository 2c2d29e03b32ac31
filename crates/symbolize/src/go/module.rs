//! Where Go's code is: the text base that the function table's offsets count from.
//!
//! It is not `.text`: with C code linked in, the C start-up code comes first (measured with Go
//! 1.26: `.text` at 0x402300, Go's text at 0x402400), and tools that guessed shipped wrong names
//! for a year (opentelemetry-ebpf-profiler issues 1032, 1145, 1146). In order of trust: the
//! runtime's moduledata, the symbol `runtime.text`, the header unless it says 0; else there is no
//! answer.

use super::pclntab::Pclntab;
use crate::elf::Elf;
use crate::symbol_table;

/// Go code in a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CodeRange {
    /// What offsets count from (0 for tables with addresses).
    pub text: u64,
    pub first: u64,
    pub end: u64,
}

/// Fields of the runtime's `moduledata` by their 8-byte word, the same from Go 1.16 to 1.27.
mod field {
    pub const NAMES: u64 = 1;
    pub const FUNCTIONS: u64 = 13;
    pub const FUNCTION_COUNT: u64 = 17;
    pub const MIN_PC: u64 = 20;
    pub const MAX_PC: u64 = 21;
    pub const TEXT: u64 = 22;
}

/// Where the code described by the pclntab at `address` is; `None` when that cannot be known, or
/// sources contradict each other.
pub(super) fn code_range(elf: &Elf<'_>, pclntab: &Pclntab<'_>, address: u64) -> Option<CodeRange> {
    let words = Words::read(elf);
    if let Some(module) = find_moduledata(elf, &words, pclntab, address) {
        let text = if pclntab.is_absolute() { 0 } else { words.at(module + 8 * field::TEXT)? };
        let first = words.at(module + 8 * field::MIN_PC)?;
        let end = words.at(module + 8 * field::MAX_PC)?;
        return checked(pclntab, text, Some((first, end)));
    }
    if pclntab.is_absolute() {
        return checked(pclntab, 0, None);
    }
    let stated = || pclntab.text_start.and_then(|_| words.at(address + 24)).filter(|t| *t != 0);
    let text = symbol_table::address_of(elf, b"runtime.text").or_else(stated)?;
    checked(pclntab, text, None)
}

fn checked(pclntab: &Pclntab<'_>, text: u64, range: Option<(u64, u64)>) -> Option<CodeRange> {
    let first = text.checked_add(pclntab.first())?;
    let end = text.checked_add(pclntab.end())?;
    let (stated_first, stated_end) = range.unwrap_or((first, end));
    let fits = first == stated_first && end >= stated_end;
    (fits && first < stated_end).then_some(CodeRange { text, first, end: stated_end })
}

/// Since Go 1.26 it has a section of its own. Before, it is where an aligned word holds the
/// pclntab's address and the slices behind it point to the pclntab's parts.
fn find_moduledata(
    elf: &Elf<'_>,
    words: &Words<'_, '_>,
    pclntab: &Pclntab<'_>,
    address: u64,
) -> Option<u64> {
    let is_it = |at: &u64| {
        let word = |index: u64| words.at(at.checked_add(8 * index)?);
        word(0) == Some(address)
            && word(field::NAMES) == address.checked_add(pclntab.names_at)
            && word(field::FUNCTIONS) == address.checked_add(pclntab.functions_at)
            && word(field::FUNCTION_COUNT) == Some(pclntab.len() as u64 + 1)
    };
    if let Some(section) = elf.section(b".go.module")
        && is_it(&section.address)
    {
        return Some(section.address);
    }
    words.holding(address).find(is_it)
}

/// Words of the file's data as the loader would leave them: an external linker leaves zeros where
/// a relative relocation says what to write, Go's own also writes the value.
struct Words<'e, 'd> {
    elf: &'e Elf<'d>,
    /// (address, value), by address.
    relocated: Vec<(u64, u64)>,
}

impl<'e, 'd> Words<'e, 'd> {
    fn read(elf: &'e Elf<'d>) -> Self {
        let mut relocated: Vec<(u64, u64)> = elf.relative_relocations().collect();
        relocated.sort_unstable();
        Self { elf, relocated }
    }

    fn at(&self, address: u64) -> Option<u64> {
        if let Ok(found) = self.relocated.binary_search_by_key(&address, |(at, _)| *at) {
            return Some(self.relocated[found].1);
        }
        let bytes = self.elf.bytes_at(address)?.get(..8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Where a word of that value stands, outside code.
    fn holding(&self, value: u64) -> impl Iterator<Item = u64> + '_ {
        let relocated =
            self.relocated.iter().filter(move |(_, v)| *v == value).map(|(address, _)| *address);
        let in_place = self.elf.segments.iter().filter(|s| s.flags & 1 == 0).flat_map(move |s| {
            let bytes = self.elf.bytes_at(s.svma.0).unwrap_or_default();
            let misaligned = (s.svma.0.wrapping_neg() & 7) as usize;
            let (words, _) = bytes.get(misaligned..).unwrap_or_default().as_chunks::<8>();
            let start = s.svma.0.wrapping_add(misaligned as u64);
            let hits =
                words.iter().zip(0u64..).filter(move |(w, _)| u64::from_le_bytes(**w) == value);
            hits.map(move |(_, index)| start.wrapping_add(8 * index))
        });
        relocated.chain(in_place)
    }
}
