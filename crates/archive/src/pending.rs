//! Definition rows waiting to be written, numbered as they come.

use profile::{
    Cgroup, CgroupId, HostSymbol, LabelSet, LabelSetId, Mapping, Module, ModuleId, Node, NodeId,
    Process, ProcessId, Stack, StackId, Thread, ThreadId,
};
use prost::Message;

use crate::{Limits, rows, schema};

/// A Defs is closed when it reaches this size: the compressor's and the reader's buffers stay small,
/// and the longest possible row (256 KiB of labels) still fits into a frame.
const CLOSE_AT_BYTES: usize = 128 << 10;
/// Upper bounds of a column row's serialised size: varints of 5 (32 bits) and 10 bytes (64 bits).
const NODE_BYTES: usize = 5 + 5 + 10;
const STACK_BYTES: usize = 5 + 5 + 1 + 1 + 5;
const MAPPING_BYTES: usize = 5 + 10 + 10 + 10 + 5 + 10;
/// Tag and length of an embedded row.
const ROW_ENVELOPE_BYTES: usize = 6;

/// Rows given out so far in this epoch, by table.
#[derive(Clone, Copy, Default)]
struct Counts {
    cgroups: u32,
    processes: u32,
    threads: u32,
    modules: u32,
    nodes: u32,
    stacks: u32,
    label_sets: u32,
}

/// Definitions of one epoch that are not yet in a frame.
#[derive(Default)]
pub(crate) struct Pending {
    counts: Counts,
    /// The rows of the Defs that is open, except the columns below.
    open: schema::Defs,
    nodes: Vec<Node>,
    stacks: Vec<Stack>,
    /// Whether each of them has a slice.
    sliced: Vec<bool>,
    mappings: Vec<Mapping>,
    /// Upper bound of the open Defs' serialised size.
    open_bytes: usize,
    closed: Vec<schema::Defs>,
}

impl Pending {
    /// Whether a table is as long as the limits allow in one epoch.
    pub fn is_full(&self, limits: &Limits) -> bool {
        let c = &self.counts;
        c.nodes >= limits.nodes
            || c.stacks >= limits.stacks
            || [c.cgroups, c.processes, c.threads, c.modules, c.label_sets]
                .iter()
                .any(|count| *count >= limits.other_rows)
    }

    /// All Defs to be written, in order.
    pub fn take(&mut self) -> Vec<schema::Defs> {
        self.close();
        std::mem::take(&mut self.closed)
    }

    /// Numbers start over.
    pub fn begin_epoch(&mut self) {
        self.counts = Counts::default();
    }

    pub fn cgroup(&mut self, row: &Cgroup) -> CgroupId {
        let id = next(&mut self.counts.cgroups, &mut self.open.first_cgroup, &self.open.cgroups);
        let row = rows::write_cgroup(row);
        let bytes = row.encoded_len();
        self.open.cgroups.push(row);
        self.grow(bytes + ROW_ENVELOPE_BYTES);
        CgroupId(id)
    }

    pub fn process(&mut self, row: &Process) -> ProcessId {
        let id =
            next(&mut self.counts.processes, &mut self.open.first_process, &self.open.processes);
        let row = rows::write_process(row);
        let bytes = row.encoded_len();
        self.open.processes.push(row);
        self.grow(bytes + ROW_ENVELOPE_BYTES);
        ProcessId(id)
    }

    pub fn thread(&mut self, row: &Thread) -> ThreadId {
        let id = next(&mut self.counts.threads, &mut self.open.first_thread, &self.open.threads);
        let row = rows::write_thread(row);
        let bytes = row.encoded_len();
        self.open.threads.push(row);
        self.grow(bytes + ROW_ENVELOPE_BYTES);
        ThreadId(id)
    }

    pub fn module(&mut self, row: &Module) -> ModuleId {
        let id = next(&mut self.counts.modules, &mut self.open.first_module, &self.open.modules);
        let row = rows::write_module(row);
        let bytes = row.encoded_len();
        self.open.modules.push(row);
        self.grow(bytes + ROW_ENVELOPE_BYTES);
        ModuleId(id)
    }

