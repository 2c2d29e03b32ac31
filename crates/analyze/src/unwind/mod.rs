//! Repairs the stacks that were recorded with registers and stack words: callers that a walk along
//! frame pointers skipped are inserted, chains that had broken are continued. Of Go programs the path of a
//! goroutine is joined to what ran for it on another stack.
//!
//! `modules` opens unwind tables; the walk itself is [`symbolize::unwind`]'s. Here stacks are read block
//! by block on all threads, and what comes out is interned: memory grows with the different paths, not
//! with the samples. A stack whose modules have no files here stays as it was recorded.

pub(crate) mod modules;

use archive::SliceBlock;
use profile::{Node, NodeId, Slice, StackId, Tables};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator};
use symbolize::Machine;
use symbolize::unwind::{Frame, Recorded, Step, Walker};

use crate::collapse::Cells;
use crate::import::Recording;
use crate::locate::Locator;
use crate::paths::{Paths, PathsBuilder, Trie, Unwound};
use modules::{KnownRules, ModuleFiles, ModuleTables};

/// Unwinds the stacks that samples refer to; the samples then refer to the unwound ones.
pub fn unwind<'r>(recording: &'r Recording, cells: &mut Cells, locator: &'r Locator) -> Paths<'r> {
    let tables = recording.tables();
    let machine = match &*recording.facts().arch.lossy() {
        "x86_64" => Machine::X86_64,
        "aarch64" => Machine::Aarch64,
        _ => return Paths::recorded(tables),
    };
    let mut used = vec![false; tables.stacks.len() + 1];
    for cell in &cells.rows {
        if let Some(used) = used.get_mut(cell.stack.index()) {
            *used = true;
        }
    }
    let files = ModuleFiles::new(recording, locator);
    let modules = ModuleTables::new(&files);
    let new_part = || Part::new(machine, &modules);
    let mut parts: Vec<Part<'_, '_>> = recording
        .slice_blocks()
        .fold(new_part, |mut part, block| {
            part.add(&block, tables, &used);
            part
        })
        .collect();
    for row in parts.iter().flat_map(|part| &part.rows) {
        used[row.stack.index()] = false;
    }
    parts.extend(unwind_unsliced(tables, &used, new_part));
    let mut rows: Vec<(usize, usize)> = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        rows.extend((0..part.rows.len()).map(|row| (number, row)));
    }
    if rows.is_empty() {
        return Paths::recorded(tables);
    }
    // In the order of stacks, whatever thread unwound them. A forged archive may have two slices of one
    // stack: neither is believed.
    let stack = |row: &(usize, usize)| parts[row.0].rows[row.1].stack;
    rows.sort_unstable_by_key(stack);
    let rows: Vec<(usize, usize)> = rows
        .chunk_by(|a, b| stack(a) == stack(b))
        .filter_map(|same| <[_; 1]>::try_from(same).ok().map(|[row]| row))
        .collect();
    let (paths, replaced) = merge(tables, &parts, &rows);
    replace(cells, &replaced);
    paths
}

/// Stacks in two parts that have no slice.
fn unwind_unsliced<'t, 'f: 't>(
    tables: &Tables,
    used: &[bool],
    new_part: impl Fn() -> Part<'t, 'f> + Sync + Send,
) -> Vec<Part<'t, 'f>> {
    let in_parts = |stack: &StackId| tables.stacks.get(*stack).goroutine.is_some();
    let used = (0..).zip(used).filter(|(_, used)| **used).map(|(number, _)| StackId(number));
    let stacks: Vec<StackId> = used.filter(in_parts).collect();
    let unwound = stacks.into_par_iter().fold(new_part, |mut part, stack| {
        part.unwind(stack, &Slice::default(), tables);
        part
    });
    unwound.collect()
}

/// Stacks that one thread unwound.
struct Part<'t, 'f> {
    walker: Option<Walker>,
    rules: KnownRules<'t, 'f>,
    trie: Trie,
    rows: Vec<Row>,
    path: Vec<(profile::ModuleId, u64)>,
    goroutine: Vec<(profile::ModuleId, u64)>,
}

/// Recorders end at some hundred frames. A forged trie as deep as its block allows, with a slice for each of its
/// stacks, would take hours.
const MAX_CHAIN: usize = 10_000;

/// A stack, and its path in the part's trie.
struct Row {
    stack: StackId,
    leaf: NodeId,
    unwound: Unwound,
}

impl<'t, 'f> Part<'t, 'f> {
    fn new(machine: Machine, modules: &'t ModuleTables<'f>) -> Self {
        Self {
            walker: Walker::new(machine),
            rules: KnownRules::new(modules),
            trie: Trie::default(),
            rows: Vec::new(),
            path: Vec::new(),
            goroutine: Vec::new(),
        }
    }

