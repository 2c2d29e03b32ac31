//! pprof's `profile.proto`, compressed with gzip or not.
//!
//! The format is read in place: strings and tables are found first, samples are then visited one by one.
//! What refers to something that is not there is an error, as it is for pprof itself; nothing is guessed.

mod tables;

use std::path::Path;

use profile::{Frame, FrameId, FrameKind, LabelSet, NoName, Text};
use rustc_hash::FxHashMap;

use super::named::{Facts, Named, NamedKind, NamedStacks, TooMuch};
use super::spelling::frame_of;
use crate::measure::{Measure, Quantity};
use crate::protobuf::{Bytes, Malformed, Value};
use crate::wording::counted;
use tables::{Line, Tables};

/// Labels of one sample at most.
const MOST_LABELS: usize = 64;

/// Why a pprof profile cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PprofError {
    /// No Protocol Buffers.
    #[error("{0}; it is cut off or damaged")]
    Malformed(#[from] Malformed),
    /// A reference to nothing.
    #[error("at byte {at}, a {what} refers to {to} {number}, which is not there")]
    Dangling {
        /// Offset in the inflated file.
        at: usize,
        /// What refers.
        what: &'static str,
        /// To what.
        to: &'static str,
        /// Its number.
        number: u64,
    },
    /// Two of one number.
    #[error("at byte {at}, {what} {number} is there twice")]
    Twice {
        /// Offset in the inflated file.
        at: usize,
        /// What.
        what: &'static str,
        /// Its number.
        number: u64,
    },
    /// A sample with more or fewer values than there are sample types.
    #[error("at byte {at}, a sample has {values} values; there are {types} sample types")]
    Values {
        /// Offset in the inflated file.
        at: usize,
        /// How many.
        values: usize,
        /// How many there should be.
        types: usize,
    },
    /// Nothing says what was measured.
    #[error("it has no sample types")]
    NoTypes,
    /// Tables larger than memory allows.
    #[error("at byte {at}, its tables exceed {most} rows")]
    Rows {
        /// Offset in the inflated file.
        at: usize,
        /// How many are read.
        most: usize,
    },
    /// Stacks larger than memory allows.
    #[error("{0}")]
    TooMuch(#[from] TooMuch),
}

/// Whether bytes begin as a profile does: with fields that it has, of their kinds, and a message or text
/// among them.
#[must_use]
pub fn is_pprof(head: &[u8]) -> bool {
    let mut is_message = false;
    for field in Bytes::message(head).fields() {
        match field {
            Ok((1..=6 | 11 | 13, Value::Bytes(_))) => is_message = true,
            Ok((7..=10 | 12..=15, Value::Varint(_))) => {}
            Ok(_) => return false,
            // The last field need not end where the head does.
            Err(_) => break,
        }
    }
    is_message
}

/// Reads an inflated profile.
///
/// # Errors
/// When it is damaged, or refers to what is not there.
pub fn import(path: &Path, profile: &[u8]) -> Result<Named, PprofError> {
    let tables = Tables::read(profile)?;
    let measures = measures(&tables)?;
    if measures.is_empty() {
        return Err(PprofError::NoTypes);
    }
    let mut reader = Reader::new(&tables, measures.len());
    reader.samples_measure = measures.iter().position(|m| m.quantity == Quantity::Samples);
    for field in Bytes::message(profile).fields() {
        if let (tables::SAMPLE, value) = field? {
            reader.sample(value.bytes())?;
        }
    }
    let preferred = preferred(&tables, &measures)?;
    let counts_samples = reader.samples_measure.is_some();
    let negative = reader.negative;
    let facts = Facts { kind: NamedKind::Pprof, measures, preferred };
    let mut named = reader.stacks.finish(path, facts)?;
    named.counts_samples = counts_samples;
    named.started_realtime_ns = (tables.time_ns > 0).then_some(tables.time_ns);
    named.duration_ns = (tables.duration_ns > 0).then_some(tables.duration_ns);
    named.period = periods(&tables, &named.measures)?;
    for comment in &tables.comments {
        named.notes.push(tables.string(*comment, "comment", 0)?.into_owned());
    }
    if negative > 0 {
        let (samples, have) =
            (counted(negative, "sample"), if negative == 1 { "has" } else { "have" });
        named.statements.push(format!(
            "{samples} {have} negative values, as comparisons made by pprof have, and {} left out",
            if negative == 1 { "is" } else { "are" }
        ));
    }
    Ok(named)
}

/// Nanoseconds in a unit of time.
fn nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "nanoseconds" | "nanosecond" | "ns" => 1,
        "microseconds" | "microsecond" | "us" => 1_000,
        "milliseconds" | "millisecond" | "ms" => 1_000_000,
        "seconds" | "second" | "s" => 1_000_000_000,
        _ => return None,
    })
}

