//! Rows of the archive's tables, written when the first sample of an epoch needs them.

use std::fs::File;
use std::io::Write;
use std::rc::Rc;

use archive::Writer;
use profile::{
    Avma, BuildId, BuildIdFrom, Cgroup, CgroupId, Exit, FileOffset, Mapping, Module, ModuleId,
    ModuleKind, Pid, ProcessId, Text, Thread, ThreadId, Tid,
};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::decode::RawSample;
use crate::elf_facts::{self, ElfFacts};
use crate::host;
use crate::kernel::{Kernel, KernelPart};
use crate::mapped_file::MappedFile;
use crate::maps::Region;
use crate::open_mapped;
use crate::process::{Ended, Process, Processes};
use crate::procfs;
use crate::sideband::Identity;
use crate::world::World;

/// Parents whose rows are written with a process's own.
const MAX_ANCESTORS: usize = 8;

/// What makes two mapped files the same module, in one mount namespace or process.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct ModuleIdentity {
    path: Box<[u8]>,
    build_id: BuildId,
    /// Only where there is no build-id: the same file is reported with and without inode.
    dev_inode: ((u32, u32), u64),
}

/// A file as one process sees it: the same path in another mount namespace is another file.
type FileKey = (*const MappedFile, u64);

/// Ids given out in this epoch.
#[derive(Default, Debug)]
pub(crate) struct Rows {
    cgroups: FxHashMap<u64, CgroupId>,
    processes: FxHashMap<u64, ProcessId>,
    threads: FxHashMap<(u32, u64, [u8; 16]), ThreadId>,
    /// Holds the file, so that its address stays its own.
    files: FxHashMap<FileKey, (Rc<MappedFile>, ModuleId, ModuleKind)>,
    modules: FxHashMap<(ModuleIdentity, Text), ModuleId>,
    /// The first of each, wherever it was seen: for processes that went before they could be asked for
    /// their mount namespace.
    anywhere: FxHashMap<ModuleIdentity, ModuleId>,
    /// By base address: a number of a kernel module may change its meaning.
    kernel: FxHashMap<u64, ModuleId>,
    mappings: FxHashSet<(u64, u64)>,
    vdso_embedded: bool,
    /// Files of new modules, if somebody takes them.
    opened: Option<Vec<(ModuleId, Module, File)>>,
}

impl Rows {
    /// Whether files of modules that are opened for the first time stay open until they are taken.
    pub(crate) fn new(keep_open: bool) -> Self {
        Self { opened: keep_open.then(Vec::new), ..Self::default() }
    }

    /// Files of modules that are new since the last time.
    pub(crate) fn take_opened(&mut self) -> Vec<(ModuleId, Module, File)> {
        self.opened.as_mut().map(std::mem::take).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.processes.is_empty() && self.files.is_empty()
    }

