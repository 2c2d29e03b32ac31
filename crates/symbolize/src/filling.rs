//! What assemblers and linkers put between functions, so that the next one is aligned.
//!
//! A symbol without a size reaches to the next one, over filling and all: a kernel's
//! `__entry_text_end` would own two megabytes of it.

use crate::elf::Machine;

/// How many bytes of code there are before the filling at its end.
pub(crate) fn code_bytes(code: &[u8], machine: Machine) -> usize {
    match machine {
        Machine::X86_64 => x86_64(code),
        Machine::Aarch64 => aarch64(code),
        Machine::Other(_) => code.len(),
    }
}

/// Zeros that end an instruction are its operand: the longest has eight bytes.
const MOST_ZEROS_OF_AN_OPERAND: usize = 8;

fn x86_64(code: &[u8]) -> usize {
    let mut rest = code;
    loop {
        let before = rest.len();
        while let [head @ .., 0x90 | 0xcc] = rest {
            let is_nop = rest.ends_with(&[0x90]);
            rest = head;
            // xchg %ax,%ax
            while is_nop && rest.ends_with(&[0x66]) {
                rest = &rest[..rest.len() - 1];
            }
        }
        let zeros = rest.iter().rev().take_while(|byte| **byte == 0).count();
        rest = match long_nop(rest, zeros) {
            Some(head) => head,
            None if zeros > MOST_ZEROS_OF_AN_OPERAND => &rest[..rest.len() - zeros],
            None => rest,
        };
        if rest.len() == before {
            return before;
        }
    }
}

/// What stands before a `nop` of several bytes at the end, whose operand is `zeros`.
fn long_nop(code: &[u8], zeros: usize) -> Option<&[u8]> {
    // Opcode and addressing, then as many zeros as that takes.
    const FORMS: [(&[u8], usize); 5] = [
        (&[0x0f, 0x1f], 1),
        (&[0x0f, 0x1f, 0x40], 1),
        (&[0x0f, 0x1f, 0x44], 2),
        (&[0x0f, 0x1f, 0x80], 4),
        (&[0x0f, 0x1f, 0x84], 5),
    ];
    let (opcode, operand) = FORMS.iter().find(|(opcode, operand)| {
        zeros >= *operand
            && code.len().checked_sub(*operand).is_some_and(|end| code[..end].ends_with(opcode))
    })?;
    let mut rest = &code[..code.len() - operand - opcode.len()];
    while let [head @ .., 0x66 | 0x2e] = rest {
        rest = head;
    }
    Some(rest)
}

fn aarch64(code: &[u8]) -> usize {
    const NOP: [u8; 4] = 0xd503_201f_u32.to_le_bytes();
    let (words, _) = code.as_chunks::<4>();
    let filling = words.iter().rev().take_while(|w| **w == NOP || **w == [0; 4]).count();
    if filling == 0 { code.len() } else { (words.len() - filling) * 4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filling_ends_where_an_instruction_does() {
        let ret = [0xc3];
        for filling in [
            &[][..],
            &[0xcc; 40],
            &[0x90],
            &[0x66, 0x66, 0x90],
            &[0x0f, 0x1f, 0x00],
            &[0x0f, 0x1f, 0x44, 0x00, 0x00],
            &[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x0f, 0x1f, 0x80, 0, 0, 0, 0],
            &[0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x0f, 0x1f, 0x40, 0, 0xcc],
            &[0; 32],
        ] {
            let code = [&ret[..], filling].concat();
            assert_eq!(code_bytes(&code, Machine::X86_64), 1, "{filling:x?}");
        }
    }

    #[test]
    fn the_operand_of_a_last_call_is_no_filling() {
        let call = [0xe8, 0x10, 0, 0, 0];
        assert_eq!(code_bytes(&call, Machine::X86_64), 5);
        assert_eq!(code_bytes(&[&call[..], &[0xcc; 3]].concat(), Machine::X86_64), 5);
        assert_eq!(code_bytes(&[0xcc; 9], Machine::X86_64), 0);
        assert_eq!(code_bytes(&[], Machine::X86_64), 0);
    }

    #[test]
    fn arm_fills_with_whole_instructions() {
        let words: Vec<u8> = [0xd65f_03c0_u32, 0xd503_201f, 0].map(u32::to_le_bytes).concat();
        assert_eq!(code_bytes(&words, Machine::Aarch64), 4);
        assert_eq!(code_bytes(&words[..4], Machine::Aarch64), 4);
    }
}
