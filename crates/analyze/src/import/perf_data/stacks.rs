//! Callchains become stacks: addresses in modules, user and kernel apart.
//!
//! ```text
//! MARK kernel, k0, k1, MARK user, u0, u1, u2     leaf first; a mark says what follows is of
//! ```

use std::collections::hash_map::Entry;
use std::io::Write;

use archive::Writer;
use profile::{ModuleId, Node, NodeId, Slice, Stack, StackEnd, StackId};
use rustc_hash::FxHashMap;

use super::bytes::Words;

/// Values from here on are marks (`PERF_CONTEXT_MAX` in `linux/perf_event.h`).
const FIRST_MARK: u64 = -4095i64 as u64;
const MARK_KERNEL: u64 = -128i64 as u64;
const MARK_USER: u64 = -512i64 as u64;
/// `misc` of a record: in what the sample was taken.
const MISC_CPU_MODE: u16 = 7;
const CPU_MODE_KERNEL: u16 = 1;
const CPU_MODE_USER: u16 = 2;
/// Words of chains that are remembered, 32 MiB.
const MAX_REMEMBERED_WORDS: usize = 4 << 20;

/// The addresses of a sample, leaf first.
#[derive(Default, Debug)]
pub(super) struct Chain {
    pub(super) kernel: Vec<u64>,
    pub(super) user: Vec<u64>,
}

impl Chain {
    /// Takes a sample's chain apart; without one its instruction pointer is all there is. What is of
    /// guests and hypervisors is left out: nothing is known of their code.
    pub(super) fn read(&mut self, words: Words<'_>, ip: u64, misc: u16) {
        self.kernel.clear();
        self.user.clear();
        let mut part = match misc & MISC_CPU_MODE {
            CPU_MODE_KERNEL => Some(&mut self.kernel),
            CPU_MODE_USER => Some(&mut self.user),
            _ => None,
        };
        if words.len() == 0 {
            if let Some(part) = part {
                part.push(ip);
            }
            return;
        }
        for word in words.iter() {
            match word {
                MARK_KERNEL => part = Some(&mut self.kernel),
                MARK_USER => part = Some(&mut self.user),
                FIRST_MARK.. => part = None,
                address => {
                    if let Some(part) = &mut part {
                        part.push(address);
                    }
                }
            }
        }
    }
}

/// Whose code an address is of, and where in it.
pub(super) type Place = (ModuleId, u64);

/// Rows of paths and stacks, each once.
#[derive(Default)]
pub(super) struct Stacks {
    nodes: FxHashMap<Node, NodeId>,
    stacks: FxHashMap<Stack, StackId>,
    /// Those with slices, since the last flush.
    sliced: FxHashMap<(Stack, Slice), StackId>,
    pending_slice_words: usize,
    /// By all that a stack is made from.
    remembered: FxHashMap<Box<[u64]>, StackId>,
    remembered_words: usize,
}

impl Stacks {
    /// A path of user code. Words that are no code end it: a walk along frame pointers through code
    /// that has none finds anything.
    pub(super) fn user_path<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        addresses: &[u64],
        is_cut: bool,
        mut place: impl FnMut(&mut Writer<W>, u64) -> Option<Place>,
    ) -> (NodeId, StackEnd) {
        let Some((leaf, callers)) = addresses.split_first() else {
            return (NodeId::NONE, StackEnd::NoUser);
        };
        let Some(leaf_place) = place(writer, *leaf) else {
            let unknown = (ModuleId::NONE, *leaf);
            return (self.node(writer, NodeId::NONE, unknown), StackEnd::NotCode);
        };
        let mut end = match callers.len() {
            _ if is_cut => StackEnd::DepthLimit,
            // A lone leaf had no caller that could be read.
            0 => StackEnd::NotCode,
            _ => StackEnd::Complete,
        };
        let mut path = vec![leaf_place];
        for address in callers {
            if *address == 0 {
                end = StackEnd::Complete;
                break;
            }
            // A return address may be the first byte behind its mapping.
            let Some((module, before)) = place(writer, address - 1) else {
                end = StackEnd::NotCode;
                break;
            };
            path.push((module, before.wrapping_add(1)));
        }
        (self.path(writer, &path), end)
    }

    /// A path, leaf first.
    pub(super) fn path<W: Write>(&mut self, writer: &mut Writer<W>, path: &[Place]) -> NodeId {
        path.iter().rev().fold(NodeId::NONE, |parent, place| self.node(writer, parent, *place))
    }

    fn node<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        parent: NodeId,
        (module, address): Place,
    ) -> NodeId {
        let node = Node { parent, module, address };
        *self.nodes.entry(node).or_insert_with(|| writer.node(node))
    }

    pub(super) fn stack<W: Write>(&mut self, writer: &mut Writer<W>, stack: Stack) -> StackId {
        *self.stacks.entry(stack).or_insert_with(|| writer.stack(stack))
    }

    /// A stack with what unwinds it. Equal samples share a row until the next flush.
    pub(super) fn sliced<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        stack: Stack,
        slice: Slice,
    ) -> StackId {
        match self.sliced.entry((stack, slice)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let slice = &new.key().1;
                self.pending_slice_words += slice.kept.len();
                let id = writer.sliced_stack(stack, slice);
                *new.insert(id)
            }
        }
    }

    /// Registers and stack words that are held until a flush.
    pub(super) fn pending_slice_words(&self) -> usize {
        self.pending_slice_words
    }

    /// The writer holds no slices any more.
    pub(super) fn flushed(&mut self) {
        self.sliced.clear();
        self.pending_slice_words = 0;
    }

    /// The stack that was made of the same before.
    pub(super) fn remembered(&self, made_of: &[u64]) -> Option<StackId> {
        self.remembered.get(made_of).copied()
    }

    pub(super) fn remember(&mut self, made_of: &[u64], stack: StackId) {
        if self.remembered_words > MAX_REMEMBERED_WORDS {
            self.remembered.clear();
            self.remembered_words = 0;
        }
        self.remembered_words += made_of.len();
        self.remembered.insert(made_of.into(), stack);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(words: &[u64], ip: u64, misc: u16) -> (Vec<u64>, Vec<u64>) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut chain = Chain::default();
        chain.read(Words(&bytes), ip, misc);
        (chain.kernel, chain.user)
    }

    #[test]
    fn marks_say_what_addresses_are_of() {
        let guest = -2048i64 as u64;
        let words = [MARK_KERNEL, 1, 2, MARK_USER, 3, guest, 4, MARK_USER, 5];
        assert_eq!(chain(&words, 9, CPU_MODE_KERNEL), (vec![1, 2], vec![3, 5]));
        assert_eq!(chain(&[6, 7], 9, CPU_MODE_USER), (vec![], vec![6, 7]));
        assert_eq!(chain(&[], 9, CPU_MODE_KERNEL), (vec![9], vec![]));
        assert_eq!(chain(&[], 9, 4), (vec![], vec![]), "of a guest");
    }
}
