//! The analysis ready to be pasted into a postmortem or a pull request: the finding, tables, the heaviest
//! paths, and where all this comes from.
//!
//! Names are set as code, where Markdown means nothing; sentences have its characters escaped.

use profile::{Grade, Warning};
use render::safe_text::clean;
use render::terminal::{TableOptions, call_tree, diff_tree};

use crate::analysis::Analysis;
use crate::caption;
use crate::comparison::Comparison;
use crate::diff::FunctionChange;
use crate::diff_report::judged;
use crate::findings::findings;
use crate::provenance;
use crate::wording::{number, percent, signed};

use super::json::verdict;

/// Functions in a table.
const ROWS: usize = 15;

/// Call paths in the tree.
const PATHS: TableOptions = TableOptions { rows: 25, width: 100, color: false };

/// The text.
#[must_use]
pub fn document(analysis: &Analysis, compared: Option<&Comparison>, title: Option<&str>) -> String {
    let before = compared.map(|compared| &compared.before);
    let mut out = String::new();
    let caption = caption::of_profile(analysis, title);
    let heading = match (title, before) {
        (Some(title), _) => title.to_owned(),
        (None, Some(before)) => {
            format!("{} → {}", caption::names(before), caption::names(analysis))
        }
        (None, None) => caption.title.clone(),
    };
    out.push_str(&format!("### {}\n\n", text(&heading)));
    let warnings = provenance::warnings_of_both(analysis, before);
    notes(&mut out, &warnings, true);
    match compared {
        None => {
            out.push_str(&format!("{}\n\n", text(&caption.subtitle)));
            list(&mut out, &findings(&analysis.tree, analysis.measure.quantity.noun()));
            functions(&mut out, analysis);
            tree(&mut out, &call_tree(&analysis.tree, &caption, &PATHS));
        }
        Some(compared) => {
            let story = &compared.story;
            out.push_str(&format!("**{}**\n\n", text(&story.total)));
            if let Some(culprit) = &story.culprit {
                out.push_str(&format!("**{}**\n\n", text(culprit)));
            }
            list(&mut out, &story.details);
            let any = changes(&mut out, compared);
            tree(&mut out, &diff_tree(&compared.diff.tree, &PATHS));
            out.push_str(&format!("{}\n\n", text(&judged(&compared.diff, any))));
        }
    }
    notes(&mut out, &warnings, false);
    sources(&mut out, if before.is_some() { "New: " } else { "" }, analysis);
    if let Some(before) = before {
        sources(&mut out, "Base: ", before);
    }
    out
}

fn functions(out: &mut String, analysis: &Analysis) {
    let unit = analysis.measure.quantity.unit();
    out.push_str(&format!("| self ({unit}) | % | total | % | function | module |\n"));
    out.push_str("|---:|---:|---:|---:|---|---|\n");
    let frames = &analysis.tree.frames;
    let mut functions = analysis.tree.functions();
    functions.retain(|function| function.self_weight > 0);
    functions.sort_by_key(|function| {
        let frame = frames.get(function.frame);
        let weights = (function.self_weight, function.total_weight);
        (std::cmp::Reverse(weights), frame.name.clone(), frame.module.clone())
    });
    let whole = analysis.total.weight;
    for function in functions.iter().take(ROWS) {
        let frame = frames.get(function.frame);
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            number(analysis.figure(function.self_weight)),
            percent(function.self_weight, whole),
            number(analysis.figure(function.total_weight)),
            percent(function.total_weight, whole),
            cell(&frame.name),
            cell(&frame.module)
        ));
    }
    out.push('\n');
}

