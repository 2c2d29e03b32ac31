//! Opens the file behind a mapping of another process, and nothing else.
//!
//! The profiled process chooses paths and may swap files: what is opened is first held without
//! opening it (`O_PATH`), must be a regular file (a FIFO would block us for ever) and the very file
//! that is mapped. It must be on this host, too: a server or a FUSE daemon that does not answer would
//! stop the whole recording.
#![allow(unsafe_code)] // openat2(2) and fstatfs(2) have no wrappers

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};

use profile::BuildId;

use crate::elf_facts::{self, ElfFacts};
use crate::maps::Region;
use crate::sideband::Identity;

/// `struct open_how` of openat2(2), Linux 5.6.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// `f_type` of file systems whose files another host or process hands out
/// (`include/uapi/linux/magic.h`): 9P, Ceph, CIFS, FUSE, NFS, SMB2.
const REMOTE_MAGIC: [u32; 6] =
    [0x0102_1997, 0x00c3_6400, 0xff53_4d42, 0x6573_5546, 0x6969, 0xfe53_4d42];

const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_IN_ROOT: u64 = 0x10;

/// Headers and notes of the file behind a mapping of process (or thread) `pid`.
pub(crate) fn facts(pid: u32, region: &Region) -> Option<ElfFacts> {
    let by_address = format!("/proc/{pid}/map_files/{:x}-{:x}", region.start, region.end);
    // map_files leads to the mapped file whatever happened to its path; it needs more capabilities. It
    // is what is mapped there now: the range may have been mapped anew since the sample.
    let mapped = hold(&by_address).and_then(|file| regular(&file));
    let fits = |facts: &ElfFacts| may_be_the_mapped_one(region.file.identity, facts);
    if let Some(facts) = mapped.ok().and_then(|file| read_facts(&file)).filter(fits) {
        return Some(facts);
    }
    let in_root = |root: &str| {
        let file = hold_in_root(&hold(root).ok()?, &region.file.path).ok()?;
        read_facts(&regular(&file).ok()?)
    };
    // A path leads to whatever stands there now. Overlay and btrfs state other devices in maps than in
    // stat; the inode agrees.
    let Identity { dev, inode, .. } = region.file.identity;
    let same_inode = |facts: &ElfFacts| facts.inode == inode;
    let same_file = |facts: &ElfFacts| facts.inode == inode && facts.dev == dev;
    // Of a process that has gone the file may still be found from here.
    in_root(&format!("/proc/{pid}/root"))
        .filter(same_inode)
        .or_else(|| in_root("/").filter(same_file))
}

/// Of a file found without its path: nothing known speaks against it.
fn may_be_the_mapped_one(identity: Identity, facts: &ElfFacts) -> bool {
    identity.inode == 0 || identity.inode == facts.inode
}

fn hold(path: &str) -> io::Result<OwnedFd> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
    Ok(file.into())
}

fn hold_in_root(root: &OwnedFd, path: &[u8]) -> io::Result<OwnedFd> {
    let path = CString::new(path)?;
    let how = OpenHow {
        flags: (libc::O_PATH | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    // SAFETY: a NUL-terminated path and a struct of the size stated, both alive across the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Whether reading what is held may wait for another host or process. (Asking may wait for them as
/// well, but most answer this from what they know.)
fn is_remote(held: &OwnedFd) -> io::Result<bool> {
    // SAFETY: all-zero bytes are a valid statfs.
    let mut about: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: an open descriptor, and `about` is valid for writing.
    if unsafe { libc::fstatfs(held.as_raw_fd(), &raw mut about) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(REMOTE_MAGIC.contains(&(about.f_type as u32)))
}

/// Opens for reading what is held, if it is a regular file of this host.
fn regular(held: &OwnedFd) -> io::Result<File> {
    if is_remote(held)? {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let link = format!("/proc/self/fd/{}", held.as_raw_fd());
    if !std::fs::metadata(&link)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(link)
}

fn read_facts(file: &File) -> Option<ElfFacts> {
    let metadata = file.metadata().ok()?;
    let facts = elf_facts::read(|offset, length| {
        let mut bytes = vec![0; length];
        let mut got = 0;
        while got < length {
            match file.read_at(&mut bytes[got..], offset + got as u64) {
                Ok(0) | Err(_) => break,
                Ok(more) => got += more,
            }
        }
        bytes.truncate(got);
        bytes
    });
    // No ELF file (an image of a virtual machine, a .jar): still told apart by size and inode.
    let facts =
        facts.unwrap_or_else(|| ElfFacts { build_id: BuildId::default(), ..ElfFacts::default() });
    Some(ElfFacts {
        file_bytes: metadata.len(),
        dev: (libc::major(metadata.dev()), libc::minor(metadata.dev())),
        inode: metadata.ino(),
        ..facts
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_this_host_are_opened() {
        assert!(regular(&hold("/proc/version").unwrap()).is_ok());
        let folder = regular(&hold("/proc/self").unwrap()).map(|_| ());
        assert_eq!(folder.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(!is_remote(&hold("/proc/version").unwrap()).unwrap());
    }

    #[test]
    fn another_file_at_the_same_range_is_not_taken() {
        let facts = ElfFacts { inode: 5, ..ElfFacts::default() };
        let inode = |inode| Identity { inode, ..Identity::NONE };
        assert!(may_be_the_mapped_one(inode(5), &facts));
        assert!(!may_be_the_mapped_one(inode(6), &facts));
        assert!(may_be_the_mapped_one(Identity::NONE, &facts), "not known");
    }
}
