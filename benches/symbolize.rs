//! Names 60,000 random text addresses of a large file, beside blazesym in the same run.
//!
//! `cargo bench -p benches --bench symbolize -- VMLINUX [BLAZECLI]`. Functions, inlined calls and
//! lines; the page cache is warm, nothing else is. Every run is a process of its own, its wall time,
//! CPU time and peak memory those of the process from start to end. Medians of five; the two
//! programs take turns.
#![allow(unsafe_code)] // maps the measured file, as the programs that use the crate do

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use object::{Object as _, ObjectSection as _};
use profile::Svma;
use symbolize::{Files, Symbols};

const ROUNDS: usize = 5;
const ADDRESSES: u64 = 60_000;

/// What one process took.
#[derive(Clone, Copy)]
struct Cost {
    wall_ms: f64,
    cpu_ms: f64,
    peak_mib: f64,
}

fn map(path: &str) -> memmap2::Mmap {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // SAFETY: nobody writes to the file while it is measured.
    unsafe { memmap2::Mmap::map(&file) }.expect("a mapping")
}

/// Random, and the same in every run.
fn addresses(file: &[u8]) -> Vec<Svma> {
    let text = object::File::parse(file).expect("an ELF file");
    let text = text.section_by_name(".text").expect("a section .text");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Svma(text.address() + state % text.size())
    };
    (0..ADDRESSES).map(|_| next()).collect()
}

fn name_all(path: &str) {
    let file = map(path);
    let symbols =
        Symbols::new(Files { image: Some(&file), ..Files::default() }).expect("an ELF file");
    let found = symbols.lookup_all(&addresses(&file));
    let named = found.iter().filter(|found| found.names.is_ok()).count();
    let frames: usize = found.iter().flat_map(|found| &found.names).map(Vec::len).sum();
    println!("{named} addresses with a name, {frames} frames");
}

/// Runs a process to its end. Time of ended children has ticks of 10 ms.
fn measure(command: &mut Command) -> Cost {
    let cpu_before_ms = children_cpu_ms();
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a program");
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    let exit = loop {
        if let Some(exit) = child.try_wait().expect("child") {
            break exit;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak_kib = peak
            .and_then(|peak| peak.trim().split(' ').next()?.parse().ok())
            .map_or(peak_kib, |peak: u64| peak.max(peak_kib));
        std::thread::sleep(Duration::from_millis(2));
    };
    let wall_ms = start.elapsed().as_secs_f64() * 1e3;
    assert!(exit.success(), "{command:?} failed");
    Cost { wall_ms, cpu_ms: children_cpu_ms() - cpu_before_ms, peak_mib: peak_kib as f64 / 1024.0 }
}

/// User and system time of ended children: fields 16 and 17 of proc_pid_stat(5).
fn children_cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").expect("stat");
    let fields = text.rsplit(") ").next().expect("fields").split(' ');
    fields.skip(13).take(2).map(|ticks| ticks.parse::<f64>().expect("ticks") * 10.0).sum()
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(who: &str, costs: &[Cost]) {
    println!(
        "{who:<10} {:6.0} ms wall  {:6.0} ms CPU  {:5.0} MiB peak",
        median(costs, |c| c.wall_ms),
        median(costs, |c| c.cpu_ms),
        median(costs, |c| c.peak_mib)
    );
}

fn compare(path: &str, peer: Option<&str>) {
    let own = std::env::current_exe().expect("this program");
    let texts: Vec<String> =
        addresses(&map(path)).iter().map(|address| format!("{:#x}", address.0)).collect();
    println!("{}, {ADDRESSES} random addresses of .text, medians of {ROUNDS}", path);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(measure(Command::new(&own).args(["name-all", path])));
        if let Some(peer) = peer {
            let mut command = Command::new(peer);
            theirs.push(measure(command.args(["symbolize", "elf", "--path", path]).args(&texts)));
        }
    }
    print("symbolize", &ours);
    match peer {
        Some(peer) => {
            print(&Path::new(peer).file_name().expect("a program").to_string_lossy(), &theirs);
            let ratio = median(&ours, |c| c.wall_ms) / median(&theirs, |c| c.wall_ms);
            println!("ratio of wall times: {ratio:.2}");
        }
        None => println!("no peer measured: its program is the second argument"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["name-all", path] => name_all(path),
        [path] => compare(path, None),
        [path, peer] => compare(path, Some(peer)),
        _ => {
            // `cargo bench -p benches` runs every benchmark, this one needs a file.
            println!(
                "no file measured: cargo bench -p benches --bench symbolize -- FILE [BLAZECLI]"
            );
        }
    }
}
