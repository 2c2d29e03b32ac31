//! Stacks made of the functions of a real program.

use benches::Numbers;
use profile::{Kept, KeptValue, ModuleId, Segment, Slice};
use rustc_hash::FxHashMap;
use symbolize::unwind::{Cfa, Rule, Saved};

use crate::{Module, Stack};

const STACKS: usize = 20_000;
const FUNCTIONS: usize = 4_000;
const DEPTH: u64 = 20;
const MODULE: ModuleId = ModuleId(1);
const RBP: u8 = 6;
const RSP: u8 = 7;

/// Stacks of which each frame is a function of its own choice.
pub fn stacks(module: &Module<'_>) -> Vec<Stack> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let functions = functions(module, &mut numbers);
    (0..STACKS).map(|_| stack(module, &functions, &mut numbers)).collect()
}

/// Addresses whose rules are of the two forms that nearly all have.
fn functions(module: &Module<'_>, numbers: &mut Numbers) -> Vec<u64> {
    let code = module.segments.iter().find(|s| s.flags & Segment::EXECUTE != 0).expect("code");
    let mut found = Vec::new();
    for _ in 0..200 * FUNCTIONS {
        let address = code.file_offset.0 + numbers.below(code.file_bytes);
        let is_usual = |rule: &Rule| match rule.cfa {
            Cfa::Register(RSP, offset @ 8..=4096) => offset % 8 == 0,
            Cfa::Register(RBP, 16) => *rule.register(RBP) == Saved::AtCfa(-16),
            _ => false,
        };
        if module
            .rule(address)
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
fn stack(module: &Module<'_>, functions: &[u64], numbers: &mut Numbers) -> Stack {
    let mut kept: FxHashMap<u32, KeptValue> = FxHashMap::default();
    let mut pick =
        |leaf: bool| functions[numbers.below(functions.len() as u64) as usize] + u64::from(!leaf);
    let leaf = pick(true);
    let (mut sp, mut lookup, mut rbp) = (0i64, leaf, u32::from(RBP));
    let place = |at: i64| Kept::place_of_word((at / 8) as u32);
    for _ in 0..DEPTH {
        let rule = module.rule(lookup).expect("chosen because it has one");
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
    let slice = Slice { looked_at_words: (sp / 8) as u32, kept, ..Slice::default() };
    Stack { path: vec![(MODULE, leaf)], slice }
}
