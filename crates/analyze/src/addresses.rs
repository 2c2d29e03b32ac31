//! Which code addresses the samples hit, each once, by module.
//!
//! Modules of several recordings that are one file become one group, so that 300 recordings of one
//! program cost its addresses once.

use profile::{CodeAddress, Module, ModuleId, ModuleKind, NodeId, Tables};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::collapse::Cells;
use crate::paths::Paths;

/// One recording and which of its stacks count.
#[derive(Clone, Copy)]
pub struct Used<'a> {
    /// The recording's tables.
    pub tables: &'a Tables,
    /// Its call paths.
    pub paths: &'a Paths<'a>,
    /// Its samples.
    pub cells: &'a Cells,
}

/// A module and the addresses in it that are wanted.
#[derive(Debug)]
pub struct Group {
    /// The module; `None` for addresses in no known mapping.
    pub module: Option<Module>,
    /// Nothing was recorded that tells builds apart: taken for the one build of that path that the
    /// recording knows.
    pub assumed: bool,
    /// Which recording's host symbols and embedded files hold for it, the first of all.
    pub recording: usize,
    /// Its id there.
    pub id: ModuleId,
    /// Whether it is the executable of some process.
    pub is_executable: bool,
    /// What is asked, sorted, each once; in the module's own address meaning.
    pub addresses: Vec<Address>,
}

/// A code address in its module's own meaning (see [`ModuleKind`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Address {
    /// As recorded.
    pub value: u64,
    /// Whether it is what a call returns to.
    pub is_return: bool,
}

impl Address {
    /// The address inside the instruction meant (see [`CodeAddress::lookup`]).
    #[must_use]
    pub fn lookup(self) -> u64 {
        let value = profile::FileOffset(self.value);
        let address = if self.is_return {
            CodeAddress::Return(value)
        } else {
            CodeAddress::Instruction(value)
        };
        address.lookup().0
    }
}

/// Number of a unique address: what [`crate::resolve`] answers in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AddressId(pub u32);

/// All addresses wanted.
pub struct Addresses {
    /// By module, in order of appearance. The addresses of all groups together number the ids.
    pub groups: Vec<Group>,
    /// For each recording and node: its address as a leaf, and as a caller.
    nodes: Vec<Vec<[AddressId; 2]>>,
    /// For each group: the number after its last address.
    ends: Vec<u32>,
}

const NOT_WANTED: AddressId = AddressId(u32::MAX);

/// What makes modules of several recordings the same file.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    File(Box<Module>, bool),
    OfOneRecording(usize, ModuleId),
}

/// Whether anything was recorded that another build of the same path would not have.
pub fn tells_builds_apart(module: &Module) -> bool {
    !module.build_id.is_empty()
        || !module.go_build_id.is_empty()
        || module.file_bytes != 0
        || !module.segments.is_empty()
}

/// The only build of a module's path in a recording, for a module of which nothing is known but its
/// path: processes of a few milliseconds were gone before their files could be looked at.
pub fn only_build<'a>(module: &Module, tables: &'a Tables) -> Option<&'a Module> {
    if module.kind != ModuleKind::File || tells_builds_apart(module) {
        return None;
    }
    let mut builds = tables.modules.iter().filter(|other| {
        other.path == module.path && other.mount_ns == module.mount_ns && tells_builds_apart(other)
    });
    let first = builds.next()?;
    builds.all(|other| other.build_id == first.build_id).then_some(first)
}

fn identity(recording: usize, id: ModuleId, module: Option<&Module>, assumed: bool) -> Identity {
    match module {
        Some(m) if matches!(m.kind, ModuleKind::File | ModuleKind::Vdso) => {
            let mut same = Module::new(m.kind, m.path.clone());
            same.build_id = m.build_id;
            same.build_id_from = m.build_id_from;
            same.go_build_id = m.go_build_id.clone();
            same.file_bytes = m.file_bytes;
            same.segments.clone_from(&m.segments);
            Identity::File(Box::new(same), assumed)
        }
        _ => Identity::OfOneRecording(recording, id),
    }
}

const LEAF: u8 = 1;
const INNER: u8 = 2;

