//! What the host says of itself, and what we cost it: clocks, names, CPUs, our own resource use.
#![allow(unsafe_code)] // clock_gettime, sysconf, uname, getrusage, getauxval

use std::io;
use std::sync::OnceLock;

use profile::{Clock, Cost, Text};

/// Reads one clock, in nanoseconds.
fn clock_ns(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing; the clocks asked for exist on every supported kernel.
    unsafe {
        libc::clock_gettime(id, &raw mut time);
    }
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// `CLOCK_MONOTONIC`: the time base of every sample.
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// The three clocks, read right after another.
pub(crate) fn clock() -> Clock {
    Clock {
        monotonic_ns: monotonic_ns(),
        realtime_ns: clock_ns(libc::CLOCK_REALTIME),
        boottime_ns: clock_ns(libc::CLOCK_BOOTTIME),
    }
}

/// How long the machine was suspended since boot, as of the first call. It is the same whenever it is
/// asked for, as the birth of a process has to be: two clocks never read alike twice.
pub(crate) fn suspended_ns() -> u64 {
    static SUSPENDED: OnceLock<u64> = OnceLock::new();
    *SUSPENDED.get_or_init(|| {
        let clock = clock();
        clock.boottime_ns.saturating_sub(clock.monotonic_ns)
    })
}

fn sysconf(name: libc::c_int, otherwise: usize) -> usize {
    // SAFETY: takes a number, returns a number.
    let value = unsafe { libc::sysconf(name) };
    usize::try_from(value).unwrap_or(otherwise)
}

/// Size of a page.
pub(crate) fn page_bytes() -> usize {
    static PAGE: OnceLock<usize> = OnceLock::new();
    *PAGE.get_or_init(|| sysconf(libc::_SC_PAGESIZE, 4096))
}

/// Ticks a second of times in /proc/PID/stat.
pub(crate) fn clock_ticks_hz() -> u64 {
    sysconf(libc::_SC_CLK_TCK, 100) as u64
}

/// `uname`: (node name, release, machine).
pub(crate) fn uname() -> (Text, Text, Text) {
    // SAFETY: all-zero bytes are a valid utsname.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `names` is valid for writing.
    unsafe {
        libc::uname(&raw mut names);
    }
    let text = |field: &[libc::c_char]| {
        let bytes: Vec<u8> = field.iter().map(|c| *c as u8).take_while(|b| *b != 0).collect();
        Text::from(bytes)
    };
    (text(&names.nodename), text(&names.release), text(&names.machine))
}

/// CPU time and peak memory of this process so far.
pub(crate) fn own_cost() -> Cost {
    // SAFETY: all-zero bytes are a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is valid for writing.
    unsafe {
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
    }
    let ns = |t: libc::timeval| t.tv_sec as u64 * 1_000_000_000 + t.tv_usec as u64 * 1000;
    Cost {
        user_ns: ns(usage.ru_utime),
        system_ns: ns(usage.ru_stime),
        bpf_ns: 0,
        bpf_runs: 0,
        peak_rss_bytes: usage.ru_maxrss as u64 * 1024,
    }
}

/// Random bytes from the kernel.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: `bytes` is valid for writing N bytes.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    if got == N as isize { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}

/// Whether we see the pids that BPF programs and perf events of the whole host see.
pub(crate) fn in_initial_pid_namespace() -> bool {
    // PROC_PID_INIT_INO of include/linux/proc_ns.h, the same on every boot.
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|l| l.as_os_str() == "pid:[4026531836]")
}

/// A list of CPUs as /sys states it: "0-3,8".
pub(crate) fn parse_cpu_list(text: &str) -> Vec<u32> {
    /// More CPUs than any kernel can be built for: bounds what a broken file makes us allocate.
    const CAP: u32 = 1 << 16;
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            cpus.extend(first..=last.min(CAP));
        }
    }
    cpus
}

/// CPUs that are online now.
pub(crate) fn online_cpus() -> io::Result<Vec<u32>> {
    Ok(parse_cpu_list(&std::fs::read_to_string("/sys/devices/system/cpu/online")?))
}

/// How many CPUs there can ever be: the length of a per-CPU value.
pub(crate) fn possible_cpus() -> io::Result<usize> {
    let list = parse_cpu_list(&std::fs::read_to_string("/sys/devices/system/cpu/possible")?);
    Ok(list.iter().max().map_or(1, |last| *last as usize + 1))
}

/// A whole number in a file of /proc/sys.
pub(crate) fn sysctl(name: &str) -> Option<i64> {
    std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

/// The vDSO's image as it stands in our own memory; the same for every 64-bit process of this boot.
/// `bytes` is what another process's mapping of it is long.
pub(crate) fn vdso_image(bytes: usize) -> Option<Vec<u8>> {
    // SAFETY: takes a number, returns a number.
    let start = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    let (own_start, own_end) = own_vdso_range()?;
    if start == 0 || start != own_start || own_end - own_start < bytes as u64 {
        return None;
    }
    // SAFETY: [start, start + bytes) lies in our own vDSO mapping (compared above), which is
    // readable and lives as long as the process.
    let image = unsafe { std::slice::from_raw_parts(start as *const u8, bytes) };
    Some(image.to_vec())
}

fn own_vdso_range() -> Option<(u64, u64)> {
    let maps = std::fs::read("/proc/self/maps").ok()?;
    let line = maps.split(|b| *b == b'\n').find(|l| l.ends_with(b"[vdso]"))?;
    let entry = crate::maps::parse_line(line)?;
    Some((entry.start, entry.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_cpu_list("0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(parse_cpu_list("0"), [0]);
        assert_eq!(parse_cpu_list("\n"), []);
        assert!(parse_cpu_list("0-4294967295").len() <= (1 << 16) + 1);
    }
}
