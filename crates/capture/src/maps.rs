//! `/proc/PID/maps`, and the executable part of an address space that we keep.

use std::ops::Range;
use std::rc::Rc;

use profile::ModuleKind;

use crate::mapped_file::MappedFile;

/// One line of `/proc/PID/maps`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MapsEntry<'a> {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) executable: bool,
    pub(crate) file_offset: u64,
    pub(crate) dev: (u32, u32),
    pub(crate) inode: u64,
    /// As stated: newlines are written as \012.
    pub(crate) path: &'a [u8],
}

/// Parses one line (without its newline).
pub(crate) fn parse_line(line: &[u8]) -> Option<MapsEntry<'_>> {
    let mut words = line.splitn(6, |b| *b == b' ');
    let mut text = || std::str::from_utf8(words.next()?).ok();
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = text()?.split_once('-')?;
    let permissions = text()?;
    let file_offset = hex(text()?)?;
    let (major, minor) = text()?.split_once(':')?;
    let inode = text()?.parse().ok()?;
    Some(MapsEntry {
        start: hex(start)?,
        end: hex(end)?,
        executable: permissions.as_bytes().get(2) == Some(&b'x'),
        file_offset,
        dev: (hex(major)? as u32, hex(minor)? as u32),
        inode,
        path: words.next().unwrap_or_default().trim_ascii_start(),
    })
}

/// An executable mapping.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) file_offset: u64,
    pub(crate) file: Rc<MappedFile>,
}

impl Region {
    /// Whether its code keeps frame pointers; `None`: not known, or not looked at.
    pub(crate) fn keeps_frame_pointers(&self) -> Option<bool> {
        self.file.facts.borrow().as_ref()?.keeps_frame_pointers
    }
}

impl PartialEq for Region {
    fn eq(&self, other: &Self) -> bool {
        (self.start, self.end, self.file_offset) == (other.start, other.end, other.file_offset)
            && Rc::ptr_eq(&self.file, &other.file)
    }
}

/// The executable mappings of one process, without overlaps.
#[derive(Clone, Default, Debug)]
pub(crate) struct AddressMap {
    /// By start.
    regions: Vec<Region>,
    blocks: Blocks,
}

impl PartialEq for AddressMap {
    fn eq(&self, other: &Self) -> bool {
        self.regions == other.regions
    }
}

/// A bit for each block of the address space that executable mappings may lie in; blocks far apart
/// share one. Most words of a stack are turned away here.
#[derive(Clone, Debug)]
struct Blocks([u64; Self::COUNT / 64]);

impl Blocks {
    const COUNT: usize = 2048;
    const BYTES: u64 = 2 << 20;

    /// Each of `COUNT` neighbours has a bit of its own. Of small numbers, and of addresses at the start of
    /// a large part of the address space, not all end with the same bits.
    fn bit(block: u64) -> (usize, u64) {
        let folded = (block ^ (block / Self::COUNT as u64)) as usize % Self::COUNT;
        (folded / 64, 1 << (folded % 64))
    }

    fn add(&mut self, start: u64, end: u64) {
        let (first, last) = (start / Self::BYTES, (end - 1) / Self::BYTES);
        // Twice as many as there are bits set all of them.
        for block in first..=last.min(first + 2 * Self::COUNT as u64) {
            let (word, bit) = Self::bit(block);
            self.0[word] |= bit;
        }
    }

    fn contains(&self, address: u64) -> bool {
        let (word, bit) = Self::bit(address / Self::BYTES);
        self.0[word] & bit != 0
    }
}

impl Default for Blocks {
    fn default() -> Self {
        Self([0; Self::COUNT / 64])
    }
}

impl AddressMap {
    /// More executable mappings than any sane process has: bounds what a hostile one costs us.
    pub(crate) const MAX_REGIONS: usize = 16_384;

    /// The mapping that holds an address.
    pub(crate) fn find(&self, address: u64) -> Option<&Region> {
        let after = self.regions.partition_point(|r| r.start <= address);
        self.regions[..after].last().filter(|r| address < r.end)
    }

    /// Whether an address may lie in a mapping: a few nanoseconds for nearly all that do not.
    pub(crate) fn may_find(&self, address: u64) -> bool {
        self.blocks.contains(address)
    }

