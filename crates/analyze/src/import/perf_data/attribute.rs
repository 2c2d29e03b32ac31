//! `perf_event_attr`: what was asked of the kernel, and so which fields its records have.

use profile::{Event, EventKind, Text, Unit};

use super::bytes::Bytes;

/// Bits of `sample_type`, in the numbering of `linux/perf_event.h`.
pub(super) mod field {
    pub(crate) const IP: u64 = 1 << 0;
    pub(crate) const TID: u64 = 1 << 1;
    pub(crate) const TIME: u64 = 1 << 2;
    pub(crate) const ADDR: u64 = 1 << 3;
    pub(crate) const READ: u64 = 1 << 4;
    pub(crate) const CALLCHAIN: u64 = 1 << 5;
    pub(crate) const ID: u64 = 1 << 6;
    pub(crate) const CPU: u64 = 1 << 7;
    pub(crate) const PERIOD: u64 = 1 << 8;
    pub(crate) const STREAM_ID: u64 = 1 << 9;
    pub(crate) const RAW: u64 = 1 << 10;
    pub(crate) const BRANCH_STACK: u64 = 1 << 11;
    pub(crate) const REGS_USER: u64 = 1 << 12;
    pub(crate) const STACK_USER: u64 = 1 << 13;
    pub(crate) const WEIGHT: u64 = 1 << 14;
    pub(crate) const DATA_SRC: u64 = 1 << 15;
    pub(crate) const IDENTIFIER: u64 = 1 << 16;
    pub(crate) const TRANSACTION: u64 = 1 << 17;
    pub(crate) const REGS_INTR: u64 = 1 << 18;
    pub(crate) const PHYS_ADDR: u64 = 1 << 19;
    pub(crate) const CGROUP: u64 = 1 << 21;
    pub(crate) const WEIGHT_STRUCT: u64 = 1 << 24;
}

/// Bits of the attribute's flags.
const FREQUENCY: u64 = 1 << 10;
const ENABLE_ON_EXEC: u64 = 1 << 12;
const SAMPLE_ID_ALL: u64 = 1 << 18;

/// The first published size of the structure; there is none shorter.
const SHORTEST_BYTES: u32 = 64;
const NS_PER_SECOND: u64 = 1_000_000_000;
/// `kernel.perf_event_max_stack` unless somebody changed it.
const DEFAULT_MAX_STACK: u16 = 127;

const TYPE_HARDWARE: u32 = 0;
const TYPE_SOFTWARE: u32 = 1;
const SOFTWARE_CPU_CLOCK: u64 = 0;
const SOFTWARE_TASK_CLOCK: u64 = 1;
const HARDWARE_CYCLES: u64 = 0;

/// One event of a recording.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Attribute {
    kind: u32,
    config: u64,
    /// Or, with a flag, a frequency.
    period: u64,
    pub(super) sample_type: u64,
    pub(super) read_format: u64,
    flags: u64,
    pub(super) branch_sample_type: u64,
    pub(super) user_registers: u64,
    pub(super) interrupt_registers: u64,
    max_stack: u16,
    /// Numbers that records refer to it by, one for each file descriptor.
    pub(super) ids: Vec<u64>,
    /// As the user wrote it; empty where that was not recorded.
    pub(super) name: Text,
}

