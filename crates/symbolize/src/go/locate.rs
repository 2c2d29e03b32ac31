//! Where the pclntab is.

use crate::elf::Elf;
use crate::identity::GO_BUILD_ID;

/// Bytes that may be a pclntab, from its header to the end of what holds it.
pub(super) struct Candidate<'d> {
    pub bytes: &'d [u8],
    pub address: u64,
    /// Whether the file itself says so, by the section's name.
    pub certain: bool,
}

/// Names of the section: the second one is of position-independent programs (before Go 1.26 or so).
const SECTIONS: [&[u8]; 2] = [b".gopclntab", b".data.rel.ro.gopclntab"];

/// Candidates found by a scan that are looked at.
const MAX_SCANNED: usize = 64;

/// The named section if there is one that holds a header. Without it, a file that has no sections at all, or that says
/// it is Go's (external linkers put the table of a position-independent program into
/// `.data.rel.ro`), is scanned for the header: eight bytes that nothing but a pclntab begins with,
/// aligned, in a segment that is read but not executed. A scan of every C library would only find
/// chance matches.
pub(super) fn candidates<'d>(elf: &Elf<'d>) -> Vec<Candidate<'d>> {
    let mut found = Vec::new();
    if let Some(section) = SECTIONS.iter().find_map(|name| elf.section(name)) {
        let (bytes, address) = (section.bytes, section.address);
        found.push(Candidate { bytes, address, certain: true });
        // One without a header is another's: llvm-strip 14 mixes up the names of the sections of
        // Go 1.21's position-independent programs for ARM.
        if bytes.first_chunk().is_some_and(is_header) {
            return found;
        }
    } else if !elf.sections.is_empty() && !says_it_is_go(elf) {
        return found;
    }
    for segment in elf.segments.iter().filter(|s| s.flags & 4 != 0 && s.flags & 1 == 0) {
        let Some(bytes) = elf.bytes_at(segment.svma.0) else { continue };
        let (words, _) = bytes.as_chunks::<8>();
        for (index, word) in words.iter().enumerate() {
            if is_header(word) {
                let at = index * 8;
                let address = segment.svma.0.wrapping_add(at as u64);
                found.push(Candidate { bytes: &bytes[at..], address, certain: false });
                if found.len() == MAX_SCANNED {
                    return found;
                }
            }
        }
    }
    found
}

fn is_header(word: &[u8; 8]) -> bool {
    matches!(word, [0xfa | 0xf0 | 0xf1, 0xff, 0xff, 0xff, 0, 0, 1 | 4, 8])
}

fn says_it_is_go(elf: &Elf<'_>) -> bool {
    elf.note(b"Go", GO_BUILD_ID).is_some() || elf.section(b".go.buildinfo").is_some()
}
