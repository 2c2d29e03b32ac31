//! A comparison of two sides: on which scale, judged by what, and what came out.

use profile::{CallTree, DiffTree, Timeline};

use crate::Error;
use crate::analysis::Analysis;
use crate::comparable::obstacles;
use crate::diff::{Capture, Change, Diff, Judge, Label, Scale, Side, Verdict, compare};
use crate::measure::Quantity;
use crate::provenance;
use crate::story::{Story, tell};
use crate::wording::number;

/// What is asked of a comparison.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparing {
    /// What the numbers mean; `None`: what fits the recordings.
    pub scale: Option<Scale>,
    /// Units of work done on the new side and in the base, where CPU time for each is compared.
    pub work: Option<[f64; 2]>,
    /// Changes smaller than this percentage of the base's total do not matter.
    pub min_effect_percent: f64,
    /// Whether regressions fail, and from which percentage of the base's total on.
    pub fail_on: Option<FailOn>,
}

/// What makes a comparison fail.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FailOn {
    /// Percent of the base's total; 0: every regression.
    pub percent: f64,
}

impl std::str::FromStr for FailOn {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let wrong = || "write regression, or regression=5%".to_owned();
        let rest = given.strip_prefix("regression").ok_or_else(wrong)?;
        if rest.is_empty() {
            return Ok(Self { percent: 0.0 });
        }
        let percent = rest.strip_prefix('=').ok_or_else(wrong)?.trim_end_matches('%');
        match percent.parse::<f64>() {
            Ok(percent) if percent >= 0.0 && percent.is_finite() => Ok(Self { percent }),
            _ => Err(wrong()),
        }
    }
}

/// What `--fail-on` makes of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// Nothing regressed.
    Passed,
    /// Something did.
    Regression,
    /// It cannot be told.
    Inconclusive,
}

/// Two sides, and what is different.
#[derive(Debug)]
pub struct Comparison {
    /// The base.
    pub before: Analysis,
    /// What changed.
    pub diff: Diff,
    /// The same in words.
    pub story: Story,
    /// Units of work done in the base and on the new side.
    work: [f64; 2],
}

impl Comparison {
    /// Compares.
    ///
    /// # Errors
    /// When one side covers no time that could be read.
    pub fn new(before: Analysis, after: &Analysis, asked: &Comparing) -> Result<Self, Error> {
        let scale = scale(&before, after, asked)?;
        let [new_work, base_work] = asked.work.unwrap_or_default();
        let work = [base_work, new_work];
        let judge = judge(&before, after, scale, asked);
        let diff = compared([&before, after], work, scale, judge, false);
        let story = tell(&diff);
        Ok(Self { before, diff, story, work })
    }

    /// What changed by call path, leaves at the root.
    #[must_use]
    pub fn inverted(&self, after: &Analysis) -> DiffTree {
        let judge = self.diff.judge.clone();
        compared([&self.before, after], self.work, self.diff.scale, judge, true).tree
    }

    /// Whether what is asked for holds.
    #[must_use]
    pub fn gate(&self, fail_on: FailOn) -> Gate {
        let diff = &self.diff;
        let Some(tested) = &diff.tested else { return Gate::Inconclusive };
        let limit = fail_on.percent / 100.0 * diff.whole.before;
        let regressed = |change: &Change| {
            change.effect.is_some_and(|effect| effect.verdict == Verdict::Regression)
                && change.delta() >= limit
        };
        let moved = |labels: &[Label]| labels.contains(&Label::Moved);
        let function = diff.functions.iter().any(|function| {
            !moved(&function.labels) && (regressed(&function.total) || regressed(&function.own))
        });
        if function || regressed(&diff.whole) {
            return Gate::Regression;
        }
        let open = diff.whole.effect.is_some_and(|effect| {
            effect.verdict == Verdict::Inconclusive && effect.high > limit.max(tested.min_effect)
        });
        if open { Gate::Inconclusive } else { Gate::Passed }
    }
}

impl Comparison {
    /// Why [`Gate::Inconclusive`], and what would help.
    #[must_use]
    pub fn why_inconclusive(&self) -> String {
        let diff = &self.diff;
        match (&diff.judge, diff.whole.effect) {
            (Judge::Nothing(why), _) => format!("no verdict: {}", why.join(" ")),
            (Judge::Counting(why), _) => format!("no verdict: {why}"),
            (Judge::Noise { .. }, Some(effect)) => format!(
                "whether CPU use grew cannot be told: it may be up to {} {} more ({:.1} % of the base). \
                 Allow that (--fail-on regression=N%), record for longer, or compare by --work",
                number(effect.high),
                diff.scale.unit(),
                100.0 * effect.high / diff.whole.before.max(f64::MIN_POSITIVE)
            ),
            (Judge::Noise { .. }, None) => "nothing was there to test".into(),
        }
    }
}

