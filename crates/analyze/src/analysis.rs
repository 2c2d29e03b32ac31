//! From recordings to one call tree and the figures around it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use archive::Damage;
use profile::{
    CallTree, End, Event, EventId, EventKind, FrameTable, RecordingFacts, Timeline, Unit,
};
use rayon::iter::{
    IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _,
};

use crate::Error;
use crate::account::{Account, Spans};
use crate::addresses::{Used, gather};
use crate::collapse::{Cells, Grid, Sum, collapse};
use crate::filter::Filter;
use crate::given::{self, Given, NamedInput};
use crate::group::{self, Grouping, Groups};
use crate::import::Recording;
use crate::keep::{Keep, LeftOut};
use crate::locate::{FetchOutcome, Locator};
use crate::measure::Measure;
use crate::modules::ModuleUse;
use crate::naming::Naming;
use crate::over_time::Fineness;
use crate::paths::Paths;
use crate::placed::Placed;
use crate::prefetch::prefetch;
use crate::processes::ProcessNames;
use crate::resolve::resolve;
use crate::sieve::Sieve;
use crate::stacks::{Chains, Shape, Wholeness};
use crate::symbol_cache::SymbolCache;
use crate::totals::Totals;
use crate::unwind::unwind;

/// One or more recordings, named and merged.
#[derive(Debug)]
pub struct Analysis {
    /// What was recorded, input by input.
    pub recordings: Vec<Recorded>,
    /// Inputs that came with names.
    pub given: Vec<Given>,
    /// What weights are.
    pub measure: Measure,
    /// Inputs that could not be read beside these, and why.
    pub left_out: Vec<String>,
    /// Weight by call path.
    pub tree: CallTree,
    /// Weight (of CPU time nanoseconds) and samples in the tree; of inputs that count no samples 0.
    pub total: Sum,
    /// When that was measured, in the steps that were asked for.
    pub timeline: Timeline,
    /// What filters left out, by why.
    pub filtered: [Sum; LeftOut::COUNT],
    /// Samples of events that are not shown.
    pub other_events_samples: u64,
    /// Wall time observed; of several machines together, each machine's time once; 0 where an input does
    /// not state its own.
    pub observed_ns: u64,
    /// Weight of one sample, the largest of all recordings.
    pub period_ns: u64,
    /// CPU time of each process, the largest first.
    pub processes: Vec<ProcessUse>,
    /// CPU time by how much of its stack is there.
    pub wholeness: BTreeMap<Wholeness, u64>,
    /// CPU time of stacks of which not all is there, by cause and by the module (its short name) whose
    /// code is where it lacks.
    pub lacking: BTreeMap<(Wholeness, String), u64>,
    /// Weight by who named the code that ran.
    pub naming: Naming,
    /// Modules on the stacks, the one that lacks most names first.
    pub modules: Vec<ModuleUse>,
    /// What servers were asked for; `None` when none was named.
    pub fetched: Option<Vec<FetchOutcome>>,
    /// Debug files that were found and not used, a sentence each.
    pub refused_debug_files: Vec<String>,
    /// The stacks with the addresses of their code, where that was asked for.
    pub placed: Option<Placed>,
}

/// What one input says of itself.
#[derive(Debug)]
pub struct Recorded {
    /// The file.
    pub path: PathBuf,
    /// Where, when, of what.
    pub facts: RecordingFacts,
    /// How it ended; `None`: it was cut off.
    pub end: Option<End>,
    /// What is missing.
    pub damage: Damage,
    /// Time covered and losses.
    pub account: Account,
    /// Of the time covered, what was asked for.
    pub observed: Spans,
    /// Number of the event shown.
    pub event: EventId,
}

impl Recorded {
    /// The event shown.
    #[must_use]
    pub fn event(&self) -> Option<&Event> {
        self.facts.events.get(self.event.index().checked_sub(1)?)
    }
}

/// CPU time of one process image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessUse {
    /// Its name.
    pub name: String,
    /// Its id; 0 when it was lost with its block.
    pub pid: u32,
    /// Which recording it is of.
    pub recording: usize,
    /// CPU time, nanoseconds.
    pub weight: u64,
}

impl Analysis {
    /// Whether every input is of a command started for it, so that totals compare.
    #[must_use]
    pub fn is_launched(&self) -> bool {
        self.given.is_empty() && self.recordings.iter().all(|r| r.facts.launched)
    }

    /// Whether the number of samples is known.
    #[must_use]
    pub fn counts_samples(&self) -> bool {
        self.given.iter().all(|input| input.samples.is_some())
    }

    /// A weight in units of its measure.
    #[must_use]
    pub fn figure(&self, weight: u64) -> f64 {
        weight as f64 / self.measure.quantity.weight_per_unit() as f64
    }

    /// CPU-seconds per observed second.
    #[must_use]
    pub fn cores(&self, weight: u64) -> f64 {
        if self.observed_ns == 0 { 0.0 } else { weight as f64 / self.observed_ns as f64 }
    }
}

