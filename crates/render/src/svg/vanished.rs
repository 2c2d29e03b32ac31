//! What is gone: functions and calls of the base that the new side does not have. In a picture of a
//! comparison they are narrow or anywhere; below it they are a list.

use std::cmp::Ordering;

use profile::{DiffTree, Grade};

use crate::{amount, safe_text};

const LISTED: usize = 8;
const LONGEST_NAME: usize = 120;

/// The list, a line each, the heaviest first: the topmost paths that only the base has and whose loss is
/// no noise.
pub(super) fn lines(tree: &DiffTree) -> Vec<String> {
    let is_gone = |index: u32| {
        let node = &tree.nodes[index as usize];
        node.after_total <= 0.0 && node.before_total > 0.0
    };
    let mut gone: Vec<u32> = (1..tree.nodes.len() as u32)
        .filter(|index| {
            let node = &tree.nodes[*index as usize];
            node.grade == Grade::Shrank && is_gone(*index) && !is_gone(node.parent)
        })
        .collect();
    let before = |index: u32| tree.nodes[index as usize].before_total;
    gone.sort_by(|a, b| before(*b).partial_cmp(&before(*a)).unwrap_or(Ordering::Equal));
    let mut lines: Vec<String> = gone.iter().take(LISTED).map(|index| line(tree, *index)).collect();
    if gone.len() > LISTED {
        lines.push(format!("and {} more", gone.len() - LISTED));
    }
    lines
}

fn line(tree: &DiffTree, index: u32) -> String {
    let node = &tree.nodes[index as usize];
    let frame = tree.frames.get(node.frame);
    let name = safe_text::clean_up_to(&frame.name, LONGEST_NAME);
    let unit = safe_text::clean(tree.unit);
    let mut line = format!("{} {unit}  {name}", amount::signed(-node.before_total));
    if !frame.module.is_empty() {
        line.push_str(&format!(" ({})", safe_text::clean_up_to(&frame.module, LONGEST_NAME)));
    }
    if node.parent != 0 {
        let caller = tree.frames.get(tree.nodes[node.parent as usize].frame);
        line.push_str(&format!(", of {}", safe_text::clean_up_to(&caller.name, LONGEST_NAME)));
    }
    line
}
