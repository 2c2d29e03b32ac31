//! From the leaf of a stack to its callers: by rules and kept words, and where the rules say that the
//! frame pointer is a function's own, along the chain that the host recorded.
//!
//! The recorded chain is a walk along frame pointers from the sampled register on: what it met are
//! words of the same stack that need not be in the slice. So each step is one of these:
//!
//! 1. By the rule, with registers and words of the slice.
//! 2. By the rule, where it says that the frame pointer is set and rules have carried the register
//!    here unharmed from a link of the recorded chain: the chain's next frame is the caller. So a slice
//!    of a few words repairs a leaf without a prologue, and what follows is proven all the same.
//! 3. Without a rule, along the frame pointer as the host did: in the chain, or in the slice where rules
//!    have brought back a frame pointer that the chain does not know. Such a step proves nothing
//!    ([`Step::Recorded`]).
//!
//! In a Go program the walk crosses to another stack where the runtime has switched ([`GoSwitch`]): what the host
//! recorded of the goroutine is the rest. Where C code called Go code back, and words of both stacks were recorded,
//! it goes up both in turns (`callbacks.rs`).
//!
//! Where neither helps the walk stops. What the chain still has beyond the frames that were found
//! follows, behind a [`Step::Gap`] where its next frame need not be the caller; not where a coroutine
//! begins, whose frame pointer may still be that of the code that made it. Where slice and chain
//! contradict each other the rules win: the chain may have come through any register's content, the
//! rules may not.

mod callbacks;

use profile::{ModuleId, Slice};

use super::rule::Registers;
use super::state::State;
use super::{GoSwitch, NoRule, Rule};
use crate::elf::Machine;

/// Deeper stacks are cut.
const MAX_FRAMES: usize = 10_000;
/// Of a goroutine are compared with the frames found; recorders end before.
const MAX_GOROUTINE: usize = 128;

/// Rules by address, wherever they come from.
pub trait Rules {
    /// The rule at an address in the module's own meaning (see [`profile::ModuleKind`]).
    ///
    /// # Errors
    /// Why there is none.
    fn rule(&mut self, module: ModuleId, address: u64) -> Result<&Rule, NoRule>;
}

/// One frame of a stack, and how its caller was found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Frame {
    /// Whose code.
    pub module: ModuleId,
    /// Where in it.
    pub address: u64,
    /// Whether it is what a call returns to; else an instruction that a sample or signal interrupted.
    pub is_return: bool,
    /// The step to the frame that follows.
    pub step: Step,
}

impl Frame {
    /// The address inside the instruction meant.
    pub(super) fn lookup(&self) -> u64 {
        if self.is_return { self.address.saturating_sub(1) } else { self.address }
    }
}

/// How a frame's caller was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    /// Unwind tables say so; of the last frame, that it has no caller.
    Proven,
    /// The host recorded it, and nothing is known that speaks for or against it.
    Recorded,
    /// The frame that follows was recorded, but callers may be missing between.
    Gap,
}

/// Why a walk did not arrive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stop {
    /// There is no rule.
    NoRule(NoRule),
    /// A register that is needed was not kept.
    NotKept,
    /// A word that is needed lies beyond what was looked at.
    Beyond,
    /// The stack that a signal interrupted was not looked at: its handler has one of its own.
    Interrupted,
    /// What should be a return address is none.
    NotCode,
    /// The rule leads nowhere: stacks do not shrink towards their callers.
    Absurd,
    /// The callers are on another stack, and what stands there was not recorded.
    OtherStack,
    /// More frames than any stack is believed to have.
    TooDeep,
}

/// How a walk ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WalkEnd {
    /// The tables say that the last frame has no caller.
    Root,
    /// With the recorded chain, whatever ended that.
    Recorded,
    /// Before; in this module.
    Stopped(Stop, ModuleId),
}

/// The stack as the host recorded it.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// Leaf first: where it stood, and what calls return to.
    pub path: &'a [(ModuleId, u64)],
    /// Of a Go program whose thread stands on another stack: what the goroutine that it works for returns to.
    pub goroutine: &'a [(ModuleId, u64)],
}

