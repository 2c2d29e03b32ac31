//! The words around a picture.

use profile::Caption;

use crate::analysis::Analysis;
use crate::collapse::Sum;
use crate::diff::Diff;
use crate::measure::Quantity;
use crate::provenance;
use crate::story::Story;
use crate::wording::{counted, number, seconds};

/// Around the picture of one or more merged recordings.
#[must_use]
pub fn of_profile(analysis: &Analysis, title: Option<&str>) -> Caption {
    let mut warnings = provenance::warnings(analysis);
    warnings.extend(provenance::nameless(analysis));
    Caption {
        title: title
            .map_or_else(|| format!("{}: {}", heading(analysis), names(analysis)), str::to_owned),
        subtitle: total(analysis),
        warnings,
        footer: footer(analysis, ""),
        unit: analysis.measure.quantity.unit(),
        weight_per_unit: analysis.measure.quantity.weight_per_unit(),
    }
}

/// What a picture is of.
fn heading(analysis: &Analysis) -> String {
    match analysis.measure.quantity {
        Quantity::CpuTime => "CPU time".into(),
        Quantity::Unstated => "Stacks".into(),
        _ => analysis.measure.to_string(),
    }
}

/// "0.98 cores: 29.4 CPU-seconds in 30.0 s, 2,911 samples", as far as it is known.
fn total(analysis: &Analysis) -> String {
    let Sum { weight, samples } = analysis.total;
    let mut text =
        format!("{} {}", number(analysis.figure(weight)), analysis.measure.quantity.unit());
    if analysis.observed_ns > 0 {
        text.push_str(&format!(" in {} s", seconds(analysis.observed_ns)));
        if analysis.measure.quantity == Quantity::CpuTime {
            text = format!("{} cores: {text}", number(analysis.cores(weight)));
        }
    }
    if analysis.counts_samples() {
        text.push_str(&format!(", {}", counted(samples, "sample")));
    }
    text
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
    match provenance::sources(analysis).as_slice() {
        [one] => {
            one.path.file_name().unwrap_or(one.path.as_os_str()).to_string_lossy().into_owned()
        }
        several if analysis.given.is_empty() => format!("{} recordings", several.len()),
        several => format!("{} inputs", several.len()),
    }
}

fn footer(analysis: &Analysis, side: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for source in provenance::sources(analysis) {
        let facts: Vec<String> = source.facts.into_iter().map(|(_, text)| text).collect();
        lines.push(format!("{side}{}", facts.join("; ")));
        let losses: Vec<String> = source
            .losses
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
