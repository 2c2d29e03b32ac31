//! Sections' content, inflated where it is compressed.

use std::borrow::Cow;
use std::io::Read as _;

use object::elf;

use crate::elf::{Elf, Section, relocatable};

/// How much compressed sections of one file may inflate to, in total.
///
/// The size they declare is the file's own claim, and allocating it before checking let a file of
/// 7 KiB take 386 MB (object issue 950). All debug sections of a real file together shrink to a
/// half or a tenth.
pub(crate) struct InflateBudget(u64);

impl InflateBudget {
    const BASE_BYTES: u64 = 64 << 20;
    const RATIO: u64 = 16;

    pub fn for_file(bytes: &[u8]) -> Self {
        Self(Self::BASE_BYTES.saturating_add((bytes.len() as u64).saturating_mul(Self::RATIO)))
    }
}

/// The content of the section `.debug_…` of that name; empty when there is none, `None` when it
/// cannot be inflated.
pub(crate) fn content<'d>(
    elf: &Elf<'d>,
    name: &str,
    budget: &mut InflateBudget,
) -> Option<Cow<'d, [u8]>> {
    if let Some(number) = elf.tables().iter().position(|s| s.name == name.as_bytes()) {
        let section = &elf.tables()[number];
        let mut content = match section.flags & elf::SHF_COMPRESSED.0 {
            0 => Cow::Borrowed(section.bytes),
            _ => Cow::Owned(inflate(section, elf.is_64, budget)?),
        };
        if elf.is_relocatable && !content.is_empty() {
            relocatable::relocate(elf, number, content.to_mut());
        }
        return Some(content);
    }
    // GNU's older spelling: `.zdebug_…`, "ZLIB", the size big-endian.
    let Some(rest) = name.strip_prefix(".debug") else { return Some(Cow::Borrowed(&[])) };
    let Some(section) = elf.section(format!(".zdebug{rest}").as_bytes()) else {
        return Some(Cow::Borrowed(&[]));
    };
    let packed = section.bytes.strip_prefix(b"ZLIB")?;
    let (size, packed) = packed.split_first_chunk::<8>()?;
    inflate_zlib(packed, take(u64::from_be_bytes(*size), budget)?).map(Cow::Owned)
}

fn inflate(section: &Section<'_>, is_64: bool, budget: &mut InflateBudget) -> Option<Vec<u8>> {
    // Elf64_Chdr: type, reserved, size, alignment; Elf32_Chdr: type, size, alignment.
    let (size, header_bytes) = if is_64 {
        (u64::from_le_bytes(section.bytes.get(8..16)?.try_into().ok()?), 24)
    } else {
        (u64::from(u32::from_le_bytes(section.bytes.get(4..8)?.try_into().ok()?)), 12)
    };
    let kind = u32::from_le_bytes(section.bytes.get(..4)?.try_into().ok()?);
    let packed = section.bytes.get(header_bytes..)?;
    let size = take(size, budget)?;
    if kind == elf::ELFCOMPRESS_ZLIB.0 {
        inflate_zlib(packed, size)
    } else if kind == elf::ELFCOMPRESS_ZSTD.0 {
        // One call and not a stream: a stream refuses frames whose window is their whole content
        // beyond 128 MiB, and that is how linkers write them.
        let unpacked = zstd::bulk::decompress(packed, size).ok()?;
        (unpacked.len() == size).then_some(unpacked)
    } else {
        None
    }
}

fn take(size: u64, budget: &mut InflateBudget) -> Option<usize> {
    budget.0 = budget.0.checked_sub(size)?;
    usize::try_from(size).ok()
}

fn inflate_zlib(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut unpacked = Vec::with_capacity(size);
    flate2::read::ZlibDecoder::new(packed).take(size as u64).read_to_end(&mut unpacked).ok()?;
    (unpacked.len() == size).then_some(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn section(kind: u32, declared: u64, packed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(kind.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(declared.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(packed);
        bytes
    }

    fn inflated(bytes: &[u8]) -> Option<Vec<u8>> {
        let section = Section {
            name: b".debug_info",
            kind: elf::SHT_PROGBITS,
            flags: elf::SHF_COMPRESSED.0,
            address: 0,
            size_bytes: bytes.len() as u64,
            link: 0,
            info: 0,
            alignment: 1,
            bytes,
        };
        inflate(&section, true, &mut InflateBudget::for_file(bytes))
    }

    #[test]
    fn both_compressions_give_back_what_went_in() {
        let text = b"debug information ".repeat(1_000);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&text).unwrap();
        let zlib = zlib.finish().unwrap();
        let zstd = zstd::bulk::compress(&text, 3).unwrap();
        let size = text.len() as u64;
        assert_eq!(inflated(&section(1, size, &zlib)).as_ref(), Some(&text));
        assert_eq!(inflated(&section(2, size, &zstd)).as_ref(), Some(&text));
        for (kind, packed) in [(1, &zlib), (2, &zstd)] {
            assert_eq!(inflated(&section(kind, size + 1, packed)), None, "declares too much");
            assert_eq!(inflated(&section(kind, size, &packed[..packed.len() / 2])), None, "cut");
            assert_eq!(inflated(&section(kind, 1 << 40, packed)), None, "a bomb's claim");
        }
        assert_eq!(inflated(&section(9, size, &zlib)), None, "unknown compression");
        assert_eq!(inflated(&[1, 0, 0]), None, "no whole header");
    }
}
