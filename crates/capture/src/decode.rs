//! Turns the bytes of one record into a sample, or says what is wrong with them.

use std::mem::{offset_of, size_of};
use std::ops::Range;

use crate::record::{
    MAX_FRAMES, MORE_STACK_LAYOUT, MoreStack, OTHER_STACK_LAYOUT, RECORD_LAYOUT, RecordHeader,
};

/// How the walk along user frame pointers ended, as the BPF program saw it (`enum walk_end`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WalkEnd {
    /// The kernel's own walk does not say.
    Unknown,
    /// At a frame pointer of zero.
    Zero,
    /// At a frame that could not be read.
    Fault,
    /// At the depth limit.
    Limit,
    /// At a word that no return address can be.
    NotCode,
}

/// One sample, still as addresses. Borrows from the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RawSample<'a> {
    pub(crate) time_ns: u64,
    pub(crate) cgroup_id: u64,
    pub(crate) cpu: u32,
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    /// Up to the first NUL.
    pub(crate) comm: &'a [u8],
    /// Kernel stack, leaf first.
    pub(crate) kernel: Words<'a>,
    /// User stack, leaf first.
    pub(crate) user: Words<'a>,
    pub(crate) walk_end: WalkEnd,
    /// Of a Go program whose thread is on another stack than the goroutine it works for: where that will go on,
    /// and its callers.
    pub(crate) goroutine: Words<'a>,
    /// How that ended.
    pub(crate) goroutine_end: WalkEnd,
    /// User registers: none, or those of [`crate::record::REGISTERS`].
    pub(crate) registers: Words<'a>,
    /// User stack from the stack pointer upwards, a whole number of words.
    pub(crate) stack: Words<'a>,
    /// Of Go code that C code called: an address in the thread's other stack, and what stands there and above. The
    /// other is the thread's own where `stack` is the goroutine's, else the goroutine's from where that will go on.
    pub(crate) other_stack: Words<'a>,
}

/// 64-bit words in a record, which need not be aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Words<'a>(pub(crate) &'a [u8]);

impl<'a> Words<'a> {
    pub(crate) fn len(self) -> usize {
        self.0.len() / 8
    }

    pub(crate) fn get(self, index: usize) -> Option<u64> {
        self.0.as_chunks::<8>().0.get(index).map(|word| u64::from_ne_bytes(*word))
    }

    /// At most so many of them.
    pub(crate) fn first(self, count: usize) -> Self {
        Self(self.0.get(..count * 8).unwrap_or(self.0))
    }

    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = u64> + ExactSizeIterator + 'a {
        self.0.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word))
    }
}

/// What is wrong with a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum BadRecord {
    /// Shorter than its header.
    #[error("{0} bytes are shorter than a record's header")]
    Short(usize),
    /// Of another version of the program.
    #[error("record of layout {0}")]
    Layout(u32),
    /// The parts do not add up to the whole.
    #[error("parts of {stated} bytes in a record that has {present} after its header")]
    Length { stated: usize, present: usize },
    /// A number without a meaning.
    #[error("no such end of a walk: {0}")]
    WalkEnd(u8),
}

fn bytes_at<const N: usize>(record: &[u8], at: usize) -> Result<[u8; N], BadRecord> {
    record
        .get(at..at + N)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(BadRecord::Short(record.len()))
}

fn u32_at(record: &[u8], at: usize) -> Result<u32, BadRecord> {
    bytes_at(record, at).map(u32::from_ne_bytes)
}

fn u8_at(record: &[u8], at: usize) -> Result<u8, BadRecord> {
    bytes_at(record, at).map(u8::from_ne_bytes)
}

fn u16_at(record: &[u8], at: usize) -> Result<u16, BadRecord> {
    bytes_at(record, at).map(u16::from_ne_bytes)
}

/// The time of a record, without decoding the rest; what is too short for one sorts first.
pub(crate) fn time_of(record: &[u8]) -> u64 {
    bytes_at(record, offset_of!(RecordHeader, time_ns)).map_or(0, u64::from_ne_bytes)
}

/// A record that has more of a sample's stacks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MoreOfStack {
    /// Where in the record the words are.
    pub(crate) words: Range<usize>,
    /// Of the thread's other stack: the address of the first word.
    pub(crate) other_from: Option<u64>,
}

