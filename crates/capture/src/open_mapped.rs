//! Opens the file behind a mapping of another process, and nothing else: what is opened must be the
//! very file that is mapped.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use profile::BuildId;

use crate::elf_facts::{self, ElfFacts};
use crate::maps::Region;
use crate::sideband::Identity;
use crate::untrusted_file::{Links, hold, hold_in_root, open_regular};

/// The file behind a mapping of process (or thread) `pid`, with its headers and notes.
pub(crate) fn open(pid: u32, region: &Region) -> Option<(File, ElfFacts)> {
    let by_address = format!("/proc/{pid}/map_files/{:x}-{:x}", region.start, region.end);
    // map_files leads to the mapped file whatever happened to its path; it needs more capabilities. It
    // is what is mapped there now: the range may have been mapped anew since the sample.
    let mapped = hold(&by_address).and_then(|file| open_regular(&file));
    let fits = |(_, facts): &_| may_be_the_mapped_one(region.file.identity, facts);
    let with_facts = |file| with_facts(file, region.file.is_c_library());
    if let Some(found) = mapped.ok().and_then(with_facts).filter(fits) {
        return Some(found);
    }
    let in_root = |root: &str| {
        let file = hold_in_root(&hold(root).ok()?, &region.file.path, Links::Follow).ok()?;
        with_facts(open_regular(&file).ok()?)
    };
    // A path leads to whatever stands there now. Overlay and btrfs state other devices in maps than in
    // stat; the inode agrees.
    let Identity { dev, inode, .. } = region.file.identity;
    let same_inode = |(_, facts): &(File, ElfFacts)| facts.inode == inode;
    let same_file = |(_, facts): &(File, ElfFacts)| facts.inode == inode && facts.dev == dev;
    // Of a process that has gone the file may still be found from here.
    in_root(&format!("/proc/{pid}/root"))
        .filter(same_inode)
        .or_else(|| in_root("/").filter(same_file))
}

/// Of a file found without its path: nothing known speaks against it.
fn may_be_the_mapped_one(identity: Identity, facts: &ElfFacts) -> bool {
    identity.inode == 0 || identity.inode == facts.inode
}

/// As many of so many bytes as can be read.
pub(crate) fn read_fully(file: &File, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut got = 0;
    while got < length {
        match file.read_at(&mut bytes[got..], offset.saturating_add(got as u64)) {
            Ok(0) | Err(_) => break,
            Ok(more) => got += more,
        }
    }
    bytes.truncate(got);
    bytes
}

fn with_facts(file: File, is_c_library: bool) -> Option<(File, ElfFacts)> {
    let metadata = file.metadata().ok()?;
    let read = |offset, length| read_fully(&file, offset, length);
    let facts =
        if is_c_library { elf_facts::read_with_start_code(read) } else { elf_facts::read(read) };
    // No ELF file (an image of a virtual machine, a .jar): still told apart by size and inode.
    let facts =
        facts.unwrap_or_else(|| ElfFacts { build_id: BuildId::default(), ..ElfFacts::default() });
    let facts = ElfFacts {
        file_bytes: metadata.len(),
        dev: (libc::major(metadata.dev()), libc::minor(metadata.dev())),
        inode: metadata.ino(),
        ..facts
    };
    Some((file, facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_at_the_same_range_is_not_taken() {
        let facts = ElfFacts { inode: 5, ..ElfFacts::default() };
        let inode = |inode| Identity { inode, ..Identity::NONE };
        assert!(may_be_the_mapped_one(inode(5), &facts));
        assert!(!may_be_the_mapped_one(inode(6), &facts));
        assert!(may_be_the_mapped_one(Identity::NONE, &facts), "not known");
    }
}
