//! What unwinding offline needs of a sample: registers, and the few words of the stack that lead on.

use crate::ModuleId;

/// Places below this are registers, by their DWARF numbers; x86-64 has 17 and ARM64 32 of them.
pub const REGISTER_PLACES: u32 = 32;

/// Registers and words of a thread's stack at a sample, masked on the host: only code addresses and
/// pointers into the same stack are kept, no data of the program.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Slice {
    /// How many 8-byte words were looked at from the stack pointer upwards. A word below that and
    /// not in `kept` was neither code nor a pointer up the stack to where a frame could be.
    pub looked_at_words: u32,
    /// In ascending order of places.
    pub kept: Vec<Kept>,
    /// Of Go code that C code called: the callers are on two stacks, the goroutine's and the thread's own. This is the
    /// one that the thread does not stand on, from where what runs there will go on; without registers.
    pub other: Option<Box<Slice>>,
}

/// One register or word that was kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Kept {
    /// Below [`REGISTER_PLACES`] a register's DWARF number, else that many 8-byte words above the
    /// stack pointer ([`Kept::word`]).
    pub place: u32,
    /// What stood there.
    pub value: KeptValue,
}

/// What a register or word held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeptValue {
    /// An address of code, in the module's own meaning (see [`crate::ModuleKind`]).
    Code {
        /// Whose code.
        module: ModuleId,
        /// Where in it.
        address: u64,
    },
    /// A place in the stack, in bytes above the stack pointer.
    Stack(u64),
}

impl Kept {
    /// The place of the word that many 8-byte words above the stack pointer.
    #[must_use]
    pub fn place_of_word(words: u32) -> u32 {
        words.saturating_add(REGISTER_PLACES)
    }

    /// The register's DWARF number, if it is one.
    #[must_use]
    pub fn register(&self) -> Option<u32> {
        (self.place < REGISTER_PLACES).then_some(self.place)
    }

    /// How many 8-byte words above the stack pointer it stood, if it is no register.
    #[must_use]
    pub fn word(&self) -> Option<u32> {
        self.place.checked_sub(REGISTER_PLACES)
    }
}

/// Of a word of an ARM64 program the address: return addresses may be signed there, in the bits that
/// addresses of user code do not use (`-mbranch-protection`, which distributions compile with).
#[must_use]
pub fn strip_signature(word: u64) -> u64 {
    const ADDRESS_BITS: u32 = 48;
    word & ((1 << ADDRESS_BITS) - 1)
}

/// A bit for each word of a slice: whether it is code.
struct CodeWords([u64; MAX_WORDS / 64]);

/// Words of the longest slice: 64 KiB.
const MAX_WORDS: usize = (64 << 10) / 8;
/// Where code stands around what a pointer that serves unwinding points to, in words.
const CODE_AROUND: [i64; 4] = [-1, 0, 1, 3];

impl CodeWords {
    fn of(kept: &[Kept]) -> Self {
        let mut words = Self([0; _]);
        for one in kept {
            if let (Some(word), KeptValue::Code { .. }) = (one.word(), one.value)
                && let Some(bits) = words.0.get_mut(word as usize / 64)
            {
                *bits |= 1 << (word % 64);
            }
        }
        words
    }

    fn contains(&self, word: i64) -> bool {
        let bits = usize::try_from(word / 64).ok().and_then(|index| self.0.get(index));
        word >= 0 && bits.is_some_and(|bits| bits & 1 << (word % 64) != 0)
    }

    /// `target`: in bytes above the stack pointer. `own`: the word that points there, -1 for a register.
    fn may_be_of_a_frame(&self, target: u64, own: i64) -> bool {
        let word = (target / 8).cast_signed();
        target.is_multiple_of(8)
            && word > own
            && (CODE_AROUND.iter().any(|above| self.contains(word + above))
                || (own >= 0 && self.contains(own + 1)))
    }
}

impl Slice {
    /// Drops pointers into the stack that are of no frame. One that unwinding needs points up, and code
    /// stands close to where it points, because that is a return address; or close to itself:
    ///
    /// ```text
    /// what it is                                               where code stands
    /// saved frame pointer                                      one word above where it points
    /// saved address above the return address, by which
    /// functions that align their frame find it (DRAP)          one word below
    /// stack pointer at a call                                  right there
    /// rbx of the dynamic linker's _dl_runtime_resolve          three words above
    /// interrupted stack pointer, in a signal's frame           the word above its own place (rip)
    /// ```
    pub fn drop_pointers_of_no_frame(&mut self) {
        let code = CodeWords::of(&self.kept);
        self.kept.retain(|kept| match kept.value {
            KeptValue::Code { .. } => true,
            KeptValue::Stack(target) => {
                code.may_be_of_a_frame(target, kept.word().map_or(-1, i64::from))
            }
        });
    }

    /// What stood at a place, if it was kept.
    #[must_use]
    pub fn at(&self, place: u32) -> Option<KeptValue> {
        let index = self.kept.binary_search_by_key(&place, |kept| kept.place).ok()?;
        Some(self.kept[index].value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_and_words_have_places_of_their_own() {
        let rbp = Kept { place: 6, value: KeptValue::Stack(16) };
        let code = KeptValue::Code { module: ModuleId(1), address: 0x1234 };
        let word = Kept { place: Kept::place_of_word(3), value: code };
        assert_eq!((rbp.register(), rbp.word()), (Some(6), None));
        assert_eq!((word.register(), word.word()), (None, Some(3)));
        let slice = Slice { looked_at_words: 8, kept: vec![rbp, word], other: None };
        assert_eq!(slice.at(6), Some(KeptValue::Stack(16)));
        assert_eq!(slice.at(Kept::place_of_word(3)), Some(code));
        assert_eq!(slice.at(Kept::place_of_word(2)), None);
    }
}
