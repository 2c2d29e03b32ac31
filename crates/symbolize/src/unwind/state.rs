//! What is known of a frame's registers and words, and one step from it to its caller.
//!
//! Addresses are counted from the sampled stack pointer: where the stack was is not recorded.

use profile::{Kept, KeptValue, ModuleId, REGISTER_PLACES, Slice};

use super::rule::{Registers, X86_64};
use super::{Cfa, Expression, Frame, NoRule, Rule, Saved, Step, Stop};

/// What is known of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Value {
    Unknown,
    /// Bytes above the sampled stack pointer.
    Stack(i64),
    Code(ModuleId, u64),
    /// What stands in the word there; read when it is needed, as few are.
    Word(i64),
}

/// Where expressions believe the sampled stack pointer to be. It has an alignment no stack pointer
/// needs, and distances from it cannot be mistaken for small numbers.
const BASE: u64 = 1 << 46;

/// No stack is larger: what lies further away is no stack.
const MAX_STACK_BYTES: i64 = 1 << 32;

/// The registers of the frame that the walk is at.
pub(super) struct State<'a> {
    machine: Registers,
    slice: &'a Slice,
    chain: &'a [(ModuleId, u64)],
    registers: [Value; REGISTER_PLACES as usize],
    /// `None`: not known any more, beyond a step along the chain.
    sp: Option<i64>,
    /// How many links of the recorded chain the frame pointer is up: with 0 it is what was sampled.
    /// `None`: it is not known to belong to the chain.
    link: Option<usize>,
    /// Nothing is known of the stack any more, as a signal's frame did not say where it was.
    is_interrupted_stack: bool,
}

impl<'a> State<'a> {
    /// At the leaf.
    pub fn new(machine: Registers, slice: &'a Slice, chain: &'a [(ModuleId, u64)]) -> Self {
        let mut registers = [Value::Unknown; REGISTER_PLACES as usize];
        for kept in &slice.kept {
            let Some(register) = kept.register() else { break };
            registers[register as usize] = value(kept.value);
        }
        Self {
            machine,
            slice,
            chain,
            registers,
            sp: Some(0),
            link: Some(0),
            is_interrupted_stack: false,
        }
    }

    /// How many steps there can be from the leaf on: each takes a word, or a link of the chain.
    pub fn most_steps(&self) -> usize {
        self.slice.kept.len() + self.chain.len()
    }

    /// Where the stack pointer is, in words above the sampled one, if it is known.
    pub fn sp_words(&self) -> Option<u32> {
        self.sp.and_then(|sp| u32::try_from(sp / 8).ok())
    }

    /// Whose code stands that many words above the sampled stack pointer.
    pub fn code_at(&self, word: u32) -> Option<(ModuleId, u64)> {
        match self.slice.at(Kept::place_of_word(word))? {
            KeptValue::Code { module, address } => Some((module, address)),
            KeptValue::Stack(_) => None,
        }
    }

    /// Goes to a place in the stack where nothing is known of registers but that the stack pointer is there.
    pub fn go_to(&mut self, word: u32) {
        self.registers = [Value::Unknown; REGISTER_PLACES as usize];
        self.sp = Some(i64::from(word) * 8);
        self.link = None;
    }

    /// Goes to the end of a frame, above its return address, likewise; if that is not known, nothing is any more.
    pub fn leave(&mut self, rule: &Rule) {
        let end = Old { state: self, ip: 0 }.cfa(&rule.cfa);
        self.go_to(0);
        self.sp = end.ok();
    }

    /// Goes on to the caller of `frame`. `Ok(None)`: it has none; `Err(None)`: the recorded chain, which
    /// was the only way, is at its end.
    pub fn caller(
        &mut self,
        rule: Result<&Rule, NoRule>,
        frame: &Frame,
    ) -> Result<Option<Frame>, Option<Stop>> {
        let rule = match rule {
            Ok(rule) => rule,
            Err(why) => {
                let otherwise = Stop::NoRule(why);
                return match self.link {
                    Some(_) => self.along_chain(None, otherwise).map(Some),
                    None => self.by_frame_pointer().ok_or(Some(otherwise)).map(Some),
                };
            }
        };
        if rule.return_address == Saved::Undefined {
            return Ok(None);
        }
        match self.by_rule(rule, frame) {
            Ok(caller) => Ok(caller),
            Err(stop) if rule.sets_frame_pointer => self.along_chain(Some(rule), stop),
            Err(stop) if rule.is_signal_frame => self.interrupted(rule, frame).ok_or(Some(stop)),
            Err(stop) => {
                Err(Some(if self.is_interrupted_stack { Stop::Interrupted } else { stop }))
            }
        }
        .map(Some)
    }

    /// The code that a signal interrupted, where the handler has a stack of its own: nothing of the other
    /// stack was looked at, but where the code stood is in the signal's frame. And as the handler has
    /// given back every register, the frame pointer is of the same link as it is here.
    fn interrupted(&mut self, rule: &Rule, frame: &Frame) -> Option<Frame> {
        let at @ Saved::At(..) = &rule.return_address else { return None };
        let old = Old { state: self, ip: frame.lookup() };
        let value = old.saved(at, self.machine.return_address, 0).ok()?;
        let Value::Code(module, address) = value else { return None };
        self.is_interrupted_stack = true;
        self.registers = [Value::Unknown; REGISTER_PLACES as usize];
        self.sp = None;
        Some(Frame { module, address, is_return: false, step: Step::Proven })
    }

