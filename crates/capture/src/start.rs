//! From what was asked for to a recording that is ready to start.

use archive::Limits;
use profile::{Backend, Event, EventKind, Pid, RecordingFacts, Scope, Text, Unit};

use crate::bpf::LoadedBpf;
use crate::decode::depth_limit;
use crate::error::Error;
use crate::events::Events;
use crate::go_programs::GoPrograms;
use crate::host::{self, sysctl};
use crate::idle_time::IdleTime;
use crate::kernel::Kernel;
use crate::launch::Launched;
use crate::options::{Options, Unwind};
use crate::output::{self, Output, Placement};
use crate::pending::Pending;
use crate::process::{Following, Processes};
use crate::procfs;
use crate::record::Config;
use crate::recorder::Recorder;
use crate::ring::Ring;
use crate::roots::LearntRoots;
use crate::session::{Counts, Session};
use crate::wait::EndSignals;
use crate::world::RunningSystem;
use crate::{btf, mask, session};

/// A recording that is set up, and what it is of.
pub(crate) struct Prepared {
    pub(crate) session: Session,
    pub(crate) launched: Option<Launched>,
    pub(crate) signals: EndSignals,
    pub(crate) targets: Vec<u32>,
    /// What is not as good as it could be, for people.
    pub(crate) remarks: Vec<String>,
    /// The new file, until recording has begun.
    pub(crate) placement: Option<Placement>,
}

/// Sets everything up; not a tick has been taken yet.
pub(crate) fn prepare(options: &Options) -> Result<Prepared, Error> {
    output::check(&options.output, options.force)?;
    check_rate(options.frequency_hz)?;
    if !host::in_initial_pid_namespace() {
        return Err(Error::PidNamespace);
    }
    options.pids.iter().try_for_each(|pid| check_pid(*pid))?;
    let signals = EndSignals::take().map_err(Error::system("taking over signals"))?;
    let launched = launch(options, &signals)?;
    let mut targets = options.pids.clone();
    targets.extend(launched.as_ref().map(|l| l.pid));

    let mut remarks = Vec::new();
    let following = match (options.all, options.no_inherit) {
        (true, _) => Following::All,
        (_, true) => Following::Targets,
        (_, false) => Following::TargetsAndChildren,
    };
    let (bpf, follow_by_records) = load(options, following, &targets, &mut remarks)?;
    let ring = Ring::map(bpf.ring(), options.ring_bytes as usize).map_err(Error::RingMemory)?;
    let period_ns = 1_000_000_000 / u64::from(options.frequency_hz);
    let mut events = Events::open(period_ns, bpf.sampling_program())?;
    // Only now, with the side-band on: what is mapped meanwhile is reported.
    let mut processes = Processes::new(following);
    let mut pending = Pending::default();
    let mut go_programs = GoPrograms::default();
    for pid in &targets {
        let mut world = RunningSystem { later: &mut pending.later, events: &mut events };
        processes.add_target(*pid, &mut world);
        // Before the first sample: from a record of it we would know too late.
        let program = processes.get(*pid).and_then(|process| go_programs.note(process));
        if let Some(program) = program {
            bpf.set_go_program(*pid, program);
        }
    }
    let kernel = Kernel::running();
    if kernel.text == 0 {
        remarks
            .push("/proc/kallsyms hides the kernel's addresses (kernel.kptr_restrict)".to_owned());
    }
    let facts = facts(options, &targets, period_ns, events.cpu_count(), &remarks)?;
    let (out, placement) = Output::create(&options.output, options.force)?;
    let recorder = Recorder::new(out, facts, kernel, Limits::default(), options.embed.is_some())
        .map_err(|e| write_error(options, &e))?;
    let session = Session {
        bpf,
        ring,
        events,
        processes,
        recorder,
        follow_by_records,
        pending,
        roots: LearntRoots::default(),
        go_programs,
        counts: Counts::default(),
        next_tidy_ns: 0,
        next_idle_time_ns: 0,
        idle: IdleTime::start(),
    };
    Ok(Prepared { session, launched, signals, targets, remarks, placement })
}

/// An error of writing, with what to do about it.
pub(crate) fn write_error(options: &Options, error: &archive::Error) -> Error {
    let (reason, advice) = output::explain(error);
    Error::Write { output: Output::name(&options.output), reason, advice }
}

fn check_rate(asked: u32) -> Result<(), Error> {
    match sysctl("kernel/perf_event_max_sample_rate").and_then(|n| u32::try_from(n).ok()) {
        Some(limit) if asked > limit => Err(Error::RateTooHigh { asked, limit }),
        _ => Ok(()),
    }
}

