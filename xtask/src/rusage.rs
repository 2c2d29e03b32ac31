//! Runs a program to its end and takes the kernel's own accounting of it.

#![allow(unsafe_code)] // wait4 has no safe wrapper that returns the usage

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// What one run cost.
pub struct Usage {
    /// User and system time of the process and of the children it waited for.
    pub cpu: Duration,
    /// From start to end.
    pub wall: Duration,
    /// Largest resident size.
    pub peak_rss_kib: u64,
}

/// Runs `command`, its output thrown away; an error when it fails.
pub fn measure(command: &mut Command) -> Result<Usage> {
    let (status, usage) = run(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(usage)
}

/// Runs `command`, however it ends.
pub fn run(command: &mut Command) -> Result<(ExitStatus, Usage)> {
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let mut status = 0;
    // SAFETY: rusage is plain data, for which zeros are a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pid is our own child's, which nobody else waits for; both pointers are live.
    let waited = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage) };
    let wall = start.elapsed();
    if waited < 0 {
        bail!("wait4: {}", std::io::Error::last_os_error());
    }
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    let usage = Usage {
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        wall,
        peak_rss_kib: usage.ru_maxrss as u64,
    };
    Ok((ExitStatus::from_raw(status), usage))
}
