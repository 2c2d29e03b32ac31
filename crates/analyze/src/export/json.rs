//! Everything that the summary or a comparison shows, for programs. The schema is published
//! (`docs/analyze.schema.json`); within one version fields are only added.
//!
//! Weights are whole numbers in the measure's smallest unit (of CPU time nanoseconds); figures of a
//! comparison are in its own scale. What is not known is null. Names are as they were found: whoever shows
//! them escapes them.

use std::collections::BTreeMap;

use profile::{FrameKind, Grade, StackEnd, Warning};
use serde::Serialize;

use crate::analysis::Analysis;
use crate::collapse::Sum;
use crate::comparison::Comparison;
use crate::diff::{Change, Judge, UnitKind, Verdict};
use crate::findings::findings;
use crate::keep::LeftOut;
use crate::measure::Quantity;
use crate::stacks::Wholeness;
use crate::{fetched, provenance};

/// Counted up when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// The analysis, or with `compared` the comparison, as one JSON object.
#[must_use]
pub fn document(analysis: &Analysis, compared: Option<&Comparison>) -> String {
    let before = compared.map(|compared| &compared.before);
    let document = Document {
        format: "flamearc.analysis",
        version: VERSION,
        tool: concat!("analyze ", env!("CARGO_PKG_VERSION")),
        kind: if compared.is_some() { "comparison" } else { "profile" },
        warnings: provenance::warnings_of_both(analysis, before).into_iter().map(warn).collect(),
        comparison: compared.map(ComparisonRow::new),
        functions: match compared {
            Some(compared) => Functions::Changes(changes(compared)),
            None => Functions::Weights(functions(analysis)),
        },
        new: Side::new(analysis),
        base: before.map(Side::new),
    };
    // Strings, numbers and lists of them: nothing that cannot be written.
    serde_json::to_string_pretty(&document).expect("an object of strings and numbers") + "\n"
}

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    tool: &'static str,
    kind: &'static str,
    warnings: Vec<WarningRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<ComparisonRow<'a>>,
    functions: Functions<'a>,
    new: Side<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Side<'a>>,
}

#[derive(Serialize)]
struct WarningRow {
    incomplete: bool,
    text: String,
}

fn warn(warning: Warning) -> WarningRow {
    WarningRow { incomplete: warning.incomplete, text: warning.text }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Functions<'a> {
    Weights(Vec<FunctionRow<'a>>),
    Changes(Vec<FunctionChangeRow<'a>>),
}

#[derive(Serialize)]
struct FunctionRow<'a> {
    name: &'a str,
    raw_name: &'a str,
    module: &'a str,
    kind: &'static str,
    file: Option<&'a str>,
    #[serde(rename = "self")]
    own: u64,
    total: u64,
}

/// What a frame is, in one word.
pub(super) fn kind(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Process => "process",
        FrameKind::User => "user",
        FrameKind::Library => "library",
        FrameKind::Jit => "jit",
        FrameKind::Kernel => "kernel",
        FrameKind::NoName(_) => "no name",
        FrameKind::Marker => "marker",
    }
}

fn functions(analysis: &Analysis) -> Vec<FunctionRow<'_>> {
    let frames = &analysis.tree.frames;
    let mut rows: Vec<FunctionRow<'_>> = analysis
        .tree
        .functions()
        .into_iter()
        .filter(|function| function.total_weight > 0)
        .map(|function| {
            let frame = frames.get(function.frame);
            FunctionRow {
                name: &frame.name,
                raw_name: &frame.raw_name,
                module: &frame.module,
                kind: kind(frame.kind),
                file: frame.file.as_deref(),
                own: function.self_weight,
                total: function.total_weight,
            }
        })
        .collect();
    rows.sort_by(|a, b| {
        (b.own, b.total)
            .cmp(&(a.own, a.total))
            .then_with(|| (a.name, a.module).cmp(&(b.name, b.module)))
    });
    rows
}

#[derive(Serialize)]
struct FunctionChangeRow<'a> {
    name: &'a str,
    module: &'a str,
    kind: &'static str,
    #[serde(rename = "self")]
    own: ChangeRow,
    total: ChangeRow,
    labels: Vec<&'static str>,
}

#[derive(Serialize)]
struct ChangeRow {
    before: f64,
    after: f64,
    delta: f64,
    grade: &'static str,
    effect: Option<EffectRow>,
}

#[derive(Serialize)]
struct EffectRow {
    verdict: &'static str,
    low: f64,
    high: f64,
    q: f64,
    smallest: f64,
    seen_in: [usize; 2],
    burst: bool,
}