    fn add(&mut self, block: &SliceBlock<'_>, tables: &Tables, used: &[bool]) {
        block.for_each(|stack, slice| {
            if used.get(stack.index()) == Some(&true) {
                self.unwind(stack, slice, tables);
            }
        });
    }

    fn unwind(&mut self, stack: StackId, slice: &Slice, tables: &Tables) {
        let Some(walker) = &mut self.walker else { return };
        let row = tables.stacks.get(stack);
        for (path, leaf) in [(&mut self.path, row.user), (&mut self.goroutine, row.goroutine)] {
            path.clear();
            let nodes = tables.nodes.walk(leaf).take(MAX_CHAIN);
            path.extend(nodes.map(|(_, node)| (node.module, node.address)));
        }
        let recorded = Recorded { path: &self.path, goroutine: &self.goroutine };
        let Some(walk) = walker.walk(recorded, slice, &mut self.rules) else { return };
        let mut leaf = NodeId::NONE;
        for (depth, frame) in walk.frames.iter().enumerate().rev() {
            let address = node_address(frame, depth);
            leaf = self.trie.intern(Node { parent: leaf, module: frame.module, address });
        }
        let same = walk.frames.len() == self.path.len()
            && walk.frames.iter().zip(&self.path).all(|(f, p)| (f.module, f.address) == *p);
        let unproven = walk.frames.iter().zip(0..).filter(|(frame, _)| frame.step != Step::Proven);
        let unwound = Unwound {
            end: walk.end,
            repaired: !same,
            unproven: unproven.map(|(frame, depth)| (depth, frame.step)).collect(),
        };
        self.rows.push(Row { stack, leaf, unwound });
    }
}

/// The address that stands in a path: of callers the one behind the instruction meant, as a return
/// address is. So of an instruction that a signal interrupted it is the next byte.
fn node_address(frame: &Frame, depth: usize) -> u64 {
    frame.address.saturating_add(u64::from(depth > 0 && !frame.is_return))
}

/// Puts all parts' paths beside the recorded ones; also which stack takes which stack's place.
fn merge<'r>(
    tables: &Tables,
    parts: &[Part<'_, '_>],
    rows: &[(usize, usize)],
) -> (Paths<'r>, Vec<(StackId, StackId)>) {
    let mut builder = PathsBuilder::new(tables);
    let mut ids: Vec<Vec<NodeId>> =
        parts.iter().map(|part| vec![NodeId::NONE; part.trie.nodes.len() + 1]).collect();
    let mut replaced = Vec::with_capacity(rows.len());
    let mut path = Vec::new();
    for (number, row) in rows {
        let (part, ids) = (&parts[*number], &mut ids[*number]);
        let row = &part.rows[*row];
        path.clear();
        path.extend(
            part.trie.nodes.walk(row.leaf).take_while(|(id, _)| !ids[id.index()].is_some()),
        );
        for (id, node) in path.iter().rev() {
            let parent = ids[node.parent.index()];
            ids[id.index()] = builder.node(Node { parent, ..*node });
        }
        let user = ids[row.leaf.index()];
        let goroutine = NodeId::NONE; // it is in the user path now
        let stack = profile::Stack { user, goroutine, ..tables.stacks.get(row.stack) };
        replaced.push((row.stack, builder.stack(stack, row.unwound.clone())));
    }
    (builder.finish(), replaced)
}

/// Lets samples refer to unwound stacks, and unites those that now are of one stack.
fn replace(cells: &mut Cells, replaced: &[(StackId, StackId)]) {
    for cell in &mut cells.rows {
        if let Ok(found) = replaced.binary_search_by_key(&cell.stack, |(old, _)| *old) {
            cell.stack = replaced[found].1;
        }
    }
    cells.unite();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cell;
    use profile::{ModuleId, ProcessId};

    #[test]
    fn samples_of_stacks_that_became_equal_are_one_cell() {
        let cell = |process, stack, weight| Cell {
            process: ProcessId(process),
            stack: StackId(stack),
            weight,
            samples: 1,
            ..Cell::default()
        };
        let rows = vec![cell(1, 1, 10), cell(1, 2, 20), cell(1, 3, 30), cell(2, 2, 40)];
        let mut cells = Cells { rows, ..Cells::default() };
        replace(&mut cells, &[(StackId(1), StackId(9)), (StackId(2), StackId(9))]);
        let united = Cell { samples: 2, ..cell(1, 9, 30) };
        assert_eq!(cells.rows, [cell(1, 3, 30), united, cell(2, 9, 40)]);
    }

    #[test]
    fn the_look_up_of_an_interrupted_instruction_finds_its_own_byte() {
        let module = ModuleId(1);
        let at = |is_return, depth| {
            let frame = Frame { module, address: 0x100, is_return, step: Step::Proven };
            node_address(&frame, depth)
        };
        assert_eq!((at(false, 0), at(true, 2), at(false, 2)), (0x100, 0x100, 0x101));
    }
}
