//! Names of the kernel addresses that were hit, and of no others.

use std::collections::{BTreeMap, BTreeSet};

use profile::{HostSymbol, ModuleId, SymbolFrom, Text};

use crate::kallsyms;
use crate::kernel::{self, KernelSymbol};

/// Without `bpf_snprintf()` a pass over kallsyms costs tens of milliseconds: the first comes after
/// 5 s, each following one after twice the time, the last one at the end.
const FIRST_PASS_NS: u64 = 5_000_000_000;

/// The kernel's own words for an address, where it gives them one by one.
pub(crate) trait NameAddress {
    /// Whether [`NameAddress::name`] works here.
    fn can_name(&self) -> bool;
    /// "name+0x12/0x34 [module]", or `None` where the kernel cannot say.
    fn name(&self, address: u64) -> Option<Vec<u8>>;
}

/// An address to name, and where it belongs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Wanted {
    address: u64,
    module: ModuleId,
    base: u64,
    generated: bool,
}

/// Addresses of one epoch.
#[derive(Default, Debug)]
pub(crate) struct KernelNames {
    wanted: BTreeSet<Wanted>,
    /// Named already: start and end.
    named: BTreeMap<u64, u64>,
}

/// When the next pass over kallsyms is due. Outlives epochs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passes {
    next_ns: u64,
    interval_ns: u64,
}

impl Passes {
    pub(crate) fn new(start_ns: u64) -> Self {
        Self { next_ns: start_ns + FIRST_PASS_NS, interval_ns: FIRST_PASS_NS }
    }

    fn due(&mut self, now_ns: u64) -> bool {
        if now_ns < self.next_ns {
            return false;
        }
        self.interval_ns *= 2;
        self.next_ns = now_ns + self.interval_ns;
        true
    }
}

impl KernelNames {
    /// Asks for the name of an address inside the instruction meant.
    pub(crate) fn want(&mut self, address: u64, module: ModuleId, base: u64, generated: bool) {
        if !self.is_named(address) {
            self.wanted.insert(Wanted { address, module, base, generated });
        }
    }

    fn is_named(&self, address: u64) -> bool {
        self.named.range(..=address).next_back().is_some_and(|(_, end)| address < *end)
    }

    /// Names what is wanted, as far as it is cheap or due. Calls `sink` with each new name.
    pub(crate) fn resolve(
        &mut self,
        namer: &impl NameAddress,
        passes: &mut Passes,
        now_ns: u64,
        last: bool,
        sink: impl FnMut(&HostSymbol),
    ) {
        if self.wanted.is_empty() {
            return;
        }
        if namer.can_name() {
            let name = |address| kernel::parse_named_address(address, &namer.name(address)?);
            self.name_each(name, now_ns, sink);
        } else if last || passes.due(now_ns) {
            let mut addresses: Vec<u64> = self.wanted.iter().map(|w| w.address).collect();
            addresses.dedup();
            let found = kallsyms::look_up_running(&addresses).unwrap_or_default();
            let found: BTreeMap<u64, KernelSymbol> = addresses
                .into_iter()
                .zip(found)
                .filter_map(|(address, symbol)| Some((address, symbol?)))
                .collect();
            self.name_each(|address| found.get(&address).cloned(), now_ns, sink);
        }
    }

    fn name_each(
        &mut self,
        mut name: impl FnMut(u64) -> Option<KernelSymbol>,
        now_ns: u64,
        mut sink: impl FnMut(&HostSymbol),
    ) {
        for wanted in std::mem::take(&mut self.wanted) {
            if self.is_named(wanted.address) {
                continue; // another address of the same function came first
            }
            let Some(symbol) = name(wanted.address) else { continue };
            self.named.insert(symbol.start, symbol.start.saturating_add(symbol.bytes));
            sink(&HostSymbol {
                module: wanted.module,
                start: symbol.start.wrapping_sub(wanted.base),
                bytes: symbol.bytes,
                name: Text::from(symbol.name),
                from: if wanted.generated { SymbolFrom::BpfKsym } else { SymbolFrom::Kallsyms },
                seen_ns: now_ns,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_is_asked_for_once() {
        let mut names = KernelNames::default();
        for address in [0x1010, 0x1020, 0x2000, 0x1010] {
            names.want(address, ModuleId(3), 0x1000, false);
        }
        let mut asked = Vec::new();
        let mut symbols = Vec::new();
        let mut answer = |address: u64| {
            asked.push(address);
            (address < 0x2000).then(|| KernelSymbol {
                start: 0x1000,
                bytes: 0x100,
                name: b"f".into(),
            })
        };
        names.name_each(&mut answer, 9, |symbol| symbols.push(symbol.clone()));
        assert_eq!(asked, [0x1010, 0x2000]);
        assert_eq!(symbols.len(), 1);
        assert_eq!((symbols[0].start, symbols[0].bytes, symbols[0].seen_ns), (0, 0x100, 9));
        names.want(0x10ff, ModuleId(3), 0x1000, false);
        assert!(names.wanted.is_empty(), "named already");
    }

    #[test]
    fn passes_come_after_growing_intervals() {
        let mut passes = Passes::new(0);
        let times: Vec<u64> = (0..100).filter(|s| passes.due(s * 1_000_000_000)).collect();
        assert_eq!(times, [5, 15, 35, 75]);
    }
}
