//! Where a few members stand in the running kernel's `task_struct`, from its type information.
//!
//! The type information of a kernel is 5 MB and more; only a window of it is ever held. Format:
//! `Documentation/bpf/btf.rst`.

use std::io;

/// Reads the type information in pieces.
pub(crate) trait ReadAt {
    /// Fills `buffer` from `offset` on; returns how much there was.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for std::fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }
}

/// Offsets of members of `task_struct`, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TaskOffsets {
    pub(crate) tgid: u32,
    pub(crate) pid: u32,
    pub(crate) stack: Option<u32>,
    /// The thread pointer of user space (x86-64).
    pub(crate) fsbase: Option<u32>,
    /// The address space.
    pub(crate) mm: Option<u32>,
    /// Of `mm_struct`, not `task_struct`: where the stack of the first thread starts.
    pub(crate) start_stack: Option<u32>,
}

const MAGIC: u16 = 0xeb9f;
const WINDOW_BYTES: usize = 1 << 16;
/// No kernel's type information comes near; bounds the time a broken one can take.
const MAX_SECTION_BYTES: u64 = 64 << 20;

/// What stands in the place of a name's offset.
const NO_NAME: u32 = 0;

const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_ENUM64: u32 = 19;

/// The running kernel's offsets; `None` where it has no type information.
pub(crate) fn running_kernel() -> Option<TaskOffsets> {
    task_offsets(&std::fs::File::open("/sys/kernel/btf/vmlinux").ok()?)
}

