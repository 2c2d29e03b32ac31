//! What ran in each module, and how well that could be named.

use std::collections::{BTreeMap, BTreeSet};

use profile::{Module, ModuleKind, NameSource, NoName, Text};

use crate::addresses::{Addresses, Group};
use crate::analysis::Input;
use crate::kernel::Refused;
use crate::locate::Trust;
use crate::resolve::{Resolution, short_name};
use crate::stacks::{Chain, Wholeness};

/// CPU time in a module's code.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Weight {
    /// In the code itself.
    pub self_weight: u64,
    /// With all it called: of stacks that it is on, each once.
    pub total: u64,
}

impl Weight {
    /// Both together, of different stacks.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            self_weight: self.self_weight.saturating_add(other.self_weight),
            total: self.total.saturating_add(other.total),
        }
    }
}

/// CPU time of one group of addresses.
#[derive(Clone, Copy, Default, Debug)]
pub struct GroupWeight {
    all: Weight,
    nameless: Weight,
    mendable: u64,
}

/// A module and how well it could be named.
#[derive(Clone, Debug)]
pub struct ModuleUse {
    /// The module.
    pub module: Module,
    /// The first recording it is in.
    pub recording: usize,
    /// Of run-time code: the executable of the process that made it.
    pub made_by: Option<Text>,
    /// CPU time in it.
    pub weight: Weight,
    /// CPU time in its code that has no name.
    pub nameless: Weight,
    /// CPU time of stacks that its file would let be unwound further.
    pub mendable_weight: u64,
    /// Why names are missing, where any are; of several reasons that of most addresses.
    pub reason: Option<NoName>,
    /// Who gave the names that there are.
    pub sources: BTreeSet<NameSource>,
    /// How sure it is that the file found is the one that ran; `None` without a file.
    pub trust: Option<Trust>,
    /// Whether the files found name no more than what they export.
    pub stripped: bool,
    /// A file that is not used for it, and why (the kernel's).
    pub refused: Option<Refused>,
}

/// Adds a stack's weight to the modules on it.
pub fn add(groups: &mut [GroupWeight], chain: &Chain, weight: u64) {
    if let (Some(group), true) = (chain.cause, chain.mendable) {
        groups[group as usize].mendable += weight;
    }
    for (position, (group, nameless)) in chain.groups.iter().enumerate() {
        let sums = &mut groups[*group as usize];
        sums.all.total += weight;
        if *nameless {
            sums.nameless.total += weight;
        }
        if chain.leaf_group == Some(position) {
            sums.all.self_weight += weight;
            if chain.leaf.is_err() {
                sums.nameless.self_weight += weight;
            }
        }
    }
}

/// The modules of all groups, the one that lacks most names first.
#[must_use]
pub fn rows(
    weights: &[GroupWeight],
    inputs: &[Input],
    addresses: &Addresses,
    resolution: &Resolution,
    source: impl Fn(profile::FrameId) -> NameSource,
) -> Vec<ModuleUse> {
    let mut reasons = vec![BTreeMap::<NoName, u64>::new(); addresses.groups.len()];
    let mut sources = vec![BTreeSet::new(); addresses.groups.len()];
    for row in &resolution.rows {
        let group = row.group as usize;
        match row.no_name {
            Some(reason) => *reasons[group].entry(reason).or_default() += 1,
            None => sources[group].extend(row.frames.iter().map(|frame| source(*frame))),
        }
    }
    let mut rows: Vec<ModuleUse> = Vec::new();
    for (index, group) in addresses.groups.iter().enumerate() {
        let Some(module) = &group.module else { continue };
        let files = &resolution.files[index];
        let located = files.located.as_ref().and_then(|located| located.as_ref().ok());
        let reason = reasons[index].iter().max_by_key(|(_, count)| **count);
        rows.push(ModuleUse {
            module: module.clone(),
            recording: group.recording,
            made_by: made_by(group, module, inputs),
            weight: weights[index].all,
            nameless: weights[index].nameless,
            mendable_weight: weights[index].mendable,
            reason: reason.map(|(reason, _)| *reason),
            sources: std::mem::take(&mut sources[index]),
            trust: located.map(|l| if group.assumed { Trust::Unverified } else { l.trust }),
            stripped: located.is_some_and(|l| l.stripped),
            refused: files.refused.clone(),
        });
    }
    rows.sort_by_key(|row| std::cmp::Reverse((row.nameless.total, row.nameless.self_weight)));
    rows
}

/// CPU time of stacks of which not all is there, by cause and module. Modules of several recordings
/// that have one name are one cause.
#[must_use]
pub fn lacking(
    groups: &BTreeMap<(Wholeness, u32), u64>,
    addresses: &Addresses,
) -> BTreeMap<(Wholeness, String), u64> {
    let mut rows = BTreeMap::new();
    for ((wholeness, group), weight) in groups {
        let module = &addresses.groups[*group as usize].module;
        let name = module.as_ref().map_or_else(|| "code in no known mapping".into(), short_name);
        *rows.entry((*wholeness, name)).or_default() += weight;
    }
    rows
}

fn made_by(group: &Group, module: &Module, inputs: &[Input]) -> Option<Text> {
    if module.kind != ModuleKind::Anon {
        return None;
    }
    let tables = inputs[group.recording].recording.tables();
    let process = tables.process(module.process)?;
    Some(tables.module(process.exe).map_or_else(|| process.argv0.clone(), |exe| exe.path.clone()))
}
