//! Sums over all cells, once they have names: the call tree, when it was measured, and what is known of
//! processes, stacks, names and modules.

use std::collections::BTreeMap;

use profile::{CallTree, FrameTable, Text, TimeCell, TimeGroup, TimeRow, Timeline};
use rustc_hash::FxHashMap;

use crate::account::Spans;
use crate::addresses::Addresses;
use crate::analysis::{Analysis, Input, ProcessUse, Question, Recorded};
use crate::collapse::{Cell, Cells, Grid, Sum};
use crate::given::{GivenChains, NamedInput};
use crate::keep::LeftOut;
use crate::measure::Measure;
use crate::modules::{self, GroupWeight};
use crate::naming::Naming;
use crate::over_time::TimeGroups;
use crate::placed::{Collector, Trail};
use crate::processes::ProcessNames;
use crate::resolve::Resolution;
use crate::sieve::Sieving;
use crate::stacks::{Chain, Chains, Wholeness};

/// What is summed over all cells.
pub struct Totals<'a> {
    addresses: &'a Addresses,
    sieving: Sieving<'a>,
    tree: CallTree,
    timeline: Timeline,
    /// Where the timeline is of a report.
    over_time: Option<TimeGroups>,
    total: Sum,
    filtered: [Sum; LeftOut::COUNT],
    other_events_samples: u64,
    processes: FxHashMap<(usize, u32), u64>,
    wholeness: BTreeMap<Wholeness, u64>,
    /// By group and [`Wholeness`].
    lacking: BTreeMap<(Wholeness, u32), u64>,
    naming: Naming,
    groups: Vec<GroupWeight>,
    placed: Option<Collector<'a>>,
}

impl<'a> Totals<'a> {
    /// Nothing yet, over frames interned before.
    #[must_use]
    pub fn new(frames: FrameTable, addresses: &'a Addresses, question: &'a Question) -> Self {
        Self {
            addresses,
            sieving: Sieving::new(&question.sieve),
            tree: CallTree::with_frames(frames),
            timeline: Timeline::default(),
            over_time: question.over_time.then(TimeGroups::default),
            total: Sum::default(),
            filtered: [Sum::default(); LeftOut::COUNT],
            other_events_samples: 0,
            processes: FxHashMap::default(),
            wholeness: BTreeMap::new(),
            lacking: BTreeMap::new(),
            naming: Naming::default(),
            groups: vec![GroupWeight::default(); addresses.groups.len()],
            placed: question.locations.then(|| Collector::new(addresses, &question.by)),
        }
    }

    /// Adds the samples of one input.
    pub fn add(&mut self, chains: &Chains<'_>, input: &Input, cells: &Cells, grid: &Grid) {
        for (sum, more) in self.filtered.iter_mut().zip(cells.left_out) {
            *sum = sum.merge(more);
        }
        self.other_events_samples += cells.other_events_samples;
        let first_cell = self.add_steps(chains.recording, grid, &input.observed(&cells.account));
        let wanted = Wanted::new(input, self.addresses);
        // Cells of one stack at several times stand together: it becomes frames once.
        let same =
            |a: &Cell, b: &Cell| (a.process, a.stack, a.group) == (b.process, b.stack, b.group);
        for cells in cells.rows.chunk_by(same) {
            let mut chain = chains.chain(&cells[0], &mut self.tree.frames);
            let sum = cells.iter().fold(Sum::default(), |sum, cell| sum.merge(cell.sum()));
            let all = self.placed.is_some().then(|| chain.frames.clone());
            let passes = wanted.as_ref().is_none_or(|wanted| wanted.has(&chain, &cells[0]));
            if !passes || !self.sieving.pass(&mut chain.frames, &self.tree.frames) {
                let left_out = &mut self.filtered[LeftOut::Stack as usize];
                *left_out = left_out.merge(sum);
                continue;
            }
            let node = self.tree.path_to(&chain.frames);
            self.tree.add_self(node, sum.weight);
            let group = self.over_time.as_mut().map_or(0, |groups| {
                groups.number(&mut self.timeline, chains.recording, &chains.groups, &cells[0])
            });
            self.timeline.rows.extend(cells.iter().map(|cell| TimeRow {
                node,
                cell: first_cell + cell.step,
                group,
                weight: cell.weight,
            }));
            self.count(chains.recording, &cells[0], &chain, sum);
            if let (Some(placed), Some(all)) = (&mut self.placed, all) {
                let process = chains.groups.tables.process(cells[0].process);
                let pid = process.map_or(0, |process| process.pid.0);
                let (places, shown) = (&chain.places, &chain.frames);
                let trail = Trail { frames: &all, places, shown, pid, labels: Vec::new() };
                placed.add(trail, sum, &self.tree.frames);
            }
        }
    }

