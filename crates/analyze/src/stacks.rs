//! From unique stacks to a call tree: process, then user frames, then kernel frames, root first.
//! Of the code that starts a program or thread (`start`) one function is shown.
//!
//! Two things are never claimed silently. A chain that was cut hangs under a marker that says why,
//! never as if its top were the root. And where a frame-pointer walk came through a function that had
//! not set its frame pointer, the walk skipped that function's caller: a marker stands between it and
//! the next frame that was recorded. Where unwinding has proven what stands there, there is no marker.

mod start;

use profile::{Frame, FrameId, FrameKind, FrameTable, NoName, StackEnd};
use symbolize::unwind::{NoRule, Step, Stop, WalkEnd};

use crate::addresses::{AddressId, Addresses};
use crate::collapse::Cell;
use crate::group::Groups;
use crate::naming::Named;
use crate::paths::{Paths, Unwound};
use crate::placed::Place;
use crate::resolve::{Caller, Resolution};

/// Which frames are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Kernel frames; without them their weight is their user caller's.
    pub kernel: bool,
    /// Inlined functions as frames of their own; without them their weight is the physical
    /// function's.
    pub inlines: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { kernel: true, inlines: true }
    }
}

/// How much of a stack is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Wholeness {
    /// From a root to the leaf.
    Complete,
    /// Likewise, but not as it was recorded: unwinding inserted or added callers.
    Repaired,
    /// Nothing says that a caller is missing, but for a module without unwind information.
    Unchecked,
    /// A caller may have been skipped.
    CallerSkipped,
    /// Cut, and why.
    Cut(StackEnd),
    /// Unwinding did not reach a root either, and why.
    Stopped(Stop),
}

impl Wholeness {
    /// Whether the stack hangs under a marker that says why it was cut.
    fn is_cut(self) -> bool {
        matches!(self, Self::Cut(_) | Self::Stopped(_))
    }
}

/// A stack as frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// Root first, beginning with the process or what stands in its place.
    pub frames: Vec<FrameId>,
    /// Which of them addresses have become, root first.
    pub places: Vec<Place>,
    /// How much of it is there.
    pub wholeness: Wholeness,
    /// The group whose code is the cause, where not all is there.
    pub cause: Option<u32>,
    /// Whether the module's file would let the stack be unwound further.
    pub mendable: bool,
    /// Who named the code that ran, or why nobody did.
    pub leaf: Named,
    /// Groups ([`crate::addresses::Group`]) on the stack, each once, and whether frames of it lack
    /// names.
    pub groups: Vec<(u32, bool)>,
    /// Which of these the code that ran is of.
    pub leaf_group: Option<usize>,
}

/// The marker under which a cut stack hangs.
fn cut_marker(end: StackEnd) -> Option<&'static str> {
    match end {
        StackEnd::Complete | StackEnd::NoUser => None,
        StackEnd::DepthLimit => Some("[truncated: depth limit]"),
        StackEnd::NotCode => Some("[truncated: no frame pointers]"),
        StackEnd::Fault => Some("[truncated: page not present]"),
        StackEnd::MapsUnknown => Some("[truncated: mappings unknown]"),
        StackEnd::LostBlock => Some(LOST),
    }
}

/// The marker under which a stack hangs that unwinding could not take further.
fn stop_marker(stop: Stop) -> &'static str {
    match stop {
        Stop::NoRule(NoRule::NoFile) => "[truncated: file with unwind tables not found]",
        Stop::NoRule(NoRule::NoTables | NoRule::NotCovered) => "[truncated: no unwind tables]",
        Stop::NoRule(NoRule::Damaged) => "[truncated: unwind tables are damaged]",
        Stop::NotKept => "[truncated: a register was not recorded]",
        Stop::Beyond => "[truncated: beyond the recorded part]",
        Stop::Interrupted => "[truncated: interrupted stack not recorded]",
        Stop::NotCode => "[truncated: no code to return to]",
        Stop::OtherStack => "[truncated: on another stack]",
        Stop::Absurd => "[truncated: unwind tables lead nowhere]",
        Stop::TooDeep => "[truncated: too deep]",
    }
}

/// What stands where a block that is damaged held the definition.
pub const LOST: &str = "[lost in a damaged block]";

