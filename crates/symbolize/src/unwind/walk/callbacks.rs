//! Go code that C code called, which Go code had called: the callers stand on two stacks in turns.
//!
//! ```text
//! the thread's stack                      the goroutine's stack
//!                                         runtime.goexit, main.work, …, runtime.cgocall
//! runtime.asmcgocall, C code, crosscall2
//! runtime.cgocallback                     runtime.cgocallback (the same frame: it goes over)
//!                                         runtime.cgocallbackg, …, main.spin
//! ```
//! On each stack the frames of one turn stand right above those of the next, but for what the functions that switch
//! need: `asmcgocall` leaves some room, and `cgocallback` has its frame on both stacks. So of each stack the state is
//! kept where the walk left it.

use super::{Frame, Recorded, Rules, State, Step, Walker, rule_of, stopped_at_switch};
use crate::unwind::{GoSwitch, Rule, WalkEnd};
use profile::{ModuleId, Slice};

/// What `climb` says.
type Climbed = Result<WalkEnd, (GoSwitch, ModuleId)>;

/// So many words above what the functions that switch to the thread's stack left of it `cgocallback` has its frame:
/// `asmcgocall` up to Go 1.21, later ones, `systemstack`. Between stand words of former calls, also such that look
/// like a frame; the other distances lead into the frame of `crosscall2`.
const DISTANCES_WORDS: [u32; 5] = [9, 8, 3, 2, 0];
/// That frame is so large; the return address to `crosscall2` follows.
const ENTRY_FRAME_WORDS: u32 = 4;

impl Walker {
    /// Goes on from a switch that `climb` came to, and from those that follow. An error: where the first one
    /// leads is not known, and what `climb` says then.
    pub(super) fn climb_both<'a>(
        &mut self,
        mut climbed: Climbed,
        mut here: State<'a>,
        recorded: Recorded<'a>,
        other: &'a Slice,
        rules: &mut impl Rules,
    ) -> Result<WalkEnd, Climbed> {
        let mut there = State::new(self.machine, other, recorded.goroutine);
        let mut has_crossed = false;
        // Which recorded chain has the callers too, and where it begins.
        let (mut from, mut chain) = (0, recorded.path);
        loop {
            let crossed = match climbed {
                _ if self.dispatches => false,
                Err((GoSwitch::Enters, _)) => self.enter_thread(&mut here, &mut there, rules),
                Err((GoSwitch::Leaves | GoSwitch::Parks, _)) if has_crossed => {
                    self.return_to_goroutine(&mut there, rules)
                }
                Err((GoSwitch::Leaves | GoSwitch::Parks, _)) => {
                    self.go_to_goroutine(recorded.goroutine)
                }
                _ => false,
            };
            if crossed && !has_crossed && !recorded.goroutine.is_empty() {
                (from, chain) = (self.frames.len() - 1, recorded.goroutine);
            }
            match climbed {
                Err(_) if crossed => std::mem::swap(&mut here, &mut there),
                // What stands on the goroutine's stack above did not call.
                Err((GoSwitch::Enters, _)) => {
                    let last = self.frames.len() - 1;
                    let end = self.follow(from, chain, stopped_at_switch(climbed));
                    if self.frames.len() - 1 > last {
                        self.frames[last].step = Step::Gap;
                    }
                    return Ok(end);
                }
                end if has_crossed => return Ok(self.follow(from, chain, stopped_at_switch(end))),
                end => return Err(end),
            }
            has_crossed |= crossed;
            climbed = self.climb(&mut here, rules);
        }
    }

    /// The rule of the last frame.
    fn last_rule(&mut self, rules: &mut impl Rules) -> Option<Rule> {
        rule_of(self.frames.last_mut()?, rules).ok().cloned()
    }

    /// From `cgocallback` to the function that C code called.
    fn enter_thread(
        &mut self,
        goroutine: &mut State<'_>,
        thread: &mut State<'_>,
        rules: &mut impl Rules,
    ) -> bool {
        let (Some(rule), Some(start)) = (self.last_rule(rules), thread.sp_words()) else {
            return false;
        };
        let mut is_entry = |words: u32| {
            let Some((module, address)) = thread.code_at(words) else { return false };
            let rule = rules.rule(module, address.saturating_sub(1));
            rule.is_ok_and(|rule| rule.go_switch == Some(GoSwitch::CalledByC))
        };
        // Where no other frame is, the words begin with it.
        let distances = if start == 0 { &[0][..] } else { &DISTANCES_WORDS };
        let mut places = distances.iter().map(|distance| start.saturating_add(*distance));
        let Some(entry) = places.find(|at| is_entry(at.saturating_add(ENTRY_FRAME_WORDS))) else {
            return false;
        };
        goroutine.leave(&rule);
        thread.go_to(entry);
        self.push_caller(thread, &rule)
    }

    /// From the thread's stack, on which the walk began, to where the goroutine goes on.
    fn go_to_goroutine(&mut self, goroutine: &[(ModuleId, u64)]) -> bool {
        let Some((module, address)) = goroutine.first().copied() else { return false };
        self.frames.push(Frame { module, address, is_return: true, step: Step::Proven });
        true
    }

    /// From `asmcgocall` on the thread's stack to its caller.
    fn return_to_goroutine(&mut self, goroutine: &mut State<'_>, rules: &mut impl Rules) -> bool {
        let rule = self.last_rule(rules);
        rule.is_some_and(|rule| self.push_caller(goroutine, &rule))
    }

    fn push_caller(&mut self, state: &mut State<'_>, rule: &Rule) -> bool {
        let Some(last) = self.frames.last() else { return false };
        let Ok(Some(caller)) = state.caller(Ok(rule), last) else { return false };
        self.frames.push(caller);
        true
    }
}
