//! One unit: its header, its root entry, and what its values mean.

use std::sync::Arc;

use gimli::{
    AttributeValue, DebugAbbrev, DebugAbbrevOffset, DebugInfoOffset, DebugLineOffset, Dwarf,
    LittleEndian, RangeListsOffset, Section as _, UnitHeader,
};

use super::abbreviations::{AbbreviationCache, Abbreviations};
use super::cursor::Cursor;
use super::form::Value;
use super::{Damaged, Slice};

/// How far into its table a root entry's abbreviation may stand. Some compilers write it first,
/// GCC after those that are used more often.
const MAX_ABBREV_BYTES_BEFORE_ROOT: usize = 64 << 10;

/// Where an entry's code is, as its attributes state it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Extent {
    pub low_pc: Option<u64>,
    pub high_pc: Option<u64>,
    pub ranges: Option<RangeListsOffset>,
}

/// An entry: its offset in `.debug_info`, of the supplement or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Origin {
    pub offset: usize,
    pub in_supplement: bool,
}

/// A unit as its header and root entry describe it.
pub(super) struct Root<'a> {
    pub gimli: gimli::Unit<Slice<'a>>,
    pub extent: Extent,
    pub line_program: Option<DebugLineOffset>,
    pub comp_dir: Option<AttributeValue<Slice<'a>>>,
    language: Option<gimli::DwLang>,
}

/// A unit that entries can be read of.
pub(super) struct Unit<'a> {
    pub root: Root<'a>,
    pub offset: usize,
    pub in_supplement: bool,
    pub abbreviations: Arc<Abbreviations>,
    /// From the unit's header to its end: positions here are the offsets that references state.
    pub bytes: &'a [u8],
    first_entry: usize,
}

impl<'a> Root<'a> {
    /// Of the unit's abbreviations, only that of its root entry is parsed. `budget` bounds how many
    /// bytes of abbreviations are passed over to find it.
    pub fn read(
        dwarf: &Dwarf<Slice<'a>>,
        header: UnitHeader<Slice<'a>>,
        budget: &mut usize,
    ) -> Result<Self, Damaged> {
        let mut entry = header.range_from(header.root_offset()..)?;
        let code = gimli::Reader::read_uleb128(&mut entry)?;
        let table = dwarf.debug_abbrev.reader().slice();
        let table = table.get(header.debug_abbrev_offset().0..).ok_or(Damaged)?;
        let table = &table[..table.len().min(MAX_ABBREV_BYTES_BEFORE_ROOT)];
        let (start, end) = find_abbreviation(table, code)?;
        *budget = budget.checked_sub(end).ok_or(Damaged)?;
        let mut only_root = table[start..end].to_vec();
        only_root.push(0);
        let only_root =
            DebugAbbrev::new(&only_root, LittleEndian).abbreviations(DebugAbbrevOffset(0))?;
        Self::with_abbreviations(dwarf, header, Arc::new(only_root))
    }

    fn with_abbreviations(
        dwarf: &Dwarf<Slice<'a>>,
        header: UnitHeader<Slice<'a>>,
        abbreviations: Arc<gimli::Abbreviations>,
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
        let language = match value(gimli::DW_AT_language) {
            Some(AttributeValue::Language(language)) => Some(language),
            _ => None,
        };
        unit.low_pc = low_pc.unwrap_or(0);
        let extent = Extent { low_pc, high_pc, ranges };
        Ok(Self { gimli: unit, extent, line_program, comp_dir, language })
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

    /// C has neither namespaces nor functions within functions (GNU's aside).
    pub fn is_c(&self) -> bool {
        matches!(
            self.language,
            Some(
                gimli::DW_LANG_C
                    | gimli::DW_LANG_C89
                    | gimli::DW_LANG_C99
                    | gimli::DW_LANG_C11
                    | gimli::DW_LANG_C17
                    | gimli::DW_LANG_Mips_Assembler
            )
        )
    }
}

impl<'a> Unit<'a> {
    /// Opens the unit at an offset of `.debug_info`, for reading all its entries.
    pub fn open(
        dwarf: &Dwarf<Slice<'a>>,
        offset: usize,
        in_supplement: bool,
        cache: &AbbreviationCache,
    ) -> Result<Self, Damaged> {
        let header = dwarf.debug_info.header_from_offset(DebugInfoOffset(offset))?;
        let end = offset.checked_add(header.length_including_self()).ok_or(Damaged)?;
        let bytes = dwarf.debug_info.reader().slice().get(offset..end).ok_or(Damaged)?;
        let first_entry = header.root_offset().0;
        let section = dwarf.debug_abbrev.reader().slice();
        let at = header.debug_abbrev_offset().0;
        let abbreviations = cache.get(section, in_supplement, at, header.encoding())?;
        let root = Root::read(dwarf, header, &mut { MAX_ABBREV_BYTES_BEFORE_ROOT })?;
        Ok(Self { root, offset, in_supplement, abbreviations, bytes, first_entry })
    }

    /// Whether an entry stands in this unit.
    pub fn holds(&self, entry: Origin) -> bool {
        entry.in_supplement == self.in_supplement
            && entry.offset.checked_sub(self.offset).is_some_and(|at| at < self.bytes.len())
    }

    /// At the root entry.
    pub fn entries(&self) -> Cursor<'a> {
        Cursor::new(self.bytes, self.first_entry)
    }

