//! The heaviest call paths as nested lists that open and close without scripts.

use std::collections::BinaryHeap;

use profile::{CallTree, DiffTree, Frame, Grade};

use super::Subject;
use super::markup::Markup;
use crate::amount;

/// Call paths shown; the rest is counted.
const SHOWN: usize = 500;
/// Depth from which on nothing is shown: browsers give up on deeper nesting.
const DEEPEST: u32 = 150;
/// Open at first: paths with at least this percentage of everything.
const OPEN_PERCENT: f64 = 50.0;

pub(super) fn write(page: &mut Markup, subject: Subject<'_>) {
    let mut shown = match subject {
        Subject::Profile { tree, .. } => Shown::of_tree(tree),
        Subject::Diff { tree, .. } => Shown::of_diff(tree),
    };
    shown.choose();
    page.raw("<section aria-label=\"Call tree\" class=\"outline\">\n");
    page.element("h2", "Heaviest call paths");
    page.raw("\n<ul>\n");
    shown.write(page, &|node| words(subject, node));
    page.raw("</ul>\n</section>\n");
}

/// "12.3 %  main", and what else there is to say.
fn words(subject: Subject<'_>, node: u32) -> (String, String, String) {
    let name = |frame: &Frame| match frame.name.trim() {
        "" => "[no name]".to_owned(),
        name => name.to_owned(),
    };
    match subject {
        Subject::Profile { tree, .. } => {
            let row = tree.nodes()[node as usize];
            let frame = tree.frames.get(row.frame);
            (String::new(), name(frame), frame.module.to_string())
        }
        Subject::Diff { tree, .. } => {
            let row = tree.nodes[node as usize];
            let frame = tree.frames.get(row.frame);
            let glyph = match row.grade {
                Grade::Grew => "▲ ",
                Grade::Shrank => "▼ ",
                Grade::Noise => "",
            };
            let change = format!(
                "{glyph}{} → {} {}",
                amount::three_digits(row.before_total),
                amount::three_digits(row.after_total),
                tree.unit
            );
            (change, name(frame), frame.module.to_string())
        }
    }
}

/// Which nodes are shown. Weights are of any unit; only their relations count.
struct Shown {
    parents: Vec<u32>,
    depths: Vec<u32>,
    weights: Vec<f64>,
    children: Vec<Vec<u32>>,
    chosen: Vec<bool>,
}

impl Shown {
    fn of_tree(tree: &CallTree) -> Self {
        let weights = tree.totals().into_iter().map(|weight| weight as f64).collect();
        Self::new(tree.nodes().iter().map(|node| node.parent).collect(), weights, tree.children())
    }

    fn of_diff(tree: &DiffTree) -> Self {
        let weight = |node: &profile::DiffNode| node.before_total.max(node.after_total);
        let weights = tree.nodes.iter().map(weight).collect();
        Self::new(tree.nodes.iter().map(|node| node.parent).collect(), weights, tree.children())
    }

    fn new(parents: Vec<u32>, weights: Vec<f64>, children: Vec<Vec<u32>>) -> Self {
        let mut depths = vec![0; parents.len()];
        for node in 1..parents.len() {
            depths[node] = depths[parents[node] as usize] + 1;
        }
        let chosen = vec![false; parents.len()];
        Self { parents, depths, weights, children, chosen }
    }

    /// The heaviest first; a child is never heavier than its parent by more than rounding, and comes after it.
    fn choose(&mut self) {
        let mut left = SHOWN;
        let mut work: BinaryHeap<(Weight, std::cmp::Reverse<u32>)> = BinaryHeap::new();
        let enqueue = |work: &mut BinaryHeap<_>, shown: &Self, node: u32| {
            for child in &shown.children[node as usize] {
                let weight = shown.weights[*child as usize];
                if weight > 0.0 && shown.depths[*child as usize] <= DEEPEST {
                    work.push((Weight(weight), std::cmp::Reverse(*child)));
                }
            }
        };
        enqueue(&mut work, self, 0);
        while let (Some((_, std::cmp::Reverse(node))), true) = (work.pop(), left > 0) {
            self.chosen[node as usize] = true;
            left -= 1;
            enqueue(&mut work, self, node);
        }
    }

    fn write(&self, page: &mut Markup, words: &dyn Fn(u32) -> (String, String, String)) {
        let whole = self.weights[0];
        // Frames that are not shown, by the shown node (or the root) above them.
        let mut hidden = vec![0u64; self.parents.len()];
        for node in (1..self.parents.len()).rev().filter(|node| !self.chosen[*node]) {
            let below = u64::from(self.weights[node] > 0.0) + hidden[node];
            hidden[self.parents[node] as usize] += below;
        }
        let mut work: Vec<Step> = vec![Step::Children(0)];
        while let Some(step) = work.pop() {
            match step {
                Step::Close(markup) => page.raw(markup),
                Step::Children(node) => {
                    let mut list: Vec<u32> = self.children[node as usize].clone();
                    list.retain(|child| self.chosen[*child as usize]);
                    let weight = |child: &u32| Weight(self.weights[*child as usize]);
                    list.sort_by(|a, b| weight(b).cmp(&weight(a)).then(a.cmp(b)));
                    if hidden[node as usize] > 0 {
                        work.push(Step::Rest(hidden[node as usize]));
                    }
                    work.extend(list.into_iter().rev().map(Step::Node));
                }
                Step::Rest(frames) => {
                    let text = format!("{} not listed here", amount::frames(frames));
                    page.element("li class=\"rest\"", &text);
                    page.raw("\n");
                }
                Step::Node(node) => {
                    let weight = self.weights[node as usize];
                    let (change, name, module) = words(node);
                    let leaf = self.children[node as usize]
                        .iter()
                        .all(|child| self.weights[*child as usize] <= 0.0);
                    let open = weight * 100.0 >= whole * OPEN_PERCENT;
                    page.raw(match (leaf, open) {
                        (true, _) => "<li><div>",
                        (false, true) => "<li><details open><summary>",
                        (false, false) => "<li><details><summary>",
                    });
                    page.element("b", &amount::percent(weight, whole));
                    page.raw(" ");
                    page.element("code", &name);
                    page.raw(" ");
                    page.element("span class=\"muted\"", &module);
                    if !change.is_empty() {
                        page.raw(" ");
                        page.element("span", &change);
                    }
                    if leaf {
                        page.raw("</div></li>\n");
                    } else {
                        page.raw("</summary><ul>\n");
                        work.push(Step::Close("</ul></details></li>\n"));
                        work.push(Step::Children(node));
                    }
                }
            }
        }
    }
}

enum Step {
    Node(u32),
    Children(u32),
    Rest(u64),
    Close(&'static str),
}

/// Finite weights in their order.
#[derive(Clone, Copy, PartialEq)]
struct Weight(f64);

impl Eq for Weight {}

impl PartialOrd for Weight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Weight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
