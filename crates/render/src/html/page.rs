//! The page: what stands in its markup, and what its policy allows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use profile::{Caption, Warning};
use sha2::{Digest as _, Sha256};

use super::markup::Markup;
use super::{Provenance, Report, Subject, outline, payload, verdicts};
use crate::coloring::Coloring;
use crate::palette::{DARK, LIGHT, Theme};
use crate::svg::{self, SvgOptions};

/// Built from `viewer/` by `cargo xtask viewer`; the same in every report.
const SCRIPT: &str = include_str!("viewer.js");
const STYLE: &str = include_str!("viewer.css");

/// The still picture's part of the page.
const PICTURE: SvgOptions = SvgOptions {
    coloring: Coloring::Kind,
    width_px: 1200,
    static_only: true,
    max_frames: 2500,
    max_bytes: 400_000,
    direction: svg::Direction::Icicle,
};

pub(super) fn page(report: &Report<'_>) -> String {
    let picture = picture(report);
    let style = format!("{}{STYLE}", theme_rules());
    let policy = policy(SCRIPT, &[&style, style_of(&picture)]);
    let mut page = Markup::default();
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw(&format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n"));
    page.raw("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
    page.raw("<meta name=\"referrer\" content=\"no-referrer\">\n");
    page.element("title", &report.caption.title);
    page.raw(&format!("\n<style>{style}</style>\n</head>\n<body>\n"));
    heading(&mut page, report);
    page.raw("<main id=\"viewer\"></main>\n<div id=\"still\">\n");
    page.raw("<section aria-label=\"Flamegraph\" class=\"picture\">\n");
    page.raw(&picture);
    page.raw("</section>\n");
    outline::write(&mut page, report.subject);
    page.raw("</div>\n");
    provenance(&mut page, report.provenance);
    page.raw("<script type=\"application/octet-stream\" id=\"data\">");
    page.raw(&payload::payload(report));
    page.raw(&format!("</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"));
    page.0
}

/// Everything is forbidden but our own script and styles, which are known by their hashes.
fn policy(script: &str, styles: &[&str]) -> String {
    let hash = |text: &str| format!("'sha256-{}'", BASE64.encode(Sha256::digest(text)));
    let styles: Vec<String> = styles.iter().map(|style| hash(style)).collect();
    format!(
        "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'",
        hash(script),
        styles.join(" ")
    )
}

/// Colours as custom properties: one set by the system's choice, the other by the reader's.
fn theme_rules() -> String {
    let properties = |theme: &Theme, name: &str| {
        let Theme { page, ink, muted, line, warning, warning_ink, alarm, alarm_ink, found } = theme;
        format!(
            "{{color-scheme:{name};--page:{page};--ink:{ink};--muted:{muted};--line:{line};\
             --warning:{warning};--warning-ink:{warning_ink};--alarm:{alarm};\
             --alarm-ink:{alarm_ink};--found:{found}}}"
        )
    };
    let (light, dark) = (properties(&LIGHT, "light"), properties(&DARK, "dark"));
    format!(
        ":root{light}\n@media (prefers-color-scheme:dark){{:root{dark}}}\n\
         :root[data-theme=light]{light}\n:root[data-theme=dark]{dark}\n"
    )
}

fn heading(page: &mut Markup, report: &Report<'_>) {
    page.raw("<header>\n");
    page.element("h1", &report.caption.title);
    page.raw("\n");
    page.element("p class=\"subtitle\"", &report.caption.subtitle);
    page.raw("\n");
    let (incomplete, other): (Vec<&Warning>, Vec<&Warning>) =
        report.caption.warnings.iter().partition(|warning| warning.incomplete);
    for (class, warnings) in [("alarm", incomplete), ("warning", other)] {
        for warning in warnings {
            page.element(&format!("p class=\"{class}\""), &warning.text);
            page.raw("\n");
        }
    }
    if !report.findings.is_empty() {
        page.raw("<ul class=\"findings\">\n");
        for finding in report.findings {
            page.element("li", finding);
            page.raw("\n");
        }
        page.raw("</ul>\n");
    }
    if let Subject::Diff { tree, verdicts: list, judged } = report.subject {
        verdicts::write(page, tree, list);
        page.element("p class=\"judged\"", judged);
        page.raw("\n");
    }
    page.raw("</header>\n");
}

fn provenance(page: &mut Markup, list: &[Provenance]) {
    page.raw("<footer aria-label=\"Provenance\">\n");
    for part in list {
        page.raw("<section>");
        page.element("h2", &part.heading);
        page.raw("<dl>");
        for (label, text) in &part.facts {
            page.raw("<div>");
            page.element("dt", label);
            page.element("dd", text);
            page.raw("</div>");
        }
        page.raw("</dl></section>\n");
    }
    page.raw("</footer>\n");
}

/// The picture alone: what stands around it, the page says itself.
fn picture(report: &Report<'_>) -> String {
    let bare = Caption {
        unit: report.caption.unit,
        weight_per_unit: report.caption.weight_per_unit,
        ..Caption::default()
    };
    match report.subject {
        Subject::Profile { tree, .. } => svg::flamegraph(tree, &bare, &PICTURE),
        Subject::Diff { tree, .. } => svg::diff_flamegraph(tree, &bare, &PICTURE),
    }
}

/// The style sheet in a picture, as a browser reads it.
fn style_of(picture: &str) -> &str {
    let inside = picture.split_once("<style>").map_or("", |(_, rest)| rest);
    inside.split_once("</style>").map_or("", |(style, _)| style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_script_nor_style_can_end_early() {
        for text in [SCRIPT, STYLE] {
            let text = text.to_ascii_lowercase();
            for end in ["</script", "</style", "<!--"] {
                assert!(!text.contains(end), "{end}");
            }
        }
    }

    #[test]
    fn the_policy_names_what_may_run_by_its_hash() {
        // printf %s x | openssl dgst -sha256 -binary | base64
        let x = "'sha256-LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE='";
        let policy = policy("x", &["x"]);
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let hash = format!("'sha256-{}'", BASE64.encode(Sha256::digest("x")));
        assert_eq!(policy.matches(&hash).count(), 2, "{policy}");
        assert_eq!(hash, x);
    }
}
