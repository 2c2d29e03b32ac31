//! Who calls a function, and what it calls: two trees that begin at it.
//!
//! Each stack counts once, from the outermost call of the function on; where it calls itself, that is among
//! what it calls.

use std::collections::BTreeMap;

use profile::{CallTree, DiffNode, DiffTree, FrameId, FrameTable, Grade};
use regex::Regex;
use rustc_hash::FxHashMap;

use crate::Error;

/// A function asked for by its name, a part of it or a regular expression.
#[derive(Clone, Debug)]
pub struct FunctionPattern {
    given: String,
    expression: Option<Regex>,
}

/// Names listed where several functions are meant.
const LISTED: usize = 12;

impl FunctionPattern {
    /// From what was typed. What is no regular expression is only a part of a name.
    #[must_use]
    pub fn new(given: &str) -> Self {
        Self { given: given.into(), expression: Regex::new(given).ok() }
    }

    fn matches(&self, name: &str) -> bool {
        name.contains(&self.given) || self.expression.as_ref().is_some_and(|e| e.is_match(name))
    }

    /// The name of the one function that is meant: that of exactly this name, or the only one that
    /// matches. `weights` has what is known by name.
    ///
    /// # Errors
    /// When none matches, or several of different names.
    fn find<'a>(&self, weights: &BTreeMap<&'a str, f64>) -> Result<&'a str, Error> {
        if let Some((name, _)) = weights.get_key_value(self.given.as_str()) {
            return Ok(name);
        }
        let mut found: Vec<(&str, f64)> = weights
            .iter()
            .filter(|(name, _)| self.matches(name))
            .map(|(name, weight)| (*name, *weight))
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        match found[..] {
            [] => Err(Error::NoFunction { pattern: self.given.clone() }),
            [(one, _)] => Ok(one),
            _ => {
                let more = found.len().saturating_sub(LISTED);
                let mut names: Vec<String> =
                    found.iter().take(LISTED).map(|(name, _)| (*name).to_owned()).collect();
                if more > 0 {
                    names.push(format!("and {more} more"));
                }
                Err(Error::SeveralFunctions { pattern: self.given.clone(), names })
            }
        }
    }
}

/// The two trees of a function.
#[derive(Clone, Debug)]
pub struct Around<T> {
    /// What it is called.
    pub name: String,
    /// Who calls it: below it its callers, below these theirs.
    pub callers: T,
    /// What it calls.
    pub callees: T,
}

/// One tree as far as it matters here.
struct Shape<'a> {
    frames: &'a FrameTable,
    /// Parent and frame by node; a node's index is larger than its parent's.
    nodes: Vec<(u32, FrameId)>,
}

/// What a node is to the function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Neither the function nor called by it.
    Outside,
    /// Its outermost call.
    Call,
    /// Below that.
    Below,
}

impl Shape<'_> {
    fn parts(&self, name: &str) -> Vec<Part> {
        let is_it: Vec<bool> = self.frames.iter().map(|(_, frame)| &*frame.name == name).collect();
        let mut parts = vec![Part::Outside; self.nodes.len()];
        for (index, (parent, frame)) in self.nodes.iter().enumerate().skip(1) {
            parts[index] = match parts[*parent as usize] {
                Part::Outside if is_it[frame.0 as usize] => Part::Call,
                Part::Outside => Part::Outside,
                Part::Call | Part::Below => Part::Below,
            };
        }
        parts
    }

    /// The frames from a node up to the root's child.
    fn upwards(&self, mut node: u32) -> impl Iterator<Item = FrameId> + '_ {
        std::iter::from_fn(move || {
            let (parent, frame) = self.nodes[node as usize];
            (node != 0).then(|| {
                node = parent;
                frame
            })
        })
    }
}