/// What a walk found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Walk<'a> {
    /// Leaf first.
    pub frames: &'a [Frame],
    /// How it ended.
    pub end: WalkEnd,
}

/// Walks stacks. Keep one for many: its buffers are used again.
#[derive(Debug)]
pub struct Walker {
    machine: Registers,
    frames: Vec<Frame>,
    /// The goroutine is none of the walk's: the scheduler was about to run it.
    dispatches: bool,
    /// Of the last frame: what is found behind it may be of its caller. A coroutine's first function has none.
    was_called: bool,
    /// Words of both the goroutine's and the thread's stack were recorded.
    has_both_stacks: bool,
}

impl Walker {
    /// For stacks of one instruction set; `None` when its registers are not known.
    #[must_use]
    pub fn new(machine: Machine) -> Option<Self> {
        Some(Self {
            machine: machine.registers()?,
            frames: Vec::new(),
            dispatches: false,
            was_called: true,
            has_both_stacks: false,
        })
    }

    /// Finds the callers of a stack's leaf. `None` when the stack has no leaf.
    pub fn walk(
        &mut self,
        recorded: Recorded<'_>,
        slice: &Slice,
        rules: &mut impl Rules,
    ) -> Option<Walk<'_>> {
        self.frames.clear();
        self.dispatches = false;
        let (module, address) = *recorded.path.first()?;
        self.frames.push(Frame { module, address, is_return: false, step: Step::Proven });
        let mut state = State::new(self.machine, slice, recorded.path);
        self.has_both_stacks = slice.other.is_some();
        let mut end = self.climb(&mut state, rules);
        if let Some(other) = slice.other.as_deref() {
            match self.climb_both(end, state, recorded, other, rules) {
                Ok(end) => return Some(Walk { frames: &self.frames, end }),
                Err(stayed) => end = stayed,
            }
        }
        let goroutine = if self.dispatches { &[] } else { recorded.goroutine };
        let end = match end {
            Err(_) if !goroutine.is_empty() => self.go_on(goroutine, rules),
            Err((GoSwitch::Parks, _)) => WalkEnd::Root,
            end => {
                let end = self.follow(0, recorded.path, stopped_at_switch(end));
                if self.leave_for(goroutine, end) { self.go_on(goroutine, rules) } else { end }
            }
        };
        Some(Walk { frames: &self.frames, end })
    }

    /// Goes on where the goroutine does.
    fn go_on(&mut self, goroutine: &[(ModuleId, u64)], rules: &mut impl Rules) -> WalkEnd {
        let from = self.frames.len();
        let (module, address) = goroutine[0];
        self.frames.push(Frame { module, address, is_return: true, step: Step::Proven });
        let nothing = Slice::default();
        let end = self.climb(&mut State::new(self.machine, &nothing, goroutine), rules);
        self.follow(from, goroutine, stopped_at_switch(end))
    }

    /// Whether the goroutine's callers follow although no switch was seen. A chain of frame pointers may cross
    /// from stack to stack by itself, but not without leaving frames out: what the frames found have in common
    /// with the goroutine's is dropped. Where they have nothing in common and no root was found, callers may
    /// be missing between.
    fn leave_for(&mut self, goroutine: &[(ModuleId, u64)], end: WalkEnd) -> bool {
        // As many of the last frames as the goroutine has in a row, too.
        let ends = (1..=goroutine.len().min(MAX_GOROUTINE)).map(|end| &goroutine[..end]);
        let shared = ends.map(|chain| {
            let pairs = self.frames[1..].iter().rev().zip(chain.iter().rev());
            pairs.take_while(|(f, other)| (f.module, f.address) == **other).count()
        });
        if let Some(shared @ 1..) = shared.max() {
            self.frames.truncate(self.frames.len() - shared);
            return true;
        }
        if goroutine.is_empty() || end == WalkEnd::Root {
            return false;
        }
        if let Some(last) = self.frames.last_mut() {
            last.step = Step::Gap;
        }
        true
    }

    /// From the last frame, which `state` is of, up the stack on which it stands. An error: at a function that
    /// switched stacks.
    fn climb(
        &mut self,
        state: &mut State<'_>,
        rules: &mut impl Rules,
    ) -> Result<WalkEnd, (GoSwitch, ModuleId)> {
        // Each step takes a word of its own.
        let most = MAX_FRAMES.min(self.frames.len() + state.most_steps());
        let end = loop {
            let last = self.frames.len() - 1;
            let frame = &mut self.frames[last];
            let (module, is_return) = (frame.module, frame.is_return);
            let rule = rule_of(frame, rules);
            self.was_called =
                frame.is_return == is_return || rule.is_ok_and(|rule| rule.is_signal_frame);
            match rule.as_ref().map(|rule| rule.go_switch) {
                Err(_) => frame.step = Step::Recorded,
                Ok(Some(switch @ (GoSwitch::Leaves | GoSwitch::Parks))) => {
                    return Err((switch, module));
                }
                Ok(Some(GoSwitch::Enters)) if self.has_both_stacks => {
                    return Err((GoSwitch::Enters, module));
                }
                Ok(Some(GoSwitch::Enters)) => frame.step = Step::Gap,
                Ok(Some(GoSwitch::Dispatches)) => self.dispatches = true,
                Ok(Some(GoSwitch::CalledByC) | None) => {}
            }
            match state.caller(rule, frame) {
                Ok(Some(caller)) => self.frames.push(caller),
                Ok(None) => break WalkEnd::Root,
                Err(None) => break WalkEnd::Recorded,
                Err(Some(stop)) => break WalkEnd::Stopped(stop, module),
            }
            if self.frames.len() > most {
                break WalkEnd::Stopped(Stop::TooDeep, module);
            }
        };
        if let (Some(last), true) = (self.frames.last_mut(), end != WalkEnd::Root) {
            last.step = Step::Recorded;
        }
        Ok(end)
    }

    /// Appends what a recorded chain has beyond the frames found, if those that begin at `from` stopped.
    ///
    /// The frames found begin the true stack, and a chain of frame pointers leaves frames out but
    /// invents none: as many of it as are among the frames found, in their order, are below.
    fn follow(&mut self, from: usize, path: &[(ModuleId, u64)], end: WalkEnd) -> WalkEnd {
        if !self.was_called || !matches!(end, WalkEnd::Stopped(stop, _) if stop != Stop::TooDeep) {
            return end;
        }
        let found = &self.frames[from..];
        let mut rest = &path[1..];
        let mut seamless = found.len() == 1;
        for frame in &found[1..] {
            seamless = rest.first() == Some(&(frame.module, frame.address));
            if seamless {
                rest = &rest[1..];
            }
        }
        if rest.is_empty() {
            return end;
        }
        if let (Some(last), false) = (self.frames.last_mut(), seamless) {
            last.step = Step::Gap;
        }
        self.frames.extend(rest.iter().map(|(module, address)| Frame {
            module: *module,
            address: *address,
            is_return: true,
            step: Step::Recorded,
        }));
        WalkEnd::Recorded
    }
}

