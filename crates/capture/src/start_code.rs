//! Where a C library starts programs and threads: what it exports beside that code, which has no names of
//! its own in a stripped library.
//!
//! glibc keeps no frame pointers, so that a chain may end in any of its functions; a chain that is whole ends
//! in `__libc_start_call_main` or `start_thread`, which stand directly before `__libc_start_main` and
//! `pthread_create` (in Debian 12 by 0xb0 and 0x490 bytes). One that ended in `msort_with_tmp`, behind what
//! `qsort` calls back, once looked just as good.
//!
//! Sources: System V ABI, chapter 5 (dynamic section); "GNU hash ELF sections" (`DT_GNU_HASH`).

use profile::{Segment, Svma};

use crate::elf_facts;

/// Exported beside the start of a program and of a thread.
const BESIDE: [&[u8]; 2] = [b"__libc_start_main", b"pthread_create"];
const NEAR_BYTES: u64 = 4096;

const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
/// A real dynamic section has some 30 rows.
const MAX_DYNAMIC_BYTES: u64 = 16 << 10;
const SYMBOL_BYTES: u64 = 24;
/// Symbols of one hash value modulo the number of buckets; linkers keep the average below 10.
const MAX_CHAIN: u64 = 1024;

/// Addresses beside the code that starts programs and threads.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct StartCode(Vec<Svma>);

impl StartCode {
    /// Looks through `read(offset, length)`, which may return fewer bytes, into a 64-bit library whose
    /// dynamic section has this place and length.
    pub(crate) fn find(
        read: &impl Fn(u64, usize) -> Vec<u8>,
        segments: &[Segment],
        (dynamic, bytes): (u64, u64),
    ) -> Self {
        let rows = read(dynamic, bytes.min(MAX_DYNAMIC_BYTES) as usize);
        let rows = rows.as_chunks::<16>().0.iter().map(|row| (word(&row[..8]), word(&row[8..])));
        let mut tables = [None; 3];
        for (tag, value) in rows.take_while(|(tag, _)| *tag != 0) {
            let wanted = [DT_GNU_HASH, DT_SYMTAB, DT_STRTAB];
            if let Some(at) = wanted.iter().position(|wanted| *wanted == tag) {
                tables[at] = elf_facts::offset_of(segments, Svma(value));
            }
        }
        let [Some(hash), Some(symbols), Some(names)] = tables else { return Self::default() };
        let exports = Exports { read, hash, symbols, names };
        Self(BESIDE.into_iter().filter_map(|name| exports.find(name)).collect())
    }

    /// Whether an address is of the code that starts programs or threads.
    pub(crate) fn contains(&self, address: Svma) -> bool {
        self.0.iter().any(|beside| beside.0.abs_diff(address.0) < NEAR_BYTES)
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The table of what a library exports, by file offsets.
struct Exports<'r, R> {
    read: &'r R,
    hash: u64,
    symbols: u64,
    names: u64,
}

impl<R: Fn(u64, usize) -> Vec<u8>> Exports<'_, R> {
    fn number(&self, at: u64, bytes: usize) -> Option<u64> {
        Some((self.read)(at, bytes)).filter(|read| read.len() == bytes).map(|read| word(&read))
    }

    fn find(&self, name: &[u8]) -> Option<Svma> {
        let [buckets, first, bloom_words] =
            [0, 4, 8].map(|at| self.number(self.hash.saturating_add(at), 4));
        let (buckets, first) = (buckets?, first?);
        let buckets_at = self.hash.checked_add(16 + bloom_words? * 8)?;
        let chains_at = buckets_at.checked_add(buckets * 4)?;
        let hash = gnu_hash(name);
        let head =
            self.number(buckets_at.checked_add(u64::from(hash).checked_rem(buckets)? * 4)?, 4)?;
        for symbol in head..head + MAX_CHAIN {
            let at = chains_at.checked_add(symbol.checked_sub(first)? * 4)?;
            let found = self.number(at, 4)?;
            if found | 1 == u64::from(hash) | 1
                && let Some(address) = self.address_of(symbol, name)
            {
                return Some(address);
            }
            if found & 1 == 1 {
                return None;
            }
        }
        None
    }

    fn address_of(&self, symbol: u64, name: &[u8]) -> Option<Svma> {
        let at = self.symbols.checked_add(symbol * SYMBOL_BYTES)?;
        let stated = (self.read)(self.names.checked_add(self.number(at, 4)?)?, name.len() + 1);
        let address = self.number(at.checked_add(8)?, 8)?;
        (stated.strip_prefix(name) == Some(&[0])).then_some(Svma(address))
    }
}

