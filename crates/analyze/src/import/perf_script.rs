//! The text that `perf script` prints: a line for each sample, its stack below it, leaf first.
//!
//! ```text
//! nginx  1234/1235 [001] 5180.123456:   10101010 cpu-clock:pppH:
//!         7f3b2c1d4e5f __memmove_avx+0x3f (/usr/lib/libc.so.6)
//!         55d0c2a01234 handle+0x24 (inlined)
//! ```
//!
//! Clock events measure CPU time, their period in nanoseconds; of others samples are counted, because the
//! text does not say at which rate they were taken.

mod lines;

use std::io::BufRead;
use std::path::Path;

pub use self::lines::is_header;
use self::lines::{Header, INLINED, frame_line, header};
use profile::{Frame, FrameId, FrameKind, LabelSet};

use super::named::{Facts, Named, NamedKind, NamedStacks, TooMuch};
use super::spelling::{Spellings, frame_in};
use super::text::{Lines, TextError};
use crate::measure::{Measure, Quantity};
use crate::wording::counted;

/// Different events at most; samples of further ones are left out and counted.
const MOST_EVENTS: usize = 8;

/// Frames of one sample at most: what is deeper stands in no kernel's stack.
const DEEPEST: usize = 16 << 10;

/// Reads what `perf script` printed.
///
/// # Errors
/// When the text cannot be read, has no sample in it, or is larger than memory allows.
pub fn import(path: &Path, input: impl BufRead) -> Result<Named, TextError> {
    let mut reader = Reader::default();
    let mut lines = Lines::new(input);
    while let Some((number, line)) = lines.next_line()? {
        reader.line(line).map_err(|source| TextError::TooMuch { line: number, source })?;
    }
    let whole = |source| TextError::TooMuch { line: 0, source };
    reader.end_sample().map_err(whole)?;
    reader.finish(path)
}

/// The sample that is being read.
struct Sample {
    event: usize,
    weight: u64,
    labels: LabelSet,
    process: FrameId,
    frames: Vec<FrameId>,
    /// Inlined functions whose module is not known yet.
    inlined: Vec<String>,
}

struct Event {
    name: String,
    is_clock: bool,
    samples: u64,
}

