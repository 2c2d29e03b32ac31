//! Stacks of ARM64 programs against the truth: what each instruction did to the stack of calls.
//!
//! `make.sh` beside this file compiles `shapes.c` in several ways, and `step.py` takes the programs through all
//! their instructions. `signed` is compiled with `-mbranch-protection=standard`, as distributions do: return
//! addresses in registers and on the stack carry a signature in their upper bits. The goldens hold every fifth
//! instruction; for all of them: `make.sh 1 DIRECTORY`, and `ARM64_STOPS=DIRECTORY` for the test.

use std::path::Path;

use profile::{Kept, KeptValue, ModuleId, Segment, Slice, Svma, strip_signature};
use symbolize::unwind::{NoRule, Recorded, Rule, Rules, Step, UnwindTables, WalkEnd, Walker};
use symbolize::{Files, Machine, identify};

const MODULE: ModuleId = ModuleId(1);
/// What a stop states, by DWARF's numbers: x19 to x30; the stack pointer and the place follow.
const REGISTERS: std::ops::RangeInclusive<u32> = 19..=30;
const FRAME_POINTER: usize = 10;
const STACK_POINTER: usize = 12;
const PLACE: usize = 13;

/// One instruction.
struct Stop {
    registers: Vec<u64>,
    /// From the stack pointer upwards.
    words: Vec<u64>,
    /// Leaf first: where it stands, and what its callers return to.
    chain: Vec<u64>,
}

/// A program and its stops. Addresses in it are as its file states them.
struct Program<'d> {
    tables: UnwindTables<'d>,
    segments: Vec<Segment>,
    last: Option<Rule>,
}

impl Rules for Program<'_> {
    fn rule(&mut self, _: ModuleId, address: u64) -> Result<&Rule, NoRule> {
        Ok(self.last.insert(self.tables.rule(Svma(address))?))
    }
}

impl Program<'_> {
    fn is_code(&self, address: u64) -> bool {
        let is_in = |s: &Segment| (s.svma.0..s.svma.0 + s.file_bytes).contains(&address);
        self.segments.iter().any(|s| s.flags & Segment::EXECUTE != 0 && is_in(s))
    }

    /// What is kept of a stop.
    fn slice(&self, stop: &Stop) -> Slice {
        let stack = stop.registers[STACK_POINTER];
        let value = |word: u64| {
            let distance = word.wrapping_sub(stack);
            if distance <= stop.words.len() as u64 * 8 {
                return Some(KeptValue::Stack(distance));
            }
            let address = strip_signature(word);
            self.is_code(address).then_some(KeptValue::Code { module: MODULE, address })
        };
        let registers = REGISTERS.zip(&stop.registers);
        let words = stop.words.iter().zip(0..).map(|(word, n)| (Kept::place_of_word(n), word));
        let kept = registers.chain(words);
        let kept = kept.filter_map(|(place, word)| Some(Kept { place, value: value(*word)? }));
        let looked_at_words = stop.words.len() as u32;
        let mut slice = Slice { looked_at_words, kept: kept.collect(), other: None };
        slice.drop_pointers_of_no_frame();
        slice
    }

    /// What a walk along frame pointers records.
    fn chain(&self, stop: &Stop) -> Vec<(ModuleId, u64)> {
        let mut chain = vec![(MODULE, stop.registers[PLACE])];
        let mut pointer = stop.registers[FRAME_POINTER];
        loop {
            let at = pointer.wrapping_sub(stop.registers[STACK_POINTER]) as usize / 8;
            let Some([saved, caller]) = stop.words.get(at..at.saturating_add(2)) else {
                return chain;
            };
            chain.push((MODULE, strip_signature(*caller)));
            pointer = *saved;
        }
    }
}

fn stops(text: &str) -> Vec<Stop> {
    let number = |digits: &str| u64::from_str_radix(digits, 16).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (stops, rest) = lines.as_chunks::<4>();
    assert!(rest.is_empty(), "{rest:?}");
    let read = |[count, registers, words, chain]: &[&str; 4]| {
        let mut all = vec![0; count.strip_prefix("stop ").unwrap().parse().unwrap()];
        for (index, word) in words.split(' ').filter_map(|pair| pair.split_once(':')) {
            all[index.parse::<usize>().unwrap()] = number(word);
        }
        let numbers = |line: &str| line.split(' ').map(number).collect();
        Stop { registers: numbers(registers), words: all, chain: numbers(chain) }
    };
    stops.iter().map(read).collect()
}

/// Walks each stop, from its leaf alone and with what frame pointers led to; says what is wrong.
fn check(name: &str) -> (usize, String) {
    let directory = std::env::var_os("ARM64_STOPS");
    let directory = directory.unwrap_or_else(|| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arm64").into_os_string()
    });
    let path = Path::new(&directory).join(name);
    let bytes = std::fs::read(&path).unwrap();
    let tables = UnwindTables::open(Files { image: Some(&bytes), ..Files::default() }).unwrap();
    let segments = identify(&bytes).unwrap().segments;
    let mut program = Program { tables, segments, last: None };
    let mut walker = Walker::new(Machine::Aarch64).unwrap();
    let stops = stops(&std::fs::read_to_string(path.with_extension("stops")).unwrap());
    let mut wrong = String::new();
    for stop in &stops {
        let slice = program.slice(stop);
        let chain = program.chain(stop);
        for path in [&chain[..1], &chain[..]] {
            let recorded = Recorded { path, goroutine: &[] };
            let walk = walker.walk(recorded, &slice, &mut program).unwrap();
            let found: Vec<u64> = walk.frames.iter().map(|frame| frame.address).collect();
            let is_proven = walk.frames.iter().all(|frame| frame.step == Step::Proven);
            if found != stop.chain || walk.end != WalkEnd::Root || !is_proven {
                let (end, truth) = (walk.end, &stop.chain);
                wrong.push_str(&format!("{name}: {found:x?} {end:?}, in truth {truth:x?}\n"));
            }
        }
    }
    (stops.len(), wrong)
}

#[test]
fn every_stack_is_found_as_the_instructions_made_it() {
    let (mut count, mut wrong) = (0, String::new());
    for name in ["O2", "frameless", "Os", "O0", "clash", "signed"] {
        let (stops, found) = check(name);
        count += stops;
        wrong.push_str(&found);
    }
    println!("{count} stops");
    assert!(wrong.is_empty(), "{} of {count}\n{wrong}", wrong.lines().count());
    assert!(count > 600, "{count} stops");
}
