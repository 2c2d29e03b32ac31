//! Loads and talks to the BPF programs through bpf(2); nothing else knows that call.
//!
//! A loader of our own, because what we load is small and stable: no BTF, no CO-RE. aya 0.14 was
//! measured with this very object: 20.8 MB peak memory and 26 ms before the first program was
//! attached, of budgets of 16 MiB and 60 ms for everything.
#![allow(unsafe_code)] // bpf(2) takes addresses of our buffers

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::bpf_object::{BpfObject, MapDefinition, Program, Reference};
use crate::error::Error;
use crate::host;
use crate::kernel_names::NameAddress;
use crate::record::{Config, Counters};

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

const MAP_TYPE_ARRAY: u32 = 2;
const MAP_RDONLY_PROG: u32 = 1 << 7;
const PROG_TYPE_PERF_EVENT: u32 = 7;
const PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
const PSEUDO_MAP_FD: u8 = 1;
const PSEUDO_MAP_VALUE: u8 = 2;

/// Longest name the kernel's `name_address` writes (`names` in the source).
const NAME_BYTES: usize = 256;

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

/// The loaded programs and their maps. Everything goes with it: nothing is pinned.
#[derive(Debug)]
pub(crate) struct LoadedBpf {
    object: BpfObject,
    /// In the order of the object's maps.
    maps: Vec<OwnedFd>,
    read_only: OwnedFd,
    sample: OwnedFd,
    name_address: Option<OwnedFd>,
    links: Vec<OwnedFd>,
    possible_cpus: usize,
}

/// Time and number of runs of the sampling program.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct RunStats {
    pub(crate) ns: u64,
    pub(crate) runs: u64,
}

impl LoadedBpf {
    /// Creates the maps and loads the sampling program.
    pub(crate) fn load(config: Config) -> Result<Self, Error> {
        raise_locked_memory_limit();
        let object = BpfObject::embedded()?;
        let mut maps = Vec::new();
        for (name, definition) in object.maps() {
            let mut definition = *definition;
            if *name == "ring" {
                definition.max_entries = config.ring_bytes;
            }
            maps.push(create_map(definition).map_err(|e| map_error(name, e))?);
        }
        let read_only = create_read_only(&object, config)?;
        let sample =
            load_program(&object.program("sample")?, PROG_TYPE_PERF_EVENT, &maps, &read_only)?;
        let possible_cpus = host::possible_cpus().map_err(Error::system("reading the CPU list"))?;
        Ok(Self {
            object,
            maps,
            read_only,
            sample,
            name_address: None,
            links: Vec::new(),
            possible_cpus,
        })
    }

    /// Loads the program that names kernel addresses. Kernels before 5.13 cannot.
    pub(crate) fn load_namer(&mut self) -> Result<(), Error> {
        let program = self.object.program("name_address")?;
        let loaded = load_program(&program, PROG_TYPE_RAW_TRACEPOINT, &self.maps, &self.read_only)?;
        self.name_address = Some(loaded);
        Ok(())
    }

    /// Gives up naming addresses one by one.
    pub(crate) fn unload_namer(&mut self) {
        self.name_address = None;
    }

    /// From now on children of targets become targets before they run.
    pub(crate) fn follow_children(&mut self) -> Result<(), Error> {
        for (name, tracepoint) in
            [("follow_fork", c"sched_process_fork"), ("forget_process", c"sched_process_free")]
        {
            let program = self.object.program(name)?;
            let program =
                load_program(&program, PROG_TYPE_RAW_TRACEPOINT, &self.maps, &self.read_only)?;
            let link = attach_raw_tracepoint(&program, tracepoint)
                .map_err(|source| Error::Bpf { what: "attaching to process creation", source })?;
            self.links.push(link);
        }
        Ok(())
    }

