//! Records from start to end.

use std::io::IsTerminal as _;
use std::os::fd::OwnedFd;
use std::time::Duration;

use profile::{Cost, End, EndReason, Text};

use crate::error::Error;
use crate::host;
use crate::launch::{Launched, exit_status_of_exec, exit_status_of_wait};
use crate::narrate::narrate;
use crate::options::Options;
use crate::session::Progress;
use crate::start::{Prepared, prepare, write_error};
use crate::summary::{self, Summary};
use crate::wait::{EndSignal, EndSignals, Trigger, Waiter, process_fd, send_signal};

/// The rings are drained this often; waking up costs more than draining.
const TICK_NS: u64 = 250_000_000;
/// The first time early: what /proc tells of short-lived processes must be read while they live.
const FIRST_TICK_NS: u64 = 50_000_000;

const SIGNALS: u64 = 0;
const RINGS: u64 = 1;
const COMMAND: u64 = 2;
const FIRST_TARGET: u64 = 3;

/// Records as asked for, narrating on standard error. Returns the exit status.
///
/// # Errors
/// When nothing could be recorded, or recording had to stop. What was recorded until then stays in the
/// output.
pub fn run(options: &Options) -> Result<i32, Error> {
    let began_ns = host::monotonic_ns();
    match start(options, prepare(options)?, began_ns)? {
        Started::Recording(recording) => recording.record(options),
        Started::NoCommand { status, error } => {
            let command = options.command[0].to_string_lossy();
            narrate(format_args!("capture: cannot start {command}: {error}\n"));
            Ok(status)
        }
    }
}

/// A process that was asked for by its number.
struct Target {
    token: u64,
    pid: u32,
    /// Held open: it is what the wait watches.
    _process: OwnedFd,
}

enum Started {
    Recording(Box<Recording>),
    NoCommand { status: i32, error: std::io::Error },
}

struct Recording {
    prepared: Prepared,
    waiter: Waiter,
    /// Target processes that still run.
    targets: Vec<Target>,
    start_ns: u64,
    start_up: Duration,
    cost_at_start: Cost,
    on_terminal: bool,
}

fn start(options: &Options, mut prepared: Prepared, began_ns: u64) -> Result<Started, Error> {
    let (waiter, targets) = wait_for(options, &prepared)?;
    prepared.session.events.start_sampling()?;
    let start_ns = host::monotonic_ns();
    if let Some(launched) = &mut prepared.launched
        && let Err(error) = launched.release()
    {
        let status = exit_status_of_exec(error.raw_os_error().unwrap_or(0));
        return Ok(Started::NoCommand { status, error });
    }
    if let Some(launched) = &prepared.launched {
        prepared.session.look_at_launched(launched.pid);
    }
    if let Some(placement) = prepared.placement.take() {
        placement.keep()?;
    }
    Ok(Started::Recording(Box::new(Recording {
        prepared,
        waiter,
        targets,
        start_ns,
        start_up: Duration::from_nanos(start_ns - began_ns),
        cost_at_start: host::own_cost(),
        on_terminal: std::io::stderr().is_terminal(),
    })))
}

fn wait_for(options: &Options, prepared: &Prepared) -> Result<(Waiter, Vec<Target>), Error> {
    let failed = || Error::system("waiting for events");
    let waiter = Waiter::new().map_err(failed())?;
    waiter.add(&prepared.signals, SIGNALS, Trigger::Readable).map_err(failed())?;
    waiter.add(&prepared.session.bpf.ring(), RINGS, Trigger::WakeUp).map_err(failed())?;
    for fd in prepared.session.events.side_band_fds() {
        waiter.add(fd, RINGS, Trigger::WakeUp).map_err(failed())?;
    }
    if let Some(launched) = &prepared.launched {
        waiter.add(&launched.process, COMMAND, Trigger::Readable).map_err(failed())?;
    }
    let mut targets = Vec::new();
    for (pid, token) in options.pids.iter().zip(FIRST_TARGET..) {
        let process = process_fd(*pid).map_err(|_| Error::NoSuchProcess(*pid))?;
        waiter.add(&process, token, Trigger::Readable).map_err(failed())?;
        targets.push(Target { token, pid: *pid, _process: process });
    }
    Ok((waiter, targets))
}

/// What the wait brought.
enum Next {
    Tick,
    End(EndReason, String),
}