fn check_pid(pid: u32) -> Result<(), Error> {
    match procfs::status(pid).map(|status| status.process) {
        None => Err(Error::NoSuchProcess(pid)),
        Some(process) if process != pid => Err(Error::IsThread { tid: pid, pid: process }),
        Some(_) => Ok(()),
    }
}

fn launch(options: &Options, signals: &EndSignals) -> Result<Option<Launched>, Error> {
    if options.command.is_empty() {
        return Ok(None);
    }
    let stdout_is_taken = options.output.as_os_str() == "-";
    Launched::fork(&options.command, signals, stdout_is_taken).map(Some)
}

/// Loads the programs. The second value: children must be added to the filter from user space.
fn load(
    options: &Options,
    following: Following,
    targets: &[u32],
    remarks: &mut Vec<String>,
) -> Result<(LoadedBpf, bool), Error> {
    let follow = following == Following::TargetsAndChildren;
    let offsets = btf::running_kernel();
    let first_stack = offsets.and_then(|o| o.mm.zip(o.start_stack));
    let (small_slice_bytes, deep_slice_bytes) = options.unwind.slice_bytes();
    let mut bpf = LoadedBpf::load(Config {
        own_tgid: std::process::id(),
        filtered: u32::from(following != Following::All),
        ring_bytes: options.ring_bytes,
        wake_bytes: options.ring_bytes / 4,
        task_tgid_offset: offsets.map_or(0, |o| o.tgid),
        task_pid_offset: offsets.map_or(0, |o| o.pid),
        task_stack_offset: offsets.and_then(|o| o.stack).unwrap_or(0),
        task_fsbase_offset: offsets.and_then(|o| o.fsbase).unwrap_or(0),
        task_mm_offset: first_stack.map_or(0, |(mm, _)| mm),
        mm_start_stack_offset: first_stack.map_or(0, |(_, start_stack)| start_stack),
        small_slice_bytes,
        deep_slice_bytes,
    })?;
    for pid in targets {
        bpf.add_target(*pid)?;
    }
    let follow_by_records = follow && offsets.is_none();
    if follow && !follow_by_records {
        bpf.follow_children()?;
    }
    if following != Following::All && offsets.is_some() {
        bpf.forget_the_ended()?;
    }
    if follow_by_records {
        remarks.push(
            "the kernel has no type information (/sys/kernel/btf/vmlinux): \
             the first quarter second of each child is not recorded"
                .to_owned(),
        );
    }
    if session::prepare_names(&mut bpf).is_err() {
        remarks.push("kernel names come from /proc/kallsyms (before Linux 5.13)".to_owned());
    }
    Ok((bpf, follow_by_records))
}

fn facts(
    options: &Options,
    targets: &[u32],
    period_ns: u64,
    cpus: usize,
    remarks: &[String],
) -> Result<RecordingFacts, Error> {
    let (host, kernel_release, arch) = host::uname();
    let boot_id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Ok(RecordingFacts {
        recording_id: host::random().map_err(Error::system("getting random bytes"))?,
        segment: 0,
        host,
        boot_id: Text::from(boot_id.trim_ascii()),
        kernel_release,
        arch,
        cpus_online: cpus as u32,
        page_bytes: host::page_bytes() as u32,
        tool_version: Text::from(concat!("capture ", env!("CARGO_PKG_VERSION"))),
        backend: Backend::Bpf,
        backend_reason: Text::from(remarks.join("; ")),
        scope: if options.all { Scope::PerCpuAll } else { Scope::PerCpuFiltered },
        target_pids: targets.iter().map(|pid| Pid(*pid)).collect(),
        target_cgroup: Text::default(),
        launched: !options.command.is_empty(),
        events: vec![Event {
            name: Text::from("cpu-clock"),
            unit: Unit::Ns,
            kind: EventKind::OnCpu,
            period: period_ns,
            asked_for: Text::default(),
            fallback_reason: Text::default(),
        }],
        clock: host::clock(),
        max_stack: depth_limit(sysctl("kernel/perf_event_max_stack")) as u32,
        unwind_regs: unwind_registers(options.unwind),
    })
}

/// Registers that a slice may hold; none: no slices are recorded. Where the stack pointer is and what the
/// instruction pointer was, the stack itself says.
fn unwind_registers(unwind: Unwind) -> Vec<u32> {
    match unwind {
        Unwind::Fp => Vec::new(),
        Unwind::Auto | Unwind::Dwarf => mask::KEPT_REGISTERS.to_vec(),
    }
}
