//! Feeds the archive: turns new stacks into trie nodes, and each sample into a row.

mod user_stack;

use std::io::Write;

use archive::{Flush, Limits, Sample, Writer};
use profile::{
    Clock, Cost, CpuLedger, End, EventId, LabelSetId, ModuleId, Node, NodeId, RecordingFacts,
    Slice, Stack, StackEnd,
};

use crate::decode::{RawSample, Words};
use crate::embedding::{Embedded, Embedding};
use crate::go_frames::GoFrames;
use crate::host;
use crate::intern::{Callers, CallersKey, Interner};
use crate::jit_names::{Image, JitNames};
use crate::jit_search::JitAddress;
use crate::jit_summary::JitSummary;
use crate::kernel::{Kernel, KernelPart};
use crate::kernel_names::{KernelNames, NameAddress, Passes};
use crate::perf_map_file::NoMap;
use crate::process::{Ended, Process, Processes};
use crate::rows::Rows;
use crate::world::World;

/// The one event so far.
pub(crate) const EVENT: EventId = EventId(1);
/// /proc/modules is read again at most this often when an address belongs to nothing known.
const RELOAD_MODULES_NS: u64 = 5_000_000_000;
/// The end of a recording waits at most so long for names of run-time code.
const LAST_SEARCH_NS: u64 = 1_500_000_000;
/// Context of kernel stacks in the callers' cache; processes count theirs from 1.
const KERNEL_CONTEXT: u64 = 0;

/// What the recorder does not know by itself at a flush.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlushState<'a> {
    pub(crate) covered_to_ns: u64,
    pub(crate) clock: Clock,
    pub(crate) ledger: &'a [CpuLedger],
    pub(crate) cost: Cost,
    pub(crate) sideband_lost: u64,
}

/// Everything numbered within an epoch.
#[derive(Debug)]
struct Epoch {
    interner: Interner,
    rows: Rows,
    names: KernelNames,
}

impl Epoch {
    /// With the files of new modules kept open, if their tables are to be embedded.
    fn new(embeds: bool) -> Self {
        let rows = Rows::new(embeds);
        Self { interner: Interner::default(), rows, names: KernelNames::default() }
    }
}

/// A user frame, before it is a node.
#[derive(Clone, Copy, Debug)]
struct Frame {
    module: ModuleId,
    address: u64,
    is_run_time_code: bool,
}

/// Writes samples into an archive.
pub(crate) struct Recorder<W: Write> {
    writer: Writer<W>,
    facts: RecordingFacts,
    kernel: Kernel,
    depth_limit: usize,
    passes: Passes,
    modules_reloaded_ns: u64,
    covered_from_ns: u64,
    epoch: Epoch,
    run_time_code: JitNames,
    go_frames: GoFrames,
    /// If unwind tables are to be embedded.
    embedding: Option<Embedding>,
    /// Frames of a chain, leaf first; kept to save an allocation per new chain.
    frames: Vec<(ModuleId, u64)>,
    /// The slice of a sample; likewise.
    slice: Slice,
    /// Words in slices that are not yet written.
    pending_slice_words: usize,
}

impl<W: Write> Recorder<W> {
    /// Begins an archive.
    pub(crate) fn new(
        out: W,
        facts: RecordingFacts,
        kernel: Kernel,
        limits: Limits,
        embed_unwind: bool,
    ) -> Result<Self, archive::Error> {
        let start_ns = facts.clock.monotonic_ns;
        Ok(Self {
            writer: Writer::new(out, &facts, limits)?,
            depth_limit: facts.max_stack as usize,
            facts,
            kernel,
            passes: Passes::new(start_ns),
            modules_reloaded_ns: start_ns,
            covered_from_ns: start_ns,
            epoch: Epoch::new(embed_unwind),
            run_time_code: JitNames::default(),
            go_frames: GoFrames::default(),
            embedding: embed_unwind.then(Embedding::default),
            frames: Vec::new(),
            slice: Slice::default(),
            pending_slice_words: 0,
        })
    }

