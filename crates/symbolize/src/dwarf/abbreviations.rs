//! Abbreviation tables made into plans: per kind of entry, what to skip and what to read.
//!
//! Nine of ten entries are types and variables that no look-up needs. Attributes that nobody reads
//! are added up to a few skips when the table is read, so that passing over such an entry costs a
//! few instructions, and one that says where its next sibling stands is left at once.

use std::sync::{Arc, Mutex, PoisonError};

use gimli::{DwAt, DwForm, DwTag, Encoding};
use rustc_hash::FxHashMap;

use super::Damaged;
use super::budget::Budget;
use super::cursor::Cursor;
use super::form::{self, Length, Value};

/// What an entry is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Function,
    Inlined,
    /// Names what is in it: a namespace, or a class in the wider sense.
    Namespace,
    Class,
    /// May hold functions or inlined calls.
    Block,
    /// Holds neither if it says where its sibling is. (Zig's functions stand in structures, but
    /// its compiler states no siblings.)
    Other,
}

/// The attributes that somebody reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attribute {
    Sibling,
    Name,
    LinkageName,
    LowPc,
    HighPc,
    Ranges,
    AbstractOrigin,
    Specification,
    Declaration,
    CallFile,
    CallLine,
    DeclLine,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Skip(u32),
    SkipOne(Length),
    Read { attribute: Attribute, form: DwForm, implicit: u32 },
}

/// How to read entries of one abbreviation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub kind: Kind,
    pub has_children: bool,
    /// All attributes together, where each has a fixed length.
    fixed_bytes: Option<u32>,
    first_step: u32,
    end_step: u32,
}

/// The plans of one abbreviation table.
#[derive(Debug)]
pub(super) struct Abbreviations {
    plans: Vec<Plan>,
    steps: Vec<Step>,
    implicit: Vec<i64>,
    /// By code, counted from 1: compilers number without holes, in any order.
    dense: Vec<u32>,
    sparse: FxHashMap<u64, u32>,
    encoding: Encoding,
}

const NONE: u32 = u32::MAX;

/// Codes below stand in a list.
const DENSE_CODES: u64 = 1 << 12;

/// Larger tables are refused: the largest seen in real programs have some 40 KiB, and a hostile
/// file may let every unit point to the same huge one.
const MAX_TABLE_BYTES: usize = 1 << 20;

/// Abbreviations with more attributes are refused: real ones have some thirty, and one attribute
/// may take no bytes, so that an entry of one byte would cost as many steps as it pleases.
const MAX_STEPS: usize = 256;

impl Abbreviations {
    fn read(table: &[u8], encoding: Encoding) -> Result<(Self, usize), Damaged> {
        let mut this = Self {
            plans: Vec::new(),
            steps: Vec::new(),
            implicit: Vec::new(),
            dense: Vec::new(),
            sparse: FxHashMap::default(),
            encoding,
        };
        let mut cursor = Cursor::new(&table[..table.len().min(MAX_TABLE_BYTES)], 0);
        loop {
            let code = cursor.uleb()?;
            if code == 0 {
                return Ok((this, cursor.position()));
            }
            let plan = this.read_plan(&mut cursor)?;
            let number = this.plans.len() as u32;
            this.plans.push(plan);
            if code < DENSE_CODES {
                let code = code as usize;
                this.dense.resize(this.dense.len().max(code + 1), NONE);
                this.dense[code] = number;
            } else {
                this.sparse.insert(code, number);
            }
        }
    }

