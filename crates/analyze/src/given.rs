//! Inputs that came with names: what they say of themselves, and their way into the call tree.

use std::path::PathBuf;

use profile::{CallTree, FrameId, FrameKind, NameSource, NoName, Text};

use crate::Error;
use crate::analysis::Analysis;
use crate::collapse::Sum;
use crate::import::{Named, NamedKind, NamedStack};
use crate::measure::Measure;
use crate::naming::Naming;
use crate::plan::Filter;
use crate::stacks::Shape;

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

/// The measure of each input that is shown.
///
/// # Errors
/// When an input has none of the name that is wanted, or their weights, or those of recordings, cannot be
/// added.
pub fn shown_measures(
    named: &[Named],
    wanted: Option<&str>,
    recording: Option<&std::path::Path>,
) -> Result<Vec<usize>, Error> {
    let mut first = recording.map(|path| (path, Measure::cpu_time()));
    let mut shown = Vec::new();
    for input in named {
        let index = input.measure(wanted)?;
        let measure = &input.measures[index];
        let (path, of_first) = first.get_or_insert_with(|| (&input.path, measure.clone()));
        if !measure.adds_to(of_first) {
            return Err(Error::OtherMeasure {
                path: input.path.clone(),
                measure: measure.to_string(),
                other_path: (*path).into(),
                other: of_first.to_string(),
            });
        }
        shown.push(index);
    }
    Ok(shown)
}

/// What the stacks of such inputs add up to.
#[derive(Default)]
pub struct GivenSums {
    /// What is in the tree.
    pub total: Sum,
    /// What the filter left out.
    pub filtered: Sum,
    /// What the inputs say of themselves.
    pub inputs: Vec<Given>,
}

impl GivenSums {
    /// Adds what the inputs say to what recordings say.
    pub fn join(self, analysis: &mut Analysis) {
        analysis.total = analysis.total.merge(self.total);
        analysis.filtered = analysis.filtered.merge(self.filtered);
        let largest = self.inputs.iter().map(|input| input.sample_weight).max();
        analysis.period_ns = analysis.period_ns.max(largest.unwrap_or(0));
        if let (Some(first), true) = (self.inputs.first(), analysis.recordings.is_empty()) {
            analysis.measure = first.measure.clone();
        }
        let mut durations = self.inputs.iter().map(|input| input.duration_ns);
        let all =
            durations.try_fold(analysis.observed_ns, |all, one| Some(all.saturating_add(one?)));
        analysis.observed_ns = all.unwrap_or(0);
        analysis.given = self.inputs;
    }
}

/// Adds an input's stacks to the tree.
///
/// # Errors
/// When weights add up to more than anything can have measured.
pub fn add(
    named: &Named,
    measure: usize,
    (filter, shape): (&Filter, Shape),
    tree: &mut CallTree,
    naming: &mut Naming,
    sums: &mut GivenSums,
) -> Result<(), Error> {
    let absurd = || Error::AbsurdWeight { path: named.path.clone() };
    let ids: Vec<FrameId> =
        named.frames().iter().map(|(_, frame)| tree.frames.intern(frame.clone())).collect();
    for stack in named.stacks() {
        let weight = stack.weights[measure];
        if weight == 0 {
            continue;
        }
        let mut path = named.path_of(&stack);
        let samples = stack.samples;
        let passes = passes(named, &stack, &path, filter);
        let sum = if passes { &mut sums.total } else { &mut sums.filtered };
        sum.weight = sum.weight.checked_add(weight).ok_or_else(absurd)?;
        // Room for the samples of recordings beside these.
        let count = sum.samples.checked_add(samples).filter(|count| *count < 1 << 62);
        sum.samples = count.ok_or_else(absurd)?;
        if !passes {
            continue;
        }
        let leaf = path.last().map(|leaf| named.frames().get(*leaf));
        naming.add(
            match leaf.map(|leaf| leaf.kind) {
                Some(FrameKind::NoName(reason)) => Err(reason),
                Some(_) => Ok(NameSource::Given),
                None => Err(NoName::NotGiven),
            },
            weight,
        );
        path.retain(|frame| is_shown(named, *frame, shape));
        path.iter_mut().for_each(|frame| *frame = ids[frame.0 as usize]);
        tree.add(&path, weight);
    }
    sums.inputs.push(Given::new(named, measure));
    Ok(())
}

fn is_shown(named: &Named, frame: FrameId, shape: Shape) -> bool {
    let frame = named.frames().get(frame);
    (shape.kernel || frame.kind != FrameKind::Kernel) && (shape.inlines || !frame.inlined)
}

/// Whether a stack is of a process or thread that is asked for, as far as the input says.
fn passes(named: &Named, stack: &NamedStack<'_>, path: &[FrameId], filter: &Filter) -> bool {
    let label = |key: &str| {
        let labels = stack.labels?;
        let place = labels.keys.iter().position(|known| *known == Text::from(key))?;
        Some(labels.values[place].lossy())
    };
    let pid = || {
        let pid = label("pid").and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid: u32| filter.pids.contains(&pid))
    };
    let comm = || {
        let first = path.first().map(|frame| named.frames().get(*frame));
        let process = first.filter(|f| f.kind == FrameKind::Process).map(|f| f.name.to_string());
        let is_one = |name: &str| filter.comms.iter().any(|comm| comm == name);
        process.is_some_and(|name| is_one(&name))
            || ["comm", "thread"].iter().any(|key| label(key).is_some_and(|name| is_one(&name)))
    };
    (filter.pids.is_empty() || pid()) && (filter.comms.is_empty() || comm())
}
