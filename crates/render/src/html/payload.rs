//! The data of the viewer: a JSON head, and columns in pre-order. `viewer/src/payload.ts` reads them.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use profile::{Frame, FrameId, FrameKind, FrameTable, Grade, JudgedBy};
use serde::Serialize;

use super::columns::{Column, Columns, Texts};
use super::{FunctionVerdict, Report, Subject, over_time};
use crate::palette::{Paint, SHADES, shade_of_name};
use crate::safe_text;

/// Names are cut in the middle at this many characters; modules and files, too.
const LONGEST_NAME: usize = 1000;
const LONGEST_MODULE: usize = 200;

/// Counted up when the viewer could not read older data.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Head<'a> {
    version: u32,
    kind: &'static str,
    unit: &'a str,
    weight_per_unit: f64,
    sample_weight: f64,
    judged_by: Option<&'static str>,
    captures: Vec<over_time::Capture>,
    paints: Vec<PaintRow>,
    build_ids: Vec<(String, String)>,
    columns: &'a [Column],
}

#[derive(Serialize)]
struct PaintRow {
    letter: char,
    words: &'static str,
    light: Vec<String>,
    dark: Vec<String>,
}

fn paints() -> Vec<PaintRow> {
    let row = |paint: Paint| PaintRow {
        letter: paint.letter(),
        words: paint.describe(),
        light: (0..SHADES).map(|shade| paint.light(shade).to_string()).collect(),
        dark: (0..SHADES).map(|shade| paint.dark(shade).to_string()).collect(),
    };
    Paint::ALL.into_iter().map(row).collect()
}

/// Head and columns, compressed, in base64.
pub(super) fn payload(report: &Report<'_>) -> String {
    let mut columns = Columns::default();
    let (kind, unit, weight_per_unit, sample_weight, judged_by);
    let mut captures = Vec::new();
    match report.subject {
        Subject::Profile { tree, times, sample_weight: sample } => {
            let parents: Vec<(u32, FrameId)> =
                tree.nodes().iter().map(|node| (node.parent, node.frame)).collect();
            let (order, _) = write_tree(&mut columns, &tree.frames, &parents);
            let own = |node: &u32| tree.nodes()[*node as usize].self_weight as f64;
            columns.values("self", order.iter().map(own));
            captures =
                times.map_or_else(Vec::new, |times| over_time::write(&mut columns, times, &order));
            (kind, unit, judged_by) = ("profile", report.caption.unit, None);
            weight_per_unit = report.caption.weight_per_unit.max(1) as f64;
            sample_weight = sample as f64;
        }
        Subject::Diff { tree, verdicts, .. } => {
            let parents: Vec<(u32, FrameId)> =
                tree.nodes.iter().map(|node| (node.parent, node.frame)).collect();
            let (order, functions) = write_tree(&mut columns, &tree.frames, &parents);
            let node = |index: &u32| tree.nodes[*index as usize];
            columns.values("before", order.iter().map(|index| node(index).before_self));
            columns.values("after", order.iter().map(|index| node(index).after_self));
            columns.bytes("grade", order.iter().map(|index| grade(node(index).grade)));
            let number =
                |verdict: &FunctionVerdict| functions[tree.frames.function(verdict.frame) as usize];
            columns.varints("verdict_function", verdicts.iter().map(number));
            columns.bytes("verdict_own", verdicts.iter().map(|v| grade(v.own.grade)));
            columns.bytes("verdict_total", verdicts.iter().map(|v| grade(v.total.grade)));
            (kind, unit, weight_per_unit, sample_weight) = ("diff", tree.unit, 1.0, 0.0);
            judged_by = Some(match tree.judged_by {
                JudgedBy::Noise => "noise",
                JudgedBy::Counting => "counting",
                JudgedBy::Nothing => "nothing",
            });
        }
    }
    columns.numbers();
    let clean = |text: &str| safe_text::clean_up_to(text, LONGEST_MODULE).into_owned();
    let build_ids =
        report.modules.iter().map(|module| (clean(&module.name), clean(&module.build_id)));
    let head = Head {
        version: VERSION,
        kind,
        unit,
        weight_per_unit,
        sample_weight,
        judged_by,
        captures,
        paints: paints(),
        build_ids: build_ids.collect(),
        columns: &columns.list,
    };
    // Strings, numbers and lists of them: nothing that cannot be written.
    let head = serde_json::to_vec(&head).expect("an object of strings and numbers");
    let mut data = ZlibEncoder::new(Vec::new(), Compression::new(7));
    let written = data
        .write_all(&(head.len() as u32).to_le_bytes())
        .and_then(|()| data.write_all(&head))
        .and_then(|()| data.write_all(&columns.data))
        .and_then(|()| data.finish());
    BASE64.encode(written.expect("memory can be written"))
}

fn grade(grade: Grade) -> u8 {
    match grade {
        Grade::Noise => 0,
        Grade::Grew => 1,
        Grade::Shrank => 2,
    }
}

