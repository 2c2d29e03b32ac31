//! Registers and stack words of stacks: collected as columns when written, decoded a block at a time
//! when asked for. Nothing of them is kept in the tables: there may be one for every sample.

use std::ops::Range;

use profile::{Kept, KeptValue, ModuleId, Slice, StackId};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::definitions::{EpochIds, block};
use crate::fields::{Fields, Malformed, Value, Varints};
use crate::inflate::{Inflater, LostReason};
use crate::scan::Frame;
use crate::{Archive, schema};

/// A block is closed when it reaches this size.
const CLOSE_AT_BYTES: usize = 128 << 10;
/// Upper bounds of the serialised size of a row and of a kept word.
const ROW_BYTES: usize = 5 + 5 + 5;
const KEPT_BYTES: usize = 5 + 5 + 10;
/// Words of one slice at most: 64 KiB of stack and the registers. One more would be another format.
const MAX_KEPT: usize = (64 << 10) / 8 + profile::REGISTER_PLACES as usize;

/// Slices that are not yet in a frame.
#[derive(Default)]
pub(crate) struct PendingSlices {
    open: Rows,
    /// The other stacks of some of them.
    open_others: Rows,
    closed: Vec<schema::Slices>,
}

/// Rows of one block.
#[derive(Default)]
struct Rows {
    columns: schema::Slices,
    bytes: usize,
    last_stack: u32,
}

impl Rows {
    fn push(&mut self, stack: StackId, slice: &Slice) {
        let kept = &slice.kept[..slice.kept.len().min(MAX_KEPT)];
        let columns = &mut self.columns;
        columns.stack.push(stack.0.wrapping_sub(self.last_stack));
        self.last_stack = stack.0;
        columns.looked_at_words.push(slice.looked_at_words);
        columns.kept.push(kept.len() as u32);
        let mut last_place = 0;
        for kept in kept {
            columns.place.push(kept.place.wrapping_sub(last_place));
            last_place = kept.place;
            let (module, value) = match kept.value {
                KeptValue::Code { module, address } => (module.0, address.cast_signed()),
                KeptValue::Stack(target) => {
                    (0, target.wrapping_sub(own_bytes(kept.place)).cast_signed())
                }
            };
            columns.module.push(module);
            columns.value.push(value);
        }
        self.bytes += ROW_BYTES + kept.len() * KEPT_BYTES;
    }
}

impl PendingSlices {
    pub fn push(&mut self, stack: StackId, slice: &Slice) {
        self.open.push(stack, slice);
        if let Some(other) = &slice.other {
            self.open_others.push(stack, other);
        }
        if self.open.bytes + self.open_others.bytes >= CLOSE_AT_BYTES {
            self.close();
        }
    }

    /// All blocks to be written, in order.
    pub fn take(&mut self) -> Vec<schema::Slices> {
        if self.open.bytes > 0 {
            self.close();
        }
        std::mem::take(&mut self.closed)
    }

    fn close(&mut self) {
        let mut block = std::mem::take(&mut self.open).columns;
        let others = std::mem::take(&mut self.open_others);
        block.other = (others.bytes > 0).then(|| Box::new(others.columns));
        self.closed.push(block);
    }
}

/// How far above the stack pointer a place is; a register's value counts from the stack pointer.
fn own_bytes(place: u32) -> u64 {
    u64::from(place.saturating_sub(profile::REGISTER_PLACES)) * 8
}

/// The slices of one block, decoded while they are visited. Ids are merged ones.
#[derive(Debug)]
pub struct SliceBlock<'a> {
    content: Vec<u8>,
    own: Columns,
    other: Columns,
    ids: &'a EpochIds,
}

/// Where rows of slices stand in a block.
#[derive(Default, Debug)]
struct Columns {
    /// stack, words looked at, words kept.
    rows: [Range<usize>; 3],
    /// place, module, value.
    words: [Range<usize>; 3],
}

impl Columns {
    /// From the fields of a message; also where the one inside it stands.
    fn find(content: &[u8], within: Range<usize>) -> Result<(Self, Range<usize>), Malformed> {
        let mut columns = [const { 0..0 }; 7];
        for field in Fields::new(content, within) {
            if let (number @ 1..=7, Value::Bytes(at)) = field? {
                columns[number as usize - 1] = at;
            }
        }
        let [stack, looked_at, kept, place, module, value, inner] = columns;
        let this = Self { rows: [stack, looked_at, kept], words: [place, module, value] };
        this.check(content)?;
        Ok((this, inner))
    }

