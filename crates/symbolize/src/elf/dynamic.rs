//! Sections of a file without a section table: what its loader needs, its segments say.

use object::elf;

use super::{Elf, Section};

/// Numbers of the rows below; a symbol table's link to its strings is one of them.
const DYNSYM: usize = 1;
const DYNSTR: usize = 2;

/// The dynamic symbols with their strings and versions, the loader's relocations, and unwind tables;
/// nothing of what is missing or inconsistent.
pub(super) fn sections<'d>(file: &Elf<'d>, unwind_at: u64) -> Vec<Section<'d>> {
    let entry = |tag: i64| file.dynamic_value(tag);
    let at = |tag: i64| entry(tag).and_then(|address| Some((address, file.bytes_at(address)?)));
    let sized = |tag: i64, size: i64| {
        let (address, bytes) = at(tag)?;
        Some((address, bytes.get(..usize::try_from(entry(size)?).ok()?)?))
    };
    let count = at(elf::DT_GNU_HASH.0)
        .and_then(|(_, table)| gnu_hash_count(table))
        .or_else(|| at(elf::DT_HASH.0).and_then(|(_, table)| word(table, 1)))
        .unwrap_or(0) as usize;
    let rows = |tag: i64, row_bytes: usize| {
        let (address, bytes) = at(tag)?;
        Some((address, bytes.get(..count.checked_mul(row_bytes)?)?))
    };
    let unwind = file.bytes_at(unwind_at).map(|bytes| (unwind_at, bytes));
    let frames = unwind.and_then(|(_, header)| {
        let address = frames_at(header, unwind_at)?;
        Some((address, file.bytes_at(address)?))
    });
    let row = |name, kind, link, place: Option<(u64, &'d [u8])>| {
        let (address, bytes) = place.unwrap_or_default();
        let size_bytes = bytes.len() as u64;
        let flags = elf::SHF_ALLOC.0;
        Section { name, kind, flags, address, size_bytes, link, info: 0, alignment: 1, bytes }
    };
    vec![
        row(b"", elf::SHT_NULL, 0, None),
        row(b".dynsym", elf::SHT_DYNSYM, DYNSTR, rows(elf::DT_SYMTAB.0, 24)),
        row(b".dynstr", elf::SHT_STRTAB, 0, sized(elf::DT_STRTAB.0, elf::DT_STRSZ.0)),
        row(b".gnu.version", elf::SHT_GNU_VERSYM, DYNSYM, rows(elf::DT_VERSYM.0, 2)),
        row(b".rela.plt", elf::SHT_RELA, DYNSYM, sized(elf::DT_JMPREL.0, elf::DT_PLTRELSZ.0)),
        row(b".rela.dyn", elf::SHT_RELA, DYNSYM, sized(elf::DT_RELA.0, elf::DT_RELASZ.0)),
        row(b".eh_frame_hdr", elf::SHT_PROGBITS, 0, unwind),
        row(b".eh_frame", elf::SHT_PROGBITS, 0, frames),
    ]
}

fn word(bytes: &[u8], index: usize) -> Option<u32> {
    bytes.as_chunks::<4>().0.get(index).map(|word| u32::from_le_bytes(*word))
}

/// How many symbols a `DT_GNU_HASH` table is for: the end of the chain that begins last.
/// (Buckets, first hashed symbol, words of the Bloom filter, shift; filter; buckets; chains.)
fn gnu_hash_count(table: &[u8]) -> Option<u32> {
    let (buckets, first, filter_words) = (word(table, 0)?, word(table, 1)?, word(table, 2)?);
    let buckets_at = 4 + (filter_words as usize).checked_mul(2)?;
    let chains_at = buckets_at.checked_add(buckets as usize)?;
    let (words, _) = table.as_chunks::<4>();
    let buckets = words.get(buckets_at..chains_at)?;
    let last = buckets.iter().map(|bucket| u32::from_le_bytes(*bucket)).max().unwrap_or(0);
    let Some(into_chains) = last.checked_sub(first) else { return Some(first) };
    let chain = words.get(chains_at.checked_add(into_chains as usize)?..)?;
    let length = chain.iter().position(|hash| hash[0] & 1 != 0)?;
    last.checked_add(u32::try_from(length).ok()? + 1)
}

/// Where `.eh_frame` is, as every linker's `.eh_frame_hdr` says: counted from that very field.
fn frames_at(header: &[u8], header_at: u64) -> Option<u64> {
    const PC_RELATIVE_SIGNED_4: u8 = 0x1b;
    let [1, PC_RELATIVE_SIGNED_4, _, _, a, b, c, d, ..] = *header else { return None };
    let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
    header_at.checked_add(4)?.checked_add_signed(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_counted_by_their_hash_table() {
        // Two buckets, hashed from symbol 3 on: chains 3..=4 and 5..=5.
        let table: Vec<u8> = [2u32, 3, 1, 6, 0, 0, 3, 5, 2, 3, 5].map(u32::to_le_bytes).concat();
        assert_eq!(gnu_hash_count(&table), Some(6));
        assert_eq!(gnu_hash_count(&table[..table.len() - 4]), None, "a chain without an end");
        let nothing_hashed: Vec<u8> = [1u32, 7, 1, 6, 0, 0, 0].map(u32::to_le_bytes).concat();
        assert_eq!(gnu_hash_count(&nothing_hashed), Some(7));
        assert_eq!(gnu_hash_count(&[0xff; 64]), None);
    }
}