struct Reader {
    stacks: NamedStacks,
    names: Spellings,
    events: Vec<Event>,
    sample: Option<Sample>,
    /// Whether the sample that is being read is left out.
    skipping: bool,
    first_ns: u64,
    last_ns: u64,
    lost_samples: u64,
    idle_samples: u64,
    unreadable: u64,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            stacks: NamedStacks::new(MOST_EVENTS),
            names: Spellings::default(),
            events: Vec::new(),
            sample: None,
            skipping: false,
            first_ns: u64::MAX,
            last_ns: 0,
            lost_samples: 0,
            idle_samples: 0,
            unreadable: 0,
        }
    }
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), TooMuch> {
        if line.trim().is_empty() {
            self.skipping = false;
            return self.end_sample();
        }
        if line.starts_with('#') || (self.skipping && line.starts_with([' ', '\t'])) {
            return Ok(());
        }
        if let (true, Some(_)) = (line.starts_with([' ', '\t']), &self.sample)
            && let Some((spelled, module)) = frame_line(line)
        {
            return self.frame_of_sample(spelled, module);
        }
        match header(line) {
            Some(header) => {
                self.end_sample()?;
                self.begin(&header)
            }
            None => {
                self.unreadable += 1;
                Ok(())
            }
        }
    }

    fn begin(&mut self, header: &Header<'_>) -> Result<(), TooMuch> {
        self.skipping = false;
        if let Some(at) = header.time_ns {
            self.first_ns = self.first_ns.min(at);
            self.last_ns = self.last_ns.max(at);
        }
        let Some(event) = self.event(header) else {
            self.lost_samples += 1;
            self.skipping = true;
            return Ok(());
        };
        let is_clock = self.events[event].is_clock;
        // The idle task of a CPU: as of perf.data, its time is nobody's.
        if is_clock && header.tid == "0" {
            self.idle_samples += 1;
            self.skipping = true;
            return Ok(());
        }
        let weight = if is_clock { header.period.unwrap_or(0) } else { 1 };
        self.events[event].samples += 1;
        let mut labels = LabelSet { keys: Vec::new(), values: Vec::new() };
        let ids = [("comm", Some(header.comm)), ("pid", header.pid), ("tid", Some(header.tid))];
        for (key, value) in ids {
            if let Some(value) = value {
                labels.keys.push(key.into());
                labels.values.push(value.into());
            }
        }
        let process =
            self.intern(header.comm, "", "p", |comm, _| Frame::new(comm, "", FrameKind::Process))?;
        let (frames, inlined) = (Vec::new(), Vec::new());
        self.sample = Some(Sample { event, weight, labels, process, frames, inlined });
        Ok(())
    }

    fn event(&mut self, header: &Header<'_>) -> Option<usize> {
        let name = header.event;
        if let Some(known) = self.events.iter().position(|event| event.name == name) {
            return Some(known);
        }
        if self.events.len() == MOST_EVENTS {
            return None;
        }
        let bare = name.split(':').next().unwrap_or_default();
        let is_clock = matches!(bare, "cpu-clock" | "task-clock") && header.period.is_some();
        self.events.push(Event { name: name.to_owned(), is_clock, samples: 0 });
        Some(self.events.len() - 1)
    }

    /// Adds a frame. Of inlined functions the module stands with the function that they are part of.
    fn frame_of_sample(&mut self, spelled: &str, module: &str) -> Result<(), TooMuch> {
        let inlined = module == INLINED;
        let Some(sample) = &mut self.sample else { return Ok(()) };
        if sample.frames.len() + sample.inlined.len() > DEEPEST {
            return Ok(());
        }
        if inlined {
            sample.inlined.push(spelled.to_owned());
            return Ok(());
        }
        for inlined in std::mem::take(&mut sample.inlined) {
            self.push(&inlined, module, true)?;
        }
        self.push(spelled, module, false)
    }

    fn push(&mut self, spelled: &str, module: &str, inlined: bool) -> Result<(), TooMuch> {
        let frame = |name: &str, module: &str| Frame { inlined, ..named_frame(name, module) };
        let mark = if inlined { "i" } else { "" };
        let id = self.intern(spelled, module, mark, frame)?;
        if let Some(sample) = &mut self.sample {
            sample.frames.push(id);
        }
        Ok(())
    }

    fn intern(
        &mut self,
        spelled: &str,
        module: &str,
        mark: &str,
        frame: impl Fn(&str, &str) -> Frame,
    ) -> Result<FrameId, TooMuch> {
        let key = [spelled, module, mark];
        self.names.id(&mut self.stacks, &key, || frame(spelled, module))
    }

    fn end_sample(&mut self) -> Result<(), TooMuch> {
        for inlined in
            self.sample.as_mut().map(|s| std::mem::take(&mut s.inlined)).unwrap_or_default()
        {
            self.push(&inlined, "", true)?;
        }
        let Some(sample) = self.sample.take() else { return Ok(()) };
        let mut node = self.stacks.child(0, sample.process)?;
        for frame in sample.frames.iter().rev() {
            node = self.stacks.child(node, *frame)?;
        }
        let labels = self.stacks.labels(sample.labels)?;
        let weights =
            (0..MOST_EVENTS).map(|event| if event == sample.event { sample.weight } else { 0 });
        self.stacks.add(node, labels, 1, weights)
    }
    fn finish(self, path: &Path) -> Result<Named, TextError> {
        if self.events.is_empty() {
            return Err(TextError::NoStack);
        }
        let quantity = |clock| if clock { Quantity::CpuTime } else { Quantity::Samples };
        let measure = |event: &Event| Measure {
            name: event.name.clone(),
            quantity: quantity(event.is_clock),
        };
        let most = |(index, event): &(usize, &Event)| {
            (event.is_clock, event.samples, std::cmp::Reverse(*index))
        };
        let preferred = self.events.iter().enumerate().max_by_key(most).map_or(0, |(i, _)| i);
        let facts = Facts {
            kind: NamedKind::PerfScript,
            measures: self.events.iter().map(measure).collect(),
            preferred,
        };
        let whole = |source| TextError::TooMuch { line: 0, source };
        let mut named = self.stacks.finish(path, facts).map_err(whole)?;
        named.counts_samples = true;
        let duration_ns = self.last_ns.saturating_sub(self.first_ns);
        named.duration_ns = (duration_ns > 0).then_some(duration_ns);
        if self.idle_samples > 0 {
            named.notes.push(format!(
                "{} of idle CPUs are left out",
                counted(self.idle_samples, "sample")
            ));
        }
        for (count, what) in [
            (self.lost_samples, "samples are of more events than are read"),
            (self.unreadable, "lines cannot be read"),
        ] {
            if count > 0 {
                named.statements.push(format!("{count} {what}"));
            }
        }
        Ok(named)
    }
}

fn named_frame(symbol: &str, path: &str) -> Frame {
    let (module, kind) = module_of(path);
    frame_in(symbol, &module, kind)
}

/// A module as recordings of our own call it, and what its code is.
fn module_of(path: &str) -> (String, FrameKind) {
    let file = path.rsplit('/').next().unwrap_or_default();
    let kernel_module = file.split('.').nth(1) == Some("ko");
    if path.starts_with("[kernel") || path.starts_with("[guest.kernel") || file == "vmlinux" {
        ("[kernel]".into(), FrameKind::Kernel)
    } else if kernel_module {
        (format!("[{}]", file.split('.').next().unwrap_or_default()), FrameKind::Kernel)
    } else if path == "[unknown]" || path.is_empty() {
        (String::new(), FrameKind::User)
    } else if path == "[vdso]" || path == "[vsyscall]" {
        (path.into(), FrameKind::Library)
    } else if path.starts_with("[anon")
        || path.starts_with("[JIT]")
        || path.starts_with("//anon")
        || path.starts_with("[stack")
        || path.starts_with("[heap")
        || is_perf_map(file)
    {
        ("[run-time code]".into(), FrameKind::Jit)
    } else if path.starts_with('[') {
        // "[nf_conntrack]": a module of the kernel that perf had no file of.
        (path.into(), FrameKind::Kernel)
    } else if file.contains(".so") {
        (file.into(), FrameKind::Library)
    } else {
        (file.into(), FrameKind::User)
    }
}

fn is_perf_map(file: &str) -> bool {
    (file.starts_with("perf-") && file.ends_with(".map")) || file.starts_with("jitted-")
}

#[cfg(test)]
mod tests;
