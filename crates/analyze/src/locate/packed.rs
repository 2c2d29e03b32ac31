//! Files packed into one, which are read unpacked only.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Where a tar archive says that it is one.
const TAR_MAGIC_AT: usize = 257;
const TAR_MAGIC: &[u8] = b"ustar";

/// Whether a file that begins so is a tar archive, or compressed as those are: `perf archive` writes
/// `perf.data.tar.bz2`.
#[must_use]
pub fn is_packed(head: &[u8]) -> bool {
    let compressed: [&[u8]; 2] = [b"BZh", b"\xfd7zXZ"];
    compressed.iter().any(|magic| head.starts_with(magic))
        || head.get(TAR_MAGIC_AT..).is_some_and(|rest| rest.starts_with(TAR_MAGIC))
}

/// The same of a file, also of one compressed with gzip.
#[must_use]
pub fn is_packed_file(path: &Path) -> bool {
    let mut head = Vec::new();
    let most = (TAR_MAGIC_AT + TAR_MAGIC.len()) as u64;
    let is_file = std::fs::metadata(path).is_ok_and(|file| file.is_file());
    is_file
        && File::open(path).and_then(|file| file.take(most).read_to_end(&mut head)).is_ok()
        && (is_packed(&head) || head.starts_with(&[0x1f, 0x8b]))
}