    /// One declaration (DWARF 5, section 7.5.3), after its code.
    fn read_plan(&mut self, cursor: &mut Cursor<'_>) -> Result<Plan, Damaged> {
        let tag = u16::try_from(cursor.uleb()?).map_or(DwTag(0), DwTag);
        let kind = kind(tag);
        let has_children = cursor.u8()? != 0;
        let first_step = self.steps.len() as u32;
        loop {
            let name = cursor.uleb()?;
            let form = DwForm(u16::try_from(cursor.uleb()?).map_err(|_| Damaged)?);
            if (name, form) == (0, DwForm(0)) {
                break;
            }
            let mut implicit = NONE;
            if form == gimli::DW_FORM_implicit_const {
                implicit = self.implicit.len() as u32;
                self.implicit.push(cursor.sleb()?);
            }
            let attribute = u16::try_from(name)
                .ok()
                .and_then(|name| wanted(kind, DwAt(name)))
                .filter(|attribute| *attribute != Attribute::Sibling || is_in_unit(form));
            if let Some(attribute) = attribute {
                if self.steps.len() - first_step as usize > MAX_STEPS {
                    return Err(Damaged);
                }
                self.steps.push(Step::Read { attribute, form, implicit });
                continue;
            }
            let length = form::length(form, self.encoding).ok_or(Damaged)?;
            let can_add = self.steps.len() > first_step as usize;
            match (length, self.steps.last_mut().filter(|_| can_add)) {
                (Length::Fixed(0), _) => {}
                (Length::Fixed(bytes), Some(Step::Skip(sum))) => *sum += u32::from(bytes),
                (Length::Fixed(bytes), _) => self.steps.push(Step::Skip(bytes.into())),
                (length, _) => self.steps.push(Step::SkipOne(length)),
            }
        }
        let end_step = self.steps.len() as u32;
        let fixed_bytes = match self.steps[first_step as usize..] {
            [] => Some(0),
            [Step::Skip(bytes)] => Some(bytes),
            _ => None,
        };
        Ok(Plan { kind, has_children, fixed_bytes, first_step, end_step })
    }

    /// How to read entries of a code.
    #[inline]
    pub fn plan(&self, code: u64) -> Result<Plan, Damaged> {
        let number = match self.dense.get(usize::try_from(code).unwrap_or(usize::MAX)) {
            Some(number) => *number,
            None => self.sparse.get(&code).copied().unwrap_or(NONE),
        };
        self.plans.get(number as usize).copied().ok_or(Damaged)
    }

    /// Passes over an entry's attributes; the position of its sibling if it says so.
    #[inline]
    pub fn skip(&self, cursor: &mut Cursor<'_>, plan: Plan) -> Result<Option<Value>, Damaged> {
        if let Some(bytes) = plan.fixed_bytes {
            return cursor.skip(bytes.into()).map(|()| None);
        }
        let mut sibling = None;
        for step in self.steps(plan) {
            match *step {
                Step::Skip(bytes) => cursor.skip(bytes.into())?,
                Step::SkipOne(length) => form::skip(cursor, length, self.encoding)?,
                Step::Read { attribute, form, implicit } => {
                    let value = self.value(cursor, form, implicit)?;
                    if attribute == Attribute::Sibling {
                        sibling = Some(value);
                    }
                }
            }
        }
        Ok(sibling)
    }

    /// Reads an entry's attributes.
    #[inline]
    pub fn read_attributes(
        &self,
        cursor: &mut Cursor<'_>,
        plan: Plan,
        mut each: impl FnMut(Attribute, Value),
    ) -> Result<(), Damaged> {
        for step in self.steps(plan) {
            match *step {
                Step::Skip(bytes) => cursor.skip(bytes.into())?,
                Step::SkipOne(length) => form::skip(cursor, length, self.encoding)?,
                Step::Read { attribute, form, implicit } => {
                    each(attribute, self.value(cursor, form, implicit)?);
                }
            }
        }
        Ok(())
    }

    fn steps(&self, plan: Plan) -> &[Step] {
        &self.steps[plan.first_step as usize..plan.end_step as usize]
    }

    #[inline]
    fn value(
        &self,
        cursor: &mut Cursor<'_>,
        form: DwForm,
        implicit: u32,
    ) -> Result<Value, Damaged> {
        if form == gimli::DW_FORM_ref4 || form == gimli::DW_FORM_strp && !self.is_64_bit() {
            return Ok(Value { form, number: cursor.unsigned(4)? });
        }
        let implicit = self.implicit.get(implicit as usize).copied().unwrap_or(0);
        form::read(cursor, form, implicit, self.encoding)
    }

    fn is_64_bit(&self) -> bool {
        self.encoding.format == gimli::Format::Dwarf64
    }

    fn heap_bytes(&self) -> usize {
        self.plans.capacity() * size_of::<Plan>()
            + self.steps.capacity() * size_of::<Step>()
            + self.dense.capacity() * 4
            + self.sparse.capacity() * 16
            + self.implicit.capacity() * 8
    }
}

