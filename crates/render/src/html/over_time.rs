//! When and where weight was measured, as columns: cells of time, groups, and rows in the order of the tree.

use profile::{TimeCell, TimeGroup, TimeRow};
use serde::Serialize;

use super::Times;
use super::columns::{Columns, Texts};
use crate::safe_text;

/// Names of threads, control groups and hosts are cut in the middle at this many characters.
const LONGEST_NAME: usize = 200;

/// The cells of one capture, which stand one behind the other.
#[derive(Serialize, Debug)]
pub(super) struct Capture {
    cells: usize,
    cell_ms: f64,
    start_unix_ms: Option<f64>,
}

/// Writes cells, groups and rows; `order` is the order of the tree's nodes. What is said of captures.
pub(super) fn write(columns: &mut Columns, times: Times<'_>, order: &[u32]) -> Vec<Capture> {
    let timeline = times.timeline;
    columns.values("cell_ms", timeline.cells.iter().map(|cell| cell.observed_ns as f64 / 1e6));
    write_groups(columns, &timeline.groups);
    let mut places = vec![0u32; order.len()];
    for (place, node) in order.iter().enumerate() {
        places[*node as usize] = place as u32;
    }
    let mut rows: Vec<TimeRow> = timeline.rows.clone();
    rows.iter_mut().for_each(|row| row.node = places[row.node as usize]);
    rows.sort_unstable();
    // Steps from row to row: from node to node, and within one from cell to cell.
    let mut last = (0, 0);
    let mut steps = Vec::with_capacity(rows.len());
    for row in &rows {
        let from = if row.node == last.0 { last.1 } else { 0 };
        steps.push((row.node - last.0, row.cell - from));
        last = (row.node, row.cell);
    }
    columns.varints("row_node", steps.iter().map(|step| step.0));
    columns.varints("row_cell", steps.iter().map(|step| step.1));
    columns.varints("row_group", rows.iter().map(|row| row.group));
    columns.values("row_weight", rows.iter().map(|row| row.weight as f64));
    let captures = timeline.cells.chunk_by(|a, b| a.capture == b.capture);
    captures.map(|cells| capture(cells, times.starts_unix_ns)).collect()
}

fn capture(cells: &[TimeCell], starts_unix_ns: &[Option<u64>]) -> Capture {
    let first = cells[0];
    let length_ns =
        cells.get(1).map_or(first.observed_ns, |next| next.start_ns.saturating_sub(first.start_ns));
    let start = starts_unix_ns.get(first.capture as usize).copied().flatten();
    Capture {
        cells: cells.len(),
        cell_ms: length_ns as f64 / 1e6,
        start_unix_ms: start.map(|ns| (ns / 1_000_000) as f64),
    }
}

fn write_groups(columns: &mut Columns, groups: &[TimeGroup]) {
    let mut texts = Texts::default();
    let clean = |text: &str| safe_text::clean_up_to(text, LONGEST_NAME).into_owned();
    type Part = (&'static str, fn(&TimeGroup) -> String);
    let parts: [Part; 5] = [
        ("group_host", |group| group.host.clone()),
        ("group_cgroup", |group| group.cgroup.clone()),
        ("group_process", |group| group.process.clone()),
        ("group_thread", |group| group.thread.clone()),
        ("group_cpu", |group| group.cpu.map_or_else(String::new, |cpu| format!("CPU {cpu}"))),
    ];
    for (name, part) in parts {
        let rows: Vec<u32> = groups.iter().map(|group| texts.row(&clean(&part(group)))).collect();
        columns.varints(name, rows);
    }
    columns.lines("group_texts", &texts.list);
}
