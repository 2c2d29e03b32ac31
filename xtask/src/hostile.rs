//! `cargo xtask hostile`: inputs made to be bad. Each ends in a picture of what is whole or in a message that
//! names the file, and none takes more memory than inputs may.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{build, run, rusage};

/// What `analyze` may take of any input.
const MOST_MIB: u64 = 512;

/// Real inputs, which are cut and changed.
const WHOLE: &[&str] = &[
    "mixed/mixed.arc",
    "stripped/blend.arc",
    "perf/fp.data",
    "perf/pipe.data",
    "perf/dwarf.data",
    "perf/fp.script.txt",
    "pprof/cpu.pb.gz",
    "story/expected/spin.folded",
    "printed/dtrace.txt",
    "printed/ghc.prof",
    "printed/sample.txt",
    "printed/visual_studio.csv",
    "printed/vtune.csv",
];

/// Of each: how often it is cut, and how often bytes of it are changed.
const CUTS: usize = 6;
const CHANGES: usize = 24;

/// Gives all of them to the release build of `analyze`.
pub fn run() -> Result<()> {
    let analyze = build::programs()?.analyze;
    let dir = tempfile::tempdir()?;
    let mut hosts = Hosts { analyze: &analyze, dir: dir.path(), runs: 0, most: (0, String::new()) };
    let testdata = crate::root().join("testdata");
    for name in WHOLE {
        let whole = fs::read(testdata.join(name)).with_context(|| format!("no {name}"))?;
        let name = name.replace('/', "-");
        damaged(&mut hosts, &name, &whole)?;
    }
    let profile = run::output(Command::new("gzip").arg("-dc").arg(testdata.join(WHOLE[6])))?.stdout;
    damaged(&mut hosts, "cpu.pb", &profile)?;
    for (name, bytes) in forged(&testdata)? {
        hosts.refuses(&name, &bytes)?;
    }
    bombs(&mut hosts, &testdata)?;
    let (most_mib, which) = hosts.most;
    println!("{} bad inputs; the one that took most memory: {which}, {most_mib} MiB", hosts.runs);
    Ok(())
}

struct Hosts<'a> {
    analyze: &'a Path,
    dir: &'a Path,
    runs: u32,
    /// Memory in MiB, and the input that took it.
    most: (u64, String),
}

impl Hosts<'_> {
    /// An input of which nothing is to be had.
    fn refuses(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        fs::write(self.dir.join(name), bytes)?;
        if !self.survives(name)? {
            return Ok(());
        }
        bail!("{name}: bad, and nobody said so")
    }

    /// Whether a file is read; if not, that it was said which.
    fn survives(&mut self, name: &str) -> Result<bool> {
        let said_path = self.dir.join("said");
        let mut command = Command::new(self.analyze);
        command.args([name, "--no-cache", "-o", "-"]).current_dir(self.dir);
        command.stdout(Stdio::null()).stderr(File::create(&said_path)?);
        let (status, usage) = rusage::run(&mut command)?;
        let said = fs::read_to_string(said_path)?;
        self.runs += 1;
        let mib = usage.peak_rss_kib >> 10;
        if mib > self.most.0 {
            self.most = (mib, name.to_owned());
        }
        if mib > MOST_MIB {
            bail!("{name}: took {mib} MiB of memory");
        }
        let is_read = match status.code() {
            Some(0) => true,
            Some(2) if said.contains(name) => false,
            _ => bail!("{name}: {status}: {said}"),
        };
        fs::remove_file(self.dir.join(name))?;
        Ok(is_read)
    }
}

