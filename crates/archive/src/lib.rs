//! Reads and writes `.arc` archives; the only crate that knows their bytes (`arc.proto` beside this
//! source describes them field by field).
//!
//! [`Writer`] appends and never seeks. [`Archive`] reads what is whole of a file, however it was cut off
//! or damaged, and says in [`Damage`] what is missing, in whole numbers.
//!
//! ```
//! use archive::{Archive, Flush, Limits, Sample, Writer};
//! use profile::*;
//! use rayon::iter::ParallelIterator;
//!
//! # fn main() -> Result<(), archive::Error> {
//! # let facts = RecordingFacts {
//! #     recording_id: [7; 16], segment: 0, host: "web1".into(), boot_id: "".into(),
//! #     kernel_release: "6.1".into(), arch: "x86_64".into(), cpus_online: 2, page_bytes: 4096,
//! #     tool_version: "0.1.0".into(), backend: Backend::Bpf, backend_reason: "".into(),
//! #     scope: Scope::PerCpuAll, target_pids: vec![], target_cgroup: "".into(), launched: false,
//! #     events: vec![Event { name: "cpu-clock".into(), unit: Unit::Ns, kind: EventKind::OnCpu,
//! #         period: 10_000_000, asked_for: "".into(), fallback_reason: "".into() }],
//! #     clock: Clock::default(), max_stack: 127, unwind_regs: vec![],
//! # };
//! let mut writer = Writer::new(Vec::new(), &facts, Limits::default())?;
//! let module = writer.module(&Module::new(ModuleKind::File, "/usr/bin/server"));
//! let main = writer.node(Node { parent: NodeId::NONE, module, address: 0x1200 });
//! let stack = writer.stack(Stack { user: main, kernel: NodeId::NONE, goroutine: NodeId::NONE, end: StackEnd::Complete });
//! for time_ns in [10_000_000, 20_000_100] {
//!     writer.sample(&Sample { event: EventId(1), time_ns, stack, ..Sample::default() });
//! }
//! let flush = Flush {
//!     covered_from_ns: 0, covered_to_ns: 1_000_000_000, clock: Clock::default(),
//!     ledger: &[], cost: None, sideband_lost: 0,
//! };
//! let end = End {
//!     reason: EndReason::Duration, at_ns: 1_000_000_000, command_status: 0, detail: "".into(),
//! };
//! let bytes = writer.finish(&flush, &end)?;
//!
//! let archive = Archive::from_bytes(bytes)?;
//! let weight: u64 = archive
//!     .data_blocks()
//!     .map(|block| {
//!         let mut weight = 0;
//!         if let Ok(block) = block {
//!             block.for_each_sample(|sample| weight += sample.weight.unwrap_or(0));
//!         }
//!         weight
//!     })
//!     .sum();
//! assert_eq!(weight, 20_000_000);
//! assert!(archive.damage().complete);
//! assert_eq!(archive.tables().modules[0].path.file_name(), "server");
//! # Ok(())
//! # }
//! ```

mod book;
mod damage;
mod data;
mod definitions;
mod embed;
mod error;
mod facts;
mod fields;
#[cfg(test)]
mod forged;
mod frames;
mod header;
mod ids;
mod index;
mod inflate;
mod limits;
mod pending;
mod reader;
mod rows;
mod scan;
#[allow(dead_code)] // messages that later issues write
mod schema;
mod slices;
mod source;
mod unify;
mod writer;

pub use damage::{Damage, LostBlock, LostSamples};
pub use data::DataBlock;
pub use error::Error;
pub use header::FORMAT;
pub use inflate::LostReason;
pub use limits::Limits;
pub use reader::Archive;
pub use slices::SliceBlock;
pub use writer::{Flush, Sample, Writer};
