//! What can keep us from recording: each with its cause and the next step.

use std::io;
use std::path::PathBuf;

use crate::bpf_object::ObjectError;

/// Why a recording could not be made, or not be finished. The text is meant for the user as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// bpf(2) refused for lack of capabilities.
    #[error(
        "not permitted to load BPF programs ({0})\n\
         capture needs the capabilities CAP_BPF and CAP_PERFMON: run it with sudo"
    )]
    BpfNotPermitted(io::Error),
    /// The kernel lacks something we cannot do without.
    #[error(
        "this kernel ({release}) is too old or built without {what}\ncapture needs Linux 5.8 or newer"
    )]
    KernelTooOld {
        /// `uname -r`.
        release: String,
        /// What is missing.
        what: &'static str,
    },
    /// The verifier refused a program: a kernel that we have not met.
    #[error("the kernel refused the BPF program `{program}` ({source})\n{log}")]
    BpfRefused {
        /// Which.
        program: &'static str,
        /// errno.
        source: io::Error,
        /// End of the verifier's log.
        log: String,
    },
    /// Another call of bpf(2) failed.
    #[error("bpf: {what}: {source}")]
    Bpf {
        /// What was tried.
        what: &'static str,
        /// errno.
        source: io::Error,
    },
    /// The embedded object is broken.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// perf_event_open(2) refused for lack of capabilities.
    #[error(
        "not permitted to open perf events of the whole machine ({source}; \
         kernel.perf_event_paranoid is {paranoid})\n\
         capture needs the capability CAP_PERFMON: run it with sudo"
    )]
    PerfNotPermitted {
        /// errno.
        source: io::Error,
        /// The sysctl, or "not readable".
        paranoid: String,
    },
    /// Another perf event call failed.
    #[error("perf events: {what}: {source}")]
    Perf {
        /// What was tried.
        what: &'static str,
        /// errno.
        source: io::Error,
    },
    /// Rings could not be mapped.
    #[error(
        "not enough locked memory for the ring buffers ({0})\n\
         raise kernel.perf_event_mlock_kb or `ulimit -l`, or run capture with sudo"
    )]
    RingMemory(io::Error),
    /// A rate that the kernel would throttle.
    #[error(
        "-F {asked} is more than the kernel permits\n\
         kernel.perf_event_max_sample_rate is {limit}: ask for at most that, or raise it"
    )]
    RateTooHigh {
        /// Hz.
        asked: u32,
        /// Hz.
        limit: u32,
    },
    /// A pid of `-p`.
    #[error("there is no process {0}\n`ps -e` lists those that are running")]
    NoSuchProcess(u32),
    /// A tid was given where a process is meant.
    #[error("{tid} is a thread of process {pid}\nrecord the process: -p {pid}")]
    IsThread {
        /// What was given.
        tid: u32,
        /// Its process.
        pid: u32,
    },
    /// Inside a container's PID namespace our pids are not the kernel's.
    #[error(
        "capture runs in a PID namespace of its own and would mistake processes for others\n\
         run it on the host, or in a container that shares the host's PIDs (--pid=host)"
    )]
    PidNamespace,
    /// The output exists.
    #[error("{} exists already\nchoose another -o, or replace it with --force", .0.display())]
    OutputExists(PathBuf),
    /// The output is something that must not be replaced.
    #[error("{} is not a regular file\nchoose another -o", .0.display())]
    OutputNotRegular(PathBuf),
    /// The output cannot be created.
    #[error("cannot create {}: {source}\nchoose another -o", path.display())]
    OutputNotWritable {
        /// Where.
        path: PathBuf,
        /// errno.
        source: io::Error,
    },
    /// `-o -` on a terminal.
    #[error(
        "an archive is binary data: it is not written to a terminal\nredirect it, pipe it into `analyze -`, or name a file with -o"
    )]
    OutputIsTerminal,
    /// Writing failed while recording.
    #[error("cannot write {output}: {reason}\n{advice}; what was written so far stays readable")]
    Write {
        /// Path or "standard output".
        output: String,
        /// What the system said.
        reason: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// The command could not be started.
    #[error("cannot start {command}: {source}")]
    Launch {
        /// As given.
        command: String,
        /// errno of exec or fork.
        source: io::Error,
    },
    /// Anything else that the system refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// errno.
        source: io::Error,
    },
}

impl Error {
    /// Names what was tried when a system call failed.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
