//! Merges the definitions of all epochs into one set of tables. Identical rows of different epochs
//! become one; every epoch keeps maps from its own ids.
//!
//! A row may refer only to rows before it. A reference into a lost block is itself lost: a path or
//! stack with a lost step becomes a lost stack, other rows keep what they know and point to none.

use std::collections::BTreeMap;
use std::ops::Range;

use profile::{
    Avma, CgroupId, FileOffset, HostSymbol, Mapping, Module, ModuleId, Node, NodeId, ProcessId,
    RecordingFacts, Stack, Tables,
};
use prost::Message;

use crate::fields::{Fields, Malformed, Value, Varints};
use crate::ids::IdMap;
use crate::unify::Unifier;
use crate::{facts as wire, rows, schema};

/// What samples and exits of one epoch refer to, by merged id.
#[derive(Default, Debug)]
pub(crate) struct EpochIds {
    pub processes: IdMap,
    pub threads: IdMap,
    pub stacks: IdMap,
    pub label_sets: IdMap,
    /// What is embedded refers to it.
    pub modules: IdMap,
    cgroups: IdMap,
    nodes: IdMap,
}

impl EpochIds {
    /// Frees what only definitions refer to.
    fn seal(&mut self) {
        self.cgroups.clear();
        self.nodes.clear();
    }
}

/// Reads definition blocks in the order of the file.
#[derive(Default)]
pub(crate) struct Definitions {
    pub tables: Tables,
    pub epochs: BTreeMap<u32, EpochIds>,
    /// Of the first epoch that has any; events of the epoch that has most.
    pub facts: Option<RecordingFacts>,
    /// Rows that did not decode, though their block's checksum holds.
    pub bad_rows: u64,
    unifier: Unifier,
    current: Option<u32>,
}

/// Where the rows of one Defs stand.
#[derive(Default)]
struct Lists {
    first: [u32; 5],
    rows: [Vec<Range<usize>>; 5],
    symbols: Vec<Range<usize>>,
    nodes: NodeColumns,
    stacks: StackColumns,
    mappings: MappingColumns,
}

const CGROUPS: usize = 0;
const PROCESSES: usize = 1;
const THREADS: usize = 2;
const MODULES: usize = 3;
const LABEL_SETS: usize = 4;

impl Definitions {
    /// Takes the content of one frame. After an error nothing of the block is in the tables.
    pub fn add(&mut self, epoch: u32, content: &[u8]) -> Result<(), Malformed> {
        let (start, defs) = split(content)?;
        let lists = defs.map(|defs| Lists::find(content, defs)).transpose()?;
        if self.current != Some(epoch) {
            if let Some(done) = self.current.and_then(|epoch| self.epochs.get_mut(&epoch)) {
                done.seal();
            }
            self.current = Some(epoch);
        }
        if let Some(start) = start {
            self.add_facts(&content[start])?;
        }
        let mut ids = self.epochs.remove(&epoch).unwrap_or_default();
        let result = lists.map_or(Ok(()), |lists| self.add_lists(&mut ids, content, &lists));
        self.epochs.insert(epoch, ids);
        result
    }

    /// After the last block: in order of time.
    pub fn finish(&mut self) {
        self.tables.mappings.sort_by_key(|mapping| mapping.since_ns);
        self.unifier = Unifier::default();
        self.epochs.values_mut().for_each(EpochIds::seal);
    }

    /// Takes a serialised Start.
    pub fn add_facts(&mut self, start: &[u8]) -> Result<(), Malformed> {
        let start = schema::Start::decode(start).map_err(|_| Malformed)?;
        let facts = wire::read_facts(start).ok_or(Malformed)?;
        match &mut self.facts {
            None => self.facts = Some(facts),
            Some(first) if facts.events.len() > first.events.len() => first.events = facts.events,
            Some(_) => {}
        }
        Ok(())
    }