    fn map(&self, name: &str) -> BorrowedFd<'_> {
        let number = self.object.maps().iter().position(|(map, _)| *map == name);
        self.maps[number.expect("a map that the object's tests name")].as_fd()
    }

    /// The ring buffer's descriptor, for mapping and polling.
    pub(crate) fn ring(&self) -> BorrowedFd<'_> {
        self.map("ring")
    }

    /// The sampling program's descriptor, for `PERF_EVENT_IOC_SET_BPF`.
    pub(crate) fn sampling_program(&self) -> BorrowedFd<'_> {
        self.sample.as_fd()
    }

    /// Samples this process from now on.
    pub(crate) fn add_target(&self, pid: u32) -> Result<(), Error> {
        let value = [1u8];
        let mut attributes = MapElement {
            map: raw(&self.map("targets")),
            zero: 0,
            key: address(&pid),
            value: address(&value),
            flags: 0,
        };
        bpf(MAP_UPDATE_ELEM, &mut attributes)
            .map_err(|source| Error::Bpf { what: "adding a target process", source })?;
        Ok(())
    }

    /// Samples this process no longer.
    pub(crate) fn remove_target(&self, pid: u32) {
        let mut attributes = MapElement {
            map: raw(&self.map("targets")),
            zero: 0,
            key: address(&pid),
            value: 0,
            flags: 0,
        };
        // Not there any more is as good.
        let _ = bpf(MAP_DELETE_ELEM, &mut attributes);
    }

    /// Every possible CPU's counters.
    pub(crate) fn counters(&self) -> Result<Vec<Counters>, Error> {
        const VALUE: usize = size_of::<Counters>().next_multiple_of(8);
        let mut values = vec![0u8; VALUE * self.possible_cpus];
        let key = 0u32;
        let mut attributes = MapElement {
            map: raw(&self.map("counters")),
            zero: 0,
            key: address(&key),
            value: address_mut(values.as_mut_slice()),
            flags: 0,
        };
        bpf(MAP_LOOKUP_ELEM, &mut attributes)
            .map_err(|source| Error::Bpf { what: "reading the counters", source })?;
        let (values, _) = values.as_chunks::<VALUE>();
        Ok(values.iter().map(Counters::from_bytes).collect())
    }

    /// Time in the sampling program; zeros unless `kernel.bpf_stats_enabled` is on.
    pub(crate) fn run_stats(&self) -> RunStats {
        // struct bpf_prog_info: run_time_ns and run_cnt stand at 192 and 200 (Linux 5.1).
        let mut info = [0u64; 26];
        let mut attributes = InfoByFd {
            object: raw(&self.sample),
            info_bytes: size_of_val(&info) as u32,
            info: address_mut(&mut info),
        };
        match bpf(OBJ_GET_INFO_BY_FD, &mut attributes) {
            Ok(_) => RunStats { ns: info[24], runs: info[25] },
            Err(_) => RunStats::default(),
        }
    }
}

impl NameAddress for LoadedBpf {
    fn can_name(&self) -> bool {
        self.name_address.is_some()
    }

    fn name(&self, address_to_name: u64) -> Option<Vec<u8>> {
        let program = self.name_address.as_ref()?;
        let context = [address_to_name];
        let mut run = TestRun {
            program: raw(program),
            context_bytes: size_of_val(&context) as u32,
            context: address(&context),
            ..TestRun::default()
        };
        bpf(PROG_TEST_RUN, &mut run).ok()?;
        let (key, mut name) = (0u32, vec![0u8; NAME_BYTES]);
        let mut attributes = MapElement {
            map: raw(&self.map("names")),
            zero: 0,
            key: address(&key),
            value: address_mut(name.as_mut_slice()),
            flags: 0,
        };
        bpf(MAP_LOOKUP_ELEM, &mut attributes).ok()?;
        let end = name.iter().position(|b| *b == 0)?;
        name.truncate(end);
        Some(name)
    }
}

/// Before 5.11 maps counted against RLIMIT_MEMLOCK. Failing is no error: newer kernels do not mind.
fn raise_locked_memory_limit() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a valid rlimit.
    unsafe {
        libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit);
    }
}

fn create_map(definition: MapDefinition) -> io::Result<OwnedFd> {
    let mut attributes = MapCreate {
        kind: definition.kind,
        key_bytes: definition.key_bytes,
        value_bytes: definition.value_bytes,
        max_entries: definition.max_entries,
        flags: definition.flags,
    };
    bpf(MAP_CREATE, &mut attributes).map(owned)
}

