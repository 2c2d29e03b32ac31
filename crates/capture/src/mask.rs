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
//! Which pointers may serve, [`Slice::drop_pointers_of_no_frame`] says.

use profile::{Kept, KeptValue, ModuleId, Slice};

use crate::decode::Words;
use crate::maps::{AddressMap, Region};
use crate::record::REGISTERS;

/// DWARF numbers on x86-64.
pub(crate) const FRAME_POINTER: u32 = 6;
pub(crate) const STACK_POINTER: u32 = 7;
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

/// What a register held.
pub(crate) fn register(registers: Words<'_>, number: u32) -> Option<u64> {
    registers.get(REGISTERS.iter().position(|register| *register == number)?)
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
    slice.other = None;
    let Some(stack_start) = register(registers, STACK_POINTER) else { return false };
    let code = Code { maps, place_of, last: None };
    mask_words(registers, stack_start, stack, code, slice);
    true
}

/// Masks the thread's other stack: an address, and the words that stand there and above. It has no registers.
pub(crate) fn mask_other<'a>(
    stack: Words<'_>,
    maps: &'a AddressMap,
    place_of: impl FnMut(&'a Region) -> Place,
) -> Option<Box<Slice>> {
    let (start, words) = (stack.get(0)?, Words(stack.0.get(8..)?));
    let mut slice = Slice::default();
    mask_words(Words(&[]), start, words, Code { maps, place_of, last: None }, &mut slice);
    Some(Box::new(slice))
}

fn mask_words<'a>(
    registers: Words<'_>,
    stack_start: u64,
    stack: Words<'_>,
    mut code: Code<'a, impl FnMut(&'a Region) -> Place>,
    slice: &mut Slice,
) {
    let stack_bytes = stack.len() as u64 * 8;
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
    for (place, word) in (Kept::place_of_word(0)..).zip(stack.iter()) {
        slice.kept.extend(value(word).map(|value| Kept { place, value }));
    }
    slice.drop_pointers_of_no_frame();
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
