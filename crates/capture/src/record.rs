//! The mirror of `bpf/record.h`. A test compares every offset with what the compiler chose.

use std::mem::{offset_of, size_of};

/// `RECORD_LAYOUT`.
pub(crate) const RECORD_LAYOUT: u32 = 6;
/// `MORE_STACK_LAYOUT`.
pub(crate) const MORE_STACK_LAYOUT: u32 = 1 << 31 | RECORD_LAYOUT;
/// `OTHER_STACK_LAYOUT`.
pub(crate) const OTHER_STACK_LAYOUT: u32 = 1 << 30 | RECORD_LAYOUT;
/// `MAX_FRAMES`.
pub(crate) const MAX_FRAMES: usize = 127;

/// The registers of a record, by their DWARF numbers (x86-64); see `REGISTER_COUNT`.
pub(crate) const REGISTERS: [u32; 9] = [3, 6, 7, 10, 12, 13, 14, 15, 16];
/// `MAX_SLICE_BYTES`.
pub(crate) const MAX_SLICE_BYTES: u32 = 16_384;
/// `MAX_MORE_STACKS`.
pub(crate) const MAX_MORE_STACKS: u32 = 3;
/// `MAX_ROOTS`.
pub(crate) const MAX_ROOTS: usize = 4;

/// `struct record_header`: only its offsets are used, records are never cast to it.
#[repr(C)]
pub(crate) struct RecordHeader {
    pub(crate) time_ns: u64,
    pub(crate) cgroup_id: u64,
    pub(crate) layout: u32,
    pub(crate) cpu: u32,
    pub(crate) tgid: u32,
    pub(crate) tid: u32,
    pub(crate) user_bytes: i16,
    pub(crate) kernel_bytes: i16,
    pub(crate) other_stack_bytes: u32,
    pub(crate) register_count: u8,
    pub(crate) walk_ends: u8,
    pub(crate) goroutine_bytes: u16,
    pub(crate) stack_bytes: u32,
    pub(crate) comm: [u8; 16],
}

/// `struct more_stack`: likewise.
#[repr(C)]
pub(crate) struct MoreStack {
    pub(crate) time_ns: u64,
    pub(crate) bytes: u64,
    pub(crate) layout: u32,
    pub(crate) cpu: u32,
    pub(crate) from: u64,
    pub(crate) stack: [u8; MAX_SLICE_BYTES as usize],
}

/// `struct counters`: one CPU's.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counters {
    pub(crate) fired: u64,
    pub(crate) idle: u64,
    pub(crate) own: u64,
    pub(crate) other: u64,
    pub(crate) ring_full: u64,
    pub(crate) ring_busy: u64,
    pub(crate) follow_failed: u64,
}

/// `struct roots`: what tells which chains of a process are whole.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Roots {
    /// Return addresses at which good chains end; 0 for none.
    pub(crate) addresses: [u64; MAX_ROOTS],
    /// Code without frame pointers: a chain that leads through it skips callers.
    pub(crate) frameless_start: u64,
    pub(crate) frameless_bytes: u64,
}

/// `struct go_program`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GoProgram {
    pub(crate) switch_address: u64,
    pub(crate) offsets: GoOffsets,
}

/// … without the address, which each process has its own of.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GoOffsets {
    pub(crate) g: i32,
    pub(crate) g_m: u32,
    pub(crate) m_g0: u32,
    pub(crate) m_curg: u32,
    pub(crate) g_sched_sp: u32,
    pub(crate) g_sched_pc: u32,
    pub(crate) g_sched_bp: u32,
    pub(crate) zero: u32,
}

/// `struct config`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Config {
    pub(crate) own_tgid: u32,
    pub(crate) filtered: u32,
    pub(crate) ring_bytes: u32,
    pub(crate) wake_bytes: u32,
    pub(crate) task_tgid_offset: u32,
    pub(crate) task_pid_offset: u32,
    pub(crate) task_stack_offset: u32,
    pub(crate) task_fsbase_offset: u32,
    pub(crate) task_mm_offset: u32,
    pub(crate) mm_start_stack_offset: u32,
    pub(crate) small_slice_bytes: u32,
    pub(crate) deep_slice_bytes: u32,
}

impl Counters {
    /// From the bytes of a per-CPU value.
    pub(crate) fn from_bytes(bytes: &[u8; size_of::<Self>()]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_ne_bytes(word)
        };
        Self {
            fired: word(offset_of!(Self, fired)),
            idle: word(offset_of!(Self, idle)),
            own: word(offset_of!(Self, own)),
            other: word(offset_of!(Self, other)),
            ring_full: word(offset_of!(Self, ring_full)),
            ring_busy: word(offset_of!(Self, ring_busy)),
            follow_failed: word(offset_of!(Self, follow_failed)),
        }
    }
}

