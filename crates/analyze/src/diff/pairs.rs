//! Two call trees as one: paths pair by function along the way, names aligned.

use std::sync::Arc;

use profile::{CallTree, FrameId, FrameTable, TimeRow, Timeline};
use rustc_hash::FxHashMap;

use super::align::aligned;

/// One path, with whole weights of both sides (0 before, 1 after).
#[derive(Clone, Copy, Debug)]
pub struct PairedNode {
    /// The caller's node; the root (index 0) is its own.
    pub parent: u32,
    /// What is called; of the root nothing.
    pub frame: FrameId,
    /// Weight of stacks that end here.
    pub own: [u64; 2],
    /// With everything below.
    pub total: [u64; 2],
}

impl PairedNode {
    fn new(parent: u32, frame: FrameId) -> Self {
        Self { parent, frame, own: [0; 2], total: [0; 2] }
    }
}

/// Paths of both trees.
#[derive(Debug)]
pub struct Paired {
    /// Frames of both sides; those that pair are one, called as on the new side.
    pub frames: FrameTable,
    /// A node's index is larger than its parent's.
    pub nodes: Vec<PairedNode>,
    /// When the weight of each node itself was measured, on each side.
    pub rows: [Vec<TimeRow>; 2],
    children: FxHashMap<(u32, FrameId), u32>,
    /// Which frame stands for a function, by aligned name and module.
    functions: FxHashMap<(String, Arc<str>), FrameId>,
}

impl Paired {
    /// Unites two trees.
    #[must_use]
    pub fn new(before: (&CallTree, &Timeline), after: (&CallTree, &Timeline)) -> Self {
        let mut paired = Self {
            frames: FrameTable::default(),
            nodes: vec![PairedNode::new(0, FrameId(0))],
            rows: [Vec::new(), Vec::new()],
            children: FxHashMap::default(),
            functions: FxHashMap::default(),
        };
        paired.add(1, after);
        paired.add(0, before);
        paired
    }

    fn add(&mut self, side: usize, (tree, timeline): (&CallTree, &Timeline)) {
        let frames: Vec<FrameId> = tree.frames.iter().map(|(_, frame)| self.frame(frame)).collect();
        let totals = tree.totals();
        let mut united = vec![CallTree::ROOT; tree.nodes().len()];
        for (index, node) in tree.nodes().iter().enumerate() {
            if index > 0 {
                let parent = united[node.parent as usize];
                united[index] = self.child(parent, frames[node.frame.0 as usize]);
            }
            let sums = &mut self.nodes[united[index] as usize];
            sums.own[side] += node.self_weight;
            sums.total[side] += totals[index];
        }
        let row = |row: &TimeRow| TimeRow { node: united[row.node as usize], ..*row };
        self.rows[side] = timeline.rows.iter().map(row).collect();
    }

    fn frame(&mut self, frame: &profile::Frame) -> FrameId {
        let key = (aligned(&frame.name).into_owned(), Arc::clone(&frame.module));
        let frames = &mut self.frames;
        *self.functions.entry(key).or_insert_with(|| frames.intern(frame.clone()))
    }

    fn child(&mut self, parent: u32, frame: FrameId) -> u32 {
        let nodes = &mut self.nodes;
        *self.children.entry((parent, frame)).or_insert_with(|| {
            nodes.push(PairedNode::new(parent, frame));
            (nodes.len() - 1) as u32
        })
    }

    /// Children by node.
    #[must_use]
    pub fn children(&self) -> Vec<Vec<u32>> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().skip(1) {
            children[node.parent as usize].push(index as u32);
        }
        children
    }

    /// For each node, the place of its first and behind its last descendant when parents stand before
    /// their children: a subtree is a range.
    #[must_use]
    pub fn places(&self) -> Vec<(u32, u32)> {
        // A parent's index is smaller, so sizes are summed backwards and places given out forwards.
        let mut sizes = vec![1u32; self.nodes.len()];
        for index in (1..self.nodes.len()).rev() {
            sizes[self.nodes[index].parent as usize] += sizes[index];
        }
        let mut next: Vec<u32> = vec![0; self.nodes.len()];
        let mut places = vec![(0, sizes[0]); self.nodes.len()];
        next[0] = 1;
        for index in 1..self.nodes.len() {
            let parent = self.nodes[index].parent as usize;
            let start = next[parent];
            next[parent] += sizes[index];
            next[index] = start + 1;
            places[index] = (start, start + sizes[index]);
        }
        places
    }

    /// For each node, whether its function is not on the path above it: there its total counts.
    #[must_use]
    pub fn topmost(&self) -> Vec<bool> {
        let children = self.children();
        let mut topmost = vec![true; self.nodes.len()];
        let mut on_path = vec![0u32; self.frames.function_count()];
        let mut todo: Vec<(u32, bool)> = children[0].iter().map(|child| (*child, false)).collect();
        while let Some((node, done)) = todo.pop() {
            let function = self.frames.function(self.nodes[node as usize].frame) as usize;
            if done {
                on_path[function] -= 1;
                continue;
            }
            topmost[node as usize] = on_path[function] == 0;
            on_path[function] += 1;
            todo.push((node, true));
            todo.extend(children[node as usize].iter().map(|child| (*child, false)));
        }
        topmost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::{Frame, FrameKind};

    fn tree(stacks: &[(&str, u64)]) -> (CallTree, Timeline) {
        let mut tree = CallTree::new();
        let mut timeline = Timeline::default();
        for (stack, weight) in stacks {
            let ids: Vec<FrameId> = stack
                .split(';')
                .map(|name| tree.frames.intern(Frame::new(name, "m", FrameKind::User)))
                .collect();
            let node = tree.path_to(&ids);
            tree.add_self(node, *weight);
            timeline.rows.push(TimeRow { node, cell: 0, group: 0, weight: *weight });
        }
        (tree, timeline)
    }

    #[test]
    fn paths_pair_by_aligned_names_and_keep_all_weight() {
        let before = tree(&[("main;parse.isra.0;read", 5), ("main;old", 2)]);
        let after = tree(&[("main;parse.isra.1;read", 7), ("main", 1)]);
        let paired = Paired::new((&before.0, &before.1), (&after.0, &after.1));
        let name = |node: &PairedNode| paired.frames.get(node.frame).name.to_string();
        let rows: Vec<(String, [u64; 2], [u64; 2])> =
            paired.nodes[1..].iter().map(|n| (name(n), n.own, n.total)).collect();
        assert_eq!(
            rows,
            [
                ("main".into(), [0, 1], [7, 8]),
                ("parse.isra.1".into(), [0, 0], [5, 7]),
                ("read".into(), [5, 7], [5, 7]),
                ("old".into(), [2, 0], [2, 0]),
            ]
        );
        assert_eq!(paired.rows[0].iter().map(|row| row.weight).sum::<u64>(), 7);
        assert_eq!(paired.places(), [(0, 5), (1, 5), (2, 4), (3, 4), (4, 5)]);
    }

    #[test]
    fn a_function_that_recurs_counts_where_it_stands_first() {
        let both = tree(&[("f;g;f", 1), ("g;f", 1)]);
        let paired = Paired::new((&both.0, &both.1), (&both.0, &both.1));
        assert_eq!(paired.topmost(), [true, true, true, false, true, true]);
    }
}
