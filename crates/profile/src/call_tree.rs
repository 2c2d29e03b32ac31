//! Weights by call path.

use rustc_hash::FxHashMap;

use crate::{FrameId, FrameTable};

/// One call path of a [`CallTree`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallNode {
    /// Index of the caller's node; the root (index 0) is its own parent.
    pub parent: u32,
    /// What is called; meaningless for the root.
    pub frame: FrameId,
    /// Weight of stacks that end here.
    pub self_weight: u64,
}

/// A tree of call paths with whole weights. Node 0 is the root of all; a node's index is larger
/// than its parent's.
#[derive(Clone, Debug)]
pub struct CallTree {
    /// The frames that nodes refer to.
    pub frames: FrameTable,
    nodes: Vec<CallNode>,
    children: FxHashMap<(u32, FrameId), u32>,
    /// The stack asked for last, each frame with its node: the next one mostly begins like it.
    last: Vec<(FrameId, u32)>,
}

/// Weights of one function (name, module), over all its frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FunctionTotals {
    /// A frame of the function, for its name.
    pub frame: FrameId,
    /// Weight in the function itself.
    pub self_weight: u64,
    /// Weight of stacks it is on, each counted once however often it recurs.
    pub total_weight: u64,
}

impl Default for CallTree {
    fn default() -> Self {
        Self::new()
    }
}

impl CallTree {
    /// The root of every tree.
    pub const ROOT: u32 = 0;

    /// A tree with nothing but its root.
    #[must_use]
    pub fn new() -> Self {
        Self::with_frames(FrameTable::default())
    }

    /// An empty tree over frames interned before.
    #[must_use]
    pub fn with_frames(frames: FrameTable) -> Self {
        let root = CallNode { parent: 0, frame: FrameId(0), self_weight: 0 };
        Self { frames, nodes: vec![root], children: FxHashMap::default(), last: Vec::new() }
    }

    /// The child of `parent` for `frame`, new or known.
    pub fn child(&mut self, parent: u32, frame: FrameId) -> u32 {
        let nodes = &mut self.nodes;
        *self.children.entry((parent, frame)).or_insert_with(|| {
            nodes.push(CallNode { parent, frame, self_weight: 0 });
            (nodes.len() - 1) as u32
        })
    }

    /// Adds weight to a node itself.
    pub fn add_self(&mut self, node: u32, weight: u64) {
        self.nodes[node as usize].self_weight += weight;
    }

    /// The node of a stack, root first; new or known.
    pub fn path_to(&mut self, stack: &[FrameId]) -> u32 {
        let same = self.last.iter().zip(stack).take_while(|((last, _), frame)| last == *frame);
        let same = same.count();
        self.last.truncate(same);
        let mut at = self.last.last().map_or(Self::ROOT, |(_, node)| *node);
        for frame in &stack[same..] {
            at = self.child(at, *frame);
            self.last.push((*frame, at));
        }
        at
    }

    /// Adds a stack, root first.
    pub fn add(&mut self, stack: &[FrameId], weight: u64) {
        let leaf = self.path_to(stack);
        self.add_self(leaf, weight);
    }

    /// All nodes, the root first.
    #[must_use]
    pub fn nodes(&self) -> &[CallNode] {
        &self.nodes
    }

    /// Total weight by node.
    #[must_use]
    pub fn totals(&self) -> Vec<u64> {
        let mut totals: Vec<u64> = self.nodes.iter().map(|n| n.self_weight).collect();
        for i in (1..self.nodes.len()).rev() {
            totals[self.nodes[i].parent as usize] += totals[i];
        }
        totals
    }

