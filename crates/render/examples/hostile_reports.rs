//! Writes HTML reports full of hostile names, for a browser: `cargo run -p render --example hostile_reports DIR`.
//! `all.html` and `all.diff.html` have all of them in every list and every frame, `title-N.html` one each where a
//! page has only one text. `plain.html` and `plain.diff.html` have as many harmless names.

#[path = "../tests/hostile_names/mod.rs"]
mod hostile_names;

use std::path::Path;

use hostile_names::hostile_names;
use profile::{
    CallTree, Caption, DiffNode, DiffTree, Frame, FrameKind, Grade, JudgedBy, TimeCell, TimeGroup,
    TimeRow, Timeline, Warning,
};
use render::html::{
    FunctionVerdict, Judged, ModuleFacts, Provenance, Report, Subject, Times, report,
};

/// A tree with each name as function, module, file and process.
fn tree(names: &[String]) -> CallTree {
    let mut tree = CallTree::new();
    for (number, name) in names.iter().enumerate() {
        let process = tree.frames.intern(Frame::new(name, "", FrameKind::Process));
        let frame = |name: String| Frame {
            file: Some(name.as_str().into()),
            ..Frame::new(&name, &name, FrameKind::User)
        };
        let outer = tree.frames.intern(frame(name.clone()));
        let inner = tree.frames.intern(frame(format!("{number} {name}")));
        tree.add(&[process, outer, inner], 1 + number as u64);
    }
    tree
}

fn compared(tree: &CallTree) -> (DiffTree, Vec<FunctionVerdict>) {
    let totals = tree.totals();
    let node = |(node, total): (&profile::CallNode, &u64)| DiffNode {
        parent: node.parent,
        frame: node.frame,
        before_self: 0.0,
        before_total: 0.0,
        after_self: node.self_weight as f64,
        after_total: *total as f64,
        grade: Grade::Grew,
    };
    let nodes: Vec<DiffNode> = tree.nodes().iter().zip(&totals).map(node).collect();
    let judged = Judged {
        before: 0.0,
        after: 1.0,
        grade: Grade::Grew,
        word: "grew",
        interval: Some((0.5, 1.5)),
    };
    let verdict = |row: &DiffNode| FunctionVerdict {
        frame: row.frame,
        own: judged,
        total: judged,
        labels: vec!["new"],
    };
    let verdicts = nodes[1..].iter().map(verdict).collect();
    let judged_by = JudgedBy::Counting;
    (DiffTree { frames: tree.frames.clone(), nodes, unit: "cores", judged_by }, verdicts)
}

/// A row for each name, in groups whose every part has that name.
fn timeline(names: &[String]) -> Timeline {
    let cell = |number| TimeCell { capture: 0, start_ns: number, observed_ns: 1 };
    // Numbered, for what is left of some names is the same.
    let group = |(number, name): (usize, &String)| {
        let name = format!("{number} {name}");
        TimeGroup {
            host: name.clone(),
            cgroup: name.clone(),
            process: name.clone(),
            thread: name,
            cpu: None,
        }
    };
    let row = |group| TimeRow { node: 1, cell: group % 2, group, weight: 1 };
    Timeline {
        cells: vec![cell(0), cell(1)],
        rows: (0..names.len() as u32).map(row).collect(),
        groups: names.iter().enumerate().map(group).collect(),
    }
}

/// A profile's page and a comparison's.
fn pages(title: &str, names: &[String]) -> [String; 2] {
    let tree = tree(names);
    let (diff, verdicts) = compared(&tree);
    let warning = |text: &String| Warning { incomplete: true, text: text.clone() };
    let caption = Caption {
        title: title.into(),
        subtitle: title.into(),
        warnings: names.iter().map(warning).collect(),
        footer: names.to_vec(),
        unit: "samples",
        weight_per_unit: 1,
    };
    let facts = |name: &String| Provenance {
        heading: name.clone(),
        facts: vec![(name.clone(), name.clone())],
    };
    let provenance: Vec<Provenance> = names.iter().map(facts).collect();
    let module = |name: &String| ModuleFacts { name: name.clone(), build_id: name.clone() };
    let modules: Vec<ModuleFacts> = names.iter().map(module).collect();
    let timeline = timeline(names);
    let times = Times { timeline: &timeline, starts_unix_ns: &[None] };
    let subjects = [
        Subject::Profile { tree: &tree, times: Some(times), sample_weight: 1 },
        Subject::Diff { tree: &diff, verdicts: &verdicts, judged: title },
    ];
    subjects.map(|subject| {
        report(&Report {
            caption: &caption,
            findings: names,
            subject,
            provenance: &provenance,
            modules: &modules,
        })
    })
}

fn main() {
    let directory = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let write = |name: &str, page: &str| {
        let path = Path::new(&directory).join(name);
        std::fs::write(path, page).expect("the directory is there and writable");
    };
    let hostile = hostile_names();
    let plain: Vec<String> = (0..hostile.len()).map(|number| format!("name {number}")).collect();
    for (file, title, names) in [("all", hostile[0].as_str(), &hostile), ("plain", "title", &plain)]
    {
        let [profile, diff] = pages(title, names);
        write(&format!("{file}.html"), &profile);
        write(&format!("{file}.diff.html"), &diff);
    }
    for (number, name) in hostile.iter().enumerate() {
        let [profile, diff] = pages(name, &plain[..1]);
        write(&format!("title-{number}.html"), if number % 2 == 0 { &profile } else { &diff });
    }
}