/// What is compared.
///
/// # Errors
/// When the sides measure different things, or one covers no time and time is asked for.
fn scale(before: &Analysis, after: &Analysis, asked: &Comparing) -> Result<Scale, Error> {
    if !after.measure.adds_to(&before.measure) {
        let path = |analysis: &Analysis| {
            let recorded = analysis.recordings.first().map(|r| &r.path);
            let given = analysis.given.first().map(|input| &input.path);
            recorded.or(given).cloned().unwrap_or_default()
        };
        return Err(Error::OtherMeasure {
            path: path(after),
            measure: after.measure.to_string(),
            other_path: path(before),
            other: before.measure.to_string(),
        });
    }
    let mut timed = after.measure.quantity == Quantity::CpuTime;
    for (side, analysis) in [("the base", before), ("the new side", after)] {
        timed &= analysis.observed_ns > 0;
        if analysis.observed_ns > 0 {
            continue;
        }
        if analysis.given.is_empty() || asked.scale == Some(Scale::Cores) {
            let warnings = provenance::warnings_of_both(analysis, None);
            let why = warnings.first().map(|w| format!(" ({})", w.text)).unwrap_or_default();
            return Err(Error::NotComparable { side, why });
        }
    }
    if asked.work.is_some() {
        return Ok(Scale::Work);
    }
    let jobs = before.is_launched() && after.is_launched();
    // Where nobody knows for how long was measured, or of what, only shares compare.
    let fitting = match (timed, jobs) {
        (false, _) => Scale::Share,
        (true, true) => Scale::Total,
        (true, false) => Scale::Cores,
    };
    Ok(asked.scale.unwrap_or(fitting))
}

/// By what the sides are judged.
fn judge(before: &Analysis, after: &Analysis, scale: Scale, asked: &Comparing) -> Judge {
    let obstacles = obstacles(before, after);
    if !obstacles.is_empty() {
        return Judge::Nothing(obstacles);
    }
    if !before.given.is_empty() || !after.given.is_empty() {
        let why =
            "an input does not say when its samples were taken; this is weaker than a verdict";
        return Judge::Counting(why.into());
    }
    let runs = |analysis: &Analysis| analysis.recordings.len();
    if scale == Scale::Total && runs(before).min(runs(after)) < 3 {
        let why =
            "one run of a command says nothing of how much runs differ; give three or more of each";
        return Judge::Counting(why.into());
    }
    Judge::Noise { min_effect_percent: asked.min_effect_percent }
}

fn captures(analysis: &Analysis) -> Vec<Capture> {
    let capture = |recording: &crate::Recorded| Capture {
        recording: recording.facts.recording_id,
        host: recording.facts.host.lossy().into_owned(),
    };
    analysis.recordings.iter().map(capture).collect()
}

/// Compares two sides, with their leaves at the root if asked.
fn compared(
    sides: [&Analysis; 2],
    work: [f64; 2],
    scale: Scale,
    judge: Judge,
    inverted: bool,
) -> Diff {
    let captures = sides.map(captures);
    let turned = sides.map(|side| inverted.then(|| turn(side)));
    let side = |index: usize| {
        let analysis = sides[index];
        let (tree, timeline) = turned[index]
            .as_ref()
            .map_or((&analysis.tree, &analysis.timeline), |(tree, timeline)| (tree, timeline));
        Side {
            tree,
            whole: tree.total(),
            timeline,
            captures: &captures[index],
            observed_ns: analysis.observed_ns,
            period_ns: analysis.period_ns,
            cpus: cpus(analysis),
            work: work[index],
            scale,
        }
    };
    compare(&side(0), &side(1), judge)
}

fn turn(analysis: &Analysis) -> (CallTree, Timeline) {
    let (tree, places) = analysis.tree.inverted();
    let mut timeline = analysis.timeline.clone();
    for row in &mut timeline.rows {
        row.node = places[row.node as usize];
    }
    timeline.unite();
    (tree, timeline)
}

/// CPUs of the largest machine. (Of several together each is observed for a time of its own.)
fn cpus(analysis: &Analysis) -> f64 {
    let cpus = analysis.recordings.iter().map(|recording| recording.facts.cpus_online);
    f64::from(cpus.max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_said_with_or_without_a_limit() {
        assert_eq!("regression".parse(), Ok(FailOn { percent: 0.0 }));
        assert_eq!("regression=2.5%".parse(), Ok(FailOn { percent: 2.5 }));
        for wrong in ["", "regression=", "regression=x", "improvement", "regression=-1%"] {
            assert!(wrong.parse::<FailOn>().is_err(), "{wrong}");
        }
    }
}
