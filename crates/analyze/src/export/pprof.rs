//! pprof's `profile.proto`, as `go tool pprof` and Go's profile-guided optimization read it.
//!
//! Addresses are made: recordings of several processes and layouts are one profile, so each module gets a
//! mapping of its own. A program that is linked to a fixed place keeps its addresses. What has no name has
//! an address and no line, so that tools that have the file may name it.

use std::borrow::Cow;
use std::io::Write;

use flate2::{Compression, GzBuilder};
use profile::{FrameKind, FrameTable, Module, ModuleKind, NameSource, Segment};
use render::safe_text::clean;
use rustc_hash::FxHashMap;

use crate::analysis::Analysis;
use crate::measure::Quantity;
use crate::placed::{Line, Placed, PlacedModule};
use crate::protobuf::Message;
use crate::provenance;

/// Where modules are put that could be anywhere.
const FIRST_ADDRESS: u64 = 0x7000_0000_0000;

/// Modules are put apart by at least this.
const GAP_BYTES: u64 = 1 << 21;

/// A profile, compressed with gzip. The same analysis gives the same bytes.
#[must_use]
pub fn profile(analysis: &Analysis, placed: &Placed) -> Vec<u8> {
    let writer = Writer::new(analysis, placed);
    let profile = writer.profile();
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    // Writing into memory does not fail.
    let written = gzip.write_all(&profile).and_then(|()| gzip.finish());
    written.expect("memory takes all that is written")
}

/// Where a module's code stands in the profile.
#[derive(Clone, Copy, Default, Debug)]
struct Mapping {
    start: u64,
    limit: u64,
    file_offset: u64,
    /// What is added to an address of the module.
    base: u64,
    /// Whether it must stand there.
    is_fixed: bool,
}

struct Writer<'a> {
    analysis: &'a Analysis,
    placed: &'a Placed,
    frames: &'a FrameTable,
    strings: Vec<String>,
    string_numbers: FxHashMap<String, u64>,
    functions: Vec<Message>,
    function_numbers: FxHashMap<(u64, u64, u64, u32), u64>,
}

/// What is true of all locations of a mapping that have a name, and of all.
#[derive(Clone, Copy)]
struct Has {
    any: bool,
    functions: bool,
    file_names: bool,
    line_numbers: bool,
    inlines: bool,
}

impl<'a> Writer<'a> {
    fn new(analysis: &'a Analysis, placed: &'a Placed) -> Self {
        let mut writer = Self {
            analysis,
            placed,
            frames: &analysis.tree.frames,
            strings: Vec::new(),
            string_numbers: FxHashMap::default(),
            functions: Vec::new(),
            function_numbers: FxHashMap::default(),
        };
        writer.string(""); // number 0 must be empty
        writer
    }

    fn string(&mut self, text: &str) -> u64 {
        if let Some(known) = self.string_numbers.get(text) {
            return *known;
        }
        let number = self.strings.len() as u64;
        self.strings.push(text.to_owned());
        self.string_numbers.insert(text.to_owned(), number);
        number
    }

    fn profile(mut self) -> Vec<u8> {
        let mut profile = Message::default();
        let types = self.types();
        for sample_type in &types {
            profile.message(1, sample_type);
        }
        let samples = self.samples(types.len() > 1);
        samples.iter().for_each(|sample| _ = profile.message(2, sample));
        let order = self.mapping_order();
        let mappings = place(&self.placed.modules, self.placed);
        let number_of: FxHashMap<u32, u64> =
            order.iter().zip(1..).map(|(module, number)| (*module, number)).collect();
        for module in &order {
            let mapping = self.mapping(*module, mappings[*module as usize], number_of[module]);
            profile.message(3, &mapping);
        }
        let placed = self.placed;
        for (location, number) in placed.locations.iter().zip(1..) {
            let mut message = Message::default();
            message.number(1, number);
            if let Some((module, address)) = location.address {
                let mapping = mappings[module as usize];
                message.number(2, number_of.get(&module).copied().unwrap_or(0));
                message.number(3, address.wrapping_add(mapping.base));
            }
            // Innermost first.
            for line in location.lines.iter().rev() {
                let mut written = Message::default();
                written.number(1, self.function(line)).number(2, line.line.into());
                message.message(4, &written);
            }
            profile.message(4, &message);
        }
        self.functions.iter().for_each(|function| _ = profile.message(5, function));
        self.facts(&mut profile);
        self.strings.iter().for_each(|text| _ = profile.bytes(6, text.as_bytes()));
        profile.into_bytes()
    }