    fn add_lists(
        &mut self,
        ids: &mut EpochIds,
        content: &[u8],
        lists: &Lists,
    ) -> Result<(), Malformed> {
        let maps = [
            &mut ids.cgroups,
            &mut ids.processes,
            &mut ids.threads,
            &mut ids.modules,
            &mut ids.label_sets,
        ];
        for (map, (first, rows)) in maps.into_iter().zip(lists.first.iter().zip(&lists.rows)) {
            if !rows.is_empty() && !map.begin(*first) {
                return Err(Malformed);
            }
        }
        let columns = [
            (&mut ids.nodes, lists.nodes.first, lists.nodes.rows),
            (&mut ids.stacks, lists.stacks.first, lists.stacks.rows),
        ];
        for (map, first, rows) in columns {
            if rows > 0 && !map.begin(first) {
                return Err(Malformed);
            }
        }
        self.add_processes_and_modules(ids, content, lists);
        for at in &lists.rows[LABEL_SETS] {
            let row = schema::LabelSet::decode(&content[at.clone()]).ok();
            let row = row.and_then(rows::read_label_set);
            self.bad_rows += u64::from(row.is_none());
            let tables = &mut self.tables.label_sets;
            ids.label_sets.push(row.map_or(0, |row| self.unifier.label_sets.id(tables, row)));
        }
        self.add_nodes(ids, content, &lists.nodes);
        self.add_stacks(ids, content, &lists.stacks);
        self.add_mappings(ids, content, &lists.mappings);
        self.add_symbols(ids, content, lists);
        Ok(())
    }

    fn add_processes_and_modules(&mut self, ids: &mut EpochIds, content: &[u8], lists: &Lists) {
        for at in &lists.rows[CGROUPS] {
            let row = schema::Cgroup::decode(&content[at.clone()]).ok().map(rows::read_cgroup);
            self.bad_rows += u64::from(row.is_none());
            let tables = &mut self.tables.cgroups;
            ids.cgroups.push(row.map_or(0, |row| self.unifier.cgroups.id(tables, row)));
        }
        // A process names its executable, and a module of a process its process. So modules of no
        // process come first; the others get their place now and their row later.
        let mut owned: Vec<(usize, Module)> = Vec::new();
        let mut merged = Vec::with_capacity(lists.rows[MODULES].len());
        for at in &lists.rows[MODULES] {
            let row = schema::Module::decode(&content[at.clone()]).ok();
            let row = row.and_then(rows::read_module);
            self.bad_rows += u64::from(row.is_none());
            merged.push(match row {
                Some(row) if row.process.is_some() => {
                    owned.push((merged.len(), row));
                    0
                }
                Some(row) => self.unifier.modules.id(&mut self.tables.modules, row),
                None => 0,
            });
        }
        let exe = |id: ModuleId, ids: &EpochIds| {
            let here = lists.rows[MODULES].len();
            match id.0.checked_sub(lists.first[MODULES]) {
                Some(index) if (index as usize) < here => merged[index as usize],
                _ => ids.modules.get(id.0),
            }
        };
        for at in &lists.rows[PROCESSES] {
            let row = schema::Process::decode(&content[at.clone()]).ok().map(rows::read_process);
            self.bad_rows += u64::from(row.is_none());
            let id = row.map_or(0, |mut row| {
                row.parent = ProcessId(ids.processes.get(row.parent.0));
                row.cgroup = CgroupId(ids.cgroups.get(row.cgroup.0));
                row.exe = ModuleId(exe(row.exe, ids));
                self.unifier.processes.id(&mut self.tables.processes, row)
            });
            ids.processes.push(id);
        }
        for (index, mut row) in owned {
            row.process = ProcessId(ids.processes.get(row.process.0));
            merged[index] = self.unifier.modules.id(&mut self.tables.modules, row);
        }
        merged.into_iter().for_each(|id| ids.modules.push(id));
        for at in &lists.rows[THREADS] {
            let row = schema::Thread::decode(&content[at.clone()]).ok().map(rows::read_thread);
            self.bad_rows += u64::from(row.is_none());
            let id = row.map_or(0, |mut row| {
                row.process = ProcessId(ids.processes.get(row.process.0));
                self.unifier.threads.id(&mut self.tables.threads, row)
            });
            ids.threads.push(id);
        }
    }