    /// The caller of code without a rule, if it has set its frame pointer and its frame is in the slice.
    fn by_frame_pointer(&mut self) -> Option<Frame> {
        let pointer = usize::from(self.machine.frame_pointer);
        let at = self.stack(self.registers[pointer])?;
        let Ok(Value::Code(module, address)) = self.word(at.checked_add(8)?) else { return None };
        let sp = at.checked_add(16).filter(|sp| self.sp.is_none_or(|old| *sp > old))?;
        self.leave_frame_record(at, sp);
        Some(Frame { module, address, is_return: true, step: Step::Proven })
    }

    /// Of the registers, only the frame pointer is known beyond code that nothing is known of.
    fn leave_frame_record(&mut self, at: i64, sp: i64) {
        self.registers = [Value::Unknown; REGISTER_PLACES as usize];
        self.registers[usize::from(self.machine.frame_pointer)] = Value::Word(at);
        // What ARM64 has above a frame record is not known.
        self.sp = Some(sp).filter(|_| self.machine == X86_64);
    }

    /// The recorded chain's next frame, if the frame pointer is known to belong to the chain.
    fn along_chain(&mut self, rule: Option<&Rule>, otherwise: Stop) -> Result<Frame, Option<Stop>> {
        let next = self.link.ok_or(otherwise)? + 1;
        let Some((module, address)) = self.chain.get(next).copied() else {
            return Err(rule.is_none().then_some(otherwise));
        };
        let pointer = usize::from(self.machine.frame_pointer);
        let at = self.stack(self.registers[pointer]);
        let cfa = rule.and_then(|rule| Old { state: self, ip: 0 }.cfa(&rule.cfa).ok());
        match at {
            Some(at) => self.leave_frame_record(at, at.saturating_add(16)),
            None => {
                self.registers = [Value::Unknown; REGISTER_PLACES as usize];
                self.sp = None;
            }
        }
        if rule.is_some() {
            self.sp = cfa;
        }
        self.link = Some(next);
        Ok(Frame { module, address, is_return: true, step: Step::Proven })
    }

    fn by_rule(&mut self, rule: &Rule, frame: &Frame) -> Result<Frame, Stop> {
        let machine = self.machine;
        let old = Old { state: self, ip: frame.lookup() };
        let cfa = old.cfa(&rule.cfa)?;
        let (module, address) =
            match old.saved(&rule.return_address, machine.return_address, cfa)? {
                Value::Code(module, address) => (module, address),
                _ => return Err(Stop::NotCode),
            };
        let sp = match rule.register(machine.stack_pointer) {
            Saved::Same => cfa,
            other => {
                let value = old.saved(other, machine.stack_pointer, cfa)?;
                self.stack(value).ok_or(Stop::NotKept)?
            }
        };
        // A leaf of ARM64 may have no frame at all.
        let grows = self.sp.is_none_or(|old| sp > old || (sp == old && !frame.is_return));
        if !grows || sp > MAX_STACK_BYTES {
            return Err(Stop::Absurd);
        }
        let link = old.link(rule, cfa, (module, address));
        let mut registers = self.registers;
        for (number, register) in registers.iter_mut().enumerate() {
            if !rule.is_signal_frame && !machine.are_preserved(number) {
                *register = Value::Unknown;
            }
        }
        for (number, saved) in &rule.registers {
            let value = match saved {
                saved if !rule.is_signal_frame && old.is_popped(saved, cfa) => continue,
                Saved::AtCfa(offset) => cfa.checked_add(*offset).map(Value::Word),
                other => old.saved(other, *number, cfa).ok(),
            };
            registers[usize::from(*number)] = value.unwrap_or(Value::Unknown);
        }
        self.registers = registers;
        self.sp = Some(sp);
        self.link = link;
        Ok(Frame { module, address, is_return: !rule.is_signal_frame, step: Step::Proven })
    }

    /// A value as bytes above the sampled stack pointer, if it is a place in the stack.
    fn stack(&self, value: Value) -> Option<i64> {
        match value {
            Value::Stack(at) => Some(at),
            Value::Word(at) => match self.word(at) {
                Ok(Value::Stack(at)) => Some(at),
                _ => None,
            },
            _ => None,
        }
    }

    /// What stands that many bytes above the sampled stack pointer.
    fn word(&self, at: i64) -> Result<Value, Stop> {
        let words = u32::try_from(at / 8).map_err(|_| Stop::Beyond)?;
        if at % 8 != 0 {
            return Err(Stop::Absurd);
        }
        if at < 0 || words >= self.slice.looked_at_words {
            return Err(Stop::Beyond);
        }
        let kept = self.slice.at(Kept::place_of_word(words));
        Ok(kept.map_or(Value::Unknown, value))
    }
}