/// The event to show: one that measures CPU time; of several the one with most of it, or the first.
fn shown_event(recording: &Recording, wanted: Option<&str>) -> Result<EventId, Error> {
    let events = &recording.facts().events;
    let weight = |event: EventId| {
        let lines = recording.end_ledger().iter().filter(|line| line.event == event);
        lines.fold(0u64, |sum, line| sum.saturating_add(line.written_weight))
    };
    // Perf appends modifiers: "cycles:u".
    let is_wanted = |event: &Event| {
        let name = event.name.lossy();
        wanted.is_none_or(|wanted| name == wanted || name.split(':').next() == Some(wanted))
    };
    let best = (1..)
        .map(EventId)
        .zip(events)
        .filter(|(_, event)| event.kind == EventKind::OnCpu && event.unit == Unit::Ns)
        .filter(|(_, event)| is_wanted(event))
        .map(|(id, _)| id)
        .max_by_key(|id| (weight(*id), std::cmp::Reverse(*id)));
    best.ok_or_else(|| Error::NoCpuEvent {
        path: recording.path().into(),
        wanted: wanted.map(|name| format!(" and is called {name}")).unwrap_or_default(),
        events: if events.is_empty() {
            "none".into()
        } else {
            events.iter().map(|e| e.name.lossy()).collect::<Vec<_>>().join(", ")
        },
    })
}

/// A recording, and what of it counts.
#[derive(Debug)]
pub struct Input {
    /// The recording.
    pub recording: Recording,
    /// Which samples; its times are resolved in `times`.
    pub filter: Filter,
    /// When, by the recording's `CLOCK_MONOTONIC`; `None`: at all times.
    pub times: Option<Vec<Range<u64>>>,
}

impl Input {
    /// Of the time covered, what was asked for.
    #[must_use]
    pub fn observed(&self, account: &Account) -> Spans {
        let all = || account.covered.clone();
        self.times.as_ref().map_or_else(all, |times| account.covered.only(times))
    }
}

impl From<Recording> for Input {
    /// All of a recording.
    fn from(recording: Recording) -> Self {
        Self { recording, filter: Filter::default(), times: None }
    }
}

/// What is asked of recordings.
#[derive(Clone, Debug)]
pub struct Question {
    /// What stands at the root of every stack, the outermost first.
    pub by: Vec<Grouping>,
    /// Which frames are shown.
    pub shape: Shape,
    /// Which stacks count by their frames' names.
    pub sieve: Sieve,
    /// The event shown; `None`: the one that measured most CPU time.
    pub event: Option<String>,
    /// Into how many steps of time all recordings together are divided; each has one at least.
    pub steps: u32,
    /// Whether time is divided as finely as a report shows it, and threads and CPUs are told apart there.
    pub over_time: bool,
    /// Whether the addresses of the stacks' code are kept, for outputs that state them.
    pub locations: bool,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            by: vec![Grouping::Process],
            shape: Shape::default(),
            sieve: Sieve::default(),
            event: None,
            steps: 1,
            over_time: false,
            locations: false,
        }
    }
}

/// The samples of one input.
struct Collapsed {
    event: EventId,
    cells: Cells,
    grid: Grid,
}

fn collapse_input(
    input: &Input,
    question: &Question,
    names: &ProcessNames,
    steps: u32,
    over_time: Option<Fineness>,
) -> Result<(Collapsed, Keep), Error> {
    let recording = &input.recording;
    let event = shown_event(recording, question.event.as_deref())?;
    let mut keep = input.filter.keep(recording.tables(), recording.facts(), names);
    let mut span = recording.span();
    if let Some(times) = &input.times {
        let bounds = |pick: fn(&Range<u64>) -> u64| times.iter().map(pick);
        let from = bounds(|span| span.start).min().unwrap_or(0).max(span.start);
        let to = bounds(|span| span.end).max().unwrap_or(0).min(span.end);
        span = from..to;
        keep = keep.at(times.clone());
    }
    let grid = match (over_time, steps) {
        (Some(fineness), _) => fineness.grid(&span),
        (None, 0..=1) => Grid::default(),
        (None, _) => Grid::over(&span, steps),
    };
    let mut apart = group::apart(&question.by, grid);
    let groups = over_time.is_some_and(|fineness| fineness.groups);
    apart.thread |= groups;
    apart.cpu |= groups;
    let cells = collapse(recording, event, &keep, &apart);
    Ok((Collapsed { event, cells, grid }, keep))
}

