//! From recordings to names, call trees, what changed, and pictures of it.
//!
//! The steps, each in the file of its name: `import` opens an input (those that have names already join
//! at the call tree: `given`), `collapse` sums its samples
//! by process and stack, `unwind` repairs the stacks, `addresses` gathers what was hit, `prefetch` asks
//! servers for files, `locate` finds them (`kernel` the kernel's), `resolve` names each address once
//! (`cached_symbols` asks the files, or `symbol_cache` in their place), `stacks` makes a call tree of
//! it, `naming` and `modules` count what has names, `diff` compares two, `story` puts the difference
//! into words. `report`, `bill` (what missing names cost), `diff_report`, `fetched` and `caption` say
//! it; `run` does it all for a command line. `lookup` is the look-up on its own: `analyze symbolize
//! FILE`.
//!
//! ```no_run
//! use analyze::{Filter, Locator, Recording, Search, Shape, SymbolCache};
//! let recording = Recording::open("run.arc".as_ref())?;
//! let locator = Locator::new(Search::default());
//! let (filter, shape, cache) = (Filter::default(), Shape::default(), SymbolCache::none());
//! let analysis = analyze::analyze(&[recording], &[], &filter, shape, &locator, &cache)?;
//! println!("{} CPU-seconds", analysis.total.weight as f64 / 1e9);
//! # Ok::<(), analyze::Error>(())
//! ```

mod account;
mod addresses;
mod analysis;
mod bill;
mod cached_symbols;
mod caption;
mod cli;
mod collapse;
mod diff;
mod diff_report;
mod error;
mod fetched;
mod given;
mod host_symbols;
mod import;
mod info;
mod kallsyms;
mod kernel;
mod locate;
mod lookup;
mod measure;
mod modules;
mod naming;
mod output;
mod passing;
mod paths;
mod plan;
mod prefetch;
mod processes;
mod protobuf;
mod provenance;
mod report;
mod resolve;
mod run;
mod stacks;
mod story;
mod symbol_cache;
mod unwind;
mod wording;

pub use account::{Account, Spans};
pub use analysis::{Analysis, ProcessUse, Recorded, analyze};
pub use cached_symbols::{Answer, CachedSymbols, Names};
pub use cli::{Cli, Command, Format, SymbolOptions, Symbolize};
pub use collapse::{Cell, Cells, Keep, Sum, collapse};
pub use diff::{Change, Diff, FunctionChange, SIGMAS, Scale, Side, compare};
pub use error::Error;
pub use given::Given;
pub use import::{
    Input, Named, NamedKind, NamedStack, PerfDataError, PprofError, Recording, TextError,
};
pub use locate::{
    Debuginfod, DebuginfodError, FetchOutcome, FileKind, Limits, Located, Locator, MappedFile,
    Missing, NotFetched, Origin, Reason, Search, Trust, Wanted,
};
pub use lookup::symbolize;
pub use measure::{Measure, Quantity};
pub use modules::{ModuleUse, Weight};
pub use naming::Naming;
pub use plan::{Destination, Filter, Output, Plan, View};
pub use run::{Outcome, run};
pub use stacks::{Shape, Wholeness};
pub use story::{Story, tell};
pub use symbol_cache::SymbolCache;

/// The command line, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}
