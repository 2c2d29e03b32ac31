//! Finds identical rows, so that what every epoch restates becomes one row.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};
use profile::{
    Cgroup, HostSymbol, LabelSet, Mapping, Module, Node, NodeId, Nodes, Process, Stack, StackId,
    Stacks, Thread,
};

/// Ids by the hash of their rows; the rows themselves stay in their table. Seeded anew by every process,
/// because a file chooses the rows.
#[derive(Default)]
struct Index {
    ids: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Index {
    /// The id of a row equal to `row`, or the one that `insert` gives it.
    fn id<R: Hash + PartialEq>(
        &mut self,
        row: &R,
        get: impl Fn(u32) -> Option<R>,
        insert: impl FnOnce() -> u32,
    ) -> u32 {
        let hasher = &self.hasher;
        let hash = hasher.hash_one(row);
        let same = |id: &u32| get(*id).as_ref() == Some(row);
        let rehash = |id: &u32| get(*id).map_or(0, |row| hasher.hash_one(row));
        *self.ids.entry(hash, same, rehash).or_insert_with(insert).get()
    }
}

/// An index of a table that is a vector of rows.
pub(crate) struct Rows<T> {
    index: Index,
    of: std::marker::PhantomData<T>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { index: Index::default(), of: std::marker::PhantomData }
    }
}

impl<T: Hash + Eq> Rows<T> {
    /// The id of the row in its table, from 1.
    pub fn id(&mut self, rows: &mut Vec<T>, row: T) -> u32 {
        let known = {
            let get = |id: u32| rows.get(id as usize - 1);
            let next = rows.len() as u32 + 1;
            self.index.id(&&row, get, || next)
        };
        if known as usize > rows.len() {
            rows.push(row);
        }
        known
    }
}

/// One index for each table.
#[derive(Default)]
pub(crate) struct Unifier {
    pub cgroups: Rows<Cgroup>,
    pub processes: Rows<Process>,
    pub threads: Rows<Thread>,
    pub modules: Rows<Module>,
    pub label_sets: Rows<LabelSet>,
    pub symbols: Rows<HostSymbol>,
    nodes: Index,
    last_node: u32,
    stacks: Index,
    mappings: Index,
}

impl Unifier {
    pub fn node(&mut self, nodes: &mut Nodes, row: Node) -> u32 {
        // The frames of one stack follow each other, and do so again where an epoch restates them.
        let guess = self.last_node + 1;
        if nodes.get(NodeId(guess)) == Some(row) {
            self.last_node = guess;
            return guess;
        }
        // Most of opening an archive is this: one number hashes in one step, three fields in three.
        let key = |n: Node| {
            u128::from(n.parent.0) << 96 | u128::from(n.module.0) << 64 | u128::from(n.address)
        };
        let next = nodes.len() as u32 + 1;
        let id = self.nodes.id(&key(row), |id| nodes.get(NodeId(id)).map(key), || next);
        if id == next {
            nodes.push(row);
        }
        self.last_node = id;
        id
    }

    pub fn stack(&mut self, stacks: &mut Stacks, row: Stack) -> u32 {
        let next = stacks.len() as u32 + 1;
        let id = self.stacks.id(&row, |id| Some(stacks.get(StackId(id))), || next);
        if id == next {
            stacks.push(row);
        }
        id
    }

    pub fn mapping(&mut self, mappings: &mut Vec<Mapping>, row: Mapping) {
        let key = |m: &Mapping| (m.process, m.start, m.bytes, m.file_offset, m.module, m.since_ns);
        let next = mappings.len() as u32 + 1;
        let id = self.mappings.id(&key(&row), |id| mappings.get(id as usize - 1).map(key), || next);
        if id == next {
            mappings.push(row);
        }
    }
}