/// What was found of a change, in one word.
pub(super) fn verdict(change: &Change) -> &'static str {
    match (change.effect.map(|effect| effect.verdict), change.grade) {
        (Some(Verdict::Regression), _) => "regression",
        (Some(Verdict::Improvement), _) => "improvement",
        (Some(Verdict::Unchanged), _) => "unchanged",
        (Some(Verdict::Inconclusive), _) => "inconclusive",
        (None, Grade::Grew) => "grew",
        (None, Grade::Shrank) => "shrank",
        (None, Grade::Noise) => "not told",
    }
}

impl ChangeRow {
    fn new(change: &Change) -> Self {
        Self {
            before: change.before,
            after: change.after,
            delta: change.delta(),
            grade: match change.grade {
                Grade::Grew => "grew",
                Grade::Shrank => "shrank",
                Grade::Noise => "noise",
            },
            effect: change.effect.map(|effect| EffectRow {
                verdict: verdict(change),
                low: effect.low,
                high: effect.high,
                q: effect.q,
                smallest: effect.smallest,
                seen_in: effect.seen_in,
                burst: effect.burst,
            }),
        }
    }
}

fn changes(compared: &Comparison) -> Vec<FunctionChangeRow<'_>> {
    let frames = &compared.diff.tree.frames;
    let mut rows: Vec<FunctionChangeRow<'_>> = compared
        .diff
        .functions
        .iter()
        .map(|function| {
            let frame = frames.get(function.frame);
            FunctionChangeRow {
                name: &frame.name,
                module: &frame.module,
                kind: kind(frame.kind),
                own: ChangeRow::new(&function.own),
                total: ChangeRow::new(&function.total),
                labels: function.labels.iter().map(|label| label.word()).collect(),
            }
        })
        .collect();
    let size = |row: &FunctionChangeRow<'_>| (row.own.delta.abs(), row.total.delta.abs());
    rows.sort_by(|a, b| {
        let ((a_own, a_total), (b_own, b_total)) = (size(a), size(b));
        b_own
            .total_cmp(&a_own)
            .then(b_total.total_cmp(&a_total))
            .then_with(|| (a.name, a.module).cmp(&(b.name, b.module)))
    });
    rows
}

#[derive(Serialize)]
struct ComparisonRow<'a> {
    unit: &'static str,
    whole: ChangeRow,
    story: StoryRow<'a>,
    judged_by: &'static str,
    reasons: Vec<&'a str>,
    tested: Option<TestedRow>,
}

#[derive(Serialize)]
struct StoryRow<'a> {
    total: &'a str,
    culprit: Option<&'a str>,
    details: &'a [String],
}

#[derive(Serialize)]
struct TestedRow {
    units_are: &'static str,
    units: [usize; 2],
    tests: usize,
    min_effect: f64,
    noise_floor_changes: Option<usize>,
    noise_floor_tests: Option<usize>,
    smallest: Option<f64>,
}

impl<'a> ComparisonRow<'a> {
    fn new(compared: &'a Comparison) -> Self {
        let Comparison { diff, story, .. } = compared;
        let (judged_by, reasons) = match &diff.judge {
            Judge::Noise { .. } => ("noise", Vec::new()),
            Judge::Counting(why) => ("counting error", vec![why.as_str()]),
            Judge::Nothing(why) => ("nothing", why.iter().map(String::as_str).collect()),
        };
        let tested = diff.tested.as_ref().map(|tested| TestedRow {
            units_are: match tested.kind {
                UnitKind::Blocks => "blocks of time",
                UnitKind::Captures => "captures",
                UnitKind::Hosts => "hosts",
            },
            units: tested.units,
            tests: tested.tests,
            min_effect: tested.min_effect,
            noise_floor_changes: tested.noise_floor.map(|(changes, _)| changes),
            noise_floor_tests: tested.noise_floor.map(|(_, tests)| tests),
            smallest: tested.smallest,
        });
        Self {
            unit: diff.scale.unit(),
            whole: ChangeRow::new(&diff.whole),
            story: StoryRow {
                total: &story.total,
                culprit: story.culprit.as_deref(),
                details: &story.details,
            },
            judged_by,
            reasons,
            tested,
        }
    }
}

/// One side: what went in, and what it adds up to.
#[derive(Serialize)]
struct Side<'a> {
    inputs: Vec<InputRow>,
    left_out_inputs: &'a [String],
    measure: MeasureRow<'a>,
    total: SumRow,
    filtered: BTreeMap<&'static str, SumRow>,
    other_events_samples: u64,
    observed_ns: Option<u64>,
    cores: Option<f64>,
    sample_weight: u64,
    stacks: BTreeMap<String, u64>,
    named_weight: u64,
    names: String,
    processes: Vec<ProcessRow<'a>>,
    modules: Vec<ModuleRow>,
    findings: Vec<String>,
    fetched: Vec<String>,
}

