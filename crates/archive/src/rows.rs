//! Definition rows and their messages, both directions side by side. Ids are taken over as they are:
//! the reader maps them to merged ids afterwards.

use profile::{
    BuildId, BuildIdFrom, Cgroup, CgroupId, FileOffset, HostSymbol, LabelSet, Module, ModuleId,
    ModuleKind, Pid, Process, ProcessId, Segment, StackEnd, Svma, SymbolFrom, Text, Thread, Tid,
};

use crate::schema;

/// Longest text that is written; Linux' `PATH_MAX`. Together with the two limits below it keeps every
/// row far below a frame's 1 MiB.
const MAX_TEXT_BYTES: usize = 4096;
/// Most `PT_LOAD`s of one module; real ones have 1 to 10, a hostile file up to 65,535.
const MAX_SEGMENTS: usize = 256;
/// Most labels of one sample.
const MAX_LABELS: usize = 32;

pub(crate) fn clip(text: &Text) -> Vec<u8> {
    text.0[..text.0.len().min(MAX_TEXT_BYTES)].to_vec()
}

pub(crate) fn write_cgroup(row: &Cgroup) -> schema::Cgroup {
    schema::Cgroup { id: row.id, path: clip(&row.path) }
}

pub(crate) fn read_cgroup(row: schema::Cgroup) -> Cgroup {
    Cgroup { id: row.id, path: row.path.into() }
}

pub(crate) fn write_process(row: &Process) -> schema::Process {
    schema::Process {
        pid: row.pid.0,
        start_ns: row.start_ns,
        image: row.image,
        image_ns: row.image_ns,
        parent: row.parent.0,
        ns_pid: row.ns_pid,
        cgroup: row.cgroup.0,
        exe: row.exe.0,
        argv0: clip(&row.argv0),
    }
}

pub(crate) fn read_process(row: schema::Process) -> Process {
    Process {
        pid: Pid(row.pid),
        start_ns: row.start_ns,
        image: row.image,
        image_ns: row.image_ns,
        parent: ProcessId(row.parent),
        ns_pid: row.ns_pid,
        cgroup: CgroupId(row.cgroup),
        exe: ModuleId(row.exe),
        argv0: row.argv0.into(),
    }
}

pub(crate) fn write_thread(row: &Thread) -> schema::Thread {
    schema::Thread {
        tid: row.tid.0,
        process: row.process.0,
        comm: clip(&row.comm),
        start_ns: row.start_ns,
    }
}

pub(crate) fn read_thread(row: schema::Thread) -> Thread {
    Thread {
        tid: Tid(row.tid),
        process: ProcessId(row.process),
        comm: row.comm.into(),
        start_ns: row.start_ns,
    }
}

pub(crate) fn write_module(row: &Module) -> schema::Module {
    use schema::module::{BuildIdFrom as From, Kind};
    let segment = |s: &Segment| schema::Segment {
        file_offset: s.file_offset.0,
        svma: s.svma.0,
        file_bytes: s.file_bytes,
        memory_bytes: s.memory_bytes,
        flags: s.flags,
    };
    schema::Module {
        kind: match row.kind {
            ModuleKind::File => Kind::File,
            ModuleKind::Vdso => Kind::Vdso,
            ModuleKind::Anon => Kind::Anon,
            ModuleKind::Kernel => Kind::Kernel,
            ModuleKind::KernelModule => Kind::Kmod,
            ModuleKind::Bpf => Kind::BpfProgram,
        }
        .into(),
        path: clip(&row.path),
        build_id: row.build_id.as_bytes().to_vec(),
        build_id_from: match row.build_id_from {
            BuildIdFrom::Nowhere => From::Nowhere,
            BuildIdFrom::KernelRecord => From::KernelRecord,
            BuildIdFrom::FileNote => From::FileNote,
            BuildIdFrom::Sysfs => From::Sysfs,
            BuildIdFrom::ContentHash => From::ContentHash,
        }
        .into(),
        go_build_id: clip(&row.go_build_id),
        dev_major: row.dev.0,
        dev_minor: row.dev.1,
        inode: row.inode,
        inode_generation: row.inode_generation,
        file_bytes: row.file_bytes,
        segments: row.segments.iter().take(MAX_SEGMENTS).map(segment).collect(),
        deleted: row.deleted,
        process: row.process.0,
        runtime_base: row.runtime_base,
        mount_ns: clip(&row.mount_ns),
    }
}

