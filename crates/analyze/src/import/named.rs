//! Inputs whose stacks have names already: pprof, and what other tools print.
//!
//! They join at the call tree. What they say of themselves differs, and is often little: everything that
//! may be unknown is an `Option`, and nothing is made up in its place.

use std::path::{Path, PathBuf};

use profile::{CallTree, Frame, FrameId, FrameKind, FrameTable, LabelSet};
use rustc_hash::FxHashMap;

use crate::Error;
use crate::measure::Measure;

/// Memory that one input may take until its picture is drawn.
const MOST_MEMORY_BYTES: usize = 384 << 20;

/// What a frame takes beside its text, from here to totals and pictures: measured with a million.
const FRAME_BYTES: usize = 1100;

/// The same of a call path.
const PATH_BYTES: usize = 110;

/// The same of a stack: a call path and what samples were labelled with.
const STACK_BYTES: usize = 120;

/// Frames of all stacks together at most, each stack written out.
const MOST_STEPS: u64 = 1 << 28;

/// Frames of one stack at most; what is deeper is one marker.
pub const DEEPEST: u32 = 16 << 10;

/// What kind of input it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NamedKind {
    /// pprof's `profile.proto`.
    Pprof,
    /// One line for each stack: `root;caller;leaf 12`.
    Folded,
    /// What `perf script` prints.
    PerfScript,
    /// What DTrace prints of an aggregation over stacks.
    Dtrace,
    /// The report of macOS `sample`.
    Sample,
    /// Intel VTune's top-down report.
    Vtune,
    /// The call tree of Visual Studio's profiler.
    VisualStudio,
    /// The `.prof` file of a program that GHC compiled.
    GhcProf,
}

impl NamedKind {
    /// For people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Pprof => "pprof",
            Self::Folded => "folded stacks",
            Self::PerfScript => "text of perf script",
            Self::Dtrace => "stacks of DTrace",
            Self::Sample => "report of sample",
            Self::Vtune => "top-down report of VTune",
            Self::VisualStudio => "call tree of Visual Studio",
            Self::GhcProf => "cost centres of GHC",
        }
    }
}

/// An input that came with names.
#[derive(Debug)]
pub struct Named {
    /// The file.
    pub path: PathBuf,
    /// What kind of input.
    pub kind: NamedKind,
    /// What its weights measure, in the input's order; at least one.
    pub measures: Vec<Measure>,
    /// Which of them is shown unless another is asked for.
    pub preferred: usize,
    /// Unix time at which it begins.
    pub started_realtime_ns: Option<u64>,
    /// For how long was measured.
    pub duration_ns: Option<u64>,
    /// Weight of one sample, by measure.
    pub period: Vec<Option<u64>>,
    /// Whether the input says how many samples there are.
    pub counts_samples: bool,
    /// Facts for people, one a line: comments, a tool's words on itself.
    pub notes: Vec<String>,
    /// What could not be read, a sentence each.
    pub statements: Vec<String>,
    stacks: NamedStacks,
}

/// Everything of a [`Named`] but its stacks.
pub struct Facts {
    /// What kind of input.
    pub kind: NamedKind,
    /// As in [`Named`].
    pub measures: Vec<Measure>,
    /// As in [`Named`].
    pub preferred: usize,
}

/// One stack.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NamedStack<'a> {
    /// Where it ends; see [`Named::path_of`].
    pub node: u32,
    /// What the samples were labelled with; `None`: with nothing.
    pub labels: Option<&'a LabelSet>,
    /// How many samples, where the input says so; else 0.
    pub samples: u64,
    /// Weights, by measure.
    pub weights: &'a [u64],
}

/// Call paths and their weights, while they are read.
#[derive(Debug)]
pub struct NamedStacks {
    paths: CallTree,
    depths: Vec<u32>,
    truncated: FrameId,
    labels: Vec<LabelSet>,
    label_numbers: FxHashMap<LabelSet, u32>,
    rows: Vec<Row>,
    row_of: FxHashMap<(u32, u32), u32>,
    weights: Vec<u64>,
    measures: usize,
    memory_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    node: u32,
    labels: u32,
    samples: u64,
}

/// Why an input cannot be held: `None` of it is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TooMuch {
    /// More functions, call paths, stacks or text than memory is set aside for.
    #[error("its functions, stacks and labels take more than {} MiB of memory", MOST_MEMORY_BYTES >> 20)]
    Memory,
    /// Its stacks, each written out, are longer than anything a recorder makes.
    #[error("its stacks have more than {MOST_STEPS} frames together")]
    Steps,
    /// Weights that exceed 64 bits.
    #[error("its weights add up to more than 64 bits hold")]
    Weight,
}

