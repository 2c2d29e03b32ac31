//! Unwinds stacks made of the functions of a real program by its own unwind tables.
//!
//! `cargo bench -p benches --bench unwind [-- PROGRAM]`, by default this program itself. Times are CPU
//! time of the one thread that works, so that other load on the machine disturbs little; cold means
//! that every rule is read from the tables, warm that all are known.

use benches::{Numbers, thread_ns};
use profile::{Kept, KeptValue, ModuleId, Segment, Slice, Svma};
use rustc_hash::FxHashMap;
use symbolize::unwind::{Cfa, NoRule, Recorded, Rule, Rules, Saved, UnwindTables, WalkEnd, Walker};
use symbolize::{Files, Machine, identify};

const STACKS: usize = 20_000;
const FUNCTIONS: usize = 4_000;
const DEPTH: u64 = 20;
const ROUNDS: usize = 5;
const MODULE: ModuleId = ModuleId(1);
const RBP: u8 = 6;
const RSP: u8 = 7;

struct Known<'t> {
    tables: &'t UnwindTables<'t>,
    rules: FxHashMap<(ModuleId, u64), Result<Rule, NoRule>>,
}

impl Rules for Known<'_> {
    fn rule(&mut self, module: ModuleId, address: u64) -> Result<&Rule, NoRule> {
        let rule = self.rules.entry((module, address));
        let rule = rule.or_insert_with(|| self.tables.rule(Svma(address)));
        rule.as_ref().map_err(|why| *why)
    }
}

/// Addresses whose rules are of the two forms that nearly all have.
fn functions(tables: &UnwindTables<'_>, segments: &[Segment], numbers: &mut Numbers) -> Vec<u64> {
    let code = segments.iter().find(|s| s.flags & Segment::EXECUTE != 0).expect("code");
    let mut found = Vec::new();
    for _ in 0..200 * FUNCTIONS {
        let address = code.svma.0 + numbers.below(code.file_bytes);
        let is_usual = |rule: &Rule| match rule.cfa {
            Cfa::Register(RSP, offset @ 8..=4096) => offset % 8 == 0,
            Cfa::Register(RBP, 16) => *rule.register(RBP) == Saved::AtCfa(-16),
            _ => false,
        };
        if tables
            .rule(Svma(address))
            .is_ok_and(|rule| is_usual(&rule) && rule.return_address == Saved::AtCfa(-8))
        {
            found.push(address);
        }
        if found.len() == FUNCTIONS {
            break;
        }
    }
    assert!(found.len() > 100, "only {} functions have usual rules", found.len());
    found
}

/// A stack of such functions: its leaf, and what a host keeps of it.
fn stack(tables: &UnwindTables<'_>, functions: &[u64], numbers: &mut Numbers) -> (u64, Slice) {
    let mut kept: FxHashMap<u32, KeptValue> = FxHashMap::default();
    let mut pick =
        |leaf: bool| functions[numbers.below(functions.len() as u64) as usize] + u64::from(!leaf);
    let leaf = pick(true);
    let (mut sp, mut lookup, mut rbp) = (0i64, leaf, u32::from(RBP));
    let place = |at: i64| Kept::place_of_word((at / 8) as u32);
    for _ in 0..DEPTH {
        let rule = tables.rule(Svma(lookup)).expect("chosen because it has one");
        let cfa = match rule.cfa {
            Cfa::Register(RBP, offset) => {
                let at = sp + 64;
                kept.insert(rbp, KeptValue::Stack(at as u64));
                at + offset
            }
            Cfa::Register(_, offset) => sp + offset,
            _ => unreachable!("chosen because it is usual"),
        };
        // What lies below the stack pointer has been popped again.
        if let Saved::AtCfa(offset) = rule.register(RBP)
            && cfa + offset >= sp
        {
            rbp = place(cfa + offset);
        }
        let address = pick(false);
        kept.insert(place(cfa - 8), KeptValue::Code { module: MODULE, address });
        (sp, lookup) = (cfa, address - 1);
    }
    let mut kept: Vec<Kept> =
        kept.into_iter().map(|(place, value)| Kept { place, value }).collect();
    kept.sort_by_key(|kept| kept.place);
    (leaf, Slice { looked_at_words: (sp / 8) as u32, kept })
}

fn main() {
    let program = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let path = program.unwrap_or_else(|| "/proc/self/exe".into());
    let bytes = std::fs::read(&path).expect("a program");
    let files = Files { image: Some(&bytes), ..Files::default() };
    let tables = UnwindTables::open(files).expect("an ELF file");
    let segments = identify(&bytes).expect("an ELF file").segments;
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let functions = functions(&tables, &segments, &mut numbers);
    let stacks: Vec<(u64, Slice)> =
        (0..STACKS).map(|_| stack(&tables, &functions, &mut numbers)).collect();
    let kept: usize = stacks.iter().map(|(_, slice)| slice.kept.len()).sum();
    println!(
        "{path}: {STACKS} stacks of {} functions, {} frames and {} kept words each",
        functions.len(),
        DEPTH + 1,
        kept / STACKS
    );
    let mut rules = Known { tables: &tables, rules: FxHashMap::default() };
    let mut walker = Walker::new(Machine::X86_64).expect("a known machine");
    for round in 0..=ROUNDS {
        let before_ns = thread_ns();
        let mut frames = 0;
        for (leaf, slice) in &stacks {
            let path = [(MODULE, *leaf)];
            let walk = walker
                .walk(Recorded { path: &path, goroutine: &[] }, slice, &mut rules)
                .expect("a leaf");
            assert!(walk.end != WalkEnd::Root, "these stacks have no root");
            frames += walk.frames.len();
        }
        let spent_ns = (thread_ns() - before_ns).max(1);
        assert!(frames as u64 >= STACKS as u64 * (DEPTH + 1), "{frames} frames");
        let what = if round == 0 { "cold" } else { "warm" };
        println!(
            "{what}: {:>9} stacks/s, {:.0} ns a frame, {} rules",
            STACKS as u64 * 1_000_000_000 / spent_ns,
            spent_ns as f64 / frames as f64,
            rules.rules.len()
        );
    }
}
