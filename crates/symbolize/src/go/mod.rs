//! Go's own tables, which stay in a stripped binary because the runtime needs them.
//!
//! ```text
//! locate       where the pclntab is: its section, or a scan for its header
//! memory       the program's data as the loader leaves it, by address
//! pclntab      header, function table
//! module       text base, code range and base of FUNCDATA, from the runtime's moduledata
//! function     one function's record
//! pc_value     tables of values by program counter
//! places       those that lead to lines and inlined calls, decoded
//! inline_tree  the calls that were inlined into one function
//! strings      names of functions and files, raw and for people
//! chain        the functions at one address
//! unwind       how the caller of one address is found
//! ```
//!
//! Layouts follow Go's sources (`src/runtime/symtab.go`, `src/runtime/symtabinl.go`,
//! `src/internal/abi/symtab.go`, `src/cmd/link/internal/ld/pcln.go`) for Go 1.16 and later on
//! 64-bit little-endian machines. Programs for others get no names from here.

mod chain;
mod function;
mod inline_tree;
mod locate;
mod memory;
mod module;
mod pc_value;
mod pclntab;
mod places;
mod strings;
mod unwind;

use std::sync::{Arc, OnceLock};

use profile::NoName;

use crate::elf::Elf;
use crate::span::Span;
use crate::{FramePointer, SourceFrame};
use chain::Chain;
use function::Function;
use inline_tree::InlineTree;
use memory::Memory;
use module::Module;
use pclntab::{Layout, Pclntab};
use places::LastPlaces;
use unwind::SpecialFunctions;

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
    memory: Arc<Memory<'d>>,
    /// What lies outside its code is C, whatever the table's last function would reach to.
    module: Module,
    /// `funcID` of functions that the compiler wrote to call another one.
    wrapper: Option<u8>,
    last_places: LastPlaces,
    special: OnceLock<SpecialFunctions>,
}

impl<'d> GoCode<'d> {
    /// Finds and checks the tables of a module's own file.
    pub fn open(elf: &Elf<'d>) -> Self {
        if !elf.is_64 {
            return Self::None;
        }
        let mut found = false;
        let mut memory = None;
        for candidate in locate::candidates(elf) {
            found |= candidate.certain;
            let memory = memory.get_or_insert_with(|| Arc::new(Memory::read(elf)));
            let Some(pclntab) = Pclntab::parse(candidate.bytes, candidate.address, memory) else {
                continue;
            };
            if let Some(module) = module::read(elf, memory, &pclntab) {
                let wrapper = wrapper_id(&pclntab);
                let table = GoTable {
                    pclntab,
                    memory: Arc::clone(memory),
                    module,
                    wrapper,
                    last_places: LastPlaces::default(),
                    special: OnceLock::new(),
                };
                return Self::Table(Box::new(table));
            }
            found = true;
        }
        if found { Self::Obfuscated } else { Self::None }
    }

    /// The functions at an address, or why they have no names; `None` outside Go code. `span` is
    /// narrowed to where the answer is the same.
    ///
    /// # Errors
    /// [`NoName::Obfuscated`] where the tables contradict themselves.
    pub fn frames(
        &self,
        address: u64,
        span: &mut Span,
    ) -> Option<Result<Vec<SourceFrame>, NoName>> {
        match self {
            Self::None => None,
            Self::Obfuscated => Some(Err(NoName::Obfuscated)),
            Self::Table(table) => table.frames(address, span),
        }
    }
}

/// The number changes from release to release. `runtime.deferreturn` has had it since before Go
/// 1.16, so that it does not show in stack traces, and is in every program.
fn wrapper_id(pclntab: &Pclntab<'_>) -> Option<u8> {
    let is_it = |f: &Function<'_, '_>| {
        f.name_at().and_then(|at| pclntab.strings.raw_name(at)) == Some(b"runtime.deferreturn")
    };
    pclntab.functions().find(is_it)?.id().filter(|id| *id != 0)
}

impl<'d> GoTable<'d> {
    fn frames(&self, address: u64, span: &mut Span) -> Option<Result<Vec<SourceFrame>, NoName>> {
        let function = self.function(address)?;
        if !function.is_consistent() {
            return Some(Err(NoName::Obfuscated));
        }
        if function.is_foreign() {
            return None;
        }
        let entry = self.module.text.checked_add(function.extent.start)?;
        let within = address.checked_sub(entry)?;
        let places = self.last_places.of(&function);
        if !places.reach(within) {
            return None;
        }
        span.narrow(entry, entry.saturating_add(function.size_bytes()));
        let constant = places.constant(within);
        span.narrow(entry.saturating_add(constant.begin), entry.saturating_add(constant.end));
        let chain = Chain {
            strings: &self.pclntab.strings,
            tree: self.inline_tree(&function),
            function,
            places: &places,
            wrapper: self.wrapper,
        };
        chain.frames(within).map(Ok)
    }

    fn inline_tree(&self, function: &Function<'_, '_>) -> Option<InlineTree<'d>> {
        let layout = self.pclntab.layout;
        let at = match layout {
            Layout::Go116 => function.inline_tree()?,
            _ => self.module.funcdata?.checked_add(function.inline_tree()?)?,
        };
        Some(InlineTree { layout, bytes: self.memory.bytes(at)? })
    }

    /// Go functions with a frame save the frame pointer at its start (since Go 1.7 on x86-64, 1.12
    /// on ARM); the others leave it to their caller. `None` outside Go code.
    ///
    /// Go's `.debug_frame` would say less: its rules never mention the frame pointer.
    pub fn frame_pointer(&self, address: u64) -> Option<FramePointer> {
        let function = self.function(address)?;
        if !function.is_consistent() || function.is_foreign() {
            return None;
        }
        if function.is_outermost() {
            return Some(FramePointer::Outermost);
        }
        let within = address.checked_sub(self.module.text.checked_add(function.extent.start)?)?;
        Some(match function.stack_bytes(within) {
            Some(bytes) if bytes > 0 => FramePointer::Set,
            Some(_) => FramePointer::NotSet,
            None => FramePointer::Unknown,
        })
    }

    /// The function whose part of the code holds an address; `None` outside Go code.
    fn function(&self, address: u64) -> Option<Function<'_, 'd>> {
        if address < self.module.first || address >= self.module.end {
            return None;
        }
        self.pclntab.function_at(address.checked_sub(self.module.text)?)
    }
}
