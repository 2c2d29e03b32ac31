//! Masking loses no frame: stacks of real programs, copied by `perf record`, are unwound with every word
//! of the copy, and with what an import keeps of it.
//!
//! ```text
//! cargo test --release -p analyze --features campaign masking_campaign -- --nocapture
//! ```
//! Needs root, perf, and what each of `testdata/load/*.sh` names in its first lines. Takes some minutes, and 1 GB
//! of the temporary directory.
//!
//! The whole form exists here only. Each recording is imported twice: for its tables, and again, sample by sample,
//! to read the copies; both number modules alike.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Sink, sink};
use std::path::Path;
use std::process::Command;

use profile::{Kept, KeptValue, ModuleId, Slice, Tables};
use symbolize::Machine;
use symbolize::unwind::{Frame, Recorded, WalkEnd, Walker};

use super::attribute::{Attribute, field};
use super::bytes::Words;
use super::file::{Data, open_file};
use super::import::Import;
use super::order::{MAX_HELD_BYTES, Order};
use super::records::{Record, Records, kind};
use super::rows::{return_place, user_place};
use super::sample::Sample;
use super::slice::{Registers, index};
use crate::unwind::modules::{KnownRules, ModuleFiles, ModuleTables};
use crate::{Locator, Recording, Search};

/// What is recorded, of `testdata/load`.
const LOADS: [&str; 8] =
    ["python", "compiler", "rustc", "postgresql", "nginx", "cpp", "cgo", "handlers"];
const SECONDS: &str = "20";
const HZ: &str = "1999";
const SAMPLES: u64 = 100_000;

/// How often both forms agree.
#[derive(Default)]
struct Tally {
    samples: u64,
    same: u64,
    /// With all words, the walk arrived at a root.
    complete: u64,
    words: u64,
    kept: u64,
    differences: BTreeMap<String, u64>,
    /// Where walks of whole forms ended before a root.
    incomplete: BTreeMap<String, u64>,
}

#[test]
fn masked_stacks_unwind_like_whole_ones() {
    let mut all = Tally::default();
    for load in LOADS {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("perf.data");
        record(load, &data);
        let tally = compare(&data);
        tally.print(load);
        all.add(&tally);
    }
    all.print("all");
    assert!(all.samples >= SAMPLES, "{} samples are too few", all.samples);
    assert!(all.same * 1000 >= all.samples * 999, "{} of {} alike", all.same, all.samples);
}

fn record(load: &str, data: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/load");
    let script = script.join(load).with_extension("sh");
    let mut perf = Command::new("perf");
    perf.args(["record", "-q", "-e", "cpu-clock", "-F", HZ, "-m", "64M"]);
    perf.args(["--call-graph", "dwarf,16384", "-o"]).arg(data).arg("--").arg(&script);
    let output = perf.arg(SECONDS).output().expect("perf (Debian package linux-perf) runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(data.exists() && !said.contains("not found"), "{}: {said}", script.display());
}

fn compare(data: &Path) -> Tally {
    let recording = Recording::open(data).unwrap();
    let locator = Locator::new(Search::default());
    let files = ModuleFiles::new(&recording, &locator);
    let tables = ModuleTables::new(&files);
    let mut unwinder = Unwinder {
        walker: Walker::new(Machine::X86_64).unwrap(),
        rules: KnownRules::new(&tables),
        tables: recording.tables(),
    };
    let mut tally = Tally::default();
    let mut input = BufReader::new(File::open(data).unwrap());
    let (about, place) = open_file(&mut input).unwrap();
    let Data::Section { bytes, .. } = place else { panic!("perf has finished its file") };
    let attribute = about.attributes[0].clone();
    let mut import = Import::new(about, &[], sink()).unwrap();
    let (mut records, mut order) = (Records::new(input, Some(bytes)), Order::new(MAX_HELD_BYTES));
    let mut visit = |time_ns, record: Record<'_>| {
        import.visit(time_ns, record).unwrap();
        if record.kind == kind::SAMPLE {
            tally.take(&attribute, record.body, &mut import, &mut unwinder);
        }
    };
    while let Some(record) = records.next().unwrap() {
        match record.kind {
            kind::FINISHED_ROUND => order.end_round(),
            kind::FIRST_OF_PERF.. => {}
            kind => {
                let is_sample = kind == kind::SAMPLE;
                let time_ns = attribute.fixed_field(field::TIME, is_sample, record.body);
                order.hold(time_ns.unwrap_or(0), record);
            }
        }
        while order.next(&mut visit) {}
    }
    order.end();
    while order.next(&mut visit) {}
    tally
}