/// The trees of a function in a profile.
///
/// # Errors
/// When no function is meant, or several.
pub fn around(tree: &CallTree, pattern: &FunctionPattern) -> Result<Around<CallTree>, Error> {
    let mut weights: BTreeMap<&str, f64> = BTreeMap::new();
    for function in tree.functions() {
        *weights.entry(&tree.frames.get(function.frame).name).or_default() +=
            function.total_weight as f64;
    }
    let name = pattern.find(&weights)?;
    let nodes = tree.nodes().iter().map(|node| (node.parent, node.frame)).collect();
    let shape = Shape { frames: &tree.frames, nodes };
    let parts = shape.parts(name);
    let totals = tree.totals();
    let mut callers = CallTree::with_frames(tree.frames.clone());
    let mut callees = CallTree::with_frames(tree.frames.clone());
    // By node of `tree`: the node in `callees`.
    let mut below = vec![CallTree::ROOT; parts.len()];
    for (index, node) in tree.nodes().iter().enumerate() {
        let parent = match parts[index] {
            Part::Outside => continue,
            Part::Call => {
                let path: Vec<FrameId> = shape.upwards(index as u32).collect();
                callers.add(&path, totals[index]);
                CallTree::ROOT
            }
            Part::Below => below[node.parent as usize],
        };
        below[index] = callees.child(parent, node.frame);
        callees.add_self(below[index], node.self_weight);
    }
    Ok(Around { name: name.to_owned(), callers, callees })
}

/// The trees of a function in a comparison.
///
/// # Errors
/// As [`around`].
pub fn around_in_diff(
    tree: &DiffTree,
    pattern: &FunctionPattern,
) -> Result<Around<DiffTree>, Error> {
    let mut weights: BTreeMap<&str, f64> = BTreeMap::new();
    for node in tree.nodes.iter().skip(1) {
        *weights.entry(&tree.frames.get(node.frame).name).or_default() +=
            (node.after_total - node.before_total).abs();
    }
    let name = pattern.find(&weights)?;
    let nodes = tree.nodes.iter().map(|node| (node.parent, node.frame)).collect();
    let shape = Shape { frames: &tree.frames, nodes };
    let parts = shape.parts(name);
    let (mut callers, mut callees) = (Merging::new(), Merging::new());
    let mut below = vec![0; parts.len()];
    for (index, node) in tree.nodes.iter().enumerate() {
        let parent = match parts[index] {
            Part::Outside => continue,
            Part::Call => {
                // Each caller has the whole of what it leads to.
                let mut at = 0;
                callers.add(at, node);
                for frame in shape.upwards(index as u32) {
                    at = callers.child(at, frame);
                    callers.add(at, node);
                }
                callees.add(0, node);
                0
            }
            Part::Below => below[node.parent as usize],
        };
        below[index] = callees.child(parent, node.frame);
        callees.add(below[index], node);
    }
    Ok(Around {
        name: name.to_owned(),
        callers: callers.finish(tree),
        callees: callees.finish(tree),
    })
}

/// A tree of which several nodes of another become one.
struct Merging {
    nodes: Vec<DiffNode>,
    /// By node, how much of its change is called grown and shrunk.
    graded: Vec<[f64; 2]>,
    children: FxHashMap<(u32, FrameId), u32>,
}

impl Merging {
    fn new() -> Self {
        let root = Self::empty(0, FrameId(0));
        Self { nodes: vec![root], graded: vec![[0.0; 2]], children: FxHashMap::default() }
    }

    fn empty(parent: u32, frame: FrameId) -> DiffNode {
        DiffNode {
            parent,
            frame,
            before_self: 0.0,
            before_total: 0.0,
            after_self: 0.0,
            after_total: 0.0,
            grade: Grade::Noise,
        }
    }

    fn child(&mut self, parent: u32, frame: FrameId) -> u32 {
        let (nodes, graded) = (&mut self.nodes, &mut self.graded);
        *self.children.entry((parent, frame)).or_insert_with(|| {
            nodes.push(Self::empty(parent, frame));
            graded.push([0.0; 2]);
            (nodes.len() - 1) as u32
        })
    }

    fn add(&mut self, at: u32, part: &DiffNode) {
        let node = &mut self.nodes[at as usize];
        node.before_self += part.before_self;
        node.before_total += part.before_total;
        node.after_self += part.after_self;
        node.after_total += part.after_total;
        let delta = part.after_total - part.before_total;
        let [grown, shrunk] = &mut self.graded[at as usize];
        match part.grade {
            Grade::Grew => *grown += delta,
            Grade::Shrank => *shrunk += delta,
            Grade::Noise => {}
        }
    }

