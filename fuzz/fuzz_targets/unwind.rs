//! Any bytes as unwind tables, and any slice unwound by them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::{Kept, KeptValue, ModuleId, Slice, Svma};
use symbolize::Machine;
use symbolize::unwind::{NoRule, Recorded, Rule, Rules, UnwindSections, UnwindTables, Walker};

/// Tables without a cache: the last rule stays alive for the walk.
struct Asked<'d>(UnwindTables<'d>, Option<Rule>);

impl Rules for Asked<'_> {
    fn rule(&mut self, _: ModuleId, address: u64) -> Result<&Rule, NoRule> {
        let rule = self.0.rule(Svma(address))?;
        Ok(self.1.insert(rule))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some(([machine, split, words], rest)) = bytes.split_first_chunk::<3>() else { return };
    let (table, kept) = rest.split_at(rest.len() * usize::from(*split) / 255);
    let machine = if machine & 1 == 0 { Machine::X86_64 } else { Machine::Aarch64 };
    let (eh, debug) = table.split_at(table.len() / 2);
    let (eh, header) = eh.split_at(eh.len() / 4 * 3);
    let mut slice = Slice { looked_at_words: u32::from(*words) * 32, kept: Vec::new() };
    let mut place = 0u32;
    for row in kept.as_chunks::<4>().0 {
        let value = u64::from(u16::from_le_bytes([row[2], row[3]]));
        let value = match row[1] & 1 {
            0 => KeptValue::Stack(value * 8),
            _ => KeptValue::Code { module: ModuleId(1), address: value },
        };
        slice.kept.push(Kept { place, value });
        place += 1 + u32::from(row[0] & 15);
    }
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
    let mut rules = Asked(tables, None);
    let mut walker = Walker::new(machine).expect("a known machine");
    let path: Vec<(ModuleId, u64)> =
        kept.iter().take(4).map(|byte| (ModuleId(1), u64::from(*byte) * 16)).collect();
    let limit = slice.kept.len() + 2 * path.len() + 2;
    if let Some(walk) = walker.walk(Recorded { path: &path, goroutine: &[] }, &slice, &mut rules) {
        assert!(walk.frames.len() <= limit);
    }
});
