//! A comparison in plain words: what changed most, and where to look. For somebody who has never seen
//! the code.

use profile::{DiffNode, FrameKind, Grade};
use render::safe_text::clean_up_to;

use crate::diff::{Change, Diff, Effect, Judge, Scale, Verdict};
use crate::findings::is_foreign;
use crate::stacks::CALLER_SKIPPED;
use crate::wording::{number, signed};

/// A call path explains a change if this part of it lies there.
const EXPLAINS: f64 = 0.8;

/// The finding, line by line; names are not escaped for any output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Story {
    /// What happened to everything together.
    pub total: String,
    /// The smallest part of the program that explains the largest change, where there is one.
    pub culprit: Option<String>,
    /// Where that is called, and what is known of it.
    pub details: Vec<String>,
}

/// Tells what changed.
#[must_use]
pub fn tell(diff: &Diff) -> Story {
    let total = match diff.scale {
        Scale::Share => {
            "Compared are shares: what each function takes of its side's whole.".to_owned()
        }
        _ => sentence("CPU use", diff.whole, diff),
    };
    let Some(culprit) = Culprit::find(diff) else {
        return Story { total, culprit: None, details: nothing_changed(diff) };
    };
    let node = culprit.node(diff);
    let frame = diff.tree.frames.get(node.frame);
    let module =
        if frame.module.is_empty() { String::new() } else { format!(" ({})", frame.module) };
    let subject = match frame.kind {
        FrameKind::Process => format!("The process {}", frame.name),
        _ => format!("{}{module}", frame.name),
    };
    let mut headline = sentence(&subject, change(diff, node), diff);
    headline.push_str(&culprit.part_of_whole(diff));
    Story { total, culprit: Some(headline), details: culprit.details(diff) }
}

/// What no call path changing means, and what it does not.
fn nothing_changed(diff: &Diff) -> Vec<String> {
    let Some(tested) = &diff.tested else {
        return vec![match &diff.judge {
            Judge::Nothing(_) => "No verdict: see below.".to_owned(),
            _ => "No call path changed by more than counting error explains.".to_owned(),
        }];
    };
    let unit = diff.scale.unit();
    let mut seen = Vec::new();
    if let (Some(effect), true) = (diff.whole.effect, diff.scale != Scale::Share) {
        seen.push(format!("{} {unit} of everything together", number(effect.smallest)));
    }
    if let Some(smallest) = tested.smallest {
        seen.push(format!(
            "{} of a function (half of them; the others less surely)",
            number(smallest)
        ));
    }
    let same = diff.functions.iter().all(|f| f.total.delta() == 0.0 && f.own.delta() == 0.0);
    let finding = match same {
        true => "Nothing changed: both sides are the same.",
        false => "No call path changed by more than noise explains.",
    };
    vec![
        finding.to_owned(),
        format!("The smallest change that would have been seen: {}.", seen.join(", ")),
    ]
}

/// What is known of a node: of its function, where that is the same change.
fn change(diff: &Diff, node: &DiffNode) -> Change {
    let function = |frame| diff.tree.frames.function(frame);
    let found = diff.functions.iter().find(|f| function(f.frame) == function(node.frame));
    let delta = node.after_total - node.before_total;
    let same = |change: Change| (change.delta() - delta).abs() <= 0.02 * delta.abs();
    Change {
        before: node.before_total,
        after: node.after_total,
        grade: node.grade,
        effect: found.map(|f| f.total).filter(|total| same(*total)).and_then(|total| total.effect),
    }
}