/// Finds the offsets, or `None` when the input is not what it should be.
pub(crate) fn task_offsets(btf: &impl ReadAt) -> Option<TaskOffsets> {
    let mut header = [0; 24];
    if btf.read_at(&mut header, 0).ok()? < header.len() || u16_at(&header, 0) != MAGIC {
        return None;
    }
    let word = |at| u64::from(u32_at(&header, at));
    let base = word(4);
    let (types, types_bytes) = (base + word(8), word(12).min(MAX_SECTION_BYTES));
    let (strings, strings_bytes) = (base + word(16), word(20).min(MAX_SECTION_BYTES));
    let names = [
        "task_struct",
        "tgid",
        "pid",
        "stack",
        "mm",
        "thread",
        "thread_struct",
        "fsbase",
        "start_stack",
    ];
    let found = find_strings(btf, strings, strings_bytes, names);
    let [task, tgid, pid, stack, mm, thread, thread_struct, fsbase, start_stack] = found;
    let find = |name, members| find_struct(btf, types, types_bytes, name, members);
    let wanted = [tgid?, pid?, stack.unwrap_or(0), mm.unwrap_or(0), thread.unwrap_or(0)];
    let [tgid, pid, stack, mm, thread] = find_struct(btf, types, types_bytes, task?, wanted)?;
    let in_thread = thread_struct.and_then(|name| find(name, [fsbase?]));
    let fsbase = thread.zip(in_thread.and_then(|[fsbase]| fsbase));
    let fsbase = fsbase.and_then(|(thread, fsbase)| thread.checked_add(fsbase));
    // mm_struct has nearly all of its members in a struct without a name, which is its first.
    let start_stack = start_stack.and_then(|start_stack| find(NO_NAME, [start_stack])?[0]);
    Some(TaskOffsets { tgid: tgid?, pid: pid?, stack, fsbase, mm, start_stack })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Offsets in the string section of the strings that equal `wanted`. Each stands there once.
fn find_strings<const N: usize>(
    btf: &impl ReadAt,
    start: u64,
    length: u64,
    wanted: [&str; N],
) -> [Option<u32>; N] {
    let mut found = [None; N];
    let mut window = vec![0; WINDOW_BYTES];
    let mut at = 0;
    while at < length && found.contains(&None) {
        let room = WINDOW_BYTES.min((length - at) as usize);
        let Ok(got @ 1..) = btf.read_at(&mut window[..room], start + at) else { break };
        let mut consumed = 0;
        for text in window[..got].split_inclusive(|b| *b == 0) {
            let Some((0, text)) = text.split_last() else { break };
            for (slot, name) in found.iter_mut().zip(wanted) {
                if text == name.as_bytes() {
                    *slot = Some(at as u32 + consumed as u32);
                }
            }
            consumed += text.len() + 1;
        }
        // A string longer than the window is none of ours: step over the window.
        at += if consumed == 0 { got } else { consumed } as u64;
    }
    found
}

/// Byte offsets of members (by name offset; 0: do not look) of the struct of that name that has the first
/// of them.
fn find_struct<const N: usize>(
    btf: &impl ReadAt,
    start: u64,
    length: u64,
    name: u32,
    members: [u32; N],
) -> Option<[Option<u32>; N]> {
    let mut window = vec![0; WINDOW_BYTES];
    let mut at = 0;
    while at < length {
        let room = WINDOW_BYTES.min((length - at) as usize);
        let got = btf.read_at(&mut window[..room], start + at).ok()?;
        let mut consumed = 0;
        while let Some(kind) = window[..got].get(consumed..consumed + 12) {
            let (kind_name, info) = (u32_at(kind, 0), u32_at(kind, 4));
            let extra = extra_bytes((info >> 24) & 0x1f, (info & 0xffff) as usize);
            let end = consumed + 12 + extra;
            if end > got && consumed > 0 {
                break; // read on from here
            }
            if (info >> 24) & 0x1f == KIND_STRUCT && kind_name == name {
                let rows = window[..got].get(consumed + 12..end)?;
                let offsets = member_offsets(rows, info >> 31 != 0, members);
                if offsets[0].is_some() {
                    return Some(offsets);
                }
            }
            consumed = end;
        }
        if consumed == 0 {
            return None; // not even one type: cut off
        }
        at += consumed as u64;
    }
    None
}

fn extra_bytes(kind: u32, count: usize) -> usize {
    match kind {
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => count * 12,
        KIND_ENUM | KIND_FUNC_PROTO => count * 8,
        _ => 0,
    }
}

fn member_offsets<const N: usize>(
    rows: &[u8],
    has_bitfields: bool,
    members: [u32; N],
) -> [Option<u32>; N] {
    members.map(|name| {
        let row = rows.chunks_exact(12).find(|row| name != 0 && u32_at(row, 0) == name)?;
        let stated = u32_at(row, 8);
        // With bit fields in the struct, the upper 8 bits are a width.
        let bits = if has_bitfields { stated & 0xff_ffff } else { stated };
        Some(bits / 8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl ReadAt for Bytes {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let rest = self.0.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
    }

    /// Type information with `before` integer types ahead of a `task_struct`.
    fn btf(before: usize, with_bitfields: bool) -> Vec<u8> {
        let strings = b"\0int\0thread\0thread_struct\0fsbase\0start_stack\0mm\0pid_t\0tgid\0pid\0\
            task_struct\0stack\0";
        let at = |name: &[u8]| {
            let quoted = [b"\0", name, b"\0"].concat();
            strings.windows(quoted.len()).position(|w| w == quoted).unwrap() as u32 + 1
        };
        let mut types: Vec<u32> = Vec::new();
        for _ in 0..before {
            types.extend([at(b"int"), KIND_INT << 24, 4, 32]);
        }
        let flag = u32::from(with_bitfields) << 31;
        types.extend([at(b"thread_struct"), KIND_STRUCT << 24 | 1, 99]);
        types.extend([at(b"fsbase"), 1, 40 * 8]);
        types.extend([NO_NAME, KIND_STRUCT << 24 | 1, 9]);
        types.extend([at(b"pid"), 1, 8 * 8]);
        types.extend([NO_NAME, KIND_STRUCT << 24 | 2, 99]);
        types.extend([at(b"pid"), 1, 0]);
        types.extend([at(b"start_stack"), 1, 80 * 8]);
        types.extend([at(b"task_struct"), flag | KIND_STRUCT << 24 | 5, 999]);
        types.extend([at(b"mm"), 1, 500 * 8]);
        types.extend([at(b"thread"), 1, 2000 * 8]);
        types.extend([at(b"stack"), 1, 32 * 8]);
        types.extend([at(b"pid"), 1, 1000 * 8]);
        types.extend([at(b"tgid"), 1, (1004 * 8) | if with_bitfields { 3 << 24 } else { 0 }]);
        let types: Vec<u8> = types.into_iter().flat_map(u32::to_ne_bytes).collect();
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(types);
        bytes.extend(strings);
        bytes
    }

    const FOUND: TaskOffsets = TaskOffsets {
        tgid: 1004,
        pid: 1000,
        stack: Some(32),
        fsbase: Some(2040),
        mm: Some(500),
        start_stack: Some(80),
    };

    #[test]
    fn members_are_found_behind_many_types_and_across_windows() {
        for before in [0, 1, 4095, 4096, 4097, 9000] {
            assert_eq!(task_offsets(&Bytes(btf(before, false))), Some(FOUND), "{before} before");
        }
        assert_eq!(task_offsets(&Bytes(btf(3, true))), Some(FOUND));
    }

    #[test]
    fn what_is_cut_off_or_absurd_gives_nothing() {
        let whole = btf(3, false);
        for cut in 0..whole.len() - 7 {
            assert_eq!(task_offsets(&Bytes(whole[..cut].to_vec())), None, "cut at {cut}");
        }
        for at in 0..24 {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            task_offsets(&Bytes(bytes)); // whatever it finds, it ends
        }
    }
}
