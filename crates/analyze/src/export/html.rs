//! The report as one HTML page: what the summary or the comparison says, around all of the call tree.

use std::cmp::Ordering;

use profile::{Clock, FrameId};
use render::html::{
    self, FunctionVerdict, Judged, ModuleFacts, Provenance, Report, Subject, Times,
};

use crate::analysis::{Analysis, Recorded};
use crate::caption;
use crate::comparison::Comparison;
use crate::diff::{Change, Diff, FunctionChange};
use crate::diff_report::judged;
use crate::findings::findings;
use crate::over_time;
use crate::provenance;
use crate::report::figures;
use crate::resolve::short_name;

use super::json::verdict;

/// The page of a profile, or with `compared` of a comparison.
#[must_use]
pub fn page(analysis: &Analysis, compared: Option<&Comparison>, title: Option<&str>) -> String {
    let before = compared.map(|compared| &compared.before);
    let modules = modules(&[Some(analysis), before]);
    let Some(Comparison { before, diff, story, .. }) = compared else {
        let fitted = over_time::fitted(analysis.timeline.clone());
        let starts = starts_unix_ns(analysis);
        let times = fitted.as_ref().filter(|timeline| timeline.cells.len() > 1);
        let caption = caption::of_profile(analysis, title);
        return html::report(&Report {
            caption: &caption,
            findings: &findings(&analysis.tree, analysis.measure.quantity.noun()),
            subject: Subject::Profile {
                tree: &analysis.tree,
                times: times.map(|timeline| Times { timeline, starts_unix_ns: &starts }),
                sample_weight: analysis.period_ns,
            },
            provenance: &sources(analysis, ""),
            modules: &modules,
        });
    };
    let mut caption = caption::of_diff(before, analysis, diff, story, title);
    caption.subtitle.clone_from(&story.total);
    let findings: Vec<String> = story.culprit.iter().chain(&story.details).cloned().collect();
    let verdicts = verdicts(diff);
    let any =
        verdicts.iter().any(|function| function.own.is_change() || function.total.is_change());
    html::report(&Report {
        caption: &caption,
        findings: &findings,
        subject: Subject::Diff {
            tree: &diff.tree,
            verdicts: &verdicts,
            judged: &judged(diff, any),
        },
        provenance: &[sources(analysis, "New: "), sources(before, "Base: ")].concat(),
        modules: &modules,
    })
}

/// For each capture of the timeline, when its first cell begins.
fn starts_unix_ns(analysis: &Analysis) -> Vec<Option<u64>> {
    let first =
        |number: usize| analysis.timeline.cells.iter().find(|cell| cell.capture as usize == number);
    let start = |(number, recording): (usize, &Recorded)| {
        let clock = recording.facts.clock;
        let cell = first(number).filter(|_| clock != Clock::default())?;
        Some(clock.to_realtime_ns(cell.start_ns))
    };
    analysis.recordings.iter().enumerate().map(start).collect()
}

/// What became of every function, the largest changes first.
fn verdicts(diff: &Diff) -> Vec<FunctionVerdict> {
    let name = |frame: FrameId| {
        let frame = diff.tree.frames.get(frame);
        (&frame.name, &frame.module)
    };
    let order = |a: &&FunctionChange, b: &&FunctionChange| -> Ordering {
        let size = |change: Change| change.delta().abs();
        size(b.own)
            .total_cmp(&size(a.own))
            .then(size(b.total).total_cmp(&size(a.total)))
            .then_with(|| name(a.frame).cmp(&name(b.frame)))
    };
    let mut functions: Vec<&FunctionChange> = diff.functions.iter().collect();
    functions.sort_by(order);
    let part = |change: &Change| Judged {
        before: change.before,
        after: change.after,
        grade: change.grade,
        word: verdict(change),
        interval: change.effect.map(|effect| (effect.low, effect.high)),
    };
    let row = |function: &FunctionChange| FunctionVerdict {
        frame: function.frame,
        own: part(&function.own),
        total: part(&function.total),
        labels: function.labels.iter().map(|label| label.word()).collect(),
    };
    functions.into_iter().map(row).collect()
}

/// Where one side comes from. Files by their names only: a report is passed on.
fn sources(analysis: &Analysis, side: &str) -> Vec<Provenance> {
    let owned = |(label, text): provenance::Line| (label.to_owned(), text);
    let mut list: Vec<Provenance> = provenance::sources(analysis)
        .into_iter()
        .map(|source| {
            let name = source.path.file_name().unwrap_or(source.path.as_os_str());
            Provenance {
                heading: format!("{side}{}", name.to_string_lossy()),
                facts: source.facts.into_iter().chain(source.losses).map(owned).collect(),
            }
        })
        .collect();
    let mut facts: Vec<(String, String)> = figures(analysis).into_iter().map(owned).collect();
    facts.push(("Analyzed".into(), concat!("by analyze ", env!("CARGO_PKG_VERSION")).into()));
    list.push(Provenance { heading: format!("{side}all together"), facts });
    list
}

/// Build-ids of all modules that have one.
fn modules(sides: &[Option<&Analysis>]) -> Vec<ModuleFacts> {
    let mut list: Vec<ModuleFacts> = sides
        .iter()
        .flatten()
        .flat_map(|analysis| &analysis.modules)
        .filter(|row| !row.module.build_id.is_empty())
        .map(|row| ModuleFacts {
            name: short_name(&row.module),
            build_id: row.module.build_id.to_string(),
        })
        .collect();
    list.sort();
    list.dedup();
    list
}
