//! Unwinds stacks by unwind tables: stacks made of the functions of a real program, or those of a recording.
//!
//! `cargo bench -p benches --bench unwind [-- PROGRAM | -- RECORDING.arc]`, by default this program
//! itself. Times are CPU time of the one thread that works, so that other load on the machine disturbs
//! little; cold means that every rule is read from the tables, warm that all are known. Rules are
//! kept by address, as `analyze` keeps them.

mod made;
mod recorded;

use std::path::PathBuf;

use benches::thread_ns;
use profile::{FileOffset, ModuleId, Segment, Slice};
use rustc_hash::FxHashMap;
use symbolize::unwind::{NoRule, Recorded, Rule, Rules, UnwindTables, WalkEnd, Walker};
use symbolize::{Files, Machine, identify};

const ROUNDS: usize = 5;
/// A thread's time is counted in ticks: a round takes several of them.
const WARM_STACKS: usize = 50_000;

/// What a host kept of a stack: where it stood and what frame pointers led to, and words.
struct Stack {
    path: Vec<(ModuleId, u64)>,
    slice: Slice,
}

/// A file with unwind tables.
struct Module<'d> {
    tables: UnwindTables<'d>,
    segments: Vec<Segment>,
}

impl<'d> Module<'d> {
    fn open(bytes: &'d [u8]) -> Option<Self> {
        let files = Files { image: Some(bytes), ..Files::default() };
        let tables = UnwindTables::open(files).ok()?;
        Some(Self { tables, segments: identify(bytes).ok()?.segments })
    }

    fn rule(&self, address: u64) -> Result<Rule, NoRule> {
        let at = Segment::to_svma(&self.segments, FileOffset(address));
        self.tables.rule(at.ok_or(NoRule::NotCovered)?)
    }
}

struct Known<'m> {
    /// In the order of ids, from 1 on.
    modules: &'m [Option<Module<'m>>],
    rules: FxHashMap<(ModuleId, u64), Result<Rule, NoRule>>,
}

impl Rules for Known<'_> {
    fn rule(&mut self, module: ModuleId, address: u64) -> Result<&Rule, NoRule> {
        let rule = self.rules.entry((module, address)).or_insert_with(|| {
            let tables = self.modules.get(module.index().wrapping_sub(1)).and_then(Option::as_ref);
            tables.ok_or(NoRule::NoFile)?.rule(address)
        });
        rule.as_ref().map_err(|why| *why)
    }
}

fn main() {
    let argument = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let path = PathBuf::from(argument.unwrap_or_else(|| "/proc/self/exe".into()));
    let archive = path.extension().is_some_and(|e| e == "arc").then(|| recorded::open(&path));
    let files = archive.as_ref().map_or_else(|| vec![Some(path.clone())], recorded::files);
    let images: Vec<Option<Vec<u8>>> =
        files.iter().map(|file| std::fs::read(file.as_ref()?).ok()).collect();
    let modules: Vec<Option<Module<'_>>> =
        images.iter().map(|image| Module::open(image.as_ref()?)).collect();
    let stacks = match &archive {
        Some(archive) => recorded::stacks(archive),
        None => made::stacks(modules[0].as_ref().expect("an ELF file")),
    };
    let here = modules.iter().flatten().count();
    let kept: usize = stacks.iter().map(|stack| stack.slice.kept.len()).sum();
    println!(
        "{}: {} stacks with {} kept words each, {here} of {} modules here",
        path.display(),
        stacks.len(),
        kept / stacks.len().max(1),
        modules.len()
    );
    let mut rules = Known { modules: &modules, rules: FxHashMap::default() };
    measure("cold", &stacks, 1, &mut rules);
    for _ in 0..ROUNDS {
        measure("warm", &stacks, WARM_STACKS.div_ceil(stacks.len().max(1)), &mut rules);
    }
}

fn measure(what: &str, stacks: &[Stack], times: usize, rules: &mut Known<'_>) {
    let mut walker = Walker::new(Machine::X86_64).expect("a known machine");
    let known = rules.rules.len();
    let before_ns = thread_ns();
    let (mut frames, mut complete) = (0, 0);
    for stack in std::iter::repeat_n(stacks, times).flatten() {
        let recorded = Recorded { path: &stack.path, goroutine: &[] };
        let walk = walker.walk(recorded, &stack.slice, rules).expect("a leaf");
        frames += walk.frames.len();
        complete += usize::from(walk.end == WalkEnd::Root);
    }
    let spent_ns = (thread_ns() - before_ns).max(1);
    let stacks = stacks.len() * times;
    let missed = rules.rules.len() - known;
    println!(
        "{what}: {:>9} stacks/s, {:.0} ns a frame, {:.1} frames a stack, {:.1} % end at a root, \
         {:.1} % of frames by known rules",
        stacks as u64 * 1_000_000_000 / spent_ns,
        spent_ns as f64 / frames.max(1) as f64,
        frames as f64 / stacks.max(1) as f64,
        complete as f64 * 100.0 / stacks.max(1) as f64,
        100.0 - missed as f64 * 100.0 / frames.max(1) as f64,
    );
}
