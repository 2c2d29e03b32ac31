//! Where a Go program keeps the goroutine that a thread works for, by a look at its code.
//!
//! Go's runtime switches stacks in a few functions written in assembly. Their instructions say all that is to be
//! known, also of a program without symbols: `runtime.systemstack` reads the running g from thread-local storage,
//! from it the thread's m, and from that the g of the system stack and the current goroutine; it calls
//! `gosave_systemstack_switch`, which notes in the g where the goroutine will go on.
//!
//! ```text
//! systemstack                                gosave_systemstack_switch
//! mov  %fs:TLS, %rax                         lea  systemstack_switch(%rip), %r9
//! mov  M(%rax), %rbx                         mov  %r9, PC(%r14)
//! cmp  GSIGNAL(%rbx), %rax                   lea  8(%rsp), %r9
//! je   …                                     mov  %r9, SP(%r14)
//! mov  G0(%rbx), %rdx                        movq $0, RET(%r14)        (older releases)
//! cmp  %rdx, %rax                            mov  %rbp, BP(%r14)
//! je   …
//! cmp  CURG(%rbx), %rax
//! jne  …
//! call gosave_systemstack_switch
//! ```
//! So it is from Go 1.17 on (before, there was no such function). Code that looks otherwise is no Go program to
//! us: nothing of its memory is read. Source: Go's `src/runtime/asm_amd64.s`.

use crate::record::GoOffsets;

/// The runtime comes first in Go's part of the code, behind a few small packages: within its first MiB in all
/// programs seen. So much of the code is searched.
const SEARCH_BYTES: u64 = 4 << 20;
const CHUNK_BYTES: usize = 128 << 10;
/// The two functions are in one source file: so far apart at most.
const NEIGHBOURHOOD_BYTES: u64 = 32 << 10;
/// Code that begins like the one and has no other beside it: after so many the search is given up.
const MAX_CANDIDATES: usize = 4;
/// No object of the runtime that is looked at is larger.
const MAX_OFFSET: u32 = 4096;

/// What is known of the runtime.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GoRuntime {
    /// File offset of `runtime.systemstack_switch`.
    pub(crate) switch_at: u64,
    /// … of `gosave_systemstack_switch`.
    pub(crate) save_at: u64,
    pub(crate) offsets: GoOffsets,
}

/// Looks through `read(offset, length)`, which may return fewer bytes, at the `code` in the file.
pub(crate) fn find(
    read: &impl Fn(u64, usize) -> Vec<u8>,
    code: std::ops::Range<u64>,
) -> Option<GoRuntime> {
    let end = code.end.min(code.start.saturating_add(SEARCH_BYTES));
    let mut candidates = 0;
    let mut at = code.start;
    while at < end {
        let bytes = read(at, CHUNK_BYTES.min((end - at) as usize));
        for index in positions(&bytes, &SAVE_BEGINS) {
            let Some(save) = Save::parse(&bytes[index..], at + index as u64) else { continue };
            let found = find_switch(read, &save);
            if found.is_some() {
                return found;
            }
            candidates += 1;
            if candidates == MAX_CANDIDATES {
                return None;
            }
        }
        if bytes.len() <= SAVE_BYTES {
            break;
        }
        // What begins at the very end of a chunk is read once more, as a whole.
        at += (bytes.len() - SAVE_BYTES) as u64;
    }
    None
}

/// Where `wanted` begins in `bytes`.
fn positions<'b>(bytes: &'b [u8], wanted: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
    bytes.windows(wanted.len()).enumerate().filter(move |(_, w)| *w == wanted).map(|(at, _)| at)
}

/// Instructions that are read one after the other.
struct Code<'b>(&'b [u8]);

impl Code<'_> {
    /// These bytes come next.
    fn fixed(&mut self, bytes: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(bytes)?;
        Some(())
    }

    /// A distance of one byte.
    fn short(&mut self) -> Option<u32> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        u32::try_from(byte.cast_signed()).ok()
    }

    /// A distance of four bytes.
    fn long(&mut self) -> Option<i32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(i32::from_le_bytes(*bytes))
    }

    /// A short jump, wherever to.
    fn jump(&mut self, condition: u8) -> Option<()> {
        self.fixed(&[condition])?;
        self.0 = self.0.get(1..)?;
        Some(())
    }
}

