//! The kernel's own address space: which part of it an address belongs to, and its names.

use std::fs::File;
use std::io::Read as _;

use profile::{BuildId, BuildIdFrom, Module, ModuleKind};

use crate::elf_facts::build_id_of_notes;

/// x86-64 maps the kernel image into this range, modules and BPF programs above it
/// (`Documentation/arch/x86/x86_64/mm.rst`).
const X86_64_IMAGE: std::ops::Range<u64> = 0xffff_ffff_8000_0000..0xffff_ffff_c000_0000;

/// A loadable module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LoadedModule {
    pub(crate) name: String,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// Which part of the kernel an address lies in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum KernelPart {
    /// The image itself.
    Image,
    /// A loadable module, by number.
    Module(usize),
    /// Neither: a BPF program, or other generated code.
    Generated,
}

/// The kernel's layout.
#[derive(Clone, Default, Debug)]
pub(crate) struct Kernel {
    /// Address of `_text`; 0 when /proc/kallsyms hides it.
    pub(crate) text: u64,
    image: std::ops::Range<u64>,
    /// By start.
    modules: Vec<LoadedModule>,
}

impl Kernel {
    /// Reads the running kernel's layout.
    pub(crate) fn running() -> Self {
        let (text, image) = image_range();
        Self { text, image, modules: loaded_modules() }
    }

    #[cfg(test)]
    pub(crate) fn new(text: u64, image: std::ops::Range<u64>, modules: Vec<LoadedModule>) -> Self {
        Self { text, image, modules }
    }

    /// Where an address belongs.
    pub(crate) fn part_of(&self, address: u64) -> KernelPart {
        // Modules first: where the image's size is a guess (no /proc/iomem), they lie within it.
        let after = self.modules.partition_point(|m| m.start <= address);
        match self.modules[..after].last() {
            Some(module) if address < module.end => KernelPart::Module(after - 1),
            _ if self.image.contains(&address) => KernelPart::Image,
            _ => KernelPart::Generated,
        }
    }

    /// Looks again for modules, which may have been loaded since. Numbers may change.
    pub(crate) fn reload_modules(&mut self) {
        self.modules = loaded_modules();
    }

    /// Address that node addresses of this part are relative to.
    pub(crate) fn base(&self, part: KernelPart) -> u64 {
        match part {
            KernelPart::Image => self.text,
            KernelPart::Module(number) => self.modules[number].start,
            KernelPart::Generated => 0,
        }
    }

    /// The archive's row for a part.
    pub(crate) fn module_row(&self, part: KernelPart) -> Module {
        let (kind, path, notes) = match part {
            KernelPart::Image => (ModuleKind::Kernel, "[kernel]", "/sys/kernel/notes".to_owned()),
            KernelPart::Module(number) => {
                let name = self.modules[number].name.as_str();
                let notes = format!("/sys/module/{name}/notes/.note.gnu.build-id");
                (ModuleKind::KernelModule, name, notes)
            }
            KernelPart::Generated => (ModuleKind::Bpf, "[bpf]", String::new()),
        };
        let mut row = Module::new(kind, path);
        row.runtime_base = self.base(part);
        row.build_id = std::fs::read(notes).map_or(BuildId::default(), |n| build_id_of_notes(&n));
        if !row.build_id.is_empty() {
            row.build_id_from = BuildIdFrom::Sysfs;
        }
        row
    }
}

/// `_text`, and the addresses that belong to the image. Both are among the first lines of kallsyms:
/// nothing like the whole file is read.
fn image_range() -> (u64, std::ops::Range<u64>) {
    let mut head = vec![0; 4096];
    let got = File::open("/proc/kallsyms").and_then(|mut f| f.read(&mut head)).unwrap_or(0);
    let text = find_text(&head[..got]).unwrap_or(0);
    if cfg!(target_arch = "x86_64") {
        return (text, X86_64_IMAGE);
    }
    let iomem = std::fs::read_to_string("/proc/iomem").unwrap_or_default();
    (text, text..text.saturating_add(image_bytes(&iomem).unwrap_or(64 << 20)))
}

fn find_text(kallsyms: &[u8]) -> Option<u64> {
    kallsyms.split(|b| *b == b'\n').find_map(|line| {
        let symbol = super::kallsyms::parse_line(line)?;
        (symbol.name == b"_text" && symbol.address != 0).then_some(symbol.address)
    })
}

