//! What a profile says in words, where the evidence is there: garbage collection, allocation, one decoder that is
//! called from one place, locks, page faults, the way into the kernel. Each finding has its numbers and its
//! frames; below [`WORTH`] of all weight nothing is said.

use profile::{CallTree, FrameKind};
use rustc_hash::FxHashMap;

/// Percent of everything from which on something is worth a sentence.
const WORTH: f64 = 5.0;
/// Percent of everything from which on a decoder is.
const WORTH_OF_DECODERS: f64 = 10.0;
/// Percent of a cost that one caller must have to be named as the one.
const MOSTLY: f64 = 75.0;
/// Callers named where several share a cost.
const CALLERS: usize = 3;

/// What is looked for.
struct Rule {
    /// Completes "… takes 12 % of the CPU time".
    what: &'static str,
    worth: f64,
    matches: fn(&str) -> bool,
}

const RULES: [Rule; 5] = [
    Rule { what: "Garbage collection", worth: WORTH, matches: is_collector },
    Rule { what: "Allocating memory", worth: WORTH, matches: is_allocator },
    Rule { what: "Taking locks and waiting for them", worth: WORTH, matches: is_lock },
    Rule { what: "Handling page faults", worth: WORTH, matches: is_page_fault },
    Rule { what: "Decoding", worth: WORTH_OF_DECODERS, matches: is_decoder },
];

fn is_collector(name: &str) -> bool {
    ["runtime.gcBgMarkWorker", "runtime.gcAssistAlloc", "runtime.bgsweep", "runtime.gcStart"]
        .contains(&name)
}

fn is_allocator(name: &str) -> bool {
    matches!(
        name,
        "runtime.mallocgc"
            | "malloc"
            | "calloc"
            | "realloc"
            | "free"
            | "cfree"
            | "__libc_malloc"
            | "__libc_free"
            | "__libc_calloc"
            | "__libc_realloc"
            | "_int_malloc"
            | "_int_free"
    ) || name.starts_with("operator new")
        || name.starts_with("operator delete")
}

fn is_lock(name: &str) -> bool {
    matches!(
        name,
        "runtime.lock2"
            | "sync.(*Mutex).Lock"
            | "sync.(*Mutex).lockSlow"
            | "pthread_mutex_lock"
            | "__pthread_mutex_lock"
            | "___pthread_mutex_lock"
            | "__lll_lock_wait"
            | "__x64_sys_futex"
            | "__arm64_sys_futex"
            | "do_futex"
            | "native_queued_spin_lock_slowpath"
    ) || name.contains("parking_lot::raw_mutex")
        || name.starts_with("std::sys::sync::mutex")
}

fn is_page_fault(name: &str) -> bool {
    matches!(
        name,
        "asm_exc_page_fault"
            | "exc_page_fault"
            | "do_user_addr_fault"
            | "handle_mm_fault"
            | "do_page_fault"
            | "el0_da"
    )
}

fn is_decoder(name: &str) -> bool {
    matches!(
        name,
        "encoding/json.Unmarshal"
            | "encoding/json.(*Decoder).Decode"
            | "encoding/xml.Unmarshal"
            | "encoding/gob.(*Decoder).Decode"
            | "google.golang.org/protobuf/proto.Unmarshal"
    ) || (name.contains("yaml") && (name.ends_with(".Unmarshal") || name.ends_with("from_str")))
        || name.starts_with("serde_json::de::from_")
        || name.starts_with("toml::from_str")
}

/// Functions whose own time is the way into the kernel and back.
fn is_kernel_entry(name: &str) -> bool {
    name.starts_with("entry_SYSCALL_64")
        || name.starts_with("syscall_enter_from_user_mode")
        || name.starts_with("syscall_exit_to_user_mode")
        || matches!(
            name,
            "do_syscall_64"
                | "x64_sys_call"
                | "el0_svc"
                | "invoke_syscall"
                | "syscall_return_via_sysret"
        )
}

/// Whether a function is a language's or a library's, not the program's.
#[must_use]
pub fn is_foreign(name: &str) -> bool {
    let rust = ["std::", "core::", "alloc::", "serde", "toml::", "<", "__", "operator "];
    if rust.iter().any(|prefix| name.starts_with(prefix)) {
        return true;
    }
    // Go: packages of the standard library have no dot in the first part of their path.
    let Some((first, _)) = name.split_once(['/', '.']) else { return false };
    let is_package = !name.contains("::") && !name.contains('(') || name.contains(".(*");
    let is_domain =
        name.split('/').next().is_some_and(|part| part.contains('.')) && name.contains('/');
    is_package && first != "main" && !is_domain && first.chars().all(|c| c.is_ascii_lowercase())
}