    fn add_nodes(&mut self, ids: &mut EpochIds, content: &[u8], nodes: &NodeColumns) {
        let [mut distance, mut module, mut address] =
            nodes.columns.clone().map(|column| Varints(&content[column]));
        // (module, address) as written, for the differences of later rows.
        let mut written: Vec<(u32, u64)> = Vec::with_capacity(nodes.rows);
        for index in 0..nodes.rows {
            let own = u64::from(nodes.first) + index as u64;
            // A row that is its own parent is not in the map yet, and so is lost like any other hole.
            let parent = own.checked_sub(distance.next());
            let raw_module = module.next() as u32;
            let base = parent
                .and_then(|parent| parent.checked_sub(u64::from(nodes.first)))
                .and_then(|index| written.get(index as usize))
                .filter(|(module, _)| *module == raw_module)
                .map_or(0, |(_, address)| *address);
            let address = base.wrapping_add_signed(address.next_signed());
            written.push((raw_module, address));
            let parent = parent.and_then(|parent| ids.nodes.resolve(parent as u32));
            let id = match (parent, ids.modules.resolve(raw_module)) {
                (Some(parent), Some(module)) => {
                    let (parent, module) = (NodeId(parent), ModuleId(module));
                    self.unifier.node(&mut self.tables.nodes, Node { parent, module, address })
                }
                _ => 0,
            };
            ids.nodes.push(id);
        }
    }

    fn add_stacks(&mut self, ids: &mut EpochIds, content: &[u8], stacks: &StackColumns) {
        let [mut user, mut kernel, mut end] =
            stacks.columns.clone().map(|column| Varints(&content[column]));
        let [mut sliced, mut goroutine] =
            stacks.optional.clone().map(|column| Varints(&content[column]));
        for _ in 0..stacks.rows {
            let user = ids.nodes.resolve(user.next() as u32).map(NodeId);
            let kernel = ids.nodes.resolve(kernel.next() as u32).map(NodeId);
            let sliced = sliced.next() != 0;
            let goroutine = ids.nodes.resolve(goroutine.next() as u32).map(NodeId);
            let end = rows::read_stack_end(end.next());
            let id = match (user, kernel, goroutine, end) {
                (Some(user), Some(kernel), Some(goroutine), Some(end)) => {
                    let row = Stack { user, kernel, goroutine, end };
                    let stacks = &mut self.tables.stacks;
                    if sliced { stacks.push(row).0 } else { self.unifier.stack(stacks, row) }
                }
                _ => 0,
            };
            ids.stacks.push(id);
        }
    }

    /// A mapping of a lost module is left out: kept without one, it would say "unmapped".
    fn add_mappings(&mut self, ids: &EpochIds, content: &[u8], mappings: &MappingColumns) {
        let [mut process, mut start, mut bytes, mut file_offset, mut module, mut since] =
            mappings.columns.clone().map(|column| Varints(&content[column]));
        let (mut start_at, mut since_ns) = (0u64, 0u64);
        for _ in 0..mappings.rows {
            start_at = start_at.wrapping_add_signed(start.next_signed());
            since_ns = since_ns.wrapping_add_signed(since.next_signed());
            let process = ids.processes.get(process.next() as u32);
            let module = ids.modules.resolve(module.next() as u32);
            let (bytes, file_offset) = (bytes.next(), file_offset.next());
            let (Some(module), true) = (module, process != 0) else { continue };
            let row = Mapping {
                process: ProcessId(process),
                start: Avma(start_at),
                bytes,
                file_offset: FileOffset(file_offset),
                module: ModuleId(module),
                since_ns,
            };
            self.unifier.mapping(&mut self.tables.mappings, row);
        }
    }

    fn add_symbols(&mut self, ids: &EpochIds, content: &[u8], lists: &Lists) {
        for at in &lists.symbols {
            let row = schema::Symbol::decode(&content[at.clone()]).ok();
            let Some(row) = row.and_then(rows::read_symbol) else {
                self.bad_rows += 1;
                continue;
            };
            if let Some(module) = ids.modules.resolve(row.module.0) {
                let row = HostSymbol { module: ModuleId(module), ..row };
                self.unifier.symbols.id(&mut self.tables.symbols, row);
            }
        }
    }
}

/// Where a frame's Start and Defs stand, if it has them.
type Parts = (Option<Range<usize>>, Option<Range<usize>>);

