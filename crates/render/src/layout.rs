//! Turns a tree of weights into bars, in whole weight units.
//!
//! A bar's children stand side by side from its left edge, in the order of their names (as
//! flamegraph.pl merges them), so that the same function stands at the same place in two pictures;
//! the bar's own weight is the rest on the right. What is too narrow to see, or too much for the
//! file, is one merged bar behind its siblings, so every parent's weight is exactly the sum of its
//! children's bars and its own.

use std::cmp::Ordering;

/// The tree to lay out. A node's index is larger than its parent's; node 0 is the root.
pub(crate) struct Shape<'a> {
    /// Parent by node; the root is its own.
    pub parents: &'a [u32],
    /// Weight by node, everything below included; at least the sum of its children's.
    pub weights: &'a [u64],
}

/// How much fits.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Width of the whole.
    pub width_px: u32,
    /// Bars, the root's and merged ones included.
    pub most_bars: usize,
}

/// One rectangle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bar {
    pub what: What,
    /// 0 for the root.
    pub depth: u32,
    /// Distance of its left edge from the root's, in weight.
    pub start: u64,
    pub weight: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// A node of the tree.
    Node(u32),
    /// What is not drawn of the node `parent`: its hidden children and all frames below them.
    Merged { parent: u32, frames: u64 },
}

/// The picture's bars in pre-order: a bar's children follow it, deeper by one.
pub(crate) struct Layout {
    pub bars: Vec<Bar>,
    /// Whether a node has a bar of its own, by node.
    pub visible: Vec<bool>,
    /// Weight of the root.
    pub total: u64,
    /// Depth of the deepest bar.
    pub deepest: u32,
    /// Frames without a bar of their own.
    pub hidden_frames: u64,
}

/// Lays out `shape`; `order` sorts siblings.
pub(crate) fn lay_out(
    shape: &Shape<'_>,
    room: Room,
    order: impl Fn(u32, u32) -> Ordering,
) -> Layout {
    let visible = choose(shape, room);
    let merged = hidden_by_parent(shape, &visible);
    let children = visible_children(shape, &visible, order);
    let mut layout = Layout {
        bars: Vec::with_capacity(room.most_bars.min(visible.len())),
        total: shape.weights[0],
        deepest: 0,
        hidden_frames: merged.iter().map(|m| m.frames).sum(),
        visible,
    };
    // Own stack instead of recursion: stacks 10,000 deep are drawn, too.
    let mut work = vec![Bar { what: What::Node(0), depth: 0, start: 0, weight: layout.total }];
    while let Some(bar) = work.pop() {
        layout.bars.push(bar);
        layout.deepest = layout.deepest.max(bar.depth);
        let What::Node(node) = bar.what else { continue };
        let first = work.len();
        let mut start = bar.start;
        for child in children.of(node) {
            let weight = shape.weights[*child as usize];
            work.push(Bar { what: What::Node(*child), depth: bar.depth + 1, start, weight });
            start += weight;
        }
        if let Some(rest) = merged.get(children.dense(node)).filter(|m| m.weight > 0) {
            let what = What::Merged { parent: node, frames: rest.frames };
            work.push(Bar { what, depth: bar.depth + 1, start, weight: rest.weight });
        }
        work[first..].reverse();
    }
    layout
}

/// Nodes to draw: at least half a pixel wide, and no more than there is room for.
///
/// The widest are kept, of equally wide ones the shallower; parents are never narrower than their
/// children, so every kept node's parent is kept. Ties are kept or dropped together: the choice
/// does not depend on the order in which the tree was built.
fn choose(shape: &Shape<'_>, room: Room) -> Vec<bool> {
    let count = shape.weights.len();
    let total = u128::from(shape.weights[0]);
    let mut visible = vec![false; count];
    visible[0] = true;
    let wide =
        |weight: u64| weight > 0 && u128::from(weight) * 2 * u128::from(room.width_px) >= total;
    let mut depths = vec![0u32; count];
    let mut with_weight = vec![0u32; count]; // children that weigh something
    let mut candidates: Vec<u32> = Vec::new();
    for node in 1..count {
        let parent = shape.parents[node] as usize;
        depths[node] = depths[parent] + 1;
        with_weight[parent] += u32::from(shape.weights[node] > 0);
        if wide(shape.weights[node]) {
            candidates.push(node as u32);
        }
    }
    let key = |node: u32| (std::cmp::Reverse(shape.weights[node as usize]), depths[node as usize]);
    candidates.sort_unstable_by_key(|node| key(*node));
    let mut drawn_children = vec![0u32; count];
    let mut bars = 1 + usize::from(with_weight[0] > 0);
    let mut fitting = 0;
    for (i, node) in candidates.iter().enumerate() {
        let parent = shape.parents[*node as usize] as usize;
        drawn_children[parent] += 1;
        bars += 1 + usize::from(with_weight[*node as usize] > 0);
        bars -= usize::from(drawn_children[parent] == with_weight[parent]);
        let end_of_ties = candidates.get(i + 1).is_none_or(|next| key(*next) != key(*node));
        if end_of_ties && bars <= room.most_bars {
            fitting = i + 1;
        }
    }
    for node in &candidates[..fitting] {
        visible[*node as usize] = true;
    }
    visible
}

