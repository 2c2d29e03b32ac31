//! From recordings to names, call trees, what changed, and pictures of it.
//!
//! The steps, each in the file of its name: `import` opens a recording, `collapse` sums its samples
//! by process and stack, `unwind` repairs the stacks, `addresses` gathers what was hit, `locate` finds the files, `resolve` names
//! each address once, `stacks` makes a call tree of it, `diff` compares two, `story` puts the
//! difference into words. `report`, `diff_report` and `caption` say it; `run` does it all for a
//! command line.
//!
//! ```no_run
//! use analyze::{Filter, Locator, Recording, Search, Shape};
//! let recording = Recording::open("run.arc".as_ref())?;
//! let locator = Locator::new(Search::default());
//! let analysis =
//!     analyze::analyze(&[recording], &Filter::default(), Shape::default(), &locator)?;
//! println!("{} CPU-seconds", analysis.total.weight as f64 / 1e9);
//! # Ok::<(), analyze::Error>(())
//! ```

mod account;
mod addresses;
mod analysis;
mod bring;
mod caption;
mod cli;
mod collapse;
mod diff;
mod diff_report;
mod error;
mod host_symbols;
mod import;
mod info;
mod locate;
mod output;
mod passing;
mod paths;
mod plan;
mod processes;
mod provenance;
mod report;
mod resolve;
mod run;
mod stacks;
mod story;
mod unwind;
mod wording;

pub use account::{Account, Spans};
pub use analysis::{Analysis, ModuleUse, ProcessUse, Recorded, analyze};
pub use cli::{Cli, Format};
pub use collapse::{Cell, Cells, Keep, Sum, collapse};
pub use diff::{Change, Diff, FunctionChange, SIGMAS, Scale, Side, compare};
pub use error::Error;
pub use import::Recording;
pub use locate::{Located, Locator, MappedFile, Missing, Search, Trust};
pub use plan::{Destination, Filter, Output, Plan, View};
pub use run::{Outcome, run};
pub use stacks::{Shape, Wholeness};
pub use story::{Story, tell};

/// The command line, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}
