//! Stubs of the procedure linkage table, named after what they call.
//!
//! No table says where a stub is: the stub's own instructions say which word of the GOT it jumps
//! through, and that word's relocation says for whom the loader fills it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::demangle;
use crate::elf::{Elf, Machine};
use crate::span::Span;

/// One stub.
#[derive(Clone, Copy, Debug)]
struct Stub<'d> {
    start: u64,
    end: u64,
    callee: &'d [u8],
}

/// The stubs of a module's own file, by address.
#[derive(Default, Debug)]
pub(crate) struct PltStubs<'d>(Vec<Stub<'d>>);

impl<'d> PltStubs<'d> {
    /// Decodes `.plt`, `.plt.sec` and `.plt.got`.
    pub fn read(elf: &Elf<'d>) -> Self {
        let mut stubs = Vec::new();
        let mut sections = elf
            .sections
            .iter()
            .filter(|s| matches!(s.name, b".plt" | b".plt.sec" | b".plt.got"))
            .peekable();
        let callees = sections.peek().map(|_| callees(elf)).unwrap_or_default();
        for section in sections {
            let mut add = |start: usize, bytes: usize, slot: u64| {
                let start = section.address.wrapping_add(start as u64);
                if let (Some(callee), Some(end)) =
                    (callees.get(&slot), start.checked_add(bytes as u64))
                {
                    stubs.push(Stub { start, end, callee });
                }
            };
            match elf.machine {
                Machine::X86_64 => x86_64(section.bytes, section.address, &mut add),
                Machine::Aarch64 => aarch64(section.bytes, section.address, &mut add),
                Machine::Other(_) => {}
            }
        }
        stubs.sort_by_key(|stub| stub.start);
        Self(stubs)
    }

    /// `callee@plt` for the stub that holds an address, raw and shown.
    /// `span` shrinks to where the answer is the same.
    pub fn find(&self, address: u64, span: &mut Span) -> Option<(Arc<str>, Arc<str>)> {
        let after = self.0.partition_point(|stub| stub.start <= address);
        span.narrow(0, self.0.get(after).map_or(u64::MAX, |next| next.start));
        let stub = &self.0[after.checked_sub(1)?];
        let is_in = address < stub.end;
        if is_in {
            span.narrow(stub.start, stub.end);
        } else {
            span.narrow(stub.end, u64::MAX);
        }
        is_in.then(|| {
            let callee = String::from_utf8_lossy(stub.callee);
            (format!("{callee}@plt").into(), format!("{}@plt", demangle(&callee)).into())
        })
    }
}

/// `jmp *slot(%rip)`, after an optional `endbr64` and `bnd` prefix.
fn x86_64(code: &[u8], address: u64, add: &mut impl FnMut(usize, usize, u64)) {
    const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
    // Without `endbr64`, the stubs of .plt.got are half as long; all others have 16 bytes.
    let mut start = 0;
    while let Some(stub) = code.get(start..).filter(|stub| !stub.is_empty()) {
        let jump = stub.strip_prefix(&ENDBR64).unwrap_or(stub);
        let jump = jump.strip_prefix(&[0xf2]).unwrap_or(jump);
        let next = stub.len() - jump.len() + 6;
        let Some([0xff, 0x25, a, b, c, d, after @ ..]) = jump.get(..8).or(jump.get(..6)) else {
            start += 16;
            continue;
        };
        let distance = i64::from(i32::from_le_bytes([*a, *b, *c, *d]));
        let slot = address.wrapping_add((start + next) as u64).wrapping_add_signed(distance);
        let bytes = if next == 6 && matches!(after, [0x66, 0x90]) { 8 } else { 16 };
        add(start, bytes, slot);
        start += bytes;
    }
}