    /// What may be said of several paths together: that of those which make most of the change, if none
    /// says the contrary.
    fn finish(mut self, tree: &DiffTree) -> DiffTree {
        for (node, [grown, shrunk]) in self.nodes.iter_mut().zip(self.graded) {
            let delta = node.after_total - node.before_total;
            node.grade = match (grown, shrunk) {
                (grown, 0.0) if grown > 0.0 && 2.0 * grown >= delta && delta > 0.0 => Grade::Grew,
                (0.0, shrunk) if shrunk < 0.0 && 2.0 * shrunk <= delta && delta < 0.0 => {
                    Grade::Shrank
                }
                _ => Grade::Noise,
            };
        }
        DiffTree {
            frames: tree.frames.clone(),
            nodes: self.nodes,
            unit: tree.unit,
            judged_by: tree.judged_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::{Frame, FrameKind};

    fn tree(stacks: &[(&str, u64)]) -> CallTree {
        let mut tree = CallTree::new();
        for (stack, weight) in stacks {
            let ids: Vec<FrameId> = stack
                .split(';')
                .map(|name| tree.frames.intern(Frame::new(name, "m", FrameKind::User)))
                .collect();
            tree.add(&ids, *weight);
        }
        tree
    }

    fn folded(tree: &CallTree) -> String {
        let mut out = Vec::new();
        render::folded::write(tree, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_stack_counts_once_above_and_below() {
        let tree = tree(&[
            ("main;a;parse;read", 3),
            ("main;b;parse", 2),
            ("main;b;parse;list;parse;read", 4),
            ("main;other", 9),
        ]);
        let around = around(&tree, &FunctionPattern::new("parse")).unwrap();
        assert_eq!(folded(&around.callers), "parse;a;main 3\nparse;b;main 6\n");
        assert_eq!(folded(&around.callees), "parse 2\nparse;list;parse;read 4\nparse;read 3\n");
    }

    #[test]
    fn a_name_a_part_of_it_or_an_expression_must_mean_one_function() {
        let tree = tree(&[("main;parse_list", 3), ("main;parse", 2), ("main;(*T).go", 5)]);
        let name = |given: &str| around(&tree, &FunctionPattern::new(given)).map(|a| a.name);
        assert_eq!(name("parse").unwrap(), "parse", "exactly this name");
        assert_eq!(name("list").unwrap(), "parse_list");
        assert_eq!(name("^p.*t$").unwrap(), "parse_list");
        assert_eq!(name("(*T)").unwrap(), "(*T).go", "no expression, but a part of a name");
        assert!(matches!(name("nothing"), Err(Error::NoFunction { .. })));
        let Err(Error::SeveralFunctions { names, .. }) = name("par") else { panic!("several") };
        assert_eq!(names, ["parse_list", "parse"], "the heaviest first");
    }

    #[test]
    fn paths_that_become_one_are_called_what_most_of_their_change_is() {
        let mut frames = FrameTable::default();
        let mut id = |name: &str| frames.intern(Frame::new(name, "m", FrameKind::User));
        let (a, b, f) = (id("a"), id("b"), id("f"));
        let node = |parent, frame, before, after, grade| DiffNode {
            parent,
            frame,
            before_self: before,
            before_total: before,
            after_self: after,
            after_total: after,
            grade,
        };
        let nodes = vec![
            node(0, a, 3.0, 4.1, Grade::Grew),
            node(0, a, 1.0, 2.0, Grade::Grew),
            node(1, f, 1.0, 2.0, Grade::Grew),
            node(0, b, 2.0, 2.1, Grade::Noise),
            node(3, f, 2.0, 2.1, Grade::Noise),
        ];
        let tree = DiffTree { frames, nodes, unit: "cores", judged_by: profile::JudgedBy::Noise };
        let around = around_in_diff(&tree, &FunctionPattern::new("f")).unwrap();
        let shown = |tree: &DiffTree| {
            let row = |n: &DiffNode| (n.frame, n.before_total, n.after_total, n.grade);
            tree.nodes.iter().skip(1).map(row).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&around.callers),
            [(f, 3.0, 4.1, Grade::Grew), (a, 1.0, 2.0, Grade::Grew), (b, 2.0, 2.1, Grade::Noise)]
        );
        assert_eq!(shown(&around.callees), [(f, 3.0, 4.1, Grade::Grew)]);
    }
}