/// Cuts an input, and changes bytes of it: some to anything, some to the largest numbers.
fn damaged(hosts: &mut Hosts<'_>, name: &str, whole: &[u8]) -> Result<()> {
    for cut in 0..CUTS {
        let name = format!("cut-{cut}-{name}");
        fs::write(hosts.dir.join(&name), &whole[..whole.len() * cut / CUTS])?;
        hosts.survives(&name)?;
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    for change in 0..CHANGES {
        let mut bytes = whole.to_vec();
        for _ in 0..=change % 4 {
            let at = random(bytes.len());
            if change % 2 == 0 {
                bytes[at] ^= random(255) as u8 + 1;
            } else {
                let end = bytes.len().min(at + 1 + random(8));
                bytes[at..end].fill(0xff);
            }
        }
        let name = format!("changed-{change}-{name}");
        fs::write(hosts.dir.join(&name), &bytes)?;
        hosts.survives(&name)?;
    }
    Ok(())
}

/// A field of a protobuf message with its length in front, whatever that is said to be.
fn field(number: u8, length: u64, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &varint(length), content].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Files of other kinds, and files whose words contradict what is there.
fn forged(testdata: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    const TEN_GB: u64 = 10_000_000_000;
    let whole = |number, content: &[u8]| field(number, content.len() as u64, content);
    // Strings, and a sample type: "cpu" in "nanoseconds".
    let strings = [whole(6, b""), whole(6, b"cpu"), whole(6, b"nanoseconds")].concat();
    let head = [strings, whole(1, &[8, 1, 16, 2])].concat();
    let profile = |fields: &[Vec<u8>]| [head.clone(), fields.concat()].concat();
    let sample_of_1 = whole(2, &[0x0a, 1, 1, 0x12, 1, 5]);
    let location_of = |function: u64| {
        let line = whole(4, &[&[8][..], &varint(function)].concat());
        whole(4, &[&[8, 1][..], &line].concat())
    };
    let function_named = |name: u64| whole(5, &[&[8, 1, 16][..], &varint(name)].concat());
    let mut perf_data = fs::read(testdata.join("perf/fp.data"))?;
    // Offset and size of the section of attributes: where the file's header has them.
    perf_data[32..40].copy_from_slice(&TEN_GB.to_le_bytes());
    let mut text = "main;work 5\n".repeat(1000).into_bytes();
    text.truncate(500);
    text.resize(40 << 20, b';');
    Ok([
        ("empty", Vec::new()),
        ("program", fs::read(crate::root().join("crates/analyze/tests/fixtures/server"))?),
        ("zeros", vec![0; 1 << 20]),
        ("prose.txt", b"It was a dark and stormy night.\n".repeat(1000)),
        ("huge-table.pb", profile(&[field(2, TEN_GB, &[8, 1])])),
        ("huge-table-endless.pb", profile(&[field(2, u64::MAX, &[8, 1])])),
        ("no-location.pb", profile(std::slice::from_ref(&sample_of_1))),
        ("no-function.pb", profile(&[sample_of_1.clone(), location_of(7)])),
        ("no-name.pb", profile(&[sample_of_1.clone(), location_of(1), function_named(1 << 40)])),
        ("huge-section.data", perf_data),
        ("endless-line.folded", text),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into())
}

/// Little that inflates to much.
fn bombs(hosts: &mut Hosts<'_>, testdata: &Path) -> Result<()> {
    let zeros = |out: &mut dyn std::io::Write| -> std::io::Result<()> {
        let some = vec![0x0a; 1 << 20];
        (0..1024).try_for_each(|_| out.write_all(&some))
    };
    let gzip = || Command::new("gzip");
    let lines = |out: &mut dyn std::io::Write| -> std::io::Result<()> {
        (0..9_000_000).try_for_each(|number| writeln!(out, "main;f{number} 1"))
    };
    hosts.refuses("lines.folded.gz", &compressed(gzip().arg("-1"), lines)?)?;
    hosts.refuses("zeros.pb.gz", &compressed(gzip().arg("-1"), zeros)?)?;
    let bomb = compressed(Command::new("zstd").args(["-q", "-19"]), zeros)?;
    let record = |bomb: &[u8]| {
        let size = (bomb.len() + 8) as u16;
        [&81u32.to_le_bytes()[..], &[0, 0], &size.to_le_bytes(), bomb].concat()
    };
    let mut pipe = fs::read(testdata.join("perf/pipe.data"))?;
    let Some(first) = compressed_record(&pipe) else { bail!("pipe.data is not compressed") };
    let bomb = if bomb.len() > 65_000 { bail!("the bomb is too large") } else { record(&bomb) };
    pipe.splice(first..first, bomb);
    fs::write(hosts.dir.join("bomb.pipe.data"), &pipe)?;
    hosts.survives("bomb.pipe.data")?;
    Ok(())
}

/// Where the first compressed record of a pipe's recording stands.
fn compressed_record(pipe: &[u8]) -> Option<usize> {
    let mut at = 16;
    loop {
        let header = pipe.get(at..at + 8)?;
        if header[..4] == 81u32.to_le_bytes() {
            return Some(at);
        }
        at += usize::from(u16::from_le_bytes([header[6], header[7]])).max(8);
    }
}

/// What a program makes of what is written to it.
fn compressed(
    program: &mut Command,
    write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()> + Send,
) -> Result<Vec<u8>> {
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = BufWriter::new(child.stdin.take().context("a pipe")?);
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || write(&mut input).and_then(|()| input.flush()));
        let output = child.wait_with_output()?;
        writer.join().expect("writing does not panic")?;
        Ok(output.stdout)
    })
}
