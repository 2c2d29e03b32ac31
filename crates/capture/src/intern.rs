//! Call paths as trie nodes: each path and each stack of an epoch is written once.

use std::io::Write;

use archive::Writer;
use profile::{KeptValue, ModuleId, Node, NodeId, Slice, Stack, StackEnd, StackId};
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
    /// The return address it ended with; `None` when it has none, or came to a word that is no code, or ended in
    /// code without frame pointers that starts neither programs nor threads.
    pub(crate) outermost: Option<u64>,
    /// Below the outermost, the lowest and the highest return address in code without frame pointers: callers
    /// may be missing there.
    pub(crate) frameless: Option<(u64, u64)>,
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
        Self { context, words: callers.iter().fold(salt ^ callers.len() as u64, mix) }
    }
}

/// Multiply and fold: all 64 bits count, because the words themselves are not kept.
fn mix(hash: u64, word: u64) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = (hash ^ word).wrapping_mul(FACTOR);
    mixed ^ (mixed >> 32)
}

/// Key of a slice among those of one stack; equal ones are written once.
fn slice_key(slice: &Slice) -> u64 {
    let key = slice.kept.iter().fold(u64::from(slice.looked_at_words), |hash, kept| {
        let (module, value) = match kept.value {
            KeptValue::Code { module, address } => (module.0, address),
            KeptValue::Stack(distance) => (ModuleId::NONE.0, distance),
        };
        mix(mix(hash, u64::from(kept.place) << 32 | u64::from(module)), value)
    });
    slice.other.as_ref().map_or(key, |other| mix(key, slice_key(other)))
}

/// The tables of one epoch.
#[derive(Default, Debug)]
pub(crate) struct Interner {
    nodes: FxHashMap<(NodeId, ModuleId, u64), NodeId>,
    stacks: FxHashMap<Stack, StackId>,
    sliced_stacks: FxHashMap<(Stack, u64), StackId>,
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

    /// The stack of these two paths that has this slice; the second value says whether it is new.
    pub(crate) fn sliced_stack<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        row: Stack,
        slice: &Slice,
    ) -> (StackId, bool) {
        let key = (row, slice_key(slice));
        if let Some(known) = self.sliced_stacks.get(&key) {
            return (*known, false);
        }
        let id = writer.sliced_stack(row, slice);
        self.sliced_stacks.insert(key, id);
        (id, true)
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
    fn slices_of_a_stack_are_told_apart() {
        use profile::Kept;
        let code = |module, address| KeptValue::Code { module: ModuleId(module), address };
        let made = |looked_at_words, kept: &[(u32, KeptValue)]| {
            let kept = kept.iter().map(|(place, value)| Kept { place: *place, value: *value });
            Slice { looked_at_words, kept: kept.collect(), other: None }
        };
        let slice = |looked_at_words, kept: &[_]| slice_key(&made(looked_at_words, kept));
        let with_other =
            |kept: &[_]| Slice { other: Some(Box::new(made(9, kept))), ..made(8, &[]) };
        let keys = [
            slice(8, &[]),
            slice(9, &[]),
            slice(8, &[(40, code(1, 16))]),
            slice(8, &[(41, code(1, 16))]),
            slice(8, &[(40, code(2, 16))]),
            slice(8, &[(40, code(1, 17))]),
            slice(8, &[(40, KeptValue::Stack(16))]),
            slice(8, &[(40, code(1, 16)), (41, code(1, 16))]),
            slice_key(&with_other(&[])),
            slice_key(&with_other(&[(40, code(1, 16))])),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert_eq!(keys.iter().filter(|b| *b == a).count(), 1, "key {i}");
        }
    }

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
