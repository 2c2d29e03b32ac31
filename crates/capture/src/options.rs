//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Parser, ValueEnum};

use crate::record::{MAX_MORE_STACKS, MAX_SLICE_BYTES};

const AFTER_HELP: &str = "\
Examples:
  capture -p 4711 -d 30 -o run.arc          one process for 30 seconds
  capture -a -o run.arc                     everything, until Ctrl-C
  capture -o run.arc -- make -j8            a command and its children
  ssh host sudo capture -a -d 10 -o - | analyze -

Then, anywhere: analyze run.arc

An archive holds addresses, mapped files and build-ids; of user code only the names that exist nowhere
else (of just-in-time compilers, from /tmp/perf-PID.map); no arguments beyond a program's own name,
no environment. Of stacks it holds code addresses and pointers into the same stack, nothing else.

Exit status: 0, or 2 with one message when recording failed. With a COMMAND its own status, 128+N
when signal N ended it, 125 when recording failed, 126 and 127 when it cannot be started.";

/// Record where running programs spend their CPU time, with eBPF, into one portable file
#[derive(Clone, PartialEq, Debug, Parser)]
#[command(
    name = "capture",
    version,
    after_help = AFTER_HELP,
    group = ArgGroup::new("target").required(true).args(["pids", "all", "command"])
)]
pub struct Options {
    /// Record this process: all its threads, and the children it starts from now on [repeatable]
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,

    /// Record all processes
    #[arg(short = 'a', long = "all")]
    pub all: bool,

    /// Run this command and record it with its children, until it ends
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,

    /// Where to write the archive; "-" is standard output
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: PathBuf,

    /// Samples a second on each CPU
    #[arg(short = 'F', long = "frequency", value_name = "HZ", default_value_t = 99, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub frequency_hz: u32,

    /// Stop after this time [default: at Ctrl-C, or when the target ends]
    #[arg(short = 'd', long = "duration", value_name = "SECONDS", value_parser = parse_seconds)]
    pub duration: Option<Duration>,

    /// How callers can be found later: fp records chains of frame pointers alone, dwarf also registers and
    /// the code addresses on the stack, auto does so as far as frame pointers are not to be
    /// trusted
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Unwind::Auto)]
    pub unwind: Unwind,

    /// Put into the archive what analyze needs of the modules that were hit, for hosts whose files cannot be
    /// brought: unwind is the tables that say where callers are
    #[arg(long, value_name = "WHAT", value_enum)]
    pub embed: Option<Embed>,

    /// Do not record children that the processes start
    #[arg(long, conflicts_with = "all")]
    pub no_inherit: bool,

    /// Replace the output if it exists
    #[arg(long)]
    pub force: bool,

    /// Size of the sample ring, a power of two of pages
    #[arg(long, hide = true, value_name = "BYTES", default_value_t = 512 << 10, value_parser = parse_ring_bytes)]
    pub ring_bytes: u32,
}

/// What is recorded for finding callers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Unwind {
    /// A small slice of each stack, a deep one where the chain of frame pointers is not to be trusted.
    Auto,
    /// Chains of frame pointers alone.
    Fp,
    /// A deep slice of each stack.
    Dwarf,
}

/// What of the modules goes into the archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Embed {
    /// `.eh_frame`, `.eh_frame_hdr` and `.debug_frame`, once a build.
    Unwind,
}

impl Unwind {
    /// What frame pointers skip at the leaf lies in this: frames of leaves and of the C library's wrappers
    /// are small.
    const SMALL_SLICE_BYTES: u32 = 2048;
    /// Deeper stacks are cut.
    const DEEP_SLICE_BYTES: u32 = (1 + MAX_MORE_STACKS) * MAX_SLICE_BYTES;

    /// Most bytes of stack to look at: of every sample, and where its chain is not to be trusted.
    #[must_use]
    pub(crate) fn slice_bytes(self) -> (u32, u32) {
        match self {
            Self::Auto => (Self::SMALL_SLICE_BYTES, Self::DEEP_SLICE_BYTES),
            Self::Fp => (0, 0),
            Self::Dwarf => (Self::DEEP_SLICE_BYTES, Self::DEEP_SLICE_BYTES),
        }
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("expected more than zero seconds".to_owned()),
    }
}

fn parse_ring_bytes(text: &str) -> Result<u32, String> {
    let bytes: u32 = text.parse().map_err(|_| "expected a number of bytes".to_owned())?;
    let page = crate::host::page_bytes() as u32;
    if bytes.is_power_of_two() && (page..=1 << 26).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("expected a power of two from {page} to 64 MiB"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(words.split(' '))
    }

    #[test]
    fn one_kind_of_target_is_needed() {
        assert_eq!(parse("capture -p 1 -p 2 -o x").unwrap().pids, [1, 2]);
        assert!(parse("capture -a -o x").unwrap().all);
        let command = parse("capture -o x -F 199 -- sleep -d 1").unwrap();
        assert_eq!(command.command, ["sleep", "-d", "1"]);
        assert_eq!((command.frequency_hz, command.duration), (199, None));
        for wrong in ["capture -o x", "capture -a", "capture -a -p 1 -o x", "capture -p 0 -o x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("capture -p 1 2 -o x").is_err(), "an option swallows no positional");
    }

    #[test]
    fn durations_are_positive_and_rates_bounded() {
        let duration = parse("capture -a -o x -d 0.5").unwrap().duration;
        assert_eq!(duration, Some(Duration::from_millis(500)));
        for wrong in ["-d 0", "-d -1", "-d x", "-d NaN", "-F 0", "-F 100000"] {
            assert!(parse(&format!("capture -a -o x {wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Options::command().debug_assert();
    }
}