/// The registers before a step, which a rule's parts all speak of.
struct Old<'s, 'a> {
    state: &'s State<'a>,
    /// For expressions that ask whether a stub has pushed: its last bits are the same in the process,
    /// the file and the module's own meaning.
    ip: u64,
}

impl Old<'_, '_> {
    fn register(&self, number: u8) -> Value {
        if number == self.state.machine.stack_pointer {
            return self.state.sp.map_or(Value::Unknown, Value::Stack);
        }
        self.state.registers.get(usize::from(number)).copied().unwrap_or(Value::Unknown)
    }

    /// A place in the stack: register plus bytes.
    fn place(&self, register: u8, offset: i64) -> Result<i64, Stop> {
        let at = match self.register(register) {
            Value::Word(at) => match self.state.word(at)? {
                Value::Stack(at) => at,
                _ => return Err(Stop::NotKept),
            },
            Value::Stack(at) => at,
            _ => return Err(Stop::NotKept),
        };
        at.checked_add(offset).ok_or(Stop::Absurd)
    }

    fn cfa(&self, cfa: &Cfa) -> Result<i64, Stop> {
        match cfa {
            Cfa::Register(register, offset) => self.place(*register, *offset),
            Cfa::Loaded(register, offset) => {
                let at = self.place(*register, *offset)?;
                match self.state.word(at)? {
                    Value::Stack(at) => Ok(at),
                    _ => Err(Stop::NotKept),
                }
            }
            Cfa::Expression(expression) => self.evaluate(expression, None),
        }
    }

    /// A register's value before the call.
    fn saved(&self, saved: &Saved, number: u8, cfa: i64) -> Result<Value, Stop> {
        let read = |at| self.state.word(at);
        match saved {
            Saved::Same => match self.register(number) {
                Value::Word(at) => read(at),
                value => Ok(value),
            },
            Saved::Undefined => Ok(Value::Unknown),
            Saved::AtCfa(offset) => read(cfa.checked_add(*offset).ok_or(Stop::Absurd)?),
            Saved::Cfa(offset) => Ok(Value::Stack(cfa.checked_add(*offset).ok_or(Stop::Absurd)?)),
            Saved::Register(other) => match self.register(*other) {
                Value::Word(at) => read(at),
                value => Ok(value),
            },
            Saved::At(register, offset) => read(self.place(*register, *offset)?),
            Saved::AtExpression(expression) => read(self.evaluate(expression, Some(cfa))?),
            Saved::Expression(expression) => {
                Ok(Value::Stack(self.evaluate(expression, Some(cfa))?))
            }
        }
    }

    fn evaluate(&self, expression: &Expression, cfa: Option<i64>) -> Result<i64, Stop> {
        let number = |value| Some(BASE.wrapping_add_signed(self.state.stack(value)?));
        let register = |number_of: u16| match u8::try_from(number_of).ok()? {
            16 if self.state.machine == X86_64 => Some(self.ip),
            other => number(self.register(other)),
        };
        let word = |address: u64| {
            let at = address.wrapping_sub(BASE).cast_signed();
            number(self.state.word(at).ok()?)
        };
        let initial = cfa.map(|cfa| BASE.wrapping_add_signed(cfa));
        let result = expression.evaluate(initial, register, word).ok_or(Stop::NotKept)?;
        let at = result.wrapping_sub(BASE).cast_signed();
        (at.unsigned_abs() <= MAX_STACK_BYTES.unsigned_abs()).then_some(at).ok_or(Stop::Absurd)
    }

    /// Whether a register's word lies outside the frame: compilers do not take the trouble to say that
    /// an epilogue has already read it back, and that the frame pointer has become the caller's.
    fn is_popped(&self, saved: &Saved, cfa: i64) -> bool {
        match saved {
            Saved::AtCfa(offset) => {
                self.state.sp.is_some_and(|sp| cfa.saturating_add(*offset) < sp)
            }
            Saved::At(register, offset) => self.place(*register, *offset).is_ok_and(|at| at >= cfa),
            _ => false,
        }
    }

    /// Which link of the recorded chain the caller's frame pointer is.
    fn link(&self, rule: &Rule, cfa: i64, caller: (ModuleId, u64)) -> Option<usize> {
        let link = self.state.link?;
        let pointer = self.state.machine.frame_pointer;
        match rule.register(pointer) {
            Saved::Same => Some(link),
            saved if !rule.is_signal_frame && self.is_popped(saved, cfa) => Some(link),
            _ if rule.sets_frame_pointer => {
                Some(link + 1).filter(|next| self.state.chain.get(*next) == Some(&caller))
            }
            // Saved, but not yet another value: a function that is about to set it.
            saved => {
                let now = self.state.stack(self.register(pointer))?;
                let before = self.state.stack(self.saved(saved, pointer, cfa).ok()?)?;
                (now == before).then_some(link)
            }
        }
    }
}

fn value(kept: KeptValue) -> Value {
    match kept {
        KeptValue::Code { module, address } => Value::Code(module, address),
        KeptValue::Stack(at) => i64::try_from(at).map_or(Value::Unknown, Value::Stack),
    }
}
