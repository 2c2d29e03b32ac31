//! Rows of the archive: of processes, threads and modules when a sample first needs them, and of stacks.

use std::io::Write;

use archive::Writer;
use profile::{
    Cgroup, CgroupId, HostSymbol, Module, ModuleId, ModuleKind, Pid, Process, ProcessId, Stack,
    StackEnd, StackId, SymbolFrom, Text, ThreadId, Tid,
};
use rustc_hash::FxHashMap;

use super::address_map::{AddressMap, Code, Region};
use super::attribute::{Attribute, field};
use super::bytes::Words;
use super::file::About;
use super::modules::Modules;
use super::processes::{Image, Processes};
use super::sample::Sample;
use super::sideband::{Mapped, Sideband};
use super::slice::Registers;
use super::stacks::{Chain, Place, Stacks};

/// The process that mappings of the kernel are said to be of.
const KERNEL_PID: u32 = u32::MAX;

/// What is known at the time of the record that is read.
pub(super) struct Rows {
    registers: Option<Registers>,
    pub(super) processes: Processes,
    pub(super) modules: Modules,
    kernel: AddressMap,
    dropped_of_kernel: u64,
    /// Number of the module for kernel addresses that nothing is known of.
    unknown_kernel: u32,
    /// Counts changes of the kernel's map.
    kernel_context: u64,
    pub(super) stacks: Stacks,
    chain: Chain,
    path: Vec<Place>,
    made_of: Vec<u64>,
    cgroup_paths: FxHashMap<u64, Text>,
    cgroups: FxHashMap<u64, CgroupId>,
}

impl Rows {
    pub(super) fn new(about: &About) -> Self {
        let mut modules = Modules::default();
        let unknown_kernel = modules.unknown_kernel(about);
        Self {
            registers: Registers::of(&about.arch.0),
            processes: Processes::default(),
            modules,
            kernel: AddressMap::default(),
            dropped_of_kernel: 0,
            unknown_kernel,
            kernel_context: 0,
            stacks: Stacks::default(),
            chain: Chain::default(),
            path: Vec::new(),
            made_of: Vec::new(),
            cgroup_paths: FxHashMap::default(),
            cgroups: FxHashMap::default(),
        }
    }

    /// Mappings that were too many to be followed.
    pub(super) fn dropped_mappings(&self) -> u64 {
        self.processes.dropped + self.dropped_of_kernel
    }