/// What a record has of a sample's stacks; `None`: it is a sample itself.
pub(crate) fn more_of_stack(record: &[u8]) -> Option<MoreOfStack> {
    const STACK: usize = offset_of!(MoreStack, stack);
    let layout = u32_at(record, offset_of!(MoreStack, layout)).ok()?;
    let is_other = layout == OTHER_STACK_LAYOUT;
    if layout != MORE_STACK_LAYOUT && !is_other {
        return None;
    }
    let word = |at| bytes_at(record, at).map(u64::from_ne_bytes).ok();
    let from = word(offset_of!(MoreStack, from))?;
    let bytes = usize::try_from(word(offset_of!(MoreStack, bytes))?).unwrap_or(usize::MAX);
    let length = bytes.min(record.len().checked_sub(STACK)?) / 8 * 8;
    Some(MoreOfStack { words: STACK..STACK + length, other_from: is_other.then_some(from) })
}

/// Makes so many bytes more behind a record part of its stack, or of the other one.
pub(crate) fn grow_stack(record: &mut [u8], is_other: bool, bytes: usize) {
    let at = if is_other {
        offset_of!(RecordHeader, other_stack_bytes)
    } else {
        offset_of!(RecordHeader, stack_bytes)
    };
    let grown = u32_at(record, at).unwrap_or(0).saturating_add(bytes as u32);
    if let Some(slot) = record.get_mut(at..at + 4) {
        slot.copy_from_slice(&grown.to_ne_bytes());
    }
}

/// The CPU of a record that may not decode otherwise.
pub(crate) fn cpu_of(record: &[u8]) -> u32 {
    u32_at(record, offset_of!(RecordHeader, cpu)).unwrap_or(0)
}

/// Decodes one record. Bounds every part by the bytes that are there.
pub(crate) fn decode(record: &[u8]) -> Result<RawSample<'_>, BadRecord> {
    const HEADER: usize = size_of::<RecordHeader>();
    let Some(parts) = record.get(HEADER..) else {
        return Err(BadRecord::Short(record.len()));
    };
    let layout = u32_at(record, offset_of!(RecordHeader, layout))?;
    if layout != RECORD_LAYOUT {
        return Err(BadRecord::Layout(layout));
    }
    let length = |at| u16_at(record, at).map(|bytes| bytes.cast_signed().max(0) as usize);
    let long = |at| u32_at(record, at).map(|bytes| bytes as usize);
    let lengths = [
        length(offset_of!(RecordHeader, user_bytes))?,
        length(offset_of!(RecordHeader, kernel_bytes))?,
        usize::from(u16_at(record, offset_of!(RecordHeader, goroutine_bytes))?),
        usize::from(u8_at(record, offset_of!(RecordHeader, register_count))?) * 8,
        long(offset_of!(RecordHeader, stack_bytes))?,
        long(offset_of!(RecordHeader, other_stack_bytes))?,
    ];
    let stated = lengths.iter().sum::<usize>();
    if stated != parts.len() || lengths.iter().any(|bytes| !bytes.is_multiple_of(8)) {
        return Err(BadRecord::Length { stated, present: parts.len() });
    }
    let (user, rest) = parts.split_at(lengths[0]);
    let (kernel, rest) = rest.split_at(lengths[1]);
    let (goroutine, rest) = rest.split_at(lengths[2]);
    let (registers, rest) = rest.split_at(lengths[3]);
    let (stack, other_stack) = rest.split_at(lengths[4]);
    let walk_ends = u8_at(record, offset_of!(RecordHeader, walk_ends))?;
    let comm = &record[offset_of!(RecordHeader, comm)..HEADER];
    let comm_end = comm.iter().position(|b| *b == 0).unwrap_or(comm.len());
    Ok(RawSample {
        time_ns: time_of(record),
        cgroup_id: bytes_at(record, offset_of!(RecordHeader, cgroup_id)).map(u64::from_ne_bytes)?,
        cpu: cpu_of(record),
        pid: u32_at(record, offset_of!(RecordHeader, tgid))?,
        tid: u32_at(record, offset_of!(RecordHeader, tid))?,
        comm: &comm[..comm_end],
        kernel: Words(kernel),
        user: Words(user),
        walk_end: walk_end(walk_ends & 0xf)?,
        goroutine: Words(goroutine),
        goroutine_end: walk_end(walk_ends >> 4)?,
        registers: Words(registers),
        stack: Words(stack),
        other_stack: Words(other_stack),
    })
}

