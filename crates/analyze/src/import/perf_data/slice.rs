//! Registers and a copy of the stack become what unwinding needs of them, as `capture` keeps it: code
//! addresses, and of the pointers into the same stack those that can be of a frame
//! ([`Slice::drop_pointers_of_no_frame`]).

use profile::{Kept, KeptValue, ModuleId, Slice, strip_signature};

use super::bytes::Words;

/// How far above the copied part of a stack a pointer still counts as one into it.
const STACK_BYTES: u64 = 8 << 20;
/// 64 KiB, which no copy is longer than.
const MAX_WORDS: usize = 8192;

/// The registers of an architecture: perf's numbers for those that unwinding uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Registers {
    /// By perf's number: the number that DWARF has for it.
    dwarf: &'static [u32],
    pub(super) stack_pointer: u32,
    instruction_pointer: u32,
}

const NONE: u32 = u32::MAX;

/// AX BX CX DX SI DI BP SP IP, flags and segments, R8 to R15.
const X86_64: Registers = Registers {
    dwarf: &[
        0, 3, 2, 1, 4, 5, 6, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 8, 9, 10, 11,
        12, 13, 14, 15,
    ],
    stack_pointer: 7,
    instruction_pointer: 8,
};

/// X0 to X30, SP, PC.
const AARCH64: Registers = Registers {
    dwarf: &[
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
        25, 26, 27, 28, 29, 30, NONE, NONE,
    ],
    stack_pointer: 31,
    instruction_pointer: 32,
};

impl Registers {
    /// Those of a machine as `uname -m` names it; `None`: its stacks cannot be unwound here.
    pub(super) fn of(arch: &[u8]) -> Option<Self> {
        match arch {
            b"x86_64" => Some(X86_64),
            b"aarch64" => Some(AARCH64),
            _ => None,
        }
    }

    /// Their DWARF numbers, ascending, of those in a mask.
    pub(super) fn kept(self, mask: u64) -> Vec<u32> {
        let mut kept: Vec<u32> = self.in_mask(mask).map(|(_, dwarf)| dwarf).collect();
        kept.sort_unstable();
        kept
    }

    /// (index among the registers of the mask, DWARF number).
    pub(super) fn in_mask(self, mask: u64) -> impl Iterator<Item = (usize, u32)> {
        let numbers = (0u32..).zip(self.dwarf);
        let kept = numbers.filter(move |(perf, dwarf)| mask >> perf & 1 != 0 && **dwarf != NONE);
        kept.map(move |(perf, dwarf)| (index(mask, perf), *dwarf))
    }

    /// Where the thread was in user code.
    pub(super) fn instruction_pointer(self, mask: u64, registers: Words<'_>) -> Option<u64> {
        let number = self.instruction_pointer;
        registers.get(index(mask, number)).filter(|_| mask >> number & 1 != 0)
    }

    /// Masks registers and stack. `code` says whose code an address is of, and where in it. `None`
    /// without a stack pointer.
    pub(super) fn mask(
        self,
        mask: u64,
        registers: Words<'_>,
        stack: Words<'_>,
        mut code: impl FnMut(u64) -> Option<(ModuleId, u64)>,
    ) -> Option<Slice> {
        let number = self.stack_pointer;
        let stack_start = registers.get(index(mask, number)).filter(|_| mask >> number & 1 != 0)?;
        let words = stack.len().min(MAX_WORDS);
        let copied = words as u64 * 8;
        let mut value = |word: u64| {
            let distance = word.wrapping_sub(stack_start);
            if distance <= copied {
                return Some(KeptValue::Stack(distance));
            }
            // Code may be as close above a thread's stack as the stack's own end.
            let address = if self == AARCH64 { strip_signature(word) } else { word };
            match code(address) {
                Some((module, address)) => Some(KeptValue::Code { module, address }),
                None => (distance <= copied + STACK_BYTES).then_some(KeptValue::Stack(distance)),
            }
        };
        let mut kept = Vec::new();
        for (index, dwarf) in self.in_mask(mask) {
            let value = registers.get(index).and_then(&mut value);
            kept.extend(value.map(|value| Kept { place: dwarf, value }));
        }
        kept.sort_unstable_by_key(|kept: &Kept| kept.place);
        for (place, word) in (Kept::place_of_word(0)..).zip(stack.iter().take(words)) {
            kept.extend(value(word).map(|value| Kept { place, value }));
        }
        let mut slice = Slice { looked_at_words: words as u32, kept, other: None };
        slice.drop_pointers_of_no_frame();
        Some(slice)
    }
}