/// Writes frames and shape of a tree; the order in which its nodes were written, and the number that each
/// function got. Siblings stand in order of their names, as in every picture.
fn write_tree(
    columns: &mut Columns,
    frames: &FrameTable,
    nodes: &[(u32, FrameId)],
) -> (Vec<u32>, Vec<u32>) {
    let by_name = ranks_by_name(frames);
    let order = pre_order(nodes, &by_name);
    let mut depths = vec![0u32; nodes.len()];
    for (index, (parent, _)) in nodes.iter().enumerate().skip(1) {
        depths[index] = depths[*parent as usize] + 1;
    }
    // Up by how many steps from the last node to this one's parent: nearly always none.
    let ups = order.windows(2).map(|pair| {
        let [last, next] = [0, 1].map(|i: usize| depths[pair[i] as usize]);
        last + 1 - next
    });
    columns.varints("up", ups);

    // Frames by how many nodes have them: numbers of one byte for most.
    let mut counts = vec![0u32; frames.len()];
    for node in &order[1..] {
        counts[nodes[*node as usize].1.0 as usize] += 1;
    }
    let mut used: Vec<u32> = (0..frames.len() as u32).filter(|f| counts[*f as usize] > 0).collect();
    used.sort_unstable_by_key(|f| (std::cmp::Reverse(counts[*f as usize]), by_name[*f as usize]));
    let mut rows = vec![0u32; frames.len()];
    for (row, frame) in used.iter().enumerate() {
        rows[*frame as usize] = row as u32;
    }
    columns
        .varints("frame", order[1..].iter().map(|node| rows[nodes[*node as usize].1.0 as usize]));
    let functions = write_frames(columns, frames, &used);
    (order, functions)
}

fn ranks_by_name(frames: &FrameTable) -> Vec<u32> {
    let mut sorted: Vec<(FrameId, &Frame)> = frames.iter().collect();
    sorted.sort_by(|(_, a), (_, b)| crate::svg::by_name(a, b));
    let mut ranks = vec![0; frames.len()];
    for (rank, (id, _)) in sorted.iter().enumerate() {
        ranks[id.0 as usize] = rank as u32;
    }
    ranks
}

fn pre_order(nodes: &[(u32, FrameId)], by_name: &[u32]) -> Vec<u32> {
    // Children of one node side by side: sorted by parent, then by name.
    let mut children: Vec<u32> = (1..nodes.len() as u32).collect();
    children.sort_unstable_by_key(|child| {
        let (parent, frame) = nodes[*child as usize];
        (parent, by_name[frame.0 as usize])
    });
    let mut first = vec![0u32; nodes.len() + 1];
    for (parent, _) in &nodes[1..] {
        first[*parent as usize + 1] += 1;
    }
    for node in 0..nodes.len() {
        first[node + 1] += first[node];
    }
    let mut order = Vec::with_capacity(nodes.len());
    let mut work = vec![0u32];
    while let Some(node) = work.pop() {
        order.push(node);
        let range = first[node as usize] as usize..first[node as usize + 1] as usize;
        work.extend(children[range].iter().rev());
    }
    order
}

/// Writes what is known of frames; the number that each function got.
fn write_frames(columns: &mut Columns, frames: &FrameTable, used: &[u32]) -> Vec<u32> {
    let frame = |row: &u32| frames.get(FrameId(*row));
    let names: Vec<String> = used
        .iter()
        .map(|row| match safe_text::clean_up_to(&frame(row).name, LONGEST_NAME) {
            name if name.trim().is_empty() => "[no name]".to_owned(),
            name => name.into_owned(),
        })
        .collect();
    columns.lines("names", &names);
    let mut functions = vec![u32::MAX; frames.function_count()];
    let mut next = 0;
    let numbers: Vec<u32> = used
        .iter()
        .map(|row| {
            let number = &mut functions[frames.function(FrameId(*row)) as usize];
            if *number == u32::MAX {
                *number = next;
                next += 1;
            }
            *number
        })
        .collect();
    columns.varints("function", numbers);
    let (mut modules, mut files, mut sources) =
        (Texts::default(), Texts::default(), Texts::default());
    let clean = |text: &str| safe_text::clean_up_to(text, LONGEST_MODULE).into_owned();
    let module = |row: &u32| modules.row(&clean(&frame(row).module));
    columns.varints("module", used.iter().map(module).collect::<Vec<u32>>());
    let file =
        |row: &u32| files.row(&clean(&without_home(frame(row).file.as_deref().unwrap_or(""))));
    columns.varints("file", used.iter().map(file).collect::<Vec<u32>>());
    let source = |row: &u32| sources.row(&name_source(frame(row)));
    columns.varints("source", used.iter().map(source).collect::<Vec<u32>>());
    columns.lines("modules", &modules.list);
    columns.lines("files", &files.list);
    columns.lines("sources", &sources.list);
    columns.bytes("paint", used.iter().map(|row| Paint::of_frame(frame(row)).letter() as u8));
    columns.bytes("shade", used.iter().map(|row| shade_of_name(&frame(row).name)));
    functions
}

/// Who said the name, or why there is none.
fn name_source(frame: &Frame) -> String {
    match frame.kind {
        FrameKind::NoName(why) => format!("none: {}", why.describe()),
        FrameKind::Process | FrameKind::Marker => String::new(),
        _ => frame.source.describe().to_owned(),
    }
}

/// A source file's path without the name of the user whose home it lies in.
fn without_home(path: &str) -> String {
    for homes in ["/home/", "/Users/"] {
        if let Some(rest) = path.strip_prefix(homes) {
            return rest
                .split_once('/')
                .map_or_else(|| "~".into(), |(_, rest)| format!("~/{rest}"));
        }
    }
    path.strip_prefix("/root/").map_or_else(|| path.to_owned(), |rest| format!("~/{rest}"))
}