/// What the weights measure. Times become nanoseconds; `Tables::scales` says by which factor.
fn measures(tables: &Tables<'_>) -> Result<Vec<Measure>, PprofError> {
    let measure = |(name, unit): &(u64, u64)| {
        let name = tables.string(*name, "sample type", 0)?.into_owned();
        let unit = tables.string(*unit, "sample type", 0)?;
        let quantity = match (&*name, &*unit) {
            (name, unit) if nanoseconds(unit).is_some() => match name {
                "cpu" | "on-cpu" | "cpu_time" | "cpu-time" => Quantity::CpuTime,
                _ => Quantity::Time,
            },
            (_, "bytes" | "byte") => Quantity::Bytes,
            ("samples" | "sample", _) => Quantity::Samples,
            _ => Quantity::Count,
        };
        Ok(Measure { name, quantity })
    };
    tables.types.iter().map(measure).collect()
}

/// CPU time where there is any; else what the profile says, and else the last, as pprof does.
fn preferred(tables: &Tables<'_>, measures: &[Measure]) -> Result<usize, PprofError> {
    if let Some(cpu) = measures.iter().position(|m| m.quantity == Quantity::CpuTime) {
        return Ok(cpu);
    }
    let default = tables.string(tables.default_type, "default sample type", 0)?;
    let stated = measures.iter().position(|m| m.name == *default && !default.is_empty());
    Ok(stated.unwrap_or(measures.len() - 1))
}

/// Weight of one sample, of the measures that the profile's period is of.
fn periods(tables: &Tables<'_>, measures: &[Measure]) -> Result<Vec<Option<u64>>, PprofError> {
    let (name, unit) = tables.period_type;
    let name = tables.string(name, "period type", 0)?;
    let unit = tables.string(unit, "period type", 0)?;
    let period = tables.period.checked_mul(nanoseconds(&unit).unwrap_or(1)).filter(|p| *p > 0);
    let of = |measure: &Measure| match measure.quantity {
        Quantity::Samples => Some(1),
        // The period of a heap profile is the bytes between two samples, whose weights are scaled up.
        Quantity::CpuTime | Quantity::Time if measure.name == *name => period,
        _ => None,
    };
    Ok(measures.iter().map(of).collect())
}

struct Reader<'a> {
    tables: &'a Tables<'a>,
    scales: Vec<u64>,
    stacks: NamedStacks,
    /// Frames of each location, the physical function first; made when first hit.
    frames: Vec<Option<Box<[FrameId]>>>,
    functions: FxHashMap<(u32, u64, bool), FrameId>,
    /// By call path and location: the call path with the location's frames.
    paths: FxHashMap<(u32, u32), u32>,
    samples_measure: Option<usize>,
    negative: u64,
    values: Vec<u64>,
}

impl<'a> Reader<'a> {
    fn new(tables: &'a Tables<'a>, measures: usize) -> Self {
        let scale = |(_, unit): &(u64, u64)| {
            let unit = tables.string(*unit, "sample type", 0).unwrap_or_default();
            nanoseconds(&unit).unwrap_or(1)
        };
        Self {
            tables,
            scales: tables.types.iter().map(scale).collect(),
            stacks: NamedStacks::new(measures),
            frames: vec![None; tables.locations.len()],
            functions: FxHashMap::default(),
            paths: FxHashMap::default(),
            samples_measure: None,
            negative: 0,
            values: Vec::new(),
        }
    }

