//! Loads the BPF programs, and talks to them through their maps.
//!
//! A loader of our own, because what we load is small and stable: no BTF, no CO-RE. aya 0.14 was
//! measured with this very object: 20.8 MB peak memory and 26 ms before the first program was
//! attached, of budgets of 16 MiB and 60 ms for everything.

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use crate::bpf_call::{self, RunStats};
use crate::bpf_object::{BpfObject, MapDefinition, Program, Reference};
use crate::error::Error;
use crate::host;
use crate::kernel_names::NameAddress;
use crate::record::{Config, Counters, GoProgram, Roots};

const MAP_TYPE_ARRAY: u32 = 2;
const MAP_RDONLY_PROG: u32 = 1 << 7;
const PROG_TYPE_PERF_EVENT: u32 = 7;
const PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
const PSEUDO_MAP_FD: u8 = 1;
const PSEUDO_MAP_VALUE: u8 = 2;

/// Longest name the kernel's `name_address` writes (`names` in the source).
const NAME_BYTES: usize = 256;

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

impl LoadedBpf {
    /// Creates the maps and loads the sampling program.
    pub(crate) fn load(config: Config) -> Result<Self, Error> {
        bpf_call::raise_locked_memory_limit();
        let object = BpfObject::embedded()?;
        let mut maps = Vec::new();
        for (name, definition) in object.maps() {
            let mut definition = *definition;
            if *name == "ring" {
                definition.max_entries = config.ring_bytes;
            }
            maps.push(bpf_call::create_map(definition).map_err(|e| map_error(name, e))?);
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
        self.attach("follow_fork", c"sched_process_fork")
    }

    /// Takes processes out of the filter when they end: whoever gets their number next was not asked
    /// for.
    pub(crate) fn forget_the_ended(&mut self) -> Result<(), Error> {
        self.attach("forget_process", c"sched_process_free")
    }

    fn attach(&mut self, name: &'static str, tracepoint: &CStr) -> Result<(), Error> {
        let program = self.object.program(name)?;
        let program =
            load_program(&program, PROG_TYPE_RAW_TRACEPOINT, &self.maps, &self.read_only)?;
        let link = bpf_call::attach_raw_tracepoint(&program, tracepoint)
            .map_err(|source| Error::Bpf { what: "attaching to process creation", source })?;
        self.links.push(link);
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
        bpf_call::update(&self.map("targets"), pid, &[1])
            .map_err(|source| Error::Bpf { what: "adding a target process", source })
    }

    /// Samples this process no longer.
    pub(crate) fn remove_target(&self, pid: u32) {
        // Not there any more is as good.
        let _ = bpf_call::delete(&self.map("targets"), pid);
    }

    /// Trusts this process's chains from now on where they end with one of these addresses.
    pub(crate) fn set_roots(&self, pid: u32, roots: Roots) {
        // A full table trusts one process less.
        let _ = if roots == Roots::default() {
            bpf_call::delete(&self.map("roots"), pid)
        } else {
            bpf_call::update(&self.map("roots"), pid, &roots.to_bytes())
        };
    }

    /// Looks from now on where this process's goroutines go on; `None`: it is no Go program.
    pub(crate) fn set_go_program(&self, pid: u32, program: Option<GoProgram>) {
        // A full table misses those callers of one process more.
        let _ = match program {
            None => bpf_call::delete(&self.map("go_programs"), pid),
            Some(program) => bpf_call::update(&self.map("go_programs"), pid, &program.to_bytes()),
        };
    }

    /// Every possible CPU's counters.
    pub(crate) fn counters(&self) -> Result<Vec<Counters>, Error> {
        const VALUE: usize = size_of::<Counters>().next_multiple_of(8);
        let mut values = vec![0u8; VALUE * self.possible_cpus];
        bpf_call::look_up(&self.map("counters"), 0, &mut values)
            .map_err(|source| Error::Bpf { what: "reading the counters", source })?;
        let (values, _) = values.as_chunks::<VALUE>();
        Ok(values.iter().map(Counters::from_bytes).collect())
    }

    /// Time in the sampling program; zeros unless `kernel.bpf_stats_enabled` is on.
    pub(crate) fn run_stats(&self) -> RunStats {
        bpf_call::run_stats(&self.sample).unwrap_or_default()
    }
}

impl NameAddress for LoadedBpf {
    fn can_name(&self) -> bool {
        self.name_address.is_some()
    }

    fn name(&self, address: u64) -> Option<Vec<u8>> {
        let program = self.name_address.as_ref()?;
        bpf_call::run(program, &[address]).ok()?;
        let mut name = vec![0; NAME_BYTES];
        bpf_call::look_up(&self.map("names"), 0, &mut name).ok()?;
        let end = name.iter().position(|b| *b == 0)?;
        name.truncate(end);
        Some(name)
    }
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
    let map = bpf_call::create_map(MapDefinition {
        kind: MAP_TYPE_ARRAY,
        key_bytes: 4,
        value_bytes: data.len() as u32,
        max_entries: 1,
        flags: MAP_RDONLY_PROG,
    })
    .map_err(|source| Error::Bpf { what, source })?;
    bpf_call::update(&map, 0, &data).map_err(|source| Error::Bpf { what, source })?;
    bpf_call::freeze(&map).map_err(|source| Error::Bpf { what, source })?;
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
            Reference::Map(number) => (PSEUDO_MAP_FD, maps[*number].as_raw_fd(), 0),
            Reference::ReadOnlyData(offset) => (PSEUDO_MAP_VALUE, read_only.as_raw_fd(), *offset),
        };
        // A 16-byte load: source register in the upper half of byte 1, constants at 4 and 12.
        code[at + 1] = (code[at + 1] & 0x0f) | (pseudo << 4);
        code[at + 4..at + 8].copy_from_slice(&fd.to_ne_bytes());
        code[at + 12..at + 16].copy_from_slice(&offset.to_ne_bytes());
    }
    let load =
        |log: &mut [u8]| bpf_call::load_program(program.name, kind, c"Dual MIT/GPL", &code, log);
    match load(&mut []) {
        Ok(fd) => Ok(fd),
        Err(source) if source.raw_os_error() == Some(libc::EPERM) => {
            Err(Error::BpfNotPermitted(source))
        }
        Err(_) => {
            // Once more with a log: it costs, so not the first time.
            let mut log = vec![0u8; 1 << 16];
            load(&mut log).map_err(|source| Error::BpfRefused {
                program: program.name,
                source,
                log: end_of_log(&log),
            })
        }
    }
}

fn end_of_log(log: &[u8]) -> String {
    let text = log.split(|b| *b == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
