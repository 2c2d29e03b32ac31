//! What /proc tells of one process. Everything may fail at any time: the process may be gone.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;

use profile::Text;

use crate::host;
use crate::lines::for_each_line;

/// Longest file of a process that we take in; `maps` is read in pieces instead.
const MAX_BYTES: u64 = 64 << 10;

fn read(pid: u32, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/{name}")).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Birth, parent, and whether it still lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stat {
    /// `CLOCK_MONOTONIC`, to a clock tick (10 ms).
    pub(crate) start_ns: u64,
    pub(crate) parent: u32,
    /// Any of its threads runs or can run: a process lives on when its first thread has ended.
    pub(crate) alive: bool,
}

/// Reads `/proc/PID/stat`.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&read(pid, "stat")?, host::clock_ticks_hz(), host::suspended_ns())
}

fn parse_stat(text: &[u8], ticks_hz: u64, suspended_ns: u64) -> Option<Stat> {
    // The name stands in parentheses and may contain any character, also ") ".
    let after = text.iter().rposition(|b| *b == b')')? + 1;
    let text = std::str::from_utf8(&text[after..]).ok()?;
    let mut fields = text.split_ascii_whitespace(); // the first is field 3, the state
    let ended = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let threads: u32 = fields.nth(20 - 5)?.parse().ok()?;
    let ticks: u64 = fields.nth(1)?.parse().ok()?;
    let since_boot_ns = (u128::from(ticks) * 1_000_000_000 / u128::from(ticks_hz.max(1))) as u64;
    let start_ns = since_boot_ns.saturating_sub(suspended_ns);
    // The first thread counts until the last one has ended.
    Some(Stat { start_ns, parent, alive: !ended || threads > 1 })
}

/// The first word of the command line, and nothing further: arguments hold passwords. A program that
/// overwrites its command line leaves no NUL behind its name, hence also a blank ends it.
pub(crate) fn argv0(pid: u32) -> Text {
    let mut bytes = vec![0; 512];
    let got = File::open(format!("/proc/{pid}/cmdline")).and_then(|mut f| f.read(&mut bytes));
    bytes.truncate(got.unwrap_or(0));
    Text::from(first_word(&bytes))
}

fn first_word(command_line: &[u8]) -> &[u8] {
    let end = command_line.iter().position(|b| *b == 0 || b.is_ascii_whitespace());
    &command_line[..end.unwrap_or(command_line.len())]
}

/// What `/proc/PID/status` tells of a process or thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Status {
    /// The process it belongs to.
    pub(crate) process: u32,
    /// Its pid in its innermost PID namespace; 0 unknown.
    pub(crate) innermost_pid: u32,
    pub(crate) effective_uid: u32,
}

/// Reads `/proc/PID/status`.
pub(crate) fn status(pid: u32) -> Option<Status> {
    let text = read(pid, "status")?;
    let field = |name: &[u8]| text.split(|b| *b == b'\n').find_map(|l| l.strip_prefix(name));
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.trim().parse().ok();
    let innermost = field(b"NSpid:").and_then(|ids| number(ids.rsplit(|b| *b == b'\t').next()?));
    // "Uid:", then real, effective, saved and file system's, each behind a tab.
    let effective_uid = field(b"Uid:")?.split(|b| *b == b'\t').nth(2)?;
    Some(Status {
        process: number(field(b"Tgid:")?)?,
        innermost_pid: innermost.unwrap_or(0),
        effective_uid: number(effective_uid)?,
    })
}

/// Path in the version 2 hierarchy of control groups; empty when unknown.
pub(crate) fn cgroup_path(pid: u32) -> Text {
    let text = read(pid, "cgroup").unwrap_or_default();
    let path = text.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"0::"));
    Text::from(path.unwrap_or_default())
}

/// "mnt:[4026531841]"; empty when unknown.
pub(crate) fn mount_namespace(pid: u32) -> Text {
    link(pid, "ns/mnt")
}

/// Path of the program, as the process sees it; empty when unknown or for kernel threads.
pub(crate) fn exe(pid: u32) -> Text {
    link(pid, "exe")
}

fn link(pid: u32, name: &str) -> Text {
    let target = std::fs::read_link(format!("/proc/{pid}/{name}"));
    target.map(|target| Text::from(target.as_os_str().as_bytes())).unwrap_or_default()
}

/// Calls `sink` with every line of `/proc/PID/maps`; `false` when there is none (no such process, or
/// one without an address space).
pub(crate) fn for_each_maps_line(pid: u32, mut sink: impl FnMut(&[u8])) -> bool {
    let Ok(file) = File::open(format!("/proc/{pid}/maps")) else { return false };
    let mut any = false;
    // One that goes while it is read: what came is true.
    let _ = for_each_line(file, 16 << 10, |line| {
        any = true;
        sink(line);
    });
    any
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_birth_is_found_behind_a_name_with_parentheses() {
        let line = b"42 (a) b ) R 7 42 42 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 500 0 0";
        let stat = parse_stat(line, 100, 1_000_000_000).unwrap();
        assert_eq!(stat, Stat { start_ns: 4_000_000_000, parent: 7, alive: true });
        assert_eq!(parse_stat(b"42 (a", 100, 0), None);
    }

    #[test]
    fn a_process_lives_as_long_as_any_of_its_threads() {
        let alive = |state: &str, threads: u32| {
            let line =
                format!("42 (a) {state} 7 42 42 0 -1 4 1 0 0 0 1 2 0 0 20 0 {threads} 0 500 0");
            parse_stat(line.as_bytes(), 100, 0).unwrap().alive
        };
        assert!(alive("S", 1) && alive("Z", 2));
        assert!(!alive("Z", 1) && !alive("X", 1));
    }

    #[test]
    fn nothing_behind_the_first_word_is_taken() {
        assert_eq!(first_word(b"/bin/db\0--password=secret\0"), b"/bin/db");
        assert_eq!(first_word(b"postgres: user secret"), b"postgres:");
        assert_eq!(first_word(b""), b"");
    }

    #[test]
    fn this_process_is_found() {
        let me = std::process::id();
        let status = status(me).unwrap();
        assert_eq!(status.process, me);
        assert_eq!(status.effective_uid, std::fs::metadata("/proc/self").unwrap().uid());
        assert!(stat(me).unwrap().start_ns > 0);
        assert_eq!(stat(me), stat(me), "a birth is the same whenever it is asked for");
        assert!(exe(me).0.starts_with(b"/"));
        let mut lines = 0;
        assert!(for_each_maps_line(me, |line| {
            assert!(crate::maps::parse_line(line).is_some(), "{}", String::from_utf8_lossy(line));
            lines += 1;
        }));
        assert!(lines > 5);
    }
}