/// `adrp x16, page` and `ldr x17, [x16, #offset]`; the stub ends two instructions later.
fn aarch64(code: &[u8], address: u64, add: &mut impl FnMut(usize, usize, u64)) {
    let (words, _) = code.as_chunks::<4>();
    for (index, pair) in words.windows(2).enumerate() {
        let (adrp, ldr) = (u32::from_le_bytes(pair[0]), u32::from_le_bytes(pair[1]));
        if adrp & 0x9f00_001f != 0x9000_0010 || ldr & 0xffc0_03ff != 0xf940_0211 {
            continue;
        }
        let pages = ((adrp >> 5 & 0x7_ffff) << 2) | (adrp >> 29 & 3);
        let pages = i64::from((pages << 11).cast_signed() >> 11); // 21 bits, signed
        let here = address.wrapping_add(4 * index as u64) & !0xfff;
        let slot =
            here.wrapping_add_signed(pages << 12).wrapping_add(u64::from(ldr >> 10 & 0xfff) * 8);
        add(4 * index, 16, slot);
    }
}

/// What the loader puts where: GOT slot -> symbol.
fn callees<'d>(elf: &Elf<'d>) -> FxHashMap<u64, &'d [u8]> {
    let kinds: [u64; 2] = match elf.machine {
        Machine::X86_64 => [6, 7],        // R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT
        Machine::Aarch64 => [1025, 1026], // R_AARCH64_GLOB_DAT, R_AARCH64_JUMP_SLOT
        Machine::Other(_) => return FxHashMap::default(),
    };
    let mut callees = FxHashMap::default();
    for section in elf.loaded_relocations() {
        let Some(symbols) = elf.tables().get(section.link) else { continue };
        let strings = elf.tables().get(symbols.link).map_or(&[][..], |s| s.bytes);
        for row in section.bytes.as_chunks::<24>().0 {
            let word = |at: usize| row[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
            let (slot, info) = (word(0), word(8));
            if !kinds.contains(&(info & 0xffff_ffff)) {
                continue;
            }
            let symbol = symbols.bytes.as_chunks::<24>().0.get((info >> 32) as usize);
            let name = symbol.and_then(|s| {
                let at = u32::from_le_bytes([s[0], s[1], s[2], s[3]]) as usize;
                let tail = strings.get(at..)?;
                let tail = &tail[..tail.len().min(MAX_CALLEE_BYTES)];
                Some(&tail[..tail.iter().position(|b| *b == 0)?])
            });
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                callees.insert(slot, name);
            }
        }
    }
    callees
}

/// Longer names of callees are not used.
const MAX_CALLEE_BYTES: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(decode: impl Fn(&mut dyn FnMut(usize, usize, u64))) -> Vec<(usize, usize, u64)> {
        let mut found = Vec::new();
        decode(&mut |start, bytes, slot| found.push((start, bytes, slot)));
        found
    }

    #[test]
    fn x86_stubs_of_all_forms_name_their_slot() {
        let lazy = [0xff, 0x25, 0xfa, 0x0f, 0, 0, 0x68, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0];
        let secure =
            [0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 0xf5, 0x0f, 0, 0, 0x0f, 0x1f, 0x44, 0, 0];
        let short = [0xff, 0x25, 0xfa, 0x0f, 0, 0, 0x66, 0x90];
        for (code, bytes) in [(&lazy[..], 16), (&secure[..], 16), (&short[..], 8)] {
            let found = decoded(|mut add| x86_64(code, 0x1000, &mut add));
            assert_eq!(found, [(0, bytes, 0x2000)]);
        }
        let two = [short, short].concat();
        let found = decoded(|mut add| x86_64(&two, 0x1000, &mut add));
        assert_eq!(found, [(0, 8, 0x2000), (8, 8, 0x2008)]);
    }

    #[test]
    fn an_arm_stub_names_its_slot() {
        // adrp x16, 0x10000; ldr x17, [x16, #0xfa8]; add x16, x16, #0xfa8; br x17
        let words: [u32; 4] = [0x9000_0090, 0xf947_d611, 0x913e_a210, 0xd61f_0220];
        let code: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let found = decoded(|mut add| aarch64(&code, 0x610, &mut add));
        assert_eq!(found, [(0, 16, 0x1_0fa8)]);
    }
}
