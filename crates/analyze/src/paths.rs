//! The call paths of a recording: those that were recorded, and beside them those that unwinding
//! made of them.

use std::borrow::Cow;

use profile::{Node, NodeId, Nodes, Stack, StackId, Stacks, Tables};
use rustc_hash::FxHashMap;
use symbolize::unwind::{Step, WalkEnd};

/// Paths and stacks that samples refer to.
#[derive(Debug)]
pub struct Paths<'a> {
    /// Steps of paths; the recorded ones have their own ids.
    pub nodes: Cow<'a, Nodes>,
    /// Likewise.
    pub stacks: Cow<'a, Stacks>,
    /// Of the stacks behind the recorded ones.
    unwound: Vec<Unwound>,
}

/// What unwinding knows of a stack.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Unwound {
    /// How it ended.
    pub end: WalkEnd,
    /// Whether the path is another than the recorded one.
    pub repaired: bool,
    /// Frames, counted from the leaf, whose caller is not proven; ascending.
    pub unproven: Box<[(u32, Step)]>,
}

impl Unwound {
    /// How the caller of a frame was found, counted from the leaf.
    #[must_use]
    pub fn step(&self, depth: usize) -> Step {
        let found = self.unproven.binary_search_by_key(&depth, |(depth, _)| *depth as usize);
        found.map_or(Step::Proven, |index| self.unproven[index].1)
    }
}

impl<'a> Paths<'a> {
    /// Those that were recorded.
    #[must_use]
    pub fn recorded(tables: &'a Tables) -> Self {
        Self {
            nodes: Cow::Borrowed(&tables.nodes),
            stacks: Cow::Borrowed(&tables.stacks),
            unwound: Vec::new(),
        }
    }

    /// What unwinding knows of a stack; `None` of a recorded one.
    #[must_use]
    pub fn unwound(&self, stack: StackId) -> Option<&Unwound> {
        let recorded = self.stacks.len() - self.unwound.len();
        self.unwound.get(stack.index().checked_sub(recorded + 1)?)
    }
}

/// A trie that knows its steps.
#[derive(Default, Debug)]
pub struct Trie {
    /// The steps.
    pub nodes: Nodes,
    ids: FxHashMap<Node, NodeId>,
}

impl Trie {
    /// The id of a step, new or known.
    pub fn intern(&mut self, node: Node) -> NodeId {
        *self.ids.entry(node).or_insert_with(|| self.nodes.push(node))
    }
}

/// Makes paths beside the recorded ones.
pub struct PathsBuilder {
    trie: Trie,
    stacks: Stacks,
    unwound: Vec<Unwound>,
    known: FxHashMap<(Stack, Unwound), StackId>,
}

impl PathsBuilder {
    /// Begins with what was recorded.
    #[must_use]
    pub fn new(tables: &Tables) -> Self {
        let ids = tables.nodes.iter().map(|(id, node)| (node, id)).collect();
        Self {
            trie: Trie { nodes: tables.nodes.clone(), ids },
            stacks: tables.stacks.clone(),
            unwound: Vec::new(),
            known: FxHashMap::default(),
        }
    }

    /// The id of a step.
    pub fn node(&mut self, node: Node) -> NodeId {
        self.trie.intern(node)
    }

    /// The id of an unwound stack: one for all that are equal.
    pub fn stack(&mut self, stack: Stack, unwound: Unwound) -> StackId {
        *self.known.entry((stack, unwound)).or_insert_with_key(|(stack, unwound)| {
            self.unwound.push(unwound.clone());
            self.stacks.push(*stack)
        })
    }

    /// All of them.
    #[must_use]
    pub fn finish<'a>(self) -> Paths<'a> {
        Paths {
            nodes: Cow::Owned(self.trie.nodes),
            stacks: Cow::Owned(self.stacks),
            unwound: self.unwound,
        }
    }
}