    /// Adds the stacks of an input that came with names, as one step of time.
    pub fn add_given(
        &mut self,
        capture: usize,
        input: &NamedInput,
        measure: usize,
        question: &Question,
    ) {
        let cell = self.timeline.cells.len() as u32;
        let observed_ns = input.named.duration_ns.unwrap_or(0);
        let group = self.timeline.groups.len() as u32;
        if self.over_time.is_some() {
            self.timeline.groups.push(TimeGroup::default());
        }
        self.timeline.cells.push(TimeCell { capture: capture as u32, start_ns: 0, observed_ns });
        let chains = GivenChains::new(input, question, &mut self.tree.frames);
        for stack in input.named.stacks() {
            let sum = Sum { weight: stack.weights[measure], samples: stack.samples };
            if sum.weight == 0 {
                continue;
            }
            let mut left_out = None;
            match chains.chain(&stack, &mut self.tree.frames) {
                Err(why) => left_out = Some(why),
                Ok(mut chain) => {
                    if self.sieving.pass(&mut chain.frames, &self.tree.frames) {
                        let node = self.tree.path_to(&chain.frames);
                        self.tree.add_self(node, sum.weight);
                        self.timeline.rows.push(TimeRow { node, cell, group, weight: sum.weight });
                        self.naming.add(chain.leaf, sum.weight);
                        self.total = self.total.merge(sum);
                        if let Some(placed) = &mut self.placed {
                            let frames = &chain.frames;
                            let trail = Trail {
                                frames,
                                places: &[],
                                shown: frames,
                                pid: 0,
                                labels: Vec::new(),
                            };
                            placed.add(trail, sum, &self.tree.frames);
                        }
                    } else {
                        left_out = Some(LeftOut::Stack);
                    }
                }
            }
            if let Some(why) = left_out {
                let filtered = &mut self.filtered[why as usize];
                *filtered = filtered.merge(sum);
            }
        }
    }

    fn count(&mut self, recording: usize, cell: &Cell, chain: &Chain, sum: Sum) {
        self.total = self.total.merge(sum);
        *self.processes.entry((recording, cell.process.0)).or_default() += sum.weight;
        *self.wholeness.entry(chain.wholeness).or_default() += sum.weight;
        if let Some(group) = chain.cause {
            *self.lacking.entry((chain.wholeness, group)).or_default() += sum.weight;
        }
        self.naming.add(chain.leaf, sum.weight);
        modules::add(&mut self.groups, chain, sum.weight);
    }

    /// Adds an input's steps of time; the number of the first.
    fn add_steps(&mut self, capture: usize, grid: &Grid, observed: &Spans) -> u32 {
        let first = self.timeline.cells.len() as u32;
        let capture = capture as u32;
        if grid.steps <= 1 {
            let start_ns = observed.bounds().map_or(0, |span| span.start);
            let cell = TimeCell { capture, start_ns, observed_ns: observed.total_ns() };
            self.timeline.cells.push(cell);
            return first;
        }
        for step in 0..u64::from(grid.steps) {
            let start_ns = grid.start_ns.saturating_add(step * grid.step_ns);
            let span = start_ns..start_ns.saturating_add(grid.step_ns);
            let observed_ns = observed.within_ns(&span);
            self.timeline.cells.push(TimeCell { capture, start_ns, observed_ns });
        }
        first
    }

