//! Records where programs spend their CPU time, with the least work on the host: addresses, mappings
//! and build-ids go into an archive; names come later, somewhere else.
//!
//! The way of a sample, by file: `bpf/sample.bpf.c` takes it at a tick of a perf event (`events`,
//! `perf_event`) and puts it into a ring buffer (`ring`); `pending` orders it among the kernel's
//! side-band records (`sideband`); `decode` takes it apart; `process` knows what was mapped where at
//! that time (`maps`, `mapped_file`); `recorder` turns a new stack into trie nodes (`intern`, `rows`,
//! `kernel`, `kernel_names`) and feeds [`archive::Writer`]. `jit_names` has run-time code named from
//! its process's perf-PID.map (`perf_map_file` opens it, `perf_map_search` and `perf_map` read it).
//! `start`, `run`, `session` and `summary` are the recording as a whole.
#![deny(clippy::print_stderr)] // it panics when standard error is gone: narrate instead

mod bpf;
mod bpf_call;
mod bpf_object;
mod btf;
mod decode;
mod elf_facts;
mod embedding;
mod error;
mod events;
mod frame_pointers;
mod go_frames;
mod go_programs;
mod go_runtime;
mod host;
mod idle_time;
mod intern;
mod jit_names;
mod jit_search;
mod jit_summary;
mod kallsyms;
mod kernel;
mod kernel_names;
mod launch;
mod lines;
mod mapped_file;
mod maps;
mod mask;
mod narrate;
mod open_mapped;
mod options;
mod output;
mod pending;
mod perf_event;
pub mod perf_map;
mod perf_map_file;
pub mod perf_map_search;
mod process;
mod procfs;
mod record;
mod recorder;
mod ring;
mod roots;
mod rows;
mod run;
mod session;
mod shared_memory;
mod sideband;
mod start;
mod start_code;
mod summary;
mod untrusted_file;
mod unwind_image;
mod wait;
mod world;

pub use bpf_object::ObjectError;
pub use error::Error;
pub use narrate::narrate;
pub use options::Options;
pub use run::run;

/// The command line's definition, for man pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}
