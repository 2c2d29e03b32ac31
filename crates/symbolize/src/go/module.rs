//! Where Go's code is: the text base that the function table's offsets count from.
//!
//! It is not `.text`: with C code linked in, the C start-up code comes first (measured with Go
//! 1.26: `.text` at 0x402300, Go's text at 0x402400), and tools that guessed shipped wrong names
//! for a year (opentelemetry-ebpf-profiler issues 1032, 1145, 1146). In order of trust: the
//! runtime's moduledata, the symbol `runtime.text`, the header unless it says 0; else there is no
//! answer.
//!
//! Programs whose text has several sections (none on x86-64 and 64-bit ARM so far) count offsets
//! without the gaps between them. Theirs do not end where the moduledata says that code ends, and
//! are refused.

use super::memory::Memory;
use super::pclntab::{Layout, Pclntab};
use crate::elf::Elf;
use crate::symbol_table;

/// Go code in a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Module {
    /// What offsets count from (0 for tables with addresses).
    pub text: u64,
    pub first: u64,
    pub end: u64,
    /// What offsets of FUNCDATA count from, where they are no addresses.
    pub funcdata: Option<u64>,
}

/// Fields of the runtime's `moduledata` by their 8-byte word, the same from Go 1.16 to 1.27.
mod field {
    pub const NAMES: u64 = 1;
    pub const FUNCTIONS: u64 = 13;
    pub const FUNCTION_COUNT: u64 = 17;
    pub const MIN_PC: u64 = 20;
    pub const MAX_PC: u64 = 21;
    pub const TEXT: u64 = 22;
    /// In Go 1.18 and 1.19.
    pub const FUNCDATA_GO118: u64 = 38;
    /// From Go 1.20 to 1.25. (Later ones: [`funcdata_go120`].)
    pub const FUNCDATA_GO120: u64 = 40;
}

/// Of FUNCDATA.
const MAX_ALIGNMENT: u64 = 64;

/// What is known of the module described by a pclntab; `None` when its text base cannot be known, or
/// sources contradict each other.
pub(super) fn read(elf: &Elf<'_>, memory: &Memory<'_>, pclntab: &Pclntab<'_>) -> Option<Module> {
    let moduledata = find_moduledata(elf, memory, pclntab);
    let field = |index: u64| memory.word(moduledata?.checked_add(8 * index)?);
    let text = if pclntab.is_absolute() {
        0
    } else if moduledata.is_some() {
        field(field::TEXT)?
    } else {
        symbol_table::address_of(elf, b"runtime.text")
            .or_else(|| pclntab.stated_text().filter(|text| *text != 0))?
    };
    let first = text.checked_add(pclntab.first())?;
    let end = text.checked_add(pclntab.end())?;
    let stated = (field(field::MIN_PC), field(field::MAX_PC));
    if first >= end || moduledata.is_some() && stated != (Some(first), Some(end)) {
        return None;
    }
    let funcdata = match pclntab.layout {
        Layout::Go116 => None,
        Layout::Go118 => field(field::FUNCDATA_GO118),
        Layout::Go120 => funcdata_go120(pclntab, field),
    };
    Some(Module { text, first, end, funcdata })
}

/// Since Go 1.26 the data stand behind the function records, aligned as the program's data need (more
/// than 8 bytes in some builds), and the moduledata says so, not always in the same word. Those
/// releases no longer state the text base in the header.
fn funcdata_go120(pclntab: &Pclntab<'_>, field: impl Fn(u64) -> Option<u64>) -> Option<u64> {
    let end = pclntab.functions().next_back()?.record_end()?;
    let behind = pclntab.address.checked_add(end)?;
    let is_next = |at: &u64| at.checked_sub(behind).is_some_and(|gap| gap < MAX_ALIGNMENT);
    let mut words = (field::FUNCDATA_GO120..field::FUNCDATA_GO120 + 16).filter_map(&field);
    if let Some(at) = words.find(is_next) {
        return Some(at);
    }
    pclntab.stated_text().filter(|text| *text != 0)?;
    field(field::FUNCDATA_GO120)
}
/// Since Go 1.26 it has a section of its own. Before, it is where an aligned word holds the
/// pclntab's address and the slices behind it point to the pclntab's parts.
fn find_moduledata(elf: &Elf<'_>, memory: &Memory<'_>, pclntab: &Pclntab<'_>) -> Option<u64> {
    let is_it = |at: &u64| {
        let word = |index: u64| memory.word(at.checked_add(8 * index)?);
        let part = |offset: u64| pclntab.address.checked_add(offset);
        word(0) == Some(pclntab.address)
            && word(field::NAMES) == part(pclntab.names_at)
            && word(field::FUNCTIONS) == part(pclntab.functions_at)
            && word(field::FUNCTION_COUNT) == Some(pclntab.len() as u64 + 1)
    };
    if let Some(section) = elf.section(b".go.module")
        && is_it(&section.address)
    {
        return Some(section.address);
    }
    memory.holding(pclntab.address).find(is_it)
}
