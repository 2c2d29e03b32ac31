//! Does what the plan says: reads, analyzes, compares, writes.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::io::IsTerminal;

use profile::{CallTree, EventId, Warning};
use render::safe_text::clean;
use render::terminal::{TableOptions, call_tree, diff_tree};

use crate::account::Account;
use crate::analysis::{Analysis, Input, analyze};
use crate::callers::{around, around_in_diff};
use crate::collapse::{Apart, collapse};
use crate::comparison::{Comparison, Gate};
use crate::import::Recording;
use crate::inputs::{self, Inputs};
use crate::keep::Keep;
use crate::locate::Locator;
use crate::placed::Placed;
use crate::plan::{Destination, Output, Plan, View};
use crate::symbol_cache::SymbolCache;
use crate::{
    Error, caption, diff_report, export, info, open_in_browser, output, provenance, report,
};

/// How it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Everything that was recorded was there.
    Complete,
    /// Some input lacked something; what was there was analyzed.
    Incomplete,
    /// Something regressed, and that was to fail.
    Regression,
    /// Whether something regressed cannot be told, and that was to fail.
    Inconclusive,
}

/// Does everything a plan asks for.
///
/// # Errors
/// When no input can be read, or an output cannot be written. Inputs that cannot be read beside others
/// that can are named on stderr, and make the outcome incomplete.
pub fn run(plan: &Plan) -> Result<Outcome, Error> {
    let open = |paths| Inputs::open(paths, &plan.filter);
    let (new, base) = rayon::join(|| open(&plan.inputs), || open(&plan.bases));
    let mut job = Job { plan, new: new?, base: base?, results: OnceCell::new() };
    inputs::resolve_times(&mut job.new, &mut job.base)?;
    for output in &plan.outputs {
        let content = job.view(output)?;
        match &output.to {
            Destination::Stdout => output::print(&content)?,
            Destination::File(path) => {
                output::replace(path, &content)?;
                eprintln!("wrote {}", clean(&path.display().to_string()));
                if plan.open && matches!(output.view, View::Svg | View::Html) {
                    open_in_browser::open(path)?;
                }
            }
        }
    }
    job.outcome()
}

/// What `--info` does not need.
struct Results {
    after: Analysis,
    compared: Option<Comparison>,
}

impl Results {
    fn new(plan: &Plan, new: &Inputs, base: &Inputs) -> Result<Self, Error> {
        let locator = Locator::new(plan.search.clone());
        let cache = symbol_cache(plan);
        let of = |inputs| analyzed(inputs, plan, &locator, &cache);
        if plan.bases.is_empty() {
            return Ok(Self { after: of(new)?, compared: None });
        }
        // Recordings mostly need the same names: the second side finds them known.
        let (after, before) = match new.list.is_empty() || base.list.is_empty() {
            true => rayon::join(|| of(new), || of(base)),
            false => (of(new), of(base)),
        };
        let after = after?;
        let compared = Comparison::new(before?, &after, &plan.comparing)?;
        Ok(Self { after, compared: Some(compared) })
    }

    /// Warnings of all inputs, those about missing input first.
    fn warnings(&self) -> Vec<Warning> {
        let before = self.compared.as_ref().map(|c| &c.before);
        provenance::warnings_of_both(&self.after, before)
    }
}

fn analyzed(
    inputs: &Inputs,
    plan: &Plan,
    locator: &Locator,
    cache: &SymbolCache,
) -> Result<Analysis, Error> {
    let mut analysis = analyze(&inputs.list, &inputs.named, &plan.question, locator, cache)?;
    analysis.left_out.clone_from(&inputs.left_out);
    Ok(analysis)
}

fn symbol_cache(plan: &Plan) -> SymbolCache {
    if plan.cache { SymbolCache::of_user() } else { SymbolCache::none() }
}

struct Job<'a> {
    plan: &'a Plan,
    new: Inputs,
    base: Inputs,
    results: OnceCell<Results>,
}

