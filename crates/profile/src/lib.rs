//! The nouns of a profile, without I/O: what a recording states ([`Tables`], [`Ledger`],
//! [`RecordingFacts`]), what names make of it ([`Frame`], [`FrameTable`]), and what people look at
//! ([`CallTree`], [`DiffTree`], [`Caption`]).
//!
//! Conventions, for every crate above this one:
//! - An id newtype numbers the rows of one table from 1; 0 means none.
//! - Times are `CLOCK_MONOTONIC` nanoseconds unless the name says otherwise; units stand last in names.
//! - Weights are whole numbers in the event's unit ([`Unit`]); weights of different units are never added.
//! - Text from a host is bytes ([`Text`]): names, paths and comms need not be UTF-8.
//!
//! ```
//! use profile::{CallTree, Frame, FrameKind};
//! let mut tree = CallTree::new();
//! let main = tree.frames.intern(Frame::new("main", "server", FrameKind::User));
//! let parse = tree.frames.intern(Frame::new("parse", "server", FrameKind::User));
//! tree.add(&[main, parse], 10);
//! tree.add(&[main], 5);
//! assert_eq!(tree.total(), 15);
//! ```

mod address;
mod call_tree;
mod caption;
mod diff_tree;
mod event;
mod facts;
mod frame;
mod id;
mod ledger;
mod module;
mod process;
mod slice;
mod stack;
mod symbol;
mod tables;
mod text;
mod timeline;

pub use address::{Avma, CodeAddress, FileOffset, Svma};
pub use call_tree::{CallNode, CallTree, FunctionTotals};
pub use caption::{Caption, Warning};
pub use diff_tree::{DiffNode, DiffTree, Grade, JudgedBy};
pub use event::{Event, EventKind, Unit};
pub use facts::{Backend, Clock, End, EndReason, RecordingFacts, Scope};
pub use frame::{Frame, FrameId, FrameKind, FrameTable, NameSource, NoName};
pub use id::{
    CgroupId, EventId, LabelSetId, ModuleId, NodeId, Pid, ProcessId, StackId, ThreadId, Tid,
};
pub use ledger::{Cost, CpuLedger, DropCause, Ledger};
pub use module::{BuildId, BuildIdFrom, Module, ModuleKind, Segment};
pub use process::{Cgroup, Exit, LabelSet, Mapping, Process, Thread};
pub use slice::{Kept, KeptValue, REGISTER_PLACES, Slice, strip_signature};
pub use stack::{Node, Nodes, Stack, StackEnd, Stacks};
pub use symbol::{HostSymbol, SymbolFrom};
pub use tables::Tables;
pub use text::Text;
pub use timeline::{TimeCell, TimeGroup, TimeRow, Timeline};