    /// Follows what happened.
    pub(super) fn follow<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        about: &About,
        what: Sideband<'_>,
        time_ns: u64,
    ) {
        match what {
            Sideband::Mapped(mapped) => self.map(about, &mapped),
            Sideband::Comm { pid, tid, comm, is_exec } => {
                self.processes.comm(pid, tid, comm, is_exec.then_some(time_ns));
            }
            Sideband::Fork { pid, parent, tid, has_own_maps } => {
                self.processes.fork(pid, parent, tid, time_ns, !has_own_maps);
            }
            Sideband::Exit { pid, tid } => self.processes.exit(pid, tid),
            Sideband::KernelSymbol { start, bytes, name, is_gone } => {
                self.kernel_context += 1;
                let end = start.saturating_add(bytes);
                if is_gone {
                    self.kernel.remove(start, end);
                    return;
                }
                let (region, number) = self.modules.bpf(start, end, name);
                let module = self.modules.id(number, |module| writer.module(module));
                writer.symbol(&HostSymbol {
                    module,
                    start: 0,
                    bytes,
                    name: name.into(),
                    from: SymbolFrom::BpfKsym,
                    seen_ns: time_ns,
                });
                self.map_kernel(start, region);
            }
            Sideband::Cgroup { id, path } => {
                self.cgroup_paths.insert(id, path.into());
            }
            Sideband::Lost { .. } | Sideband::LostSamples { .. } | Sideband::Other => {}
        }
    }

    fn map(&mut self, about: &About, mapped: &Mapped<'_>) {
        let end = mapped.start.saturating_add(mapped.bytes);
        if mapped.is_kernel || mapped.pid == KERNEL_PID {
            // With build-ids in them, mappings of the kernel state no protection.
            if mapped.is_kernel {
                let region = self.modules.kernel(mapped, end, about);
                self.map_kernel(mapped.start, region);
                self.kernel_context += 1;
            }
            return;
        }
        let region = mapped.is_executable.then(|| self.modules.user(mapped, end, about));
        self.processes.map(mapped.pid, mapped.start, end, region);
    }

    fn map_kernel(&mut self, start: u64, region: Region) {
        self.dropped_of_kernel += u64::from(!self.kernel.insert(start, region));
    }

    /// The rows of a sample's thread and stack.
    pub(super) fn sampled<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        attribute: &Attribute,
        sample: &Sample<'_>,
        misc: u16,
    ) -> (ThreadId, StackId) {
        let process = self.process(writer, sample);
        let thread = self.processes.thread(sample.pid, sample.tid);
        let thread = match thread.row {
            Some((of, row)) if of == process => row,
            _ => {
                let comm = thread.comm.clone();
                let row = profile::Thread { tid: Tid(sample.tid), process, comm, start_ns: 0 };
                let row = writer.thread(&row);
                thread.row = Some((process, row));
                row
            }
        };
        let stack = match (sample.registers, self.registers) {
            // Even where no byte of the stack could be copied, registers say where the thread was.
            (Some(registers), Some(machine)) if attribute.has(field::STACK_USER) => {
                self.sliced_stack(writer, attribute, sample, misc, machine, registers)
            }
            _ => self.stack(writer, attribute, sample, misc),
        };
        (thread, stack)
    }

    fn process<W: Write>(&mut self, writer: &mut Writer<W>, sample: &Sample<'_>) -> ProcessId {
        let image = self.processes.image(sample.pid);
        if let Some(known) = image.row {
            return known;
        }
        let exe = image.exe.map(|number| self.modules.id(number, |module| writer.module(module)));
        let cgroup = match sample.cgroup {
            0 => CgroupId::NONE,
            id => *self.cgroups.entry(id).or_insert_with(|| {
                let path = self.cgroup_paths.get(&id).cloned().unwrap_or_default();
                writer.cgroup(&Cgroup { id, path })
            }),
        };
        let mut row = Process {
            pid: Pid(image.pid),
            start_ns: image.start_ns,
            image: image.number,
            image_ns: image.image_ns,
            parent: ProcessId::NONE,
            ns_pid: 0,
            cgroup,
            exe: exe.unwrap_or(ModuleId::NONE),
            argv0: Text::default(),
        };
        let parent = image.parent;
        row.parent = self.processes.row(parent).unwrap_or(ProcessId::NONE);
        let row = writer.process(&row);
        self.processes.image(sample.pid).row = Some(row);
        row
    }

    /// A stack as perf's walk along frame pointers found it.
    fn stack<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        attribute: &Attribute,
        sample: &Sample<'_>,
        misc: u16,
    ) -> StackId {
        let image = self.processes.image(sample.pid);
        self.made_of.clear();
        self.made_of.extend([image.context, self.kernel_context, misc.into()]);
        match sample.chain.len() {
            0 => self.made_of.push(sample.ip),
            _ => self.made_of.extend(sample.chain.iter()),
        }
        if let Some(known) = self.stacks.remembered(&self.made_of) {
            return known;
        }
        self.chain.read(sample.chain, sample.ip, misc);
        let addresses = self.chain.user.len() + self.chain.kernel.len();
        let is_cut = addresses >= usize::from(attribute.max_stack());
        let stack = self.paths(writer, sample.pid, is_cut);
        let id = self.stacks.stack(writer, stack);
        self.stacks.remember(&self.made_of, id);
        id
    }

    /// A stack with what is needed to unwind it.
    fn sliced_stack<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        attribute: &Attribute,
        sample: &Sample<'_>,
        misc: u16,
        machine: Registers,
        registers: Words<'_>,
    ) -> StackId {
        self.chain.read(sample.chain, sample.ip, misc);
        if self.chain.user.is_empty() {
            let mask = attribute.user_registers;
            self.chain.user.extend(machine.instruction_pointer(mask, registers));
        }
        let stack = self.paths(writer, sample.pid, false);
        let image = self.processes.image(sample.pid);
        let modules = &mut self.modules;
        let code = |word| return_place(image, modules, writer, word);
        let slice = machine.mask(attribute.user_registers, registers, sample.stack, code);
        match slice {
            Some(slice) => self.stacks.sliced(writer, stack, slice),
            None => self.stacks.stack(writer, stack),
        }
    }

    /// The paths of `self.chain`.
    fn paths<W: Write>(&mut self, writer: &mut Writer<W>, pid: u32, is_cut: bool) -> Stack {
        let (modules, stacks) = (&mut self.modules, &mut self.stacks);
        self.path.clear();
        for (index, address) in self.chain.kernel.iter().enumerate() {
            let inside = if index == 0 { *address } else { address.wrapping_sub(1) };
            let (number, base) = match self.kernel.find(inside) {
                Some(region) => match region.code {
                    Code::Module(number) => (number, region.base),
                    Code::Anonymous => (self.unknown_kernel, 0),
                },
                None => (self.unknown_kernel, 0),
            };
            let module = modules.id(number, |module| writer.module(module));
            self.path.push((module, address.wrapping_sub(base)));
        }
        let kernel = stacks.path(writer, &self.path);
        let image = self.processes.image(pid);
        let user = &self.chain.user;
        let place = |writer: &mut Writer<W>, at| user_place(image, modules, writer, at);
        let (user, end) = stacks.user_path(writer, user, is_cut, place);
        let is_nothing = !user.is_some() && !kernel.is_some();
        let end = if is_nothing { StackEnd::MapsUnknown } else { end };
        Stack { user, kernel, goroutine: profile::NodeId::NONE, end }
    }
}

/// Whose code a return address is of: it may be the first byte behind its mapping (a call that never
/// returns).
pub(super) fn return_place<W: Write>(
    image: &mut Image,
    modules: &mut Modules,
    writer: &mut Writer<W>,
    address: u64,
) -> Option<Place> {
    let (module, before) = user_place(image, modules, writer, address.wrapping_sub(1))?;
    Some((module, before.wrapping_add(1)))
}

pub(super) fn user_place<W: Write>(
    image: &mut Image,
    modules: &mut Modules,
    writer: &mut Writer<W>,
    address: u64,
) -> Option<Place> {
    let region = image.find(address)?;
    let module = match region.code {
        Code::Module(number) => modules.id(number, |module| writer.module(module)),
        Code::Anonymous => *image.anonymous.get_or_insert_with(|| {
            let mut memory = Module::new(ModuleKind::Anon, "//anon");
            memory.process = image.row.unwrap_or(ProcessId::NONE);
            writer.module(&memory)
        }),
    };
    Some((module, address.wrapping_sub(region.base)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_of_the_kernel_beyond_the_limit_are_counted() {
        let mut rows = Rows::new(&About::default());
        let region = |start| Region { end: start + 1, base: 0, code: Code::Anonymous };
        while rows.dropped_mappings() == 0 && rows.kernel.len() < 1 << 20 {
            let start = rows.kernel.len() as u64 * 2;
            rows.map_kernel(start, region(start));
        }
        rows.map_kernel(u64::MAX - 1, region(u64::MAX - 1));
        assert_eq!(rows.dropped_mappings(), 2);
    }
}
