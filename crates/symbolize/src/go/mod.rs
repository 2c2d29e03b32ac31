//! Go's own tables, which stay in a stripped binary because the runtime needs them.
//!
//! ```text
//! locate     where the pclntab is: its section, or a scan for its header
//! pclntab    header, function table, one function's record
//! module     text base and code range, from the runtime's moduledata
//! pc_value   tables of values by program counter
//! ```
//!
//! Layouts follow Go's sources (`src/runtime/symtab.go`, `src/internal/abi/symtab.go`,
//! `src/cmd/link/internal/ld/pcln.go`) for Go 1.16 and later. Still to come, each in a file of its
//! own beside these: files and lines, the tree of inlined calls, start lines, names for display.

mod locate;
mod module;
mod pc_value;
mod pclntab;

use std::sync::Arc;

use crate::FramePointer;
use crate::elf::Elf;
use pclntab::Pclntab;

/// What a file's Go tables are good for.
#[derive(Debug)]
pub(crate) enum GoCode<'d> {
    /// No Go code.
    None,
    /// Go code whose tables contradict themselves (garble and packers alter them on purpose), or
    /// whose text base cannot be known.
    Obfuscated,
    /// Usable.
    Table(Box<GoTable<'d>>),
}

/// A usable table.
#[derive(Debug)]
pub(crate) struct GoTable<'d> {
    pclntab: Pclntab<'d>,
    text: u64,
    /// Go code: what lies outside is C, whatever the table's last function would reach to.
    first: u64,
    end: u64,
}

/// A Go function at an address.
#[derive(Debug)]
pub(crate) enum GoFunction {
    /// As the linker names it, without symbol versions (`.abi0`).
    Named(Arc<str>),
    /// The table has a function here, but its record is another's.
    Obfuscated,
}

impl<'d> GoCode<'d> {
    /// Finds and checks the tables of a module's own file.
    pub fn open(elf: &Elf<'d>) -> Self {
        let mut found = false;
        for candidate in locate::candidates(elf) {
            found |= candidate.certain;
            let Some(pclntab) = Pclntab::parse(candidate.bytes) else { continue };
            if let Some(range) = module::code_range(elf, &pclntab, candidate.address) {
                let module::CodeRange { text, first, end } = range;
                return Self::Table(Box::new(GoTable { pclntab, text, first, end }));
            }
            found = true;
        }
        if found { Self::Obfuscated } else { Self::None }
    }
}

impl GoTable<'_> {
    /// The function at an address; `None` outside Go code.
    pub fn find(&self, address: u64) -> Option<GoFunction> {
        let offset = self.offset(address)?;
        let function = self.pclntab.function_at(offset)?;
        if !function.is_consistent() {
            return Some(GoFunction::Obfuscated);
        }
        if function.is_foreign() || !function.reaches(offset) {
            return None;
        }
        let name = function.name().filter(|name| !name.is_empty())?;
        Some(GoFunction::Named(String::from_utf8_lossy(name).into()))
    }

    /// Go functions with a frame save the frame pointer at its start (since Go 1.7 on x86-64, 1.12
    /// on ARM); the others leave it to their caller. `None` outside Go code.
    ///
    /// Go's `.debug_frame` would say less: its rules never mention the frame pointer.
    pub fn frame_pointer(&self, address: u64) -> Option<FramePointer> {
        let offset = self.offset(address)?;
        let function = self.pclntab.function_at(offset)?;
        if !function.is_consistent() || function.is_foreign() {
            return None;
        }
        if function.is_outermost() {
            return Some(FramePointer::Outermost);
        }
        Some(match function.stack_bytes(offset) {
            Some(bytes) if bytes > 0 => FramePointer::Set,
            Some(_) => FramePointer::NotSet,
            None => FramePointer::Unknown,
        })
    }

    fn offset(&self, address: u64) -> Option<u64> {
        if address < self.first || address >= self.end {
            return None;
        }
        address.checked_sub(self.text)
    }
}