    /// Weight of everything.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.nodes.iter().map(|n| n.self_weight).sum()
    }

    /// Children by node, each list in order of the nodes' indexes.
    #[must_use]
    pub fn children(&self) -> Vec<Vec<u32>> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate().skip(1) {
            children[node.parent as usize].push(i as u32);
        }
        children
    }

    /// The same stacks with their leaves at the root: who calls what costs. Beside it, for each node with
    /// weight of its own, the node that has it there.
    #[must_use]
    pub fn inverted(&self) -> (Self, Vec<u32>) {
        let mut inverted = Self::with_frames(self.frames.clone());
        let mut places = vec![Self::ROOT; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, n)| n.self_weight > 0) {
            let mut path = self.path(index as u32);
            path.reverse();
            places[index] = inverted.path_to(&path);
            inverted.add_self(places[index], node.self_weight);
        }
        (inverted, places)
    }

    /// Frames from the root's child down to `node`.
    #[must_use]
    pub fn path(&self, node: u32) -> Vec<FrameId> {
        let mut path = Vec::new();
        let mut at = node;
        while at != Self::ROOT {
            path.push(self.nodes[at as usize].frame);
            at = self.nodes[at as usize].parent;
        }
        path.reverse();
        path
    }

    /// Self and total weight of every function that is on any path, in no particular order.
    #[must_use]
    pub fn functions(&self) -> Vec<FunctionTotals> {
        let totals = self.totals();
        let children = self.children();
        let count = self.frames.function_count();
        let mut rows: Vec<Option<FunctionTotals>> = vec![None; count];
        let mut on_path = vec![0u32; count];
        // (node, whether its subtree is done): a function's subtree counts only where the function
        // is not already on the path above.
        let mut work: Vec<(u32, bool)> =
            children[0].iter().rev().map(|child| (*child, false)).collect();
        while let Some((index, done)) = work.pop() {
            let node = self.nodes[index as usize];
            let function = self.frames.function(node.frame) as usize;
            if done {
                on_path[function] -= 1;
                continue;
            }
            let row = rows[function].get_or_insert(FunctionTotals {
                frame: node.frame,
                self_weight: 0,
                total_weight: 0,
            });
            row.self_weight += node.self_weight;
            if on_path[function] == 0 {
                row.total_weight += totals[index as usize];
            }
            on_path[function] += 1;
            work.push((index, true));
            work.extend(children[index as usize].iter().rev().map(|child| (*child, false)));
        }
        rows.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frame, FrameKind};

    fn tree(stacks: &[(&[&str], u64)]) -> CallTree {
        let mut tree = CallTree::new();
        for (stack, weight) in stacks {
            let ids: Vec<FrameId> = stack
                .iter()
                .map(|name| tree.frames.intern(Frame::new(name, "m", FrameKind::User)))
                .collect();
            tree.add(&ids, *weight);
        }
        tree
    }

    fn function(tree: &CallTree, name: &str) -> (u64, u64) {
        let row =
            tree.functions().into_iter().find(|f| &*tree.frames.get(f.frame).name == name).unwrap();
        (row.self_weight, row.total_weight)
    }

    #[test]
    fn recursion_counts_once_per_stack() {
        let tree = tree(&[(&["a", "f", "g", "f"], 3), (&["a", "f"], 4), (&["f"], 1)]);
        assert_eq!(function(&tree, "f"), (8, 8));
        assert_eq!(function(&tree, "g"), (0, 3));
        assert_eq!(function(&tree, "a"), (0, 7));
        assert_eq!(tree.totals()[0], tree.total());
    }

    #[test]
    fn a_stack_ten_thousand_deep_is_no_trouble() {
        let names: Vec<String> = (0..10_000).map(|i| format!("f{i}")).collect();
        let stack: Vec<&str> = names.iter().map(String::as_str).collect();
        let tree = tree(&[(&stack, 2)]);
        assert_eq!(function(&tree, "f0"), (0, 2));
        assert_eq!(tree.path(10_000).len(), 10_000);
    }

    #[test]
    fn an_inverted_tree_begins_with_what_costs() {
        let mut tree = CallTree::new();
        let [main, parse, copy] = ["main", "parse", "copy"]
            .map(|name| tree.frames.intern(Frame::new(name, "m", FrameKind::User)));
        tree.add(&[main, parse, copy], 5);
        tree.add(&[main, copy], 2);
        tree.add(&[main], 1);
        let (inverted, places) = tree.inverted();
        let roots: Vec<(FrameId, u64)> = inverted.children()[0]
            .iter()
            .map(|root| (inverted.nodes()[*root as usize].frame, inverted.totals()[*root as usize]))
            .collect();
        assert_eq!(roots, [(main, 1), (copy, 7)]);
        assert_eq!(inverted.path(places[3]), [copy, parse, main]);
        assert_eq!(inverted.total(), tree.total());
    }
}
