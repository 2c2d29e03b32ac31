//! The unwind tables of a program as an ELF file of their own, so that what unwinds reads one like the
//! other: sections with their addresses, and nothing else of the program.
//!
//! Layout: header, section headers, their names, then the sections' bytes as they stand in the file
//! (System V ABI, chapter 4). 64-bit little-endian files only.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use object::elf::{
    FileHeader64, SHT_NOBITS, SHT_STRTAB, SectionFlags, SectionHeader64, SymbolSection,
};
use object::{LittleEndian as LE, U16, U32, U64, pod};

/// Copied with their bytes.
const TABLES: [&[u8]; 3] = [b".eh_frame", b".eh_frame_hdr", b".debug_frame"];
/// Only their addresses count: pointers in tables may be relative to the first two, and the last says
/// whose compiler it was.
const PLACES: [&[u8]; 3] = [b".text", b".got", b".note.go.buildid"];
/// Section headers and names of real programs take some KiB.
const MAX_HEADERS_BYTES: u64 = 1 << 20;
/// Of tables; the largest browsers have 30 MiB.
const MAX_BYTES: u64 = 64 << 20;
const ALIGN: u64 = 8;

type Header = FileHeader64<LE>;
type Section = SectionHeader64<LE>;

/// What such a file consists of.
#[derive(Debug)]
pub(crate) struct UnwindImage {
    head: Vec<u8>,
    /// Where the bytes stand in the program, each followed by zeros up to the next multiple of
    /// [`ALIGN`].
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    offset: u64,
    bytes: u64,
}

impl Part {
    fn padding(self) -> u64 {
        self.bytes.next_multiple_of(ALIGN) - self.bytes
    }
}

impl UnwindImage {
    /// Through `read(offset, length)`, which may return fewer bytes. `None` when the file has no such
    /// sections, or is not what it says.
    pub(crate) fn plan(read: impl Fn(u64, usize) -> Vec<u8>) -> Option<Self> {
        let head = read(0, size_of::<Header>());
        let (header, _) = pod::from_bytes::<Header>(&head).ok()?;
        if head.get(..6)? != [0x7f, b'E', b'L', b'F', 2, 1] {
            return None;
        }
        let whole = |offset: u64, length: u64| {
            let length = usize::try_from(length.min(MAX_HEADERS_BYTES + 1)).ok()?;
            Some(read(offset, length)).filter(|bytes| bytes.len() == length)
        };
        let count = u64::from(header.e_shnum.get(LE));
        let rows = whole(header.e_shoff.get(LE), count * size_of::<Section>() as u64)?;
        let (rows, _) = pod::slice_from_bytes::<Section>(&rows, count as usize).ok()?;
        let names = rows.get(usize::from(header.e_shstrndx.get(LE).0))?;
        let names = whole(names.sh_offset.get(LE), names.sh_size.get(LE))?;
        let is_called = |row: &Section, name: &[u8]| {
            let rest = names.get(row.sh_name.get(LE) as usize..).unwrap_or_default();
            rest.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0))
        };
        let has_bytes =
            |row: &Section| row.sh_type.get(LE) != SHT_NOBITS && row.sh_size.get(LE) > 0;
        // The first of each name: a file may say that all its sections are one.
        let tables: Vec<_> = TABLES
            .into_iter()
            .filter_map(|name| {
                let row = rows.iter().find(|row| has_bytes(row) && is_called(row, name))?;
                Some((name, *row))
            })
            .collect();
        let places: Vec<_> = PLACES
            .into_iter()
            .filter_map(|name| Some((name, *rows.iter().find(|row| is_called(row, name))?)))
            .collect();
        let fits =
            tables.iter().try_fold(0u64, |sum, (_, row)| sum.checked_add(row.sh_size.get(LE)))?;
        (!tables.is_empty() && fits <= MAX_BYTES).then(|| Self::of(header, &tables, &places))
    }

    fn of(header: &Header, tables: &[(&[u8], Section)], places: &[(&[u8], Section)]) -> Self {
        let mut names = vec![0];
        let mut name = |text: &[u8]| {
            let at = names.len() as u32;
            names.extend_from_slice(text);
            names.push(0);
            U32::new(LE, at)
        };
        let mut rows = vec![vec![0; size_of::<Section>()]];
        let count = 2 + tables.len() + places.len();
        let names_at = (size_of::<Header>() + count * size_of::<Section>()) as u64;
        let sections: Vec<(U32<LE>, Section)> =
            tables.iter().chain(places).map(|(text, row)| (name(text), *row)).collect();
        let own_name = name(b".shstrtab");
        names.resize(names.len().next_multiple_of(ALIGN as usize), 0);
        let mut at = names_at + names.len() as u64;
        let mut parts = Vec::new();
        for (index, (name, mut row)) in sections.into_iter().enumerate() {
            row.sh_name = name;
            (row.sh_link, row.sh_info) = (U32::new(LE, 0), U32::new(LE, 0));
            if index < tables.len() {
                let part = Part { offset: row.sh_offset.get(LE), bytes: row.sh_size.get(LE) };
                row.sh_offset = U64::new(LE, at);
                at += part.bytes + part.padding();
                parts.push(part);
            } else {
                row.sh_type = U32::new(LE, SHT_NOBITS);
            }
            rows.push(pod::bytes_of(&row).to_vec());
        }
        rows.push(pod::bytes_of(&names_row(own_name, names_at, names.len() as u64)).to_vec());
        let mut header = *header;
        header.e_phnum = U16::new(LE, 0);
        header.e_phoff = U64::new(LE, 0);
        header.e_shoff = U64::new(LE, size_of::<Header>() as u64);
        header.e_shnum = U16::new(LE, count as u16);
        header.e_shstrndx = U16::new(LE, SymbolSection(count as u16 - 1));
        let head = [pod::bytes_of(&header), &rows.concat(), &names].concat();
        Self { head, parts }
    }

    /// How long the file is.
    pub(crate) fn bytes(&self) -> u64 {
        let parts = self.parts.iter().map(|part| part.bytes + part.padding());
        self.head.len() as u64 + parts.sum::<u64>()
    }

    /// The file, from the program it was planned for.
    pub(crate) fn reader<'a>(&'a self, program: &'a File) -> impl Read + 'a {
        let head: Box<dyn Read> = Box::new(&self.head[..]);
        self.parts.iter().fold(head, |all, part| {
            let bytes = FilePart { file: program, offset: part.offset }.take(part.bytes);
            Box::new(all.chain(bytes).chain(io::repeat(0).take(part.padding())))
        })
    }
}

