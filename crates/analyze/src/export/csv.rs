//! Functions as a table that spreadsheets open.
//!
//! A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a line break as a formula, also
//! within quotes: names that do are led by an apostrophe. Numbers are never negative.

use crate::analysis::Analysis;
use crate::comparison::Comparison;
use render::safe_text::clean;

use super::json::{kind, verdict};

/// One row for each function, the heaviest first; of a comparison what changed most.
#[must_use]
pub fn table(analysis: &Analysis, compared: Option<&Comparison>) -> String {
    match compared {
        None => profile(analysis),
        Some(compared) => comparison(compared),
    }
}

fn profile(analysis: &Analysis) -> String {
    let unit = analysis.measure.quantity.unit();
    let mut out = row(&[
        "function".into(),
        "module".into(),
        "kind".into(),
        "file".into(),
        format!("self ({unit})"),
        format!("total ({unit})"),
    ]);
    let frames = &analysis.tree.frames;
    let mut functions = analysis.tree.functions();
    functions.retain(|function| function.total_weight > 0);
    functions.sort_by_key(|function| {
        let frame = frames.get(function.frame);
        let weights = (function.self_weight, function.total_weight);
        (std::cmp::Reverse(weights), frame.name.clone(), frame.module.clone())
    });
    for function in functions {
        let frame = frames.get(function.frame);
        out.push_str(&row(&[
            cell(&frame.name),
            cell(&frame.module),
            cell(kind(frame.kind)),
            cell(frame.file.as_deref().unwrap_or_default()),
            analysis.figure(function.self_weight).to_string(),
            analysis.figure(function.total_weight).to_string(),
        ]));
    }
    out
}

fn comparison(compared: &Comparison) -> String {
    let diff = &compared.diff;
    let unit = diff.scale.unit();
    let mut out = row(&[
        "function".into(),
        "module".into(),
        "kind".into(),
        format!("self before ({unit})"),
        format!("self after ({unit})"),
        "self verdict".into(),
        format!("total before ({unit})"),
        format!("total after ({unit})"),
        "total verdict".into(),
        "labels".into(),
    ]);
    let mut functions: Vec<_> = diff.functions.iter().collect();
    functions.sort_by(|a, b| {
        let name = |f: &crate::diff::FunctionChange| {
            let frame = diff.tree.frames.get(f.frame);
            (frame.name.clone(), frame.module.clone())
        };
        b.own
            .delta()
            .abs()
            .total_cmp(&a.own.delta().abs())
            .then(b.total.delta().abs().total_cmp(&a.total.delta().abs()))
            .then_with(|| name(a).cmp(&name(b)))
    });
    for function in functions {
        let frame = diff.tree.frames.get(function.frame);
        let labels: Vec<&str> = function.labels.iter().map(|label| label.word()).collect();
        out.push_str(&row(&[
            cell(&frame.name),
            cell(&frame.module),
            cell(kind(frame.kind)),
            function.own.before.to_string(),
            function.own.after.to_string(),
            cell(verdict(&function.own)),
            function.total.before.to_string(),
            function.total.after.to_string(),
            cell(verdict(&function.total)),
            cell(&labels.join(" ")),
        ]));
    }
    out
}

/// Text that no spreadsheet takes for a formula, and no reader for two cells.
fn cell(text: &str) -> String {
    let text = clean(text);
    let formula = text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    let apostrophe = if formula || text.starts_with('\'') { "'" } else { "" };
    if text.contains(['"', ',', ';']) {
        format!("\"{apostrophe}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{apostrophe}{text}")
    }
}

fn row(cells: &[String]) -> String {
    cells.join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_breaks_out_of_its_place() {
        let cases = [
            ("main", "main"),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("  +1", "'  +1"),
            ("-x", "'-x"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "' =1"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=\"a\",b", "\"'=\"\"a\"\",b\""),
            ("a\nb", "a b"),
        ];
        for (text, expected) in cases {
            assert_eq!(cell(text), expected);
        }
    }
}
