//! The bill for missing symbols: which modules lack names, what that costs, and what would bring them.
//!
//! A second, shorter list holds modules whose names come from symbol tables alone: what was inlined
//! there is not seen, and there are no lines.

mod commands;
mod print;
mod run_time_code;

use std::collections::BTreeMap;

use profile::{BuildId, ModuleKind, NameSource, NoName, Text};

use crate::addresses::tells_builds_apart;
use crate::analysis::Analysis;
use crate::locate::recorded_id;
use crate::modules::{ModuleUse, Weight};
use run_time_code::Runtime;

pub use print::write;

/// Modules with names but no lines are listed from this part of the CPU time on: one in twenty.
const MATTERS: u64 = 20;

/// One line of the bill.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// CPU time in code without a name, or (see [`Why::NoLines`]) without lines.
    pub weight: Weight,
    /// Where the file was on the recorded host; of run-time code whose it is.
    pub path: Text,
    /// The recorded host.
    pub host: Text,
    /// Its kernel's version.
    pub kernel_release: Text,
    /// GNU build-id; may be empty.
    pub build_id: BuildId,
    /// What is missing.
    pub why: Why,
}

/// Why a module lacks names, and hence what would bring them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Why {
    /// The file is not here.
    NotHere,
    /// A file of that name is here, but it is another build.
    OtherBuild,
    /// The file is here but was stripped: its debug file is wanted.
    Stripped,
    /// The file was deleted on the host, so it cannot be copied from its path.
    Deleted,
    /// Neither build-id nor size nor segments were recorded: no file could be told to be the right one.
    Unknown,
    /// Code made at run time, of which no map was found.
    RunTimeCode(Runtime),
    /// The kernel hid its names from the recorder.
    Hidden,
    /// The kernel's names were not recorded, and no copy of them is here.
    NotCopied,
    /// Nothing is known that would help.
    Nameless(NoName),
    /// There are names, by a symbol table, but no debug information.
    NoLines(NameSource),
    /// The same of the kernel.
    NoKernelLines,
}

impl Why {
    /// For people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::NotHere => "not here",
            Self::OtherBuild => "another build is here",
            Self::Stripped => "stripped",
            Self::Deleted => "deleted on the host",
            Self::Unknown => "build not recorded",
            Self::RunTimeCode(_) => "made at run time",
            Self::Hidden => "hidden by the kernel",
            Self::NotCopied => "not recorded",
            Self::Nameless(reason) => reason.describe(),
            Self::NoLines(source) => source.describe(),
            Self::NoKernelLines => "kallsyms",
        }
    }
}

/// Modules that lack names, the one that costs most first. What several recordings lack is one item.
#[must_use]
pub fn nameless(analysis: &Analysis) -> Vec<Item> {
    let lacking = analysis.modules.iter().filter(|module| module.nameless.total > 0);
    merged(analysis, lacking.map(|module| (module, module.nameless, why_nameless(module))))
}

/// Modules with names but no lines that matter and are not on the first list, in the same order.
#[must_use]
pub fn without_lines(analysis: &Analysis, nameless: &[Item]) -> Vec<Item> {
    let without = |module: &&ModuleUse| module.weight.self_weight > 0;
    let rows = analysis.modules.iter().filter(without);
    let mut items = merged(
        analysis,
        rows.filter_map(|module| Some((module, module.weight, why_no_lines(module)?))),
    );
    items.retain(|item| {
        let matters = item.weight.self_weight >= analysis.total.weight / MATTERS;
        let is_same = |other: &Item| {
            (&other.path, &other.host, other.build_id) == (&item.path, &item.host, item.build_id)
        };
        matters && !nameless.iter().any(|other| other.why == Why::Stripped && is_same(other))
    });
    items
}

fn merged<'a>(
    analysis: &Analysis,
    rows: impl Iterator<Item = (&'a ModuleUse, Weight, Why)>,
) -> Vec<Item> {
    let mut items: BTreeMap<(Text, Text, BuildId, Why), Item> = BTreeMap::new();
    for (module, weight, why) in rows {
        let facts = &analysis.recordings[module.recording].facts;
        let item = Item {
            weight,
            path: module.made_by.clone().unwrap_or_else(|| module.module.path.clone()),
            host: facts.host.clone(),
            kernel_release: facts.kernel_release.clone(),
            build_id: recorded_id(&module.module),
            why,
        };
        items
            .entry((item.host.clone(), item.path.clone(), item.build_id, why))
            .and_modify(|known| known.weight = known.weight.plus(item.weight))
            .or_insert(item);
    }
    let mut items: Vec<Item> = items.into_values().collect();
    items.sort_by_key(|item| std::cmp::Reverse((item.weight.total, item.weight.self_weight)));
    items
}

fn why_nameless(module: &ModuleUse) -> Why {
    let reason = module.reason.unwrap_or(NoName::OutOfRange);
    match (module.module.kind, reason) {
        (ModuleKind::File, NoName::NoFile) if !tells_builds_apart(&module.module) => Why::Unknown,
        (ModuleKind::File, NoName::NoFile | NoName::BuildIdMismatch) if module.module.deleted => {
            Why::Deleted
        }
        (ModuleKind::File, NoName::BuildIdMismatch) => Why::OtherBuild,
        (ModuleKind::File, NoName::NoFile) => Why::NotHere,
        (ModuleKind::File, NoName::NoSymbols) => Why::Stripped,
        // Beyond what it exports: gcc's own compiler exports a part of its functions, and a third of
        // its time was in others.
        (ModuleKind::File, NoName::OutOfRange) if module.stripped => Why::Stripped,
        (ModuleKind::Anon, NoName::Anonymous) => {
            Why::RunTimeCode(Runtime::of(module.made_by.as_ref()))
        }
        (_, NoName::KernelHidden) => Why::Hidden,
        (ModuleKind::Kernel | ModuleKind::KernelModule, NoName::NoFile) => Why::NotCopied,
        _ => Why::Nameless(reason),
    }
}

/// `None`: it has lines, or nothing is known that would bring them.
fn why_no_lines(module: &ModuleUse) -> Option<Why> {
    let by_table = |source: &NameSource| {
        matches!(
            source,
            NameSource::Symtab | NameSource::Dynsym | NameSource::MiniDebug | NameSource::Kallsyms
        )
    };
    let first = module.sources.iter().find(|source| by_table(source))?;
    if !module.sources.iter().all(by_table) || recorded_id(&module.module).is_empty() {
        return None;
    }
    match module.module.kind {
        ModuleKind::File => Some(Why::NoLines(*first)),
        ModuleKind::Kernel => Some(Why::NoKernelLines),
        _ => None,
    }
}