    /// Takes a sample of a process whose maps are as they were at that time. Returns what its frame
    /// pointers came to, if its mappings are known.
    pub(crate) fn sample(
        &mut self,
        sample: &RawSample<'_>,
        processes: &mut Processes,
        world: &mut impl World,
    ) -> Option<Callers> {
        let thread = self.epoch.rows.thread(&mut self.writer, processes, sample, world);
        let (user, callers) = match processes.get(sample.pid) {
            Some(process) => self.user_path(process, sample, world),
            None => (NodeId::NONE, None),
        };
        let kernel = self.kernel_path(sample.kernel, sample.time_ns);
        let goroutine = match processes.get(sample.pid) {
            Some(process) if callers.is_some() => self.goroutine_path(process, sample, world),
            _ => None,
        };
        let end = match goroutine.or(callers) {
            Some(outer) => outer.end,
            None if user.is_some() => StackEnd::MapsUnknown,
            None => StackEnd::NoUser,
        };
        let goroutine = goroutine.map_or(NodeId::NONE, |callers| callers.path);
        let row = Stack { user, kernel, goroutine, end };
        let stack = match processes.get(sample.pid) {
            Some(process) if callers.is_some() => self.stack(process, sample, row, world),
            _ => self.epoch.interner.stack(&mut self.writer, row),
        };
        if let Some(embedding) = &mut self.embedding {
            for (id, module, file) in self.epoch.rows.take_opened() {
                embedding.want(id, &module, file);
            }
        }
        self.writer.sample(&Sample {
            event: EVENT,
            cpu: sample.cpu,
            time_ns: sample.time_ns,
            thread,
            stack,
            weight: None,
            label_set: LabelSetId::NONE,
        });
        callers
    }

    /// `avma`: inside the instruction meant.
    fn want_name(
        &mut self,
        process: &Process,
        frame: Frame,
        avma: u64,
        time_ns: u64,
        world: &mut impl World,
    ) {
        if frame.is_run_time_code {
            let image = Image { pid: process.pid, uid: process.uid };
            let address = JitAddress { avma, module: frame.module };
            self.run_time_code.want(image, address, time_ns, || {
                // A sample is looked at a while after it was taken.
                let replaced = world.replaced_since(process.pid, time_ns);
                let place = world.perf_map_place(process.pid);
                (process.program(), if replaced { Err(NoMap::Gone) } else { place })
            });
        }
    }

    fn kernel_path(&mut self, words: Words<'_>, time_ns: u64) -> NodeId {
        let Some(leaf) = words.get(0) else { return NodeId::NONE };
        let above = Words(&words.0[8..]);
        let key = CallersKey::new(KERNEL_CONTEXT, above, 0);
        let callers = match self.epoch.interner.callers(key) {
            Some(known) => known.path,
            None => {
                let mut path = NodeId::NONE;
                for word in above.iter().rev().filter(|word| *word != 0) {
                    path = self.kernel_frame(path, word, word - 1, time_ns);
                }
                let end = StackEnd::Complete;
                let callers = Callers { path, end, outermost: None, frameless: None };
                self.epoch.interner.remember_callers(key, callers);
                path
            }
        };
        self.kernel_frame(callers, leaf, leaf, time_ns)
    }

    /// `inside`: an address in the instruction meant, for looking up its name.
    fn kernel_frame(&mut self, parent: NodeId, word: u64, inside: u64, time_ns: u64) -> NodeId {
        let mut part = self.kernel.part_of(inside);
        if part == KernelPart::Generated && time_ns >= self.modules_reloaded_ns + RELOAD_MODULES_NS
        {
            self.modules_reloaded_ns = time_ns;
            self.kernel.reload_modules();
            part = self.kernel.part_of(inside);
        }
        let module = self.epoch.rows.kernel_module(&mut self.writer, &self.kernel, part);
        let base = self.kernel.base(part);
        let row = Node { parent, module, address: word.wrapping_sub(base) };
        let (node, is_new) = self.epoch.interner.node(&mut self.writer, row);
        if is_new {
            let generated = part == KernelPart::Generated;
            self.epoch.names.want(inside, module, base, generated);
        }
        node
    }

