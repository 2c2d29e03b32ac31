//! Kernel addresses named from a `vmlinux`: shifted back, checked, or refused with the reason.

use std::process::Command;

use object::{Object, ObjectSymbol};
use profile::{BuildIdFrom, Module, ModuleKind};

use crate::made::{Desk, Made};

/// A kernel in small: code at the address where x86-64 kernels are linked.
const KERNEL: &str = r#"
volatile int pages;
__attribute__((always_inline)) static inline int copy_page(int n) { return pages += n; }
__attribute__((noinline)) int vfs_read(int n) { return copy_page(n) * 2; }
__attribute__((noinline)) int ksys_read(int n) { return vfs_read(n) + 1; }
__attribute__((noinline)) int do_idle(int n) { return pages - n; }
void _start(void) { pages = ksys_read(1) + do_idle(2); }
"#;

/// Where the file states `_text`, and how far the kernel was moved at boot.
const TEXT: u64 = 0xffff_ffff_8100_0000;
const MOVED: u64 = 0x1a00_0000;

struct Kernel {
    dir: tempfile::TempDir,
    module: Module,
    /// Start (from `_text`), bytes, name.
    functions: Vec<(u64, u64, String)>,
}

impl Kernel {
    fn build() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("kernel.c"), KERNEL).unwrap();
        let flags = format!(
            "-O2 -g -nostdlib -static -mcmodel=kernel -fno-pie -no-pie -fcf-protection=none \
             kernel.c -o vmlinux-6.1.0-18-amd64 -Wl,--build-id -Wl,-Ttext={TEXT:#x} \
             -Wl,--defsym=_text={TEXT:#x}"
        );
        let mut gcc = Command::new("gcc");
        let status = gcc.args(flags.split_whitespace()).current_dir(dir.path()).status();
        assert!(status.expect("gcc is missing: install gcc").success());
        let bytes = std::fs::read(dir.path().join("vmlinux-6.1.0-18-amd64")).unwrap();
        let mut module = Module::new(ModuleKind::Kernel, "[kernel]");
        module.runtime_base = TEXT + MOVED;
        module.build_id = symbolize::identify(&bytes).unwrap().build_id;
        module.build_id_from = BuildIdFrom::Sysfs;
        let file = object::File::parse(&*bytes).unwrap();
        let ours = ["vfs_read", "ksys_read", "do_idle"];
        let functions = file
            .symbols()
            .filter(|s| ours.contains(&s.name().unwrap()))
            .map(|s| (s.address() - TEXT, s.size(), s.name().unwrap().to_owned()))
            .collect();
        Self { dir, module, functions }
    }

    fn start(&self, name: &str) -> u64 {
        self.functions.iter().find(|(.., known)| known == name).unwrap().0
    }

    /// A recording of this kernel, with the host's names moved by so much.
    fn recording(&self, module: &Module, names_moved: u64) -> Vec<u8> {
        let mut run = Made::new();
        let names: Vec<(u64, u64, &str)> = self
            .functions
            .iter()
            .map(|(start, bytes, name)| (start + names_moved, *bytes, name.as_str()))
            .collect();
        let kernel = run.kernel(module, &names);
        for (function, samples) in [("vfs_read", 60), ("do_idle", 40)] {
            let stack = run.in_kernel(kernel, self.start(function) + names_moved);
            run.ran_in("server", stack, samples);
        }
        run.finish()
    }

    /// Folded stacks and the summary, with the file where `--debug-dir` says.
    fn analyzed(&self, recording: Vec<u8>) -> (String, String) {
        let desk = Desk::with(&[("run.arc", recording)]);
        let arguments = format!(
            "run.arc --sysroot . --debug-dir {} -o x.folded -o x.txt",
            self.dir.path().display()
        );
        assert_eq!(desk.analyze(&arguments).status, 0);
        (desk.read("x.folded"), desk.read("x.txt"))
    }
}

#[test]
fn a_vmlinux_gives_inlined_calls_to_addresses_that_were_moved_at_boot() {
    let kernel = Kernel::build();
    let (folded, summary) = kernel.analyzed(kernel.recording(&kernel.module, 0));
    assert!(folded.contains(";main;vfs_read_[k];copy_page_[k] 600000000\n"), "{folded}");
    assert!(folded.contains(";main;do_idle_[k] 400000000\n"), "{folded}");
    assert!(!summary.contains("vmlinux"), "{summary}");
}

#[test]
fn an_address_outside_every_function_says_so_where_the_host_had_no_names_at_all() {
    let kernel = Kernel::build();
    let mut run = Made::new();
    let module = run.kernel(&kernel.module, &[]);
    let stack = run.in_kernel(module, kernel.start("vfs_read"));
    run.ran_in("server", stack, 10);
    let stack = run.in_kernel(module, 0x40_0000);
    run.ran_in("server", stack, 20);
    let (folded, _) = kernel.analyzed(run.finish());
    assert!(folded.contains(";main;vfs_read_[k];copy_page_[k] 100000000\n"), "{folded}");
    assert!(folded.contains(";main;[kernel: outside every function] 200000000\n"), "{folded}");
}

#[test]
fn without_it_the_hosts_names_stay() {
    let kernel = Kernel::build();
    let recording = kernel.recording(&kernel.module, 0);
    std::fs::remove_file(kernel.dir.path().join("vmlinux-6.1.0-18-amd64")).unwrap();
    let (folded, _) = kernel.analyzed(recording);
    assert!(folded.contains(";main;vfs_read_[k] 600000000\n"), "{folded}");
}

/// The host's names, and a note about the file that was found.
fn refused(kernel: &Kernel, recording: Vec<u8>, why: &str) {
    let (folded, summary) = kernel.analyzed(recording);
    assert!(!folded.contains("copy_page"), "{folded}");
    assert!(folded.contains(";main;vfs_read_[k] 600000000\n"), "{folded}");
    let path = kernel.dir.path().join("vmlinux-6.1.0-18-amd64");
    let note = format!("Note: {} does not name the kernel's functions: {why}.\n", path.display());
    assert!(summary.contains(&note), "{summary}");
}

#[test]
fn a_vmlinux_that_has_the_recorded_names_elsewhere_is_refused() {
    let kernel = Kernel::build();
    let why = "3 of 3 functions that the host named stand elsewhere in it";
    refused(&kernel, kernel.recording(&kernel.module, 0x40), why);
}

#[test]
fn a_vmlinux_of_another_build_is_refused() {
    let kernel = Kernel::build();
    let mut other = kernel.module.clone();
    other.build_id = profile::BuildId::new(&[9; 20]);
    let why = "it is another build than the recorded kernel";
    refused(&kernel, kernel.recording(&other, 0), why);
}

#[test]
fn without_an_anchor_no_vmlinux_is_believed() {
    let kernel = Kernel::build();
    let mut hidden = kernel.module.clone();
    hidden.runtime_base = 0;
    let why = "the recording does not say where the kernel was in memory (its names were hidden)";
    refused(&kernel, kernel.recording(&hidden, 0), why);
}