/// Functions that changed in themselves or with all they call; whether there are any.
fn changes(out: &mut String, compared: &Comparison) -> bool {
    let diff = &compared.diff;
    let noise = |f: &&FunctionChange| f.own.grade == Grade::Noise && f.total.grade == Grade::Noise;
    let mut functions: Vec<&FunctionChange> =
        diff.functions.iter().filter(|function| !noise(function)).collect();
    functions.sort_by(|a, b| {
        let name = |f: &FunctionChange| {
            let frame = diff.tree.frames.get(f.frame);
            (frame.name.clone(), frame.module.clone())
        };
        let size = |f: &FunctionChange| f.own.delta().abs();
        let total = |f: &FunctionChange| f.total.delta().abs();
        size(b)
            .total_cmp(&size(a))
            .then(total(b).total_cmp(&total(a)))
            .then_with(|| name(a).cmp(&name(b)))
    });
    if functions.is_empty() {
        return false;
    }
    let unit = diff.scale.unit();
    out.push_str(&format!(
        "| self ({unit}) | before | after | total | before | after | verdict | function | module |\n"
    ));
    out.push_str("|---:|---:|---:|---:|---:|---:|---|---|---|\n");
    for function in functions.iter().take(ROWS) {
        let frame = diff.tree.frames.get(function.frame);
        let (own, total) = (&function.own, &function.total);
        let judged = if own.grade == Grade::Noise { total } else { own };
        let labels: Vec<&str> = function.labels.iter().map(|label| label.word()).collect();
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            signed(own.delta()),
            number(own.before),
            number(own.after),
            signed(total.delta()),
            number(total.before),
            number(total.after),
            [&[verdict(judged)], labels.as_slice()].concat().join(", "),
            cell(&frame.name),
            cell(&frame.module)
        ));
    }
    out.push('\n');
    true
}

fn list(out: &mut String, lines: &[String]) {
    for line in lines {
        out.push_str(&format!("- {}\n", text(line)));
    }
    if !lines.is_empty() {
        out.push('\n');
    }
}

fn notes(out: &mut String, warnings: &[Warning], incomplete: bool) {
    for warning in warnings.iter().filter(|warning| warning.incomplete == incomplete) {
        out.push_str(&format!("> {}\n\n", text(&warning.text)));
    }
}

/// What a terminal shows, in a block that no line of it can end.
fn tree(out: &mut String, shown: &str) {
    let fence = "`".repeat(longest_run(shown).max(2) + 1);
    out.push_str(&format!("{fence}text\n{shown}{fence}\n\n"));
}

fn sources(out: &mut String, side: &str, analysis: &Analysis) {
    for source in provenance::sources(analysis) {
        let lines = source.facts.into_iter().chain(source.losses);
        let facts: Vec<String> = lines.map(|(label, text)| format!("{label}: {text}")).collect();
        let path = source.path.display().to_string();
        out.push_str(&format!("{side}{}: {}\n\n", code(&path), text(&facts.join("; "))));
    }
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A name as code.
fn code(name: &str) -> String {
    let name = clean(name);
    if name.trim().is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&name) + 1);
    let space = if name.starts_with(['`', ' ']) || name.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{space}{name}{space}{fence}")
}

/// A name as code in a table, where `|` would end the cell.
fn cell(name: &str) -> String {
    code(name).replace('|', "\\|")
}

/// A sentence without Markdown or HTML of its own.
fn text(sentence: &str) -> String {
    let mut out = String::with_capacity(sentence.len());
    for c in clean(sentence).chars() {
        if matches!(
            c,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&' | '!' | '@'
        ) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_piece_of_code() {
        assert_eq!(code("main"), "`main`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`a``"), "``` `a`` ```");
        assert_eq!(code("</td><script>"), "`</td><script>`");
        assert_eq!(cell("operator||"), "`operator\\|\\|`");
        assert_eq!(code("a\n# b\u{202e}"), "`a # b\u{fffd}`");
        assert_eq!(code(""), "");
    }

    #[test]
    fn a_sentence_has_no_markup_of_its_own() {
        assert_eq!(text("[x](y) <b> *c* @me #1"), "\\[x\\](y) \\<b\\> \\*c\\* \\@me \\#1");
        assert_eq!(text("a\n\n# b"), "a  \\# b");
    }

    #[test]
    fn a_block_ends_where_it_should() {
        let mut out = String::new();
        tree(&mut out, "1 a````b\n");
        assert_eq!(out, "`````text\n1 a````b\n`````\n\n");
    }
}
