//! An archive is its owner's alone and holds nothing of the target's memory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

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
end = time.process_time() + 3
while time.process_time() < end: use(20, secret)
";
    for command in [vec![c.to_str().unwrap(), "3"], vec!["python3", "-c", script]] {
        let path = dir.path().join("run.arc");
        let mut recorder = capture();
        recorder.args(["--force", "-F", "1999", "-o"]).arg(&path).arg("--").args(&command);
        let mut recorder = recorder.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        recorder.stdin.take().unwrap().write_all(format!("{secret}\n").as_bytes()).unwrap();
        assert!(recorder.wait().unwrap().success());
        let recorded = read(&path);
        assert!(recorded.times_ns.len() > 3000);
        let content = decompressed(&path);
        for piece in secret.as_bytes().windows(8) {
            let reversed: Vec<u8> = piece.iter().rev().copied().collect();
            for piece in [piece, &reversed] {
                let found = content.windows(8).any(|w| w == piece);
                assert!(!found, "{} is in the archive", String::from_utf8_lossy(piece));
            }
            // A word in a column is a varint, and relative to its parent: look at what it means.
            let word = u64::from_le_bytes(piece.try_into().unwrap());
            let tables = recorded.archive.tables();
            assert!(
                tables
                    .nodes
                    .iter()
                    .all(|(_, n)| n.address != word && n.address != word.swap_bytes())
            );
        }
    }
}
