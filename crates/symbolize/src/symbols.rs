//! One module ready for look-ups.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use profile::{NameSource, NoName, Svma};

use crate::elf::Elf;
use crate::frame_pointer::UnwindRules;
use crate::symbol_table::SymbolTable;
use crate::{Error, FramePointer, SourceFrame, demangle};

/// The files that describe one module. Whoever gives them has checked that they belong together.
#[derive(Clone, Copy, Default, Debug)]
pub struct Files<'d> {
    /// The module's own file.
    pub image: Option<&'d [u8]>,
    /// Its separate debug file.
    pub debug: Option<&'d [u8]>,
    /// What several debug files share ([`crate::AltLink`]).
    pub supplement: Option<&'d [u8]>,
}

/// One module ready for look-ups. Costs a pass over the symbol tables; debug information is read
/// unit by unit when an address asks for it.
#[derive(Debug)]
pub struct Symbols<'d> {
    image: Option<Elf<'d>>,
    debug: Option<Elf<'d>>,
    table: SymbolTable<'d>,
    unwind: OnceLock<UnwindRules<'d>>,
}

impl<'d> Symbols<'d> {
    /// Opens a module.
    ///
    /// # Errors
    /// When no file was given, or one is no ELF file that can be read.
    pub fn new(files: Files<'d>) -> Result<Self, Error> {
        let image = files.image.map(Elf::parse).transpose()?;
        let debug = files.debug.map(Elf::parse).transpose()?;
        let files: Vec<&Elf<'d>> = image.iter().chain(&debug).collect();
        if files.is_empty() {
            return Err(Error::NoFile);
        }
        let table = SymbolTable::read(&files);
        Ok(Self { image, debug, table, unwind: OnceLock::new() })
    }

    fn files(&self) -> Vec<&Elf<'d>> {
        self.image.iter().chain(&self.debug).collect()
    }

    /// Whether the frame pointer is the function's own at an address: where it is not, a walk
    /// along frame pointers has skipped the direct caller.
    pub fn frame_pointer(&self, address: Svma) -> FramePointer {
        let rules = self.unwind.get_or_init(|| UnwindRules::read(&self.files()));
        rules.frame_pointer(address.0)
    }

    /// The functions at an address, the innermost inlined one first, the physical function last;
    /// never empty. Of a return address, ask for the byte before
    /// ([`profile::CodeAddress::lookup`]).
    ///
    /// # Errors
    /// Why there is no name: [`NoName::NoSymbols`], [`NoName::OutOfRange`],
    /// [`NoName::BadDebugInfo`] or [`NoName::Obfuscated`].
    pub fn lookup(&self, address: Svma) -> Result<Vec<SourceFrame>, NoName> {
        if let Some(named) = self.table.find(address.0) {
            return Ok(vec![physical(&named.name, named.source)]);
        }
        Err(if self.table.is_empty() { NoName::NoSymbols } else { NoName::OutOfRange })
    }
}

fn physical(raw: &str, source: NameSource) -> SourceFrame {
    let raw_name: Arc<str> = raw.into();
    let name = match demangle(raw) {
        Cow::Borrowed(_) => Arc::clone(&raw_name),
        Cow::Owned(shown) => shown.into(),
    };
    SourceFrame { name, raw_name, file: None, line: None, inlined: false, source }
}
