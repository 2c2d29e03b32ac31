//! Names of kernel code from a copy of `/proc/kallsyms`, for recordings that hold none: perf keeps one in
//! its cache, under the kernel's build-id, and the machine that recorded has it itself.
//!
//! A copy may have been made after another boot, when the kernel stood elsewhere. Its own `_text` says by
//! how much; where loaded modules stood, nothing does.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use profile::{HostSymbol, ModuleKind, SymbolFrom, Text};
use rayon::prelude::*;

use crate::addresses::{Addresses, Group, Used};
use crate::locate::Locator;

/// Real ones have about 15 MB.
const MAX_BYTES: u64 = 128 << 20;

/// Names for the kernel addresses of recordings that hold none, by recording.
#[must_use]
pub fn symbols(
    addresses: &Addresses,
    used: &[Used<'_>],
    locator: &Locator,
) -> Vec<Vec<HostSymbol>> {
    let of_recording = |(index, used): (usize, &Used<'_>)| {
        let kernel = used.tables.modules.iter().find(|m| m.kind == ModuleKind::Kernel)?;
        let has_names = |group: &Group| used.tables.symbols.iter().any(|s| s.module == group.id);
        let nameless: Vec<&Group> = addresses
            .groups
            .iter()
            .filter(|group| group.recording == index && is_of_kernel(group) && !has_names(group))
            .collect();
        if nameless.is_empty() || kernel.build_id.is_empty() {
            return None;
        }
        let paths = locator.kallsyms(kernel.build_id);
        paths.iter().find_map(|path| Kallsyms::open(path)).map(|names| {
            nameless.iter().flat_map(|group| names.symbols(group, kernel.runtime_base)).collect()
        })
    };
    used.par_iter().enumerate().map(|one| of_recording(one).unwrap_or_default()).collect()
}

fn is_of_kernel(group: &Group) -> bool {
    let kind = group.module.as_ref().map(|module| module.kind);
    matches!(kind, Some(ModuleKind::Kernel | ModuleKind::KernelModule))
}

/// One line that names code.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Line {
    address: u64,
    name: Text,
    /// Name of the loaded module; empty for the kernel's image.
    module: Text,
}

/// A copy, by address.
#[derive(Debug)]
struct Kallsyms {
    lines: Vec<Line>,
    text: u64,
}

impl Kallsyms {
    fn open(path: &Path) -> Option<Self> {
        Self::read(BufReader::new(File::open(path).ok()?.take(MAX_BYTES)))
    }

    /// `None` when it does not say where the kernel begins: then its addresses were hidden.
    fn read(mut input: impl BufRead) -> Option<Self> {
        let mut lines = Vec::new();
        let mut text = 0;
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line).ok()? > 0 {
            if let Some(found) = parse(&line) {
                if &*found.name.0 == b"_text" {
                    text = found.address;
                }
                lines.push(found);
            }
            line.clear();
        }
        lines.sort_by_key(|line| line.address);
        (text != 0).then_some(Self { lines, text })
    }

    /// The symbols that hold a group's addresses, each once.
    fn symbols(&self, group: &Group, kernel_base: u64) -> Vec<HostSymbol> {
        let Some(module) = &group.module else { return Vec::new() };
        let is_image = module.kind == ModuleKind::Kernel;
        let moved = kernel_base.wrapping_sub(self.text);
        if moved != 0 && (!is_image || module.runtime_base == 0) {
            return Vec::new();
        }
        let wanted: &[u8] = if is_image { b"" } else { &module.path.0 };
        let mut symbols: Vec<HostSymbol> = Vec::new();
        for address in &group.addresses {
            let at = module.runtime_base.wrapping_add(address.lookup()).wrapping_sub(moved);
            let Some((line, end)) = self.find(at).filter(|(line, _)| *line.module.0 == *wanted)
            else {
                continue;
            };
            let start = line.address.wrapping_add(moved).wrapping_sub(module.runtime_base);
            if symbols.last().is_some_and(|last| last.start == start) {
                continue;
            }
            symbols.push(HostSymbol {
                module: group.id,
                start,
                bytes: end - line.address,
                name: line.name.clone(),
                from: SymbolFrom::Kallsyms,
                seen_ns: 0,
            });
        }
        symbols
    }

    /// The first line of the last address at or below, and where the next one is. Behind the last nothing
    /// ends it.
    fn find(&self, address: u64) -> Option<(&Line, u64)> {
        let after = self.lines.partition_point(|line| line.address <= address);
        let end = self.lines.get(after)?.address;
        let start = self.lines.get(after.checked_sub(1)?)?.address;
        let first = self.lines.partition_point(|line| line.address < start);
        Some((self.lines.get(first)?, end))
    }
}

