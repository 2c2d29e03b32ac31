//! What debuginfod servers were asked for, and what became of it, in words.

use std::collections::BTreeSet;

use crate::locate::{FetchOutcome, NotFetched, Origin};
use crate::provenance::Line;
use crate::wording::{counted, number};

const LABEL: &str = "debuginfod";
/// Reasons that are listed.
const LISTED: usize = 5;

/// A line for what came, and one for each reason why something did not. None where no server was named.
#[must_use]
pub fn lines(fetched: &[&Option<Vec<FetchOutcome>>]) -> Vec<Line> {
    if fetched.iter().all(|outcomes| outcomes.is_none()) {
        return Vec::new();
    }
    // Both sides of a comparison may want the same file; it is asked for once.
    let mut seen = BTreeSet::new();
    let outcomes: Vec<&FetchOutcome> = fetched
        .iter()
        .filter_map(|outcomes| outcomes.as_ref())
        .flatten()
        .filter(|outcome| seen.insert((outcome.wanted.build_id, outcome.wanted.kind)))
        .collect();
    let mut lines = vec![(LABEL, sum(&outcomes))];
    let failures = failures(&outcomes);
    let more = failures.len().saturating_sub(LISTED);
    lines.extend(failures.into_iter().take(LISTED).map(|text| (LABEL, text)));
    if more > 0 {
        lines.push((LABEL, counted(more as u64, "more reason")));
    }
    lines
}

/// "2 files fetched (12.3 MB), 1 in the cache, 3 on no server, 1 not fetched".
fn sum(outcomes: &[&FetchOutcome]) -> String {
    let (mut fetched, mut bytes, mut cached, mut absent, mut failed) =
        (0u64, 0u64, 0u64, 0u64, 0u64);
    for outcome in outcomes {
        match &outcome.result {
            Ok(Origin::Server { bytes: size, .. }) => {
                fetched += 1;
                bytes = bytes.saturating_add(*size);
            }
            Ok(Origin::Cache) => cached += 1,
            Err(NotFetched::Absent) => absent += 1,
            Err(NotFetched::Failed(_) | NotFetched::NotKept(_)) => failed += 1,
        }
    }
    let fetched = match fetched {
        0 => None,
        n => Some(format!("{} fetched ({} MB)", counted(n, "file"), number(bytes as f64 / 1e6))),
    };
    let others = [(cached, "in the cache"), (absent, "on no server"), (failed, "not fetched")];
    let others = others.iter().filter(|(n, _)| *n > 0);
    let parts: Vec<String> =
        fetched.into_iter().chain(others.map(|(n, what)| format!("{n} {what}"))).collect();
    match parts.is_empty() {
        true => "nothing to ask for: the files wanted are here, in the cache, or have no build-id"
            .into(),
        false => parts.join(", "),
    }
}

/// "http://server is so: debuginfo of libx.so and 3 more", each reason once, the weightiest file first.
fn failures(outcomes: &[&FetchOutcome]) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |reason: String, file: &str| match reasons.iter_mut().find(|(r, _)| *r == reason)
    {
        Some((_, files)) => files.push(file.to_owned()),
        None => reasons.push((reason, vec![file.to_owned()])),
    };
    for outcome in outcomes {
        let file = format!("{} of {}", outcome.wanted.kind.word(), outcome.wanted.name.lossy());
        match &outcome.result {
            Err(NotFetched::Failed(servers)) => {
                servers.iter().for_each(|(server, why)| add(format!("{server} {why}"), &file));
            }
            Err(NotFetched::NotKept(why)) => {
                add(format!("the cache cannot be written: {why}"), &file);
            }
            Ok(_) | Err(NotFetched::Absent) => {}
        }
    }
    let text = |(reason, files): &(String, Vec<String>)| match files.as_slice() {
        [file, rest @ ..] if !rest.is_empty() => {
            format!("{reason}: {file} and {} more", rest.len())
        }
        files => format!("{reason}: {}", files.concat()),
    };
    reasons.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::{FileKind, Reason, Wanted};
    use profile::BuildId;

    fn outcome(n: u8, result: Result<Origin, NotFetched>) -> FetchOutcome {
        let wanted = Wanted {
            build_id: BuildId::new(&[n]),
            kind: FileKind::Debuginfo,
            weight: 1,
            name: format!("lib{n}.so").as_str().into(),
        };
        FetchOutcome { wanted, result }
    }

    #[test]
    fn what_came_is_counted_and_what_did_not_has_its_reason_once() {
        let server = || "http://x".to_owned();
        let failed = |reason| Err(NotFetched::Failed(vec![(server(), reason)]));
        let outcomes = [
            outcome(1, Ok(Origin::Server { server: server(), bytes: 1_500_000 })),
            outcome(2, Ok(Origin::Cache)),
            outcome(3, Err(NotFetched::Absent)),
            outcome(4, failed(Reason::Silent(30))),
            outcome(5, failed(Reason::GivenUp)),
            outcome(6, failed(Reason::GivenUp)),
        ];
        let outcomes: Vec<&FetchOutcome> = outcomes.iter().collect();
        assert_eq!(
            sum(&outcomes),
            "1 file fetched (1.50 MB), 1 in the cache, 1 on no server, 3 not fetched"
        );
        assert_eq!(
            failures(&outcomes),
            [
                "http://x said nothing for 30 s: debuginfo of lib4.so",
                "http://x was not asked again: debuginfo of lib5.so and 1 more"
            ]
        );
        assert!(sum(&[]).starts_with("nothing to ask for"));
    }
}