/// "REGRESSION: f grew from 1 to 2 cores (+1, 95 % interval +0.8 to +1.2)."
fn sentence(subject: &str, change: Change, diff: &Diff) -> String {
    let unit = diff.scale.unit();
    let (before, after) = (number(change.before), number(change.after));
    let delta = signed(change.delta());
    let interval = change.effect.map_or_else(String::new, |effect| {
        format!(", 95 % interval {} to {}", signed(effect.low), signed(effect.high))
    });
    let (word, verb) = match change.grade {
        Grade::Grew => ("REGRESSION: ", "grew"),
        Grade::Shrank => ("IMPROVEMENT: ", "shrank"),
        Grade::Noise => ("", ""),
    };
    match (&diff.judge, change.grade) {
        (Judge::Noise { .. }, Grade::Noise) => {
            let is = |wanted: fn(&Effect) -> bool| change.effect.as_ref().is_some_and(wanted);
            let (may, but) = if is(|e| e.verdict == Verdict::Unchanged) {
                ("is unchanged", "")
            } else if is(|e| e.low > 0.0 || e.high < 0.0) {
                ("may have changed", "; among so many tests that is not sure enough")
            } else {
                ("may have changed or not", "")
            };
            format!("{subject} {may}: {before} and {after} {unit} ({delta}{interval}{but}).")
        }
        (Judge::Noise { .. }, _) => {
            format!("{word}{subject} {verb} from {before} to {after} {unit} ({delta}{interval}).")
        }
        (Judge::Counting(_), Grade::Noise) => {
            format!("{subject} stayed within counting error: {before} and {after} {unit}.")
        }
        (Judge::Counting(_), _) => format!(
            "{subject} {verb} from {before} to {after} {unit} ({delta}), not tested against noise."
        ),
        (Judge::Nothing(_), _) => {
            format!("{subject}: {before} and {after} {unit} ({delta}); no verdict.")
        }
    }
}

/// A path as its process and its last steps: runtimes put a dozen frames before a program's own.
fn shortened(names: &[&str]) -> String {
    const LAST: usize = 5;
    const LONGEST_NAME: usize = 80;
    let name = |name: &&str| clean_up_to(name, LONGEST_NAME).into_owned();
    let left_out = names.len().saturating_sub(LAST + 1);
    let mut steps: Vec<String> = names.iter().map(name).collect();
    if left_out > 1 {
        steps.splice(1..=left_out, [format!("({left_out} frames)")]);
    }
    steps.join(" → ")
}

/// Whether a path ends in code of a library or of the language, not of the program.
fn is_others(diff: &Diff, node: u32) -> bool {
    let frame = diff.tree.frames.get(diff.tree.nodes[node as usize].frame);
    match frame.kind {
        FrameKind::Library => true,
        FrameKind::User | FrameKind::Jit => is_foreign(&frame.name),
        _ => false,
    }
}

/// The smallest subtree that explains the largest change.
struct Culprit {
    /// Nodes from the process down to it.
    path: Vec<u32>,
    /// +1 grew, -1 shrank.
    direction: f64,
    children: Vec<Vec<u32>>,
}

impl Culprit {
    fn find(diff: &Diff) -> Option<Self> {
        let nodes = &diff.tree.nodes;
        let children = diff.tree.children();
        let delta = |i: u32| nodes[i as usize].after_total - nodes[i as usize].before_total;
        let changed = |i: &&u32| nodes[**i as usize].grade != Grade::Noise;
        // Of a program that is busy all the time the root does not change: the topmost paths that do.
        let parent = |i: u32| nodes[i as usize].parent;
        let is_topmost = |i: &u32| {
            changed(&i) && (parent(*i) == 0 || nodes[parent(*i) as usize].grade == Grade::Noise)
        };
        let first = (1..nodes.len() as u32)
            .filter(is_topmost)
            .max_by(|a, b| delta(*a).abs().total_cmp(&delta(*b).abs()))?;
        let whole = delta(first);
        let direction = whole.signum();
        let mut path = diff.tree.above(first);
        path.push(first);
        let mut at = first;
        while let Some(next) = children[at as usize]
            .iter()
            .filter(changed)
            .max_by(|a, b| (direction * delta(**a)).total_cmp(&(direction * delta(**b))))
        {
            if direction * delta(*next) < EXPLAINS * direction * whole {
                break;
            }
            path.push(*next);
            at = *next;
        }
        // The kernel works for whoever called it, a marker is no code, and what has no name cannot be
        // named: name what is above them.
        let names_code = |i: &u32| {
            let kind = diff.tree.frames.get(nodes[*i as usize].frame).kind;
            !matches!(kind, FrameKind::Kernel | FrameKind::Marker | FrameKind::NoName(_))
        };
        let last = path.iter().rposition(names_code).unwrap_or(0);
        path.truncate(last + 1);
        // Of what is not called any more (or was not called before) not the busiest part is told, but the
        // call: json.Unmarshal, not what it does inside.
        let is_one_sided = |node: &DiffNode| node.before_total == 0.0 || node.after_total == 0.0;
        while let [.., above, _] = path[..]
            && path.iter().rev().take(2).all(|i| is_one_sided(&nodes[*i as usize]))
            && path.iter().rev().take(2).all(|i| is_others(diff, *i))
            && above != 0
        {
            path.pop();
        }
        Some(Self { path, direction, children })
    }