    /// Adds a mapping; what it overlaps is gone there, as mmap(2) with MAP_FIXED makes it.
    pub(crate) fn insert(&mut self, new: Region) {
        if new.start >= new.end {
            return;
        }
        self.blocks.add(new.start, new.end);
        // The usual case: nothing in the way.
        let first = self.regions.partition_point(|r| r.end <= new.start);
        let last = self.regions.partition_point(|r| r.start < new.end);
        if first == last {
            if self.regions.len() < Self::MAX_REGIONS {
                self.regions.insert(first, new);
            }
            return;
        }
        let mut pieces = Vec::with_capacity(3);
        let (left, right) = (&self.regions[first], &self.regions[last - 1]);
        if left.start < new.start {
            pieces.push(Region { end: new.start, ..left.clone() });
        }
        let cut = (right.end > new.end).then(|| Region {
            start: new.end,
            file_offset: right.file_offset.wrapping_add(new.end - right.start),
            ..right.clone()
        });
        pieces.push(new);
        pieces.extend(cut);
        self.regions.splice(first..last, pieces);
        self.regions.truncate(Self::MAX_REGIONS);
    }

    /// The range around the first of these addresses that is in code without frame pointers, up to code that keeps
    /// them: libraries that were not looked at yet are most probably like their neighbours.
    pub(crate) fn without_frame_pointers(&self, addresses: &[u64]) -> Range<u64> {
        let number = |address: &u64| {
            let number = self.regions.partition_point(|r| r.start <= *address).checked_sub(1)?;
            (self.regions[number].keeps_frame_pointers() == Some(false)).then_some(number)
        };
        let Some(number) = addresses.iter().find_map(number) else { return 0..0 };
        let (below, from) = self.regions.split_at(number);
        let same = |region: &&Region| region.keeps_frame_pointers() != Some(true);
        let is_file = |region: &&Region| region.file.kind == ModuleKind::File;
        let first = below.iter().rev().take_while(same).filter(is_file).last();
        let last = from.iter().take_while(same).filter(is_file).last();
        let first = first.unwrap_or(&from[0]);
        first.start..last.unwrap_or(&from[0]).end
    }

