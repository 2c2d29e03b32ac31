//! Waiting for signals, rings and processes at once.
#![allow(unsafe_code)] // epoll, signalfd, pidfd_open

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel just returned this descriptor, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// How a descriptor reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trigger {
    /// As long as it is readable.
    Readable,
    /// Once for each wake-up by the kernel. A ring buffer is readable from its first record on, but
    /// wakes us only when it fills.
    WakeUp,
}

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Waiter(OwnedFd);

impl Waiter {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes flags, returns a descriptor.
        let fd = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())?;
        Ok(Self(owned(fd)))
    }

    /// Waits for this descriptor too, until it is closed.
    pub(crate) fn add(&self, fd: &impl AsFd, token: u64, trigger: Trigger) -> io::Result<()> {
        let edge = if trigger == Trigger::WakeUp { libc::EPOLLET } else { 0 };
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | edge) as u32, u64: token };
        // SAFETY: open descriptors and a valid event, which the kernel copies.
        let result = unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                fd.as_fd().as_raw_fd(),
                &raw mut event,
            )
        };
        checked(result.into()).map(|_| ())
    }

    /// Tokens of what happened within `at_most`. Being interrupted is nothing happening.
    pub(crate) fn wait(&self, at_most: Duration) -> Vec<u64> {
        const ROOM: usize = 16;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; ROOM];
        let ms = at_most.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
        // SAFETY: `events` has room for as many as stated.
        let count =
            unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), ROOM as i32, ms) };
        events[..count.max(0) as usize].iter().map(|event| event.u64).collect()
    }
}

/// A signal that asks us to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EndSignal {
    pub(crate) number: i32,
    /// From the terminal: then our whole process group has got it.
    pub(crate) from_terminal: bool,
}

/// The signals that end a recording, as a descriptor. They stay blocked for us from then on.
#[derive(Debug)]
pub(crate) struct EndSignals {
    fd: OwnedFd,
    /// As it was before, for a command we start.
    pub(crate) mask_before: libc::sigset_t,
}

impl EndSignals {
    /// Takes over SIGINT, SIGTERM and SIGHUP. An ignored SIGHUP stays so (nohup); an ignored SIGINT
    /// does not: scripts start every `capture … &` with one, and end it with `kill -INT`. SIGXFSZ
    /// is ignored, so that an output that grows too large is an error of writing.
    pub(crate) fn take() -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises `set` before it is used; all pointers are to live memory.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                let mut action = MaybeUninit::<libc::sigaction>::zeroed();
                libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
                let ignored = action.assume_init().sa_sigaction == libc::SIG_IGN;
                if !(ignored && signal == libc::SIGHUP) {
                    libc::sigaddset(set.as_mut_ptr(), signal);
                }
            }
            checked(libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr()).into())?;
            let fd = checked(
                libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into(),
            )?;
            Ok(Self { fd: owned(fd), mask_before: before.assume_init() })
        }
    }

    /// The next signal that has come.
    pub(crate) fn next(&self) -> Option<EndSignal> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let length = size_of::<libc::signalfd_siginfo>();
        // SAFETY: `info` has room for `length` bytes.
        let got = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), length) };
        if got != length as isize {
            return None;
        }
        // SAFETY: the kernel filled all of it, and any bits are valid for its integers.
        let info = unsafe { info.assume_init() };
        Some(EndSignal {
            number: info.ssi_signo as i32,
            from_terminal: info.ssi_code == libc::SI_KERNEL,
        })
    }
}

impl AsFd for EndSignals {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A descriptor that becomes readable when a process ends (Linux 5.3).
pub(crate) fn process_fd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers, returns a descriptor.
    checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) }).map(owned)
}

/// Sends a signal to the process behind a descriptor of [`process_fd`].
pub(crate) fn send_signal(process: &OwnedFd, signal: i32) {
    // SAFETY: an open descriptor and numbers; no siginfo.
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        );
    }
}
