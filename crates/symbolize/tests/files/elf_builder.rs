//! ELF files by construction, for what no compiler writes.

/// A 64-bit little-endian x86-64 file: the named sections one after the other, each in a segment of
/// its own when it has an address.
#[derive(Default)]
pub struct ElfBuilder {
    sections: Vec<Section>,
    without_section_table: bool,
}

struct Section {
    name: &'static str,
    kind: u32,
    flags: u64,
    address: u64,
    link: u32,
    bytes: Vec<u8>,
}

pub const ALLOC: u64 = 2;
pub const CODE: u64 = 6;
pub const COMPRESSED: u64 = 0x800;
/// Name of the section that is the dynamic linker's table.
pub const DYNAMIC: &str = ".dynamic";
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;

impl ElfBuilder {
    pub fn section(mut self, name: &'static str, flags: u64, address: u64, bytes: Vec<u8>) -> Self {
        self.sections.push(Section { name, kind: 1, flags, address, link: 0, bytes });
        self
    }

    /// `.symtab`: (name, value, size, section's number counted from 1) of global functions.
    pub fn symtab(mut self, symbols: &[(&str, u64, u64, u16)]) -> Self {
        let mut strings = vec![0];
        let mut rows = vec![0; 24];
        for (name, value, size, section) in symbols {
            rows.extend((strings.len() as u32).to_le_bytes());
            rows.extend([0x12, 0]);
            rows.extend(section.to_le_bytes());
            rows.extend(value.to_le_bytes());
            rows.extend(size.to_le_bytes());
            strings.extend(name.bytes());
            strings.push(0);
        }
        let link = self.sections.len() as u32 + 2;
        let row =
            |name, kind, link, bytes| Section { name, kind, flags: 0, address: 0, link, bytes };
        self.sections.push(row(".symtab", SYMTAB, link, rows));
        self.sections.push(row(".strtab", STRTAB, 0, strings));
        self
    }

    /// As `sstrip` leaves a file.
    pub fn erase_section_table(mut self) -> Self {
        self.without_section_table = true;
        self
    }

    pub fn build(self) -> Vec<u8> {
        let loaded = self.sections.iter().filter(|s| s.address != 0).count();
        let loaded = loaded + self.sections.iter().filter(|s| s.name == DYNAMIC).count();
        let mut content = vec![0u8; 64 + 56 * loaded];
        let mut programs = Vec::new();
        let mut headers = vec![0u8; 64];
        let mut names = vec![0u8];
        for section in &self.sections {
            content.resize(content.len().next_multiple_of(16), 0);
            let (offset, size) = (content.len() as u64, section.bytes.len() as u64);
            content.extend(&section.bytes);
            let kinds = [(1u32, section.address != 0), (2, section.name == DYNAMIC)];
            for (kind, _) in kinds.into_iter().filter(|(_, present)| *present) {
                programs.extend(kind.to_le_bytes());
                programs.extend((4 | u32::from(section.flags & 4 != 0)).to_le_bytes());
                let a = section.address;
                programs.extend([offset, a, a, size, size, 16].map(u64::to_le_bytes).concat());
            }
            headers.extend((names.len() as u32).to_le_bytes());
            headers.extend(section.kind.to_le_bytes());
            headers.extend(
                [section.flags, section.address, offset, size].map(u64::to_le_bytes).concat(),
            );
            headers.extend(section.link.to_le_bytes());
            headers.extend([0; 4]);
            headers.extend(
                [1u64, if section.kind == SYMTAB { 24 } else { 0 }].map(u64::to_le_bytes).concat(),
            );
            names.extend(section.name.bytes());
            names.push(0);
        }
        let names_at = content.len() as u64;
        let own_name = names.len() as u32;
        names.extend(b".shstrtab\0");
        content.extend(&names);
        headers.extend(own_name.to_le_bytes());
        headers.extend(STRTAB.to_le_bytes());
        headers.extend([0, 0, names_at, names.len() as u64].map(u64::to_le_bytes).concat());
        headers.extend([0; 8]);
        headers.extend([1u64, 0].map(u64::to_le_bytes).concat());
        let headers_at = content.len() as u64;
        content.extend(&headers);
        let count = self.sections.len() as u16 + 2;
        let (headers_at, count) =
            if self.without_section_table { (0, 0) } else { (headers_at, count) };
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend([3u16, 62].map(u16::to_le_bytes).concat());
        file.extend(1u32.to_le_bytes());
        file.extend([0, 64, headers_at].map(u64::to_le_bytes).concat());
        file.extend(0u32.to_le_bytes());
        let last = count.saturating_sub(1);
        file.extend([64, 56, loaded as u16, 64, count, last].map(u16::to_le_bytes).concat());
        file.extend(programs);
        content[..file.len()].copy_from_slice(&file);
        content
    }
}

/// An unsigned LEB128 number.
pub fn uleb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}
