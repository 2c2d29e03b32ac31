//! The fields of a sample. Which ones there are, and so where they stand, its event says.

use super::attribute::{Attribute, field};
use super::bytes::{Bytes, Words};

/// Bits of `read_format`.
const READ_TIME_ENABLED: u64 = 1 << 0;
const READ_TIME_RUNNING: u64 = 1 << 1;
const READ_ID: u64 = 1 << 2;
const READ_GROUP: u64 = 1 << 3;
const READ_LOST: u64 = 1 << 4;
/// Bits of `branch_sample_type`.
const BRANCH_INDEX: u64 = 1 << 17;
const BRANCH_COUNTERS: u64 = 1 << 19;
/// Registers of 64 bits.
const ABI_64: u64 = 2;

/// What of a sample is of use.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Sample<'a> {
    pub(super) ip: u64,
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) cpu: u32,
    pub(super) period: Option<u64>,
    /// Addresses, and between them markers of what they are of.
    pub(super) chain: Words<'a>,
    /// User registers by the event's mask, where there are any of 64 bits.
    pub(super) registers: Option<Words<'a>>,
    /// The stack from the stack pointer upwards, as much of it as there was.
    pub(super) stack: Words<'a>,
    /// Number of the control group; 0 unknown.
    pub(super) cgroup: u64,
}

impl<'a> Sample<'a> {
    /// Reads a sample; `None` when it is shorter than its event says.
    pub(super) fn read(attribute: &Attribute, body: &'a [u8]) -> Option<Self> {
        let mut fields = Bytes(body);
        let mut sample = Self::default();
        let has = |field| attribute.has(field);
        if has(field::IDENTIFIER) {
            fields.u64()?;
        }
        if has(field::IP) {
            sample.ip = fields.u64()?;
        }
        if has(field::TID) {
            (sample.pid, sample.tid) = (fields.u32()?, fields.u32()?);
        }
        for skipped in [field::TIME, field::ADDR, field::ID, field::STREAM_ID] {
            if has(skipped) {
                fields.u64()?;
            }
        }
        if has(field::CPU) {
            (sample.cpu, _) = (fields.u32()?, fields.u32()?);
        }
        if has(field::PERIOD) {
            sample.period = Some(fields.u64()?);
        }
        if has(field::READ) {
            skip_counts(attribute.read_format, &mut fields)?;
        }
        if has(field::CALLCHAIN) {
            let count = fields.u64()?;
            sample.chain = Words(fields.take_items(count, 8)?);
        }
        if has(field::RAW) {
            let bytes = fields.u32()?;
            fields.take(bytes as usize)?;
        }
        if has(field::BRANCH_STACK) {
            skip_branches(attribute.branch_sample_type, &mut fields)?;
        }
        sample.read_user_state(attribute, &mut fields)?;
        sample.read_rest(attribute, &mut fields)?;
        Some(sample)
    }

    fn read_user_state(&mut self, attribute: &Attribute, fields: &mut Bytes<'a>) -> Option<()> {
        if attribute.has(field::REGS_USER) {
            let (abi, registers) = registers(attribute.user_registers, fields)?;
            self.registers = (abi == ABI_64).then_some(registers);
        }
        if attribute.has(field::STACK_USER) {
            let bytes = fields.u64()?;
            if bytes > 0 {
                let stack = fields.take_items(bytes, 1)?;
                // The kernel makes room for as much as was asked for and says how much there was.
                let used = usize::try_from(fields.u64()?).ok()?.min(stack.len());
                self.stack = Words(&stack[..used - used % 8]);
            }
        }
        Some(())
    }

    fn read_rest(&mut self, attribute: &Attribute, fields: &mut Bytes<'a>) -> Option<()> {
        if attribute.has(field::WEIGHT) || attribute.has(field::WEIGHT_STRUCT) {
            fields.u64()?;
        }
        for skipped in [field::DATA_SRC, field::TRANSACTION] {
            if attribute.has(skipped) {
                fields.u64()?;
            }
        }
        if attribute.has(field::REGS_INTR) {
            registers(attribute.interrupt_registers, fields)?;
        }
        if attribute.has(field::PHYS_ADDR) {
            fields.u64()?;
        }
        if attribute.has(field::CGROUP) {
            self.cgroup = fields.u64()?;
        }
        Some(())
    }
}