/// What stands between a function and a frame that need not be its caller.
pub const CALLER_SKIPPED: &str = "[caller may be missing]";

/// Makes chains of one recording's stacks.
pub struct Chains<'a> {
    /// Which recording, in [`Addresses`].
    pub recording: usize,
    /// Its call paths.
    pub paths: &'a Paths<'a>,
    /// What stands at the root of stacks.
    pub groups: Groups<'a>,
    /// Numbers of addresses.
    pub addresses: &'a Addresses,
    /// Their names.
    pub resolution: &'a Resolution,
    /// Which frames are shown.
    pub shape: Shape,
}

fn marker(frames: &mut FrameTable, name: &str) -> FrameId {
    frames.intern(Frame::new(name, "", FrameKind::Marker))
}

impl Chains<'_> {
    /// The frames of one stack in one process.
    pub fn chain(&self, cell: &Cell, frames: &mut FrameTable) -> Chain {
        let stack = self.paths.stacks.get(cell.stack);
        let unwound = self.paths.unwound(cell.stack);
        let repaired = unwound.is_some_and(|unwound| unwound.repaired);
        let mut chain = Chain {
            frames: self.groups.frames(cell, frames),
            places: Vec::new(),
            wholeness: if repaired { Wholeness::Repaired } else { Wholeness::Complete },
            cause: None,
            mendable: false,
            leaf: Err(match stack.end {
                StackEnd::LostBlock => NoName::LostBlock,
                _ => NoName::Unmapped,
            }),
            groups: Vec::new(),
            leaf_group: None,
        };
        let user = self.addresses.path(self.recording, self.paths, stack.user);
        self.note_end(&mut chain, stack.end, unwound, &user, frames);
        let user = &user[self.innermost_start(&user, unwound, frames)..];
        for (index, id) in user.iter().enumerate() {
            let depth = user.len() - 1 - index;
            let step = unwound.map_or(Step::Recorded, |unwound| unwound.step(depth));
            if step == Step::Gap {
                self.mark_skipped(&mut chain, *id, frames);
            } else if step == Step::Recorded
                && !self.starts_threads(*id, user.get(index + 1), frames)
            {
                self.note_caller(&mut chain, *id, index == 0, depth == 0, frames);
            }
            self.push(&mut chain, *id, true, frames);
        }
        let kernel = self.addresses.path(self.recording, self.paths, stack.kernel);
        for id in &kernel {
            self.push(&mut chain, *id, self.shape.kernel, frames);
        }
        if let Some(innermost) = kernel.last().or(user.last()) {
            chain.leaf = self.named(*innermost, frames);
        }
        let before = chain.frames.len();
        self.groups.insert_module(&mut chain.frames, frames);
        let inserted = (chain.frames.len() - before) as u32;
        chain.places.iter_mut().for_each(|place| place.first += inserted);
        chain
    }

    /// Sets a marker where a stack was cut.
    fn note_end(
        &self,
        chain: &mut Chain,
        end: StackEnd,
        unwound: Option<&Unwound>,
        user: &[AddressId],
        frames: &mut FrameTable,
    ) {
        let end = self.why_it_ends(end, user, frames);
        let (name, wholeness) = match (unwound.map(|unwound| unwound.end), end) {
            (Some(WalkEnd::Root), _) => return,
            // Where a zero ends a chain in code without tables, nothing speaks against it.
            (Some(WalkEnd::Stopped(stop, _)), StackEnd::Complete)
                if !matches!(stop, Stop::NoRule(_)) && !self.is_start(user, frames) =>
            {
                (stop_marker(stop), Wholeness::Stopped(stop))
            }
            (Some(WalkEnd::Stopped(stop, _)), end) if end != StackEnd::Complete => {
                chain.mendable = stop == Stop::NoRule(NoRule::NoFile);
                (stop_marker(stop), Wholeness::Stopped(stop))
            }
            _ => match cut_marker(end) {
                Some(name) => (name, Wholeness::Cut(end)),
                None => return,
            },
        };
        let cut = marker(frames, name);
        if chain.frames.last() != Some(&cut) {
            chain.frames.push(cut);
        }
        chain.wholeness = wholeness;
        chain.cause = user.first().map(|root| self.resolution.get(*root).group);
    }

    fn is_start(&self, user: &[AddressId], frames: &FrameTable) -> bool {
        user.first().is_some_and(|root| self.starts_threads(*root, user.get(1), frames))
    }

    /// What the end of a walk means, given the code where it ended.
    ///
    /// In the code that starts a program or a thread it has arrived, whatever it met there: glibc
    /// calls `main` with any number in the register. In another function that never set its frame
    /// pointer the register may hold any number, too: zero looks like the end of the stack, a small one
    /// like a page that is not present. (Of a Rust program built without frame pointers 95 % of the
    /// samples ended so, and of gcc's compiler, which has none, 28 % with zero.)
    fn why_it_ends(&self, end: StackEnd, user: &[AddressId], frames: &FrameTable) -> StackEnd {
        let by_register = matches!(end, StackEnd::Complete | StackEnd::Fault | StackEnd::NotCode);
        match user.first() {
            Some(root) if by_register => {
                if self.is_start(user, frames) {
                    StackEnd::Complete
                } else if self.resolution.get(*root).caller == Caller::Skipped {
                    StackEnd::NotCode
                } else {
                    end
                }
            }
            _ => end,
        }
    }

    /// Sets a marker before the frames of an address whose caller the walk skipped.
    fn note_caller(
        &self,
        chain: &mut Chain,
        id: AddressId,
        is_root: bool,
        is_leaf: bool,
        frames: &mut FrameTable,
    ) {
        let resolved = self.resolution.get(id);
        match resolved.caller {
            Caller::Next | Caller::Outermost => {}
            Caller::Unknown => {
                // Of a library that is not here every leaf may be one that sets no frame pointer, as
                // most of libc is: nothing may be claimed until the file is brought.
                if is_leaf && !is_root && resolved.no_name.is_some() {
                    chain.frames.push(marker(frames, CALLER_SKIPPED));
                }
                self.lower(chain, id, Wholeness::Unchecked);
            }
            Caller::Skipped => {
                // At the root of a cut chain the marker that stands there says it already.
                if !(is_root && chain.wholeness.is_cut()) {
                    self.mark_skipped(chain, id, frames);
                }
            }
        }
    }

    fn mark_skipped(&self, chain: &mut Chain, id: AddressId, frames: &mut FrameTable) {
        chain.frames.push(marker(frames, CALLER_SKIPPED));
        self.lower(chain, id, Wholeness::CallerSkipped);
    }

    /// Notes that not all is there, and in which module, unless something worse is known.
    fn lower(&self, chain: &mut Chain, id: AddressId, to: Wholeness) {
        if chain.wholeness < to {
            chain.wholeness = to;
            chain.cause = Some(self.resolution.get(id).group);
        }
    }

    /// Who named the code at an address.
    fn named(&self, id: AddressId, frames: &FrameTable) -> Named {
        let resolved = self.resolution.get(id);
        match (resolved.no_name, resolved.frames.last()) {
            (None, Some(innermost)) => Ok(frames.get(*innermost).source),
            (reason, _) => Err(reason.unwrap_or(NoName::OutOfRange)),
        }
    }

    /// Appends the frames of an address. What is known of names counts also where it is not shown.
    fn push(&self, chain: &mut Chain, id: AddressId, shown: bool, frames: &FrameTable) {
        let resolved = self.resolution.get(id);
        if shown {
            let first = chain.frames.len() as u32;
            if self.shape.inlines {
                chain.frames.extend_from_slice(&resolved.frames);
            } else {
                let outer = resolved.frames.iter().filter(|frame| !frames.get(**frame).inlined);
                chain.frames.extend(outer);
            }
            let count = chain.frames.len() as u32 - first;
            chain.places.push(Place { address: id, first, count });
        }
        let known = chain.groups.iter().position(|(group, _)| *group == resolved.group);
        let position = known.unwrap_or_else(|| {
            chain.groups.push((resolved.group, false));
            chain.groups.len() - 1
        });
        chain.groups[position].1 |= resolved.no_name.is_some() || resolved.frames.is_empty();
        chain.leaf_group = Some(position);
    }
}

#[cfg(test)]
mod tests;