    /// What is measured: samples where their number is known, and weight.
    fn types(&mut self) -> Vec<Message> {
        let measure = self.analysis.measure.clone();
        let (name, unit) = match measure.quantity {
            Quantity::CpuTime => ("cpu", "nanoseconds"),
            Quantity::Time => (&*measure.name, "nanoseconds"),
            Quantity::Bytes => (&*measure.name, "bytes"),
            Quantity::Samples | Quantity::Count if !measure.name.is_empty() => {
                (&*measure.name, "count")
            }
            _ => ("weight", "count"),
        };
        let samples = ("samples", "count");
        let with_samples = self.analysis.counts_samples() && measure.quantity != Quantity::Samples;
        let types = with_samples.then_some(samples).into_iter().chain([(name, unit)]);
        types
            .map(|(name, unit)| {
                let mut message = Message::default();
                message.number(1, self.string(name)).number(2, self.string(unit));
                message
            })
            .collect()
    }

    fn samples(&mut self, with_samples: bool) -> Vec<Message> {
        let placed = self.placed;
        let sample = |stack: &crate::placed::PlacedStack| {
            let mut message = Message::default();
            let leaf_first: Vec<u64> =
                stack.locations.iter().rev().map(|index| u64::from(*index) + 1).collect();
            message.numbers(1, &leaf_first);
            match with_samples {
                true => message.numbers(2, &[stack.sum.samples, stack.sum.weight]),
                false => message.numbers(2, &[stack.sum.weight]),
            };
            for (key, value) in &stack.labels {
                let mut label = Message::default();
                label.number(1, self.string(key)).number(2, self.string(&clean(value)));
                message.message(3, &label);
            }
            if stack.pid > 0 {
                let mut label = Message::default();
                label.number(1, self.string("pid")).number(3, stack.pid.into());
                message.message(3, &label);
            }
            message
        };
        placed.stacks.iter().map(sample).collect()
    }

    /// Modules with code on the stacks; the program that costs most stands first, where tools look for
    /// the main program.
    fn mapping_order(&self) -> Vec<u32> {
        let mut weights = vec![0u64; self.placed.modules.len()];
        let mut used = vec![false; self.placed.modules.len()];
        for stack in &self.placed.stacks {
            for index in &stack.locations {
                if let Some((module, _)) = self.placed.locations[*index as usize].address {
                    used[module as usize] = true;
                    let weight = &mut weights[module as usize];
                    *weight = weight.saturating_add(stack.sum.weight);
                }
            }
        }
        let modules = &self.placed.modules;
        let mut order: Vec<u32> = (0..modules.len() as u32)
            .filter(|i| used[*i as usize] && modules[*i as usize].module.is_some())
            .collect();
        let executable = |i: &u32| modules[*i as usize].is_executable;
        if let Some(main) = order
            .iter()
            .copied()
            .filter(executable)
            .max_by_key(|i| (weights[*i as usize], std::cmp::Reverse(*i)))
        {
            order.sort_by_key(|i| (*i != main, *i));
        }
        order
    }

    fn mapping(&mut self, index: u32, mapping: Mapping, number: u64) -> Message {
        let placed = self.placed;
        let mut message = Message::default();
        let Some(module) = &placed.modules[index as usize].module else { return message };
        let build_id = match module.go_build_id.is_empty() || !module.build_id.is_empty() {
            true => module.build_id.to_string(),
            false => module.go_build_id.lossy().into_owned(),
        };
        let has = self.has(index);
        message
            .number(1, number)
            .number(2, mapping.start)
            .number(3, mapping.limit)
            .number(4, mapping.file_offset)
            .number(5, self.string(&clean(&path(module))))
            .number(6, self.string(&clean(&build_id)))
            .number(7, u64::from(has.any && has.functions))
            .number(8, u64::from(has.any && has.file_names))
            .number(9, u64::from(has.any && has.line_numbers))
            .number(10, u64::from(has.any && has.inlines));
        message
    }

    /// What is known of all a module's code that was hit.
    fn has(&self, module: u32) -> Has {
        let mut has = Has {
            any: false,
            functions: true,
            file_names: true,
            line_numbers: true,
            inlines: true,
        };
        let of_module = |(of, _): (u32, u64)| of == module;
        for location in &self.placed.locations {
            if !location.address.is_some_and(of_module) {
                continue;
            }
            has.any = true;
            has.functions &= !location.lines.is_empty();
            let frames = || location.lines.iter().map(|line| self.frames.get(line.frame));
            has.file_names &= !location.lines.is_empty() && frames().all(|f| f.file.is_some());
            has.line_numbers &=
                !location.lines.is_empty() && location.lines.iter().all(|line| line.line > 0);
            let knows_inlines = |source| matches!(source, NameSource::Dwarf | NameSource::Pclntab);
            has.inlines &= !location.lines.is_empty() && frames().all(|f| knows_inlines(f.source));
        }
        has
    }

    fn function(&mut self, line: &Line) -> u64 {
        let frame = self.frames.get(line.frame);
        let name = self.string(&clean(&frame.name));
        let raw = match frame.kind {
            FrameKind::Marker | FrameKind::NoName(_) => 0,
            _ => self.string(&clean(&frame.raw_name)),
        };
        let file = frame.file.as_deref().map(clean).unwrap_or(Cow::Borrowed(""));
        let file = self.string(&file);
        let next = self.functions.len() as u64 + 1;
        let key = (name, raw, file, line.start_line);
        let number = *self.function_numbers.entry(key).or_insert(next);
        if number == next {
            let mut message = Message::default();
            message
                .number(1, number)
                .number(2, name)
                .number(3, raw)
                .number(4, file)
                .number(5, line.start_line.into());
            self.functions.push(message);
        }
        number
    }