#[derive(Serialize)]
struct InputRow {
    path: String,
    facts: Vec<FactRow>,
}

#[derive(Serialize)]
struct FactRow {
    label: &'static str,
    text: String,
}

#[derive(Serialize)]
struct MeasureRow<'a> {
    name: &'a str,
    quantity: &'static str,
    weight_per_unit: u64,
    unit: &'static str,
}

#[derive(Serialize)]
struct SumRow {
    weight: u64,
    samples: Option<u64>,
}

#[derive(Serialize)]
struct ProcessRow<'a> {
    name: &'a str,
    pid: Option<u32>,
    input: usize,
    weight: u64,
}

#[derive(Serialize)]
struct ModuleRow {
    path: String,
    build_id: Option<String>,
    input: usize,
    #[serde(rename = "self")]
    own: u64,
    total: u64,
    nameless_self: u64,
    nameless_total: u64,
    why_nameless: Option<&'static str>,
}

impl<'a> Side<'a> {
    fn new(analysis: &'a Analysis) -> Self {
        let counts = analysis.counts_samples();
        let sum = |sum: Sum| SumRow { weight: sum.weight, samples: counts.then_some(sum.samples) };
        let input = |source: provenance::Source<'_>| InputRow {
            path: source.path.display().to_string(),
            facts: source.facts.into_iter().chain(source.losses).map(fact).collect(),
        };
        let quantity = analysis.measure.quantity;
        let timed = analysis.observed_ns > 0;
        let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
        for (wholeness, weight) in &analysis.wholeness {
            *stacks.entry(state(*wholeness)).or_default() += weight;
        }
        let filtered = LeftOut::ALL.iter().zip(analysis.filtered);
        let filtered = filtered.filter(|(_, left_out)| *left_out != Sum::default());
        Self {
            inputs: provenance::sources(analysis).into_iter().map(input).collect(),
            left_out_inputs: &analysis.left_out,
            measure: MeasureRow {
                name: &analysis.measure.name,
                quantity: quantity.noun(),
                weight_per_unit: quantity.weight_per_unit(),
                unit: quantity.unit(),
            },
            total: sum(analysis.total),
            filtered: filtered.map(|(why, left_out)| (why.describe(), sum(left_out))).collect(),
            other_events_samples: analysis.other_events_samples,
            observed_ns: timed.then_some(analysis.observed_ns),
            cores: (timed && quantity == Quantity::CpuTime)
                .then(|| analysis.cores(analysis.total.weight)),
            sample_weight: analysis.period_ns,
            stacks,
            named_weight: analysis.naming.named_weight(),
            names: analysis.naming.describe(quantity.noun()),
            processes: analysis.processes.iter().map(process).collect(),
            modules: analysis.modules.iter().map(module).collect(),
            findings: findings(&analysis.tree, quantity.noun()),
            fetched: fetched::lines(&[&analysis.fetched]).into_iter().map(|(_, t)| t).collect(),
        }
    }
}

fn fact((label, text): provenance::Line) -> FactRow {
    FactRow { label, text }
}

fn process(row: &crate::analysis::ProcessUse) -> ProcessRow<'_> {
    let pid = (row.pid > 0).then_some(row.pid);
    ProcessRow { name: &row.name, pid, input: row.recording, weight: row.weight }
}

fn module(row: &crate::modules::ModuleUse) -> ModuleRow {
    let id = &row.module.build_id;
    ModuleRow {
        path: row.module.path.lossy().into_owned(),
        build_id: (!id.is_empty()).then(|| id.to_string()),
        input: row.recording,
        own: row.weight.self_weight,
        total: row.weight.total,
        nameless_self: row.nameless.self_weight,
        nameless_total: row.nameless.total,
        why_nameless: row.reason.map(profile::NoName::describe),
    }
}

/// How much of a stack is there, in words that stay.
fn state(wholeness: Wholeness) -> String {
    match wholeness {
        Wholeness::Complete => "complete".into(),
        Wholeness::Repaired => "complete, repaired".into(),
        Wholeness::Unchecked => "not checked".into(),
        Wholeness::CallerSkipped => "a caller may be missing".into(),
        Wholeness::Cut(end) => match end {
            StackEnd::Complete | StackEnd::NoUser => "complete".into(),
            StackEnd::DepthLimit => "cut, depth limit".into(),
            StackEnd::NotCode => "cut, no frame pointers".into(),
            StackEnd::Fault => "cut, page not present".into(),
            StackEnd::MapsUnknown => "cut, mappings unknown".into(),
            StackEnd::LostBlock => "lost in a damaged block".into(),
        },
        Wholeness::Stopped(_) => "cut while unwinding".into(),
    }
}
