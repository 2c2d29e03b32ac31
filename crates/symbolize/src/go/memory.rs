//! The program's memory as the loader would leave it, read by address.

use crate::elf::Elf;

/// The loaded part of a file with its relative relocations. An external linker leaves zeros where
/// such a relocation says what to write; Go's own also writes the value.
#[derive(Debug)]
pub(super) struct Memory<'d> {
    elf: Elf<'d>,
    /// (address, value), by address.
    relocated: Vec<(u64, u64)>,
}

impl<'d> Memory<'d> {
    pub fn read(elf: &Elf<'d>) -> Self {
        let mut relocated: Vec<(u64, u64)> = elf.relative_relocations().collect();
        relocated.sort_unstable();
        Self { elf: elf.clone(), relocated }
    }

    /// The bytes from an address to the end of what the file has of its segment, not relocated.
    pub fn bytes(&self, address: u64) -> Option<&'d [u8]> {
        self.elf.bytes_at(address)
    }

    /// The relocated word at an address.
    pub fn word(&self, address: u64) -> Option<u64> {
        if let Ok(found) = self.relocated.binary_search_by_key(&address, |(at, _)| *at) {
            return Some(self.relocated[found].1);
        }
        let bytes = self.elf.bytes_at(address)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    }

    /// Address and value of the relocated words that begin in a range.
    pub fn relocations(&self, begin: u64, end: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let first = self.relocated.partition_point(|(at, _)| *at < begin);
        self.relocated[first..].iter().copied().take_while(move |(at, _)| *at < end)
    }

    /// Where a word of that value stands, outside code; data that the program may write comes first.
    pub fn holding(&self, value: u64) -> impl Iterator<Item = u64> + '_ {
        let relocated =
            self.relocated.iter().filter(move |(_, v)| *v == value).map(|(address, _)| *address);
        let data = |writable| self.elf.segments.iter().filter(move |s| s.flags & 3 == writable);
        let in_place = data(2).chain(data(0)).flat_map(move |s| {
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
