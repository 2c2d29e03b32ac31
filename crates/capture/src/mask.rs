//! Keeps of registers and stack words what unwinding needs, and nothing that the program keeps there.
//!
//! ```text
//! what stands there                        what is kept
//! an address in an executable mapping      the module and the address in it
//! a pointer up the stack that may serve    its distance from sp
//! anything else                            nothing: it is the program's
//! ```
//! A return address may be the first byte behind its mapping (after a call that never returns), so
//! words are looked up one byte below. What merely looks like code is kept too: nothing tells a stale
//! return address from a live one here.
//!
//! A pointer into the stack serves unwinding where it is a frame's address. Then code stands close to what it
//! points to, because that is a return address (`c`: a code word, `p`: the pointer):
//!
//! ```text
//! what it is                                               where code stands
//! saved frame pointer                                      one word above where it points
//! saved address above the return address, by which
//! functions that align their frame find it (DRAP)          one word below
//! stack pointer at a call                                  right there
//! rbx of the dynamic linker's _dl_runtime_resolve          three words above
//! interrupted stack pointer, in a signal's frame           the word above its own place (rip)
//! ```

use profile::{Kept, KeptValue, ModuleId, Slice};

use crate::decode::Words;
use crate::maps::{AddressMap, Region};
use crate::record::{MAX_SLICE_BYTES, REGISTERS};

/// DWARF numbers on x86-64.
const STACK_POINTER: u32 = 7;
const INSTRUCTION_POINTER: u32 = 16;

/// What a slice may hold of [`REGISTERS`]. The stack pointer is where the slice begins, and the instruction
/// pointer is the stack's leaf.
pub(crate) const KEPT_REGISTERS: [u32; 7] = [3, 6, 10, 12, 13, 14, 15];

/// Where a mapping's code is in the archive: its module, and what to take from an address for the module's
/// own meaning of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) module: ModuleId,
    pub(crate) base: u64,
}

/// Words of the largest slice.
const MAX_WORDS: usize = MAX_SLICE_BYTES as usize / 8;
/// Where code stands around what a pointer that serves unwinding points to, in words.
const CODE_AROUND: [i64; 4] = [-1, 0, 1, 3];

/// Finds where code addresses are in the archive.
struct Code<'a, F> {
    maps: &'a AddressMap,
    place_of: F,
    /// The mapping hit last: most code addresses in a row are of one or two.
    last: Option<(&'a Region, Place)>,
}

impl<'a, F: FnMut(&'a Region) -> Place> Code<'a, F> {
    fn value(&mut self, word: u64) -> Option<KeptValue> {
        let inside = word.wrapping_sub(1);
        if !self.maps.may_find(inside) {
            return None;
        }
        let place = match self.last {
            Some((region, place)) if (region.start..region.end).contains(&inside) => place,
            _ => {
                let region = self.maps.find(inside)?;
                let place = (self.place_of)(region);
                self.last = Some((region, place));
                place
            }
        };
        let address = word.wrapping_sub(place.base);
        Some(KeptValue::Code { module: place.module, address })
    }
}

/// A bit for each word of a slice: whether it is code.
struct CodeWords([u64; MAX_WORDS.div_ceil(64)]);

impl CodeWords {
    fn add(&mut self, word: usize) {
        if let Some(bits) = self.0.get_mut(word / 64) {
            *bits |= 1 << (word % 64);
        }
    }

    fn contains(&self, word: i64) -> bool {
        let bits = usize::try_from(word / 64).ok().and_then(|index| self.0.get(index));
        word >= 0 && bits.is_some_and(|bits| bits & 1 << (word % 64) != 0)
    }

    /// Whether a pointer to `target`, in bytes above the stack pointer, may serve unwinding. `own`: the
    /// word it stands in, or -1 for a register.
    fn may_serve(&self, target: u64, own: i64) -> bool {
        let word = (target / 8).cast_signed();
        target.is_multiple_of(8)
            && word > own
            && (CODE_AROUND.iter().any(|above| self.contains(word + above))
                || (own >= 0 && self.contains(own + 1)))
    }
}

/// Masks what was recorded into `slice`, which is overwritten. `place_of` is asked about a mapping only
/// when a kept word lies in it. False: no registers were recorded.
pub(crate) fn mask<'a>(
    registers: Words<'_>,
    stack: Words<'_>,
    maps: &'a AddressMap,
    place_of: impl FnMut(&'a Region) -> Place,
    slice: &mut Slice,
) -> bool {
    slice.kept.clear();
    slice.looked_at_words = 0;
    let of = |number| REGISTERS.iter().position(|r| *r == number).and_then(|i| registers.get(i));
    let Some(stack_start) = of(STACK_POINTER) else { return false };
    let stack_bytes = stack.len() as u64 * 8;
    let mut code = Code { maps, place_of, last: None };
    let mut value = |word: u64| {
        let distance = word.wrapping_sub(stack_start);
        if distance <= stack_bytes { Some(KeptValue::Stack(distance)) } else { code.value(word) }
    };
    for (place, word) in REGISTERS.into_iter().zip(registers.iter()) {
        if place == STACK_POINTER || place == INSTRUCTION_POINTER {
            continue;
        }
        slice.kept.extend(value(word).map(|value| Kept { place, value }));
    }
    slice.looked_at_words = stack.len() as u32;
    let mut code_words = CodeWords([0; _]);
    for (index, word) in stack.iter().enumerate() {
        let Some(value) = value(word) else { continue };
        if matches!(value, KeptValue::Code { .. }) {
            code_words.add(index);
        }
        slice.kept.push(Kept { place: Kept::place_of_word(index as u32), value });
    }
    slice.kept.retain(|kept| match kept.value {
        KeptValue::Code { .. } => true,
        KeptValue::Stack(target) => code_words.may_serve(target, kept.word().map_or(-1, i64::from)),
    });
    true
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