fn map_error(name: &str, source: io::Error) -> Error {
    match source.raw_os_error() {
        Some(libc::EPERM) => Error::BpfNotPermitted(source),
        Some(libc::EINVAL) if name == "ring" => Error::KernelTooOld {
            release: host::uname().1.lossy().into_owned(),
            what: "BPF ring buffers",
        },
        Some(libc::ENOSYS) => Error::KernelTooOld {
            release: host::uname().1.lossy().into_owned(),
            what: "BPF (CONFIG_BPF_SYSCALL)",
        },
        _ => Error::Bpf { what: "creating a map", source },
    }
}

/// `.rodata` as a map that programs may only read, with the configuration in it.
fn create_read_only(object: &BpfObject, config: Config) -> Result<OwnedFd, Error> {
    let mut data = object.section(".rodata")?.to_vec();
    let at = object.read_only_offset("config")?;
    let bytes = config.to_bytes();
    data[at..at + bytes.len()].copy_from_slice(&bytes);

    let what = "creating the read-only data";
    let map = create_map(MapDefinition {
        kind: MAP_TYPE_ARRAY,
        key_bytes: 4,
        value_bytes: data.len() as u32,
        max_entries: 1,
        flags: MAP_RDONLY_PROG,
    })
    .map_err(|source| Error::Bpf { what, source })?;
    let key = 0u32;
    let mut attributes = MapElement {
        map: raw(&map),
        zero: 0,
        key: address(&key),
        value: address(data.as_slice()),
        flags: 0,
    };
    bpf(MAP_UPDATE_ELEM, &mut attributes).map_err(|source| Error::Bpf { what, source })?;
    // Frozen: the verifier may take the configuration for constants.
    bpf(MAP_FREEZE, &mut raw(&map)).map_err(|source| Error::Bpf { what, source })?;
    Ok(map)
}

fn load_program(
    program: &Program,
    kind: u32,
    maps: &[OwnedFd],
    read_only: &OwnedFd,
) -> Result<OwnedFd, Error> {
    let mut code = program.instructions.clone();
    for (at, reference) in &program.references {
        let (pseudo, fd, offset) = match reference {
            Reference::Map(number) => (PSEUDO_MAP_FD, raw(&maps[*number]), 0),
            Reference::ReadOnlyData(offset) => (PSEUDO_MAP_VALUE, raw(read_only), *offset),
        };
        // A 16-byte load: source register in the upper half of byte 1, constants at 4 and 12.
        code[at + 1] = (code[at + 1] & 0x0f) | (pseudo << 4);
        code[at + 4..at + 8].copy_from_slice(&fd.to_ne_bytes());
        code[at + 12..at + 16].copy_from_slice(&offset.to_ne_bytes());
    }
    match try_load(program.name, kind, &code, &mut []) {
        Ok(fd) => Ok(fd),
        Err(source) if source.raw_os_error() == Some(libc::EPERM) => {
            Err(Error::BpfNotPermitted(source))
        }
        Err(_) => {
            // Once more with a log: it costs, so not the first time.
            let mut log = vec![0u8; 1 << 16];
            try_load(program.name, kind, &code, &mut log).map_err(|source| Error::BpfRefused {
                program: program.name,
                source,
                log: end_of_log(&log),
            })
        }
    }
}

fn try_load(name: &str, kind: u32, code: &[u8], log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut short_name = [0; 16];
    for (slot, byte) in short_name[..15].iter_mut().zip(name.bytes()) {
        *slot = byte;
    }
    let mut attributes = ProgramLoad {
        kind,
        instructions: (code.len() / 8) as u32,
        code: address(code),
        licence: c"Dual MIT/GPL".as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_bytes: log.len() as u32,
        log: if log.is_empty() { 0 } else { address_mut(log) },
        kernel_version: 0,
        flags: 0,
        name: short_name,
    };
    bpf(PROG_LOAD, &mut attributes).map(owned)
}

fn end_of_log(log: &[u8]) -> String {
    let text = log.split(|b| *b == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

fn attach_raw_tracepoint(program: &OwnedFd, tracepoint: &CStr) -> io::Result<OwnedFd> {
    let mut attributes =
        RawTracepointOpen { name: tracepoint.as_ptr() as u64, program: raw(program), zero: 0 };
    bpf(RAW_TRACEPOINT_OPEN, &mut attributes).map(owned)
}
