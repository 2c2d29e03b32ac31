//! Records about processes, mappings and losses.

use profile::{BuildId, Text};

use super::bytes::Bytes;
use super::records::{Record, kind};

/// Bits of `misc`.
const MISC_CPU_MODE: u16 = 7;
const CPU_MODE_KERNEL: u16 = 1;
const MISC_DATA: u16 = 1 << 13;
const MISC_EXEC: u16 = 1 << 13;
const MISC_BUILD_ID: u16 = 1 << 14;
const PROT_EXEC: u32 = 4;
const KSYMBOL_UNREGISTER: u16 = 1;
/// A longer path is cut by the kernel.
const MAX_PATH_BYTES: usize = 4096;

/// A mapping as its record states it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mapped<'a> {
    pub(super) pid: u32,
    pub(super) is_kernel: bool,
    pub(super) is_executable: bool,
    pub(super) start: u64,
    pub(super) bytes: u64,
    pub(super) file_offset: u64,
    pub(super) dev: (u32, u32),
    pub(super) inode: u64,
    pub(super) inode_generation: u64,
    pub(super) build_id: BuildId,
    pub(super) path: &'a [u8],
}

/// A record that is no sample.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Sideband<'a> {
    Mapped(Mapped<'a>),
    /// A thread's name changed; by `exec`, its process's program, too.
    Comm {
        pid: u32,
        tid: u32,
        comm: Text,
        is_exec: bool,
    },
    /// A thread began. Perf itself states those that were there before, and then their mappings, too.
    Fork {
        pid: u32,
        parent: u32,
        tid: u32,
        has_own_maps: bool,
    },
    Exit {
        pid: u32,
        tid: u32,
    },
    /// So many records did not fit into a buffer.
    Lost {
        id: u64,
        records: u64,
    },
    /// So many samples were lost, as counted at the end or by the hardware.
    LostSamples {
        samples: u64,
    },
    /// Code of a BPF program or the like came (or went).
    KernelSymbol {
        start: u64,
        bytes: u64,
        name: &'a [u8],
        is_gone: bool,
    },
    Cgroup {
        id: u64,
        path: &'a [u8],
    },
    /// Nothing that matters here.
    Other,
}

impl<'a> Sideband<'a> {
    /// Reads a record; `None` when it is shorter than its kind says.
    pub(super) fn read(record: Record<'a>) -> Option<Self> {
        let mut fields = Bytes(record.body);
        Some(match record.kind {
            kind::MMAP | kind::MMAP2 => Self::Mapped(mapped(record)?),
            kind::COMM => {
                let (pid, tid) = (fields.u32()?, fields.u32()?);
                let is_exec = record.misc & MISC_EXEC != 0;
                Self::Comm { pid, tid, comm: fields.text().into(), is_exec }
            }
            kind::FORK => {
                let (pid, parent, tid) = (fields.u32()?, fields.u32()?, fields.u32()?);
                Self::Fork { pid, parent, tid, has_own_maps: record.misc & MISC_EXEC != 0 }
            }
            kind::EXIT => {
                let (pid, _parent, tid) = (fields.u32()?, fields.u32()?, fields.u32()?);
                Self::Exit { pid, tid }
            }
            kind::LOST => Self::Lost { id: fields.u64()?, records: fields.u64()? },
            kind::LOST_SAMPLES => Self::LostSamples { samples: fields.u64()? },
            kind::KSYMBOL => {
                let (start, bytes) = (fields.u64()?, fields.u32()?.into());
                let (_type, flags) = (fields.u16()?, fields.u16()?);
                let is_gone = flags & KSYMBOL_UNREGISTER != 0;
                Self::KernelSymbol { start, bytes, name: fields.text(), is_gone }
            }
            kind::CGROUP => Self::Cgroup { id: fields.u64()?, path: fields.text() },
            _ => Self::Other,
        })
    }
}

