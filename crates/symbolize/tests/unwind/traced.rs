//! Runs the programs beside this file, masks what they recorded as production does, and unwinds it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use profile::{FileOffset, Kept, KeptValue, ModuleId, Segment, Slice, Svma};
use symbolize::unwind::{Frame, NoRule, Recorded, Rule, Rules, UnwindTables, WalkEnd, Walker};
use symbolize::{Files, Machine, Symbols, identify};

/// General registers in DWARF's order, then the instruction pointer.
const REGISTERS: usize = 17;
const RBP: usize = 6;
const RSP: usize = 7;
const RIP: usize = 16;

/// One instruction.
pub struct Sample {
    registers: [u64; REGISTERS],
    /// From the stack pointer upwards.
    pub words: Vec<u64>,
}

/// An executable mapping.
struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    module: ModuleId,
}

struct Module {
    segments: Vec<Segment>,
    symbols: Symbols<'static>,
}

/// A program that ran.
pub struct Traced {
    pub samples: Vec<Sample>,
    mappings: Vec<Mapping>,
    /// The program first.
    modules: Vec<Module>,
    rules: RefCell<Known>,
}

/// Rules by address.
#[derive(Default)]
struct Known {
    tables: Vec<(UnwindTables<'static>, Vec<Segment>)>,
    rules: HashMap<(ModuleId, u64), Result<Rule, NoRule>>,
}

impl Rules for Known {
    fn rule(&mut self, module: ModuleId, address: u64) -> Result<&Rule, NoRule> {
        let (tables, segments) =
            self.tables.get(module.index().wrapping_sub(1)).ok_or(NoRule::NoFile)?;
        let rule = self.rules.entry((module, address)).or_insert_with(|| {
            let at = Segment::to_svma(segments, FileOffset(address)).ok_or(NoRule::NotCovered)?;
            tables.rule(at)
        });
        rule.as_ref().map_err(|why| *why)
    }
}

fn scratch() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unwind");
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Builds one of the programs.
pub fn compile(source: &str, compiler: &str, flags: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/unwind").join(source);
    let thread = std::thread::current();
    let test = thread.name().expect("tests have names").replace("::", "-");
    let program = scratch().join(test);
    let status = Command::new(compiler)
        .args(flags)
        .arg("-w")
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .status()
        .unwrap_or_else(|e| panic!("{compiler} (Debian package {compiler}) cannot run: {e}"));
    assert!(status.success(), "{compiler} {flags:?} {}", source.display());
    program
}

impl Traced {
    /// Runs a program.
    pub fn run(program: &Path, what: &str) -> Self {
        let file = |ending: &str| program.with_extension(format!("{what}.{ending}"));
        let (samples, maps) = (file("samples"), file("maps"));
        let status = Command::new(program).arg(what).arg(&samples).arg(&maps).status().unwrap();
        assert!(status.success(), "{} {what}: {status}", program.display());
        let bytes = std::fs::read(&samples).unwrap();
        std::fs::remove_file(samples).unwrap();
        Self::read(&bytes, &std::fs::read_to_string(maps).unwrap())
    }

    /// Takes what was sampled, and what was mapped.
    pub fn read(samples: &[u8], maps: &str) -> Self {
        let mut traced = Self {
            samples: read_samples(samples),
            mappings: Vec::new(),
            modules: Vec::new(),
            rules: RefCell::default(),
        };
        traced.read_maps(maps);
        traced
    }

    fn read_maps(&mut self, maps: &str) {
        let mut ids: HashMap<&str, ModuleId> = HashMap::new();
        for line in maps.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [range, flags, offset, _, _, path] = fields[..] else { continue };
            if !flags.contains('x') || !path.starts_with('/') {
                continue;
            }
            let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let module = *ids.entry(path).or_insert_with(|| {
                self.open(Path::new(path));
                ModuleId(self.modules.len() as u32)
            });
            let (start, end) = (hex(start), hex(end));
            self.mappings.push(Mapping { start, end, offset: hex(offset), module });
        }
    }

    fn open(&mut self, path: &Path) {
        // Tests end soon; what they read may live as long.
        let bytes: &'static [u8] = Vec::leak(std::fs::read(path).unwrap());
        let files = Files { image: Some(bytes), ..Files::default() };
        let segments = identify(bytes).unwrap().segments;
        let tables = UnwindTables::open(files).unwrap();
        self.rules.get_mut().tables.push((tables, segments.clone()));
        self.modules.push(Module { segments, symbols: Symbols::new(files).unwrap() });
    }

    /// Whose code an address is, and where in it.
    pub fn code(&self, address: u64) -> Option<(ModuleId, u64)> {
        let at = self.mappings.iter().find(|m| m.start <= address && address < m.end)?;
        Some((at.module, address - at.start + at.offset))
    }