/// A switch to a stack that is not recorded is an end like others.
fn stopped_at_switch(end: Result<WalkEnd, (GoSwitch, ModuleId)>) -> WalkEnd {
    end.unwrap_or_else(|(_, module)| WalkEnd::Stopped(Stop::OtherStack, module))
}

/// The rule of a frame.
///
/// Trampolines of signals and the first functions of coroutines are not called: their address was put where
/// a return address stands, and is none. And while the kernel works for such a trampoline, the next
/// instruction is behind its system call, which is its last.
fn rule_of<'r>(frame: &mut Frame, rules: &'r mut impl Rules) -> Result<&'r Rule, NoRule> {
    let (module, lookup) = (frame.module, frame.lookup());
    let otherwise = match rules.rule(module, lookup) {
        Ok(rule) if frame.is_return && rule.is_signal_frame => frame.address,
        Err(NoRule::NotCovered) if frame.is_return => frame.address,
        Err(NoRule::NotCovered) => lookup.saturating_sub(1),
        _ => return rules.rule(module, lookup),
    };
    let was_called = frame.is_return;
    if rules.rule(module, otherwise).is_ok_and(|rule| was_called || rule.is_signal_frame) {
        frame.is_return = false;
        return rules.rule(module, otherwise);
    }
    rules.rule(module, lookup)
}

#[cfg(test)]
mod tests;