fn mapped(record: Record<'_>) -> Option<Mapped<'_>> {
    let mut fields = Bytes(record.body);
    let (pid, _tid) = (fields.u32()?, fields.u32()?);
    let mut mapped = Mapped {
        pid,
        is_kernel: record.misc & MISC_CPU_MODE == CPU_MODE_KERNEL,
        is_executable: record.misc & MISC_DATA == 0,
        start: fields.u64()?,
        bytes: fields.u64()?,
        file_offset: fields.u64()?,
        dev: (0, 0),
        inode: 0,
        inode_generation: 0,
        build_id: BuildId::default(),
        path: &[],
    };
    if record.kind == kind::MMAP2 {
        let mut identity = Bytes(fields.take(24)?);
        if record.misc & MISC_BUILD_ID != 0 {
            let length = usize::from(identity.take(4)?[0]).min(20);
            mapped.build_id = BuildId::new(identity.take(length)?);
        } else {
            mapped.dev = (identity.u32()?, identity.u32()?);
            (mapped.inode, mapped.inode_generation) = (identity.u64()?, identity.u64()?);
        }
        let (protection, _flags) = (fields.u32()?, fields.u32()?);
        mapped.is_executable = protection & PROT_EXEC != 0;
    }
    let path = fields.text();
    mapped.path = &path[..path.len().min(MAX_PATH_BYTES)];
    Some(mapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, misc: u16, body: &[u8]) -> Record<'_> {
        Record { kind, misc, body }
    }

    fn mmap2(identity: &[u8; 24], protection: u32) -> Vec<u8> {
        let mut body = [7u32.to_le_bytes(), 8u32.to_le_bytes()].concat();
        for long in [0x1000u64, 0x2000, 0x3000] {
            body.extend(long.to_le_bytes());
        }
        body.extend(identity);
        body.extend(protection.to_le_bytes());
        body.extend([0; 4]);
        body.extend(b"/bin/x\0\0");
        body
    }

    #[test]
    fn a_mapping_states_an_inode_or_a_build_id() {
        let mut identity = [0; 24];
        (identity[0], identity[4], identity[8], identity[16]) = (1, 2, 3, 4);
        let body = mmap2(&identity, 5);
        let Some(Sideband::Mapped(mapped)) = Sideband::read(record(kind::MMAP2, 2, &body)) else {
            panic!("a mapping");
        };
        assert_eq!((mapped.pid, mapped.start, mapped.file_offset), (7, 0x1000, 0x3000));
        assert_eq!((mapped.dev, mapped.inode, mapped.inode_generation), ((1, 2), 3, 4));
        assert_eq!((mapped.path, mapped.is_executable), (&b"/bin/x"[..], true));
        identity[0] = 2;
        let body = mmap2(&identity, 1);
        let Some(Sideband::Mapped(mapped)) =
            Sideband::read(record(kind::MMAP2, MISC_BUILD_ID | 2, &body))
        else {
            panic!("a mapping");
        };
        assert_eq!((mapped.build_id.to_string().as_str(), mapped.inode), ("0200", 0));
        assert!(!mapped.is_executable);
    }

    #[test]
    fn a_record_that_is_cut_is_none() {
        for (number, fixed) in [
            (kind::MMAP, 32),
            (kind::MMAP2, 64),
            (kind::COMM, 8),
            (kind::FORK, 12),
            (kind::EXIT, 12),
            (kind::LOST, 16),
            (kind::LOST_SAMPLES, 8),
            (kind::KSYMBOL, 16),
            (kind::CGROUP, 8),
        ] {
            for length in 0..80 {
                let is_whole = Sideband::read(record(number, 0, &vec![1; length])).is_some();
                assert_eq!(is_whole, length >= fixed, "kind {number}, {length} bytes");
            }
        }
        assert_eq!(Sideband::read(record(12345, 0, &[])), Some(Sideband::Other));
    }
}