/// `lea …(%rip), %r9`.
const SAVE_BEGINS: [u8; 3] = [0x4c, 0x8d, 0x0d];
/// Length of all that is read of the function.
const SAVE_BYTES: usize = 36;

/// `gosave_systemstack_switch`.
struct Save {
    at: u64,
    switch_at: u64,
    pc: u32,
    sp: u32,
    bp: u32,
}

impl Save {
    fn parse(bytes: &[u8], at: u64) -> Option<Self> {
        let mut code = Code(bytes);
        code.fixed(&SAVE_BEGINS)?;
        let distance = code.long()?;
        let switch_at = at.checked_add(7)?.checked_add_signed(distance.into())?;
        code.fixed(&[0x4d, 0x89, 0x4e])?;
        let pc = code.short()?;
        code.fixed(&[0x4c, 0x8d, 0x4c, 0x24, 8])?;
        code.fixed(&[0x4d, 0x89, 0x4e])?;
        let sp = code.short()?;
        if code.fixed(&[0x49, 0xc7, 0x46]).is_some() {
            code.short()?;
            code.fixed(&[0; 4])?;
        }
        code.fixed(&[0x49, 0x89, 0x6e])?;
        Some(Self { at, switch_at, pc, sp, bp: code.short()? })
    }
}

/// The `systemstack` that calls `save`, in its neighbourhood.
fn find_switch(read: &impl Fn(u64, usize) -> Vec<u8>, save: &Save) -> Option<GoRuntime> {
    let start = save.at.saturating_sub(NEIGHBOURHOOD_BYTES);
    let bytes = read(start, 2 * NEIGHBOURHOOD_BYTES as usize);
    let parse = |index: usize, g_at_of: fn(&mut Code<'_>) -> Option<i32>| {
        let mut code = Code(bytes.get(index..)?);
        let g = g_at_of(&mut code)?;
        code.fixed(&[0x48, 0x8b, 0x58])?;
        let g_m = code.short()?;
        code.fixed(&[0x48, 0x3b, 0x43])?;
        code.short()?; // the g of signals
        code.jump(0x74)?;
        code.fixed(&[0x48, 0x8b, 0x13])?;
        code.fixed(&[0x48, 0x39, 0xd0])?;
        code.jump(0x74)?;
        code.fixed(&[0x48, 0x3b, 0x83])?;
        let m_curg = u32::try_from(code.long()?).ok().filter(|at| *at < MAX_OFFSET)?;
        code.jump(0x75)?;
        code.fixed(&[0xe8])?;
        let distance = code.long()?;
        let next = start + (bytes.len() - code.0.len()) as u64;
        (next.checked_add_signed(distance.into()) == Some(save.at)).then_some(GoOffsets {
            g,
            g_m,
            m_g0: 0,
            m_curg,
            g_sched_sp: save.sp,
            g_sched_pc: save.pc,
            g_sched_bp: save.bp,
            zero: 0,
        })
    };
    let fixed = positions(&bytes, &LOCAL).find_map(|index| parse(index, local));
    let offsets = fixed.or_else(|| {
        let mut found = positions(&bytes, &INDEPENDENT);
        found.find_map(|index| parse(index, independent))
    })?;
    Some(GoRuntime { switch_at: save.switch_at, save_at: save.at, offsets })
}

/// `mov %fs:TLS, %rax`: TLS is known when the program is linked.
const LOCAL: [u8; 5] = [0x64, 0x48, 0x8b, 0x04, 0x25];

fn local(code: &mut Code<'_>) -> Option<i32> {
    code.fixed(&LOCAL)?;
    code.long()
}

/// `mov $TLS, %rcx; mov %fs:(%rcx), %rax`: what linkers make of position-independent code when TLS is known.
const INDEPENDENT: [u8; 3] = [0x48, 0xc7, 0xc1];

fn independent(code: &mut Code<'_>) -> Option<i32> {
    code.fixed(&INDEPENDENT)?;
    let offset = code.long()?;
    code.fixed(&[0x64, 0x48, 0x8b, 0x01])?;
    Some(offset)
}

#[cfg(test)]
#[path = "go_runtime_tests.rs"]
mod tests;
