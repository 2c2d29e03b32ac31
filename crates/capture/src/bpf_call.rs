//! bpf(2), one function for each command that we need; nothing else knows the call.
#![allow(unsafe_code)] // bpf(2) takes addresses of our buffers

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use crate::bpf_object::MapDefinition;

// enum bpf_cmd, include/uapi/linux/bpf.h
const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_DELETE_ELEM: libc::c_int = 3;
const PROG_LOAD: libc::c_int = 5;
const PROG_TEST_RUN: libc::c_int = 10;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const MAP_FREEZE: libc::c_int = 22;

// The variants of `union bpf_attr` that we use; the kernel takes a shorter one for zeros.

#[repr(C)]
struct MapCreate {
    kind: u32,
    key_bytes: u32,
    value_bytes: u32,
    max_entries: u32,
    flags: u32,
}

#[repr(C)]
struct MapElement {
    map: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgramLoad {
    kind: u32,
    instructions: u32,
    code: u64,
    licence: u64,
    log_level: u32,
    log_bytes: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

#[repr(C)]
struct RawTracepointOpen {
    name: u64,
    program: u32,
    zero: u32,
}

#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    returned: u32,
    data_in_bytes: u32,
    data_out_bytes: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_bytes: u32,
    context_out_bytes: u32,
    context: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
}

#[repr(C)]
struct InfoByFd {
    object: u32,
    info_bytes: u32,
    info: u64,
}

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: `attributes` is a live, writable struct of the size stated, laid out as the kernel's
    // `union bpf_attr` wants it for `command`; addresses in it were taken by the callers below from
    // buffers that live across the call, of at least the lengths stated.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel just returned this descriptor, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

fn raw(fd: &impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd() as u32
}

fn address<T: ?Sized>(buffer: &T) -> u64 {
    std::ptr::from_ref(buffer).cast::<u8>() as u64
}

fn address_mut<T: ?Sized>(buffer: &mut T) -> u64 {
    std::ptr::from_mut(buffer).cast::<u8>() as u64
}

/// Time and number of runs of a program.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct RunStats {
    pub(crate) ns: u64,
    pub(crate) runs: u64,
}

/// Before 5.11 maps counted against RLIMIT_MEMLOCK. Failing is no error: newer kernels do not mind.
pub(crate) fn raise_locked_memory_limit() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a valid rlimit.
    unsafe {
        libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit);
    }
}

/// Creates a map.
pub(crate) fn create_map(definition: MapDefinition) -> io::Result<OwnedFd> {
    let mut attributes = MapCreate {
        kind: definition.kind,
        key_bytes: definition.key_bytes,
        value_bytes: definition.value_bytes,
        max_entries: definition.max_entries,
        flags: definition.flags,
    };
    bpf(MAP_CREATE, &mut attributes).map(owned)
}

fn element(map: &impl AsFd, key: &u32, value: u64) -> MapElement {
    MapElement { map: raw(map), zero: 0, key: address(key), value, flags: 0 }
}

/// Sets the value of a key. `value` must be as long as the map's values.
pub(crate) fn update(map: &impl AsFd, key: u32, value: &[u8]) -> io::Result<()> {
    bpf(MAP_UPDATE_ELEM, &mut element(map, &key, address(value))).map(|_| ())
}

/// Removes a key.
pub(crate) fn delete(map: &impl AsFd, key: u32) -> io::Result<()> {
    bpf(MAP_DELETE_ELEM, &mut element(map, &key, 0)).map(|_| ())
}

/// Reads the value of a key. `value` must be as long as the map's values, times the possible CPUs for
/// a per-CPU map.
pub(crate) fn look_up(map: &impl AsFd, key: u32, value: &mut [u8]) -> io::Result<()> {
    bpf(MAP_LOOKUP_ELEM, &mut element(map, &key, address_mut(value))).map(|_| ())
}

/// Makes a map's values constants, for the verifier too.
pub(crate) fn freeze(map: &impl AsFd) -> io::Result<()> {
    bpf(MAP_FREEZE, &mut raw(map)).map(|_| ())
}

/// Loads a program of instructions of 8 bytes. The verifier's words go into `log`, if it has room.
pub(crate) fn load_program(
    name: &str,
    kind: u32,
    licence: &CStr,
    code: &[u8],
    log: &mut [u8],
) -> io::Result<OwnedFd> {
    let mut short_name = [0; 16];
    for (slot, byte) in short_name[..15].iter_mut().zip(name.bytes()) {
        *slot = byte;
    }
    let mut attributes = ProgramLoad {
        kind,
        instructions: (code.len() / 8) as u32,
        code: address(code),
        licence: licence.as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_bytes: log.len() as u32,
        log: if log.is_empty() { 0 } else { address_mut(log) },
        kernel_version: 0,
        flags: 0,
        name: short_name,
    };
    bpf(PROG_LOAD, &mut attributes).map(owned)
}

/// Attaches a program to a tracepoint, until the descriptor is closed.
pub(crate) fn attach_raw_tracepoint(program: &OwnedFd, tracepoint: &CStr) -> io::Result<OwnedFd> {
    let mut attributes =
        RawTracepointOpen { name: tracepoint.as_ptr() as u64, program: raw(program), zero: 0 };
    bpf(RAW_TRACEPOINT_OPEN, &mut attributes).map(owned)
}

/// Runs a raw tracepoint program once, with these arguments.
pub(crate) fn run(program: &OwnedFd, arguments: &[u64]) -> io::Result<()> {
    let mut run = TestRun {
        program: raw(program),
        context_bytes: size_of_val(arguments) as u32,
        context: address(arguments),
        ..TestRun::default()
    };
    bpf(PROG_TEST_RUN, &mut run).map(|_| ())
}

/// What a program cost so far; zeros unless `kernel.bpf_stats_enabled` is on.
pub(crate) fn run_stats(program: &OwnedFd) -> io::Result<RunStats> {
    // struct bpf_prog_info: run_time_ns and run_cnt stand at 192 and 200 (Linux 5.1).
    let mut info = [0u64; 26];
    let mut attributes = InfoByFd {
        object: raw(program),
        info_bytes: size_of_val(&info) as u32,
        info: address_mut(&mut info),
    };
    bpf(OBJ_GET_INFO_BY_FD, &mut attributes)?;
    Ok(RunStats { ns: info[24], runs: info[25] })
}