    /// The result.
    #[must_use]
    pub fn finish(
        mut self,
        inputs: &[Input],
        recorded: Vec<Recorded>,
        resolution: &Resolution,
    ) -> Analysis {
        self.timeline.unite();
        let frames = &self.tree.frames;
        let placed = self.placed.take().map(|placed| placed.finish(resolution, frames));
        Analysis {
            total: self.total,
            filtered: self.filtered,
            other_events_samples: self.other_events_samples,
            observed_ns: observed_ns(&recorded),
            period_ns: recorded.iter().filter_map(|r| Some(r.event()?.period)).max().unwrap_or(0),
            processes: process_rows(&self.processes, inputs),
            wholeness: self.wholeness,
            lacking: modules::lacking(&self.lacking, self.addresses),
            naming: self.naming,
            modules: modules::rows(&self.groups, inputs, self.addresses, resolution, |frame| {
                self.tree.frames.get(frame).source
            }),
            timeline: self.timeline,
            tree: self.tree,
            left_out: Vec::new(),
            fetched: None,
            refused_debug_files: Vec::new(),
            recordings: recorded,
            placed,
            given: Vec::new(),
            measure: Measure::cpu_time(),
        }
    }
}

/// Which modules an input's stacks must have one of.
struct Wanted<'a> {
    input: &'a Input,
    /// By group of addresses.
    groups: Vec<bool>,
}

impl<'a> Wanted<'a> {
    fn new(input: &'a Input, addresses: &Addresses) -> Option<Self> {
        let wants = |module: &Option<profile::Module>| {
            module.as_ref().is_some_and(|module| input.filter.wants_module(module))
        };
        let groups = || addresses.groups.iter().map(|group| wants(&group.module)).collect();
        input.filter.asks_for_modules().then(|| Self { input, groups: groups() })
    }

    /// Whether code of such a module is on the stack, or it is of a process that runs one: of a sample in
    /// the kernel the stack may hold nothing else.
    fn has(&self, chain: &Chain, cell: &Cell) -> bool {
        let tables = self.input.recording.tables();
        let exe = tables.process(cell.process).and_then(|process| tables.module(process.exe));
        chain.groups.iter().any(|(group, _)| self.groups[*group as usize])
            || exe.is_some_and(|module| self.input.filter.wants_module(module))
    }
}

/// Time observed: recordings of one machine (one boot) that overlap count their time once.
fn observed_ns(recorded: &[Recorded]) -> u64 {
    let mut by_boot: BTreeMap<(&Text, &Text), Spans> = BTreeMap::new();
    for recording in recorded {
        by_boot
            .entry((&recording.facts.host, &recording.facts.boot_id))
            .or_default()
            .merge(&recording.observed);
    }
    by_boot.values().fold(0, |sum, spans| sum.saturating_add(spans.total_ns()))
}

fn process_rows(weights: &FxHashMap<(usize, u32), u64>, inputs: &[Input]) -> Vec<ProcessUse> {
    let names: Vec<ProcessNames> =
        inputs.iter().map(|input| ProcessNames::new(input.recording.tables())).collect();
    // Images of one process (before and after exec) and processes seen by several recordings of one
    // rotation are one row each, if they have one name.
    let mut rows: BTreeMap<(usize, u32, String), u64> = BTreeMap::new();
    for ((recording, id), weight) in weights {
        let id = profile::ProcessId(*id);
        let tables = inputs[*recording].recording.tables();
        let pid = tables.process(id).map_or(0, |p| p.pid.0);
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