    pub fn label_set(&mut self, row: &LabelSet) -> LabelSetId {
        let id = next(
            &mut self.counts.label_sets,
            &mut self.open.first_label_set,
            &self.open.label_sets,
        );
        let row = rows::write_label_set(row);
        let bytes = row.encoded_len();
        self.open.label_sets.push(row);
        self.grow(bytes + ROW_ENVELOPE_BYTES);
        LabelSetId(id)
    }

    pub fn symbol(&mut self, row: &HostSymbol) {
        let row = rows::write_symbol(row);
        let bytes = row.encoded_len();
        self.open.symbols.push(row);
        self.grow(bytes + ROW_ENVELOPE_BYTES);
    }

    pub fn node(&mut self, row: Node) -> NodeId {
        self.counts.nodes += 1;
        self.nodes.push(row);
        let id = NodeId(self.counts.nodes);
        self.grow(NODE_BYTES);
        id
    }

    pub fn stack(&mut self, row: Stack, sliced: bool) -> StackId {
        self.counts.stacks += 1;
        self.stacks.push(row);
        self.sliced.push(sliced);
        let id = StackId(self.counts.stacks);
        self.grow(STACK_BYTES);
        id
    }

    pub fn mapping(&mut self, row: &Mapping) {
        self.mappings.push(row.clone());
        self.grow(MAPPING_BYTES);
    }

    fn grow(&mut self, bytes: usize) {
        self.open_bytes += bytes;
        if self.open_bytes >= CLOSE_AT_BYTES {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.open_bytes == 0 {
            return;
        }
        let mut defs = std::mem::take(&mut self.open);
        self.open_bytes = 0;
        if !self.nodes.is_empty() {
            defs.nodes = Some(node_columns(&self.nodes, self.counts.nodes));
            self.nodes.clear();
        }
        if !self.stacks.is_empty() {
            defs.stacks = Some(stack_columns(&self.stacks, &self.sliced, self.counts.stacks));
            self.stacks.clear();
            self.sliced.clear();
        }
        if !self.mappings.is_empty() {
            defs.mappings = Some(mapping_columns(&self.mappings));
            self.mappings.clear();
        }
        self.closed.push(defs);
    }
}

/// The id of a row about to be pushed; states it as the first one when its list is still empty.
fn next<T>(count: &mut u32, first: &mut u32, list: &[T]) -> u32 {
    *count += 1;
    if list.is_empty() {
        *first = *count;
    }
    *count
}

fn node_columns(nodes: &[Node], last: u32) -> schema::Nodes {
    let first = last + 1 - nodes.len() as u32;
    let mut columns = schema::Nodes { first, ..schema::Nodes::default() };
    for (id, node) in (first..).zip(nodes) {
        let parent = node.parent.0.checked_sub(first).and_then(|index| nodes.get(index as usize));
        let base = parent.filter(|p| p.module == node.module).map_or(0, |p| p.address);
        columns.parent_distance.push(id.saturating_sub(node.parent.0));
        columns.module.push(node.module.0);
        columns.address.push(node.address.wrapping_sub(base).cast_signed());
    }
    columns
}

fn stack_columns(stacks: &[Stack], sliced: &[bool], last: u32) -> schema::Stacks {
    let in_go = stacks.iter().any(|s| s.goroutine.is_some());
    schema::Stacks {
        first: last + 1 - stacks.len() as u32,
        user: stacks.iter().map(|s| s.user.0).collect(),
        kernel: stacks.iter().map(|s| s.kernel.0).collect(),
        end: stacks.iter().map(|s| rows::write_stack_end(s.end).into()).collect(),
        sliced: if sliced.contains(&true) { sliced.to_vec() } else { Vec::new() },
        goroutine: stacks.iter().filter(|_| in_go).map(|s| s.goroutine.0).collect(),
    }
}

fn mapping_columns(mappings: &[Mapping]) -> schema::Mappings {
    let mut columns = schema::Mappings::default();
    let (mut start, mut since_ns) = (0, 0);
    for m in mappings {
        columns.process.push(m.process.0);
        columns.start.push(m.start.0.wrapping_sub(start).cast_signed());
        columns.bytes.push(m.bytes);
        columns.file_offset.push(m.file_offset.0);
        columns.module.push(m.module.0);
        columns.since_ns.push(m.since_ns.wrapping_sub(since_ns).cast_signed());
        (start, since_ns) = (m.start.0, m.since_ns);
    }
    columns
}