    /// Equally long columns, and places that ascend.
    fn check(&self, content: &[u8]) -> Result<(), Malformed> {
        let count = |column: &Range<usize>| Varints(&content[column.clone()]).count();
        let (rows, words) = (count(&self.rows[0])?, count(&self.words[0])?);
        let equal = |columns: &[Range<usize>], length| {
            columns.iter().try_fold(true, |equal, c| Ok(equal & (count(c)? == length)))
        };
        if !equal(&self.rows[1..], rows)? || !equal(&self.words[1..], words)? {
            return Err(Malformed);
        }
        let mut kept_words = Varints(&content[self.rows[2].clone()]);
        let mut places = Varints(&content[self.words[0].clone()]);
        let mut rest = words as u64;
        for _ in 0..rows {
            let kept = kept_words.next();
            if kept > MAX_KEPT as u64 {
                return Err(Malformed);
            }
            rest = rest.checked_sub(kept).ok_or(Malformed)?;
            let mut last = 0u64;
            for index in 0..kept {
                let distance = places.next();
                last = last.checked_add(distance).ok_or(Malformed)?;
                if (index > 0 && distance == 0) || last > u64::from(u32::MAX) {
                    return Err(Malformed);
                }
            }
        }
        if rest == 0 { Ok(()) } else { Err(Malformed) }
    }
}

/// Reads rows one after the other.
struct Cursor<'b> {
    rows_left: usize,
    rows: [Varints<'b>; 3],
    words: [Varints<'b>; 3],
    /// The row that comes next.
    stack: u32,
}

impl<'b> Cursor<'b> {
    fn new(content: &'b [u8], columns: &Columns) -> Self {
        let column = |at: &Range<usize>| Varints(&content[at.clone()]);
        let [mut stacks, looked_at, kept] = columns.rows.each_ref().map(column);
        let rows_left = stacks.count().unwrap_or(0);
        let stack = stacks.next() as u32;
        let words = columns.words.each_ref().map(column);
        Self { rows_left, rows: [stacks, looked_at, kept], words, stack }
    }

    /// The row's words into `slice`, which is overwritten. `code` says whose code an address is, if that is known.
    fn read(&mut self, slice: &mut Slice, code: impl Fn(u32, u64) -> Option<KeptValue>) {
        let [stacks, looked_at, kept] = &mut self.rows;
        let [places, modules, values] = &mut self.words;
        slice.looked_at_words = looked_at.next() as u32;
        slice.kept.clear();
        let mut place = 0u32;
        for _ in 0..kept.next() {
            place += places.next() as u32;
            let (module, value) = (modules.next() as u32, values.next_signed());
            let value = match module {
                0 => Some(KeptValue::Stack(own_bytes(place).wrapping_add_signed(value))),
                module => code(module, value.cast_unsigned()),
            };
            slice.kept.extend(value.map(|value| Kept { place, value }));
        }
        self.rows_left -= 1;
        self.stack = self.stack.wrapping_add(stacks.next() as u32);
    }
}

impl<'a> SliceBlock<'a> {
    fn decode(content: Vec<u8>, ids: &'a EpochIds) -> Result<Self, Malformed> {
        let mut slices = 0..0;
        for field in Fields::new(&content, block(&content)?) {
            if let (9, Value::Bytes(at)) = field? {
                slices = at;
            }
        }
        let (own, inner) = Columns::find(&content, slices)?;
        let (other, _) = Columns::find(&content, inner)?;
        Ok(Self { content, own, other, ids })
    }

    /// Visits every slice whose stack is known. Words of a lost module are left out: like any other
    /// word that was not kept, they say nothing.
    pub fn for_each(&self, mut visit: impl FnMut(StackId, &Slice)) {
        let code = |module, address| self.code(module, address);
        let mut own = Cursor::new(&self.content, &self.own);
        let mut others = Cursor::new(&self.content, &self.other);
        let mut slice = Slice::default();
        while own.rows_left > 0 {
            let stack = own.stack;
            own.read(&mut slice, code);
            slice.other = (others.rows_left > 0 && others.stack == stack).then(|| {
                let mut other = Box::new(Slice::default());
                others.read(&mut other, code);
                other
            });
            let stack = StackId(self.ids.stacks.get(stack));
            if stack.is_some() {
                visit(stack, &slice);
            }
        }
    }

    fn code(&self, module: u32, address: u64) -> Option<KeptValue> {
        let module = ModuleId(self.ids.modules.get(module));
        module.is_some().then_some(KeptValue::Code { module, address })
    }
}

impl Archive {
    /// The slices of all stacks that have one, block by block, in any order of stacks. May be run again.
    pub fn slice_blocks(
        &self,
    ) -> impl ParallelIterator<Item = Result<SliceBlock<'_>, LostReason>> + '_ {
        self.index
            .slices
            .par_iter()
            .map_init(Inflater::new, |inflater, frame| self.slices(inflater, frame))
    }

    fn slices(&self, inflater: &mut Inflater, frame: &Frame) -> Result<SliceBlock<'_>, LostReason> {
        let content = inflater.inflate(&self.source, frame)?;
        let ids = self.epochs.get(&frame.header.epoch).unwrap_or(&self.no_ids);
        Ok(SliceBlock::decode(content, ids)?)
    }
}