    /// The thread of a sample.
    pub(crate) fn thread<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        processes: &mut Processes,
        sample: &RawSample<'_>,
        world: &mut impl World,
    ) -> ThreadId {
        let uid = processes.get(sample.pid).map_or(0, |p| p.uid);
        let mut comm = [0; 16];
        comm[..sample.comm.len()].copy_from_slice(sample.comm);
        let key = (sample.tid, uid, comm);
        if let Some(known) = self.threads.get(&key) {
            return *known;
        }
        let process = self.process(writer, processes, sample, world);
        let id = writer.thread(&Thread {
            tid: Tid(sample.tid),
            process,
            comm: Text::from(sample.comm),
            start_ns: 0,
        });
        self.threads.insert(key, id);
        id
    }

    fn process<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        processes: &mut Processes,
        sample: &RawSample<'_>,
        world: &mut impl World,
    ) -> ProcessId {
        // From the sampled process up to the first that is written already, or not followed.
        let mut line = Vec::new();
        let mut parent = ProcessId::NONE;
        let mut pid = sample.pid;
        while let Some(process) = processes.get(pid).filter(|_| line.len() <= MAX_ANCESTORS) {
            if let Some(known) = self.processes.get(&process.uid) {
                parent = *known;
                break;
            }
            if line.contains(&pid) {
                break;
            }
            line.push(pid);
            pid = process.parent;
        }
        let mut mount_ns = processes
            .get(pid)
            .and_then(|known| known.facts.as_ref())
            .map(|facts| facts.mount_ns.clone())
            .unwrap_or_default();
        for pid in line.into_iter().rev() {
            let cgroup_id = (pid == sample.pid).then_some(sample.cgroup_id);
            processes.learn_facts(pid, sample.time_ns, world);
            let Some(process) = processes.get_mut(pid) else { continue };
            let facts = process.facts.get_or_insert_default();
            if facts.mount_ns.is_empty() {
                facts.mount_ns = mount_ns; // gone already; most children stay in their parent's
            }
            mount_ns = facts.mount_ns.clone();
            parent = self.one_process(writer, process, parent, cgroup_id);
        }
        parent
    }

    fn one_process<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        process: &Process,
        parent: ProcessId,
        cgroup_id: Option<u64>,
    ) -> ProcessId {
        let facts = process.facts.clone().unwrap_or_default();
        let cgroup = cgroup_id.map_or(CgroupId::NONE, |id| self.cgroup(writer, id, process.pid));
        let exe = self.exe(writer, process);
        let id = writer.process(&profile::Process {
            pid: Pid(process.pid),
            start_ns: process.start_ns,
            image: process.image,
            image_ns: process.image_ns,
            parent,
            ns_pid: facts.ns_pid,
            cgroup,
            exe,
            argv0: facts.argv0,
        });
        self.processes.insert(process.uid, id);
        id
    }

    fn cgroup<W: Write>(&mut self, writer: &mut Writer<W>, id: u64, pid: u32) -> CgroupId {
        *self
            .cgroups
            .entry(id)
            .or_insert_with(|| writer.cgroup(&Cgroup { id, path: procfs::cgroup_path(pid) }))
    }

    fn exe<W: Write>(&mut self, writer: &mut Writer<W>, process: &Process) -> ModuleId {
        let Some(maps) = process.maps() else { return ModuleId::NONE };
        let region = match &process.exe {
            // By its path: maps read again state no inode generation, and make it another file.
            Some(exe) => maps.regions().iter().find(|r| r.file.path == exe.path),
            None => {
                let path = process.facts.as_ref().map_or(b"".as_slice(), |facts| &facts.exe.0);
                let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
                maps.regions().iter().find(|r| *r.file.path == *path)
            }
        };
        region
            .filter(|r| r.file.kind == ModuleKind::File)
            .map_or(ModuleId::NONE, |r| self.module(writer, process, r).0)
    }

    /// The module a region maps, as this process sees it, and its kind: only a look into a file tells
    /// whether it is one.
    pub(crate) fn module<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        process: &Process,
        region: &Region,
    ) -> (ModuleId, ModuleKind) {
        let file = &region.file;
        let mount_ns = process.facts.as_ref().map(|f| &f.mount_ns);
        let scope = match file.kind {
            ModuleKind::Vdso => 0, // the kernel's own, the same for all
            ModuleKind::File if !file.may_be_memory() => mount_ns.map_or(0, namespace_number),
            _ => process.uid,
        };
        let key = (Rc::as_ptr(file), scope);
        if let Some((_, known, kind)) = self.files.get(&key) {
            return (*known, *kind);
        }
        let (row, opened) = self.module_row(process, region);
        let identity = ModuleIdentity {
            path: file.path.clone(),
            build_id: row.build_id,
            dev_inode: if row.build_id.is_empty() { (row.dev, row.inode) } else { ((0, 0), 0) },
        };
        let id = match self.anywhere.get(&identity) {
            Some(known) if row.kind == ModuleKind::File && row.mount_ns.is_empty() => *known,
            _ => {
                let scope = match row.kind {
                    ModuleKind::File => row.mount_ns.clone(),
                    _ => Text::from(scope.to_string()),
                };
                let of_scope = self.modules.entry((identity.clone(), scope));
                *of_scope.or_insert_with(|| writer.module(&row))
            }
        };
        self.anywhere.entry(identity).or_insert(id);
        if file.kind == ModuleKind::Vdso && !self.vdso_embedded {
            // It exists on the host only. Again in every epoch, because epochs can be kept apart.
            if let Some(image) = host::vdso_image((region.end - region.start) as usize) {
                writer.embed(id, "", &image);
            }
            self.vdso_embedded = true;
        }
        let kind = row.kind;
        self.files.insert(key, (Rc::clone(file), id, kind));
        if let (Some(files), Some(file)) = (&mut self.opened, opened) {
            files.push((id, row, file));
        }
        (id, kind)
    }

    fn module_row(&self, process: &Process, region: &Region) -> (Module, Option<File>) {
        let file = &region.file;
        let mut opened = None;
        if file.facts.borrow().is_none() {
            let facts = match file.kind {
                ModuleKind::Vdso => vdso_facts(region),
                ModuleKind::File => open_mapped::open(process.pid, region).map(|(file, facts)| {
                    opened = Some(file);
                    facts
                }),
                _ => None,
            };
            *file.facts.borrow_mut() = facts;
        }
        let kind = if file.is_memory() { ModuleKind::Anon } else { file.kind };
        let mut row = Module::new(kind, &*file.path);
        row.deleted = file.deleted;
        match kind {
            ModuleKind::Anon => {
                row.process = self.processes.get(&process.uid).copied().unwrap_or(ProcessId::NONE);
                return (row, None);
            }
            ModuleKind::File => {
                row.mount_ns =
                    process.facts.as_ref().map(|f| f.mount_ns.clone()).unwrap_or_default();
            }
            _ => {}
        }
        let Identity { dev, inode, generation } = file.identity;
        (row.dev, row.inode, row.inode_generation) = (dev, inode, generation);
        if let Some(facts) = &*file.facts.borrow() {
            if !facts.build_id.is_empty() {
                row.build_id = facts.build_id;
                row.build_id_from = BuildIdFrom::FileNote;
            }
            row.go_build_id = facts.go_build_id.clone();
            row.segments.clone_from(&facts.segments);
            row.file_bytes = facts.file_bytes;
        }
        (row, opened)
    }

    /// Notes that a region was hit, the first time it is.
    pub(crate) fn mapping<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        process: &Process,
        region: &Region,
        module: ModuleId,
    ) {
        if self.mappings.insert((process.uid, region.start))
            && let Some(row) = self.processes.get(&process.uid)
        {
            writer.mapping(&Mapping {
                process: *row,
                start: Avma(region.start),
                bytes: region.end - region.start,
                file_offset: FileOffset(region.file_offset),
                module,
                since_ns: process.image_ns,
            });
        }
    }

    /// The module of a part of the kernel.
    pub(crate) fn kernel_module<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        kernel: &Kernel,
        part: KernelPart,
    ) -> ModuleId {
        let base = kernel.base(part);
        *self.kernel.entry(base).or_insert_with(|| writer.module(&kernel.module_row(part)))
    }

    /// Notes the end of a process that was written.
    pub(crate) fn exit<W: Write>(&mut self, writer: &mut Writer<W>, ended: Ended) {
        if let Some(process) = self.processes.get(&ended.uid) {
            writer.exit(Exit { process: *process, at_ns: ended.at_ns });
        }
    }
}

/// 4026531841 of "mnt:[4026531841]".
fn namespace_number(text: &Text) -> u64 {
    let digits = text.0.iter().filter(|b| b.is_ascii_digit());
    digits.fold(0u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
}

fn vdso_facts(region: &Region) -> Option<ElfFacts> {
    let image = host::vdso_image((region.end - region.start) as usize)?;
    let facts = elf_facts::read(|offset, length| {
        let start = (offset as usize).min(image.len());
        image[start..start.saturating_add(length).min(image.len())].to_vec()
    })?;
    Some(ElfFacts { file_bytes: image.len() as u64, ..facts })
}