fn kind(tag: DwTag) -> Kind {
    match tag {
        gimli::DW_TAG_subprogram => Kind::Function,
        gimli::DW_TAG_inlined_subroutine => Kind::Inlined,
        gimli::DW_TAG_namespace | gimli::DW_TAG_module => Kind::Namespace,
        gimli::DW_TAG_structure_type
        | gimli::DW_TAG_class_type
        | gimli::DW_TAG_union_type
        | gimli::DW_TAG_interface_type => Kind::Class,
        gimli::DW_TAG_lexical_block
        | gimli::DW_TAG_try_block
        | gimli::DW_TAG_catch_block
        | gimli::DW_TAG_with_stmt
        | gimli::DW_TAG_compile_unit
        | gimli::DW_TAG_partial_unit
        | gimli::DW_TAG_skeleton_unit => Kind::Block,
        _ => Kind::Other,
    }
}

/// Whether a reference of that form counts from the unit's start.
fn is_in_unit(form: DwForm) -> bool {
    matches!(
        form,
        gimli::DW_FORM_ref1
            | gimli::DW_FORM_ref2
            | gimli::DW_FORM_ref4
            | gimli::DW_FORM_ref8
            | gimli::DW_FORM_ref_udata
    )
}

fn wanted(kind: Kind, name: DwAt) -> Option<Attribute> {
    if name == gimli::DW_AT_sibling {
        return Some(Attribute::Sibling);
    }
    let is_code = matches!(kind, Kind::Function | Kind::Inlined);
    if !is_code && !matches!(kind, Kind::Namespace | Kind::Class) {
        return None;
    }
    Some(match name {
        gimli::DW_AT_name => Attribute::Name,
        gimli::DW_AT_specification => Attribute::Specification,
        _ if !is_code => return None,
        gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => Attribute::LinkageName,
        gimli::DW_AT_low_pc => Attribute::LowPc,
        gimli::DW_AT_high_pc => Attribute::HighPc,
        gimli::DW_AT_ranges => Attribute::Ranges,
        gimli::DW_AT_abstract_origin => Attribute::AbstractOrigin,
        gimli::DW_AT_declaration => Attribute::Declaration,
        gimli::DW_AT_call_file => Attribute::CallFile,
        gimli::DW_AT_call_line => Attribute::CallLine,
        gimli::DW_AT_decl_line => Attribute::DeclLine,
        _ => return None,
    })
}

/// Tables in use: units share them (dwz lets all partial units share one), and names are read out
/// of units whose entries are not.
pub(super) struct AbbreviationCache {
    cached: Mutex<CachedTables>,
    budget: Budget,
}

/// Of the supplement or not, offset in `.debug_abbrev`, and what decides how long values are.
type Key = (bool, usize, u8, bool, bool);

#[derive(Default)]
struct CachedTables {
    tables: FxHashMap<Key, Arc<Abbreviations>>,
    heap_bytes: usize,
}

impl AbbreviationCache {
    const MAX_BYTES: usize = 24 << 20;

    /// For tables that have so many bytes in all.
    pub fn new(bytes: usize) -> Self {
        Self { cached: Mutex::default(), budget: Budget::for_section(bytes) }
    }

    /// The table at an offset of `section`, which is that of the supplement or not.
    pub fn get(
        &self,
        section: &[u8],
        in_supplement: bool,
        offset: usize,
        encoding: Encoding,
    ) -> Result<Arc<Abbreviations>, Damaged> {
        let lock = || self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let is_64_bit = encoding.format == gimli::Format::Dwarf64;
        let key = (in_supplement, offset, encoding.address_size, is_64_bit, encoding.version <= 2);
        if let Some(table) = lock().tables.get(&key) {
            return Ok(Arc::clone(table));
        }
        let section = section.get(offset..).ok_or(Damaged)?;
        let table = Abbreviations::read(section, encoding);
        self.budget.spend(table.as_ref().map_or(MAX_TABLE_BYTES, |(_, bytes)| *bytes))?;
        let table = Arc::new(table?.0);
        let mut cached = lock();
        if cached.heap_bytes + table.heap_bytes() > Self::MAX_BYTES {
            *cached = CachedTables::default();
        }
        cached.heap_bytes += table.heap_bytes();
        cached.tables.insert(key, Arc::clone(&table));
        Ok(table)
    }
}
