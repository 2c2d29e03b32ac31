//! Which samples count: a filter as far as it can be judged before anything has a name.

use std::ops::Range;

use archive::Sample;
use profile::{LabelSetId, ProcessId, Tables, ThreadId};

/// Why a sample does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeftOut {
    /// It was taken at another time.
    Time,
    /// It is of another process, thread, control group or machine.
    Thread,
    /// It was taken on another CPU.
    Cpu,
    /// It has other labels.
    Label,
    /// Its stack has no such frame or module, or one that is to be ignored.
    Stack,
}

impl LeftOut {
    /// How many there are.
    pub const COUNT: usize = 5;
    /// All of them, each at its own number.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Time, Self::Thread, Self::Cpu, Self::Label, Self::Stack];

    /// For people: completes "left out …".
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Time => "at other times",
            Self::Thread => "of other processes or threads",
            Self::Cpu => "on other CPUs",
            Self::Label => "with other labels",
            Self::Stack => "by their stacks",
        }
    }
}

/// What becomes of a sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It counts, and is of this process.
    Of(ProcessId),
    /// It does not.
    Not(LeftOut),
}

/// Which samples of one recording count.
#[derive(Clone, Debug)]
pub struct Keep {
    /// By thread id: its process, or `None` for "left out".
    threads: Vec<Option<ProcessId>>,
    /// Whether samples of threads that were lost count.
    lost: bool,
    /// Times that count, sorted and apart from each other; `None`: all.
    times: Option<Vec<Range<u64>>>,
    /// CPUs that count; `None`: all.
    cpus: Option<Vec<u32>>,
    /// By label set id, whether it counts; `None`: all do.
    label_sets: Option<Vec<bool>>,
}

impl Keep {
    /// Every sample counts.
    #[must_use]
    pub fn everything(tables: &Tables) -> Self {
        let mut keep = Self::only(tables, |_, _| true);
        keep.lost = true;
        keep
    }

    /// Only threads for which `wanted` is true; what they belonged to must be known for that.
    #[must_use]
    pub fn only(
        tables: &Tables,
        wanted: impl Fn(&profile::Thread, Option<&profile::Process>) -> bool,
    ) -> Self {
        let row = |thread: &profile::Thread| {
            wanted(thread, tables.process(thread.process)).then_some(thread.process)
        };
        let threads = std::iter::once(None).chain(tables.threads.iter().map(row)).collect();
        Self { threads, lost: false, times: None, cpus: None, label_sets: None }
    }

    /// Of these, only what was sampled in these spans, which do not overlap.
    #[must_use]
    pub fn at(mut self, mut times: Vec<Range<u64>>) -> Self {
        times.sort_by_key(|span| span.start);
        self.times = Some(times);
        self
    }

    /// Of these, only what was sampled on these CPUs.
    #[must_use]
    pub fn on(mut self, cpus: Vec<u32>) -> Self {
        self.cpus = Some(cpus);
        self
    }

    /// Of these, only what has these label sets.
    #[must_use]
    pub fn labelled(
        mut self,
        tables: &Tables,
        wanted: impl Fn(&profile::LabelSet) -> bool,
    ) -> Self {
        let known = tables.label_sets.iter().map(wanted);
        self.label_sets = Some(std::iter::once(false).chain(known).collect());
        self
    }

    /// Whether no thread would count.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.lost && self.threads.iter().all(Option::is_none)
    }

    /// What becomes of a sample.
    #[must_use]
    pub fn of(&self, sample: &Sample) -> Kept {
        if self.times.as_ref().is_some_and(|times| !within(times, sample.time_ns)) {
            return Kept::Not(LeftOut::Time);
        }
        if self.cpus.as_ref().is_some_and(|cpus| !cpus.contains(&sample.cpu)) {
            return Kept::Not(LeftOut::Cpu);
        }
        let unlabelled = |sets: &Vec<bool>| !has(sets, sample.label_set);
        if self.label_sets.as_ref().is_some_and(unlabelled) {
            return Kept::Not(LeftOut::Label);
        }
        self.process(sample.thread).map_or(Kept::Not(LeftOut::Thread), Kept::Of)
    }

    fn process(&self, thread: ThreadId) -> Option<ProcessId> {
        match self.threads.get(thread.index()) {
            Some(known) if thread.is_some() => *known,
            _ => self.lost.then_some(ProcessId::NONE),
        }
    }
}

fn has(sets: &[bool], id: LabelSetId) -> bool {
    sets.get(id.index()).copied().unwrap_or(false)
}

fn within(times: &[Range<u64>], time_ns: u64) -> bool {
    let next = times.partition_point(|span| span.start <= time_ns);
    next > 0 && time_ns < times[next - 1].end
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::{LabelSet, Thread, Tid};

    fn tables() -> Tables {
        let thread = |tid, process| Thread {
            tid: Tid(tid),
            process: ProcessId(process),
            comm: "t".into(),
            start_ns: 0,
        };
        Tables {
            threads: vec![thread(1, 1), thread(2, 2)],
            label_sets: vec![LabelSet { keys: vec!["k".into()], values: vec!["v".into()] }],
            ..Tables::default()
        }
    }

    #[test]
    fn a_sample_is_left_out_for_the_first_reason_that_holds() {
        let keep = Keep::only(&tables(), |thread, _| thread.tid.0 == 1)
            .at(vec![50..60, 10..20])
            .on(vec![0, 3])
            .labelled(&tables(), |set| set.values[0] == "v".into());
        let sample = |time_ns, cpu, label, thread| Sample {
            time_ns,
            cpu,
            label_set: LabelSetId(label),
            thread: ThreadId(thread),
            ..Sample::default()
        };
        let of = |time_ns, cpu, label, thread| keep.of(&sample(time_ns, cpu, label, thread));
        assert_eq!(of(10, 3, 1, 1), Kept::Of(ProcessId(1)));
        assert_eq!(of(59, 0, 1, 1), Kept::Of(ProcessId(1)));
        for time_ns in [9, 20, 49, 60] {
            assert_eq!(of(time_ns, 0, 1, 1), Kept::Not(LeftOut::Time));
        }
        assert_eq!(of(10, 1, 1, 1), Kept::Not(LeftOut::Cpu));
        assert_eq!(of(10, 0, 0, 1), Kept::Not(LeftOut::Label));
        assert_eq!(of(10, 0, 1, 2), Kept::Not(LeftOut::Thread));
        assert_eq!(of(10, 0, 1, 0), Kept::Not(LeftOut::Thread), "a lost thread is nobody's");
    }

    #[test]
    fn each_reason_stands_at_its_own_number() {
        for (index, why) in LeftOut::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, index);
        }
    }
}
