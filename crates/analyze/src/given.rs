//! Inputs that came with names: what they say of themselves, and their way into the call tree.

use std::path::{Path, PathBuf};

use profile::{Frame, FrameId, FrameKind, FrameTable, NameSource, NoName, Text};

use crate::Error;
use crate::analysis::{Analysis, Question};
use crate::collapse::Sum;
use crate::filter::{Filter, Pattern};
use crate::group::{Grouping, fold_numbers};
use crate::import::{Named, NamedKind, NamedStack};
use crate::keep::LeftOut;
use crate::measure::Measure;
use crate::naming;

/// An input that came with names, and what of it counts.
#[derive(Debug)]
pub struct NamedInput {
    /// Its stacks.
    pub named: Named,
    /// Which of them.
    pub filter: Filter,
}

impl From<Named> for NamedInput {
    /// All of an input.
    fn from(named: Named) -> Self {
        Self { named, filter: Filter::default() }
    }
}

/// What one such input says of itself; what it does not say is `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    /// The file.
    pub path: PathBuf,
    /// What kind of input.
    pub kind: NamedKind,
    /// What is shown of it.
    pub measure: Measure,
    /// How many samples.
    pub samples: Option<u64>,
    /// Unix time at which it begins.
    pub started_realtime_ns: Option<u64>,
    /// For how long was measured.
    pub duration_ns: Option<u64>,
    /// Weight of one sample; where that is not stated, the largest number that divides all weights.
    pub sample_weight: u64,
    /// Facts for people.
    pub notes: Vec<String>,
    /// What could not be read.
    pub statements: Vec<String>,
}

impl Given {
    fn new(named: &Named, measure: usize) -> Self {
        let samples = named.stacks().fold(0, |sum, stack| sum + stack.samples);
        Self {
            path: named.path.clone(),
            kind: named.kind,
            measure: named.measures[measure].clone(),
            samples: named.counts_samples.then_some(samples),
            started_realtime_ns: named.started_realtime_ns,
            duration_ns: named.duration_ns,
            sample_weight: named.sample_weight(measure),
            notes: named.notes.clone(),
            statements: named.statements.clone(),
        }
    }
}

/// The measure of each input that is shown, and the weight of all of them together with `recorded`.
///
/// # Errors
/// When an input has none of the name that is wanted, or weights cannot be added: those of different
/// measures, and more than anything can have measured.
pub fn shown_measures(
    inputs: &[NamedInput],
    wanted: Option<&str>,
    recording: Option<&Path>,
    recorded: u64,
) -> Result<Vec<usize>, Error> {
    /// Samples of all inputs together at most: beside them stand those of recordings.
    const MOST_SAMPLES: u64 = 1 << 62;
    let mut first = recording.map(|path| (path, Measure::cpu_time()));
    let mut shown = Vec::new();
    let mut all = Sum { weight: recorded, samples: 0 };
    for NamedInput { named, .. } in inputs {
        let index = named.measure(wanted)?;
        let measure = &named.measures[index];
        let (path, of_first) = first.get_or_insert_with(|| (&named.path, measure.clone()));
        if !measure.adds_to(of_first) {
            return Err(Error::OtherMeasure {
                path: named.path.clone(),
                measure: measure.to_string(),
                other_path: (*path).into(),
                other: of_first.to_string(),
            });
        }
        for stack in named.stacks() {
            all.weight = all.weight.saturating_add(stack.weights[index]);
            all.samples = all.samples.saturating_add(stack.samples);
        }
        if all.weight == u64::MAX || all.samples > MOST_SAMPLES {
            return Err(Error::AbsurdWeight { path: named.path.clone() });
        }
        shown.push(index);
    }
    Ok(shown)
}

/// Adds what the inputs say of themselves to what recordings say.
pub fn join(inputs: &[NamedInput], measures: &[usize], analysis: &mut Analysis) {
    let given = inputs.iter().zip(measures);
    analysis.given = given.map(|(input, measure)| Given::new(&input.named, *measure)).collect();
    let largest = analysis.given.iter().map(|input| input.sample_weight).max();
    analysis.period_ns = analysis.period_ns.max(largest.unwrap_or(0));
    if let (Some(first), true) = (analysis.given.first(), analysis.recordings.is_empty()) {
        analysis.measure = first.measure.clone();
    }
    let mut durations = analysis.given.iter().map(|input| input.duration_ns);
    let all = durations.try_fold(analysis.observed_ns, |all, one| Some(all.saturating_add(one?)));
    analysis.observed_ns = all.unwrap_or(0);
}

/// Names of the processes that an input states.
pub fn processes(named: &Named) -> impl Iterator<Item = &str> + '_ {
    let frames = named.frames().iter().map(|(_, frame)| frame);
    frames.filter(|frame| frame.kind == FrameKind::Process).map(|frame| &*frame.name)
}

/// Makes chains of one input's stacks.
pub struct GivenChains<'a> {
    input: &'a NamedInput,
    question: &'a Question,
    /// By frame of the input: that frame in the call tree's table.
    ids: Vec<FrameId>,
}

/// A stack as frames.
pub struct GivenChain {
    /// Root first.
    pub frames: Vec<FrameId>,
    /// Who named the code that ran, or why nobody did.
    pub leaf: naming::Named,
}

