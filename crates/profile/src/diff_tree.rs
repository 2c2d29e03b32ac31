//! Two call trees side by side.

use crate::{FrameId, FrameTable};

/// One call path on both sides. Weights are in the scale of the diff ([`DiffTree::unit`]); a path
/// that one side lacks has 0 there.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DiffNode {
    /// Index of the caller's node; the root (index 0) is its own parent.
    pub parent: u32,
    /// What is called; meaningless for the root.
    pub frame: FrameId,
    /// Base: weight in the path itself.
    pub before_self: f64,
    /// Base: weight of the path and everything below.
    pub before_total: f64,
    /// New: weight in the path itself.
    pub after_self: f64,
    /// New: weight of the path and everything below.
    pub after_total: f64,
    /// What may be said of `after_total - before_total`; pictures colour by it.
    pub grade: Grade,
}

/// By what differences are graded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JudgedBy {
    /// By the noise that the recordings show: what is graded as changed did change.
    Noise,
    /// By counting error alone.
    Counting,
    /// Not at all: the sides do not compare.
    Nothing,
}

/// What may be said of a difference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Grade {
    /// No more than what it is judged by explains: drawn grey.
    Noise,
    /// It is more than that explains.
    Grew,
    /// It is less than that explains.
    Shrank,
}

/// Two call trees paired by (name, module, kind, inlined) along each path. Node 0 is the root; a
/// node's index is larger than its parent's.
#[derive(Clone, Debug)]
pub struct DiffTree {
    /// The frames that nodes refer to.
    pub frames: FrameTable,
    /// Nodes, the root first.
    pub nodes: Vec<DiffNode>,
    /// Unit of the weights, for people: "cores", "CPU-seconds", "% of CPU".
    pub unit: &'static str,
    /// By what the nodes are graded.
    pub judged_by: JudgedBy,
}

impl DiffTree {
    /// Children by node, each list in order of the nodes' indexes.
    #[must_use]
    pub fn children(&self) -> Vec<Vec<u32>> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate().skip(1) {
            children[node.parent as usize].push(i as u32);
        }
        children
    }

    /// Nodes from the root's child down to the parent of `node`.
    #[must_use]
    pub fn above(&self, node: u32) -> Vec<u32> {
        let parent = |node: u32| Some(self.nodes[node as usize].parent).filter(|at| *at != 0);
        let mut above: Vec<u32> = std::iter::successors(parent(node), |at| parent(*at)).collect();
        above.reverse();
        above
    }

    /// Frames from the root's child down to `node`.
    #[must_use]
    pub fn path(&self, node: u32) -> Vec<FrameId> {
        let mut path = Vec::new();
        let mut at = node;
        while at != 0 {
            path.push(self.nodes[at as usize].frame);
            at = self.nodes[at as usize].parent;
        }
        path.reverse();
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frame, FrameKind};

    #[test]
    fn a_path_leads_from_the_root_to_the_node() {
        let mut frames = FrameTable::default();
        let main = frames.intern(Frame::new("main", "m", FrameKind::User));
        let node = |parent, before, after| DiffNode {
            parent,
            frame: main,
            before_self: before,
            before_total: before,
            after_self: after,
            after_total: after,
            grade: Grade::Grew,
        };
        let tree = DiffTree {
            frames,
            nodes: vec![node(0, 0.0, 0.0), node(0, 0.0, 1.0)],
            unit: "cores",
            judged_by: JudgedBy::Noise,
        };
        assert_eq!(tree.path(1), [main]);
        assert_eq!(tree.children(), [vec![1], vec![]]);
    }
}