/// Length of "Kernel code" in /proc/iomem.
fn image_bytes(iomem: &str) -> Option<u64> {
    let line = iomem.lines().find(|l| l.ends_with(": Kernel code"))?;
    let (start, end) = line.split_once(" : ")?.0.trim().split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    (hex(end)? + 1).checked_sub(hex(start)?).filter(|bytes| *bytes > 1)
}

fn loaded_modules() -> Vec<LoadedModule> {
    let text = std::fs::read_to_string("/proc/modules").unwrap_or_default();
    let mut modules: Vec<LoadedModule> = text.lines().filter_map(parse_module).collect();
    modules.sort_by_key(|m| m.start);
    modules
}

/// "name bytes users depends state 0xaddress"; the address is 0 for those who may not see it.
fn parse_module(line: &str) -> Option<LoadedModule> {
    let mut words = line.split(' ');
    let name = words.next()?.to_owned();
    let bytes: u64 = words.next()?.parse().ok()?;
    let start = u64::from_str_radix(words.nth(3)?.strip_prefix("0x")?, 16).ok()?;
    (start != 0).then(|| LoadedModule { name, start, end: start.saturating_add(bytes) })
}

/// A name the kernel gave to an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KernelSymbol {
    pub(crate) start: u64,
    pub(crate) bytes: u64,
    pub(crate) name: Vec<u8>,
}

/// Parses what the kernel prints for `%pS`: "name+0x12/0x34 [module]".
pub(crate) fn parse_named_address(address: u64, text: &[u8]) -> Option<KernelSymbol> {
    let text = text.split(|b| *b == b' ').next()?;
    let plus = text.iter().rposition(|b| *b == b'+')?;
    let (offset, bytes) = std::str::from_utf8(&text[plus + 1..]).ok()?.split_once('/')?;
    let hex = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let start = address.checked_sub(hex(offset)?)?;
    Some(KernelSymbol { start, bytes: hex(bytes)?, name: text[..plus].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_belong_to_the_image_a_module_or_neither() {
        let module = parse_module("ext4 8192 1 mbcache,jbd2, Live 0xffffffffc0100000").unwrap();
        let kernel = Kernel::new(0xffff_ffff_8100_0000, X86_64_IMAGE, vec![module]);
        assert_eq!(kernel.part_of(0xffff_ffff_8123_4567), KernelPart::Image);
        assert_eq!(kernel.part_of(0xffff_ffff_c010_0000), KernelPart::Module(0));
        assert_eq!(kernel.part_of(0xffff_ffff_c010_1fff), KernelPart::Module(0));
        assert_eq!(kernel.part_of(0xffff_ffff_c010_2000), KernelPart::Generated);
        assert_eq!(kernel.base(KernelPart::Module(0)), 0xffff_ffff_c010_0000);
        assert_eq!(parse_module("ext4 8192 1 - Live 0x0000000000000000"), None, "hidden");
    }

    #[test]
    fn a_module_within_the_range_of_the_image_is_a_module() {
        let module = parse_module("ext4 8192 1 - Live 0xffff800008001000").unwrap();
        let text = 0xffff_8000_0800_0000;
        let kernel = Kernel::new(text, text..text + (64 << 20), vec![module]);
        assert_eq!(kernel.part_of(text + 0x1000), KernelPart::Module(0));
        assert_eq!(kernel.part_of(text + 0x3000), KernelPart::Image);
    }

    #[test]
    fn the_kernels_own_words_become_a_symbol() {
        let symbol = parse_named_address(0x1012, b"do_syscall_64+0x12/0x100").unwrap();
        let expected =
            KernelSymbol { start: 0x1000, bytes: 0x100, name: b"do_syscall_64".to_vec() };
        assert_eq!(symbol, expected);
        let symbol = parse_named_address(0x1012, b"f+0x12/0x100 [ext4]").unwrap();
        assert_eq!(symbol.name, b"f");
        assert_eq!(parse_named_address(0x1012, b"0xffffffffc0102000"), None);
        assert_eq!(parse_named_address(0x1, b"f+0x12/0x100"), None);
    }

    #[test]
    fn the_anchor_and_the_size_of_the_image_are_found() {
        let kallsyms = b"ffffffff81000000 T _stext\nffffffff81000000 T _text\nffff";
        assert_eq!(find_text(kallsyms), Some(0xffff_ffff_8100_0000));
        assert_eq!(find_text(b"0000000000000000 T _text\n"), None, "hidden from us");
        let iomem = "00100000-bffdafff : System RAM\n  01000000-022090c7 : Kernel code\n";
        assert_eq!(image_bytes(iomem), Some(0x12090c8));
    }
}