/// Where registers are none (a kernel thread's), their ABI is 0 and nothing follows.
fn registers<'a>(mask: u64, fields: &mut Bytes<'a>) -> Option<(u64, Words<'a>)> {
    let abi = fields.u64()?;
    let count = if abi == 0 { 0 } else { mask.count_ones() };
    Some((abi, Words(fields.take_items(count.into(), 8)?)))
}

fn skip_counts(format: u64, fields: &mut Bytes<'_>) -> Option<()> {
    let has = |bit| u64::from(format & bit != 0);
    let times = has(READ_TIME_ENABLED) + has(READ_TIME_RUNNING);
    let each = 1 + has(READ_ID) + has(READ_LOST);
    if format & READ_GROUP == 0 {
        fields.take_items(times + each, 8)?;
    } else {
        let count = fields.u64()?;
        fields.take_items(times, 8)?;
        fields.take_items(count, each as usize * 8)?;
    }
    Some(())
}

fn skip_branches(format: u64, fields: &mut Bytes<'_>) -> Option<()> {
    let count = fields.u64()?;
    if format & BRANCH_INDEX != 0 {
        fields.u64()?;
    }
    let words = if format & BRANCH_COUNTERS != 0 { 4 } else { 3 };
    fields.take_items(count, words * 8)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(longs: &[u64]) -> Vec<u8> {
        longs.iter().flat_map(|long| long.to_le_bytes()).collect()
    }

    fn attribute(sample_type: u64) -> Attribute {
        let mut attribute = Attribute::default();
        attribute.sample_type = sample_type;
        attribute
    }

    #[test]
    fn every_field_is_read_or_left_out_and_a_short_sample_is_none() {
        let all = ((1 << 25) - 1) & !field::WEIGHT_STRUCT & !field::RAW & !(1 << 20);
        let mut attribute = attribute(all);
        attribute.read_format = READ_GROUP | READ_ID | READ_TIME_ENABLED;
        attribute.branch_sample_type = BRANCH_INDEX;
        (attribute.user_registers, attribute.interrupt_registers) = (0b1001, 1);
        let longs = [
            &[1, 0x4000, 7 | 8 << 32, 99, 2, 3, 4, 5, 6][..], // identifier to period
            &[2, 77, 10, 11, 20, 21],                         // a group of two counts
            &[3, 0xa, 0xb, 0xc],                              // callchain
            &[1, 50, 51, 52, 53],                             // a branch
            &[2, 0x11, 0x22, 24, 1, 2, 3, 16],                // registers, stack
            &[60, 61, 62, 2, 0x33, 63, 64],                   // weight to control group
        ];
        let body = body(&longs.concat());
        let sample = Sample::read(&attribute, &body).unwrap();
        assert_eq!((sample.ip, sample.pid, sample.tid, sample.cpu), (0x4000, 7, 8, 5));
        assert_eq!((sample.period, sample.cgroup), (Some(6), 64));
        assert_eq!(sample.chain.iter().collect::<Vec<_>>(), [0xa, 0xb, 0xc]);
        assert_eq!(sample.registers.unwrap().get(1), Some(0x22));
        assert_eq!(sample.stack.iter().collect::<Vec<_>>(), [1, 2]);
        for end in 0..body.len() {
            assert!(Sample::read(&attribute, &body[..end]).is_none(), "{end}");
        }
    }

    #[test]
    fn counts_that_no_bytes_stand_for_are_refused() {
        let chain = attribute(field::CALLCHAIN);
        for count in [2, u64::MAX, u64::MAX / 8 + 2] {
            assert!(Sample::read(&chain, &body(&[count, 1])).is_none());
        }
        let stack = attribute(field::STACK_USER);
        assert!(Sample::read(&stack, &body(&[u64::MAX, 1])).is_none());
        assert_eq!(Sample::read(&stack, &body(&[8, 1, u64::MAX])).unwrap().stack.len(), 1);
        let none = body(&[0]);
        let none = Sample::read(&attribute(field::REGS_USER), &none).unwrap();
        assert!(none.registers.is_none());
    }
}