    fn index(&self) -> u32 {
        *self.path.last().unwrap_or(&0)
    }

    fn node<'d>(&self, diff: &'d Diff) -> &'d DiffNode {
        &diff.tree.nodes[self.index() as usize]
    }

    /// " That is 99 % of the change." where everything moved the same way.
    fn part_of_whole(&self, diff: &Diff) -> String {
        let node = self.node(diff);
        let part = (node.after_total - node.before_total) / diff.whole.delta();
        if diff.whole.grade == Grade::Noise || !(0.0..=1.005).contains(&part) {
            return String::new();
        }
        format!(" That is {:.0} % of the change.", 100.0 * part)
    }

    fn details(&self, diff: &Diff) -> Vec<String> {
        let mut details = Vec::new();
        let names: Vec<&str> = self
            .path
            .iter()
            .map(|i| &*diff.tree.frames.get(diff.tree.nodes[*i as usize].frame).name)
            .collect();
        if names.len() > 1 {
            details.push(format!("Path: {}", shortened(&names)));
        }
        details.extend(self.system_call(diff));
        details.extend(self.below(diff));
        details.extend(self.own_code(diff));
        if names.contains(&CALLER_SKIPPED) {
            details.push(format!(
                "{CALLER_SKIPPED}: the function below it keeps no frame pointer, so the function \
                 that called it is not on the recorded path; the one above it is further out."
            ));
        }
        details
    }

    /// Which of the program's own functions a change in a library leads back to.
    fn own_code(&self, diff: &Diff) -> Option<String> {
        let frame = |i: &u32| diff.tree.frames.get(diff.tree.nodes[*i as usize].frame);
        if !is_others(diff, *self.path.last()?) {
            return None;
        }
        let is_own = |i: &u32| frame(i).kind == FrameKind::User && !is_others(diff, *i);
        let own = self.path.iter().rposition(is_own)?;
        let skipped = self.path[own..].iter().any(|i| &*frame(i).name == CALLER_SKIPPED);
        let or_below = if skipped { ", or a function it calls" } else { "" };
        let own = frame(&self.path[own]);
        Some(format!(
            "The program's own code on this path: {} ({}){or_below}.",
            own.name, own.module
        ))
    }

    /// What of the change lies in the function itself, in the kernel, and in what it calls.
    fn below(&self, diff: &Diff) -> Option<String> {
        let node = self.node(diff);
        let mut parts: Vec<(f64, String)> = Vec::new();
        let own = self.direction * (node.after_self - node.before_self);
        parts.push((own, "in itself".into()));
        let mut kernel = 0.0;
        for child in &self.children[self.index() as usize] {
            let below = &diff.tree.nodes[*child as usize];
            let frame = diff.tree.frames.get(below.frame);
            let delta = self.direction * (below.after_total - below.before_total);
            if frame.kind == FrameKind::Kernel {
                kernel += delta;
            } else if below.grade != Grade::Noise {
                parts.push((delta, format!("in {}", frame.name)));
            }
        }
        parts.push((kernel, "in the kernel".into()));
        let whole: f64 = self.direction * (node.after_total - node.before_total);
        parts.retain(|(delta, _)| *delta >= 0.02 * whole);
        parts.sort_by(|a, b| b.0.total_cmp(&a.0));
        parts.truncate(4);
        if parts.is_empty() {
            return None;
        }
        let parts: Vec<String> = parts
            .iter()
            .map(|(delta, place)| format!("{} {place}", signed(self.direction * delta)))
            .collect();
        Some(format!("Of it: {}.", parts.join("; ")))
    }

    /// The system call by which most of the change comes about, where there is one. Linux names its
    /// entry points after the architecture (`__x64_sys_epoll_wait`, since 4.17).
    fn system_call(&self, diff: &Diff) -> Option<String> {
        let nodes = &diff.tree.nodes;
        let frame = |i: u32| diff.tree.frames.get(nodes[i as usize].frame);
        let delta = |i: u32| {
            self.direction * (nodes[i as usize].after_total - nodes[i as usize].before_total)
        };
        let mut at = self.index();
        let mut in_kernel = None;
        while let Some(next) =
            self.children[at as usize].iter().max_by(|a, b| delta(**a).total_cmp(&delta(**b)))
        {
            if delta(*next) <= 0.0 {
                break;
            }
            if frame(*next).kind == FrameKind::Kernel {
                in_kernel = in_kernel.or(Some(delta(*next)));
            }
            let call = ["__x64_sys_", "__arm64_sys_", "__ia32_sys_"]
                .iter()
                .find_map(|prefix| frame(*next).name.strip_prefix(prefix));
            if let (Some(call), Some(part)) = (call, in_kernel) {
                let part = signed(self.direction * part);
                return Some(format!("In the kernel below it: {part}, by the system call {call}."));
            }
            at = *next;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::{Side, compare};
    use profile::{CallTree, Frame, FrameId, NoName, Timeline};

    fn frame(name: &str) -> Frame {
        match name.split_once(':') {
            Some(("k", name)) => Frame::new(name, "[kernel]", FrameKind::Kernel),
            Some(("p", name)) => Frame::new(name, "", FrameKind::Process),
            Some(("?", name)) => Frame::new(name, "libc.so.6", FrameKind::NoName(NoName::NoFile)),
            Some(("l", name)) => Frame::new(name, "libc.so.6", FrameKind::Library),
            _ if name.starts_with('[') => Frame::new(name, "", FrameKind::Marker),
            _ => Frame::new(name, "server", FrameKind::User),
        }
    }

    fn told(before: &[(&str, u64)], after: &[(&str, u64)]) -> Story {
        let tree = |stacks: &[(&str, u64)]| {
            let mut tree = CallTree::new();
            for (stack, samples) in stacks {
                let ids: Vec<FrameId> =
                    stack.split(';').map(|name| tree.frames.intern(frame(name))).collect();
                tree.add(&ids, samples * 10_000_000);
            }
            tree
        };
        let (before, after) = (tree(before), tree(after));
        static NO_TIMES: Timeline =
            Timeline { cells: Vec::new(), rows: Vec::new(), groups: Vec::new() };
        fn side(tree: &CallTree) -> Side<'_> {
            Side {
                tree,
                whole: tree.total(),
                timeline: &NO_TIMES,
                captures: &[],
                observed_ns: 10_000_000_000,
                period_ns: 10_000_000,
                cpus: 4.0,
                work: 0.0,
                scale: Scale::Cores,
            }
        }
        tell(&compare(&side(&before), &side(&after), Judge::Counting(String::new())))
    }

    const LOOP: &str = "p:server;main;serve;[caller may be missing];l:epoll_wait";

    #[test]
    fn a_busy_loop_is_named_by_the_call_that_spins_and_its_path() {
        let (wait, kernel) =
            (LOOP.to_owned(), format!("{LOOP};k:do_syscall_64;k:__x64_sys_epoll_wait"));
        let story = told(
            &[(&kernel, 10), ("p:server;main;work", 40)],
            &[(&wait, 300), (&kernel, 680), ("p:server;main;work", 42)],
        );
        assert_eq!(
            story.total,
            "CPU use grew from 0.050 to 1.02 cores (+0.97), not tested against noise."
        );
        assert_eq!(
            story.culprit.unwrap(),
            "epoll_wait (libc.so.6) grew from 0.010 to 0.98 cores (+0.97), not tested against \
             noise. That is 100 % of the change."
        );
        assert_eq!(
            story.details[0],
            "Path: server → main → serve → [caller may be missing] → epoll_wait"
        );
        assert_eq!(
            story.details[1],
            "In the kernel below it: +0.67, by the system call epoll_wait."
        );
        assert_eq!(story.details[2], "Of it: +0.67 in the kernel; +0.30 in itself.");
        assert_eq!(
            story.details[3],
            "The program's own code on this path: serve (server), or a function it calls."
        );
        assert!(story.details[4].starts_with("[caller may be missing]: the function below it"));
    }

    #[test]
    fn the_same_recording_twice_is_no_story() {
        let stacks = [("p:server;main;work", 400)];
        let story = told(&stacks, &stacks);
        assert_eq!(story.total, "CPU use stayed within counting error: 0.40 and 0.40 cores.");
        assert_eq!(story.culprit, None);
        assert_eq!(story.details, ["No call path changed by more than counting error explains."]);
    }

    #[test]
    fn where_no_single_callee_explains_it_the_function_above_is_named_with_its_parts() {
        let story = told(
            &[("p:server;main;a", 100), ("p:server;main;b", 100)],
            &[("p:server;main;a", 300), ("p:server;main;b", 320)],
        );
        assert!(story.culprit.unwrap().starts_with("main (server) grew from 0.20 to 0.62 cores"));
        assert_eq!(story.details[1], "Of it: +0.22 in b; +0.20 in a.");
    }

    #[test]
    fn what_has_no_name_is_told_by_what_called_it() {
        let path = "p:server;main;serve;?:[libc.so.6];k:__x64_sys_epoll_wait";
        let story = told(&[(path, 10)], &[(path, 900)]);
        assert!(story.culprit.unwrap().starts_with("serve (server) grew from 0.010 to 0.90 cores"));
        assert_eq!(
            story.details[1],
            "In the kernel below it: +0.89, by the system call epoll_wait."
        );
        assert_eq!(story.details[2], "Of it: +0.89 in [libc.so.6].");
    }

    #[test]
    fn of_a_call_that_is_gone_the_call_is_named_and_who_made_it() {
        let decoding = "p:s;runtime.goexit;main.serve;main.config;encoding/json.Unmarshal;\
                        encoding/json.(*decodeState).value;encoding/json.(*decodeState).array";
        let served = "p:s;runtime.goexit;main.serve;main.config;main.answer";
        let story = told(&[(decoding, 700), (served, 100)], &[(served, 100)]);
        assert!(story.culprit.unwrap().starts_with("encoding/json.Unmarshal (server) shrank from"));
        assert!(story.details[0].ends_with("main.serve → main.config → encoding/json.Unmarshal"));
        assert_eq!(
            story.details.last().unwrap(),
            "The program's own code on this path: main.config (server)."
        );
    }

    #[test]
    fn a_long_path_is_told_by_its_ends() {
        let path = "p:server;a;b;c;d;e;f;g;h";
        let story = told(&[(path, 10)], &[(path, 900)]);
        assert_eq!(story.details[0], "Path: server → (3 frames) → d → e → f → g → h");
    }

    #[test]
    fn what_shrank_is_told_alike() {
        let story = told(&[("p:server;main;a", 900)], &[("p:server;main;a", 100)]);
        assert_eq!(
            story.culprit.unwrap(),
            "a (server) shrank from 0.90 to 0.10 cores (−0.80), not tested against noise. That is \
             100 % of the change."
        );
        assert_eq!(story.details[1], "Of it: −0.80 in itself.");
    }
}
