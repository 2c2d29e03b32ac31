//! Files that no linker has finished: kernel modules (`.ko`).
//!
//! Their sections have no addresses yet. Here each gets the one that the kernel's loader gives it,
//! counted from the module's first byte (`layout_sections` in `kernel/module/main.c`): sections of
//! code in the order of the table, each aligned as it asks for, those of `.init…` not among them.
//! So the SVMA of a module's function is what recordings know of it, the distance from the start
//! that /proc/modules states. (Exact on x86-64; on ARM the loader makes room for stubs that the
//! file does not show, should their section come first.) All other sections follow, at addresses
//! that mean nothing outside this file but do not collide.

use object::elf;

use super::{Elf, Machine, Section};

const PAGE_BYTES: u64 = 4096;

/// Gives sections their addresses.
pub(super) fn place(sections: &mut [Section<'_>]) {
    let is_loaded = |s: &Section<'_>| s.flags & elf::SHF_ALLOC.0 != 0;
    let is_resident_code =
        |s: &Section<'_>| is_loaded(s) && s.is_executable() && !s.name.starts_with(b".init");
    let mut end = 0;
    for section in sections.iter_mut().filter(|s| is_resident_code(s)) {
        end = place_one(section, end);
    }
    end = end.checked_next_multiple_of(PAGE_BYTES).unwrap_or(u64::MAX);
    for section in sections.iter_mut().filter(|s| is_loaded(s) && !is_resident_code(s)) {
        end = place_one(section, end);
    }
}

fn place_one(section: &mut Section<'_>, end: u64) -> u64 {
    let start = end.checked_next_multiple_of(section.alignment.max(1)).unwrap_or(u64::MAX);
    section.address = start;
    start.saturating_add(section.size_bytes)
}

/// Fills in what a section's content leaves to the linker: addresses of code and offsets into other
/// sections.
pub(crate) fn relocate(file: &Elf<'_>, number: usize, content: &mut [u8]) {
    let tables = file.sections.iter().filter(|s| s.kind == elf::SHT_RELA && s.info == number);
    for table in tables.take(1) {
        let Some(symbols) = file.sections.get(table.link) else { continue };
        let (symbols, _) = symbols.bytes.as_chunks::<24>();
        for row in table.bytes.as_chunks::<24>().0 {
            // Never out of bounds: a row has 24 bytes.
            let field = |at: usize| row[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
            let (place, info, addend) = (field(0), field(8), field(16));
            let Some(symbol) = symbols.get((info >> 32) as usize) else { continue };
            let Some(value) = value(file, symbol) else { continue };
            let value = value.wrapping_add(addend);
            apply(file.machine, info as u32, place, value, content);
        }
    }
}

/// Elf64_Sym: name, info, other, section, value, size.
fn value(file: &Elf<'_>, symbol: &[u8; 24]) -> Option<u64> {
    let section = usize::from(u16::from_le_bytes([symbol[6], symbol[7]]));
    let value = symbol[8..16].try_into().map(u64::from_le_bytes).ok()?;
    if section == usize::from(elf::SHN_ABS.0) {
        return Some(value);
    }
    let section = file.sections.get(section).filter(|_| section != 0)?;
    Some(section.address.wrapping_add(value))
}

fn apply(machine: Machine, kind: u32, place: u64, value: u64, content: &mut [u8]) {
    // Bytes, and whether the value counts from the place itself. (Debug sections stand at 0.)
    let (bytes, from_place) = match (machine, elf::RelocationType(kind)) {
        (Machine::X86_64, elf::R_X86_64_64) | (Machine::Aarch64, elf::R_AARCH64_ABS64) => {
            (8, false)
        }
        (Machine::X86_64, elf::R_X86_64_32 | elf::R_X86_64_32S)
        | (Machine::Aarch64, elf::R_AARCH64_ABS32) => (4, false),
        (Machine::X86_64, elf::R_X86_64_PC32) | (Machine::Aarch64, elf::R_AARCH64_PREL32) => {
            (4, true)
        }
        (Machine::X86_64, elf::R_X86_64_PC64) | (Machine::Aarch64, elf::R_AARCH64_PREL64) => {
            (8, true)
        }
        _ => return,
    };
    let value = if from_place { value.wrapping_sub(place) } else { value };
    let start = usize::try_from(place).unwrap_or(usize::MAX);
    if let Some(field) = start.checked_add(bytes).and_then(|end| content.get_mut(start..end)) {
        field.copy_from_slice(&value.to_le_bytes()[..bytes]);
    }
}
