//! Names from `/proc/kallsyms` for the addresses hit: one pass over the stream, nothing held but the
//! answers. The way for kernels before 5.13; newer ones name single addresses (`LoadedBpf::name`).

use std::fs::File;
use std::io::{self, Read};

use crate::kernel::KernelSymbol;
use crate::lines::for_each_line;

/// One line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) address: u64,
    pub(crate) is_code: bool,
    pub(crate) name: &'a [u8],
}

/// Parses "ffffffff81000000 T _text" or "… t name\t[module]".
pub(crate) fn parse_line(line: &[u8]) -> Option<Line<'_>> {
    let mut words = line.splitn(3, |b| *b == b' ');
    let address = u64::from_str_radix(std::str::from_utf8(words.next()?).ok()?, 16).ok()?;
    let kind = words.next()?;
    let name = words.next()?.split(|b| *b == b'\t').next()?;
    Some(Line { address, is_code: matches!(kind, b"t" | b"T" | b"w" | b"W"), name })
}

/// Looks up `wanted` (sorted, without duplicates). The stream need not be sorted: symbols of modules
/// are not.
pub(crate) fn look_up(stream: impl Read, wanted: &[u64]) -> io::Result<Vec<Option<KernelSymbol>>> {
    // A symbol may name every wanted address from its own on, and it ends the symbols of all below.
    // Both are noted only at the wanted address next to it and handed on along the list afterwards.
    let mut below = vec![(0, Vec::new()); wanted.len()];
    let mut above = vec![u64::MAX; wanted.len()];
    for_each_line(stream, 64 << 10, |line| {
        let Some(symbol) = parse_line(line).filter(|s| s.is_code && s.address != 0) else { return };
        let first = wanted.partition_point(|a| *a < symbol.address);
        if let Some((start, name)) = below.get_mut(first).filter(|b| b.0 < symbol.address) {
            *start = symbol.address;
            name.clear();
            name.extend_from_slice(symbol.name);
        }
        if first > 0 {
            above[first - 1] = above[first - 1].min(symbol.address);
        }
    })?;
    for i in 1..wanted.len() {
        if below[i].0 < below[i - 1].0 {
            below[i] = below[i - 1].clone();
        }
        let from_end = wanted.len() - 1 - i;
        above[from_end] = above[from_end].min(above[from_end + 1]);
    }
    let symbol = |((start, name), end): ((u64, Vec<u8>), u64)| {
        let known = !name.is_empty() && end != u64::MAX;
        known.then(|| KernelSymbol { start, bytes: end - start, name })
    };
    Ok(below.into_iter().zip(above).map(symbol).collect())
}

/// Looks up in the running kernel.
pub(crate) fn look_up_running(wanted: &[u64]) -> io::Result<Vec<Option<KernelSymbol>>> {
    look_up(File::open("/proc/kallsyms")?, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"0000000000001000 T first\n\
        0000000000001000 t alias\n\
        0000000000001100 t second\n\
        0000000000001180 d data\n\
        0000000000001200 T third\n\
        0000000000005000 t in_module\t[m]\n\
        0000000000004000 t before_it\t[m]\n\
        0000000000006000 t end\t[bpf]\n";

    fn names(wanted: &[u64]) -> Vec<Option<(String, u64, u64)>> {
        let found = look_up(TEXT, wanted).unwrap();
        found
            .into_iter()
            .map(|s| s.map(|s| (String::from_utf8(s.name).unwrap(), s.start, s.bytes)))
            .collect()
    }

    #[test]
    fn each_address_gets_the_nearest_symbol_below_up_to_the_next_above() {
        let symbol = |name: &str, start, bytes| Some((name.to_owned(), start, bytes));
        assert_eq!(
            names(&[0xfff, 0x1000, 0x10ff, 0x1190, 0x4fff, 0x5000]),
            [
                None,
                symbol("first", 0x1000, 0x100),
                symbol("first", 0x1000, 0x100),
                symbol("second", 0x1100, 0x100),
                symbol("before_it", 0x4000, 0x1000),
                symbol("in_module", 0x5000, 0x1000),
            ]
        );
        assert_eq!(names(&[0x7000]), [None], "nothing bounds it above");
    }

    #[test]
    fn every_single_address_gives_what_all_together_give() {
        let all: Vec<u64> =
            (0xf00..0x1400).step_by(16).chain((0x3f00..0x6000).step_by(64)).collect();
        let together = names(&all);
        for (address, expected) in all.iter().zip(together) {
            assert_eq!(names(&[*address]), [expected], "{address:#x}");
        }
    }

    #[test]
    fn hidden_addresses_name_nothing() {
        assert_eq!(
            look_up(&b"0000000000000000 T a\n0000000000000000 T b\n"[..], &[5]).unwrap(),
            [None]
        );
    }
}