impl Tally {
    /// Compares one sample, if it has a copy of a stack below a leaf that is code.
    fn take(
        &mut self,
        attribute: &Attribute,
        body: &[u8],
        import: &mut Import<Sink>,
        unwinder: &mut Unwinder<'_, '_>,
    ) {
        let sample = Sample::read(attribute, body).expect("perf writes whole samples");
        let Some(registers) = sample.registers.filter(|_| sample.stack.len() > 0) else { return };
        let machine = Registers::of(b"x86_64").unwrap();
        let mask = attribute.user_registers;
        let (rows, writer) = (&mut import.rows, &mut import.writer);
        let (image, modules) = (rows.processes.image(sample.pid), &mut rows.modules);
        let ip = machine.instruction_pointer(mask, registers).unwrap();
        let Some(leaf) = user_place(image, modules, writer, ip) else { return };
        let mut code = |word| return_place(image, modules, writer, word);
        let masked = machine.mask(mask, registers, sample.stack, &mut code).unwrap();
        let whole = whole(machine, mask, registers, sample.stack, code);
        let (found, end) = unwinder.walk(leaf, &masked);
        let (truth, true_end) = unwinder.walk(leaf, &whole);
        self.samples += 1;
        self.words += whole.kept.len() as u64;
        self.kept += masked.kept.len() as u64;
        if true_end == WalkEnd::Root {
            self.complete += 1;
        } else {
            let last = unwinder.describe(*truth.last().unwrap());
            *self.incomplete.entry(format!("{true_end:?} at {last}")).or_default() += 1;
        }
        if found == truth && (end == WalkEnd::Root) == (true_end == WalkEnd::Root) {
            self.same += 1;
            return;
        }
        let alike = found.iter().zip(&truth).take_while(|(a, b)| a == b).count();
        let parting = unwinder.describe(truth[alike.saturating_sub(1)]);
        let lengths = (found.len() - alike, truth.len() - alike);
        let what = format!("{lengths:?} frames beyond {parting}: {end:?}, whole {true_end:?}");
        *self.differences.entry(what).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.same += other.same;
        self.complete += other.complete;
        self.words += other.words;
        self.kept += other.kept;
    }

    fn print(&self, name: &str) {
        let percent = |part: u64| part as f64 * 100.0 / self.samples.max(1) as f64;
        println!(
            "{name:12} {:6} samples, {:6.2} % complete, {:7.3} % alike, {} of {} words kept",
            self.samples,
            percent(self.complete),
            percent(self.same),
            self.kept / self.samples.max(1),
            self.words / self.samples.max(1),
        );
        for (what, reasons) in [("differs", &self.differences), ("incomplete", &self.incomplete)] {
            let mut reasons: Vec<_> = reasons.iter().collect();
            reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            for (why, count) in reasons.iter().take(6) {
                println!("    {what} {count:5} {why}");
            }
        }
    }
}

/// Every register and word: what is no code is a number, told by its distance from the stack pointer.
fn whole(
    machine: Registers,
    mask: u64,
    registers: Words<'_>,
    stack: Words<'_>,
    mut code: impl FnMut(u64) -> Option<(ModuleId, u64)>,
) -> Slice {
    let start = registers.get(index(mask, machine.stack_pointer)).unwrap();
    let mut value = |word: u64| match code(word) {
        Some((module, address)) => KeptValue::Code { module, address },
        None => KeptValue::Stack(word.wrapping_sub(start)),
    };
    let mut kept = Vec::new();
    for (index, place) in machine.in_mask(mask) {
        kept.push(Kept { place, value: value(registers.get(index).unwrap()) });
    }
    kept.sort_unstable_by_key(|kept: &Kept| kept.place);
    for (place, word) in (Kept::place_of_word(0)..).zip(stack.iter()) {
        kept.push(Kept { place, value: value(word) });
    }
    Slice { looked_at_words: stack.len() as u32, kept, other: None }
}

/// Walks by the tables of a recording's modules.
struct Unwinder<'t, 'f> {
    walker: Walker,
    rules: KnownRules<'t, 'f>,
    tables: &'t Tables,
}

impl Unwinder<'_, '_> {
    fn walk(&mut self, leaf: (ModuleId, u64), slice: &Slice) -> (Vec<Frame>, WalkEnd) {
        let recorded = Recorded { path: &[leaf], goroutine: &[] };
        let walk = self.walker.walk(recorded, slice, &mut self.rules).unwrap();
        (walk.frames.to_vec(), walk.end)
    }

    fn describe(&self, frame: Frame) -> String {
        let path = self.tables.module(frame.module).map(|module| module.path.lossy().into_owned());
        format!("{}+{:#x}", path.unwrap_or_default(), frame.address)
    }
}
