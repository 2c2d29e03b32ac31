//! What a recording says of itself, as archives say it.

use std::hash::{Hash, Hasher};

use profile::{Backend, Clock, RecordingFacts, Scope, Text};
use rustc_hash::FxHasher;

use super::attribute::{Attribute, field};
use super::file::About;
use super::slice::Registers;

/// `first_record` tells recordings of one machine apart that were made after different boots.
pub(super) fn facts(about: &About, first_record: &[u8]) -> RecordingFacts {
    let with_stacks = about.attributes.iter().find(|attribute| attribute.has(field::STACK_USER));
    let registers = Registers::of(&about.arch.0);
    let unwind_regs = registers.zip(with_stacks).map(|(r, event)| r.kept(event.user_registers));
    let mut reason = "perf record".to_owned();
    if with_stacks.is_some() && registers.is_none() {
        let arch = about.arch.lossy();
        reason.push_str(&format!("; copies of the stack of {arch:?} are not unwound"));
    }
    let max_stack = about.attributes.iter().map(Attribute::max_stack).max();
    RecordingFacts {
        recording_id: recording_id(about, first_record),
        segment: 0,
        host: about.host.clone(),
        boot_id: Text::default(),
        kernel_release: about.kernel_release.clone(),
        arch: about.arch.clone(),
        cpus_online: about.cpus_online,
        page_bytes: 4096,
        tool_version: format!("perf {}", about.perf_version.lossy()).trim_end().into(),
        backend: Backend::Perf,
        backend_reason: reason.into(),
        scope: if is_of_all(&about.command_line) { Scope::PerCpuAll } else { Scope::PerTask },
        target_pids: Vec::new(),
        target_cgroup: Text::default(),
        launched: about.attributes.iter().any(Attribute::is_launched),
        events: about.attributes.iter().map(Attribute::event).collect(),
        clock: clock(about),
        max_stack: max_stack.unwrap_or_default().into(),
        unwind_regs: unwind_regs.unwrap_or_default(),
    }
}

/// Zero: what time it was is not recorded (`perf record -k CLOCK` does).
pub(super) fn clock(about: &About) -> Clock {
    about.clock.map_or_else(Clock::default, |pair| Clock {
        monotonic_ns: pair.recorded_ns,
        realtime_ns: pair.realtime_ns,
        boottime_ns: 0,
    })
}

/// Perf gives recordings no number. Its events' numbers are given out once in the time between two boots.
fn recording_id(about: &About, first_record: &[u8]) -> [u8; 16] {
    let mut id = [0; 16];
    for (seed, part) in (1u64..).zip(id.as_chunks_mut::<8>().0) {
        let mut hasher = FxHasher::default();
        seed.hash(&mut hasher);
        for attribute in &about.attributes {
            (&attribute.ids, attribute.sample_type).hash(&mut hasher);
        }
        (&about.host, &about.kernel_release, &about.command_line).hash(&mut hasher);
        first_record.hash(&mut hasher);
        *part = hasher.finish().to_le_bytes();
    }
    id
}

/// Whether `perf record` was asked for all CPUs: `-a`, also among other letters.
fn is_of_all(command_line: &[Text]) -> bool {
    let options = command_line.iter().map(|word| &*word.0).take_while(|word| *word != b"--");
    options.skip(1).any(|word| match word {
        [b'-', b'-', long @ ..] => long == b"all-cpus",
        // The letters before one whose value may follow at once.
        [b'-', letters @ ..] => letters
            .split(|b| b"FeocptuCGmjkrsDS".contains(b))
            .next()
            .is_some_and(|l| l.contains(&b'a')),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cpus_are_asked_for_by_a_letter_or_a_word() {
        let asks = |line: &str| is_of_all(&line.split(' ').map(Text::from).collect::<Vec<_>>());
        assert!(asks("perf record -a -g"));
        assert!(asks("perf record -ag sleep 1"));
        assert!(asks("perf record --all-cpus"));
        assert!(!asks("perf record -g -Fmax -eabc ./a -- ls -a"));
    }
}
