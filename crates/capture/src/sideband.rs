//! The kernel's side-band records: which files are mapped where, who forked, who called exec.
//!
//! Layouts: perf_event_open(2), section "MMAP layout"; `include/uapi/linux/perf_event.h`.

const LOST: u32 = 2;
const COMM: u32 = 3;
const EXIT: u32 = 4;
const FORK: u32 = 7;
const MMAP2: u32 = 10;

const MISC_COMM_EXEC: u16 = 1 << 13;

const HEADER_BYTES: usize = 8;
/// pid, tid, time, cpu: what `sample_id_all` with our sample type puts behind every record.
const TRAILER_BYTES: usize = 24;

/// One thing that happened to a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SideBand {
    /// `CLOCK_MONOTONIC`.
    pub(crate) time_ns: u64,
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) change: Change,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// An executable mapping appeared.
    Map(NewMapping),
    /// A new program runs in the process.
    Exec,
    /// The process was born (`pid` is the child's).
    Fork { parent: u32 },
    /// A thread ended; the process has when all its threads have.
    ThreadExit,
    /// Records of this CPU did not fit into the ring.
    Lost { records: u64 },
}

/// An executable mapping as the kernel reported it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NewMapping {
    pub(crate) start: u64,
    pub(crate) bytes: u64,
    pub(crate) file_offset: u64,
    pub(crate) identity: Identity,
    /// As stated, with " (deleted)" where the kernel added it.
    pub(crate) path: Box<[u8]>,
}

/// Which file.
///
/// The kernel could state a build-id in its place (`attr.build_id`, Linux 5.12), but must not be asked
/// to: it then marks the records of every other listener as if they held one, too (bit 14 of `misc`
/// is not cleared between listeners; seen with 6.18). perf 6.1 recording beside us read inodes as
/// build-ids of impossible length and crashed. For the same reason the mark says nothing about ours.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Identity {
    pub(crate) dev: (u32, u32),
    pub(crate) inode: u64,
    pub(crate) generation: u64,
}

#[cfg(test)]
impl Identity {
    /// Of something that is no file.
    pub(crate) const NONE: Self = Self { dev: (0, 0), inode: 0, generation: 0 };
}

/// A cursor over the fields of a record; `None` past the end.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }

    fn text(self) -> &'a [u8] {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(self.0.len());
        &self.0[..end]
    }
}

/// Decodes whole records one after another; appends what matters to us. Returns how many did not
/// decode (a kernel newer than this program; they count as lost).
pub(crate) fn decode_all(mut bytes: &[u8], out: &mut Vec<SideBand>) -> u64 {
    let mut bad = 0;
    while bytes.len() >= HEADER_BYTES {
        let mut header = Fields(bytes);
        let (Some(kind), Some(misc), Some(length)) = (
            header.u32(),
            header.take().map(u16::from_ne_bytes),
            header.take().map(u16::from_ne_bytes),
        ) else {
            break;
        };
        let length = usize::from(length);
        if length < HEADER_BYTES || length > bytes.len() {
            return bad + 1; // no way to find the next one
        }
        let (record, rest) = bytes.split_at(length);
        bytes = rest;
        match decode(kind, misc, &record[HEADER_BYTES..]) {
            Some(Some(side_band)) => out.push(side_band),
            Some(None) => {}
            None => bad += 1,
        }
    }
    bad
}