/// What stands behind one merged bar.
#[derive(Clone, Copy, Default)]
struct Hidden {
    frames: u64,
    weight: u64,
}

/// Hidden frames and weight of every visible node, in order of the visible nodes.
fn hidden_by_parent(shape: &Shape<'_>, visible: &[bool]) -> Vec<Hidden> {
    let mut frames = vec![0u64; visible.len()];
    let mut weight = vec![0u64; visible.len()];
    for node in (1..visible.len()).rev() {
        let parent = shape.parents[node] as usize;
        if !visible[node] && shape.weights[node] > 0 {
            frames[parent] += frames[node] + 1;
            if visible[parent] {
                weight[parent] += shape.weights[node];
            }
        }
    }
    (0..visible.len())
        .filter(|node| visible[*node])
        .map(|node| Hidden { frames: frames[node], weight: weight[node] })
        .collect()
}

/// Visible children by visible node.
struct Children {
    dense: Vec<u32>,
    lists: Vec<Vec<u32>>,
}

impl Children {
    fn dense(&self, node: u32) -> usize {
        self.dense[node as usize] as usize
    }

    fn of(&self, node: u32) -> &[u32] {
        &self.lists[self.dense(node)]
    }
}

fn visible_children(
    shape: &Shape<'_>,
    visible: &[bool],
    order: impl Fn(u32, u32) -> Ordering,
) -> Children {
    let mut dense = vec![0; visible.len()];
    let mut lists: Vec<Vec<u32>> = Vec::new();
    for node in (0..visible.len()).filter(|node| visible[*node]) {
        dense[node] = lists.len() as u32;
        lists.push(Vec::new());
        if node > 0 {
            lists[dense[shape.parents[node] as usize] as usize].push(node as u32);
        }
    }
    for list in &mut lists {
        list.sort_by(|a, b| order(*a, *b).then(a.cmp(b)));
    }
    Children { dense, lists }
}