impl Job<'_> {
    fn outcome(&self) -> Result<Outcome, Error> {
        if self.is_incomplete() && self.plan.strict {
            return Ok(Outcome::Incomplete);
        }
        if let Some(fail_on) = self.plan.comparing.fail_on
            && let Some(compared) = &self.results()?.compared
        {
            match compared.gate(fail_on) {
                Gate::Passed => {}
                Gate::Regression => return Ok(Outcome::Regression),
                Gate::Inconclusive => {
                    eprintln!("analyze: {}", clean(&compared.why_inconclusive()));
                    return Ok(Outcome::Inconclusive);
                }
            }
        }
        Ok(if self.is_incomplete() { Outcome::Incomplete } else { Outcome::Complete })
    }

    fn is_incomplete(&self) -> bool {
        match self.results.get() {
            Some(results) => results.warnings().iter().any(|w| w.incomplete),
            None => self.sides().any(|side| {
                let lacks = |input: &Input| !input.recording.damage().complete;
                !side.left_out.is_empty()
                    || side.list.iter().any(lacks)
                    || side.named.iter().any(|input| !input.named.statements.is_empty())
            }),
        }
    }

    fn sides(&self) -> impl Iterator<Item = &Inputs> {
        [&self.new, &self.base].into_iter()
    }

    fn results(&self) -> Result<&Results, Error> {
        if let Some(results) = self.results.get() {
            return Ok(results);
        }
        let results = Results::new(self.plan, &self.new, &self.base)?;
        for warning in results.warnings().iter().filter(|w| w.incomplete) {
            eprintln!("{}", clean(&warning.text));
        }
        Ok(self.results.get_or_init(|| results))
    }

    fn view(&mut self, output: &Output) -> Result<Vec<u8>, Error> {
        match output.view {
            View::Info => Ok(self.info()),
            View::Summary => self.summary(&output.to),
            View::Top(rows) => self.top(rows, &output.to),
            View::Tree => self.tree(&output.to),
            View::Callers => self.callers(&output.to),
            View::Svg => self.svg(),
            View::Folded => self.folded(),
            View::Pprof => return self.pprof(),
            View::Html | View::Json | View::Csv | View::Markdown => self.exported(output.view),
        }
        .map(String::into_bytes)
    }

    fn exported(&self, view: View) -> Result<String, Error> {
        let results = self.results()?;
        let (after, compared) = (&results.after, results.compared.as_ref());
        Ok(match view {
            View::Html => export::html::page(after, compared, self.plan.title.as_deref()),
            View::Json => export::json::document(after, compared),
            View::Csv => export::csv::table(after, compared),
            _ => export::markdown::document(after, compared, self.plan.title.as_deref()),
        })
    }

    fn pprof(&self) -> Result<Vec<u8>, Error> {
        let after = &self.results()?.after;
        let nothing = Placed::default();
        Ok(export::pprof::profile(after, after.placed.as_ref().unwrap_or(&nothing)))
    }

    fn info(&self) -> String {
        // Of this machine and not of the recordings, so it is no part of the result.
        eprintln!("{}", clean(&symbol_cache(self.plan).describe()));
        let recordings = self.sides().flat_map(|side| &side.list).map(|input| &input.recording);
        let recordings = recordings.map(|r| info::info(r, &account(r)));
        let named = self.sides().flat_map(|side| &side.named);
        let named = named.map(|input| info::of_named(&input.named));
        recordings.chain(named).collect::<Vec<String>>().join("\n")
    }

    fn summary(&self, to: &Destination) -> Result<String, Error> {
        let results = self.results()?;
        let table = table_options(to);
        Ok(match &results.compared {
            None => report::summary(&results.after, &input_names(self.plan), &table),
            Some(c) => {
                diff_report::diff_report(&c.before, &results.after, &c.diff, &c.story, &table)
            }
        })
    }

    fn top(&self, rows: usize, to: &Destination) -> Result<String, Error> {
        let results = self.results()?;
        let table = TableOptions { rows, ..table_options(to) };
        let mut out = String::new();
        report::warnings(&mut out, &results.warnings(), true);
        match &results.compared {
            None => report::functions(&mut out, &results.after, &table),
            Some(c) => diff_report::functions(&mut out, &c.diff, &table),
        }
        Ok(out)
    }

    fn tree(&self, to: &Destination) -> Result<String, Error> {
        let results = self.results()?;
        let table = TableOptions { rows: TREE_ROWS, ..table_options(to) };
        let mut out = String::new();
        report::warnings(&mut out, &results.warnings(), true);
        out.push_str(&match &results.compared {
            None => {
                let caption = caption::of_profile(&results.after, None);
                call_tree(&results.after.tree, &caption, &table)
            }
            Some(c) => diff_tree(&c.diff.tree, &table),
        });
        Ok(out)
    }

    fn callers(&self, to: &Destination) -> Result<String, Error> {
        let Some(wanted) = &self.plan.callers_of else { return Ok(String::new()) };
        let results = self.results()?;
        let table = TableOptions { rows: TREE_ROWS, ..table_options(to) };
        let mut out = String::new();
        report::warnings(&mut out, &results.warnings(), true);
        let (name, callers, callees) = match &results.compared {
            None => {
                let around = around(&results.after.tree, wanted)?;
                let caption = caption::of_profile(&results.after, None);
                let text = |tree| call_tree(tree, &caption, &table);
                (around.name, text(&around.callers), text(&around.callees))
            }
            Some(c) => {
                let around = around_in_diff(&c.diff.tree, wanted)?;
                let text = |tree| diff_tree(tree, &table);
                (around.name, text(&around.callers), text(&around.callees))
            }
        };
        let name = clean(&name);
        out.push_str(&format!("Callers of {name}, below each of them its own\n{callers}\n"));
        out.push_str(&format!("What {name} calls\n{callees}"));
        Ok(out)
    }

    fn svg(&self) -> Result<String, Error> {
        let results = self.results()?;
        let title = self.plan.title.as_deref();
        let options = &self.plan.picture;
        Ok(match &results.compared {
            None => {
                let caption = caption::of_profile(&results.after, title);
                let tree = self.shown_tree(&results.after);
                render::svg::flamegraph(&tree, &caption, options)
            }
            Some(c) => {
                let caption = caption::of_diff(&c.before, &results.after, &c.diff, &c.story, title);
                let tree = match self.plan.inverted {
                    true => Cow::Owned(c.inverted(&results.after)),
                    false => Cow::Borrowed(&c.diff.tree),
                };
                render::svg::diff_flamegraph(&tree, &caption, options)
            }
        })
    }

    fn shown_tree<'t>(&self, analysis: &'t Analysis) -> Cow<'t, CallTree> {
        match self.plan.inverted {
            true => Cow::Owned(analysis.tree.inverted().0),
            false => Cow::Borrowed(&analysis.tree),
        }
    }

    fn folded(&self) -> Result<String, Error> {
        let mut folded = Vec::new();
        let failed = |source| Error::Write { path: "folded stacks".into(), source };
        let tree = self.shown_tree(&self.results()?.after);
        render::folded::write(&tree, &mut folded).map_err(failed)?;
        Ok(String::from_utf8_lossy(&folded).into_owned())
    }
}

/// What the blocks of a recording say, without its samples being named.
fn account(recording: &Recording) -> Account {
    let nothing = Keep::only(recording.tables(), |_, _| false);
    collapse(recording, EventId::NONE, &nothing, &Apart::default()).account
}

/// How the inputs were given, for a command to repeat.
fn input_names(plan: &Plan) -> Vec<String> {
    plan.inputs.iter().map(|input| input.path.display().to_string()).collect()
}

/// Call paths that a tree shows at most.
const TREE_ROWS: usize = 100;

/// Width of tables where no terminal sets one.
const FILE_WIDTH: usize = 120;

/// Colours only where somebody looks, and only if they are wanted (<https://no-color.org>).
fn table_options(to: &Destination) -> TableOptions {
    let default = TableOptions::default();
    let terminal = *to == Destination::Stdout && std::io::stdout().is_terminal();
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let width = terminal_size::terminal_size_of(std::io::stdout())
        .map(|(terminal_size::Width(columns), _)| usize::from(columns));
    TableOptions {
        color: terminal && wanted,
        width: width.filter(|_| terminal).unwrap_or(FILE_WIDTH),
        ..default
    }
}
