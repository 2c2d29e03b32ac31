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

    const LIBRARY: &str = "/lib/x86_64-linux-gnu/libc.so.6";

    fn start_code(bytes: &[u8]) -> Option<StartCode> {
        elf_facts::read_with_start_code(|offset, length| {
            let start = (offset as usize).min(bytes.len());
            bytes[start..start.saturating_add(length).min(bytes.len())].to_vec()
        })
        .map(|facts| facts.start_code)
    }

    fn exported(name: &str) -> Svma {
        use object::{Object as _, ObjectSymbol as _};
        let bytes = std::fs::read(LIBRARY).unwrap();
        let file = object::File::parse(&bytes[..]).unwrap();
        let found = file.dynamic_symbols().find(|symbol| symbol.name() == Ok(name));
        Svma(found.unwrap().address())
    }

    #[test]
    fn programs_and_threads_start_beside_what_is_exported() {
        let found = start_code(&std::fs::read(LIBRARY).unwrap()).unwrap();
        assert_eq!(found.0, [exported("__libc_start_main"), exported("pthread_create")]);
        for start in &found.0 {
            assert!(found.contains(Svma(start.0 - 0x36)) && found.contains(*start));
        }
        for other in ["qsort", "clock_gettime", "bsearch"] {
            assert!(!found.contains(exported(other)), "{other}");
        }
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(start_code(&program), Some(StartCode::default()), "exports none of them");
    }

    #[test]
    fn what_is_cut_off_says_nothing_wrong_and_what_is_hostile_ends() {
        let whole = std::fs::read(LIBRARY).unwrap();
        let truth = start_code(&whole).unwrap();
        for cut in (0..whole.len()).step_by(whole.len() / 97) {
            let found = start_code(&whole[..cut]).unwrap_or_default();
            assert!(found.0.iter().all(|start| truth.0.contains(start)), "cut at {cut}");
        }
        assert_eq!(start_code(&whole[..4096]).unwrap_or_default(), StartCode::default());
        let head = whole.len().min(200 << 10);
        for at in (0..head).step_by(61) {
            let mut bytes = whole[..head].to_vec();
            bytes[at] = 0xff;
            start_code(&bytes);
        }
    }
}
