//! One search of a process's perf-PID.map: from addresses that were hit to symbols for the archive.

use std::io;

use profile::{HostSymbol, ModuleId, SymbolFrom, Text};

use crate::perf_map_file::PerfMapFile;
use crate::perf_map_search::Search;

/// An address of run-time code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct JitAddress {
    /// In the process, inside the instruction meant.
    pub(crate) avma: u64,
    pub(crate) module: ModuleId,
}

/// Which file, and up to where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Searched {
    pub(crate) identity: (u64, u64),
    pub(crate) to: u64,
}

/// What a search came to.
pub(crate) struct Outcome {
    /// Functions that got a name, by module and range.
    pub(crate) named: Vec<(ModuleId, u64, u64)>,
    pub(crate) named_addresses: usize,
    /// Sorted.
    pub(crate) missed: Vec<JitAddress>,
    pub(crate) searched: Searched,
    pub(crate) spent_ns: u64,
}

/// A search in progress.
#[derive(Debug)]
pub(crate) struct JitSearch {
    map: PerfMapFile,
    search: Search,
    more: bool,
    /// Sorted.
    addresses: Vec<JitAddress>,
    /// Of `addresses`, how many have been decided.
    decided: usize,
    missed: Vec<JitAddress>,
    named: Vec<(ModuleId, u64, u64)>,
    pub(crate) spent_ns: u64,
}

impl JitSearch {
    /// A search for `addresses` (sorted) in a map from a place on.
    pub(crate) fn new(map: PerfMapFile, from: u64, addresses: Vec<JitAddress>) -> Self {
        let search = Search::new(addresses.iter().map(|a| a.avma).collect(), from..map.bytes);
        Self {
            map,
            search,
            more: true,
            addresses,
            decided: 0,
            missed: Vec::new(),
            named: Vec::new(),
            spent_ns: 0,
        }
    }

    /// Ends it, be it done or not.
    pub(crate) fn outcome(mut self) -> Outcome {
        self.missed.extend_from_slice(&self.addresses[self.decided..]);
        Outcome {
            named: self.named,
            named_addresses: self.addresses.len() - self.missed.len(),
            missed: self.missed,
            searched: Searched { identity: self.map.identity, to: self.search.whole_to() },
            spent_ns: self.spent_ns,
        }
    }

    /// Searches a piece of the map, or takes a name from it. Returns whether there is more to do.
    pub(crate) fn step(
        &mut self,
        now_ns: u64,
        sink: &mut impl FnMut(&HostSymbol),
    ) -> io::Result<bool> {
        if self.more {
            self.more = self.search.advance(&self.map.file)?;
            return Ok(true);
        }
        let Some(found) = self.search.next_name(&self.map.file)? else { return Ok(false) };
        let (first, last) =
            (self.search.addresses()[found.first], self.search.addresses()[found.end - 1]);
        let start = self.addresses.partition_point(|a| a.avma < first);
        let end = self.addresses.partition_point(|a| a.avma <= last);
        self.missed.extend_from_slice(&self.addresses[self.decided..start]);
        self.decided = end;
        let mut modules: Vec<ModuleId> =
            self.addresses[start..end].iter().map(|a| a.module).collect();
        modules.dedup();
        for module in modules {
            self.named.push((module, found.range.start, found.range.end));
            sink(&HostSymbol {
                module,
                start: found.range.start,
                bytes: found.range.end - found.range.start,
                name: Text::from(found.name.as_slice()),
                from: SymbolFrom::PerfMap,
                seen_ns: now_ns,
            });
        }
        Ok(true)
    }
}
