//! Names chosen by an attacker in the HTML report: the page has the elements that it has with plain names.

mod hostile_names;

use std::collections::BTreeSet;

use hostile_names::hostile_names;
use profile::{
    CallTree, Caption, DiffNode, DiffTree, Frame, FrameKind, Grade, JudgedBy, TimeCell, TimeGroup,
    TimeRow, Timeline, Warning,
};
use render::html::{
    FunctionVerdict, Judged, ModuleFacts, Provenance, Report, Subject, Times, report,
};

/// A report with `name` in the field number `field`, and plain words in the others.
fn with_hostile(field: usize, name: &str) -> [String; 2] {
    let pick = |at: usize, plain: &str| if at == field { name } else { plain }.to_owned();
    let mut tree = CallTree::new();
    let process = tree.frames.intern(Frame::new("server (1)", "", FrameKind::Process));
    let function = Frame {
        file: Some(pick(10, "/src/main.rs").into()),
        ..Frame::new(&pick(0, "plain"), &pick(1, "mod"), FrameKind::User)
    };
    let function = tree.frames.intern(function);
    tree.add(&[process, function], 10);
    let caption = Caption {
        title: pick(2, "title"),
        subtitle: pick(3, "subtitle"),
        warnings: vec![Warning { incomplete: true, text: pick(4, "INCOMPLETE: cut") }],
        footer: Vec::new(),
        unit: "samples",
        weight_per_unit: 1,
    };
    let node = |parent, frame| DiffNode {
        parent,
        frame,
        before_self: 0.0,
        before_total: 1.0,
        after_self: 0.0,
        after_total: 2.0,
        grade: Grade::Grew,
    };
    let diff = DiffTree {
        frames: tree.frames.clone(),
        nodes: vec![node(0, process), node(0, process), node(1, function)],
        unit: "cores",
        judged_by: JudgedBy::Counting,
    };
    let judged = Judged {
        before: 1.0,
        after: 2.0,
        grade: Grade::Grew,
        word: "grew",
        interval: Some((0.5, 1.5)),
    };
    let verdicts =
        [FunctionVerdict { frame: function, own: judged, total: judged, labels: vec!["new"] }];
    let findings = [pick(5, "finding")];
    let heading = pick(6, "run.arc");
    let provenance = [Provenance { heading, facts: vec![(pick(7, "Host"), pick(8, "web-1"))] }];
    let modules = [ModuleFacts { name: pick(1, "mod"), build_id: pick(9, "5f3a") }];
    let group = TimeGroup {
        host: pick(12, "web-1"),
        cgroup: pick(13, "/system.slice"),
        process: pick(14, "server (1)"),
        thread: pick(15, "worker (2)"),
        cpu: Some(0),
    };
    let cell = TimeCell { capture: 0, start_ns: 0, observed_ns: 1 };
    let timeline = Timeline {
        cells: vec![cell, TimeCell { start_ns: 1, ..cell }],
        rows: vec![TimeRow { node: 2, cell: 1, group: 0, weight: 10 }],
        groups: vec![group],
    };
    let times = Some(Times { timeline: &timeline, starts_unix_ns: &[None] });
    let profile = Subject::Profile { tree: &tree, times, sample_weight: 1 };
    let compared = Subject::Diff { tree: &diff, verdicts: &verdicts, judged: &pick(11, "judged") };
    [profile, compared].map(|subject| {
        report(&Report {
            caption: &caption,
            findings: &findings,
            subject,
            provenance: &provenance,
            modules: &modules,
        })
    })
}

const FIELDS: usize = 16;

/// All tags, in order, without the values of attributes; scripts and data left out. A `<` that is not ours
/// would be a tag here.
fn tags(page: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("tags end");
        let tag: String =
            rest[start..=end].split('"').step_by(2).collect::<Vec<&str>>().join("\"\"");
        rest = &rest[end + 1..];
        if tag.starts_with("<script") || tag.starts_with("<style") {
            let closing = if tag.starts_with("<script") { "</script>" } else { "</style>" };
            rest = &rest[rest.find(closing).expect("they end, too")..];
        }
        tags.push(tag);
    }
    tags
}

#[test]
fn two_hundred_hostile_names_in_every_field_leave_the_same_elements_and_clean_text() {
    let plain = with_hostile(FIELDS, "").map(|page| tags(&page));
    for name in hostile_names() {
        for field in 0..FIELDS {
            for (page, plain) in with_hostile(field, &name).iter().zip(&plain) {
                let tags = tags(page);
                // A label in a narrow bar may be there or not: that alone may differ.
                let known: BTreeSet<&String> = plain.iter().collect();
                let count = |tags: &[String]| tags.iter().filter(|t| !t.contains("text")).count();
                assert_eq!(count(&tags), count(plain), "field {field}: {name:?}");
                assert!(tags.iter().all(|tag| known.contains(tag)), "field {field}: {name:?}");
                for c in page.chars() {
                    let bidi = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}'
                        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
                    let bad = (c.is_control() && c != '\n') || bidi;
                    assert!(!bad, "field {field}: {name:?} brought U+{:04X}", c as u32);
                }
            }
        }
    }
}

#[test]
fn a_name_of_a_megabyte_does_not_make_a_megabyte() {
    let plain = with_hostile(FIELDS, "").map(|page| page.len());
    for field in 0..FIELDS {
        for (page, plain) in with_hostile(field, &"long::".repeat(170_000)).iter().zip(plain) {
            assert!(page.len() < plain + 20_000, "field {field}: {} bytes", page.len());
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(with_hostile(FIELDS, ""), with_hostile(FIELDS, ""));
}

#[test]
fn a_page_asks_for_nothing_from_elsewhere() {
    for page in with_hostile(FIELDS, "") {
        let head = page.split_once("<body>").unwrap().0;
        assert!(head.contains("default-src 'none'"));
        for tag in tags(&page) {
            for forbidden in
                [" src=", " href=", " on", "<link", "<iframe", "<object", "<img", " style="]
            {
                assert!(!tag.contains(forbidden), "{tag}");
            }
        }
    }
}
