//! What call frame information says at one address, in a few numbers.

use gimli::{CfaRule, RegisterRule, UnwindExpression, UnwindTableRow};

use super::expression::{Expression, Form, form};
use crate::elf::Machine;

/// How a function's caller is found from one of its instructions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rule {
    /// Whose registers these are.
    pub machine: Machine,
    /// The stack pointer's value before the call.
    pub cfa: Cfa,
    /// Where the caller goes on. [`Saved::Undefined`]: nobody called, the stack ends here.
    pub return_address: Saved,
    /// The caller's registers by DWARF number, ascending; those that are not here are untouched (or
    /// lost, where calls need not preserve them), the stack pointer is the CFA.
    pub registers: Vec<(u8, Saved)>,
    /// The "caller" was interrupted by a signal: where it goes on is no return address.
    pub is_signal_frame: bool,
    /// The frame pointer points to where the caller's was saved, beside the return address.
    pub sets_frame_pointer: bool,
    /// The function takes part in how Go's runtime switches stacks.
    pub go_switch: Option<GoSwitch>,
}

/// What a function of Go's runtime has to do with other stacks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GoSwitch {
    /// It went from the goroutine's stack to the thread's: the caller is on the goroutine's.
    Leaves,
    /// Likewise, for the scheduler: when that has given the goroutine up, the thread's own stack begins here.
    Parks,
    /// It went from the thread's stack, where C code is, to the goroutine's: the caller is on the thread's.
    Enters,
    /// C code called it, and it calls the one that enters.
    CalledByC,
    /// It is about to run a goroutine: the current one is that, and not whose stack was left.
    Dispatches,
}

/// Where the canonical frame address is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Cfa {
    /// Register plus bytes.
    Register(u8, i64),
    /// The word at register plus bytes: functions that align their stack.
    Loaded(u8, i64),
    /// Anything else.
    Expression(Expression),
}

/// Where a register's value before the call is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Saved {
    /// Still in the register.
    Same,
    /// Lost.
    Undefined,
    /// In the word at CFA plus bytes.
    AtCfa(i64),
    /// It is CFA plus bytes.
    Cfa(i64),
    /// In another register.
    Register(u8),
    /// In the word at register plus bytes.
    At(u8, i64),
    /// In the word where the expression points.
    AtExpression(Expression),
    /// It is what the expression says.
    Expression(Expression),
}

/// Why there is no rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NoRule {
    /// The module's file is not here.
    NoFile,
    /// The module has no unwind tables (or they are of an instruction set that is not known).
    NoTables,
    /// Its tables do not cover the address.
    NotCovered,
    /// Its tables are damaged or absurd there.
    Damaged,
}

/// What a walk along frame pointers finds at an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FramePointer {
    /// The function's own: the walk's next frame is its direct caller.
    Set,
    /// Still or again the caller's, or used for something else: the direct caller is skipped.
    NotSet,
    /// There is no caller: the stack ends here.
    Outermost,
    /// The file does not say.
    Unknown,
}

/// DWARF numbers of a machine's special registers (System V ABI supplements).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Registers {
    pub frame_pointer: u8,
    pub stack_pointer: u8,
    pub return_address: u8,
    /// Bits of those that calls preserve.
    preserved: u32,
}

pub(super) const X86_64: Registers = Registers {
    frame_pointer: 6,
    stack_pointer: 7,
    return_address: 16,
    preserved: 1 << 3 | 1 << 6 | 1 << 7 | 0xf << 12,
};

const AARCH64: Registers = Registers {
    frame_pointer: 29,
    stack_pointer: 31,
    return_address: 30,
    preserved: 0x7ff << 19 | 1 << 31,
};

impl Registers {
    /// Whether a call leaves a register as it was.
    pub fn are_preserved(&self, number: usize) -> bool {
        self.preserved & 1 << number != 0
    }
}

impl Machine {
    pub(super) fn registers(self) -> Option<Registers> {
        match self {
            Self::X86_64 => Some(X86_64),
            Self::Aarch64 => Some(AARCH64),
            Self::Other(_) => None,
        }
    }
}

