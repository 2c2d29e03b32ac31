//! From recordings to names, call trees, what changed, and pictures of it.
//!
//! The steps, each in the file of its name: `inputs` opens what both sides have with its `filter`s,
//! `import` one input (those that have names already join at the call tree: `given`), `collapse` sums the
//! samples that `keep` lets through by process and stack, `unwind` repairs the stacks, `addresses` gathers
//! what was hit, `prefetch` asks
//! servers for files, `locate` finds them (`kernel` the kernel's), `resolve` names each address once
//! (`cached_symbols` asks the files, or `symbol_cache` in their place), `stacks` makes a call tree of
//! it, `naming` and `modules` count what has names, `diff` compares two, `story` puts the difference
//! into words. `report`, `bill` (what missing names cost), `diff_report`, `fetched` and `caption` say
//! it, `export` to other tools; `run` does it all for a command line. `lookup` is the look-up on its own: `analyze symbolize
//! FILE`.
//!
//! ```no_run
//! use analyze::{Input, Locator, Question, Recording, Search, SymbolCache};
//! let inputs = [Input::from(Recording::open("run.arc".as_ref())?)];
//! let locator = Locator::new(Search::default());
//! let analysis =
//!     analyze::analyze(&inputs, &[], &Question::default(), &locator, &SymbolCache::none())?;
//! println!("{} CPU-seconds", analysis.total.weight as f64 / 1e9);
//! # Ok::<(), analyze::Error>(())
//! ```

mod account;
mod addresses;
mod analysis;
mod bill;
mod cached_symbols;
mod callers;
mod caption;
mod cli;
mod collapse;
mod comparable;
mod comparison;
mod diff;
mod diff_report;
mod error;
mod export;
mod fetched;
mod filter;
mod findings;
mod given;
mod group;
mod host_symbols;
mod import;
mod info;
mod inputs;
mod kallsyms;
mod keep;
mod kernel;
mod locate;
mod lookup;
mod measure;
mod modules;
mod naming;
mod open_in_browser;
mod output;
mod over_time;
mod passing;
mod paths;
mod placed;
mod plan;
mod prefetch;
mod processes;
mod protobuf;
mod provenance;
mod report;
mod resolve;
mod run;
mod sieve;
mod stacks;
mod story;
mod symbol_cache;
mod totals;
mod unwind;
mod wording;

pub use account::{Account, Spans};
pub use analysis::{Analysis, Input, ProcessUse, Question, Recorded, analyze};
pub use cached_symbols::{Answer, CachedSymbols, Names};
pub use callers::{Around, FunctionPattern, around, around_in_diff};
pub use cli::{Cli, Command, FilterOptions, Format, SymbolOptions, Symbolize};
pub use collapse::{Apart, Cell, Cells, Grid, SampleGroup, Sum, collapse};
pub use comparison::{Comparing, Comparison, FailOn, Gate};
pub use diff::{
    Capture, Change, Diff, Effect, FunctionChange, Judge, Label, SIGMAS, Scale, Side, Tested,
    UnitKind, Verdict, compare,
};
pub use error::Error;
pub use filter::{BadFilter, BadTime, Filter, InputPath, Pattern, Span};
pub use given::{Given, NamedInput};
pub use group::Grouping;
pub use import::{
    Named, NamedKind, NamedStack, Opened, PerfDataError, PprofError, Recording, TextError,
};
pub use keep::{Keep, LeftOut};
pub use locate::{
    Debuginfod, DebuginfodError, FetchOutcome, FileKind, Limits, Located, Locator, MappedFile,
    Missing, NotFetched, Origin, Reason, Search, Trust, Wanted,
};
pub use lookup::symbolize;
pub use measure::{Measure, Quantity};
pub use modules::{ModuleUse, Weight};
pub use naming::Naming;
pub use placed::{Line, Location, Placed, PlacedModule, PlacedStack};
pub use plan::{Destination, Output, Plan, View};
pub use run::{Outcome, run};
pub use sieve::Sieve;
pub use stacks::{Shape, Wholeness};
pub use story::{Story, tell};
pub use symbol_cache::SymbolCache;

/// The command line, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}
