//! DWARF expressions in call frame information: the usual ones become numbers, the rest is evaluated.

use gimli::{Encoding, EndianSlice, EvaluationResult, Format, LittleEndian, Value};

/// Longer expressions are not evaluated: compilers write up to a dozen bytes.
const MAX_BYTES: usize = 256;

/// More operations than this are a loop.
const MAX_OPERATIONS: u32 = 1000;

/// Operations by their numbers (DWARF 5, section 7.7.1).
mod op {
    pub const DEREF: u8 = 0x06;
    pub const AND: u8 = 0x1a;
    pub const PLUS: u8 = 0x22;
    pub const PLUS_UCONST: u8 = 0x23;
    pub const SHL: u8 = 0x24;
    pub const GE: u8 = 0x2a;
    pub const LIT0: u8 = 0x30;
    pub const BREG0: u8 = 0x70;
}

/// An expression that is more than a register and a number.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Expression(Box<[u8]>);

/// A usual form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Register plus offset.
    Sum(u8, i64),
    /// The word there.
    Loaded(u8, i64),
}

/// The usual form of an expression at an address, if it has one.
pub(super) fn form(bytes: &[u8], address: u64) -> Option<Form> {
    let (register, offset, rest) = base(bytes)?;
    match rest {
        [] => Some(Form::Sum(register, offset)),
        [op::DEREF] => Some(Form::Loaded(register, offset)),
        [op::PLUS_UCONST, more] if *more < 0x80 => {
            Some(Form::Sum(register, offset.checked_add(i64::from(*more))?))
        }
        _ => {
            let pushed = stub(rest, address)?;
            Some(Form::Sum(register, offset.checked_add(pushed)?))
        }
    }
}

/// `DW_OP_breg<register> <offset>` and what follows it.
fn base(bytes: &[u8]) -> Option<(u8, i64, &[u8])> {
    let (operation, rest) = bytes.split_first()?;
    let register = operation.checked_sub(op::BREG0).filter(|r| *r < 32)?;
    let mut rest = EndianSlice::new(rest, LittleEndian);
    let offset = gimli::Reader::read_sleb128(&mut rest).ok()?;
    Some((register, offset, rest.slice()))
}

/// A stub of the procedure linkage table has pushed a word once it is past its jump: linkers write
/// `((rip & 15) >= n) << 3` for that. A rule is made for one address, so it is a number.
fn stub(bytes: &[u8], address: u64) -> Option<i64> {
    const RIP: u8 = 16;
    let (RIP, 0, [mask, op::AND, from, op::GE, shift, op::SHL, op::PLUS]) = base(bytes)? else {
        return None;
    };
    let literal = |operation: &u8| operation.checked_sub(op::LIT0).filter(|n| *n < 32);
    let (mask, from, shift) = (literal(mask)?, literal(from)?, literal(shift)?);
    Some(i64::from(address & u64::from(mask) >= u64::from(from)) << shift)
}

impl Expression {
    /// `None` when it is too long to be one.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= MAX_BYTES).then(|| Self(bytes.into()))
    }

    /// Its value; `None` where a register or word that it needs is not known, or it makes no sense.
    /// `initial` is on its stack when it begins.
    pub fn evaluate(
        &self,
        initial: Option<u64>,
        register: impl Fn(u16) -> Option<u64>,
        word: impl Fn(u64) -> Option<u64>,
    ) -> Option<u64> {
        let encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 4 };
        let expression = gimli::Expression(EndianSlice::new(&self.0, LittleEndian));
        let mut evaluation = expression.evaluation(encoding);
        evaluation.set_max_iterations(MAX_OPERATIONS);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut state = evaluation.evaluate().ok()?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register: number, .. } => {
                    let value = Value::Generic(register(number.0)?);
                    evaluation.resume_with_register(value).ok()?
                }
                EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                    let value = Value::Generic(word(address)?);
                    evaluation.resume_with_memory(value).ok()?
                }
                _ => return None,
            };
        }
        match evaluation.as_result() {
            [piece] => match piece.location {
                gimli::Location::Address { address } => Some(address),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_forms_are_numbers() {
        assert_eq!(form(&[0x76, 0], 0), Some(Form::Sum(6, 0)));
        assert_eq!(form(&[0x76, 0x78, 0x06], 0), Some(Form::Loaded(6, -8)));
        assert_eq!(form(&[0x77, 0xa0, 0x01], 0), Some(Form::Sum(7, 160)));
        assert_eq!(form(&[0x77, 0xa0, 0x01, 0x06], 0), Some(Form::Loaded(7, 160)));
        assert_eq!(form(&[0x77, 8, 0x23, 8], 0), Some(Form::Sum(7, 16)));
        assert_eq!(form(&[0x76, 0, 0x06, 0x06], 0), None, "two words deep");
        assert_eq!(form(&[0x76, 0x80], 0), None, "cut");
        assert_eq!(form(&[], 0), None);
    }

    #[test]
    fn a_stub_has_pushed_a_word_once_it_is_past_its_jump() {
        let plt = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        assert_eq!(form(&plt, 0x1026), Some(Form::Sum(7, 8)));
        assert_eq!(form(&plt, 0x102b), Some(Form::Sum(7, 16)));
    }

    #[test]
    fn other_forms_are_evaluated_with_what_is_known() {
        let evaluate = |bytes: &[u8]| {
            let known = |register| (register == 6).then_some(0x1000);
            let word = |address| (address == 0x0ff8).then_some(0x2000);
            Expression::new(bytes).unwrap().evaluate(Some(0x77), known, word)
        };
        assert_eq!(evaluate(&[0x76, 0x78, 0x06, 0x23, 16]), Some(0x2010), "the word at rbp-8, +16");
        assert_eq!(evaluate(&[0x76, 0, 0x06]), None, "a word that was not kept");
        assert_eq!(evaluate(&[0x77, 0]), None, "a register that is not known");
        assert_eq!(evaluate(&[0x23, 1]), Some(0x78), "the initial value, +1");
        assert_eq!(evaluate(&[0x2f, 0xfd, 0xff]), None, "a loop");
        assert_eq!(evaluate(&[0x22]), None, "nothing to add");
        assert_eq!(evaluate(&[0x76, 0, 0x94, 1]), None, "a byte of a word");
        assert_eq!(Expression::new(&[0x12; MAX_BYTES + 1]), None);
    }
}
