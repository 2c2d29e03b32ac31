//! What the tables say of a frame's caller: how far the stack pointer is below the caller's, and the functions
//! of the runtime, written in assembly, for which that is not all.

use super::GoTable;
use super::function::Function;
use super::pclntab::Pclntab;
use crate::elf::Machine;
use crate::unwind::{Cfa, GoSwitch, NoRule, Rule, Saved};

/// DWARF numbers on x86-64.
const FRAME_POINTER: u8 = 6;
const STACK_POINTER: u8 = 7;

/// What `crosscall2` has saved for its caller in C where it calls Go code: so many bytes above the stack pointer,
/// beside the frame pointer.
const SAVED_FOR_C: [(u8, Saved); 5] = [
    (3, Saved::At(STACK_POINTER, 24)),
    (12, Saved::At(STACK_POINTER, 32)),
    (13, Saved::At(STACK_POINTER, 40)),
    (14, Saved::At(STACK_POINTER, 48)),
    (15, Saved::At(STACK_POINTER, 56)),
];
/// The stack pointer is so far below the return address there, or 80 (since Go 1.22).
const DEPTH_AT_CALL_TO_GO: i32 = 72;

/// What a function of the runtime does with stacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Special {
    Switch(GoSwitch),
    /// It borrows the thread's stack for a call into the vDSO: its own frame is where the frame pointer is.
    Borrows,
    /// It calls C code from wherever it is, or is a signal's handler: no table says how.
    Unknown,
}

/// Names and what they do, from Go 1.17 to 1.27 (`src/runtime/asm_amd64.s`, `sys_linux_amd64.s`,
/// `time_linux_amd64.s`, `race_amd64.s`, `proc.go`).
const SPECIAL: [(&[u8], Special); 13] = [
    (b"runtime.asmcgocall", Special::Switch(GoSwitch::Leaves)),
    (b"runtime.systemstack", Special::Switch(GoSwitch::Leaves)),
    (b"runtime.morestack", Special::Switch(GoSwitch::Parks)),
    (b"runtime.mcall", Special::Switch(GoSwitch::Parks)),
    (b"runtime.cgocallback", Special::Switch(GoSwitch::Enters)),
    (b"crosscall2", Special::Switch(GoSwitch::CalledByC)),
    (b"runtime.execute", Special::Switch(GoSwitch::Dispatches)),
    (b"runtime.nanotime1", Special::Borrows),
    (b"runtime.walltime", Special::Borrows),
    (b"time.now", Special::Borrows),
    (b"runtime.asmcgocall_no_g", Special::Unknown),
    (b"runtime.sigtramp", Special::Unknown),
    (b"runtime.racecall", Special::Unknown),
];

/// Of each special function that is there, where it begins.
#[derive(Default, Debug)]
pub(super) struct SpecialFunctions(Vec<(u64, Special)>);

impl SpecialFunctions {
    /// Looks through all names. The compiler's wrappers have the names of the functions they call.
    pub fn find(pclntab: &Pclntab<'_>, wrapper: Option<u8>) -> Self {
        let special = |function: Function<'_, '_>| {
            let name = pclntab.strings.raw_name(function.name_at()?)?;
            let (_, special) = SPECIAL.iter().find(|(of, _)| *of == name)?;
            (function.id() != wrapper).then_some((function.extent.start, *special))
        };
        Self(pclntab.functions().filter_map(special).collect())
    }

    fn of(&self, function: &Function<'_, '_>) -> Option<Special> {
        let found = self.0.binary_search_by_key(&function.extent.start, |(start, _)| *start);
        found.ok().map(|index| self.0[index].1)
    }
}

/// `mov 40(%rsp), %rsi; mov %rsi, %rsp`: what `asmcgocall` returns to where it has not switched, because it was
/// called on the thread's stack.
const NOT_SWITCHED: [u8; 8] = [0x48, 0x8b, 0x74, 0x24, 0x28, 0x48, 0x89, 0xf4];

impl GoTable<'_> {
    /// How the caller is found from an address; `None` outside Go code, and where these tables do not say
    /// (on ARM, where the return address need not be on the stack).
    pub fn rule(&self, machine: Machine, address: u64) -> Option<Result<Rule, NoRule>> {
        let function = self.function(address).filter(|f| f.is_consistent() && !f.is_foreign())?;
        if machine != Machine::X86_64 {
            return None;
        }
        let within = address.checked_sub(self.module.text.checked_add(function.extent.start)?)?;
        let special = self
            .special
            .get_or_init(|| SpecialFunctions::find(&self.pclntab, self.wrapper))
            .of(&function);
        let after = || self.memory.bytes(address.checked_add(1)?);
        let not_switched = || after().is_some_and(|code| code.starts_with(&NOT_SWITCHED));
        if special == Some(Special::Unknown)
            || (special == Some(Special::Switch(GoSwitch::Leaves)) && not_switched())
        {
            return Some(Err(NoRule::NotCovered));
        }
        let Some(bytes) = function.stack_bytes(within).filter(|bytes| *bytes >= 0) else {
            return Some(Err(NoRule::Damaged));
        };
        let has_frame = bytes > 0;
        let cfa = match special {
            Some(Special::Borrows) if has_frame => Cfa::Register(FRAME_POINTER, 16),
            _ => Cfa::Register(STACK_POINTER, i64::from(bytes) + 8),
        };
        let is_outermost = function.is_outermost();
        // Functions with a frame save it below the return address (since Go 1.7).
        let mut registers: Vec<_> =
            has_frame.then_some((FRAME_POINTER, Saved::AtCfa(-16))).into_iter().collect();
        if special == Some(Special::Switch(GoSwitch::CalledByC)) && bytes >= DEPTH_AT_CALL_TO_GO {
            registers.extend(SAVED_FOR_C);
            registers.sort_by_key(|(number, _)| *number);
        }
        Some(Ok(Rule {
            machine,
            cfa,
            return_address: if is_outermost { Saved::Undefined } else { Saved::AtCfa(-8) },
            registers,
            is_signal_frame: false,
            sets_frame_pointer: has_frame,
            go_switch: match special {
                Some(Special::Switch(switch)) => Some(switch),
                _ => None,
            },
        }))
    }
}
