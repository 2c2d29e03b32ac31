//! Any bytes as unwind tables, and any slice unwound by them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::{Kept, KeptValue, ModuleId, Slice, Svma};
use symbolize::Machine;
use symbolize::unwind::{
    GoSwitch, NoRule, Recorded, Rule, Rules, UnwindSections, UnwindTables, Walker,
};

/// Tables without a cache.
struct Asked<'d> {
    tables: UnwindTables<'d>,
    /// The functions of Go's runtime that switch stacks: each has 16 bytes from here on.
    switches_at: u64,
    /// The last rule stays alive for the walk.
    last: Option<Rule>,
}

impl Rules for Asked<'_> {
    fn rule(&mut self, _: ModuleId, address: u64) -> Result<&Rule, NoRule> {
        let mut rule = self.tables.rule(Svma(address))?;
        rule.go_switch = match address.checked_sub(self.switches_at).map(|at| at / 16) {
            Some(0) => Some(GoSwitch::Leaves),
            Some(1) => Some(GoSwitch::Parks),
            Some(2) => Some(GoSwitch::Enters),
            Some(3) => Some(GoSwitch::Dispatches),
            Some(4) => Some(GoSwitch::CalledByC),
            _ => None,
        };
        Ok(self.last.insert(rule))
    }
}

/// Four bytes say how far a word is above the last one, and what it is.
fn sliced(rows: &[u8], words: u8) -> Slice {
    let mut slice = Slice { looked_at_words: u32::from(words) * 32, ..Slice::default() };
    let mut place = 0u32;
    for row in rows.as_chunks::<4>().0 {
        let value = u64::from(u16::from_le_bytes([row[2], row[3]]));
        let value = match row[1] & 1 {
            0 => KeptValue::Stack(value * 8),
            _ => KeptValue::Code { module: ModuleId(1), address: value },
        };
        slice.kept.push(Kept { place, value });
        place += 1 + u32::from(row[0] & 15);
    }
    slice
}

fuzz_target!(|bytes: &[u8]| {
    let Some(([machine, split, words, switches], rest)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let (table, kept) = rest.split_at(rest.len() * usize::from(*split) / 255);
    let machine = if machine & 1 == 0 { Machine::X86_64 } else { Machine::Aarch64 };
    let (eh, debug) = table.split_at(table.len() / 2);
    let (eh, header) = eh.split_at(eh.len() / 4 * 3);
    // Of a third of the inputs two stacks were recorded.
    let (first, second) = kept.split_at(if split % 3 == 0 { kept.len() / 2 } else { kept.len() });
    let mut slice = sliced(first, *words);
    slice.other = (!second.is_empty()).then(|| Box::new(sliced(second, *words)));
    let tables = UnwindTables::new(UnwindSections {
        machine,
        address_bytes: 8,
        eh_frame: eh.into(),
        eh_frame_at: Svma(0x1000),
        eh_frame_hdr: header.into(),
        eh_frame_hdr_at: Svma(0x800),
        debug_frame: debug.into(),
        text_at: Svma(0),
        got_at: Svma(0),
        entry_at: Svma(u64::from(words & 2) << 11),
        is_go: words & 1 == 1,
    });
    let switches_at = u64::from(*switches) * 16;
    let mut rules = Asked { tables, switches_at, last: None };
    let mut walker = Walker::new(machine).expect("a known machine");
    let chain = |bytes: &[u8]| -> Vec<(ModuleId, u64)> {
        bytes.iter().map(|byte| (ModuleId(1), u64::from(*byte) * 16)).collect()
    };
    let path = chain(&kept[..kept.len().min(4)]);
    // Half of the inputs are of no goroutine.
    let goroutine = chain(&kept[kept.len().saturating_sub(usize::from(split & 1) * 4)..]);
    let words = slice.kept.len() + slice.other.as_ref().map_or(0, |other| other.kept.len());
    let limit = 2 * (words + path.len() + goroutine.len()) + 2;
    let recorded = Recorded { path: &path, goroutine: &goroutine };
    if let Some(walk) = walker.walk(recorded, &slice, &mut rules) {
        assert!(walk.frames.len() <= limit);
    }
});