    /// At the entry of an offset in `.debug_info`.
    pub fn entry(&self, offset: usize) -> Result<Cursor<'a>, Damaged> {
        let at = offset.checked_sub(self.offset).filter(|at| *at >= self.first_entry);
        at.filter(|at| *at < self.bytes.len()).map(|at| Cursor::new(self.bytes, at)).ok_or(Damaged)
    }

    pub fn address(&self, dwarf: &Dwarf<Slice<'a>>, value: Value) -> Option<u64> {
        let gimli = &self.root.gimli;
        match value.form {
            gimli::DW_FORM_addr => Some(value.number),
            gimli::DW_FORM_addrx
            | gimli::DW_FORM_addrx1
            | gimli::DW_FORM_addrx2
            | gimli::DW_FORM_addrx3
            | gimli::DW_FORM_addrx4
            | gimli::DW_FORM_GNU_addr_index => {
                let index = gimli::DebugAddrIndex(usize::try_from(value.number).ok()?);
                dwarf.address(gimli, index).ok()
            }
            _ => None,
        }
    }

    /// An upper bound, stated as an address or counted from the lower one.
    pub fn high_pc(
        &self,
        dwarf: &Dwarf<Slice<'a>>,
        low_pc: Option<u64>,
        value: Value,
    ) -> Option<u64> {
        match value.form {
            gimli::DW_FORM_data1
            | gimli::DW_FORM_data2
            | gimli::DW_FORM_data4
            | gimli::DW_FORM_data8
            | gimli::DW_FORM_udata
            | gimli::DW_FORM_sdata
            | gimli::DW_FORM_implicit_const => low_pc?.checked_add(value.number),
            _ => self.address(dwarf, value),
        }
    }

    pub fn ranges(&self, dwarf: &Dwarf<Slice<'a>>, value: Value) -> Option<RangeListsOffset> {
        let gimli = &self.root.gimli;
        let number = usize::try_from(value.number).ok()?;
        match value.form {
            gimli::DW_FORM_rnglistx => {
                dwarf.ranges_offset(gimli, gimli::DebugRngListsIndex(number)).ok()
            }
            gimli::DW_FORM_sec_offset | gimli::DW_FORM_data4 | gimli::DW_FORM_data8 => {
                Some(dwarf.ranges_offset_from_raw(gimli, gimli::RawRangeListsOffset(number)))
            }
            _ => None,
        }
    }

    /// The entry that a value refers to.
    pub fn reference(&self, value: Value) -> Option<Origin> {
        let number = usize::try_from(value.number).ok()?;
        let (offset, in_supplement) = match value.form {
            gimli::DW_FORM_ref1
            | gimli::DW_FORM_ref2
            | gimli::DW_FORM_ref4
            | gimli::DW_FORM_ref8
            | gimli::DW_FORM_ref_udata => (self.offset.checked_add(number)?, self.in_supplement),
            gimli::DW_FORM_ref_addr => (number, self.in_supplement),
            gimli::DW_FORM_GNU_ref_alt | gimli::DW_FORM_ref_sup4 | gimli::DW_FORM_ref_sup8 => {
                (number, true)
            }
            _ => return None,
        };
        Some(Origin { offset, in_supplement })
    }

    /// A text, without the zero that ends it.
    pub fn text(&self, dwarf: &Dwarf<Slice<'a>>, value: Value) -> Option<&'a [u8]> {
        let number = usize::try_from(value.number).ok()?;
        let section = match value.form {
            gimli::DW_FORM_string => self.bytes,
            gimli::DW_FORM_strp => dwarf.debug_str.reader().slice(),
            gimli::DW_FORM_line_strp => dwarf.debug_line_str.reader().slice(),
            gimli::DW_FORM_strp_sup | gimli::DW_FORM_GNU_strp_alt => {
                dwarf.sup()?.debug_str.reader().slice()
            }
            gimli::DW_FORM_strx
            | gimli::DW_FORM_strx1
            | gimli::DW_FORM_strx2
            | gimli::DW_FORM_strx3
            | gimli::DW_FORM_strx4
            | gimli::DW_FORM_GNU_str_index => {
                let index = gimli::DebugStrOffsetsIndex(number);
                let offset = dwarf.string_offset(&self.root.gimli, index).ok()?;
                return text_at(dwarf.debug_str.reader().slice(), offset.0);
            }
            _ => return None,
        };
        text_at(section, number)
    }
}

/// Longer texts are cut: no name or path has so many bytes.
const MAX_TEXT_BYTES: usize = 64 << 10;

fn text_at(section: &[u8], at: usize) -> Option<&[u8]> {
    let tail = section.get(at..)?;
    let tail = &tail[..tail.len().min(MAX_TEXT_BYTES)];
    Some(&tail[..tail.iter().position(|byte| *byte == 0).unwrap_or(tail.len())])
}

/// How many range list entries a file of this size can state once each.
pub(super) fn range_budget(dwarf: &Dwarf<Slice<'_>>) -> usize {
    dwarf.ranges.debug_ranges().reader().len() + dwarf.ranges.debug_rnglists().reader().len() + 64
}

/// Where in a table the declaration of a code begins and ends (DWARF 5, section 7.5.3).
fn find_abbreviation(table: &[u8], code: u64) -> Result<(usize, usize), Damaged> {
    let mut cursor = Cursor::new(table, 0);
    loop {
        let start = cursor.position();
        let this = cursor.uleb()?;
        if this == 0 {
            return Err(Damaged);
        }
        cursor.uleb()?; // tag
        cursor.skip(1)?; // has children
        loop {
            let name = cursor.uleb()?;
            let form = cursor.uleb()?;
            if form == u64::from(gimli::DW_FORM_implicit_const.0) {
                cursor.sleb()?;
            }
            if (name, form) == (0, 0) {
                break;
            }
        }
        if code == this {
            return Ok((start, cursor.position()));
        }
    }
}
