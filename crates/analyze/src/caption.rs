//! The words around a picture.

use profile::Caption;

use crate::analysis::Analysis;
use crate::diff::Diff;
use crate::provenance;
use crate::story::Story;
use crate::wording::{counted, number, seconds};

/// Weight of one unit in captions: nanoseconds to seconds.
const NS_PER_SECOND: u64 = 1_000_000_000;

/// Around the picture of one or more merged recordings.
#[must_use]
pub fn of_profile(analysis: &Analysis, title: Option<&str>) -> Caption {
    let total = analysis.total;
    let mut warnings = provenance::warnings(analysis);
    warnings.extend(provenance::nameless(analysis));
    Caption {
        title: title.map_or_else(|| format!("CPU time: {}", names(analysis)), str::to_owned),
        subtitle: format!(
            "{} cores: {} CPU-seconds in {} s, {}",
            number(analysis.cores(total.weight)),
            seconds(total.weight),
            seconds(analysis.observed_ns),
            counted(total.samples, "sample")
        ),
        warnings,
        footer: footer(analysis, ""),
        unit: "CPU-seconds",
        weight_per_unit: NS_PER_SECOND,
    }
}

/// Around the picture of a comparison.
#[must_use]
pub fn of_diff(
    before: &Analysis,
    after: &Analysis,
    diff: &Diff,
    story: &Story,
    title: Option<&str>,
) -> Caption {
    let title = title.map_or_else(
        || format!("Change in {}: {} → {}", diff.scale.unit(), names(before), names(after)),
        str::to_owned,
    );
    let mut footer_lines = footer(after, "New: ");
    footer_lines.extend(footer(before, "Base: "));
    Caption {
        title,
        subtitle: story.culprit.clone().unwrap_or_else(|| story.total.clone()),
        warnings: provenance::warnings_of_both(after, Some(before)),
        footer: footer_lines,
        unit: diff.scale.unit(),
        weight_per_unit: 1,
    }
}

/// What the inputs are called: the file, or how many.
#[must_use]
pub fn names(analysis: &Analysis) -> String {
    match analysis.recordings.as_slice() {
        [one] => {
            one.path.file_name().unwrap_or(one.path.as_os_str()).to_string_lossy().into_owned()
        }
        several => format!("{} recordings", several.len()),
    }
}

fn footer(analysis: &Analysis, side: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for recording in &analysis.recordings {
        let facts: Vec<String> =
            provenance::recorded(recording).into_iter().map(|(_, text)| text).collect();
        lines.push(format!("{side}{}", facts.join("; ")));
        let losses: Vec<String> = provenance::losses(recording)
            .into_iter()
            .filter(|(label, _)| matches!(*label, "Lost" | "Coverage"))
            .map(|(label, text)| format!("{label}: {text}"))
            .collect();
        if !losses.is_empty() {
            lines.push(format!("{side}{}", losses.join("; ")));
        }
    }
    lines
}
