//! An archive is its owner's alone and holds nothing of the target's memory.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use profile::KeptValue;
use rayon::iter::ParallelIterator as _;

use crate::recording::*;

#[test]
fn the_archive_is_the_owners_alone() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let mut recorder = capture();
    recorder.env("SUDO_UID", "65534").env("SUDO_GID", "65534");
    succeed(recorder.args(["-a", "-d", "0.1", "-o"]).arg(&path));
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o600);
    assert_eq!((metadata.uid(), metadata.gid()), (65534, 65534));
}

/// All frames of an archive, decompressed, as `zstd -dc` gives them.
fn decompressed(path: &Path) -> Vec<u8> {
    succeed(Command::new("zstd").arg("-dc").arg(path)).stdout
}

#[test]
fn a_secret_in_the_targets_memory_is_not_in_the_archive() {
    let secret: String = {
        let mut bytes = [0u8; 32];
        fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    };
    let dir = dir();
    let c = program(dir.path(), "secret", &["-O2", "-fomit-frame-pointer"]);
    let script = "
import sys, time, hashlib, json
secret = sys.stdin.readline().strip()
def use(depth, secret):
    copy = ''.join(list(secret))
    if depth: return use(depth - 1, copy)
    return hashlib.sha256(json.dumps([copy] * 20).encode()).hexdigest()
end = time.process_time() + 2
while time.process_time() < end: use(20, secret)
";
    let commands = [vec![c.to_str().unwrap(), "2"], vec!["python3", "-c", script]];
    for (unwind, command) in ["auto", "fp", "dwarf"]
        .into_iter()
        .flat_map(|unwind| commands.iter().map(move |c| (unwind, c)))
    {
        let path = dir.path().join("run.arc");
        let mut recorder = capture();
        recorder.args(["--force", "-F", "1999", "--unwind", unwind, "-o"]).arg(&path);
        recorder.arg("--").args(command).stdin(Stdio::piped()).stderr(Stdio::null());
        let mut recorder = recorder.spawn().unwrap();
        recorder.stdin.take().unwrap().write_all(format!("{secret}\n").as_bytes()).unwrap();
        assert!(recorder.wait().unwrap().success());
        let recorded = read(&path);
        assert!(recorded.times_ns.len() > 2000, "{unwind}: {} samples", recorded.times_ns.len());
        assert_no_piece(&secret, &decompressed(&path), &recorded);
    }
}

/// In what the archive says there is no piece of eight bytes of a secret.
fn assert_no_piece(secret: &str, content: &[u8], recorded: &Recorded) {
    let mut values: BTreeSet<u64> =
        recorded.archive.tables().nodes.iter().map(|(_, node)| node.address).collect();
    for block in recorded.archive.slice_blocks().collect::<Vec<_>>() {
        block.unwrap().for_each(|_, slice| {
            values.extend(slice.kept.iter().map(|kept| match kept.value {
                KeptValue::Code { address, .. } => address,
                KeptValue::Stack(distance) => distance,
            }));
        });
    }
    for piece in secret.as_bytes().windows(8) {
        let reversed: Vec<u8> = piece.iter().rev().copied().collect();
        for piece in [piece, &reversed] {
            let found = content.windows(8).any(|w| w == piece);
            assert!(!found, "{} is in the archive", String::from_utf8_lossy(piece));
        }
        // A word in a column is a varint, and relative to another: look at what it means.
        let word = u64::from_le_bytes(piece.try_into().unwrap());
        assert!(!values.contains(&word) && !values.contains(&word.swap_bytes()));
    }
}
