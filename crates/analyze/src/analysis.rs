//! From recordings to one call tree and the figures around it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use archive::Damage;
use profile::{CallTree, End, Event, EventId, EventKind, FrameTable, RecordingFacts, Text, Unit};
use rustc_hash::FxHashMap;

use crate::Error;
use crate::account::{Account, Spans};
use crate::addresses::{Addresses, Used, gather};
use crate::collapse::{Cells, Keep, Sum, collapse};
use crate::given::{self, Given, GivenSums};
use crate::import::{Named, Recording};
use crate::locate::{FetchOutcome, Locator};
use crate::measure::Measure;
use crate::modules::{self, GroupWeight, ModuleUse};
use crate::naming::Naming;
use crate::paths::Paths;
use crate::plan::Filter;
use crate::prefetch::prefetch;
use crate::processes::ProcessNames;
use crate::resolve::{Resolution, resolve};
use crate::stacks::{Chains, Shape, Wholeness};
use crate::symbol_cache::SymbolCache;
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
    /// What the filter left out.
    pub filtered: Sum,
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

fn keep(recording: &Recording, filter: &Filter, names: &ProcessNames) -> Keep {
    if filter.is_empty() {
        return Keep::everything(recording.tables());
    }
    Keep::only(recording.tables(), |thread, process| {
        let named = |name: &String| {
            thread.comm == Text::from(name.as_str()) || names.get(thread.process) == Some(name)
        };
        process.is_some_and(|p| filter.pids.is_empty() || filter.pids.contains(&p.pid.0))
            && (filter.comms.is_empty() || filter.comms.iter().any(named))
    })
}