    /// When, for how long, at which rate; and in words where and how, and what limits trust.
    fn facts(&mut self, profile: &mut Message) {
        let analysis = self.analysis;
        profile.number(9, provenance::started_realtime_ns(analysis).unwrap_or(0));
        profile.number(10, analysis.observed_ns);
        if analysis.measure.quantity == Quantity::CpuTime {
            let mut period_type = Message::default();
            period_type.number(1, self.string("cpu")).number(2, self.string("nanoseconds"));
            profile.message(11, &period_type).number(12, analysis.period_ns);
            profile.number(14, self.string("cpu"));
        }
        let warnings = provenance::warnings(analysis).into_iter().map(|warning| warning.text);
        let mut comments: Vec<String> = warnings.collect();
        for source in provenance::sources(analysis) {
            let lines = source.facts.into_iter().chain(source.losses);
            comments.extend(lines.map(|(label, text)| format!("{label}: {text}")));
        }
        comments.push(format!("Written by analyze {}", env!("CARGO_PKG_VERSION")));
        let numbers: Vec<u64> =
            comments.iter().map(|comment| self.string(&clean(comment))).collect();
        profile.numbers(13, &numbers);
    }
}

/// A module's path as tools expect it.
fn path(module: &Module) -> Cow<'_, str> {
    match (module.kind, module.path.is_empty()) {
        (ModuleKind::Kernel, _) => Cow::Borrowed("[kernel.kallsyms]"),
        (ModuleKind::Anon, true) => Cow::Borrowed("[run-time code]"),
        _ => module.path.lossy(),
    }
}

/// Gives every module its place.
fn place(modules: &[PlacedModule], placed: &Placed) -> Vec<Mapping> {
    let mut extents: Vec<Option<(u64, u64)>> = vec![None; modules.len()];
    for (module, address) in placed.locations.iter().filter_map(|location| location.address) {
        let extent = extents[module as usize].get_or_insert((address, address));
        *extent = (extent.0.min(address), extent.1.max(address));
    }
    let mut next = FIRST_ADDRESS;
    let mut fixed: Vec<(u64, u64)> = Vec::new();
    let place = |(module, extent): (&PlacedModule, Option<(u64, u64)>)| {
        let (Some(module), Some(extent)) = (&module.module, extent) else {
            return Mapping::default();
        };
        let mut mapping = unplaced(module, extent);
        let is_free = |mapping: &Mapping| {
            mapping.is_fixed
                && !fixed.iter().any(|(from, to)| mapping.start < *to && *from < mapping.limit)
        };
        if !is_free(&mapping) {
            let size = mapping.limit.saturating_sub(mapping.start);
            mapping.base = mapping.base.wrapping_add(next.wrapping_sub(mapping.start));
            (mapping.start, mapping.limit) = (next, next.saturating_add(size));
            next = mapping.limit.checked_next_multiple_of(GAP_BYTES).unwrap_or(next);
            next = next.saturating_add(GAP_BYTES);
        }
        fixed.push((mapping.start, mapping.limit));
        mapping
    };
    modules.iter().zip(extents).map(place).collect()
}

/// A module where its file, the kernel or the process had it; from 0 where that says nothing.
fn unplaced(module: &Module, (lowest, highest): (u64, u64)) -> Mapping {
    const PAGE: u64 = 4096;
    let page = |address: u64| address & !(PAGE - 1);
    let end = |address: u64| page(address).saturating_add(PAGE);
    let executable = |segment: &&Segment| segment.flags & Segment::EXECUTE != 0;
    match module.kind {
        ModuleKind::File | ModuleKind::Vdso => {
            let Some(segment) = module.segments.iter().find(executable) else {
                return Mapping { limit: end(highest), ..Mapping::default() };
            };
            // Node addresses are offsets in the file.
            let base = segment.svma.0.wrapping_sub(segment.file_offset.0);
            let reached = segment.svma.0.saturating_add(segment.memory_bytes);
            Mapping {
                start: page(segment.svma.0),
                limit: end(reached),
                file_offset: page(segment.file_offset.0),
                base,
                // A file that is mapped anywhere has its first segment at 0.
                is_fixed: module.segments.iter().all(|segment| segment.svma.0 >= PAGE),
            }
        }
        ModuleKind::Anon => {
            let (start, limit) = (page(lowest), end(highest));
            Mapping { start, limit, is_fixed: true, ..Mapping::default() }
        }
        ModuleKind::Kernel | ModuleKind::KernelModule | ModuleKind::Bpf => Mapping {
            start: module.runtime_base,
            limit: end(module.runtime_base.saturating_add(highest)),
            file_offset: 0,
            base: module.runtime_base,
            is_fixed: module.runtime_base > 0,
        },
    }
}