/// `None`: malformed. `Some(None)`: of a kind that says nothing to us.
fn decode(kind: u32, misc: u16, body: &[u8]) -> Option<Option<SideBand>> {
    let (body, trailer) = body.split_at_checked(body.len().checked_sub(TRAILER_BYTES)?)?;
    let time_ns = Fields(trailer.get(8..)?).u64()?;
    let mut fields = Fields(body);
    let made = |pid, tid, change| Some(Some(SideBand { time_ns, pid, tid, change }));
    match kind {
        MMAP2 => {
            let (pid, tid) = (fields.u32()?, fields.u32()?);
            let (start, bytes, file_offset) = (fields.u64()?, fields.u64()?, fields.u64()?);
            let dev = (fields.u32()?, fields.u32()?);
            let identity = Identity { dev, inode: fields.u64()?, generation: fields.u64()? };
            let (_protection, _flags) = (fields.u32()?, fields.u32()?);
            let path = fields.text().into();
            made(pid, tid, Change::Map(NewMapping { start, bytes, file_offset, identity, path }))
        }
        COMM if misc & MISC_COMM_EXEC != 0 => made(fields.u32()?, fields.u32()?, Change::Exec),
        FORK | EXIT => {
            let (pid, parent, tid) = (fields.u32()?, fields.u32()?, fields.u32()?);
            match kind {
                EXIT => made(pid, tid, Change::ThreadExit),
                _ if pid == parent => Some(None), // a thread
                _ => made(pid, tid, Change::Fork { parent }),
            }
        }
        LOST => {
            let (_id, records) = (fields.u64()?, fields.u64()?);
            made(0, 0, Change::Lost { records })
        }
        _ => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, misc: u16, body: &[u8], time_ns: u64) -> Vec<u8> {
        let length = (HEADER_BYTES + body.len() + TRAILER_BYTES) as u16;
        let mut bytes = Vec::new();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(misc.to_ne_bytes());
        bytes.extend(length.to_ne_bytes());
        bytes.extend(body);
        bytes.extend([0; 8]);
        bytes.extend(time_ns.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_ne_bytes()).collect()
    }

    fn mmap2(misc: u16, dev: [u32; 2], inode: u64) -> Vec<u8> {
        let mut body = words(&[10, 11]);
        body.extend([0x1000u64, 0x2000, 0x3000].into_iter().flat_map(u64::to_ne_bytes));
        body.extend(words(&dev));
        body.extend([inode, 0].into_iter().flat_map(u64::to_ne_bytes));
        body.extend(words(&[5, 2]));
        body.extend(b"/bin/true\0\0\0\0\0\0\0");
        record(MMAP2, misc, &body, 77)
    }

    fn decoded(bytes: &[u8]) -> Vec<SideBand> {
        let mut out = Vec::new();
        assert_eq!(decode_all(bytes, &mut out), 0);
        out
    }

    #[test]
    fn a_mapping_carries_an_inode_whatever_the_mark_says() {
        let another_listeners_mark = 1 << 14;
        for misc in [0, another_listeners_mark] {
            let expected = SideBand {
                time_ns: 77,
                pid: 10,
                tid: 11,
                change: Change::Map(NewMapping {
                    start: 0x1000,
                    bytes: 0x2000,
                    file_offset: 0x3000,
                    identity: Identity { dev: (8, 1), inode: 99, generation: 0 },
                    path: b"/bin/true".as_slice().into(),
                }),
            };
            assert_eq!(decoded(&mmap2(misc, [8, 1], 99)), [expected]);
        }
    }

    #[test]
    fn forks_are_of_processes_and_exec_is_told_from_a_new_name() {
        let birth = |pid, parent| {
            let mut body = words(&[pid, parent, pid + 1, parent]);
            body.extend(5u64.to_ne_bytes());
            record(FORK, 0, &body, 5)
        };
        let mut bytes = birth(20, 10);
        bytes.extend(birth(20, 20)); // a thread
        let mut named = words(&[20, 20]);
        named.extend(b"sh\0\0\0\0\0\0");
        bytes.extend(record(COMM, 0, &named, 6));
        bytes.extend(record(COMM, MISC_COMM_EXEC, &named, 7));
        let changes: Vec<(u32, u64, Change)> =
            decoded(&bytes).into_iter().map(|s| (s.pid, s.time_ns, s.change)).collect();
        assert_eq!(changes, [(20, 5, Change::Fork { parent: 10 }), (20, 7, Change::Exec)]);
    }

    #[test]
    fn broken_records_are_counted_and_end_nothing_else() {
        let mut bytes = record(FORK, 0, &words(&[1]), 5); // too short for a fork
        bytes.extend(mmap2(0, [0; 2], 0));
        bytes.extend(record(99, 0, &[0; 8], 5)); // unknown: says nothing
        let mut out = Vec::new();
        assert_eq!(decode_all(&bytes, &mut out), 1);
        assert_eq!(out.len(), 1);

        let whole = mmap2(0, [0; 2], 0);
        for cut in 0..whole.len() {
            let mut out = Vec::new();
            decode_all(&whole[..cut], &mut out);
            assert_eq!(out, [], "cut at {cut}");
        }
    }
}