/// Sums, names and merges recordings, and inputs that have names already.
///
/// # Errors
/// When a recording has no event that measures CPU time, inputs measure what cannot be added, or the
/// filter leaves nothing of any.
pub fn analyze(
    recordings: &[Recording],
    named: &[Named],
    filter: &Filter,
    shape: Shape,
    locator: &Locator,
    cache: &SymbolCache,
) -> Result<Analysis, Error> {
    let path = recordings.first().map(Recording::path);
    let measures = given::shown_measures(named, filter.event.as_deref(), path)?;
    let names: Vec<ProcessNames> =
        recordings.iter().map(|r| ProcessNames::new(r.tables())).collect();
    let mut collapsed: Vec<(EventId, Cells)> = Vec::new();
    let mut paths: Vec<Paths<'_>> = Vec::new();
    let mut anything = false;
    let mut weight = 0u64;
    for (recording, names) in recordings.iter().zip(&names) {
        let event = shown_event(recording, filter.event.as_deref())?;
        let keep = keep(recording, filter, names);
        anything |= !keep.is_nothing();
        let mut cells = collapse(recording, event, &keep);
        let everything = cells.total().weight.saturating_add(cells.filtered.weight);
        weight = weight
            .checked_add(everything)
            .ok_or_else(|| Error::AbsurdWeight { path: recording.path().into() })?;
        paths.push(unwind(recording, &mut cells, locator));
        collapsed.push((event, cells));
    }
    if !filter.is_empty() && !anything && named.is_empty() {
        let recorded = names.iter().flat_map(ProcessNames::all).collect();
        return Err(Error::NothingLeft { filter: filter.describe(), recorded: some_of(recorded) });
    }

    let used: Vec<Used<'_>> = recordings
        .iter()
        .zip(collapsed.iter().zip(&paths))
        .map(|(recording, ((_, cells), paths))| Used { tables: recording.tables(), paths, cells })
        .collect();
    let addresses = gather(&used);
    let fetched = prefetch(&addresses, &used, locator);
    let mut frames = FrameTable::default();
    let vdso_image = |recording: usize, module| recordings[recording].vdso_image(module);
    let resolution = resolve(&addresses, &used, vdso_image, locator, cache, &mut frames);

    let mut totals = Totals::new(frames, addresses.groups.len());
    for (index, used) in used.iter().enumerate() {
        let chains = Chains {
            recording: index,
            paths: used.paths,
            processes: &names[index],
            addresses: &addresses,
            resolution: &resolution,
            shape,
        };
        totals.add(&chains, used.cells);
    }
    let cells_total = collapsed.iter().fold(0, |sum, (_, cells)| sum + cells.total().weight);
    debug_assert_eq!(cells_total, totals.tree.total(), "no weight is lost on the way to the tree");
    let mut sums = GivenSums::default();
    for (input, measure) in named.iter().zip(measures) {
        let Totals { tree, naming, .. } = &mut totals;
        given::add(input, measure, (filter, shape), tree, naming, &mut sums)?;
        // Everything together must fit, so that no sum of parts can wrap.
        let all = [sums.total.weight, sums.filtered.weight]
            .iter()
            .fold(weight, |sum, part| sum.saturating_add(*part));
        if all == u64::MAX {
            return Err(Error::AbsurdWeight { path: input.path.clone() });
        }
    }
    let mut analysis = totals.finish(recordings, &collapsed, &addresses, &resolution);
    sums.join(&mut analysis);
    if !filter.is_empty() && !anything && analysis.total == Sum::default() {
        let recorded = "nothing of it".into();
        return Err(Error::NothingLeft { filter: filter.describe(), recorded });
    }
    analysis.fetched = fetched;
    analysis.refused_debug_files = locator.refused_debug_files();
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

/// What is summed over all cells.
struct Totals {
    tree: CallTree,
    processes: FxHashMap<(usize, u32), u64>,
    wholeness: BTreeMap<Wholeness, u64>,
    /// By group and [`Wholeness`].
    lacking: BTreeMap<(Wholeness, u32), u64>,
    naming: Naming,
    groups: Vec<GroupWeight>,
}

impl Totals {
    fn new(frames: FrameTable, groups: usize) -> Self {
        Self {
            tree: CallTree::with_frames(frames),
            processes: FxHashMap::default(),
            wholeness: BTreeMap::new(),
            lacking: BTreeMap::new(),
            naming: Naming::default(),
            groups: vec![GroupWeight::default(); groups],
        }
    }

    fn add(&mut self, chains: &Chains<'_>, cells: &Cells) {
        for cell in &cells.rows {
            let chain = chains.chain(cell, &mut self.tree.frames);
            self.tree.add(&chain.frames, cell.weight);
            *self.processes.entry((chains.recording, cell.process.0)).or_default() += cell.weight;
            *self.wholeness.entry(chain.wholeness).or_default() += cell.weight;
            if let Some(group) = chain.cause {
                *self.lacking.entry((chain.wholeness, group)).or_default() += cell.weight;
            }
            self.naming.add(chain.leaf, cell.weight);
            modules::add(&mut self.groups, &chain, cell.weight);
        }
    }

    fn finish(
        self,
        recordings: &[Recording],
        collapsed: &[(EventId, Cells)],
        addresses: &Addresses,
        resolution: &Resolution,
    ) -> Analysis {
        let total = |pick: fn(&Cells) -> Sum| {
            collapsed.iter().fold(Sum::default(), |sum, (_, cells)| sum.merge(pick(cells)))
        };
        let recorded: Vec<Recorded> = recordings
            .iter()
            .zip(collapsed)
            .map(|(recording, (event, cells))| Recorded {
                path: recording.path().into(),
                facts: recording.facts().clone(),
                end: recording.end().cloned(),
                damage: recording.damage(),
                account: cells.account.clone(),
                event: *event,
            })
            .collect();
        Analysis {
            total: total(Cells::total),
            filtered: total(|cells| cells.filtered),
            other_events_samples: collapsed.iter().map(|(_, c)| c.other_events_samples).sum(),
            observed_ns: observed_ns(&recorded),
            period_ns: recorded.iter().filter_map(|r| Some(r.event()?.period)).max().unwrap_or(0),
            processes: process_rows(&self.processes, recordings),
            wholeness: self.wholeness,
            lacking: modules::lacking(&self.lacking, addresses),
            naming: self.naming,
            modules: modules::rows(&self.groups, recordings, addresses, resolution, |frame| {
                self.tree.frames.get(frame).source
            }),
            tree: self.tree,
            left_out: Vec::new(),
            fetched: None,
            refused_debug_files: Vec::new(),
            recordings: recorded,
            given: Vec::new(),
            measure: Measure::cpu_time(),
        }
    }
}

/// Time observed: recordings of one machine (one boot) that overlap count their time once.
fn observed_ns(recorded: &[Recorded]) -> u64 {
    let mut by_boot: BTreeMap<(&Text, &Text), Spans> = BTreeMap::new();
    for recording in recorded {
        by_boot
            .entry((&recording.facts.host, &recording.facts.boot_id))
            .or_default()
            .merge(&recording.account.covered);
    }
    by_boot.values().fold(0, |sum, spans| sum.saturating_add(spans.total_ns()))
}

fn process_rows(
    weights: &FxHashMap<(usize, u32), u64>,
    recordings: &[Recording],
) -> Vec<ProcessUse> {
    let names: Vec<ProcessNames> =
        recordings.iter().map(|r| ProcessNames::new(r.tables())).collect();
    // Images of one process (before and after exec) and processes seen by several recordings of one
    // rotation are one row each, if they have one name.
    let mut rows: BTreeMap<(usize, u32, String), u64> = BTreeMap::new();
    for ((recording, id), weight) in weights {
        let id = profile::ProcessId(*id);
        let pid = recordings[*recording].tables().process(id).map_or(0, |p| p.pid.0);
        let name = names[*recording].get(id).unwrap_or(crate::stacks::LOST).to_owned();
        *rows.entry((*recording, pid, name)).or_default() += weight;
    }
    let mut rows: Vec<ProcessUse> = rows
        .into_iter()
        .map(|((recording, pid, name), weight)| ProcessUse { name, pid, recording, weight })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.weight));
    rows
}
