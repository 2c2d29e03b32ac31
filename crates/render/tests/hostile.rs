//! Names chosen by an attacker, in every field and every output.

mod hostile_names;
mod strict_xml;

use std::collections::BTreeSet;

use hostile_names::hostile_names;
use profile::{CallTree, Caption, DiffNode, DiffTree, Frame, FrameId, FrameKind, Grade, Warning};
use render::terminal::{
    DiffRow, SortBy, TableOptions, call_tree, diff_functions, diff_tree, top_functions,
};
use render::{SvgOptions, folded, svg};
use strict_xml::shape;

fn frame(name: &str, module: &str, kind: FrameKind) -> Frame {
    Frame::new(name, module, kind)
}

/// A picture with `name` in the field number `field`, and plain words in the others.
fn with_hostile(field: usize, name: &str) -> [String; 2] {
    let pick = |at: usize, plain: &str| if at == field { name } else { plain }.to_owned();
    let mut tree = CallTree::new();
    let process = tree.frames.intern(frame("server (1)", "", FrameKind::Process));
    let function = tree.frames.intern(frame(&pick(0, "plain"), &pick(1, "mod"), FrameKind::User));
    tree.add(&[process, function], 10);
    let words = Caption {
        title: pick(2, "title"),
        subtitle: pick(3, "subtitle"),
        warnings: vec![Warning { incomplete: true, text: pick(4, "INCOMPLETE: cut") }],
        footer: vec![pick(5, "footer")],
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
    let nodes = vec![node(0, process), node(0, process), node(1, function)];
    let diff = DiffTree {
        frames: tree.frames.clone(),
        nodes,
        unit: "cores",
        judged_by: profile::JudgedBy::Counting,
    };
    let options = SvgOptions::default();
    [svg::flamegraph(&tree, &words, &options), svg::diff_flamegraph(&diff, &words, &options)]
}

#[test]
fn two_hundred_hostile_names_in_every_field_leave_the_same_elements() {
    const CAPTION: usize = 2; // fields from here on may wrap into more lines of text
    let plain = with_hostile(0, "plain").map(|picture| shape(&picture));
    let wrapped = |shape: &[String]| -> BTreeSet<String> { shape.iter().cloned().collect() };
    for name in hostile_names() {
        for field in 0..6 {
            for (picture, plain) in with_hostile(field, &name).iter().zip(&plain) {
                let shape = shape(picture);
                if field < CAPTION {
                    assert_eq!(&shape, plain, "field {field}: {name:?}");
                } else {
                    let known = wrapped(plain);
                    let new: Vec<_> = wrapped(&shape).difference(&known).cloned().collect();
                    assert!(new.is_empty(), "field {field}: {name:?} brought {new:?}");
                }
            }
        }
    }
}

#[test]
fn a_name_of_a_megabyte_does_not_make_a_megabyte() {
    for field in 0..6 {
        for picture in with_hostile(field, &"long::".repeat(170_000)) {
            assert!(picture.len() < 60_000, "field {field}: {} bytes", picture.len());
        }
    }
}

fn assert_harmless(text: &str, name: &str) {
    for c in text.chars() {
        let bidi = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}');
        assert!((!c.is_control() || c == '\n') && !bidi, "{name:?} brought U+{:04X}", c as u32);
    }
}

#[test]
fn two_hundred_hostile_names_stay_one_line_of_folded_stacks() {
    for name in hostile_names() {
        let mut tree = CallTree::new();
        let outer = tree.frames.intern(frame("outer", "", FrameKind::User));
        let inner = tree.frames.intern(frame(&name, "m", FrameKind::User));
        tree.add(&[outer, inner], 7);
        let mut out = Vec::new();
        folded::write(&tree, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_harmless(&text, &name);
        assert_eq!((text.matches('\n').count(), text.matches(';').count()), (1, 1), "{name:?}");
        assert!(text.starts_with("outer;") && text.ends_with(" 7\n"), "{name:?}: {text}");
    }
}

#[test]
fn two_hundred_hostile_names_stay_one_line_of_a_table() {
    let options = TableOptions { rows: 9, width: 80, color: false };
    for name in hostile_names() {
        let mut tree = CallTree::new();
        let id: FrameId = tree.frames.intern(frame(&name, &name, FrameKind::User));
        tree.add(&[id], 7);
        let top = top_functions(&tree, &Caption::default(), SortBy::Total, &options);
        let row = DiffRow {
            name: &name,
            module: &name,
            before: 1.0,
            after: 2.0,
            grade: Grade::Grew,
            interval: None,
            label: String::new(),
        };
        let diff = diff_functions(&[row], "cores", &options);
        let calls = call_tree(&tree, &Caption::default(), &options);
        let node = |before_total, after_total| DiffNode {
            parent: 0,
            frame: id,
            before_self: 0.0,
            before_total,
            after_self: 0.0,
            after_total,
            grade: Grade::Grew,
        };
        let nodes = vec![node(1.0, 2.0), node(1.0, 2.0)];
        let changes = diff_tree(
            &DiffTree {
                frames: tree.frames.clone(),
                nodes,
                unit: "cores",
                judged_by: profile::JudgedBy::Counting,
            },
            &options,
        );
        for table in [top, diff, calls, changes] {
            assert_harmless(&table, &name);
            assert_eq!(table.lines().count(), 2, "{name:?}: {table}");
        }
    }
}
