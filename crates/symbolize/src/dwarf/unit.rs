//! One unit's header, abbreviations and root entry.

use std::sync::{Arc, Mutex, PoisonError};

use gimli::{
    Abbreviations, AttributeValue, DebugAbbrev, DebugAbbrevOffset, DebugInfoOffset,
    DebugLineOffset, Dwarf, LittleEndian, RangeListsOffset, Reader as _, Section as _, UnitHeader,
};
use rustc_hash::FxHashMap;

use super::{Damaged, Slice};

/// Larger abbreviation tables are refused: the largest seen in real programs have some 40 KiB, and
/// a hostile file may let every unit point to the same huge one.
const MAX_ABBREV_BYTES: usize = 1 << 20;

/// How far into its table a root entry's abbreviation may stand (compilers write it first).
const MAX_ABBREV_BYTES_BEFORE_ROOT: usize = 4 << 10;

/// Where an entry's code is, as its attributes state it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Extent {
    pub low_pc: Option<u64>,
    pub high_pc: Option<u64>,
    pub ranges: Option<RangeListsOffset>,
}

/// A unit that entries can be read of.
pub(super) struct Unit<'a> {
    pub gimli: gimli::Unit<Slice<'a>>,
    pub extent: Extent,
    pub line_program: Option<DebugLineOffset>,
    pub comp_dir: Option<AttributeValue<Slice<'a>>>,
}

impl<'a> Unit<'a> {
    /// Opens the unit at an offset of `.debug_info`, for reading all its entries.
    pub fn open(
        dwarf: &Dwarf<Slice<'a>>,
        offset: usize,
        in_supplement: bool,
        abbreviations: &AbbreviationCache,
    ) -> Result<Self, Damaged> {
        let header = dwarf.debug_info.header_from_offset(DebugInfoOffset(offset))?;
        let abbreviations =
            abbreviations.get(dwarf, in_supplement, header.debug_abbrev_offset())?;
        Self::with_abbreviations(dwarf, header, abbreviations)
    }

    /// Opens a unit for its root entry alone: of its abbreviations, only that one's is parsed.
    pub fn open_root(
        dwarf: &Dwarf<Slice<'a>>,
        header: UnitHeader<Slice<'a>>,
    ) -> Result<Self, Damaged> {
        let mut entry = header.range_from(header.root_offset()..)?;
        let code = gimli::Reader::read_uleb128(&mut entry)?;
        let table = dwarf.debug_abbrev.reader().slice();
        let table = table.get(header.debug_abbrev_offset().0..).ok_or(Damaged)?;
        let table = &table[..table.len().min(MAX_ABBREV_BYTES_BEFORE_ROOT)];
        let (start, end) = scan_abbreviations(table, Some(code)).ok_or(Damaged)?;
        let mut only_root = table[start..end].to_vec();
        only_root.push(0);
        let only_root =
            DebugAbbrev::new(&only_root, LittleEndian).abbreviations(DebugAbbrevOffset(0))?;
        Self::with_abbreviations(dwarf, header, Arc::new(only_root))
    }

    fn with_abbreviations(
        dwarf: &Dwarf<Slice<'a>>,
        header: UnitHeader<Slice<'a>>,
        abbreviations: Arc<Abbreviations>,
    ) -> Result<Self, Damaged> {
        if !matches!(header.address_size(), 4 | 8) {
            return Err(Damaged);
        }
        let encoding = header.encoding();
        let main = gimli::DwarfFileType::Main;
        let mut unit = gimli::Unit {
            abbreviations,
            name: None,
            comp_dir: None,
            low_pc: 0,
            str_offsets_base: gimli::DebugStrOffsetsBase::default_for_encoding_and_file(
                encoding, main,
            ),
            addr_base: gimli::DebugAddrBase(0),
            loclists_base: gimli::DebugLocListsBase::default_for_encoding_and_file(encoding, main),
            rnglists_base: gimli::DebugRngListsBase::default_for_encoding_and_file(encoding, main),
            // Parsed only where lines are asked for: its file table is the larger part of a unit.
            line_program: None,
            dwo_id: None,
            header,
        };
        let root = unit.header.entry(&unit.abbreviations, unit.header.root_offset())?;
        for attribute in root.attrs() {
            match (attribute.name(), attribute.value()) {
                (gimli::DW_AT_str_offsets_base, AttributeValue::DebugStrOffsetsBase(base)) => {
                    unit.str_offsets_base = base;
                }
                (
                    gimli::DW_AT_addr_base | gimli::DW_AT_GNU_addr_base,
                    AttributeValue::DebugAddrBase(base),
                ) => unit.addr_base = base,
                (
                    gimli::DW_AT_rnglists_base | gimli::DW_AT_GNU_ranges_base,
                    AttributeValue::DebugRngListsBase(base),
                ) => unit.rnglists_base = base,
                _ => {}
            }
        }
        // Only now are the bases known that indexed attributes need.
        let value = |name| root.attr_value(name);
        let address =
            |name| value(name).and_then(|value| dwarf.attr_address(&unit, value).ok().flatten());
        let low_pc = address(gimli::DW_AT_low_pc);
        let high_pc = address(gimli::DW_AT_high_pc).or_else(|| {
            let bytes = value(gimli::DW_AT_high_pc)?.udata_value()?;
            low_pc?.checked_add(bytes)
        });
        let ranges = value(gimli::DW_AT_ranges)
            .and_then(|value| dwarf.attr_ranges_offset(&unit, value).ok().flatten());
        let line_program = match value(gimli::DW_AT_stmt_list) {
            Some(AttributeValue::DebugLineRef(offset)) => Some(offset),
            _ => None,
        };
        let comp_dir = value(gimli::DW_AT_comp_dir);
        unit.low_pc = low_pc.unwrap_or(0);
        let extent = Extent { low_pc, high_pc, ranges };
        Ok(Self { gimli: unit, extent, line_program, comp_dir })
    }

