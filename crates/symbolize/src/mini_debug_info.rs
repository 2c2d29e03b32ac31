//! MiniDebugInfo: an ELF file inside `.gnu_debugdata`, packed with xz, whose `.symtab` has the
//! functions that `.dynsym` lacks. Fedora and its kin ship it with every program.

use std::io::Read as _;

use crate::elf::Elf;

/// Larger ones are refused: names and addresses of local functions are all they hold.
const MAX_BYTES: u64 = 32 << 20;

/// What the decoder may take; `xz -9` asks for 64 MiB.
const MAX_DECODER_KIB: u32 = 80 << 10;

/// The inner file's bytes; `None` when there is none, or it cannot be unpacked.
pub(crate) fn unpack(elf: &Elf<'_>) -> Option<Vec<u8>> {
    let packed = elf.section_bytes(b".gnu_debugdata");
    if packed.is_empty() {
        return None;
    }
    let unpacked = lzma_rust2::XzReader::new_mem_limit(packed, true, MAX_DECODER_KIB);
    let mut bytes = Vec::new();
    unpacked.take(MAX_BYTES + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= MAX_BYTES).then_some(bytes)
}
