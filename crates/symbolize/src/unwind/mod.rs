//! Unwinding: from the registers and kept stack words of one stack to its true callers.
//!
//! `sections` finds a module's call frame information, `tables` finds the description of an address
//! in it, `rule` makes that a few numbers, `expression` evaluates the forms that are more than
//! numbers, `state` goes from a frame to its caller, and `walk` does that to the root.
//!
//! The rules are our own and not framehop's: that crate evaluates no expression that reads memory
//! (realigned frames), takes words of memory as numbers only, and where it fails it goes on along the
//! frame pointer without saying so. Here every stop has its reason, because a stack that merely ends
//! is no complete one.

mod expression;
mod rule;
mod sections;
mod state;
mod tables;
mod walk;

pub use expression::Expression;
pub use rule::{Cfa, FramePointer, GoSwitch, NoRule, Rule, Saved};
pub use sections::UnwindSections;
pub use tables::UnwindTables;
pub use walk::{Frame, Recorded, Rules, Step, Stop, Walk, WalkEnd, Walker};