fn gnu_hash(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a library exports, and where.
    const EXPORTED: [(&[u8], u64); 5] = [
        (b"__libc_start_main", 0x2_7200),
        (b"pthread_create", 0x8_8a00),
        (b"qsort", 0x4_0000),
        (b"clock_gettime", 0xd_0000),
        (b"bsearch", 0x3_f000),
    ];
    const BUCKETS: u32 = 2;

    fn put(bytes: &mut [u8], at: u64, value: &[u8]) {
        bytes[at as usize..at as usize + value.len()].copy_from_slice(value);
    }

    /// A library without code, whose addresses are file offsets: headers, then the dynamic section at 0x200, the
    /// table of hashes at 0x400, symbols at 0x800 and names at 0xc00.
    fn library() -> Vec<u8> {
        let mut bytes = vec![0; 0x1000];
        put(&mut bytes, 0, b"\x7fELF\x02\x01\x01");
        put(&mut bytes, 32, &64_u64.to_le_bytes()); // e_phoff
        put(&mut bytes, 52, &[64, 0, 56, 0, 2, 0]);
        for (at, kind, start, length) in [(64, 1_u32, 0_u64, 0x1000_u64), (120, 2, 0x200, 0x40)] {
            put(&mut bytes, at, &kind.to_le_bytes());
            put(&mut bytes, at + 4, &5_u32.to_le_bytes());
            for (field, value) in [(8, start), (16, start), (32, length), (40, length)] {
                put(&mut bytes, at + field, &value.to_le_bytes());
            }
        }
        let rows = [(DT_GNU_HASH, 0x400_u64), (DT_SYMTAB, 0x800), (DT_STRTAB, 0xc00), (0, 0)];
        for (at, (tag, value)) in (0x200..).step_by(16).zip(rows) {
            put(&mut bytes, at, &tag.to_le_bytes());
            put(&mut bytes, at + 8, &value.to_le_bytes());
        }
        // Symbols of one bucket stand together; the first symbol is none.
        let mut symbols = EXPORTED;
        symbols.sort_by_key(|(name, _)| gnu_hash(name) % BUCKETS);
        for (at, word) in (0x400..).step_by(4).zip([BUCKETS, 1, 1, 0]) {
            put(&mut bytes, at, &word.to_le_bytes());
        }
        let (buckets_at, mut name_at) = (0x400 + 16 + 8, 1_u32);
        for (index, (name, address)) in symbols.iter().enumerate().rev() {
            let (number, hash) = (index as u64 + 1, gnu_hash(name));
            let bucket = |name| gnu_hash(name) % BUCKETS;
            let is_last =
                symbols.get(index + 1).is_none_or(|(next, _)| bucket(next) != bucket(name));
            put(
                &mut bytes,
                buckets_at + u64::from(bucket(name)) * 4,
                &(number as u32).to_le_bytes(),
            );
            let chains_at = buckets_at + u64::from(BUCKETS) * 4;
            let chained = hash & !1 | u32::from(is_last);
            put(&mut bytes, chains_at + (number - 1) * 4, &chained.to_le_bytes());
            put(&mut bytes, 0x800 + number * SYMBOL_BYTES, &name_at.to_le_bytes());
            put(&mut bytes, 0x808 + number * SYMBOL_BYTES, &address.to_le_bytes());
            put(&mut bytes, 0xc00 + u64::from(name_at), name);
            name_at += name.len() as u32 + 1;
        }
        bytes
    }

    fn start_code(bytes: &[u8]) -> Option<StartCode> {
        elf_facts::read_with_start_code(|offset, length| {
            let start = (offset as usize).min(bytes.len());
            bytes[start..start.saturating_add(length).min(bytes.len())].to_vec()
        })
        .map(|facts| facts.start_code)
    }

    #[test]
    fn programs_and_threads_start_beside_what_is_exported() {
        let found = start_code(&library()).unwrap();
        let [main, thread, others @ ..] = EXPORTED.map(|(_, address)| Svma(address));
        assert_eq!(found.0, [main, thread]);
        for start in &found.0 {
            assert!(found.contains(Svma(start.0 - 0x36)) && found.contains(*start));
        }
        for other in others {
            assert!(!found.contains(other), "{other:?}");
        }
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(start_code(&program), Some(StartCode::default()), "exports none of them");
    }

    #[test]
    fn what_is_cut_off_says_nothing_wrong_and_what_is_hostile_ends() {
        let whole = library();
        let truth = start_code(&whole).unwrap();
        for cut in (0..whole.len()).step_by(7) {
            let found = start_code(&whole[..cut]).unwrap_or_default();
            assert!(found.0.iter().all(|start| truth.0.contains(start)), "cut at {cut}");
        }
        assert_eq!(start_code(&whole[..0x400]).unwrap_or_default(), StartCode::default());
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            start_code(&bytes);
        }
    }
}