    /// The address ranges of an entry of this unit. `budget` bounds how many entries of
    /// range lists are read: each list of a real file is referred to about once, those of a
    /// hostile one may be shared by every entry.
    pub fn for_each_range(
        &self,
        dwarf: &Dwarf<Slice<'a>>,
        extent: &Extent,
        budget: &mut usize,
        mut each: impl FnMut(u64, u64),
    ) -> Result<(), Damaged> {
        if let Some(offset) = extent.ranges {
            let mut raw = dwarf.raw_ranges(&self.gimli, offset)?;
            while raw.next()?.is_some() {
                *budget = budget.checked_sub(1).ok_or(Damaged)?;
            }
            let mut ranges = dwarf.ranges(&self.gimli, offset)?;
            while let Some(range) = ranges.next()? {
                if range.begin < range.end {
                    each(range.begin, range.end);
                }
            }
        } else if let (Some(begin), Some(end)) = (extent.low_pc, extent.high_pc)
            && begin < end
        {
            each(begin, end);
        }
        Ok(())
    }
}

/// How many range list entries a file of this size can state once each.
pub(super) fn range_budget(dwarf: &Dwarf<Slice<'_>>) -> usize {
    dwarf.ranges.debug_ranges().reader().len() + dwarf.ranges.debug_rnglists().reader().len() + 64
}

/// Abbreviation tables in use: units share them (dwz lets all partial units share one), and names
/// are read out of units whose entries are not.
#[derive(Default)]
pub(super) struct AbbreviationCache(Mutex<CachedTables>);

#[derive(Default)]
struct CachedTables {
    tables: FxHashMap<(bool, usize), Arc<Abbreviations>>,
    bytes: usize,
}

impl AbbreviationCache {
    /// Bytes of tables kept; decoded, a table takes some thirty times its size.
    const MAX_BYTES: usize = 2 << 20;

    fn get(
        &self,
        dwarf: &Dwarf<Slice<'_>>,
        in_supplement: bool,
        offset: DebugAbbrevOffset,
    ) -> Result<Arc<Abbreviations>, Damaged> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (in_supplement, offset.0);
        if let Some(table) = lock().tables.get(&key) {
            return Ok(Arc::clone(table));
        }
        let bytes = dwarf.debug_abbrev.reader().slice().get(offset.0..).ok_or(Damaged)?;
        let bytes = &bytes[..bytes.len().min(MAX_ABBREV_BYTES)];
        let (_, length) = scan_abbreviations(bytes, None).ok_or(Damaged)?;
        let table = Arc::new(dwarf.debug_abbrev.abbreviations(offset)?);
        let mut cached = lock();
        if cached.bytes + length > Self::MAX_BYTES {
            *cached = CachedTables::default();
        }
        cached.bytes += length;
        cached.tables.insert(key, Arc::clone(&table));
        Ok(table)
    }
}

/// Walks an abbreviation table (DWARF 5, section 7.5.3): without a `code` to its end, else to the
/// declaration of that code, whose extent is returned.
fn scan_abbreviations(table: &[u8], code: Option<u64>) -> Option<(usize, usize)> {
    let mut rest = table;
    let at = |rest: &[u8]| table.len() - rest.len();
    loop {
        let start = at(rest);
        let this = uleb128(&mut rest)?;
        if this == 0 {
            return code.is_none().then_some((0, start));
        }
        uleb128(&mut rest)?; // tag
        rest = rest.get(1..)?; // has children
        loop {
            let name = uleb128(&mut rest)?;
            let form = uleb128(&mut rest)?;
            if form == u64::from(gimli::DW_FORM_implicit_const.0) {
                uleb128(&mut rest)?;
            }
            if (name, form) == (0, 0) {
                break;
            }
        }
        if code == Some(this) {
            return Some((start, at(rest)));
        }
    }
}

/// An unsigned number, or the length of a signed one (whose value does not matter here).
fn uleb128(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