/// `None`: a kind that a newer writer added.
pub(crate) fn read_module(row: schema::Module) -> Option<Module> {
    use schema::module::{BuildIdFrom as From, Kind};
    let segment = |s: &schema::Segment| Segment {
        file_offset: FileOffset(s.file_offset),
        svma: Svma(s.svma),
        file_bytes: s.file_bytes,
        memory_bytes: s.memory_bytes,
        flags: s.flags,
    };
    Some(Module {
        kind: match row.kind() {
            Kind::File => ModuleKind::File,
            Kind::Vdso => ModuleKind::Vdso,
            Kind::Anon => ModuleKind::Anon,
            Kind::Kernel => ModuleKind::Kernel,
            Kind::Kmod => ModuleKind::KernelModule,
            Kind::BpfProgram => ModuleKind::Bpf,
            Kind::Unspecified => return None,
        },
        build_id: BuildId::new(&row.build_id),
        build_id_from: match row.build_id_from() {
            From::Nowhere => BuildIdFrom::Nowhere,
            From::KernelRecord => BuildIdFrom::KernelRecord,
            From::FileNote => BuildIdFrom::FileNote,
            From::Sysfs => BuildIdFrom::Sysfs,
            From::ContentHash => BuildIdFrom::ContentHash,
        },
        path: row.path.into(),
        go_build_id: row.go_build_id.into(),
        dev: (row.dev_major, row.dev_minor),
        inode: row.inode,
        inode_generation: row.inode_generation,
        file_bytes: row.file_bytes,
        segments: row.segments.iter().map(segment).collect(),
        deleted: row.deleted,
        process: ProcessId(row.process),
        runtime_base: row.runtime_base,
        mount_ns: row.mount_ns.into(),
    })
}

pub(crate) fn write_symbol(row: &HostSymbol) -> schema::Symbol {
    use schema::symbol::From;
    schema::Symbol {
        module: row.module.0,
        start: row.start,
        bytes: row.bytes,
        name: clip(&row.name),
        from: match row.from {
            SymbolFrom::Kallsyms => From::Kallsyms,
            SymbolFrom::BpfKsym => From::BpfKsym,
            SymbolFrom::PerfMap => From::PerfMap,
            SymbolFrom::Jitdump => From::Jitdump,
        }
        .into(),
        seen_ns: row.seen_ns,
    }
}

/// `None`: a source that a newer writer added.
pub(crate) fn read_symbol(row: schema::Symbol) -> Option<HostSymbol> {
    use schema::symbol::From;
    Some(HostSymbol {
        module: ModuleId(row.module),
        start: row.start,
        bytes: row.bytes,
        from: match row.from() {
            From::Kallsyms => SymbolFrom::Kallsyms,
            From::BpfKsym => SymbolFrom::BpfKsym,
            From::PerfMap => SymbolFrom::PerfMap,
            From::Jitdump => SymbolFrom::Jitdump,
            From::Unspecified => return None,
        },
        name: row.name.into(),
        seen_ns: row.seen_ns,
    })
}

pub(crate) fn write_label_set(row: &LabelSet) -> schema::LabelSet {
    let texts = |texts: &[Text]| texts.iter().take(MAX_LABELS).map(clip).collect();
    schema::LabelSet { keys: texts(&row.keys), values: texts(&row.values) }
}

/// `None`: keys without values.
pub(crate) fn read_label_set(row: schema::LabelSet) -> Option<LabelSet> {
    let texts = |texts: Vec<Vec<u8>>| texts.into_iter().map(Text::from).collect();
    (row.keys.len() == row.values.len())
        .then(|| LabelSet { keys: texts(row.keys), values: texts(row.values) })
}

pub(crate) fn write_stack_end(end: StackEnd) -> schema::StackEnd {
    match end {
        StackEnd::Complete => schema::StackEnd::Complete,
        StackEnd::DepthLimit => schema::StackEnd::DepthLimit,
        StackEnd::NotCode => schema::StackEnd::NotCode,
        StackEnd::Fault => schema::StackEnd::Fault,
        StackEnd::MapsUnknown => schema::StackEnd::MapsUnknown,
        StackEnd::NoUser => schema::StackEnd::NoUser,
        StackEnd::LostBlock => schema::StackEnd::LostBlock,
    }
}

/// `None`: an end that a newer writer added.
pub(crate) fn read_stack_end(end: u64) -> Option<StackEnd> {
    Some(match schema::StackEnd::try_from(i32::try_from(end).ok()?).ok()? {
        schema::StackEnd::Complete => StackEnd::Complete,
        schema::StackEnd::DepthLimit => StackEnd::DepthLimit,
        schema::StackEnd::NotCode => StackEnd::NotCode,
        schema::StackEnd::Fault => StackEnd::Fault,
        schema::StackEnd::MapsUnknown => StackEnd::MapsUnknown,
        schema::StackEnd::NoUser => StackEnd::NoUser,
        schema::StackEnd::LostBlock => StackEnd::LostBlock,
    })
}
