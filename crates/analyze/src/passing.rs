//! Functions that do nothing but call one other: in a table of totals they are a dozen rows that say
//! the same. (Every Rust program has fifteen of them above its `main`.)

use profile::{CallTree, DiffTree, FrameId, FrameKind, FrameTable};

/// One node of either tree, as far as it matters here.
#[derive(Clone, Copy)]
struct Step {
    parent: u32,
    frame: FrameId,
    has_self: bool,
}

/// By function number: whether each of its frames has no time of its own and exactly one callee.
/// Markers, which are no functions, count as passing on wherever they have no time of their own.
#[must_use]
pub fn functions(tree: &CallTree) -> Vec<bool> {
    let step = |n: &profile::CallNode| Step {
        parent: n.parent,
        frame: n.frame,
        has_self: n.self_weight > 0,
    };
    passing(&tree.frames, tree.nodes().iter().map(step))
}

/// By function number: whether none of its frames has time of its own.
#[must_use]
pub fn without_self(tree: &CallTree) -> Vec<bool> {
    let mut without = vec![true; tree.frames.function_count()];
    for node in tree.nodes().iter().skip(1).filter(|node| node.self_weight > 0) {
        without[tree.frames.function(node.frame) as usize] = false;
    }
    without
}

/// [`functions`] of a comparison, where both sides together count.
#[must_use]
pub fn functions_of_diff(tree: &DiffTree) -> Vec<bool> {
    let step = |n: &profile::DiffNode| Step {
        parent: n.parent,
        frame: n.frame,
        has_self: n.before_self > 0.0 || n.after_self > 0.0,
    };
    passing(&tree.frames, tree.nodes.iter().map(step))
}

fn passing(frames: &FrameTable, steps: impl Iterator<Item = Step>) -> Vec<bool> {
    let steps: Vec<Step> = steps.collect();
    let mut callees = vec![0u32; steps.len()];
    for step in steps.iter().skip(1) {
        callees[step.parent as usize] += 1;
    }
    let mut passing = vec![true; frames.function_count()];
    for (step, callees) in steps.iter().zip(callees).skip(1) {
        let is_marker = frames.get(step.frame).kind == FrameKind::Marker;
        if step.has_self || (callees != 1 && !is_marker) {
            passing[frames.function(step.frame) as usize] = false;
        }
    }
    passing
}

/// The tree without the frames of some functions; what they call hangs to what called them.
#[must_use]
pub fn without(tree: &CallTree, left_out: &[bool]) -> CallTree {
    let mut rest = CallTree::with_frames(tree.frames.clone());
    let mut place = vec![CallTree::ROOT; tree.nodes().len()];
    rest.add_self(CallTree::ROOT, tree.nodes()[0].self_weight);
    for (index, node) in tree.nodes().iter().enumerate().skip(1) {
        let parent = place[node.parent as usize];
        place[index] = match left_out[tree.frames.function(node.frame) as usize] {
            true => parent,
            false => rest.child(parent, node.frame),
        };
        rest.add_self(place[index], node.self_weight);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::Frame;

    #[test]
    fn what_only_passes_on_is_left_out_and_all_other_totals_stay() {
        let mut tree = CallTree::new();
        for (stack, weight) in
            [("start main serve read", 5), ("start main [mark] serve", 3), ("start main work", 2)]
        {
            let ids: Vec<FrameId> = stack
                .split(' ')
                .map(|name| {
                    let kind =
                        if name.starts_with('[') { FrameKind::Marker } else { FrameKind::User };
                    tree.frames.intern(Frame::new(name, "m", kind))
                })
                .collect();
            tree.add(&ids, weight);
        }
        let rest = without(&tree, &functions(&tree));
        let mut rows: Vec<(String, u64, u64)> = rest
            .functions()
            .into_iter()
            .map(|f| (rest.frames.get(f.frame).name.to_string(), f.self_weight, f.total_weight))
            .collect();
        rows.sort();
        let row = |name: &str, own, total| (name.to_owned(), own, total);
        assert_eq!(
            rows,
            [row("main", 0, 10), row("read", 5, 5), row("serve", 3, 8), row("work", 2, 2)]
        );
        assert_eq!(rest.total(), tree.total());
    }
}