/// "ffffffff81000000 T _text", with "\t[module]" behind it for code of a loaded one.
fn parse(line: &[u8]) -> Option<Line> {
    let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let address = std::str::from_utf8(words.next()?).ok()?;
    let address = u64::from_str_radix(address, 16).ok().filter(|address| *address != 0)?;
    let kind = words.next()?;
    let name = words.next()?.into();
    let module = words.next().unwrap_or_default();
    let module = module.strip_prefix(b"[").and_then(|m| m.strip_suffix(b"]")).unwrap_or(module);
    matches!(kind, b"t" | b"T" | b"w" | b"W").then(|| Line { address, name, module: module.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::Address;
    use profile::{Module, ModuleId};

    const COPY: &[u8] = b"ffffffff81000000 T _text\n\
        ffffffff81000000 T startup_64\n\
        ffffffff81000100 D some_data\n\
        ffffffff81000200 t schedule\n\
        ffffffff81000300 T _etext\n\
        ffffffffc0000000 t nft_do_chain\t[nf_tables]\n\
        ffffffffc0000100 t nft_end\t[nf_tables]\n";

    fn group(kind: ModuleKind, path: &str, runtime_base: u64, values: &[u64]) -> Group {
        let mut module = Module::new(kind, path);
        module.runtime_base = runtime_base;
        let address = |value: &u64| Address { value: *value, is_return: false };
        Group {
            module: Some(module),
            assumed: false,
            recording: 0,
            id: ModuleId(7),
            is_executable: false,
            addresses: values.iter().map(address).collect(),
        }
    }

    fn names(group: &Group, kernel_base: u64) -> Vec<(u64, u64, String)> {
        let symbols = Kallsyms::read(COPY).unwrap().symbols(group, kernel_base);
        symbols.iter().map(|s| (s.start, s.bytes, s.name.lossy().into_owned())).collect()
    }

    #[test]
    fn the_kernel_is_named_wherever_it_stood_and_modules_where_they_still_stand() {
        for base in [0xffff_ffff_8100_0000, 0xffff_ffff_9a00_0000] {
            let kernel = group(ModuleKind::Kernel, "[kernel]", base, &[0x10, 0x150, 0x210, 0x300]);
            let wanted = [(0, 0x200, "_text".to_owned()), (0x200, 0x100, "schedule".to_owned())];
            assert_eq!(names(&kernel, base)[..2], wanted);
        }
        let base = 0xffff_ffff_8100_0000;
        let loaded =
            group(ModuleKind::KernelModule, "nf_tables", 0xffff_ffff_c000_0000, &[8, 0x180]);
        assert_eq!(names(&loaded, base), [(0, 0x100, "nft_do_chain".to_owned())]);
        assert_eq!(names(&loaded, base + 0x1000), []);
        let other = group(ModuleKind::KernelModule, "xfs", 0xffff_ffff_c000_0000, &[8]);
        assert_eq!(names(&other, base), []);
    }

    #[test]
    fn a_copy_with_hidden_addresses_is_none() {
        assert!(Kallsyms::read(&b"0000000000000000 T _text\n"[..]).is_none());
        assert!(Kallsyms::read(&b"\xff\xff not a line\n\n"[..]).is_none());
    }
}
