//! The name of a function's entry, through its references.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gimli::Dwarf;
use rustc_hash::FxHashMap;

use super::abbreviations::{AbbreviationCache, Attribute};
use super::scopes::Scopes;
use super::unit::{Origin, Unit};
use super::unit_index::{UnitIndex, unit_offsets};
use super::{Damaged, Slice};
use crate::demangle::raw_and_shown;
use crate::symbol_table::MAX_NAME_BYTES;

/// References followed for one name: real ones take up to four (inlined call, its abstract entry,
/// the declaration in a class, moved to a partial unit). Cycles end here.
const MAX_HOPS: usize = 16;

/// What debug information says of a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DwarfName {
    /// The linker's where it is stated, else the source's.
    pub raw: Arc<str>,
    /// The source's name stands with its namespaces and classes.
    pub shown: Arc<str>,
    /// Line on which the function begins.
    pub start_line: Option<u32>,
}

type Texts = (Arc<str>, Arc<str>);

/// Names found so far.
#[derive(Default)]
pub(super) struct Names {
    found: Mutex<FxHashMap<Origin, Option<DwarfName>>>,
    /// By where a text lies: linkers keep one copy of each, and each is demangled once.
    texts: Mutex<FxHashMap<usize, Texts>>,
    scopes: Mutex<ScopeCache>,
    supplement_units: OnceLock<Vec<usize>>,
}

/// By in which file and where a unit begins.
#[derive(Default)]
struct ScopeCache {
    units: FxHashMap<(bool, usize), Arc<Scopes>>,
    heap_bytes: usize,
}

/// Scopes are forgotten beyond this many bytes.
const MAX_SCOPE_BYTES: usize = 32 << 20;

/// Where names are looked for.
pub(super) struct Place<'v, 'a> {
    pub dwarf: &'v Dwarf<Slice<'a>>,
    pub index: &'v UnitIndex,
    pub abbreviations: &'v AbbreviationCache,
    /// The unit that most names stand in.
    pub unit: &'v Unit<'a>,
}

impl Names {
    /// What is known of an entry; `None` when it has no name, or cannot be read.
    pub fn resolve(&self, place: &Place<'_, '_>, origin: Origin) -> Option<DwarfName> {
        let lock = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = lock().get(&origin) {
            return name.clone();
        }
        let name = self.follow(place, origin).unwrap_or(None);
        lock().insert(origin, name.clone());
        name
    }

    fn follow<'a>(
        &self,
        place: &Place<'_, 'a>,
        mut at: Origin,
    ) -> Result<Option<DwarfName>, Damaged> {
        let mut plain = None;
        let mut start_line = None;
        for _ in 0..MAX_HOPS {
            let opened;
            let (dwarf, unit) = if place.unit.holds(at) {
                (place.dwarf, place.unit)
            } else {
                let dwarf = self.file(place, at)?;
                opened = self.open_unit(place, dwarf, at)?;
                (dwarf, &opened)
            };
            let entry = read(dwarf, unit, at)?;
            start_line = start_line.or(entry.start_line);
            if let Some(text) = entry.linkage_name {
                let (raw, shown) = self.texts(text);
                return Ok(Some(DwarfName { raw, shown, start_line }));
            }
            // The linkage name may stand further on, with the declaration.
            plain = plain.or(entry.name);
            match entry.next {
                Some(next) => at = next,
                None => {
                    let Some(name) = plain else { break };
                    let (raw, shown) = self.qualified(dwarf, unit, at, name);
                    return Ok(Some(DwarfName { raw, shown, start_line }));
                }
            }
        }
        Ok(None)
    }

    fn file<'v, 'a>(
        &self,
        place: &Place<'v, 'a>,
        at: Origin,
    ) -> Result<&'v Dwarf<Slice<'a>>, Damaged> {
        if at.in_supplement { place.dwarf.sup().ok_or(Damaged) } else { Ok(place.dwarf) }
    }

    fn open_unit<'a>(
        &self,
        place: &Place<'_, 'a>,
        dwarf: &Dwarf<Slice<'a>>,
        at: Origin,
    ) -> Result<Unit<'a>, Damaged> {
        let units = if at.in_supplement {
            &self.supplement_units.get_or_init(|| unit_offsets(dwarf))[..]
        } else {
            place.index.offsets()
        };
        let before = units.partition_point(|start| *start <= at.offset).checked_sub(1);
        let offset = units[before.ok_or(Damaged)?];
        Unit::open(dwarf, offset, at.in_supplement, place.abbreviations)
    }

    fn texts(&self, bytes: &[u8]) -> Texts {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts
            .entry(bytes.as_ptr().addr())
            .or_insert_with(|| {
                raw_and_shown(&String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_NAME_BYTES)]))
            })
            .clone()
    }

    /// The name of an entry as it is stated, and with what it stands in.
    fn qualified<'a>(
        &self,
        dwarf: &Dwarf<Slice<'a>>,
        unit: &Unit<'a>,
        at: Origin,
        name: &[u8],
    ) -> Texts {
        let (raw, shown) = self.texts(name);
        if unit.root.is_c() {
            return (raw, shown);
        }
        let qualified =
            self.scopes(unit).qualify(dwarf, unit, at.offset.saturating_sub(unit.offset), name);
        if qualified == name {
            return (raw, shown);
        }
        (raw, String::from_utf8_lossy(&qualified).into())
    }

    fn scopes(&self, unit: &Unit<'_>) -> Arc<Scopes> {
        let lock = || self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (unit.in_supplement, unit.offset);
        if let Some(scopes) = lock().units.get(&key) {
            return Arc::clone(scopes);
        }
        let scopes = Arc::new(Scopes::read(unit));
        let mut cache = lock();
        if cache.heap_bytes + scopes.heap_bytes() > MAX_SCOPE_BYTES {
            *cache = ScopeCache::default();
        }
        cache.heap_bytes += scopes.heap_bytes();
        cache.units.insert(key, Arc::clone(&scopes));
        scopes
    }
}

/// What one entry says.
#[derive(Default)]
struct Entry<'a> {
    name: Option<&'a [u8]>,
    linkage_name: Option<&'a [u8]>,
    start_line: Option<u32>,
    next: Option<Origin>,
}

fn read<'a>(dwarf: &Dwarf<Slice<'a>>, unit: &Unit<'a>, at: Origin) -> Result<Entry<'a>, Damaged> {
    let mut cursor = unit.entry(at.offset)?;
    let code = cursor.uleb()?;
    let plan = unit.abbreviations.plan(code)?;
    let mut entry = Entry::default();
    let mut declared_at = None;
    unit.abbreviations.read_attributes(&mut cursor, plan, |attribute, value| match attribute {
        Attribute::Name => entry.name = unit.text(dwarf, value),
        Attribute::LinkageName => entry.linkage_name = unit.text(dwarf, value),
        Attribute::DeclLine => {
            entry.start_line = u32::try_from(value.number).ok().filter(|line| *line != 0);
        }
        Attribute::AbstractOrigin => entry.next = unit.reference(value),
        Attribute::Specification => declared_at = unit.reference(value),
        _ => {}
    })?;
    entry.next = entry.next.or(declared_at);
    Ok(entry)
}