    /// What is kept of a sample whose first words are looked at.
    pub fn slice(&self, sample: &Sample, looked_at_words: usize) -> Slice {
        let sp = sample.registers[RSP];
        let looked_at = &sample.words[..sample.words.len().min(looked_at_words)];
        let keep = |value: u64| match self.code(value) {
            Some((module, address)) => Some(KeptValue::Code { module, address }),
            None => {
                let bytes = value.wrapping_sub(sp);
                (bytes < looked_at.len() as u64 * 8).then_some(KeptValue::Stack(bytes))
            }
        };
        let registers = sample.registers.iter().enumerate().filter(|(number, _)| *number != RIP);
        let registers = registers.map(|(number, value)| (number as u32, *value));
        let words = looked_at.iter().zip(0..).map(|(word, n)| (Kept::place_of_word(n), *word));
        let kept = registers
            .chain(words)
            .filter_map(|(place, value)| Some(Kept { place, value: keep(value)? }))
            .collect();
        let mut slice = Slice { looked_at_words: looked_at.len() as u32, kept, other: None };
        slice.drop_pointers_of_no_frame();
        slice
    }

    /// Every register and word of a sample: what is no code is a number, told by its distance.
    pub fn unmasked(&self, sample: &Sample) -> Slice {
        let keep = |value: u64| match self.code(value) {
            Some((module, address)) => KeptValue::Code { module, address },
            None => KeptValue::Stack(value.wrapping_sub(sample.registers[RSP])),
        };
        let registers = sample.registers.iter().zip(0..).filter(|(_, n)| *n != RIP as u32);
        let words = sample.words.iter().zip(0..).map(|(word, n)| (word, Kept::place_of_word(n)));
        let kept = registers.chain(words).map(|(value, place)| Kept { place, value: keep(*value) });
        Slice { looked_at_words: sample.words.len() as u32, kept: kept.collect(), other: None }
    }

    /// What a walk along frame pointers records.
    pub fn chain(&self, sample: &Sample) -> Vec<(ModuleId, u64)> {
        let mut chain = vec![self.code(sample.registers[RIP]).expect("the leaf is code")];
        let mut pointer = sample.registers[RBP];
        loop {
            let at = pointer.wrapping_sub(sample.registers[RSP]) / 8;
            let Some([saved, caller]) =
                usize::try_from(at).ok().and_then(|at| sample.words.get(at..at.checked_add(2)?))
            else {
                return chain;
            };
            let Some(caller) = self.code(*caller).filter(|_| *saved > pointer || *saved == 0)
            else {
                return chain;
            };
            chain.push(caller);
            pointer = *saved;
        }
    }

    /// The stack of a sample of whose stack the first words are looked at.
    pub fn unwind(&self, sample: &Sample, looked_at_words: usize) -> (Vec<Frame>, WalkEnd) {
        self.unwind_slice(sample, &self.slice(sample, looked_at_words))
    }

    /// The stack of a sample of which this was kept.
    pub fn unwind_slice(&self, sample: &Sample, slice: &Slice) -> (Vec<Frame>, WalkEnd) {
        let chain = self.chain(sample);
        let mut walker = Walker::new(Machine::X86_64).unwrap();
        let mut rules = self.rules.borrow_mut();
        let walk =
            walker.walk(Recorded { path: &chain, goroutine: &[] }, slice, &mut *rules).unwrap();
        (walk.frames.to_vec(), walk.end)
    }

    fn name(&self, frame: &Frame) -> Option<String> {
        let module = self.modules.get(frame.module.index() - 1)?;
        let offset = FileOffset(frame.address - u64::from(frame.is_return));
        let Svma(at) = Segment::to_svma(&module.segments, offset)?;
        let names = module.symbols.lookup(Svma(at)).ok()?;
        Some(names.last()?.name.to_string())
    }

    /// Names of the program's own functions on a stack, leaf first, down to `main`.
    pub fn own_names(&self, frames: &[Frame]) -> Vec<String> {
        let own = frames.iter().filter(|frame| frame.module == ModuleId(1));
        own.filter_map(|frame| self.name(frame))
            .filter(|name| !name.ends_with("@plt") && name != "_start" && name != "_init")
            .map(|name| name.replace(" [clone .cold]", ""))
            .collect()
    }

    /// The first frames in words, for messages.
    pub fn describe(&self, frames: &[Frame]) -> String {
        let shown = frames.iter().take(8).map(|frame| {
            let name = self.name(frame).unwrap_or_else(|| "?".into());
            format!("{name} ({}:{:#x})", frame.module.0, frame.address)
        });
        shown.collect::<Vec<_>>().join(" < ")
    }
}

fn read_samples(bytes: &[u8]) -> Vec<Sample> {
    let words: Vec<u64> =
        bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let mut rest = &words[..];
    let mut samples = Vec::new();
    while let Some((registers, after)) = rest.split_first_chunk::<REGISTERS>() {
        let (count, after) = after.split_first().unwrap();
        let (words, after) = after.split_at(*count as usize);
        samples.push(Sample { registers: *registers, words: words.to_vec() });
        rest = after;
    }
    samples
}
