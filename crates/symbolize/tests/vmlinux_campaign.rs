//! 60,000 random text addresses of a kernel with debug information, against llvm-symbolizer 14.
//!
//! `FLAMEARC_VMLINUX=vmlinux cargo test --release -p symbolize --features campaign
//! --test vmlinux_campaign -- --nocapture`. Debian's `linux-image-*-cloud-amd64-dbg` brings a file
//! of that kind. Every difference is counted under its cause and printed.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use profile::{NoName, Svma};
use symbolize::{Files, Found, Symbols};

const ADDRESSES: u64 = 60_000;

/// Addresses that may differ without a known cause: one in a thousand.
const MOST_OTHER: usize = ADDRESSES as usize / 1000;

/// Differences printed of each cause.
const PRINTED: usize = 20;

/// What a table of symbols says by itself, read by the crate `object`.
struct Table {
    /// Names by the address they stand for.
    starts: BTreeMap<u64, Vec<String>>,
    /// (start, end) of symbols with a size, by start, and the furthest end so far.
    sized: Vec<(u64, u64)>,
    text: Vec<u8>,
    text_at: u64,
}

impl Table {
    fn read(file: &object::File<'_>) -> Self {
        let text = file.section_by_name(".text").expect(".text");
        let mut starts: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        let mut sized = Vec::new();
        for symbol in file.symbols().filter(|s| s.section_index() == Some(text.index())) {
            let name = symbol.name().unwrap_or_default();
            starts.entry(symbol.address()).or_default().push(name.to_owned());
            if symbol.size() > 0 {
                sized.push((symbol.address(), symbol.address() + symbol.size()));
            }
        }
        sized.sort_unstable();
        let mut furthest = 0;
        for (_, end) in &mut sized {
            furthest = furthest.max(*end);
            *end = furthest;
        }
        Self { starts, sized, text: text.data().unwrap().to_vec(), text_at: text.address() }
    }

    fn is_within_sized(&self, address: u64) -> bool {
        let at = self.sized.partition_point(|(start, _)| *start <= address);
        at.checked_sub(1).is_some_and(|at| address < self.sized[at].1)
    }

    /// Whether the byte is one of those that fill up, or an operand of a long `nop`.
    fn is_filling(&self, address: u64) -> bool {
        let at = (address - self.text_at) as usize;
        let run = &self.text[at.saturating_sub(16)..(at + 16).min(self.text.len())];
        matches!(self.text[at], 0xcc | 0x90 | 0x00)
            || run.windows(2).any(|pair| pair == [0x0f, 0x1f])
    }

    fn stand_for_the_same(&self, a: &str, b: &str) -> bool {
        self.starts.values().any(|names| {
            let has = |name: &str| names.iter().any(|other| other == name);
            has(a) && has(b)
        })
    }

    /// Whether a name is that of a place within a symbol with a size.
    fn is_label(&self, name: &str) -> bool {
        self.starts.iter().any(|(start, names)| {
            names.iter().any(|other| other == name)
                && (self.is_within_sized(*start)
                    && !self.sized.iter().any(|(sized, _)| sized == start))
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Cause {
    /// Between functions: the other side names what stands before.
    Padding,
    /// Another name of the same code.
    Alias,
    /// The other side takes a label within a function for a function.
    Label,
    /// The other side looks only at the nearest symbol before, which ends before; a larger one
    /// goes on.
    Enclosed,
    Other,
}

fn cause(table: &Table, address: u64, ours: &Found, theirs: &[String]) -> Option<Cause> {
    let names: Vec<&str> = match &ours.names {
        Ok(frames) => frames.iter().map(|frame| &*frame.raw_name).collect(),
        Err(NoName::OutOfRange) if theirs == ["??"] => return None,
        Err(NoName::OutOfRange) if !table.is_within_sized(address) && table.is_filling(address) => {
            return Some(Cause::Padding);
        }
        Err(_) => return Some(Cause::Other),
    };
    if theirs == ["??"] && names.len() == 1 && table.is_within_sized(address) {
        return Some(Cause::Enclosed);
    }
    if names == theirs {
        return None;
    }
    let (our_last, our_inlined) = names.split_last().expect("a frame");
    let (their_last, their_inlined) = theirs.split_last().expect("a frame");
    if our_inlined != their_inlined {
        return Some(Cause::Other);
    }
    Some(if table.stand_for_the_same(our_last, their_last) {
        Cause::Alias
    } else if table.is_label(their_last) {
        Cause::Label
    } else {
        Cause::Other
    })
}

/// Random, and the same in every run.
fn addresses(text_at: u64, bytes: u64) -> Vec<Svma> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Svma(text_at + state % bytes)
    };
    (0..ADDRESSES).map(|_| next()).collect()
}

/// Functions, innermost first.
fn llvm_symbolizer(path: &str, addresses: &[Svma]) -> Vec<Vec<String>> {
    let input: String = addresses.iter().map(|a| format!("{:#x}\n", a.0)).collect();
    let list = std::env::temp_dir().join(format!("symbolize-campaign-{}", std::process::id()));
    std::fs::write(&list, input).unwrap();
    let output = Command::new("llvm-symbolizer-14")
        .args(["--inlines", "--no-demangle", "--output-style=LLVM", "-e", path])
        .stdin(Stdio::from(std::fs::File::open(&list).unwrap()))
        .output()
        .unwrap_or_else(|error| panic!("llvm-symbolizer-14: {error}; `apt-get install llvm-14`"));
    std::fs::remove_file(&list).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    blocks.map(|b| b.trim().lines().step_by(2).map(str::to_owned).collect()).collect()
}

#[test]
fn a_kernels_functions_and_inlined_calls_are_those_llvm_symbolizer_finds() {
    let path = std::env::var("FLAMEARC_VMLINUX").expect(
        "FLAMEARC_VMLINUX must name a vmlinux with debug information (see this file's head)",
    );
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let file = object::File::parse(&*bytes).unwrap();
    let table = Table::read(&file);
    let addresses = addresses(table.text_at, table.text.len() as u64);
    let symbols = Symbols::new(Files { image: Some(&bytes), ..Files::default() }).unwrap();
    let ours = symbols.lookup_all(&addresses);
    let theirs = llvm_symbolizer(&path, &addresses);
    assert_eq!(theirs.len(), addresses.len());

    let mut counts: BTreeMap<Cause, usize> = BTreeMap::new();
    for ((address, ours), theirs) in addresses.iter().zip(&ours).zip(&theirs) {
        assert!(ours.extent.contains(&address.0));
        let Some(cause) = cause(&table, address.0, ours, theirs) else { continue };
        let count = counts.entry(cause).or_default();
        *count += 1;
        if *count <= PRINTED {
            let names = ours
                .names
                .as_ref()
                .map(|frames| frames.iter().map(|frame| &*frame.raw_name).collect::<Vec<_>>());
            println!("{cause:?} {:#x}: {names:?}, llvm-symbolizer {theirs:?}", address.0);
        }
    }
    println!("{} addresses: {counts:?}", addresses.len());
    let named = ours.iter().filter(|found| found.names.is_ok()).count();
    assert!(named > addresses.len() / 2, "only {named} have a name");
    let other = counts.get(&Cause::Other).copied().unwrap_or(0);
    assert!(other <= MOST_OTHER, "{other} differences without a known cause");
}