fn names_row(name: U32<LE>, offset: u64, bytes: u64) -> Section {
    let zero = U64::new(LE, 0);
    Section {
        sh_name: name,
        sh_type: U32::new(LE, SHT_STRTAB),
        sh_flags: U64::new(LE, SectionFlags(0)),
        sh_addr: zero,
        sh_offset: U64::new(LE, offset),
        sh_size: U64::new(LE, bytes),
        sh_link: U32::new(LE, 0),
        sh_info: U32::new(LE, 0),
        sh_addralign: U64::new(LE, 1),
        sh_entsize: zero,
    }
}

/// A file from a place on, read without moving it.
struct FilePart<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for FilePart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(buffer, self.offset)?;
        self.offset += got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use object::{Object as _, ObjectSection as _};

    use super::*;
    use crate::open_mapped::read_fully;

    const PROGRAM: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/native/sysroot/usr/local/lib/flamearc-testdata/tokens"
    );

    fn image_of(path: &str) -> Vec<u8> {
        let file = File::open(path).unwrap();
        let plan = UnwindImage::plan(|offset, length| read_fully(&file, offset, length)).unwrap();
        let mut image = Vec::new();
        plan.reader(&file).read_to_end(&mut image).unwrap();
        assert_eq!(image.len() as u64, plan.bytes());
        image
    }

    #[test]
    fn tables_keep_their_bytes_and_addresses_and_all_else_is_left_behind() {
        let (whole, image) = (std::fs::read(PROGRAM).unwrap(), image_of(PROGRAM));
        let whole = object::File::parse(&whole[..]).unwrap();
        let small = object::File::parse(&image[..]).unwrap();
        for name in [".eh_frame", ".eh_frame_hdr"] {
            let (from, to) = (whole.section_by_name(name), small.section_by_name(name));
            let (from, to) = (from.unwrap(), to.unwrap());
            assert_eq!(from.data().unwrap(), to.data().unwrap(), "{name}");
            assert_eq!(from.address(), to.address(), "{name}");
        }
        let text = small.section_by_name(".text").unwrap();
        assert_eq!(text.address(), whole.section_by_name(".text").unwrap().address());
        assert_eq!(text.data().unwrap(), b"");
        assert_eq!(small.section_by_name(".rodata").map(|s| s.address()), None);
        assert_eq!(small.architecture(), whole.architecture());
    }

    #[test]
    fn what_is_cut_off_or_hostile_is_no_image_or_one_of_bounded_size() {
        let whole = image_of(PROGRAM);
        let plan = |bytes: &[u8]| {
            UnwindImage::plan(|offset, length| {
                let start = (offset as usize).min(bytes.len());
                bytes[start..start.saturating_add(length).min(bytes.len())].to_vec()
            })
        };
        let headers = plan(&whole).expect("an image is such a file itself").head.len();
        for cut in 0..headers {
            assert!(plan(&whole[..cut]).is_none(), "cut at {cut}");
        }
        for at in 0..headers {
            for value in [0, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let bytes = plan(&bytes).map_or(0, |image| image.bytes());
                assert!(bytes <= MAX_BYTES + 4096, "byte {at}: {bytes}");
            }
        }
        // All sections are called .eh_frame.
        let mut bytes = whole.clone();
        let rows = size_of::<Header>()..headers;
        let name = |row: usize| rows.start + row * size_of::<Section>();
        let first: [u8; 4] = bytes[name(1)..name(1) + 4].try_into().unwrap();
        for row in 1..6 {
            bytes[name(row)..name(row) + 4].copy_from_slice(&first);
        }
        assert_eq!(plan(&bytes).unwrap().parts.len(), 1);
    }
}