/// How many registers of the mask stand before one.
pub(super) fn index(mask: u64, number: u32) -> usize {
    (mask & ((1 << number) - 1)).count_ones() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(longs: &[u64]) -> Vec<u8> {
        longs.iter().flat_map(|long| long.to_le_bytes()).collect()
    }

    #[test]
    fn code_and_pointers_up_to_a_frame_are_kept_and_nothing_else() {
        // BX, BP, SP, IP, R15.
        let mask = 1 << 1 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 23;
        let registers = bytes(&[0x4010, 0x7018, 0x7000, 0x4000, 99]);
        let stack = bytes(&[5, 0x4020, 0x7018, 0x6fff, 0x4fff, 0x7008]);
        let code = |word| (0x4000..0x5000).contains(&word).then(|| (ModuleId(1), word - 0x4000));
        let (registers, stack) = (Words(&registers), Words(&stack));
        let slice = X86_64.mask(mask, registers, stack, code).unwrap();
        let of = |address| KeptValue::Code { module: ModuleId(1), address };
        let word = |words, value| Kept { place: Kept::place_of_word(words), value };
        assert_eq!(slice.looked_at_words, 6);
        assert_eq!(
            slice.kept,
            [
                Kept { place: 3, value: of(0x10) },
                Kept { place: 6, value: KeptValue::Stack(0x18) },
                word(1, of(0x20)),
                word(2, KeptValue::Stack(0x18)),
                word(4, of(0xfff)),
            ]
        );
        assert_eq!(X86_64.instruction_pointer(mask, registers), Some(0x4000));
        assert_eq!(X86_64.kept(mask), [3, 6, 15]);
        assert!(X86_64.mask(mask & !(1 << 7), registers, stack, code).is_none());
        assert!(X86_64.mask(mask, Words(&[]), stack, code).is_none());
    }

    #[test]
    fn signatures_of_arm64_are_no_part_of_an_address() {
        let (x30, sp) = (30u32, 31);
        let registers = bytes(&[0x002b_0000_0040_0010, 0x7000]);
        let stack = bytes(&[0x7b00_0000_0040_0020, 0x40_0030]);
        let code = |word: u64| (word >> 12 == 0x400).then_some((ModuleId(1), word));
        let mask = (1 << x30) | (1 << sp);
        let slice = AARCH64.mask(mask, Words(&registers), Words(&stack), code).unwrap();
        let of = |address| KeptValue::Code { module: ModuleId(1), address };
        let word = |words, value| Kept { place: Kept::place_of_word(words), value };
        assert_eq!(
            slice.kept,
            [
                Kept { place: x30, value: of(0x40_0010) },
                word(0, of(0x40_0020)),
                word(1, of(0x40_0030)),
            ]
        );
    }

    #[test]
    fn code_close_above_a_stack_is_code() {
        let (stack_pointer, above) = (0x7000, 0x7000 + STACK_BYTES / 2);
        let code = |word| (word >= above).then(|| (ModuleId(1), word - above));
        let registers = bytes(&[stack_pointer]);
        let stack = bytes(&[above + 5, above - 8]);
        let slice = X86_64.mask(1 << 7, Words(&registers), Words(&stack), code).unwrap();
        let value = KeptValue::Code { module: ModuleId(1), address: 5 };
        assert_eq!(slice.kept, [Kept { place: Kept::place_of_word(0), value }]);
    }
}