fn walk_end(number: u8) -> Result<WalkEnd, BadRecord> {
    match number {
        0 => Ok(WalkEnd::Unknown),
        1 => Ok(WalkEnd::Zero),
        2 => Ok(WalkEnd::Fault),
        3 => Ok(WalkEnd::Limit),
        4 => Ok(WalkEnd::NotCode),
        other => Err(BadRecord::WalkEnd(other)),
    }
}

/// Frames a stack can have at most: the smaller of our limit and the kernel's.
pub(crate) fn depth_limit(perf_event_max_stack: Option<i64>) -> usize {
    perf_event_max_stack.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_FRAMES).min(MAX_FRAMES)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record as the BPF program writes it.
    pub(crate) fn record(
        (pid, tid, time_ns): (u32, u32, u64),
        comm: &str,
        kernel: &[u64],
        user: &[u64],
    ) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<RecordHeader>()];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(offset_of!(RecordHeader, time_ns), &time_ns.to_ne_bytes());
        put(offset_of!(RecordHeader, cgroup_id), &9u64.to_ne_bytes());
        put(offset_of!(RecordHeader, layout), &RECORD_LAYOUT.to_ne_bytes());
        put(offset_of!(RecordHeader, cpu), &1u32.to_ne_bytes());
        put(offset_of!(RecordHeader, tgid), &pid.to_ne_bytes());
        put(offset_of!(RecordHeader, tid), &tid.to_ne_bytes());
        put(offset_of!(RecordHeader, kernel_bytes), &(kernel.len() as i16 * 8).to_ne_bytes());
        put(offset_of!(RecordHeader, user_bytes), &(user.len() as i16 * 8).to_ne_bytes());
        put(offset_of!(RecordHeader, comm), comm.as_bytes());
        bytes.extend(user.iter().chain(kernel).flat_map(|word| word.to_ne_bytes()));
        bytes
    }

    /// The same with registers and stack.
    pub(crate) fn with_slice(mut record: Vec<u8>, registers: &[u64], stack: &[u64]) -> Vec<u8> {
        let mut put = |at: usize, value: &[u8]| record[at..at + value.len()].copy_from_slice(value);
        put(offset_of!(RecordHeader, register_count), &[registers.len() as u8]);
        put(offset_of!(RecordHeader, stack_bytes), &(stack.len() as u32 * 8).to_ne_bytes());
        record.extend(registers.iter().chain(stack).flat_map(|word| word.to_ne_bytes()));
        record
    }

    /// The same with a goroutine's chain; to be added before the slice.
    pub(crate) fn with_goroutine(mut record: Vec<u8>, chain: &[u64]) -> Vec<u8> {
        let at = offset_of!(RecordHeader, goroutine_bytes);
        record[at..at + 2].copy_from_slice(&(chain.len() as u16 * 8).to_ne_bytes());
        record.extend(chain.iter().flat_map(|word| word.to_ne_bytes()));
        record
    }

    #[test]
    fn a_record_decodes_into_its_parts() {
        let bytes = record((7, 8, 99), "worker", &[0xffff_ffff_8100_0000], &[0x1000, 0x2000]);
        let sample = decode(&bytes).unwrap();
        assert_eq!((sample.pid, sample.tid, sample.time_ns, sample.cpu), (7, 8, 99, 1));
        assert_eq!(sample.comm, b"worker");
        assert_eq!(sample.kernel.iter().collect::<Vec<_>>(), [0xffff_ffff_8100_0000]);
        assert_eq!(sample.user.iter().collect::<Vec<_>>(), [0x1000, 0x2000]);
        assert_eq!(sample.user.get(2), None);
        assert_eq!((sample.registers.len(), sample.stack.len()), (0, 0));
    }

    #[test]
    fn registers_and_a_slice_of_the_stack_follow_the_chains() {
        let bytes = record((7, 8, 99), "worker", &[], &[0x1000]);
        let bytes = with_slice(with_goroutine(bytes, &[6, 7]), &[1, 2, 3], &[4, 5]);
        let bytes = with_other_stack(bytes, &[8, 9]);
        let sample = decode(&bytes).unwrap();
        assert_eq!(sample.goroutine.iter().collect::<Vec<_>>(), [6, 7]);
        assert_eq!(sample.registers.iter().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(sample.stack.iter().collect::<Vec<_>>(), [4, 5]);
        assert_eq!(sample.other_stack.iter().collect::<Vec<_>>(), [8, 9]);
    }

    /// The same with the thread's other stack; to be added last.
    pub(crate) fn with_other_stack(mut record: Vec<u8>, words: &[u64]) -> Vec<u8> {
        let at = offset_of!(RecordHeader, other_stack_bytes);
        record[at..at + 4].copy_from_slice(&(words.len() as u32 * 8).to_ne_bytes());
        record.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        record
    }

    /// A record with more of the stack of a sample of CPU 1.
    pub(crate) fn more(time_ns: u64, stack: &[u64]) -> Vec<u8> {
        more_from(MORE_STACK_LAYOUT, time_ns, 0x7000, stack)
    }

    /// A record with the other stack of such a sample, from an address on.
    pub(crate) fn more_of_other(time_ns: u64, from: u64, stack: &[u64]) -> Vec<u8> {
        more_from(OTHER_STACK_LAYOUT, time_ns, from, stack)
    }

    fn more_from(layout: u32, time_ns: u64, from: u64, stack: &[u64]) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<MoreStack>()];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(offset_of!(MoreStack, time_ns), &time_ns.to_ne_bytes());
        put(offset_of!(MoreStack, bytes), &(stack.len() as u64 * 8).to_ne_bytes());
        put(offset_of!(MoreStack, layout), &layout.to_ne_bytes());
        put(offset_of!(MoreStack, cpu), &1u32.to_ne_bytes());
        put(offset_of!(MoreStack, from), &from.to_ne_bytes());
        for (index, word) in stack.iter().enumerate() {
            put(offset_of!(MoreStack, stack) + index * 8, &word.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn more_of_a_stack_is_told_from_a_sample_and_bounded_by_what_is_there() {
        let words = |record: &[u8]| more_of_stack(record).map(|more| more.words);
        assert_eq!(words(&record((7, 8, 99), "worker", &[], &[0x1000])), None);
        let mut bytes = more(99, &[1, 2]);
        assert_eq!(words(&bytes), Some(32..48));
        assert_eq!(words(&bytes[..43]), Some(32..40));
        assert_eq!(words(&bytes[..28]), None);
        let at = offset_of!(MoreStack, bytes);
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_ne_bytes());
        assert_eq!(words(&bytes), Some(32..bytes.len()));
        assert_eq!(decode(&bytes), Err(BadRecord::Layout(MORE_STACK_LAYOUT)));
    }

    #[test]
    fn the_other_stack_says_where_it_is() {
        let bytes = more_of_other(99, 0x7010, &[1, 2]);
        let found = more_of_stack(&bytes).unwrap();
        assert_eq!(found, MoreOfStack { words: 32..48, other_from: Some(0x7010) });
        assert_eq!(more_of_stack(&bytes[..40]).unwrap().words, 32..40);
    }

    #[test]
    fn an_error_instead_of_a_stack_is_an_empty_stack() {
        let mut bytes = record((7, 8, 99), "worker", &[], &[]);
        let at = offset_of!(RecordHeader, user_bytes);
        bytes[at..at + 2].copy_from_slice(&(-14i16).to_ne_bytes());
        assert_eq!(decode(&bytes).unwrap().user.len(), 0);
    }

    #[test]
    fn what_does_not_add_up_is_refused_with_the_reason() {
        let whole = record((7, 8, 99), "worker", &[1], &[2, 3]);
        for cut in 0..whole.len() {
            assert!(decode(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(decode(&longer), Err(BadRecord::Length { stated: 24, present: 25 }));
        let mut newer = whole.clone();
        newer[offset_of!(RecordHeader, layout)] = 9;
        assert_eq!(decode(&newer), Err(BadRecord::Layout(9)));
        let mut odd = whole;
        odd[offset_of!(RecordHeader, walk_ends)] = 0x27;
        assert_eq!(decode(&odd), Err(BadRecord::WalkEnd(7)));
        odd[offset_of!(RecordHeader, walk_ends)] = 0x51;
        assert_eq!(decode(&odd), Err(BadRecord::WalkEnd(5)));
    }

    #[test]
    fn the_depth_limit_is_the_lower_of_two() {
        assert_eq!(depth_limit(Some(64)), 64);
        assert_eq!(depth_limit(Some(1024)), MAX_FRAMES);
        assert_eq!(depth_limit(None), MAX_FRAMES);
    }
}