impl NamedStacks {
    /// No stacks yet; each will have so many weights.
    #[must_use]
    pub fn new(measures: usize) -> Self {
        let mut paths = CallTree::new();
        let deep = Frame::new("[truncated: too deep]", "", FrameKind::Marker);
        let truncated = paths.frames.intern(deep);
        Self {
            paths,
            depths: vec![0],
            truncated,
            labels: Vec::new(),
            label_numbers: FxHashMap::default(),
            rows: Vec::new(),
            row_of: FxHashMap::default(),
            weights: Vec::new(),
            measures,
            memory_bytes: 0,
        }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), TooMuch> {
        self.memory_bytes = self.memory_bytes.saturating_add(bytes);
        if self.memory_bytes > MOST_MEMORY_BYTES { Err(TooMuch::Memory) } else { Ok(()) }
    }

    /// The number of a frame that call paths are made of. Whoever asks again keeps it.
    ///
    /// # Errors
    /// [`TooMuch::Memory`].
    pub fn frame(&mut self, frame: Frame) -> Result<FrameId, TooMuch> {
        let file = frame.file.as_ref().map_or(0, |file| file.len());
        let text = frame.name.len() + frame.raw_name.len() + frame.module.len() + file;
        self.charge(FRAME_BYTES + text)?;
        Ok(self.paths.frames.intern(frame))
    }

    /// The call path that leads from `parent` (0: none) to `frame`. Too deep, it ends in a marker.
    ///
    /// # Errors
    /// [`TooMuch::Memory`].
    pub fn child(&mut self, parent: u32, frame: FrameId) -> Result<u32, TooMuch> {
        let depth = self.depths[parent as usize];
        if depth > DEEPEST {
            return Ok(parent);
        }
        let frame = if depth == DEEPEST { self.truncated } else { frame };
        let node = self.paths.child(parent, frame);
        if node as usize == self.depths.len() {
            self.charge(PATH_BYTES)?;
            self.depths.push(depth + 1);
        }
        Ok(node)
    }

    /// The number of a set of labels; 0 of an empty one.
    ///
    /// # Errors
    /// [`TooMuch::Memory`].
    pub fn labels(&mut self, labels: LabelSet) -> Result<u32, TooMuch> {
        if labels.keys.is_empty() {
            return Ok(0);
        }
        if let Some(known) = self.label_numbers.get(&labels) {
            return Ok(*known);
        }
        // What a text takes beside its bytes counts, too; it is held twice.
        let texts = labels.keys.iter().chain(&labels.values);
        self.charge(texts.map(|text| 2 * (text.0.len() + 32)).sum())?;
        self.labels.push(labels.clone());
        let number = self.labels.len() as u32;
        self.label_numbers.insert(labels, number);
        Ok(number)
    }

    /// Adds the weights of a stack that ends at `node`.
    ///
    /// # Errors
    /// [`TooMuch::Weight`], [`TooMuch::Memory`].
    pub fn add(
        &mut self,
        node: u32,
        labels: u32,
        samples: u64,
        weights: impl IntoIterator<Item = u64>,
    ) -> Result<(), TooMuch> {
        let next = self.rows.len() as u32;
        let row = *self.row_of.entry((node, labels)).or_insert(next);
        if row == next {
            self.charge(STACK_BYTES + 8 * self.measures)?;
            self.rows.push(Row { node, labels, samples: 0 });
            self.weights.resize(self.weights.len() + self.measures, 0);
        }
        let count = &mut self.rows[row as usize].samples;
        *count = count.checked_add(samples).ok_or(TooMuch::Weight)?;
        let slots = &mut self.weights[row as usize * self.measures..][..self.measures];
        for (slot, weight) in slots.iter_mut().zip(weights) {
            *slot = slot.checked_add(weight).ok_or(TooMuch::Weight)?;
        }
        Ok(())
    }

    /// Ends reading.
    ///
    /// # Errors
    /// When stacks or sums are larger than anything a recorder makes.
    pub fn finish(mut self, path: &Path, facts: Facts) -> Result<Named, TooMuch> {
        let depth = |row: &Row| u64::from(self.depths[row.node as usize]);
        if self.rows.iter().map(depth).sum::<u64>() > MOST_STEPS {
            return Err(TooMuch::Steps);
        }
        for measure in 0..self.measures {
            let all = self.weights.iter().skip(measure).step_by(self.measures);
            all.copied().try_fold(0u64, u64::checked_add).ok_or(TooMuch::Weight)?;
        }
        let samples = self.rows.iter().map(|row| row.samples);
        samples.into_iter().try_fold(0u64, u64::checked_add).ok_or(TooMuch::Weight)?;
        self.row_of = FxHashMap::default();
        self.label_numbers = FxHashMap::default();
        Ok(Named {
            path: path.into(),
            kind: facts.kind,
            period: vec![None; facts.measures.len()],
            measures: facts.measures,
            preferred: facts.preferred,
            started_realtime_ns: None,
            duration_ns: None,
            counts_samples: false,
            notes: Vec::new(),
            statements: Vec::new(),
            stacks: self,
        })
    }
}

impl Named {
    /// The frames of all stacks.
    #[must_use]
    pub fn frames(&self) -> &FrameTable {
        &self.stacks.paths.frames
    }

