//! Which modules the mappings are of, each once.

use profile::{BuildId, BuildIdFrom, Module, ModuleId, ModuleKind, Text};
use rustc_hash::FxHashMap;

use super::address_map::{Code, Region};
use super::file::About;
use super::sideband::Mapped;

/// What makes two mapped files one module.
#[derive(PartialEq, Eq, Hash)]
struct Identity {
    kind: ModuleKind,
    path: Box<[u8]>,
    build_id: BuildId,
    dev: (u32, u32),
    inode: u64,
    inode_generation: u64,
    runtime_base: u64,
}

/// All modules seen; a number is an index.
#[derive(Default)]
pub(super) struct Modules {
    rows: Vec<(Module, Option<ModuleId>)>,
    numbers: FxHashMap<Identity, u32>,
}

impl Modules {
    /// The row of a module, which `define` makes when it is first needed.
    pub(super) fn id(&mut self, number: u32, define: impl FnOnce(&Module) -> ModuleId) -> ModuleId {
        let Some((module, id)) = self.rows.get_mut(number as usize) else { return ModuleId::NONE };
        *id.get_or_insert_with(|| define(module))
    }

    /// What a user mapping maps.
    pub(super) fn user(&mut self, mapped: &Mapped<'_>, end: u64, about: &About) -> Region {
        if is_anonymous(mapped.path) {
            return Region { end, base: 0, code: Code::Anonymous };
        }
        let is_vdso = mapped.path == b"[vdso]";
        let (kind, base) = match is_vdso {
            true => (ModuleKind::Vdso, mapped.start),
            false => (ModuleKind::File, mapped.start.wrapping_sub(mapped.file_offset)),
        };
        let path = mapped.path.strip_suffix(b" (deleted)");
        let mut module = Module::new(kind, path.unwrap_or(mapped.path));
        module.deleted = path.is_some();
        if !is_vdso {
            (module.dev, module.inode) = (mapped.dev, mapped.inode);
            module.inode_generation = mapped.inode_generation;
        }
        set_build_id(&mut module, mapped, about);
        Region { end, base, code: Code::Module(self.number(module)) }
    }

    /// What a mapping of the kernel is of: its image, or a loaded module.
    pub(super) fn kernel(&mut self, mapped: &Mapped<'_>, end: u64, about: &About) -> Region {
        let mut module = match mapped.path.strip_prefix(b"[kernel.kallsyms]") {
            Some(symbol) => {
                let mut image = Module::new(ModuleKind::Kernel, "[kernel]");
                // The place of the symbol that follows the name stands where files have their offset.
                image.runtime_base = if symbol == b"_text" { mapped.file_offset } else { 0 };
                image.build_id = match mapped.build_id.is_empty() {
                    true => BuildId::new(&about.kernel_build_id),
                    false => mapped.build_id,
                };
                image
            }
            None => {
                let mut loaded =
                    Module::new(ModuleKind::KernelModule, kernel_module_name(mapped.path));
                loaded.runtime_base = mapped.start;
                loaded
            }
        };
        if module.kind == ModuleKind::KernelModule {
            set_build_id(&mut module, mapped, about);
        } else if !module.build_id.is_empty() {
            module.build_id_from = BuildIdFrom::Sysfs;
        }
        let base = module.runtime_base;
        Region { end, base, code: Code::Module(self.number(module)) }
    }

    /// Code that the kernel made while it ran.
    pub(super) fn bpf(&mut self, start: u64, end: u64, name: &[u8]) -> (Region, u32) {
        let mut module = Module::new(ModuleKind::Bpf, name);
        module.runtime_base = start;
        let number = self.number(module);
        (Region { end, base: start, code: Code::Module(number) }, number)
    }

    /// Stands for kernel addresses that nothing is known of.
    pub(super) fn unknown_kernel(&mut self, about: &About) -> u32 {
        let mut module = Module::new(ModuleKind::Kernel, "[kernel]");
        module.build_id = BuildId::new(&about.kernel_build_id);
        self.number(module)
    }

    fn number(&mut self, module: Module) -> u32 {
        let identity = Identity {
            kind: module.kind,
            path: module.path.0.clone(),
            build_id: module.build_id,
            dev: module.dev,
            inode: module.inode,
            inode_generation: module.inode_generation,
            runtime_base: module.runtime_base,
        };
        let rows = &mut self.rows;
        *self.numbers.entry(identity).or_insert_with(|| {
            rows.push((module, None));
            rows.len() as u32 - 1
        })
    }
}

