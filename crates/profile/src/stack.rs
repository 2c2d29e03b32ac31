//! Call paths as a trie, and stacks as pairs of paths (of Go programs also three).

use crate::{ModuleId, NodeId, StackId};

/// One call path's last step. Its address is in the module's own meaning (see
/// [`crate::ModuleKind`]), so a node means the same in every process and at every time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    /// The caller's path; `NONE` for a root. Always a smaller id.
    pub parent: NodeId,
    /// `NONE`: mappings were not known (leaf only); the address is an [`crate::Avma`].
    pub module: ModuleId,
    /// File offset, offset from the run-time base, or AVMA.
    pub address: u64,
}

/// The trie of call paths, root first. Row 0 is unused.
///
/// Inner nodes hold return addresses, the last node of a stack an instruction pointer. The same
/// node may be both, for different stacks.
#[derive(Clone, Debug)]
pub struct Nodes {
    rows: Vec<Node>,
}

impl Default for Nodes {
    fn default() -> Self {
        Self { rows: vec![Node { parent: NodeId::NONE, module: ModuleId::NONE, address: 0 }] }
    }
}

impl Nodes {
    /// Appends a path; the parent must be there already.
    ///
    /// # Panics
    /// When `parent` is not a smaller id: walks would not end.
    pub fn push(&mut self, node: Node) -> NodeId {
        assert!(node.parent.index() < self.rows.len(), "a node's parent has a smaller id");
        let id = NodeId(self.rows.len() as u32);
        self.rows.push(node);
        id
    }

    /// A row.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<Node> {
        if id.is_some() { self.rows.get(id.index()).copied() } else { None }
    }

    /// Rows, the unused row 0 not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() - 1
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From a leaf to its root.
    pub fn walk(&self, leaf: NodeId) -> impl Iterator<Item = (NodeId, Node)> + '_ {
        let mut at = leaf;
        std::iter::from_fn(move || {
            let node = self.get(at)?;
            let id = at;
            at = node.parent;
            Some((id, node))
        })
    }

    /// All rows with their ids, parents before children.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, Node)> + '_ {
        self.rows.iter().enumerate().skip(1).map(|(i, n)| (NodeId(i as u32), *n))
    }
}

/// A sampled stack.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stack {
    /// Leaf of the user path; `NONE` when there was none.
    pub user: NodeId,
    /// Leaf of the kernel path; `NONE` when the sample was in user code.
    pub kernel: NodeId,
    /// Of a Go program whose thread stood on another stack than the goroutine that it worked for (C code
    /// and parts of the runtime run so): the path on which the goroutine goes on when that is done. All
    /// its addresses are return addresses. `NONE` everywhere else.
    pub goroutine: NodeId,
    /// How the outer path ended at its root: the goroutine's, or the user path where there is none.
    pub end: StackEnd,
}

impl Stack {
    /// The leaves of its paths; `NONE` where there is no such path.
    #[must_use]
    pub fn leaves(&self) -> [NodeId; 3] {
        [self.user, self.kernel, self.goroutine]
    }
}

/// The sampled stacks. Row 0 is unused.
#[derive(Clone, Debug)]
pub struct Stacks {
    rows: Vec<Stack>,
}

impl Default for Stacks {
    fn default() -> Self {
        Self {
            rows: vec![Stack {
                user: NodeId::NONE,
                kernel: NodeId::NONE,
                goroutine: NodeId::NONE,
                end: StackEnd::LostBlock,
            }],
        }
    }
}

impl Stacks {
    /// Appends a stack.
    pub fn push(&mut self, stack: Stack) -> StackId {
        let id = StackId(self.rows.len() as u32);
        self.rows.push(stack);
        id
    }

    /// A row. `NONE` and unknown ids are a stack that was lost with its block.
    #[must_use]
    pub fn get(&self, id: StackId) -> Stack {
        self.rows.get(id.index()).copied().unwrap_or(self.rows[0])
    }

    /// Rows, the unused row 0 not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() - 1
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All rows with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (StackId, Stack)> + '_ {
        self.rows.iter().enumerate().skip(1).map(|(i, s)| (StackId(i as u32), *s))
    }
}

/// How the user part of a stack ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StackEnd {
    /// Reached a zero frame pointer or a thread's start.
    Complete,
    /// The kernel's depth limit cut it: drawn under `[truncated]`, never as if its top were the root.
    DepthLimit,
    /// The next word lies in no executable mapping: code without frame pointers.
    NotCode,
    /// The next frame's page was not present.
    Fault,
    /// Side-band records were lost: only the leaf is kept.
    MapsUnknown,
    /// A kernel thread, or the user part was not asked for.
    NoUser,
    /// The block that held the stack is damaged. Never written, only read.
    LostBlock,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_from_leaf_to_root() {
        let mut nodes = Nodes::default();
        let root = nodes.push(Node { parent: NodeId::NONE, module: ModuleId(1), address: 1 });
        let leaf = nodes.push(Node { parent: root, module: ModuleId(1), address: 2 });
        let addresses: Vec<u64> = nodes.walk(leaf).map(|(_, n)| n.address).collect();
        assert_eq!(addresses, [2, 1]);
        assert_eq!(nodes.walk(NodeId(99)).count(), 0);
    }

    #[test]
    fn an_unknown_stack_was_lost_with_its_block() {
        assert_eq!(Stacks::default().get(StackId(7)).end, StackEnd::LostBlock);
    }
}