/// What there is to say, the largest first. `noun` is what the weight is ("CPU time").
#[must_use]
pub fn findings(tree: &CallTree, noun: &str) -> Vec<String> {
    let whole = tree.total();
    let mut found: Vec<(u64, String)> =
        RULES.iter().filter_map(|rule| Cost::of(tree, rule)?.tell(tree, whole, noun)).collect();
    found.extend(kernel_entry(tree, whole, noun));
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.into_iter().map(|(_, text)| text).collect()
}

/// What a rule costs: the paths on which it holds first.
struct Cost<'a> {
    rule: &'a Rule,
    weight: u64,
    /// Nodes of these paths, with their weight.
    nodes: Vec<(u32, u64)>,
}

impl<'a> Cost<'a> {
    fn of(tree: &CallTree, rule: &'a Rule) -> Option<Self> {
        let mut by_frame: FxHashMap<u32, bool> = FxHashMap::default();
        let mut holds = |node: &profile::CallNode| {
            let frame = tree.frames.get(node.frame);
            *by_frame.entry(node.frame.0).or_insert_with(|| (rule.matches)(&frame.name))
        };
        let totals = tree.totals();
        // Parents stand before their children.
        let mut inside = vec![false; tree.nodes().len()];
        let mut nodes = Vec::new();
        for (index, node) in tree.nodes().iter().enumerate().skip(1) {
            let above = inside[node.parent as usize];
            inside[index] = above || holds(node);
            if inside[index] && !above {
                nodes.push((index as u32, totals[index]));
            }
        }
        let weight = nodes.iter().map(|(_, weight)| weight).sum();
        (weight > 0).then_some(Self { rule, weight, nodes })
    }

    fn tell(&self, tree: &CallTree, whole: u64, noun: &str) -> Option<(u64, String)> {
        let share = percent(self.weight, whole);
        if share < self.rule.worth {
            return None;
        }
        let name = |node: u32| tree.frames.get(tree.nodes()[node as usize].frame).name.to_string();
        let functions = most(self.nodes.iter().map(|(node, weight)| (name(*node), *weight)));
        let named: Vec<String> = functions
            .iter()
            .take(CALLERS)
            .map(|(name, weight)| format!("{name} {:.1} %", percent(*weight, whole)))
            .collect();
        let mut text =
            format!("{} takes {share:.1} % of the {noun} ({}).", self.rule.what, named.join(", "));
        let own = |(node, weight): &(u32, u64)| Some((own_caller(tree, *node)?, *weight));
        let by_node: Vec<(u32, u64)> = self.nodes.iter().filter_map(own).collect();
        let callers = most(by_node.iter().map(|(node, weight)| (name(*node), *weight)));
        match callers.first() {
            Some((caller, weight)) if percent(*weight, self.weight) >= MOSTLY => {
                text.push_str(&format!(
                    " {:.0} % of it is for {caller}",
                    percent(*weight, self.weight)
                ));
                let at =
                    by_node.iter().find(|(node, _)| name(*node) == *caller).map(|(node, _)| *node);
                match at.filter(|_| self.rule.what == "Decoding").and_then(|at| handler(tree, at)) {
                    Some(next) => text.push_str(&format!(
                        ", which also calls {next}: a middleware. If what it decodes does not change from \
                         request to request, decode it once."
                    )),
                    None => text.push('.'),
                }
            }
            Some(_) => {
                let named: Vec<String> = callers
                    .iter()
                    .take(CALLERS)
                    .map(|(name, weight)| format!("{name} {:.1} %", percent(*weight, whole)))
                    .collect();
                text.push_str(&format!(" Called most by {}.", named.join(", ")));
            }
            None => {}
        }
        Some((self.weight, text))
    }
}

/// The way into the kernel and back, which no system call's work hides.
fn kernel_entry(tree: &CallTree, whole: u64, noun: &str) -> Option<(u64, String)> {
    let frame = |node: &profile::CallNode| tree.frames.get(node.frame);
    let at = |node: &&profile::CallNode| is_kernel_entry(&frame(node).name);
    let nodes = tree.nodes().iter().skip(1).filter(at);
    let functions = most(nodes.map(|node| (frame(node).name.to_string(), node.self_weight)));
    let weight: u64 = functions.iter().map(|(_, weight)| weight).sum();
    let share = percent(weight, whole);
    let (largest, _) = functions.first()?;
    (share >= WORTH).then(|| {
        let text = format!(
            "Entering and leaving the kernel takes {share:.1} % of the {noun} (most in {largest} itself): the \
             system calls are many and small."
        );
        (weight, text)
    })
}