    /// Notes processes that ended.
    pub(crate) fn ended(&mut self, ended: &[Ended]) {
        for one in ended {
            self.epoch.rows.exit(&mut self.writer, *one);
        }
    }

    /// Time of the oldest sample not yet written.
    pub(crate) fn first_pending_ns(&self) -> Option<u64> {
        self.writer.first_pending_ns()
    }

    /// Samples not yet written.
    pub(crate) fn pending_samples(&self) -> usize {
        self.writer.pending_samples()
    }

    /// Words in slices that are not yet written.
    pub(crate) fn pending_slice_words(&self) -> usize {
        self.pending_slice_words
    }

    /// Until when the archive states what was covered.
    pub(crate) fn covered_to_ns(&self) -> u64 {
        self.covered_from_ns
    }

    pub(crate) fn bytes_written(&self) -> u64 {
        self.writer.bytes_written()
    }

    fn name_kernel_addresses(&mut self, namer: &impl NameAddress, now_ns: u64, last: bool) {
        let writer = &mut self.writer;
        let sink = |symbol: &_| writer.symbol(symbol);
        self.epoch.names.resolve(namer, &mut self.passes, now_ns, last, sink);
    }

    /// Searches the maps of just-in-time compilers for a while, if it is time to.
    pub(crate) fn name_run_time_code(&mut self, processes: &Processes, now_ns: u64) {
        let writer = &mut self.writer;
        let runs_now = |pid| processes.get(pid).map(|process| process.uid);
        self.run_time_code.search_a_while(runs_now, now_ns, |symbol| writer.symbol(symbol));
    }

    /// Searches for the last names, and says what came of all searches.
    pub(crate) fn name_last_run_time_code(
        &mut self,
        processes: &Processes,
        now_ns: u64,
    ) -> JitSummary {
        let writer = &mut self.writer;
        let sink = |symbol: &_| writer.symbol(symbol);
        let runs_now = |pid| processes.get(pid).map(|process| process.uid);
        self.run_time_code.search_all(runs_now, now_ns, now_ns + LAST_SEARCH_NS, sink);
        self.run_time_code.summary()
    }

    /// Embeds the unwind tables of modules that were hit: some of them, or all.
    pub(crate) fn embed(&mut self, all: bool) -> Result<Option<Embedded>, archive::Error> {
        let Some(embedding) = &mut self.embedding else { return Ok(None) };
        embedding.embed(&mut self.writer, all)?;
        Ok(Some(embedding.done()))
    }

    /// Writes what is pending, and begins a new epoch when the old one is full.
    pub(crate) fn flush(
        &mut self,
        state: FlushState<'_>,
        namer: &impl NameAddress,
    ) -> Result<(), archive::Error> {
        let now_ns = state.clock.monotonic_ns;
        let full = self.writer.wants_new_epoch(now_ns) && self.run_time_code.epoch_may_end(now_ns);
        self.name_kernel_addresses(namer, now_ns, full);
        self.embed(full)?;
        let covered_from_ns = self.covered_from_ns;
        self.writer.flush(&flush_of(state, covered_from_ns))?;
        self.pending_slice_words = 0;
        self.covered_from_ns = state.covered_to_ns;
        if full {
            self.facts.clock = host::clock();
            self.writer.begin_epoch(&self.facts)?;
            self.epoch = Epoch::new(self.embedding.is_some());
            self.run_time_code.begin_epoch();
        }
        Ok(())
    }

    /// Writes what is pending and the end.
    pub(crate) fn finish(
        mut self,
        state: FlushState<'_>,
        namer: &impl NameAddress,
        end: &End,
    ) -> Result<W, archive::Error> {
        self.name_kernel_addresses(namer, state.clock.monotonic_ns, true);
        self.writer.finish(&flush_of(state, self.covered_from_ns), end)
    }
}

fn flush_of(state: FlushState<'_>, covered_from_ns: u64) -> Flush<'_> {
    Flush {
        covered_from_ns,
        covered_to_ns: state.covered_to_ns,
        clock: state.clock,
        ledger: state.ledger,
        cost: Some(state.cost),
        sideband_lost: state.sideband_lost,
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
pub(crate) mod tests;