    /// All stacks, each (path, labels) once.
    pub fn stacks(&self) -> impl ExactSizeIterator<Item = NamedStack<'_>> + '_ {
        let all = &self.stacks;
        all.rows.iter().enumerate().map(|(index, row)| NamedStack {
            node: row.node,
            labels: (row.labels as usize).checked_sub(1).map(|label| &all.labels[label]),
            samples: row.samples,
            weights: &all.weights[index * all.measures..][..all.measures],
        })
    }

    /// The frames of a stack, root first.
    #[must_use]
    pub fn path_of(&self, stack: &NamedStack<'_>) -> Vec<FrameId> {
        self.stacks.paths.path(stack.node)
    }

    /// The measure that is wanted, or else the preferred one.
    ///
    /// # Errors
    /// When it has none of that name.
    pub fn measure(&self, wanted: Option<&str>) -> Result<usize, Error> {
        let Some(wanted) = wanted else { return Ok(self.preferred) };
        let is_wanted = |measure: &Measure| {
            measure.name == wanted || measure.name.split(':').next() == Some(wanted)
        };
        self.measures.iter().position(is_wanted).ok_or_else(|| {
            let names: Vec<String> = self.measures.iter().map(ToString::to_string).collect();
            Error::NoMeasure {
                path: self.path.clone(),
                wanted: wanted.into(),
                measures: names.join(", "),
            }
        })
    }

    /// Weight of one sample: as stated; or the largest number of which all weights are multiples.
    #[must_use]
    pub fn sample_weight(&self, measure: usize) -> u64 {
        self.period[measure].unwrap_or_else(|| {
            self.stacks()
                .fold(0, |divisor, stack| greatest_divisor(divisor, stack.weights[measure]))
        })
    }
}

fn greatest_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::spelling::frame_of;

    fn facts() -> Facts {
        Facts { kind: NamedKind::Folded, measures: vec![Measure::cpu_time()], preferred: 0 }
    }

    #[test]
    fn equal_stacks_are_one_and_labels_tell_them_apart() {
        let mut stacks = NamedStacks::new(1);
        let main = stacks.frame(frame_of("main")).unwrap();
        let node = stacks.child(0, main).unwrap();
        let set = |value: &str| LabelSet { keys: vec!["pid".into()], values: vec![value.into()] };
        let (one, two) = (stacks.labels(set("1")).unwrap(), stacks.labels(set("2")).unwrap());
        for (labels, weight) in [(one, 20), (two, 30), (one, 40)] {
            stacks.add(node, labels, 1, [weight]).unwrap();
        }
        let named = stacks.finish(Path::new("x"), facts()).unwrap();
        let rows: Vec<(u64, u64)> = named.stacks().map(|s| (s.samples, s.weights[0])).collect();
        assert_eq!(rows, [(2, 60), (1, 30)]);
        assert_eq!(named.stacks().next().unwrap().labels, Some(&set("1")));
        assert_eq!(named.sample_weight(0), 30);
    }

    #[test]
    fn a_stack_without_end_is_cut_and_weights_never_wrap() {
        let mut stacks = NamedStacks::new(1);
        let f = stacks.frame(frame_of("f")).unwrap();
        let mut node = 0;
        for _ in 0..DEEPEST + 100 {
            node = stacks.child(node, f).unwrap();
        }
        stacks.add(node, 0, 0, [u64::MAX]).unwrap();
        assert_eq!(stacks.add(node, 0, 0, [1]), Err(TooMuch::Weight));
        let other = stacks.child(0, f).unwrap();
        stacks.add(other, 0, 0, [1]).unwrap();
        assert_eq!(stacks.paths.path(node).len() as u32, DEEPEST + 1);
        assert_eq!(stacks.paths.path(node).last(), Some(&stacks.truncated));
        assert_eq!(stacks.finish(Path::new("x"), facts()).unwrap_err(), TooMuch::Weight);
    }

    #[test]
    fn memory_is_bounded_by_what_is_kept_of_an_input() {
        let mut stacks = NamedStacks::new(1);
        let mut frames = 0;
        let failed = loop {
            let frame = stacks.frame(Frame::new(&format!("f{frames}"), "", FrameKind::User));
            match frame.and_then(|frame| stacks.child(0, frame)) {
                Ok(_) => frames += 1,
                Err(failed) => break failed,
            }
        };
        assert_eq!(failed, TooMuch::Memory);
        let each = FRAME_BYTES + PATH_BYTES;
        assert!(frames < MOST_MEMORY_BYTES / each && frames > MOST_MEMORY_BYTES / (each + 20));
        // Long names count with their length, written twice.
        let mut stacks = NamedStacks::new(1);
        let long = "f".repeat(MOST_MEMORY_BYTES / 2);
        let frame = stacks.frame(Frame::new(&long, "", FrameKind::User));
        assert_eq!(frame, Err(TooMuch::Memory));
    }
}