fn split(content: &[u8]) -> Result<Parts, Malformed> {
    let (mut start, mut defs) = (None, None);
    for field in Fields::new(content, block(content)?) {
        match field? {
            (3, Value::Bytes(at)) => start = Some(at),
            (4, Value::Bytes(at)) if defs.is_none() => defs = Some(at),
            (4, _) => return Err(Malformed),
            _ => {}
        }
    }
    Ok((start, defs))
}

/// The one Block of a frame's content.
pub(crate) fn block(content: &[u8]) -> Result<Range<usize>, Malformed> {
    let mut fields = Fields::new(content, 0..content.len());
    match (fields.next(), fields.next()) {
        (Some(Ok((1, Value::Bytes(block)))), None) => Ok(block),
        _ => Err(Malformed),
    }
}

impl Lists {
    /// Finds all rows and checks the columns, before anything is taken over.
    fn find(content: &[u8], defs: Range<usize>) -> Result<Self, Malformed> {
        let mut lists = Self::default();
        for field in Fields::new(content, defs) {
            match field? {
                (1, Value::Varint(first)) => lists.first[CGROUPS] = first as u32,
                (2, Value::Bytes(at)) => lists.rows[CGROUPS].push(at),
                (3, Value::Varint(first)) => lists.first[PROCESSES] = first as u32,
                (4, Value::Bytes(at)) => lists.rows[PROCESSES].push(at),
                (5, Value::Varint(first)) => lists.first[THREADS] = first as u32,
                (6, Value::Bytes(at)) => lists.rows[THREADS].push(at),
                (7, Value::Varint(first)) => lists.first[MODULES] = first as u32,
                (8, Value::Bytes(at)) => lists.rows[MODULES].push(at),
                (9, Value::Bytes(at)) => {
                    lists.nodes = Columns::find(content, at, Some(1), [2, 3, 4], [])?;
                }
                (10, Value::Bytes(at)) => {
                    lists.stacks = Columns::find(content, at, Some(1), [2, 3, 4], [5, 6])?;
                }
                (11, Value::Bytes(at)) => {
                    lists.mappings = Columns::find(content, at, None, [1, 2, 3, 4, 5, 6], [])?;
                }
                (12, Value::Bytes(at)) => lists.symbols.push(at),
                (13, Value::Varint(first)) => lists.first[LABEL_SETS] = first as u32,
                (14, Value::Bytes(at)) => lists.rows[LABEL_SETS].push(at),
                _ => {}
            }
        }
        Ok(lists)
    }
}

type NodeColumns = Columns<3>;
type StackColumns = Columns<3, 2>;
type MappingColumns = Columns<6>;

/// Equally long packed columns, and some that may be absent.
struct Columns<const N: usize, const OPTIONAL: usize = 0> {
    first: u32,
    rows: usize,
    columns: [Range<usize>; N],
    optional: [Range<usize>; OPTIONAL],
}

impl<const N: usize, const OPTIONAL: usize> Default for Columns<N, OPTIONAL> {
    fn default() -> Self {
        Self {
            first: 0,
            rows: 0,
            columns: [const { 0..0 }; N],
            optional: [const { 0..0 }; OPTIONAL],
        }
    }
}

impl<const N: usize, const OPTIONAL: usize> Columns<N, OPTIONAL> {
    fn find(
        content: &[u8],
        message: Range<usize>,
        first: Option<u32>,
        numbers: [u32; N],
        optional: [u32; OPTIONAL],
    ) -> Result<Self, Malformed> {
        let mut found = Self::default();
        for field in Fields::new(content, message) {
            match field? {
                (number, Value::Varint(value)) if Some(number) == first => {
                    found.first = value as u32;
                }
                (number, Value::Bytes(at)) => {
                    let place = |numbers: &[u32]| numbers.iter().position(|n| *n == number);
                    if let Some(column) = place(&numbers) {
                        found.columns[column] = at;
                    } else if let Some(column) = place(&optional) {
                        found.optional[column] = at;
                    }
                }
                _ => {}
            }
        }
        let count = |column: &Range<usize>| Varints(&content[column.clone()]).count();
        found.rows = count(&found.columns[0])?;
        for column in &found.columns {
            if count(column)? != found.rows {
                return Err(Malformed);
            }
        }
        for column in found.optional.iter().filter(|column| !column.is_empty()) {
            if count(column)? != found.rows {
                return Err(Malformed);
            }
        }
        Ok(found)
    }
}