impl Recording {
    fn record(mut self, options: &Options) -> Result<i32, Error> {
        if self.on_terminal {
            narrate(format_args!("{}\n", summary::announce(options, &self.prepared.targets)));
        }
        let failure = self.run_until_end(options);
        let (reason, detail) = match &failure {
            Ok((reason, detail)) => (*reason, detail.clone()),
            Err(error) => (EndReason::OutputFailed, error.to_string()),
        };
        let Prepared { session, launched, signals, remarks, .. } = self.prepared;
        let recorded_ns = host::monotonic_ns() - self.start_ns;
        let cost_at_end = host::own_cost();
        // A command whose recording is over goes on; its end is waited for, its status is ours.
        let ended = matches!(reason, EndReason::TargetGone);
        let early_status = launched.as_ref().filter(|_| ended).map(Launched::wait);
        let end = End {
            reason,
            at_ns: 0,
            command_status: early_status.unwrap_or(0),
            detail: Text::from(detail),
        };
        let (progress, finished) = session.finish(end);
        if self.on_terminal {
            narrate(format_args!("\r\x1b[K"));
        }
        let error = failure.err().or(finished.err());
        let summary = Summary {
            options,
            failed: error.is_some(),
            progress: &progress,
            recorded: Duration::from_nanos(recorded_ns),
            start_up: self.start_up,
            end: Duration::from_nanos(host::monotonic_ns() - self.start_ns - recorded_ns),
            cost_at_start: self.cost_at_start,
            cost_at_end,
            remarks: &remarks,
        };
        narrate(format_args!("{summary}"));
        if let (Some(error), Some(_)) = (&error, &launched) {
            // Now, and not when the command ends.
            narrate(format_args!("capture: {}\n", write_error(options, error)));
        }
        let status = match (&launched, early_status) {
            (None, _) => 0,
            (Some(_), Some(status)) => exit_status_of_wait(status),
            (Some(launched), None) => wait_for_command(launched, &signals),
        };
        match error {
            Some(_) if launched.is_some() => Ok(125),
            Some(error) => Err(write_error(options, &error)),
            None => Ok(status),
        }
    }

    fn run_until_end(&mut self, options: &Options) -> Result<(EndReason, String), archive::Error> {
        let end_ns = options
            .duration
            .and_then(|d| u64::try_from(d.as_nanos()).ok())
            .and_then(|d| self.start_ns.checked_add(d));
        let mut tick_ns = self.start_ns + FIRST_TICK_NS;
        loop {
            let now_ns = host::monotonic_ns();
            if end_ns.is_some_and(|end| now_ns >= end) {
                return Ok((EndReason::Duration, String::new()));
            }
            let until_ns = end_ns.map_or(tick_ns, |end| end.min(tick_ns));
            let next = self.wait(Duration::from_nanos(until_ns.saturating_sub(now_ns)));
            if let Some(Next::End(reason, detail)) = next {
                return Ok((reason, detail));
            }
            let now_ns = host::monotonic_ns();
            if next.is_some() || now_ns >= tick_ns {
                tick_ns = now_ns + TICK_NS;
                if self.prepared.session.tick()? {
                    self.wait_for_new_cpus();
                }
                self.show_progress(now_ns);
            }
        }
    }

    fn wait(&mut self, at_most: Duration) -> Option<Next> {
        let mut next = None;
        for token in self.waiter.wait(at_most) {
            match token {
                SIGNALS => {
                    while let Some(signal) = self.prepared.signals.next() {
                        if let Some(end) = self.on_signal(signal) {
                            return Some(end);
                        }
                    }
                }
                RINGS => next = Some(Next::Tick),
                COMMAND => return Some(Next::End(EndReason::TargetGone, String::new())),
                target => {
                    let ended = |t: &&mut Target| t.token == target;
                    if let Some(ended) = self.targets.iter_mut().find(ended) {
                        // Whoever gets its number next was not asked for.
                        self.prepared.session.bpf.remove_target(ended.pid);
                    }
                    self.targets.retain(|t| t.token != target);
                    if self.targets.is_empty() {
                        return Some(Next::End(EndReason::TargetGone, String::new()));
                    }
                }
            }
        }
        next
    }

    /// A signal ends a recording. With a command it is the command's to end: the recording ends with
    /// it, unless it ignores the signal and a second one comes.
    fn on_signal(&mut self, signal: EndSignal) -> Option<Next> {
        let end = Next::End(EndReason::Signal, format!("signal {}", signal.number));
        let Some(launched) = &mut self.prepared.launched else { return Some(end) };
        pass_on(&launched.process, signal);
        if std::mem::replace(&mut launched.was_asked_to_end, true) { Some(end) } else { None }
    }

    /// CPUs came or went: what is registered already is refused, and that is fine.
    fn wait_for_new_cpus(&self) {
        for fd in self.prepared.session.events.side_band_fds() {
            let _ = self.waiter.add(fd, RINGS, Trigger::WakeUp);
        }
    }

    fn show_progress(&mut self, now_ns: u64) {
        if !self.on_terminal {
            return;
        }
        let progress: Progress = self.prepared.session.progress();
        let seconds = (now_ns - self.start_ns) / 1_000_000_000;
        narrate(format_args!("\r{}\x1b[K", summary::live_line(seconds, &progress)));
    }
}

/// Terminal signals reach the command by themselves.
fn pass_on(process: &OwnedFd, signal: EndSignal) {
    if !signal.from_terminal {
        send_signal(process, signal.number);
    }
}

fn wait_for_command(launched: &Launched, signals: &EndSignals) -> i32 {
    // Whoever wants the command to end still can: the signals are ours, so they are passed on.
    if let Ok(waiter) = Waiter::new()
        && waiter.add(signals, SIGNALS, Trigger::Readable).is_ok()
        && waiter.add(&launched.process, COMMAND, Trigger::Readable).is_ok()
    {
        while !waiter.wait(Duration::from_secs(3600)).contains(&COMMAND) {
            while let Some(signal) = signals.next() {
                pass_on(&launched.process, signal);
            }
        }
    }
    exit_status_of_wait(launched.wait())
}
