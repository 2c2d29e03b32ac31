//! Asks debuginfod servers for the files of hot modules, before addresses are named.

use profile::Module;

use crate::addresses::{Addresses, Used};
use crate::locate::{FetchOutcome, Locator};

/// Modules on the stacks of less than one sample in this many are not worth a download: a debug file
/// is often larger than the program, and there are hundreds of libraries that run once.
const HOT_ONE_IN: u64 = 100;

/// Fetches what the hot modules lack; `None` where no server was named. What came is found by the
/// locator.
pub fn prefetch(
    addresses: &Addresses,
    used: &[Used<'_>],
    locator: &Locator,
) -> Option<Vec<FetchOutcome>> {
    locator.asks_servers().then(|| locator.fetch(&hot(addresses, used)))
}

/// Modules that are on the stacks of at least one hundredth of the weight, with that weight.
fn hot<'a>(addresses: &'a Addresses, used: &[Used<'_>]) -> Vec<(&'a Module, u64)> {
    let total = used.iter().fold(0u64, |sum, used| sum.saturating_add(used.cells.total().weight));
    let weights = weights(addresses, used);
    addresses
        .groups
        .iter()
        .zip(weights)
        .filter(|(_, weight)| *weight > 0 && weight.saturating_mul(HOT_ONE_IN) >= total)
        .filter_map(|(group, weight)| Some((group.module.as_ref()?, weight)))
        .collect()
}

/// The weight of the stacks that each group is on, each stack once.
fn weights(addresses: &Addresses, used: &[Used<'_>]) -> Vec<u64> {
    let mut weights = vec![0u64; addresses.groups.len()];
    let mut on_stack: Vec<usize> = Vec::new();
    for (recording, used) in used.iter().enumerate() {
        for cell in &used.cells.rows {
            let stack = used.paths.stacks.get(cell.stack);
            on_stack.clear();
            for leaf in stack.leaves() {
                let path = addresses.path(recording, used.paths, leaf);
                on_stack.extend(path.into_iter().filter_map(|id| addresses.group_of(id)));
            }
            on_stack.sort_unstable();
            on_stack.dedup();
            for group in &on_stack {
                let weight: &mut u64 = &mut weights[*group];
                *weight = weight.saturating_add(cell.weight);
            }
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::gather;
    use crate::collapse::{Cell, Cells};
    use crate::paths::Paths;
    use profile::{
        ModuleId, ModuleKind, Node, NodeId, ProcessId, Stack, StackEnd, StackId, Tables,
    };

    #[test]
    fn a_module_is_hot_by_the_stacks_that_it_is_anywhere_on() {
        // main (a) → f (b) → g (b) 990 times, main → h (c) 9 times, main → i (d) 11 times.
        let mut tables = Tables::default();
        for path in ["/a", "/b", "/c", "/d"] {
            tables.modules.push(Module::new(ModuleKind::File, path));
        }
        let mut push = |parent, module, address| {
            tables.nodes.push(Node { parent, module: ModuleId(module), address })
        };
        let main = push(NodeId::NONE, 1, 0x100);
        let f = push(main, 2, 0x200);
        let leaves = [push(f, 2, 0x300), push(main, 3, 0x400), push(main, 4, 0x500)];
        for user in leaves {
            tables.stacks.push(Stack {
                user,
                kernel: NodeId::NONE,
                goroutine: NodeId::NONE,
                end: StackEnd::Complete,
            });
        }
        let rows = [990, 9, 11].iter().zip(1..).map(|(weight, stack)| Cell {
            process: ProcessId(1),
            stack: StackId(stack),
            weight: *weight,
            samples: *weight,
            ..Cell::default()
        });
        let cells = Cells { rows: rows.collect(), ..Cells::default() };
        let paths = Paths::recorded(&tables);
        let used = [Used { tables: &tables, paths: &paths, cells: &cells }];
        let addresses = gather(&used);
        let hot = hot(&addresses, &used);
        let hot: Vec<(String, u64)> =
            hot.iter().map(|(m, weight)| (m.path.lossy().into_owned(), *weight)).collect();
        assert_eq!(hot, [("/a".into(), 1010), ("/b".into(), 990), ("/d".into(), 11)]);
    }
}