/// Left edge and width of a bar in hundredths of a pixel. Both edges are rounded alike, so that
/// neighbours touch and children never stick out of their parents.
pub(crate) fn pixels(bar: &Bar, total: u64, width_px: u32) -> (u64, u64) {
    let edge = |weight: u64| {
        let scaled = u128::from(weight) * u128::from(width_px) * 100;
        (scaled / u128::from(total.max(1))) as u64
    };
    let left = edge(bar.start);
    let right = if total == 0 { u64::from(width_px) * 100 } else { edge(bar.start + bar.weight) };
    (left, right - left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Own weights to totals.
    fn shape_of(parents: &[u32], own: &[u64]) -> Vec<u64> {
        let mut weights = own.to_vec();
        for node in (1..parents.len()).rev() {
            weights[parents[node] as usize] += weights[node];
        }
        weights
    }

    fn laid_out(parents: &[u32], own: &[u64], width_px: u32, most_bars: usize) -> Layout {
        let weights = shape_of(parents, own);
        let shape = Shape { parents, weights: &weights };
        lay_out(&shape, Room { width_px, most_bars }, |a, b| a.cmp(&b))
    }

    /// Children's bars and own weight make up the parent, exactly, for every bar of the picture.
    fn assert_adds_up(layout: &Layout, own: &[u64]) {
        for (i, bar) in layout.bars.iter().enumerate() {
            let What::Node(node) = bar.what else { continue };
            let mut end = bar.start;
            let below = layout.bars[i + 1..].iter().take_while(|b| b.depth > bar.depth);
            for child in below.filter(|b| b.depth == bar.depth + 1) {
                assert_eq!(child.start, end, "side by side, without a gap");
                end += child.weight;
            }
            assert_eq!(end - bar.start + own[node as usize], bar.weight, "node {node}");
        }
    }

    #[test]
    fn narrow_children_merge_into_one_bar_that_counts_what_it_hides() {
        // root -> a(980) and b(1) -> c(1), d(1); 100 px wide, so half a pixel weighs 5.
        let layout = laid_out(&[0, 0, 0, 2, 0], &[7, 980, 0, 1, 1], 100, 1000);
        let bar = |what, start, weight| Bar { what, depth: 1, start, weight };
        assert_eq!(
            layout.bars[1..],
            [bar(What::Node(1), 0, 980), bar(What::Merged { parent: 0, frames: 3 }, 980, 2),]
        );
        assert_eq!((layout.total, layout.hidden_frames, layout.deepest), (989, 3, 1));
        assert_adds_up(&layout, &[7, 980, 0, 1, 1]);
    }

    #[test]
    fn half_a_pixel_is_wide_enough() {
        let layout = laid_out(&[0, 0, 0], &[991, 5, 4], 100, 1000);
        assert_eq!(layout.visible, [true, true, false]);
    }

    #[test]
    fn an_empty_tree_is_its_root() {
        let layout = laid_out(&[0], &[0], 100, 1000);
        assert_eq!(layout.bars.len(), 1);
        assert_eq!(pixels(&layout.bars[0], layout.total, 100), (0, 10_000));
    }

    #[test]
    fn too_many_frames_leave_the_widest_and_then_the_shallowest() {
        // A chain of equally wide frames and a heavy sibling.
        let mut parents = vec![0, 0];
        let mut own = vec![0, 500];
        for node in 2..50u32 {
            parents.push(if node == 2 { 0 } else { node - 1 });
            own.push(0);
        }
        *own.last_mut().unwrap() = 400;
        let layout = laid_out(&parents, &own, 1000, 10);
        assert_eq!(layout.bars.len(), 10);
        let last = layout.bars.last().unwrap();
        assert_eq!(last.what, What::Merged { parent: 8, frames: 41 });
        assert_eq!(last.weight, 400);
        assert_adds_up(&layout, &own);
    }

    #[test]
    fn a_stack_ten_thousand_deep_is_laid_out() {
        let parents: Vec<u32> = (0..10_001u32).map(|n| n.saturating_sub(1)).collect();
        let mut own = vec![0; 10_001];
        own[10_000] = 3;
        let layout = laid_out(&parents, &own, 1000, 20_000);
        assert_eq!((layout.bars.len(), layout.deepest), (10_001, 10_000));
    }

    #[test]
    fn enormous_weights_do_not_overflow() {
        let layout = laid_out(&[0, 0, 0], &[0, u64::MAX / 2, u64::MAX / 2], 20_000, 100);
        assert_eq!(pixels(&layout.bars[2], layout.total, 20_000), (1_000_000, 1_000_000));
    }

    proptest! {
        #[test]
        fn every_parent_is_the_sum_of_its_children_and_its_own(
            tree in prop::collection::vec((any::<prop::sample::Index>(), 0u64..2000), 1..300),
            width_px in 10u32..2000,
            most_bars in 1usize..400,
        ) {
            let parents: Vec<u32> = tree
                .iter()
                .enumerate()
                .map(|(i, (p, _))| if i == 0 { 0 } else { p.index(i) as u32 })
                .collect();
            let own: Vec<u64> = tree.iter().map(|(_, own)| own % 1500).collect();
            let layout = laid_out(&parents, &own, width_px, most_bars);
            assert_adds_up(&layout, &own);
            prop_assert!(layout.bars.len() <= most_bars.max(2));
            let weights = shape_of(&parents, &own);
            let drawn = layout.visible.iter().filter(|v| **v).count() as u64;
            let some = 1 + weights[1..].iter().filter(|w| **w > 0).count() as u64;
            prop_assert_eq!(drawn + layout.hidden_frames, some);
            for (i, bar) in layout.bars.iter().enumerate().skip(1) {
                let parent = layout.bars[..i].iter().rfind(|b| b.depth + 1 == bar.depth).unwrap();
                let (left, width) = pixels(bar, layout.total, width_px);
                let (from, whole) = pixels(parent, layout.total, width_px);
                prop_assert!(left >= from && left + width <= from + whole);
            }
        }
    }
}