impl Attribute {
    /// Reads a structure, which states its own size; fields that it is too short for are zero.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Bytes(bytes);
        let kind = fields.u32()?;
        let stated = fields.u32()?;
        if stated < SHORTEST_BYTES || stated as usize > bytes.len() {
            return None;
        }
        let mut fields = Bytes(&bytes[8..stated as usize]);
        let mut long = || fields.u64().unwrap_or(0);
        let (config, period, sample_type, read_format, flags) =
            (long(), long(), long(), long(), long());
        let (_wake_up, _config1, _config2) = (long(), long(), long());
        let (branch_sample_type, user_registers, _stack_and_clock) = (long(), long(), long());
        let (interrupt_registers, aux_and_depth) = (long(), long());
        Some(Self {
            kind,
            config,
            period,
            sample_type,
            read_format,
            flags,
            branch_sample_type,
            user_registers,
            interrupt_registers,
            max_stack: (aux_and_depth >> 32) as u16,
            ids: Vec::new(),
            name: Text::default(),
        })
    }

    /// The size that a structure states.
    pub(super) fn stated_bytes(bytes: &[u8]) -> Option<usize> {
        Bytes(bytes.get(4..)?).u32().map(|size| size as usize)
    }

    pub(super) fn has(&self, field: u64) -> bool {
        self.sample_type & field != 0
    }

    /// Whether records that are no samples end in who, when and of which event, too.
    pub(super) fn all_have_ids(&self) -> bool {
        self.flags & SAMPLE_ID_ALL != 0
    }

    /// Whether it began with the start of a command.
    pub(super) fn is_launched(&self) -> bool {
        self.flags & ENABLE_ON_EXEC != 0
    }

    /// Chains of so many addresses may have been cut.
    pub(super) fn max_stack(&self) -> u16 {
        if self.max_stack == 0 { DEFAULT_MAX_STACK } else { self.max_stack }
    }

    /// What a sample counts for that states no period.
    fn nominal(&self) -> u64 {
        match self.flags & FREQUENCY {
            0 => self.period,
            _ => NS_PER_SECOND / self.period.max(1),
        }
    }

    fn is_clock(&self) -> bool {
        self.kind == TYPE_SOFTWARE
            && matches!(self.config, SOFTWARE_CPU_CLOCK | SOFTWARE_TASK_CLOCK)
    }

    /// Cycles at a fixed rate are CPU time: the kernel sets their period so that they come in equal
    /// intervals of running time. How long one cycle took is not recorded.
    fn is_timed_cycles(&self) -> bool {
        // Above 32 bits stands which kind of core.
        self.kind == TYPE_HARDWARE
            && self.config & 0xffff_ffff == HARDWARE_CYCLES
            && self.flags & FREQUENCY != 0
    }

    /// The weight of a sample in the event's unit, given the period that it states.
    pub(super) fn weight(&self, period: Option<u64>) -> u64 {
        match period {
            Some(period) if !self.is_timed_cycles() => period,
            _ => self.nominal(),
        }
    }

    /// Whether it measures CPU time.
    pub(super) fn is_cpu_time(&self) -> bool {
        self.is_clock() || self.is_timed_cycles()
    }

    /// What samples of it stand for.
    pub(super) fn event(&self) -> Event {
        let (unit, kind) = match self.is_cpu_time() {
            true => (Unit::Ns, EventKind::OnCpu),
            false => (Unit::Count, EventKind::Counter),
        };
        let of_counter = self.flags & FREQUENCY != 0 && kind == EventKind::Counter;
        Event {
            name: self.shown_name(),
            unit,
            kind,
            period: if of_counter { 0 } else { self.nominal() },
            asked_for: Text::default(),
            fallback_reason: Text::default(),
        }
    }

    fn shown_name(&self) -> Text {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        match (self.kind, self.config) {
            (TYPE_SOFTWARE, SOFTWARE_CPU_CLOCK) => "cpu-clock".into(),
            (TYPE_SOFTWARE, SOFTWARE_TASK_CLOCK) => "task-clock".into(),
            (TYPE_HARDWARE, HARDWARE_CYCLES) => "cycles".into(),
            (kind, config) => format!("event {kind}:{config:#x}").into(),
        }
    }

    /// Bytes from the start of a sample to a field of the fixed part, if samples have it.
    fn sample_offset(&self, of: u64) -> Option<usize> {
        const ORDER: [u64; 6] =
            [field::IDENTIFIER, field::IP, field::TID, field::TIME, field::ADDR, field::ID];
        let before = ORDER.iter().take_while(|field| **field != of);
        let words = before.filter(|field| self.has(**field)).count();
        self.has(of).then_some(words * 8)
    }

    /// Bytes from the end of a record that is no sample back to a field, if it has it.
    fn trailer_offset(&self, of: u64) -> Option<usize> {
        const ORDER: [u64; 6] =
            [field::IDENTIFIER, field::CPU, field::STREAM_ID, field::ID, field::TIME, field::TID];
        let behind = ORDER.iter().take_while(|field| **field != of);
        let words = behind.filter(|field| self.has(**field)).count() + 1;
        (self.all_have_ids() && self.has(of)).then_some(words * 8)
    }

    /// Where records state a field: (from the start of samples, from the end of others).
    fn places(&self, of: u64) -> (Option<usize>, Option<usize>) {
        (self.sample_offset(of), self.trailer_offset(of))
    }

    /// A field of the fixed part of a record.
    pub(super) fn fixed_field(&self, of: u64, is_sample: bool, body: &[u8]) -> Option<u64> {
        let at = match (is_sample, self.places(of)) {
            (true, (at, _)) => at?,
            (false, (_, back)) => body.len().checked_sub(back?)?,
        };
        Bytes(body.get(at..)?).u64()
    }

    /// Where a record states which event it is of.
    fn id_field(&self) -> u64 {
        if self.has(field::IDENTIFIER) { field::IDENTIFIER } else { field::ID }
    }

    /// The event that a record is of, as the number that [`Self::ids`] has.
    pub(super) fn event_id(&self, is_sample: bool, body: &[u8]) -> Option<u64> {
        self.fixed_field(self.id_field(), is_sample, body)
    }

    /// Whether records of both state their event at the same place, so that it can be read before it
    /// is known.
    pub(super) fn states_id_like(&self, other: &Self) -> bool {
        let places = |one: &Self| one.places(one.id_field());
        places(self) == places(other) && places(self).0.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attribute as the file holds it.
    fn bytes(kind: u32, config: u64, period: u64, sample_type: u64, flags: u64) -> Vec<u8> {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend(128u32.to_le_bytes());
        for long in [config, period, sample_type, 0, flags] {
            bytes.extend(long.to_le_bytes());
        }
        bytes.resize(128, 0);
        bytes
    }

    fn read(kind: u32, config: u64, period: u64, flags: u64) -> Attribute {
        Attribute::read(&bytes(kind, config, period, 0, flags)).unwrap()
    }

    #[test]
    fn clocks_count_their_period_and_cycles_at_a_rate_the_time_between_two() {
        let clock = read(TYPE_SOFTWARE, SOFTWARE_CPU_CLOCK, 1000, FREQUENCY);
        assert_eq!((clock.event().period, clock.weight(Some(7))), (1_000_000, 7));
        assert_eq!(clock.event().kind, EventKind::OnCpu);
        let cycles = read(TYPE_HARDWARE, HARDWARE_CYCLES, 4000, FREQUENCY);
        assert_eq!((cycles.event().unit, cycles.weight(Some(700_000))), (Unit::Ns, 250_000));
        let every = read(TYPE_HARDWARE, HARDWARE_CYCLES, 100_000, 0);
        assert_eq!((every.event().unit, every.weight(None)), (Unit::Count, 100_000));
        let faults = read(TYPE_SOFTWARE, 2, 1, 0);
        assert_eq!(&*faults.event().name.lossy(), "event 1:0x2");
    }

    #[test]
    fn fields_are_found_from_the_front_of_samples_and_from_the_end_of_others() {
        let fields = field::IP | field::TID | field::TIME | field::ID | field::CPU;
        let attribute = Attribute::read(&bytes(1, 0, 1, fields, SAMPLE_ID_ALL)).unwrap();
        let body: Vec<u8> = (10u64..18).flat_map(u64::to_le_bytes).collect();
        let time = |is_sample| attribute.fixed_field(field::TIME, is_sample, &body);
        assert_eq!((time(true), time(false)), (Some(12), Some(15)));
        let id = |is_sample| attribute.event_id(is_sample, &body);
        assert_eq!((id(true), id(false)), (Some(13), Some(16)));
        assert_eq!(attribute.fixed_field(field::TIME, true, &body[..20]), None);
        assert_eq!(attribute.fixed_field(field::TIME, false, &body[..20]), None);
    }

    #[test]
    fn a_structure_that_says_to_be_longer_than_its_bytes_is_none() {
        let whole = bytes(1, 0, 1, 0, 0);
        assert!(Attribute::read(&whole[..127]).is_none());
        let mut short = whole;
        short[4..8].copy_from_slice(&63u32.to_le_bytes());
        assert!(Attribute::read(&short).is_none());
    }
}
