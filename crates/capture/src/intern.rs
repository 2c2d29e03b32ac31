//! Call paths as trie nodes: each path and each stack of an epoch is written once.

use std::io::Write;

use archive::Writer;
use profile::{ModuleId, Node, NodeId, Stack, StackEnd, StackId};
use rustc_hash::FxHashMap;

use crate::decode::Words;

/// Entries of the callers' cache; a table of 32,768 slots is full at 7/8.
const MAX_CALLERS: usize = 28_672;

/// What the frames above the leaf came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Callers {
    /// Path of the leaf's caller; `NONE` when the leaf is alone.
    pub(crate) path: NodeId,
    /// How the chain ended.
    pub(crate) end: StackEnd,
}

/// Key of a chain of callers: the state of the mappings it was resolved under, and its words.
///
/// Samples of one stack mostly differ in nothing but the leaf: with the callers as the key, a
/// sample costs one hash over its words, two look-ups and the leaf, however deep it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct CallersKey {
    context: u64,
    words: u64,
}

impl CallersKey {
    pub(crate) fn new(context: u64, callers: Words<'_>, salt: u64) -> Self {
        // Multiply and fold: all 64 bits count, because the words themselves are not kept.
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let words = callers.iter().fold(salt ^ callers.len() as u64, |hash, word| {
            let mixed = (hash ^ word).wrapping_mul(FACTOR);
            mixed ^ (mixed >> 32)
        });
        Self { context, words }
    }
}

/// The tables of one epoch.
#[derive(Default, Debug)]
pub(crate) struct Interner {
    nodes: FxHashMap<(NodeId, ModuleId, u64), NodeId>,
    stacks: FxHashMap<Stack, StackId>,
    callers: FxHashMap<CallersKey, Callers>,
}

impl Interner {
    /// The path that ends with this step; the second value says whether it is new.
    pub(crate) fn node<W: Write>(&mut self, writer: &mut Writer<W>, row: Node) -> (NodeId, bool) {
        let key = (row.parent, row.module, row.address);
        if let Some(known) = self.nodes.get(&key) {
            return (*known, false);
        }
        let id = writer.node(row);
        self.nodes.insert(key, id);
        (id, true)
    }

    /// The stack of these two paths.
    pub(crate) fn stack<W: Write>(&mut self, writer: &mut Writer<W>, row: Stack) -> StackId {
        *self.stacks.entry(row).or_insert_with(|| writer.stack(row))
    }

    pub(crate) fn callers(&self, key: CallersKey) -> Option<Callers> {
        self.callers.get(&key).copied()
    }

    pub(crate) fn remember_callers(&mut self, key: CallersKey, callers: Callers) {
        if self.callers.len() >= MAX_CALLERS {
            // Chains through code without frame pointers hold arbitrary words: they never end.
            self.callers.clear();
        }
        self.callers.insert(key, callers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_with_words_their_order_and_the_context() {
        let bytes: Vec<u8> = [1u64, 2, 3].into_iter().flat_map(u64::to_ne_bytes).collect();
        let swapped: Vec<u8> = [2u64, 1, 3].into_iter().flat_map(u64::to_ne_bytes).collect();
        let key = |context, bytes, salt| CallersKey::new(context, Words(bytes), salt);
        let keys = [
            key(1, &bytes[..], 0),
            key(2, &bytes[..], 0),
            key(1, &swapped[..], 0),
            key(1, &bytes[..16], 0),
            key(1, &bytes[..], 1),
            key(1, &[], 0),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert_eq!(keys.iter().filter(|b| *b == a).count(), 1, "key {i}");
        }
        assert_eq!(key(1, &bytes[..], 0), keys[0]);
    }
}
