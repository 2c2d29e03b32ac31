//! Names that only the host could give: the kernel's, BPF programs', just-in-time compilers'.

use profile::{HostSymbol, ModuleId, Tables};
use rustc_hash::FxHashMap;

/// Host symbols that may overlap an address: ranges of just-in-time code are reused, so more than one
/// can claim it. Beyond this many, the newest is not searched for.
const MAX_OVERLAP: usize = 32;

/// The host symbols of one recording by module.
#[derive(Debug)]
pub struct HostSymbols<'a> {
    by_module: FxHashMap<ModuleId, Vec<&'a HostSymbol>>,
}

impl<'a> HostSymbols<'a> {
    /// Sorts a recording's host symbols, and more that were found for it.
    #[must_use]
    pub fn new(tables: &'a Tables, more: &'a [HostSymbol]) -> Self {
        let mut by_module: FxHashMap<ModuleId, Vec<&HostSymbol>> = FxHashMap::default();
        for symbol in tables.symbols.iter().chain(more) {
            by_module.entry(symbol.module).or_default().push(symbol);
        }
        for symbols in by_module.values_mut() {
            symbols.sort_by_key(|s| (s.start, s.seen_ns));
        }
        Self { by_module }
    }

    /// All of a module.
    #[must_use]
    pub fn of(&self, module: ModuleId) -> &[&'a HostSymbol] {
        self.by_module.get(&module).map_or(&[], Vec::as_slice)
    }

    /// The symbol at an address in the module's own meaning; of several the one seen last.
    #[must_use]
    pub fn find(&self, module: ModuleId, address: u64) -> Option<&'a HostSymbol> {
        let symbols = self.of(module);
        let end = symbols.partition_point(|s| s.start <= address);
        symbols[end.saturating_sub(MAX_OVERLAP)..end]
            .iter()
            .filter(|s| address - s.start < s.bytes.max(1))
            .max_by_key(|s| (s.seen_ns, s.start))
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::SymbolFrom;

    fn symbol(start: u64, bytes: u64, name: &str, seen_ns: u64) -> HostSymbol {
        HostSymbol {
            module: ModuleId(1),
            start,
            bytes,
            name: name.into(),
            from: SymbolFrom::PerfMap,
            seen_ns,
        }
    }

    #[test]
    fn an_address_gets_the_name_seen_last_and_none_outside_every_range() {
        let tables = Tables {
            symbols: vec![
                symbol(0x100, 0x40, "old", 1),
                symbol(0x110, 0x10, "new", 2),
                symbol(0x200, 0, "no size", 1),
            ],
            ..Tables::default()
        };
        let symbols = HostSymbols::new(&tables, &[]);
        let name = |at| symbols.find(ModuleId(1), at).map(|s| s.name.lossy().into_owned());
        assert_eq!(name(0x105).as_deref(), Some("old"));
        assert_eq!(name(0x115).as_deref(), Some("new"));
        assert_eq!(name(0x13f).as_deref(), Some("old"));
        assert_eq!(name(0x140), None);
        assert_eq!(name(0xff), None);
        assert_eq!(name(0x200).as_deref(), Some("no size"));
        assert_eq!(name(0x201), None);
        assert!(symbols.find(ModuleId(2), 0x105).is_none());
    }
}
