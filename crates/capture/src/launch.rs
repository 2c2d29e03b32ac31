//! Starts a command that waits until we are ready, so that not one tick of it is missed.
#![allow(unsafe_code)] // fork(2), execvp(3), waitpid(2)

use std::ffi::{CString, OsString};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use crate::error::Error;
use crate::wait::{EndSignals, process_fd};

/// A command that was forked, and is released when recording is on.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) pid: u32,
    /// Readable when it ended.
    pub(crate) process: OwnedFd,
    /// A signal was passed on to it.
    pub(crate) was_asked_to_end: bool,
    go: Option<io::PipeWriter>,
    exec_error: io::PipeReader,
}

impl Launched {
    /// Forks. The child does nothing until [`Launched::release`].
    ///
    /// With `stdout_is_taken` the archive goes to standard output, and what the command prints there
    /// goes to standard error: it would stand inside the archive.
    pub(crate) fn fork(
        command: &[OsString],
        signals: &EndSignals,
        stdout_is_taken: bool,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Launch {
            command: command.first().map_or_else(String::new, |c| c.to_string_lossy().into_owned()),
            source,
        };
        let arguments: Result<Vec<CString>, _> =
            command.iter().map(|word| CString::new(word.as_bytes())).collect();
        let arguments = arguments.map_err(|e| failed(e.into()))?;
        let mut pointers: Vec<*const libc::c_char> = arguments.iter().map(|a| a.as_ptr()).collect();
        pointers.push(std::ptr::null());
        let (mut wait_for_go, go) = io::pipe().map_err(failed)?;
        let (exec_error, mut say_error) = io::pipe().map_err(failed)?;

        // SAFETY: this process has one thread, so that the child's copy of it is whole.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => Err(failed(io::Error::last_os_error())),
            0 => {
                drop(go);
                if wait_for_go.read_exact(&mut [0]).is_err() {
                    exit_at_once(125); // capture has failed
                }
                if stdout_is_taken {
                    // SAFETY: both numbers are descriptors or fail; nothing else is touched.
                    unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) };
                }
                let error = exec(&pointers, signals);
                let errno = error.raw_os_error().unwrap_or(0);
                // The parent knows from the pipe; if it has gone, nobody asks.
                let _ = say_error.write_all(&errno.to_ne_bytes());
                exit_at_once(exit_status_of_exec(errno));
            }
            pid => {
                let pid = pid as u32;
                let process = process_fd(pid).map_err(failed)?;
                Ok(Self { pid, process, was_asked_to_end: false, go: Some(go), exec_error })
            }
        }
    }

    /// Lets the command run; returns when it does, or why it cannot.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        if let Some(mut go) = self.go.take() {
            go.write_all(&[1])?;
        }
        let mut errno = [0; 4];
        match self.exec_error.read_exact(&mut errno) {
            // The pipe closes with a successful exec.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(e) => Err(e),
            Ok(()) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
        }
    }

    /// Waits until it has ended; returns its wait status.
    pub(crate) fn wait(&self) -> i32 {
        let mut status = 0;
        loop {
            // SAFETY: `status` is valid for writing.
            let result = unsafe { libc::waitpid(self.pid as libc::pid_t, &raw mut status, 0) };
            if result >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return status;
            }
        }
    }
}

fn exec(arguments: &[*const libc::c_char], signals: &EndSignals) -> io::Error {
    // SAFETY: `arguments` are NUL-terminated strings and a null pointer at the end, all alive; the
    // signal mask was filled by sigprocmask.
    unsafe {
        // Rust ignores SIGPIPE and we SIGXFSZ, and ignored signals stay ignored across exec.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const signals.mask_before, std::ptr::null_mut());
        libc::execvp(arguments[0], arguments.as_ptr());
    }
    io::Error::last_os_error()
}

fn exit_at_once(status: i32) -> ! {
    // SAFETY: ends the process without running anything of the parent's.
    unsafe { libc::_exit(status) }
}

/// As env(1): 127 not found, 126 found but not executable.
pub(crate) fn exit_status_of_exec(errno: i32) -> i32 {
    if errno == libc::ENOENT { 127 } else { 126 }
}

/// As shells report it: the status, or 128 and the signal.
pub(crate) fn exit_status_of_wait(status: i32) -> i32 {
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_passed_on_as_shells_do() {
        assert_eq!(exit_status_of_wait(3 << 8), 3);
        assert_eq!(exit_status_of_wait(9), 137);
        assert_eq!(exit_status_of_wait(11 | 0x80), 139, "with a core dump");
        assert_eq!(exit_status_of_exec(libc::ENOENT), 127);
        assert_eq!(exit_status_of_exec(libc::EACCES), 126);
    }
}