/// Sums, names and merges recordings, and inputs that have names already.
///
/// # Errors
/// When a recording has no event that measures CPU time, inputs measure what cannot be added, or the
/// filters leave nothing of any.
pub fn analyze(
    inputs: &[Input],
    named: &[NamedInput],
    question: &Question,
    locator: &Locator,
    cache: &SymbolCache,
) -> Result<Analysis, Error> {
    let names: Vec<ProcessNames> =
        inputs.iter().map(|input| ProcessNames::new(input.recording.tables())).collect();
    let steps = question.steps.div_ceil(inputs.len().max(1) as u32);
    let recordings = || inputs.iter().map(|input| &input.recording);
    let over_time = question.over_time.then(|| Fineness::of(recordings()));
    let mut collapsed: Vec<Collapsed> = Vec::new();
    let mut paths: Vec<Paths<'_>> = Vec::new();
    let mut anything = false;
    let mut weight = 0u64;
    let read: Vec<Result<_, Error>> = inputs
        .par_iter()
        .zip(&names)
        .map(|(input, names)| {
            let (mut part, keep) = collapse_input(input, question, names, steps, over_time)?;
            let recorded = part.cells.recorded().weight;
            let paths = unwind(&input.recording, &mut part.cells, locator);
            Ok((part, keep, recorded, paths))
        })
        .collect();
    for (input, read) in inputs.iter().zip(read) {
        let (part, keep, recorded, unwound) = read?;
        anything |= !keep.is_nothing();
        let path = || input.recording.path().into();
        weight =
            weight.checked_add(recorded).ok_or_else(|| Error::AbsurdWeight { path: path() })?;
        paths.push(unwound);
        collapsed.push(part);
    }
    let path = inputs.first().map(|input| input.recording.path());
    let measures = given::shown_measures(named, question.event.as_deref(), path, weight)?;
    if named.is_empty()
        && !anything
        && let Some(input) = inputs.iter().find(|input| !input.filter.is_empty())
    {
        let recorded = names.iter().flat_map(ProcessNames::all).collect();
        let filter = input.filter.describe();
        return Err(Error::NothingLeft { filter, recorded: some_of(recorded) });
    }

    let used: Vec<Used<'_>> = inputs
        .iter()
        .zip(collapsed.iter().zip(&paths))
        .map(|(input, (part, paths))| Used {
            tables: input.recording.tables(),
            paths,
            cells: &part.cells,
        })
        .collect();
    let addresses = gather(&used);
    let fetched = prefetch(&addresses, &used, locator);
    let mut frames = FrameTable::default();
    let vdso_image = |recording: usize, module| inputs[recording].recording.vdso_image(module);
    let resolution = resolve(&addresses, &used, vdso_image, locator, cache, &mut frames);

    let mut totals = Totals::new(frames, &addresses, question);
    for (index, (input, used)) in inputs.iter().zip(&used).enumerate() {
        let recording = &input.recording;
        let groups = Groups {
            by: &question.by,
            tables: recording.tables(),
            host: &recording.facts().host,
            processes: &names[index],
        };
        let chains = Chains {
            recording: index,
            paths: used.paths,
            groups,
            addresses: &addresses,
            resolution: &resolution,
            shape: question.shape,
        };
        totals.add(&chains, input, used.cells, &collapsed[index].grid);
    }
    for (index, (input, measure)) in named.iter().zip(&measures).enumerate() {
        totals.add_given(inputs.len() + index, input, *measure, question);
    }
    let recorded: Vec<Recorded> = inputs
        .iter()
        .zip(collapsed)
        .map(|(input, part)| Recorded {
            path: input.recording.path().into(),
            facts: input.recording.facts().clone(),
            end: input.recording.end().cloned(),
            damage: input.recording.damage(),
            observed: input.observed(&part.cells.account),
            account: part.cells.account,
            event: part.event,
        })
        .collect();
    let mut analysis = totals.finish(inputs, recorded, &resolution);
    given::join(named, &measures, &mut analysis);
    if let (false, true, Some(input)) = (anything, analysis.total.weight == 0, named.first()) {
        let filter = input.filter.describe();
        let processes = named.iter().flat_map(|input| given::processes(&input.named)).collect();
        return Err(Error::NothingLeft { filter, recorded: some_of(processes) });
    }
    analysis.fetched = fetched;
    analysis.refused_debug_files = locator.refused_debug_files();
    let left_out = analysis.filtered.iter().any(|sum| sum.weight > 0);
    if analysis.total.weight == 0 && left_out {
        let mut filters: Vec<String> = inputs.iter().map(|i| i.filter.describe()).collect();
        filters.retain(|filter| !filter.is_empty());
        filters.dedup();
        if !question.sieve.is_empty() {
            filters.push("--focus or --ignore".into());
        }
        let filter = if filters.is_empty() { "that time".into() } else { filters.join("; ") };
        let recorded = some_of(names.iter().flat_map(ProcessNames::all).collect());
        return Err(Error::NothingLeft { filter, recorded });
    }
    Ok(analysis)
}

/// A few names for an error message.
fn some_of(mut names: Vec<&str>) -> String {
    const SHOWN: usize = 8;
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    match (names.len(), more) {
        (0, _) => "nothing".into(),
        (_, 0) => names.join(", "),
        _ => format!("{} and {more} more", names.join(", ")),
    }
}
