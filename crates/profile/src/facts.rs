//! What a recording says of itself: where, when, of what, with which settings, and how it ended.

use crate::{Event, Pid, Text};

/// Facts that hold for a whole recording (restated at the start of every epoch).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordingFacts {
    /// Random; equal in all segments of one rotated recording.
    pub recording_id: [u8; 16],
    /// 0, 1, 2 … of a rotated recording.
    pub segment: u32,
    /// `uname -n`.
    pub host: Text,
    /// Tells two machines of one name apart, and overlapping recordings of one machine together.
    pub boot_id: Text,
    /// `uname -r`.
    pub kernel_release: Text,
    /// "x86_64", "aarch64".
    pub arch: Text,
    /// CPUs online at the start.
    pub cpus_online: u32,
    /// Page size.
    pub page_bytes: u32,
    /// Version of the program that recorded.
    pub tool_version: Text,
    /// How samples were taken.
    pub backend: Backend,
    /// Why not the preferred backend, for people; empty when it was.
    pub backend_reason: Text,
    /// Which part of the host was interrupted.
    pub scope: Scope,
    /// Processes asked for by `-p`, or the launched command's.
    pub target_pids: Vec<Pid>,
    /// Control group asked for.
    pub target_cgroup: Text,
    /// `-- COMMAND`: a diff compares CPU-seconds per run, not cores.
    pub launched: bool,
    /// Events; `EventId(1)` is the first.
    pub events: Vec<Event>,
    /// The three clocks at one moment at the start.
    pub clock: Clock,
    /// `kernel.perf_event_max_stack`: deeper stacks were cut.
    pub max_stack: u32,
    /// DWARF numbers of the registers that slices may hold; empty: no slices were recorded.
    pub unwind_regs: Vec<u32>,
}

/// How samples were taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// An eBPF program on perf events.
    Bpf,
    /// perf events read from their own rings.
    Perf,
}

/// Which part of the host was interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Every CPU, everything.
    PerCpuAll,
    /// Every CPU, kept only for the target processes.
    PerCpuFiltered,
    /// Only the target threads' time.
    PerTask,
    /// Only a control group.
    PerCgroup,
}

/// Three clocks read at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Clock {
    /// `CLOCK_MONOTONIC`, the time base of every sample.
    pub monotonic_ns: u64,
    /// `CLOCK_REALTIME` (Unix time).
    pub realtime_ns: u64,
    /// `CLOCK_BOOTTIME`: differs from monotonic by the time suspended.
    pub boottime_ns: u64,
}

impl Clock {
    /// Unix time of a monotonic time near this reading.
    #[must_use]
    pub fn to_realtime_ns(self, monotonic_ns: u64) -> u64 {
        if monotonic_ns >= self.monotonic_ns {
            self.realtime_ns.saturating_add(monotonic_ns - self.monotonic_ns)
        } else {
            self.realtime_ns.saturating_sub(self.monotonic_ns - monotonic_ns)
        }
    }
}

/// How a recording ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// When.
    pub at_ns: u64,
    /// Wait status of a launched command.
    pub command_status: i32,
    /// More, for people.
    pub detail: Text,
}

/// Why a recording ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndReason {
    /// `-d` was over.
    Duration,
    /// Ctrl-C, SIGTERM or SIGHUP.
    Signal,
    /// The target, or the launched command, ended.
    TargetGone,
    /// The recording goes on in the next file.
    Rotated,
    /// The output could not be written any more.
    OutputFailed,
    /// Sections were appended after the recording.
    EmbeddedLater,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_times_before_and_after_a_reading_become_unix_times() {
        let clock = Clock { monotonic_ns: 100, realtime_ns: 1_000, boottime_ns: 100 };
        assert_eq!(clock.to_realtime_ns(150), 1_050);
        assert_eq!(clock.to_realtime_ns(40), 940);
    }
}