/// Gathers the addresses of all stacks that have samples.
#[must_use]
pub fn gather(used: &[Used<'_>]) -> Addresses {
    let mut groups: Vec<Group> = Vec::new();
    let mut known: FxHashMap<Identity, u32> = FxHashMap::default();
    let mut wanted = Vec::new();
    for (recording, used) in used.iter().enumerate() {
        let tables = used.tables;
        let executables: FxHashSet<ModuleId> = tables.processes.iter().map(|p| p.exe).collect();
        let mut group_of = vec![u32::MAX; tables.modules.len() + 1];
        let flags = flags(used);
        for (node_id, node) in used.paths.nodes.iter() {
            let flag = flags[node_id.index()];
            if flag == 0 {
                continue;
            }
            let module = tables.module(node.module);
            let id = if module.is_some() { node.module } else { ModuleId::NONE };
            let slot = &mut group_of[id.index()];
            if *slot == u32::MAX {
                let build = module.and_then(|module| only_build(module, tables));
                let (module, assumed) = (build.or(module), build.is_some());
                let identity = identity(recording, id, module, assumed);
                *slot = *known.entry(identity).or_insert_with(|| {
                    groups.push(Group {
                        module: module.cloned(),
                        assumed,
                        recording,
                        id,
                        is_executable: false,
                        addresses: Vec::new(),
                    });
                    (groups.len() - 1) as u32
                });
            }
            let group = &mut groups[*slot as usize];
            group.is_executable |= id.is_some() && executables.contains(&id);
            for (bit, is_return) in [(LEAF, false), (INNER, true)] {
                if flag & bit != 0 {
                    group.addresses.push(Address { value: node.address, is_return });
                }
            }
        }
        wanted.push((flags, group_of));
    }
    for group in &mut groups {
        group.addresses.sort_unstable();
        group.addresses.dedup();
    }
    let nodes = number(used, &groups, &wanted);
    let mut count = 0;
    let end = |group: &Group| {
        count += group.addresses.len() as u32;
        count
    };
    let ends = groups.iter().map(end).collect();
    Addresses { groups, nodes, ends }
}

/// Finds the number of each node's addresses once, so that stacks need no search.
fn number(
    used: &[Used<'_>],
    groups: &[Group],
    wanted: &[(Vec<u8>, Vec<u32>)],
) -> Vec<Vec<[AddressId; 2]>> {
    let mut first = Vec::with_capacity(groups.len());
    let mut count = 0;
    for group in groups {
        first.push(count);
        count += group.addresses.len() as u32;
    }
    let find = |group: u32, address: Address| {
        let rows = &groups[group as usize].addresses;
        rows.binary_search(&address)
            .map_or(NOT_WANTED, |row| AddressId(first[group as usize] + row as u32))
    };
    used.iter()
        .zip(wanted)
        .map(|(used, (flags, group_of))| {
            let tables = used.tables;
            let nodes = &used.paths.nodes;
            let mut ids = vec![[NOT_WANTED; 2]; nodes.len() + 1];
            for (node_id, node) in nodes.iter() {
                let module = tables.module(node.module).map_or(ModuleId::NONE, |_| node.module);
                for (slot, (bit, is_return)) in [(LEAF, false), (INNER, true)].iter().enumerate() {
                    if flags[node_id.index()] & bit != 0 {
                        let address = Address { value: node.address, is_return: *is_return };
                        ids[node_id.index()][slot] = find(group_of[module.index()], address);
                    }
                }
            }
            ids
        })
        .collect()
}

/// How each node is used: as a stack's leaf, as a caller, or both.
fn flags(used: &Used<'_>) -> Vec<u8> {
    let paths = used.paths;
    let mut flags = vec![0; paths.nodes.len() + 1];
    for cell in &used.cells.rows {
        let stack = paths.stacks.get(cell.stack);
        for leaf in stack.leaves() {
            for (depth, (node, _)) in paths.nodes.walk(leaf).enumerate() {
                let flag = if depth == 0 { LEAF } else { INNER };
                let seen = &mut flags[node.index()];
                if *seen & INNER != 0 && depth > 0 {
                    break; // its callers are marked already
                }
                *seen |= flag;
            }
        }
    }
    flags
}

impl Addresses {
    /// The addresses of a path of a recording, root first.
    #[must_use]
    pub fn path(&self, recording: usize, paths: &Paths<'_>, leaf: NodeId) -> Vec<AddressId> {
        let nodes = &self.nodes[recording];
        let mut path: Vec<AddressId> = paths
            .nodes
            .walk(leaf)
            .enumerate()
            .map(|(depth, (node, _))| nodes[node.index()][usize::from(depth > 0)])
            .filter(|id| *id != NOT_WANTED)
            .collect();
        path.reverse();
        path
    }

    /// An address with the index of its group.
    #[must_use]
    pub fn get(&self, id: AddressId) -> Option<(usize, Address)> {
        let group = self.group_of(id)?;
        let first = group.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some((group, *self.groups[group].addresses.get((id.0 - first) as usize)?))
    }

    /// Index of the group that an address is of.
    #[must_use]
    pub fn group_of(&self, id: AddressId) -> Option<usize> {
        let end = self.ends.partition_point(|end| *end <= id.0);
        (end < self.ends.len()).then_some(end)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.groups.iter().map(|g| g.addresses.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collapse::Cell;
    use profile::{Node, ProcessId, Stack, StackEnd, StackId};

    fn cells(stacks: &[u32]) -> Cells {
        let cell = |stack: &u32| Cell {
            process: ProcessId(1),
            stack: StackId(*stack),
            weight: 1,
            samples: 1,
            ..Cell::default()
        };
        Cells { rows: stacks.iter().map(cell).collect(), ..Cells::default() }
    }

    /// main → f → g, and a stack that ends in f; a third path that no sample uses.
    fn tables(path: &str) -> Tables {
        let mut tables = Tables::default();
        tables.modules.push(Module::new(ModuleKind::File, path));
        let module = ModuleId(1);
        let mut push = |parent, address| tables.nodes.push(Node { parent, module, address });
        let main = push(NodeId::NONE, 0x100);
        let f = push(main, 0x200);
        let g = push(f, 0x300);
        let unused = push(NodeId::NONE, 0x400);
        for user in [g, f, unused] {
            let end = StackEnd::Complete;
            tables.stacks.push(Stack { user, kernel: NodeId::NONE, goroutine: NodeId::NONE, end });
        }
        tables
    }

    #[test]
    fn a_node_is_asked_for_as_what_it_is_in_stacks_that_have_samples() {
        let (tables, cells) = (tables("/bin/x"), cells(&[1, 2]));
        let addresses =
            gather(&[Used { tables: &tables, paths: &Paths::recorded(&tables), cells: &cells }]);
        let at = |value, is_return| Address { value, is_return };
        assert_eq!(addresses.groups.len(), 1);
        assert_eq!(
            addresses.groups[0].addresses,
            [at(0x100, true), at(0x200, false), at(0x200, true), at(0x300, false)]
        );
        assert_eq!(addresses.count(), 4);
        let path = addresses.path(0, &Paths::recorded(&tables), NodeId(3));
        assert_eq!(path, [AddressId(0), AddressId(2), AddressId(3)]);
        assert_eq!(
            addresses.path(0, &Paths::recorded(&tables), NodeId(2)),
            [AddressId(0), AddressId(1)]
        );
        assert_eq!(addresses.group_of(AddressId(3)), Some(0));
        assert_eq!(addresses.group_of(AddressId(4)), None);
    }

    #[test]
    fn a_module_known_by_path_alone_is_taken_for_the_only_build_of_that_path() {
        let build = |id: u8| {
            let mut module = Module::new(ModuleKind::File, "/bin/x");
            module.build_id = profile::BuildId::new(&[id; 20]);
            module
        };
        let group = |others: &[Module]| {
            let mut tables = tables("/bin/x");
            tables.modules.extend_from_slice(others);
            let cells = cells(&[1]);
            let mut groups = gather(&[Used {
                tables: &tables,
                paths: &Paths::recorded(&tables),
                cells: &cells,
            }])
            .groups;
            let group = groups.remove(0);
            (group.module.unwrap().build_id, group.assumed)
        };
        let none = profile::BuildId::default();
        assert_eq!(group(&[build(1), build(1)]), (build(1).build_id, true));
        assert_eq!(group(&[build(1), build(2)]), (none, false), "which of them cannot be said");
        assert_eq!(group(&[]), (none, false));
    }

    #[test]
    fn one_file_in_two_recordings_is_asked_once_and_two_files_are_not_mixed() {
        let (a, b, c) = (tables("/bin/x"), tables("/bin/x"), tables("/bin/y"));
        let cells = cells(&[1]);
        let paths = [&a, &b, &c].map(Paths::recorded);
        let used: Vec<Used<'_>> = [&a, &b, &c]
            .iter()
            .zip(&paths)
            .map(|(tables, paths)| Used { tables, paths, cells: &cells })
            .collect();
        let addresses = gather(&used);
        assert_eq!(addresses.groups.len(), 2);
        let path = |recording: usize| addresses.path(recording, &paths[recording], NodeId(3));
        assert_eq!(path(0), path(1));
        assert_ne!(path(0), path(2));
    }
}
