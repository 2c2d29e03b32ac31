//! Folded stacks: one line for each stack, `root;caller;leaf 12`, as flamegraph.pl, inferno and
//! speedscope read them.
//!
//! The format has no escapes, so a `;` inside a name becomes `:`. Marks follow the usual
//! convention: `_[k]` kernel, `_[i]` inlined, `_[j]` compiled at run time. Modules are not part of
//! it; stacks that then read the same are one line. Lines are sorted frame by frame.

use std::io::{self, Write};

use profile::{CallTree, Frame, FrameKind};
use rustc_hash::FxHashMap;

use crate::safe_text;

/// A name of this many characters is cut in the middle.
const LONGEST_NAME: usize = 4096;

/// Writes every stack that has weight of its own, in whole weights.
///
/// # Errors
/// Those of `out`.
pub fn write(tree: &CallTree, out: &mut dyn Write) -> io::Result<()> {
    let labels: Vec<String> = tree.frames.iter().map(|(_, frame)| label(frame)).collect();
    let merged = Merged::new(tree, &labels);
    let mut path: Vec<u32> = Vec::new(); // merged nodes, the root's child first
    let mut line = String::new();
    let mut ends: Vec<usize> = Vec::new(); // length of `line` up to each node of `path`
    let mut work: Vec<u32> = merged.children[0].iter().rev().copied().collect();
    while let Some(node) = work.pop() {
        let parent = merged.parents[node as usize];
        while path.last().is_some_and(|last| *last != parent) {
            path.pop();
            ends.pop();
        }
        line.truncate(ends.last().copied().unwrap_or(0));
        if !line.is_empty() {
            line.push(';');
        }
        line.push_str(&labels[merged.label[node as usize] as usize]);
        path.push(node);
        ends.push(line.len());
        let weight = merged.weight[node as usize];
        if weight > 0 {
            writeln!(out, "{line} {weight}")?;
        }
        work.extend(merged.children[node as usize].iter().rev());
    }
    let own = tree.nodes()[0].self_weight;
    if own > 0 {
        writeln!(out, "[no stack] {own}")?;
    }
    Ok(())
}

/// The tree over what can be told apart in this format. Node 0 is the root.
struct Merged {
    parents: Vec<u32>,
    label: Vec<u32>,
    weight: Vec<u64>,
    children: Vec<Vec<u32>>,
}

impl Merged {
    fn new(tree: &CallTree, labels: &[String]) -> Self {
        // Equal labels get one number, the first frame's.
        let mut first: FxHashMap<&str, u32> = FxHashMap::default();
        let number: Vec<u32> = labels
            .iter()
            .enumerate()
            .map(|(i, label)| *first.entry(label).or_insert(i as u32))
            .collect();
        let mut merged =
            Self { parents: vec![0], label: vec![0], weight: vec![0], children: vec![Vec::new()] };
        let mut known: FxHashMap<(u32, u32), u32> = FxHashMap::default();
        let mut place: Vec<u32> = vec![0];
        for node in &tree.nodes()[1..] {
            let parent = place[node.parent as usize];
            let label = number[node.frame.0 as usize];
            let at = *known.entry((parent, label)).or_insert_with(|| {
                let id = merged.parents.len() as u32;
                merged.parents.push(parent);
                merged.label.push(label);
                merged.weight.push(0);
                merged.children.push(Vec::new());
                merged.children[parent as usize].push(id);
                id
            });
            merged.weight[at as usize] += node.self_weight;
            place.push(at);
        }
        for list in &mut merged.children {
            list.sort_by_key(|node| &labels[merged.label[*node as usize] as usize]);
        }
        merged
    }
}

fn label(frame: &Frame) -> String {
    let mut name = safe_text::clean_up_to(&frame.name, LONGEST_NAME).replace(';', ":");
    if name.trim().is_empty() {
        name = "[no name]".into();
    }
    name.push_str(match frame.kind {
        FrameKind::Kernel => "_[k]",
        FrameKind::Jit => "_[j]",
        _ if frame.inlined => "_[i]",
        _ => "",
    });
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(tree: &CallTree) -> String {
        let mut out = Vec::new();
        write(tree, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn stacks_are_sorted_marked_and_summed() {
        let mut tree = CallTree::new();
        let main = tree.frames.intern(Frame::new("main", "x", FrameKind::User));
        let kernel = tree.frames.intern(Frame::new("do_idle", "[kernel]", FrameKind::Kernel));
        let inlined =
            tree.frames.intern(Frame { inlined: true, ..Frame::new("a::b", "x", FrameKind::User) });
        let jit = tree.frames.intern(Frame::new("LazyCompile:*f", "", FrameKind::Jit));
        let twin = tree.frames.intern(Frame::new("main", "y", FrameKind::User));
        tree.add(&[main, kernel], 3);
        tree.add(&[main, inlined], 4);
        tree.add(&[main], 1);
        tree.add(&[jit], 2);
        tree.add(&[twin, kernel], 5);
        tree.add(&[], 7);
        assert_eq!(
            folded(&tree),
            "LazyCompile:*f_[j] 2\nmain 1\nmain;a::b_[i] 4\nmain;do_idle_[k] 8\n[no stack] 7\n"
        );
    }

    #[test]
    fn no_name_breaks_a_line_or_forges_a_frame() {
        let mut tree = CallTree::new();
        for name in ["a;b 5\nevil 9", "\u{1b}[31m", "", " "] {
            let id = tree.frames.intern(Frame::new(name, "", FrameKind::User));
            tree.add(&[id], 1);
        }
        assert_eq!(folded(&tree), "[no name] 2\na:b 5 evil 9 1\n\u{fffd}[31m 1\n");
    }

    #[test]
    fn a_stack_ten_thousand_deep_is_one_line() {
        let mut tree = CallTree::new();
        let f = tree.frames.intern(Frame::new("f", "", FrameKind::User));
        tree.add(&vec![f; 10_000], 1);
        assert_eq!(folded(&tree).matches(';').count(), 9_999);
    }
}
