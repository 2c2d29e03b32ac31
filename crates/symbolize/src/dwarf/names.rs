//! The name of a function's entry, through its references.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gimli::{Dwarf, UnitOffset};
use rustc_hash::FxHashMap;

use super::functions::{Origin, origin};
use super::unit::{AbbreviationCache, Unit};
use super::unit_index::{UnitIndex, unit_offsets};
use super::{Damaged, Slice};
use crate::demangle::raw_and_shown;
use crate::symbol_table::MAX_NAME_BYTES;

/// References followed for one name: real ones take up to four (inlined call, its abstract entry,
/// the declaration in a class, moved to a partial unit). Cycles end here.
const MAX_HOPS: usize = 16;

/// A name that debug information states: the linker's where it does, else the source's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DwarfName {
    pub raw: Arc<str>,
    pub shown: Arc<str>,
}

/// Names found so far.
#[derive(Default)]
pub(super) struct Names {
    found: Mutex<FxHashMap<Origin, Option<DwarfName>>>,
    supplement_units: OnceLock<Vec<usize>>,
}

impl Names {
    /// The name of an entry; `None` when there is none, or it cannot be read.
    pub fn resolve(
        &self,
        dwarf: &Dwarf<Slice<'_>>,
        index: &UnitIndex,
        abbreviations: &AbbreviationCache,
        origin: Origin,
    ) -> Option<DwarfName> {
        let lock = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = lock().get(&origin) {
            return name.clone();
        }
        let name = self.follow(dwarf, index, abbreviations, origin).unwrap_or(None);
        lock().insert(origin, name.clone());
        name
    }

    fn follow(
        &self,
        dwarf: &Dwarf<Slice<'_>>,
        index: &UnitIndex,
        abbreviations: &AbbreviationCache,
        mut at: Origin,
    ) -> Result<Option<DwarfName>, Damaged> {
        let mut plain = None;
        for _ in 0..MAX_HOPS {
            let (file, units) = if at.in_supplement {
                let file = dwarf.sup().ok_or(Damaged)?;
                (file, &self.supplement_units.get_or_init(|| unit_offsets(file))[..])
            } else {
                (dwarf, index.offsets())
            };
            let before = units.partition_point(|start| *start <= at.offset).checked_sub(1);
            let unit_offset = units[before.ok_or(Damaged)?];
            let unit = Unit::open(file, unit_offset, at.in_supplement, abbreviations)?;
            let entry = unit.gimli.entry(UnitOffset(at.offset - unit_offset))?;
            let text = |name| {
                let value = entry.attr_value(name)?;
                Some(file.attr_string(&unit.gimli, value).ok()?.slice())
            };
            let linkage =
                text(gimli::DW_AT_linkage_name).or_else(|| text(gimli::DW_AT_MIPS_linkage_name));
            if let Some(name) = linkage {
                return Ok(Some(name_of(name)));
            }
            // The linkage name may stand further on, with the declaration.
            plain = plain.or_else(|| text(gimli::DW_AT_name).map(name_of));
            let next = entry
                .attr_value(gimli::DW_AT_abstract_origin)
                .or_else(|| entry.attr_value(gimli::DW_AT_specification))
                .and_then(|value| origin(unit_offset, value));
            match next {
                Some(next) => {
                    at = Origin { in_supplement: next.in_supplement || at.in_supplement, ..next };
                }
                None => break,
            }
        }
        Ok(plain)
    }
}

fn name_of(bytes: &[u8]) -> DwarfName {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_NAME_BYTES)]);
    let (raw, shown) = raw_and_shown(&text);
    DwarfName { raw, shown }
}