impl Roots {
    /// The end of the code without frame pointers.
    pub(crate) fn frameless_end(&self) -> u64 {
        self.frameless_start.saturating_add(self.frameless_bytes)
    }

    /// The bytes of a map's value.
    pub(crate) fn to_bytes(self) -> [u8; size_of::<Self>()] {
        let mut bytes = [0; size_of::<Self>()];
        let range = [self.frameless_start, self.frameless_bytes];
        for (slot, word) in bytes.chunks_exact_mut(8).zip(self.addresses.into_iter().chain(range)) {
            slot.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

impl GoProgram {
    /// The bytes of a map's value.
    pub(crate) fn to_bytes(self) -> [u8; size_of::<Self>()] {
        let offsets = self.offsets;
        let words = [
            offsets.g.cast_unsigned(),
            offsets.g_m,
            offsets.m_g0,
            offsets.m_curg,
            offsets.g_sched_sp,
            offsets.g_sched_pc,
            offsets.g_sched_bp,
            offsets.zero,
        ];
        let mut bytes = [0; size_of::<Self>()];
        let (address, rest) = bytes.split_at_mut(8);
        address.copy_from_slice(&self.switch_address.to_ne_bytes());
        for (slot, word) in rest.chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

impl Config {
    /// The bytes that go into `.rodata`.
    pub(crate) fn to_bytes(self) -> [u8; size_of::<Self>()] {
        let words = [
            self.own_tgid,
            self.filtered,
            self.ring_bytes,
            self.wake_bytes,
            self.task_tgid_offset,
            self.task_pid_offset,
            self.task_stack_offset,
            self.task_fsbase_offset,
            self.task_mm_offset,
            self.mm_start_stack_offset,
            self.small_slice_bytes,
            self.deep_slice_bytes,
        ];
        let mut bytes = [0; size_of::<Self>()];
        for (slot, word) in bytes.chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// The numbers of the object's section `layout`, from the mirrors.
#[cfg(test)]
pub(crate) fn layout() -> Vec<usize> {
    vec![
        size_of::<RecordHeader>(),
        offset_of!(RecordHeader, time_ns),
        offset_of!(RecordHeader, cgroup_id),
        offset_of!(RecordHeader, layout),
        offset_of!(RecordHeader, cpu),
        offset_of!(RecordHeader, tgid),
        offset_of!(RecordHeader, tid),
        offset_of!(RecordHeader, user_bytes),
        offset_of!(RecordHeader, kernel_bytes),
        offset_of!(RecordHeader, other_stack_bytes),
        offset_of!(RecordHeader, register_count),
        offset_of!(RecordHeader, walk_ends),
        offset_of!(RecordHeader, goroutine_bytes),
        offset_of!(RecordHeader, stack_bytes),
        offset_of!(RecordHeader, comm),
        size_of::<MoreStack>(),
        offset_of!(MoreStack, time_ns),
        offset_of!(MoreStack, bytes),
        offset_of!(MoreStack, layout),
        offset_of!(MoreStack, cpu),
        offset_of!(MoreStack, from),
        offset_of!(MoreStack, stack),
        size_of::<Counters>(),
        offset_of!(Counters, fired),
        offset_of!(Counters, idle),
        offset_of!(Counters, own),
        offset_of!(Counters, other),
        offset_of!(Counters, ring_full),
        offset_of!(Counters, ring_busy),
        offset_of!(Counters, follow_failed),
        size_of::<Config>(),
        offset_of!(Config, own_tgid),
        offset_of!(Config, filtered),
        offset_of!(Config, ring_bytes),
        offset_of!(Config, wake_bytes),
        offset_of!(Config, task_tgid_offset),
        offset_of!(Config, task_pid_offset),
        offset_of!(Config, task_stack_offset),
        offset_of!(Config, task_fsbase_offset),
        offset_of!(Config, task_mm_offset),
        offset_of!(Config, mm_start_stack_offset),
        offset_of!(Config, small_slice_bytes),
        offset_of!(Config, deep_slice_bytes),
        size_of::<Roots>(),
        offset_of!(Roots, frameless_start),
        offset_of!(Roots, frameless_bytes),
        size_of::<GoProgram>(),
        offset_of!(GoProgram, switch_address),
        offset_of!(GoProgram, offsets.g),
        offset_of!(GoProgram, offsets.g_m),
        offset_of!(GoProgram, offsets.m_g0),
        offset_of!(GoProgram, offsets.m_curg),
        offset_of!(GoProgram, offsets.g_sched_sp),
        offset_of!(GoProgram, offsets.g_sched_pc),
        offset_of!(GoProgram, offsets.g_sched_bp),
        RECORD_LAYOUT as usize,
        MAX_FRAMES,
        REGISTERS.len(),
        MAX_SLICE_BYTES as usize,
        MAX_MORE_STACKS as usize,
    ]
}