/// The nearest function above a node that is the program's own.
fn own_caller(tree: &CallTree, node: u32) -> Option<u32> {
    let mut at = tree.nodes()[node as usize].parent;
    while at != CallTree::ROOT {
        let frame = tree.frames.get(tree.nodes()[at as usize].frame);
        let is_code = matches!(frame.kind, FrameKind::User | FrameKind::Jit | FrameKind::Library);
        if is_code && !is_foreign(&frame.name) {
            return Some(at);
        }
        at = tree.nodes()[at as usize].parent;
    }
    None
}

/// The handler that a function calls: then it is a middleware.
fn handler(tree: &CallTree, node: u32) -> Option<String> {
    let function = tree.frames.function(tree.nodes()[node as usize].frame);
    let name = |index: usize| &tree.frames.get(tree.nodes()[index].frame).name;
    let of_function = |parent: u32| {
        parent != CallTree::ROOT
            && tree.frames.function(tree.nodes()[parent as usize].frame) == function
    };
    (1..tree.nodes().len())
        .filter(|index| of_function(tree.nodes()[*index].parent))
        .find(|index| name(*index).ends_with("ServeHTTP"))
        .map(|index| name(index).to_string())
}

/// Sums by name, the most first.
fn most(rows: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut sums: FxHashMap<String, u64> = FxHashMap::default();
    for (name, weight) in rows {
        *sums.entry(name).or_default() += weight;
    }
    let mut sums: Vec<(String, u64)> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sums
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::{Frame, FrameId};

    fn found(stacks: &[(&str, u64)]) -> Vec<String> {
        let mut tree = CallTree::new();
        for (stack, weight) in stacks {
            let ids: Vec<FrameId> = stack
                .split(';')
                .map(|name| tree.frames.intern(Frame::new(name, "m", FrameKind::User)))
                .collect();
            tree.add(&ids, *weight);
        }
        findings(&tree, "CPU time")
    }

    const HTTP: &str = "runtime.goexit;net/http.(*conn).serve;main.withConfig";

    #[test]
    fn a_decoder_in_a_middleware_is_told_with_its_caller_and_its_garbage() {
        let json = format!("{HTTP};encoding/json.Unmarshal");
        let told = found(&[
            (&format!("{json};encoding/json.(*decodeState).object"), 50),
            (&format!("{json};reflect.New;runtime.mallocgc"), 15),
            (&format!("{HTTP};net/http.HandlerFunc.ServeHTTP;main.hello"), 20),
            ("runtime.gcBgMarkWorker;runtime.gcDrain", 15),
        ]);
        assert_eq!(
            told,
            [
                "Decoding takes 65.0 % of the CPU time (encoding/json.Unmarshal 65.0 %). 100 % of it is for \
                 main.withConfig, which also calls net/http.HandlerFunc.ServeHTTP: a middleware. If what it \
                 decodes does not change from request to request, decode it once.",
                "Allocating memory takes 15.0 % of the CPU time (runtime.mallocgc 15.0 %). 100 % of it is for \
                 main.withConfig.",
                "Garbage collection takes 15.0 % of the CPU time (runtime.gcBgMarkWorker 15.0 %).",
            ]
        );
    }

    #[test]
    fn without_evidence_nothing_is_said() {
        assert!(found(&[("main;work", 96), ("main;malloc", 4)]).is_empty());
        assert!(found(&[("main;encoding/json.Unmarshal", 9), ("main;work", 91)]).is_empty());
        assert!(findings(&CallTree::new(), "CPU time").is_empty());
    }

    #[test]
    fn the_way_into_the_kernel_is_what_stands_in_itself() {
        let told =
            found(&[("main;do_syscall_64", 10), ("main;do_syscall_64;vfs_read", 80), ("x", 10)]);
        assert_eq!(
            told,
            [
                "Entering and leaving the kernel takes 10.0 % of the CPU time (most in do_syscall_64 itself): the \
              system calls are many and small."
            ]
        );
    }

    #[test]
    fn the_programs_own_functions_are_told_from_its_languages() {
        for name in ["main.serve", "github.com/x/y.Do", "server::parse", "serve", "main.(*T).Run"] {
            assert!(!is_foreign(name), "{name}");
        }
        for name in
            ["runtime.mallocgc", "encoding/json.Unmarshal", "net/http.(*conn).serve", "std::x"]
        {
            assert!(is_foreign(name), "{name}");
        }
    }
}
