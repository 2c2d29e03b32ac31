//! What `capture` says: what it records, the live line, and at the end what came of it and what it cost.

use std::fmt;
use std::time::Duration;

use profile::{Cost, CpuLedger, DropCause};

use crate::options::Options;
use crate::session::Progress;

/// The first line on a terminal.
pub(crate) fn announce(options: &Options, targets: &[u32]) -> String {
    let what = target(options, targets);
    let stop = match options.duration {
        Some(duration) => format!("for {} s", duration.as_secs_f64()),
        None if options.all => "until Ctrl-C".to_owned(),
        None => "until it ends or Ctrl-C".to_owned(),
    };
    format!("recording {what} at {} Hz, {stop}", options.frequency_hz)
}

fn target(options: &Options, pids: &[u32]) -> String {
    if options.all {
        return "all processes".to_owned();
    }
    if let Some(command) = options.command.first() {
        return command.to_string_lossy().escape_debug().to_string();
    }
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    format!("process {}", pids.join(", "))
}

/// Time, samples, losses, bytes.
pub(crate) fn live_line(seconds: u64, progress: &Progress) -> String {
    let sum = progress.sum();
    format!(
        "{seconds} s  {} samples  {} lost  {}",
        grouped(sum.fired - sum.dropped_total().min(sum.fired)),
        grouped(sum.dropped_total()),
        size(progress.bytes)
    )
}

/// The end of a recording, as printed.
pub(crate) struct Summary<'a> {
    pub(crate) options: &'a Options,
    /// Recording had to stop.
    pub(crate) failed: bool,
    pub(crate) progress: &'a Progress,
    pub(crate) recorded: Duration,
    pub(crate) start_up: Duration,
    pub(crate) end: Duration,
    /// Our cost when sampling began, and when it ended.
    pub(crate) cost_at_start: Cost,
    pub(crate) cost_at_end: Cost,
    pub(crate) remarks: &'a [String],
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = self.progress.sum();
        let period_ns = 1_000_000_000 / u64::from(self.options.frequency_hz);
        writeln!(
            f,
            "recorded {} samples ({:.2} s of CPU time) in {:.1} s at {} Hz; {}",
            grouped(sum.written),
            (sum.written * period_ns) as f64 / 1e9,
            self.recorded.as_secs_f64(),
            self.options.frequency_hz,
            losses(&sum)
        )?;
        let mut sentences = vec![coverage(&sum, period_ns)];
        if self.progress.sideband_lost > 0 {
            sentences.push(format!(
                "{} records of mappings and processes lost",
                grouped(self.progress.sideband_lost)
            ));
        }
        if self.progress.follow_failed > 0 {
            let children = grouped(self.progress.follow_failed);
            sentences.push(format!("{children} children not followed: too many processes"));
        }
        sentences.extend(self.remarks.iter().cloned());
        writeln!(f, "{}", sentences.join("; "))?;
        if !self.progress.run_time_code.is_empty() {
            writeln!(f, "{}", self.progress.run_time_code)?;
        }
        if let Some(embedded) = &self.progress.embedded {
            writeln!(f, "{embedded}")?;
        }
        writeln!(f, "{}", self.own_cost())?;
        let path = self.options.output.display().to_string();
        let mut bytes = size(self.progress.bytes);
        if sum.written > 0 {
            let per_sample = self.progress.bytes as f64 / sum.written as f64;
            bytes.push_str(&format!(", {per_sample:.1} bytes a sample"));
        }
        if path == "-" {
            return writeln!(f, "written to standard output: {bytes}");
        }
        writeln!(
            f,
            "{path}: {bytes}{}\nnext: analyze {}",
            if self.failed { "; INCOMPLETE" } else { "" },
            quoted(&path)
        )
    }
}

impl Summary<'_> {
    fn own_cost(&self) -> String {
        let cpu_ms = |cost: &Cost| (cost.user_ns + cost.system_ns) as f64 / 1e6;
        let steady_ms = cpu_ms(&self.cost_at_end) - cpu_ms(&self.cost_at_start);
        let seconds = self.recorded.as_secs_f64().max(1e-3);
        let bpf = if self.progress.cost.bpf_runs > 0 {
            format!(
                "BPF {:.2} µs a tick",
                self.progress.cost.bpf_ns as f64 / self.progress.cost.bpf_runs as f64 / 1000.0
            )
        } else {
            "BPF time not measured (sysctl kernel.bpf_stats_enabled=1 would)".to_owned()
        };
        format!(
            "cost: start {:.0} ms, then {:.2} ms of CPU a second, end {:.0} ms; {:.1} MiB peak; {bpf}",
            self.start_up.as_secs_f64() * 1e3,
            steady_ms / seconds,
            self.end.as_secs_f64() * 1e3,
            self.progress.cost.peak_rss_bytes as f64 / f64::from(1 << 20),
        )
    }
}

fn losses(sum: &CpuLedger) -> String {
    let causes: Vec<String> = DropCause::ALL
        .into_iter()
        .zip(sum.dropped)
        .filter(|(_, lost)| *lost > 0)
        .map(|(cause, lost)| format!("{} {}", grouped(lost), cause.describe()))
        .collect();
    if causes.is_empty() { "none lost".to_owned() } else { format!("LOST {}", causes.join(", ")) }
}

fn coverage(sum: &CpuLedger, period_ns: u64) -> String {
    match sum.coverage(period_ns) {
        Some(share) => format!("ticks cover {:.1} % of the time the CPUs were busy", share * 100.0),
        None => "too few ticks to say what share of them came".to_owned(),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{} bytes", grouped(bytes)),
        10_000..10_000_000 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

/// As a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_sizes_short() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123_456), "123,456");
        assert_eq!(size(9_999), "9,999 bytes");
        assert_eq!(size(20_480), "20 KiB");
    }

    #[test]
    fn losses_are_named_by_cause() {
        let mut sum = CpuLedger::default();
        assert_eq!(losses(&sum), "none lost");
        sum.dropped[DropCause::RingFull as usize] = 1200;
        sum.dropped[DropCause::BadRecord as usize] = 1;
        assert_eq!(losses(&sum), "LOST 1,200 ring buffer full, 1 bad record");
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_split_it() {
        assert_eq!(quoted("run.arc"), "run.arc");
        assert_eq!(quoted("it's.arc"), "'it'\\''s.arc'");
    }
}