    fn sample(&mut self, sample: Bytes<'a>) -> Result<(), PprofError> {
        const LOCATION: u64 = 1;
        const VALUE: u64 = 2;
        const LABEL: u64 = 3;
        let mut locations = Vec::new();
        let mut labels = LabelSet { keys: Vec::new(), values: Vec::new() };
        self.values.clear();
        for field in sample.fields() {
            match field? {
                (LOCATION, value) => {
                    for id in value.numbers() {
                        locations.push(self.tables.location(id?, sample.at)?);
                    }
                }
                (VALUE, value) => {
                    for number in value.numbers() {
                        self.values.push(number?);
                    }
                }
                (LABEL, value) if labels.keys.len() < MOST_LABELS => {
                    let (key, text) = self.tables.label(value.bytes())?;
                    labels.keys.push(key);
                    labels.values.push(text);
                }
                _ => {}
            }
        }
        let (values, types) = (self.values.len(), self.tables.types.len());
        if values != types {
            return Err(PprofError::Values { at: sample.at, values, types });
        }
        if self.values.iter().any(|value| (*value as i64) < 0) {
            self.negative += 1;
            return Ok(());
        }
        let mut node = 0;
        for location in locations.into_iter().rev() {
            node = self.step(node, location)?;
        }
        let labels = self.stacks.labels(labels)?;
        for (value, scale) in self.values.iter_mut().zip(&self.scales) {
            *value = value.checked_mul(*scale).ok_or(TooMuch::Weight)?;
        }
        let samples = self.samples_measure.map_or(0, |measure| self.values[measure]);
        self.stacks.add(node, labels, samples, self.values.iter().copied())?;
        Ok(())
    }

    /// The call path that leads from `node` through a location's frames.
    fn step(&mut self, node: u32, location: u32) -> Result<u32, PprofError> {
        if let Some(known) = self.paths.get(&(node, location)) {
            return Ok(*known);
        }
        if self.frames[location as usize].is_none() {
            self.frames[location as usize] = Some(self.location_frames(location)?);
        }
        let mut at = node;
        for frame in self.frames[location as usize].iter().flatten() {
            at = self.stacks.child(at, *frame)?;
        }
        self.paths.insert((node, location), at);
        Ok(at)
    }

    fn location_frames(&mut self, location: u32) -> Result<Box<[FrameId]>, PprofError> {
        let row = &self.tables.locations[location as usize];
        let lines: &'a [Line] = self.tables.lines_of(row);
        if lines.is_empty() {
            return Ok([self.nameless(row.mapping)?].into());
        }
        // Innermost first: all but the last were inlined into the next.
        let innermost_last = lines.iter().enumerate().rev();
        innermost_last
            .map(|(index, line)| self.function(row.mapping, line, index + 1 < lines.len(), row.at))
            .collect()
    }

    fn function(
        &mut self,
        mapping: u32,
        line: &Line,
        inlined: bool,
        at: usize,
    ) -> Result<FrameId, PprofError> {
        if line.function == 0 {
            return self.nameless(mapping);
        }
        let key = (mapping, line.function, inlined);
        if let Some(known) = self.functions.get(&key) {
            return Ok(*known);
        }
        let function = self.tables.function(line.function, at)?;
        let string = |number| self.tables.string(number, "function", function.at);
        let (name, raw, file) =
            (string(function.name)?, string(function.system_name)?, string(function.file)?);
        let raw = if raw.is_empty() { name.clone() } else { raw };
        // Tools that do not demangle give the linker's name as the function's.
        let shown = if name.is_empty() { raw.clone() } else { name };
        let module = self.tables.module(mapping)?;
        let spelled = frame_of(&symbolize::demangle(&shown));
        let frame = Frame {
            raw_name: raw.as_ref().into(),
            module: module.name.as_str().into(),
            kind: match spelled.kind {
                kind @ (FrameKind::Marker | FrameKind::NoName(NoName::NotGiven)) => kind,
                FrameKind::User => module.kind,
                kind => kind,
            },
            inlined,
            file: (!file.is_empty()).then(|| file.as_ref().into()),
            ..spelled
        };
        let id = self.stacks.frame(frame)?;
        self.functions.insert(key, id);
        Ok(id)
    }

    /// Code of a mapping that the profile does not name.
    fn nameless(&mut self, mapping: u32) -> Result<FrameId, PprofError> {
        let module = self.tables.module(mapping)?.name;
        let unknown = frame_of("[unknown]");
        Ok(self.stacks.frame(match &*module {
            "" => unknown,
            name => Frame::new(&format!("[{}]", name.trim_matches(['[', ']'])), name, unknown.kind),
        })?)
    }
}

/// Text of a label's value.
fn label_text(text: &str, number: u64, unit: &str) -> Text {
    match (text, unit) {
        ("", "") => (number as i64).to_string().into(),
        ("", unit) => format!("{} {unit}", number as i64).into(),
        (text, _) => text.into(),
    }
}

#[cfg(test)]
mod tests;
