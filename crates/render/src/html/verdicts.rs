//! Functions that changed, in tables: what grew or shrank, what vanished, what only moved.

use profile::{DiffTree, Grade};

use super::FunctionVerdict;
use super::markup::Markup;
use crate::amount;

/// Rows of one table; the rest is counted.
const ROWS: usize = 100;

pub(super) fn write(page: &mut Markup, tree: &DiffTree, verdicts: &[FunctionVerdict]) {
    let mut changed = Vec::new();
    let mut moved = Vec::new();
    let mut vanished = Vec::new();
    for (number, verdict) in verdicts.iter().enumerate() {
        let noise = !verdict.own.is_change() && !verdict.total.is_change();
        let gone = verdict.total.after <= 0.0 && verdict.total.before > 0.0;
        let list = match (verdict.labels.contains(&"moved"), gone, noise) {
            (true, ..) => &mut moved,
            (_, true, _) => &mut vanished,
            (_, _, false) => &mut changed,
            _ => continue,
        };
        list.push((number, verdict));
    }
    table(page, tree, "changed", &changed, true);
    table(page, tree, "vanished", &vanished, false);
    table(page, tree, "only moved", &moved, false);
}

/// A verdict with its number.
type Numbered<'a> = (usize, &'a FunctionVerdict);

fn table(page: &mut Markup, tree: &DiffTree, what: &str, rows: &[Numbered<'_>], open: bool) {
    if rows.is_empty() {
        return;
    }
    let functions = if rows.len() == 1 { "function" } else { "functions" };
    let heading = format!("{} {functions} {what}", amount::thousands(rows.len() as u64));
    page.raw(if open {
        "<details class=\"verdicts\" open>"
    } else {
        "<details class=\"verdicts\">"
    });
    page.element("summary", &heading);
    page.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Functions ");
    page.raw(what);
    page.raw("\"><table><thead><tr>");
    for head in ["Verdict", "Function", "Module", "Of"] {
        page.element("th scope=\"col\"", head);
    }
    for head in ["Before", "After", "Change", "95 % interval"] {
        page.element("th scope=\"col\" class=\"number\"", head);
    }
    page.raw("</tr></thead><tbody>\n");
    for row in rows.iter().take(ROWS) {
        write_row(page, tree, *row);
    }
    page.raw("</tbody></table></div>");
    if rows.len() > ROWS {
        let rest = amount::thousands((rows.len() - ROWS) as u64);
        page.element("p class=\"muted\"", &format!("{rest} more are not listed"));
    }
    page.raw("</details>\n");
}

fn write_row(page: &mut Markup, tree: &DiffTree, (number, verdict): Numbered<'_>) {
    let is_own = verdict.own.is_change();
    let part = if is_own { verdict.own } else { verdict.total };
    let (class, glyph) = match part.grade {
        Grade::Grew => ("grew", "▲ "),
        Grade::Shrank => ("shrank", "▼ "),
        Grade::Noise => ("noise", ""),
    };
    let frame = tree.frames.get(verdict.frame);
    let words = [&[part.word], verdict.labels.as_slice()].concat().join(", ");
    page.raw(&format!("<tr class=\"{class}\">"));
    page.element("td", &format!("{glyph}{words}"));
    page.raw("<td>");
    let name = if frame.name.trim().is_empty() { "[no name]" } else { &frame.name };
    // The viewer makes it a way to the function.
    page.element(&format!("code data-verdict=\"{number}\""), name);
    page.raw("</td>");
    page.element("td", &frame.module);
    page.element("td", if is_own { "itself" } else { "with all it calls" });
    let interval = part.interval.map_or_else(String::new, |(low, high)| {
        format!("{} to {}", amount::signed(low), amount::signed(high))
    });
    for text in [
        format!("{} {}", amount::three_digits(part.before), tree.unit),
        format!("{} {}", amount::three_digits(part.after), tree.unit),
        amount::signed(part.after - part.before),
        interval,
    ] {
        page.element("td class=\"number\"", &text);
    }
    page.raw("</tr>\n");
}