impl<'a> GivenChains<'a> {
    /// Takes over an input's frames.
    #[must_use]
    pub fn new(input: &'a NamedInput, question: &'a Question, frames: &mut FrameTable) -> Self {
        let all = input.named.frames().iter();
        let ids = all.map(|(_, frame)| frames.intern(frame.clone())).collect();
        Self { input, question, ids }
    }

    /// The frames of a stack, or why it does not count.
    ///
    /// # Errors
    /// Which filter leaves it out.
    pub fn chain(
        &self,
        stack: &NamedStack<'_>,
        frames: &mut FrameTable,
    ) -> Result<GivenChain, LeftOut> {
        let mut path = self.input.named.path_of(stack);
        self.passes(stack, &path)?;
        let frame = |id: &FrameId| self.input.named.frames().get(*id);
        let leaf = match path.last().map(|leaf| frame(leaf).kind) {
            Some(FrameKind::NoName(reason)) => Err(reason),
            Some(_) => Ok(NameSource::Given),
            None => Err(NoName::NotGiven),
        };
        let shape = self.question.shape;
        path.retain(|id| {
            let frame = frame(id);
            (shape.kernel || frame.kind != FrameKind::Kernel) && (shape.inlines || !frame.inlined)
        });
        let has_process = path.first().is_some_and(|id| frame(id).kind == FrameKind::Process);
        let of_process = has_process.then(|| self.ids[path.remove(0).0 as usize]);
        let module = path.last().map(|leaf| frame(leaf).module.to_string()).unwrap_or_default();
        let mut chain = self.groups(stack, of_process, &module, frames);
        chain.extend(path.iter().map(|id| self.ids[id.0 as usize]));
        Ok(GivenChain { frames: chain, leaf })
    }

    /// What stands at the root of a stack.
    fn groups(
        &self,
        stack: &NamedStack<'_>,
        process: Option<FrameId>,
        module: &str,
        frames: &mut FrameTable,
    ) -> Vec<FrameId> {
        let mut chain = Vec::with_capacity(8);
        for grouping in &self.question.by {
            let name = match grouping {
                Grouping::Process => {
                    chain.extend(process);
                    continue;
                }
                Grouping::Thread => thread(stack)
                    .map_or_else(|| "[thread not stated]".into(), |t| fold_numbers(&t, None)),
                Grouping::Cpu => "[CPU not stated]".into(),
                Grouping::Host => "[host not stated]".into(),
                Grouping::Cgroup => "[control group not stated]".into(),
                Grouping::Module if module.is_empty() => "[no module]".into(),
                Grouping::Module => module.to_owned(),
                Grouping::Label(key) => label(stack, key)
                    .map_or_else(|| format!("[no {key}]"), |value| format!("{key}={value}")),
            };
            chain.push(frames.intern(Frame::new(&name, "", FrameKind::Process)));
        }
        chain
    }

    /// Whether a stack is one of those asked for. What the input does not say is not what was asked for.
    fn passes(&self, stack: &NamedStack<'_>, path: &[FrameId]) -> Result<(), LeftOut> {
        let filter = &self.input.filter;
        let frame = |id: &FrameId| self.input.named.frames().get(*id);
        let any = |patterns: &[Pattern], name: Option<&str>| {
            patterns.is_empty() || name.is_some_and(|n| patterns.iter().any(|p| p.matches(n)))
        };
        let pid = label(stack, "pid").and_then(|pid| pid.parse().ok());
        let process = path.first().map(frame).filter(|f| f.kind == FrameKind::Process);
        let process = process.map(|frame| &*frame.name);
        let thread = thread(stack);
        let of_comm = any(&filter.comms, process) || any(&filter.comms, thread.as_deref());
        let of_pid = filter.pids.is_empty() || pid.is_some_and(|pid| filter.pids.contains(&pid));
        let of_thread = any(&filter.threads, thread.as_deref());
        let unsaid = filter.hosts.is_empty() && filter.cgroups.is_empty();
        if !(of_comm && of_pid && of_thread && unsaid) {
            return Err(LeftOut::Thread);
        }
        if !filter.cpus.is_empty() {
            return Err(LeftOut::Cpu);
        }
        let labelled = |(key, wanted): &(String, Pattern)| {
            label(stack, key).is_some_and(|value| wanted.matches(&value))
        };
        if !filter.labels.is_empty() && !filter.labels.iter().any(labelled) {
            return Err(LeftOut::Label);
        }
        let mut modules = path.iter().map(|id| &*frame(id).module);
        let of_module =
            filter.modules.is_empty() || modules.any(|name| any(&filter.modules, Some(name)));
        if of_module && filter.build_ids.is_empty() { Ok(()) } else { Err(LeftOut::Stack) }
    }
}

/// The value of a label.
fn label(stack: &NamedStack<'_>, key: &str) -> Option<String> {
    let labels = stack.labels?;
    let place = labels.keys.iter().position(|known| *known == Text::from(key))?;
    Some(labels.values[place].lossy().into_owned())
}

/// A thread's name, where the input says it.
fn thread(stack: &NamedStack<'_>) -> Option<String> {
    label(stack, "comm").or_else(|| label(stack, "thread"))
}