impl Rule {
    /// From a row of a table at `address`. `bytes` gives an expression's bytes.
    pub(super) fn new<'d>(
        machine: Machine,
        address: u64,
        row: &UnwindTableRow<usize>,
        return_register: gimli::Register,
        is_signal_frame: bool,
        bytes: impl Fn(&UnwindExpression<usize>) -> Option<&'d [u8]>,
    ) -> Option<Self> {
        let saved = |rule: RegisterRule<usize>| {
            Some(match rule {
                RegisterRule::Undefined | RegisterRule::Architectural => Saved::Undefined,
                RegisterRule::SameValue => Saved::Same,
                RegisterRule::Offset(offset) => Saved::AtCfa(offset),
                RegisterRule::ValOffset(offset) => Saved::Cfa(offset),
                RegisterRule::Register(other) => Saved::Register(tracked(other)?),
                RegisterRule::Expression(expression) => {
                    let bytes = bytes(&expression)?;
                    match form(bytes, address) {
                        Some(Form::Sum(register, offset)) => Saved::At(register, offset),
                        _ => Saved::AtExpression(Expression::new(bytes)?),
                    }
                }
                RegisterRule::ValExpression(expression) => {
                    let bytes = bytes(&expression)?;
                    match form(bytes, address) {
                        Some(Form::Loaded(register, offset)) => Saved::At(register, offset),
                        _ => Saved::Expression(Expression::new(bytes)?),
                    }
                }
                _ => return None,
            })
        };
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                Cfa::Register(tracked(*register)?, *offset)
            }
            CfaRule::Expression(expression) => {
                let bytes = bytes(expression)?;
                match form(bytes, address) {
                    Some(Form::Sum(register, offset)) => Cfa::Register(register, offset),
                    Some(Form::Loaded(register, offset)) => Cfa::Loaded(register, offset),
                    None => Cfa::Expression(Expression::new(bytes)?),
                }
            }
        };
        let return_address = row.register(return_register).map_or(Some(Saved::Same), &saved)?;
        let mut registers = Vec::new();
        for (register, rule) in row.registers() {
            // Vector registers hold no addresses; beyond them are states that are no registers.
            let Some(number) = tracked(*register).filter(|_| *register != return_register) else {
                continue;
            };
            registers.push((number, saved(rule.clone())?));
        }
        registers.sort_by_key(|(number, _)| *number);
        let mut rule = Self {
            machine,
            cfa,
            return_address,
            registers,
            is_signal_frame,
            sets_frame_pointer: false,
            go_switch: None,
        };
        rule.sets_frame_pointer = rule.saves_where_it_points();
        Some(rule)
    }

    /// Of code that nobody called.
    pub(super) fn outermost(machine: Machine) -> Option<Self> {
        Some(Self {
            machine,
            cfa: Cfa::Register(machine.registers()?.stack_pointer, 0),
            return_address: Saved::Undefined,
            registers: Vec::new(),
            is_signal_frame: false,
            sets_frame_pointer: false,
            go_switch: None,
        })
    }

    /// Where a register's value before the call is.
    #[must_use]
    pub fn register(&self, number: u8) -> &Saved {
        let found = self.registers.binary_search_by_key(&number, |(number, _)| *number);
        found.map_or(&Saved::Same, |index| &self.registers[index].1)
    }

    fn saves_where_it_points(&self) -> bool {
        match self.machine {
            // GCC writes the second form in functions that align their stack.
            Machine::X86_64 => match (self.register(6), &self.cfa) {
                (Saved::AtCfa(-16), Cfa::Register(6, _)) => true,
                (saved, _) => *saved == Saved::At(6, 0),
            },
            // Compilers save x29 and x30 side by side and point x29 there with the next
            // instruction, while the CFA often stays relative to sp.
            Machine::Aarch64 => match (self.register(29), &self.return_address) {
                (Saved::AtCfa(fp), Saved::AtCfa(lr)) => fp.checked_add(8) == Some(*lr),
                _ => false,
            },
            Machine::Other(_) => false,
        }
    }

    /// What a walk along frame pointers finds here.
    #[must_use]
    pub fn frame_pointer(&self) -> FramePointer {
        match (&self.return_address, self.sets_frame_pointer) {
            (Saved::Undefined, _) => FramePointer::Outermost,
            (_, true) => FramePointer::Set,
            (_, false) => FramePointer::NotSet,
        }
    }

    /// Go's `.debug_frame` never mentions the frame pointer, which its functions with a frame save below
    /// the return address (since Go 1.7 on x86-64).
    pub(super) fn add_frame_pointer_of_go(&mut self) {
        if let (Machine::X86_64, Cfa::Register(7, 16..), []) =
            (self.machine, &self.cfa, &self.registers[..])
        {
            self.registers.push((6, Saved::AtCfa(-16)));
            self.sets_frame_pointer = true;
        }
    }
}

/// The number of a register that a slice has a place for.
fn tracked(register: gimli::Register) -> Option<u8> {
    u8::try_from(register.0).ok().filter(|number| u32::from(*number) < profile::REGISTER_PLACES)
}