    /// All mappings, by address.
    pub(crate) fn regions(&self) -> &[Region] {
        &self.regions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf_facts::ElfFacts;
    use crate::sideband::Identity;

    #[test]
    fn lines_are_read_with_and_without_a_path() {
        let line = b"55d6f25a0000-55d6f25a5000 r-xp 00002000 fe:00 247030      /usr/bin/a cat";
        let entry = parse_line(line).unwrap();
        assert_eq!((entry.start, entry.end), (0x55d6_f25a_0000, 0x55d6_f25a_5000));
        assert_eq!((entry.file_offset, entry.dev, entry.inode), (0x2000, (0xfe, 0), 247_030));
        assert!(entry.executable);
        assert_eq!(entry.path, b"/usr/bin/a cat");
        let anonymous = parse_line(b"7f6332fb8000-7f6332fbb000 rw-p 00000000 00:00 0 ").unwrap();
        assert!(!anonymous.executable);
        assert_eq!(anonymous.path, b"");
        assert_eq!(parse_line(b"7f63"), None);
        assert_eq!(parse_line(b""), None);
        assert_eq!(parse_line(b"zz-55 r-xp 0 0:0 0 "), None);
    }

    fn file(name: &str) -> Rc<MappedFile> {
        Rc::new(MappedFile::new(name.as_bytes(), Identity::NONE))
    }

    fn region(start: u64, end: u64, file: &Rc<MappedFile>) -> Region {
        Region { start, end, file_offset: start, file: Rc::clone(file) }
    }

    fn ranges(map: &AddressMap) -> Vec<(u64, u64, u64)> {
        map.regions().iter().map(|r| (r.start, r.end, r.file_offset)).collect()
    }

    #[test]
    fn a_new_mapping_takes_the_place_of_what_it_overlaps() {
        let (a, b) = (file("a"), file("b"));
        let mut map = AddressMap::default();
        map.insert(region(0x1000, 0x5000, &a));
        map.insert(region(0x5000, 0x6000, &a));
        assert_eq!(map.regions().len(), 2, "neighbours stay apart");

        map.insert(Region { file_offset: 0, ..region(0x2000, 0x3000, &b) });
        assert_eq!(
            ranges(&map),
            [
                (0x1000, 0x2000, 0x1000),
                (0x2000, 0x3000, 0),
                (0x3000, 0x5000, 0x3000),
                (0x5000, 0x6000, 0x5000)
            ]
        );
        map.insert(region(0x1800, 0x5800, &b));
        assert_eq!(
            ranges(&map),
            [(0x1000, 0x1800, 0x1000), (0x1800, 0x5800, 0x1800), (0x5800, 0x6000, 0x5800)]
        );
        map.insert(region(0, 0x10000, &a));
        assert_eq!(ranges(&map), [(0, 0x10000, 0)]);
    }

    #[test]
    fn an_address_is_found_in_its_mapping_only() {
        let a = file("a");
        let mut map = AddressMap::default();
        map.insert(region(0x1000, 0x2000, &a));
        map.insert(region(0x3000, 0x4000, &a));
        assert_eq!(map.find(0xfff), None);
        assert_eq!(map.find(0x1000).unwrap().start, 0x1000);
        assert_eq!(map.find(0x1fff).unwrap().start, 0x1000);
        assert_eq!(map.find(0x2000), None);
        assert_eq!(map.find(0x3500).unwrap().start, 0x3000);
        assert_eq!(map.find(u64::MAX), None);
    }

    #[test]
    fn libraries_without_frame_pointers_are_one_range_up_to_code_that_keeps_them() {
        let mut map = AddressMap::default();
        let keeps = [
            ("/bin/server", Some(true)),
            ("/lib/unknown.so", None),
            ("/lib/libz.so", Some(false)),
            ("//anon", None),
            ("/lib/libc.so.6", Some(false)),
            ("[vdso]", None),
            ("/lib/kept.so", Some(true)),
            ("/lib/beyond.so", Some(false)),
        ];
        for (start, (name, keeps_frame_pointers)) in (0x1000..).step_by(0x1000).zip(keeps) {
            let file = file(name);
            *file.facts.borrow_mut() =
                Some(ElfFacts { keeps_frame_pointers, ..ElfFacts::default() });
            map.insert(region(start, start + 0x800, &file));
        }
        let range = |addresses: &[u64]| map.without_frame_pointers(addresses);
        assert_eq!(range(&[0x5010]), 0x2000..0x5800);
        assert_eq!(
            range(&[0x1010, 0x3010, 0x8010]),
            0x2000..0x5800,
            "the first that is of such code"
        );
        assert_eq!(range(&[0x8010]), 0x8000..0x8800);
        assert_eq!(range(&[0x10, 0x1010, 0x2010, 0x7010]), 0..0);
        assert_eq!(AddressMap::default().without_frame_pointers(&[0x1010]), 0..0);
    }

    #[test]
    fn the_quick_look_turns_no_code_away_and_most_data() {
        let a = file("a");
        let mut map = AddressMap::default();
        assert!(!map.may_find(0) && !map.may_find(u64::MAX));
        map.insert(region(0x7f00_0000_1000, 0x7f00_0040_1000, &a));
        for address in [0x7f00_0000_1000, 0x7f00_0020_0000, 0x7f00_0040_0fff] {
            assert!(map.may_find(address), "{address:#x}");
        }
        for address in [0, 1, 0x7f00_0060_0000, 0x7eff_ffff_ffff, u64::MAX] {
            assert!(!map.may_find(address), "{address:#x}");
        }
        map.insert(region(0x5555_5555_4000, u64::MAX, &a));
        assert!(map.may_find(0x5555_5555_4000) && map.may_find(0), "of all blocks");
    }

    #[test]
    fn empty_and_absurd_mappings_change_nothing() {
        let a = file("a");
        let mut map = AddressMap::default();
        map.insert(region(0x2000, 0x2000, &a));
        map.insert(region(0x3000, 0x2000, &a));
        assert_eq!(map.regions(), []);
    }
}
