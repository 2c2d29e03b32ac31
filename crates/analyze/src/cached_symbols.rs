//! Names of addresses in a module's files: from the cache where it knows them, from the files where
//! it does not. Those are then added to it.

use std::ops::Range;
use std::sync::OnceLock;

use profile::{NoName, Svma};
use rayon::prelude::*;
use symbolize::{Files, Found, FramePointer, SourceFrame, Symbols, Table, TableBuilder};

use crate::locate::Located;
use crate::symbol_cache::{Key, SymbolCache};

/// Addresses that a thread asks the files for at a time: neighbours share a unit of debug
/// information, which one thread then decodes once.
const PIECE: usize = 256;

/// The functions at an address, the innermost first, or why there are none.
pub type Names = Result<Vec<SourceFrame>, NoName>;

/// What a module's files say of an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Functions.
    pub names: Names,
    /// What a walk along frame pointers finds there.
    pub frame_pointer: FramePointer,
}

/// A module's files, to be asked through the cache. They are opened only for what it lacks.
#[derive(Debug)]
pub struct CachedSymbols<'a> {
    files: Files<'a>,
    /// Once they are needed; `None` when they cannot be used.
    opened: OnceLock<Option<Box<Symbols<'a>>>>,
    kept: Option<(&'a SymbolCache, Key)>,
}

/// One address, as asked of the files.
struct Fresh {
    at: Svma,
    found: Found,
    frame_pointer: Option<(FramePointer, Range<u64>)>,
}

/// One address, from wherever.
#[derive(Clone)]
struct Known {
    names: Names,
    frame_pointer: Option<FramePointer>,
}

impl<'a> CachedSymbols<'a> {
    /// Of files found here. Those that only seem to be the module's ([`crate::Trust::Unverified`])
    /// are not cached.
    #[must_use]
    pub fn of(located: &'a Located, cache: &'a SymbolCache) -> Self {
        let key = cache.is_used().then(|| Key::of(located)).flatten();
        Self { files: located.files(), opened: OnceLock::new(), kept: key.map(|key| (cache, key)) }
    }

    /// Of an image that a recording holds itself.
    #[must_use]
    pub fn embedded(image: &'a [u8]) -> Self {
        let files = Files { image: Some(image), ..Files::default() };
        Self { files, opened: OnceLock::new(), kept: None }
    }

    /// Names of addresses in any order, in parallel.
    #[must_use]
    pub fn names(&self, addresses: &[Svma]) -> Vec<Names> {
        self.ask(addresses, false).into_iter().map(|known| known.names).collect()
    }

    /// Names, and what the frame pointer is there.
    #[must_use]
    pub fn answers(&self, addresses: &[Svma]) -> Vec<Answer> {
        let known = self.ask(addresses, true).into_iter();
        known
            .map(|Known { names, frame_pointer }| Answer {
                names,
                frame_pointer: frame_pointer.unwrap_or(FramePointer::Unknown),
            })
            .collect()
    }

    /// Asks each address once, and in ascending order.
    fn ask(&self, addresses: &[Svma], unwind: bool) -> Vec<Known> {
        let mut order: Vec<usize> = (0..addresses.len()).collect();
        order.sort_unstable_by_key(|i| addresses[*i]);
        let groups = || order.chunk_by(|a, b| addresses[*a] == addresses[*b]);
        let unique: Vec<Svma> = groups().map(|same| addresses[same[0]]).collect();
        let mut answers: Vec<Option<Known>> = vec![None; addresses.len()];
        for (same, known) in groups().zip(self.ask_ascending(&unique, unwind)) {
            for i in &same[1..] {
                answers[*i] = Some(known.clone());
            }
            answers[same[0]] = Some(known);
        }
        answers.into_iter().flatten().collect()
    }

    fn ask_ascending(&self, addresses: &[Svma], unwind: bool) -> Vec<Known> {
        let stored = self.kept.as_ref().and_then(|(cache, key)| cache.read(key));
        let table = stored.as_deref().and_then(|bytes| Table::open(bytes).ok());
        let table = table.filter(|table| {
            self.kept.as_ref().is_some_and(|(_, key)| table.key() == key.as_bytes())
        });
        let known: Vec<Option<Known>> =
            addresses.iter().map(|at| from_table(table.as_ref()?, *at, unwind)).collect();
        let missing: Vec<Svma> =
            addresses.iter().zip(&known).filter(|(_, k)| k.is_none()).map(|(at, _)| *at).collect();
        let fresh = self.ask_files(&missing, unwind);
        self.keep(table.as_ref(), &fresh);
        let mut fresh = fresh.into_iter().map(|fresh| Known {
            names: fresh.found.names,
            frame_pointer: fresh.frame_pointer.map(|(answer, _)| answer),
        });
        let unreadable = Known { names: Err(NoName::BadDebugInfo), frame_pointer: None };
        known
            .into_iter()
            .map(|known| known.or_else(|| fresh.next()).unwrap_or_else(|| unreadable.clone()))
            .collect()
    }

    /// Empty when the files cannot be used at all.
    fn ask_files(&self, missing: &[Svma], unwind: bool) -> Vec<Fresh> {
        if missing.is_empty() {
            return Vec::new();
        }
        let opened = self.opened.get_or_init(|| Symbols::new(self.files).ok().map(Box::new));
        let Some(symbols) = opened else { return Vec::new() };
        let ask = |at: &Svma| Fresh {
            at: *at,
            found: symbols.lookup_range(*at),
            frame_pointer: unwind.then(|| symbols.frame_pointer_range(*at)),
        };
        missing.par_chunks(PIECE).flat_map_iter(|piece| piece.iter().map(ask)).collect()
    }

    /// Writes what is known now. A table that has grown too large begins again with what was asked
    /// last.
    fn keep(&self, table: Option<&Table<'_>>, fresh: &[Fresh]) {
        let Some((cache, key)) = &self.kept else { return };
        if fresh.is_empty() {
            return;
        }
        let write = |mut builder: TableBuilder| {
            for Fresh { at, found, frame_pointer } in fresh {
                builder.add_names(*at, found);
                if let Some((answer, extent)) = frame_pointer {
                    builder.add_frame_pointer(*at, *answer, extent.clone());
                }
            }
            let bytes = builder.finish(key.as_bytes());
            bytes.filter(|bytes| SymbolCache::has_room_for(bytes)).map(|b| cache.write(key, &b))
        };
        table
            .and_then(|table| write(TableBuilder::with(table)))
            .or_else(|| write(TableBuilder::default()));
    }
}

/// `None` unless the table knows everything that is wanted.
fn from_table(table: &Table<'_>, at: Svma, unwind: bool) -> Option<Known> {
    let frame_pointer = if unwind { Some(table.frame_pointer(at)?) } else { None };
    Some(Known { names: table.lookup(at)?.names, frame_pointer })
}
