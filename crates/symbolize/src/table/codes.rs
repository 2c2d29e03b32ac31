//! Answers as numbers. The numbers stay: a new meaning gets a new one.

use profile::{NameSource, NoName};

use crate::FramePointer;

const SOURCES: [(NameSource, u32); 9] = [
    (NameSource::None, 0),
    (NameSource::Given, 1),
    (NameSource::Dwarf, 2),
    (NameSource::Symtab, 3),
    (NameSource::Dynsym, 4),
    (NameSource::MiniDebug, 5),
    (NameSource::Pclntab, 6),
    (NameSource::Kallsyms, 7),
    (NameSource::PerfMap, 8),
];

const REASONS: [(NoName, u32); 11] = [
    (NoName::Unmapped, 0),
    (NoName::NoFile, 1),
    (NoName::BuildIdMismatch, 2),
    (NoName::NoSymbols, 3),
    (NoName::OutOfRange, 4),
    (NoName::BadDebugInfo, 5),
    (NoName::Obfuscated, 6),
    (NoName::Anonymous, 7),
    (NoName::KernelHidden, 8),
    (NoName::LostBlock, 9),
    (NoName::NotGiven, 10),
];

const FRAME_POINTERS: [(FramePointer, u32); 4] = [
    (FramePointer::Set, 0),
    (FramePointer::NotSet, 1),
    (FramePointer::Outermost, 2),
    (FramePointer::Unknown, 3),
];

/// A value that a table holds as a number.
pub(super) trait Coded: Copy + PartialEq + 'static {
    const CODES: &'static [(Self, u32)];

    /// `None`: added to the enum and not yet to the list; the answer is not stored then.
    fn code(self) -> Option<u32> {
        Self::CODES.iter().find(|(value, _)| *value == self).map(|(_, code)| *code)
    }

    fn of(code: u32) -> Option<Self> {
        Self::CODES.iter().find(|(_, known)| *known == code).map(|(value, _)| *value)
    }
}

impl Coded for NameSource {
    const CODES: &'static [(Self, u32)] = &SOURCES;
}

impl Coded for NoName {
    const CODES: &'static [(Self, u32)] = &REASONS;
}

impl Coded for FramePointer {
    const CODES: &'static [(Self, u32)] = &FRAME_POINTERS;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_one_thing() {
        fn check<T: Coded>() {
            for (i, (value, code)) in T::CODES.iter().enumerate() {
                assert!(value.code() == Some(*code) && T::of(*code) == Some(*value), "row {i}");
            }
            assert!(T::of(u32::MAX).is_none());
        }
        check::<NameSource>();
        check::<NoName>();
        check::<FramePointer>();
    }
}