/// The mapping's own build-id, or what the file says of its path.
fn set_build_id(module: &mut Module, mapped: &Mapped<'_>, about: &About) {
    module.build_id = match about.build_ids.get(mapped.path) {
        Some(stated) if mapped.build_id.is_empty() => BuildId::new(stated),
        _ => mapped.build_id,
    };
    if !module.build_id.is_empty() {
        module.build_id_from = BuildIdFrom::KernelRecord;
    }
}

/// Memory that holds code that nobody has in a file.
fn is_anonymous(path: &[u8]) -> bool {
    const ANONYMOUS: [&[u8]; 9] = [
        b"//anon",
        b"[heap",
        b"[stack",
        b"[anon",
        b"[uprobes",
        b"[vsyscall",
        b"/memfd:",
        b"/dev/zero",
        b"/SYSV",
    ];
    path.is_empty()
        || path.starts_with(b"anon_inode:")
        || ANONYMOUS.iter().any(|start| path.starts_with(start))
}

/// "/lib/modules/…/nf_tables.ko.xz", "[nf_tables]" → "nf_tables".
fn kernel_module_name(path: &[u8]) -> Text {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let name = name.strip_prefix(b"[").unwrap_or(name);
    let end = name.iter().position(|byte| matches!(byte, b'.' | b']')).unwrap_or(name.len());
    name[..end].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(path: &[u8]) -> Mapped<'_> {
        Mapped {
            pid: 1,
            is_kernel: false,
            is_executable: true,
            start: 0x5000,
            bytes: 0x1000,
            file_offset: 0x2000,
            dev: (1, 2),
            inode: 3,
            inode_generation: 0,
            build_id: BuildId::default(),
            path,
        }
    }

    fn module(modules: &Modules, region: Region) -> &Module {
        match region.code {
            Code::Module(number) => &modules.rows[number as usize].0,
            Code::Anonymous => panic!("a module"),
        }
    }

    #[test]
    fn files_the_vdso_and_memory_are_told_apart() {
        let (mut modules, mut about) = (Modules::default(), About::default());
        about.build_ids.insert(b"/bin/x".to_vec(), vec![7; 20]);
        let file = modules.user(&mapped(b"/bin/x"), 0x6000, &about);
        assert_eq!((file.base, file.end), (0x3000, 0x6000));
        assert_eq!(module(&modules, file).build_id.as_bytes(), [7; 20]);
        assert_eq!(modules.user(&mapped(b"/bin/x"), 0x6000, &about), file, "each once");
        let gone = modules.user(&mapped(b"/bin/y (deleted)"), 0x6000, &about);
        let gone = module(&modules, gone);
        assert_eq!((&*gone.path.lossy(), gone.deleted), ("/bin/y", true));
        let vdso = modules.user(&mapped(b"[vdso]"), 0x6000, &about);
        assert_eq!((module(&modules, vdso).kind, vdso.base), (ModuleKind::Vdso, 0x5000));
        for path in [&b"//anon"[..], b"", b"[heap]", b"/memfd:jit (deleted)", b"anon_inode:[x]"] {
            assert_eq!(modules.user(&mapped(path), 1, &about).code, Code::Anonymous);
        }
    }

    #[test]
    fn the_kernel_stands_where_its_first_symbol_does() {
        let (mut modules, mut about) = (Modules::default(), About::default());
        about.kernel_build_id = vec![9; 20];
        let text = modules.kernel(&mapped(b"[kernel.kallsyms]_text"), 0x6000, &about);
        let image = module(&modules, text);
        assert_eq!(
            (image.kind, image.runtime_base, text.base),
            (ModuleKind::Kernel, 0x2000, 0x2000)
        );
        assert_eq!(image.build_id.as_bytes(), [9; 20]);
        let other = modules.kernel(&mapped(b"[kernel.kallsyms]_stext"), 0x6000, &about);
        assert_eq!((module(&modules, other).runtime_base, other.base), (0, 0));
        for path in [&b"/lib/modules/6.1/kernel/net/nf_tables.ko.xz"[..], b"[nf_tables]"] {
            let loaded = modules.kernel(&mapped(path), 0x6000, &about);
            assert_eq!(&*module(&modules, loaded).path.lossy(), "nf_tables");
            assert_eq!(loaded.base, 0x5000);
        }
    }
}
