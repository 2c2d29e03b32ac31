//! The user part of a sample: frame pointers as a path, registers and stack words as a slice.

use std::io::Write;

use profile::{
    FileOffset, KeptValue, ModuleId, ModuleKind, Node, NodeId, Segment, Slice, Stack, StackEnd,
    StackId,
};

use super::{Frame, Recorder};
use crate::decode::{RawSample, WalkEnd, Words};
use crate::elf_facts::ElfFacts;
use crate::intern::{Callers, CallersKey};
use crate::maps::{AddressMap, Region};
use crate::mask::{FRAME_POINTER, Place, STACK_POINTER, mask, mask_other, register};
use crate::open_mapped;
use crate::process::Process;
use crate::world::World;

/// Stale return addresses are among them: of a deep stack thousands.
const MAX_NAMES_OF_A_SLICE: usize = 64;

impl<W: Write> Recorder<W> {
    /// The stack row, with what was kept of registers and words if they were recorded.
    pub(super) fn stack(
        &mut self,
        process: &Process,
        sample: &RawSample<'_>,
        row: Stack,
        world: &mut impl World,
    ) -> StackId {
        let mut slice = std::mem::take(&mut self.slice);
        let id = match process.maps() {
            Some(maps) if sample.registers.len() > 0 => {
                let needed = self.words_beside_chain(process, maps, sample, row);
                let mut run_time_code = Vec::new();
                let mut place_of = |region: &Region| {
                    let (place, kind) = self.place(process, region);
                    if kind == ModuleKind::Anon && !run_time_code.contains(&place.module) {
                        run_time_code.push(place.module);
                    }
                    place
                };
                let stack = needed.map_or(sample.stack, |words| sample.stack.first(words));
                mask(sample.registers, stack, maps, &mut place_of, &mut slice);
                slice.other = mask_other(sample.other_stack, maps, &mut place_of);
                if needed.is_some() {
                    slice.kept.retain(|kept| kept.word().is_some());
                }
                let (interner, writer) = (&mut self.epoch.interner, &mut self.writer);
                let (id, is_new) = interner.sliced_stack(writer, row, &slice);
                if is_new {
                    let other = slice.other.as_ref().map_or(0, |other| other.kept.len());
                    self.pending_slice_words += slice.kept.len() + other;
                    self.want_names(process, &slice, &run_time_code, sample.time_ns, world);
                }
                id
            }
            _ => self.epoch.interner.stack(&mut self.writer, row),
        };
        self.slice = slice;
        id
    }

    /// Wants names of what may be callers in run-time code: the chain may have missed them.
    fn want_names(
        &mut self,
        process: &Process,
        slice: &Slice,
        run_time_code: &[ModuleId],
        time_ns: u64,
        world: &mut impl World,
    ) {
        let returns = slice.kept.iter().filter_map(|kept| match kept.value {
            KeptValue::Code { module, address } if run_time_code.contains(&module) => {
                Some(Frame { module, address, is_run_time_code: true })
            }
            _ => None,
        });
        for frame in returns.take(MAX_NAMES_OF_A_SLICE) {
            self.want_name(process, frame, frame.address.wrapping_sub(1), time_ns, world);
        }
    }

    /// How many words are needed of a stack whose leaf is Go code, and no register: the chain has all callers but that
    /// of a function that has not set its frame pointer. `None`: it is not known.
    fn words_beside_chain(
        &mut self,
        process: &Process,
        maps: &AddressMap,
        sample: &RawSample<'_>,
        row: Stack,
    ) -> Option<usize> {
        let leaf = sample.user.get(0)?;
        let is_whole = row.end == StackEnd::Complete && sample.other_stack.len() == 0;
        let region = maps.find(leaf).filter(|_| is_whole)?;
        let facts = region.file.facts.borrow();
        let offset = leaf.wrapping_sub(region.start).wrapping_add(region.file_offset);
        let open = || Some(open_mapped::open(process.pid, region)?.0);
        let above = self.go_frames.return_address_at(facts.as_ref()?, offset, open)?;
        let frame = register(sample.registers, FRAME_POINTER)?
            .wrapping_sub(register(sample.registers, STACK_POINTER)?);
        match above {
            0 => Some(1),
            _ => (frame.wrapping_add(8) == u64::from(above) && sample.user.len() > 1).then_some(0),
        }
    }

    /// Only frames in executable mappings are kept: what a frame-pointer walk finds in code without
    /// frame pointers are arbitrary words of the target's memory.
    pub(super) fn user_path(
        &mut self,
        process: &Process,
        sample: &RawSample<'_>,
        world: &mut impl World,
    ) -> (NodeId, Option<Callers>) {
        let Some(leaf) = sample.user.get(0) else { return (NodeId::NONE, None) };
        let region = process.maps().and_then(|maps| Some((maps, maps.find(leaf)?)));
        let Some((maps, region)) = region else {
            // An instruction pointer is a code address wherever it lies, and says no secret.
            let unknown = Node { parent: NodeId::NONE, module: ModuleId::NONE, address: leaf };
            let (node, _) = self.epoch.interner.node(&mut self.writer, unknown);
            return (node, None);
        };
        let words = Words(&sample.user.0[8..]);
        let callers = self.callers(process, maps, (words, sample.walk_end), sample.time_ns, world);
        let frame = self.user_frame(process, region, leaf);
        let Frame { module, address, .. } = frame;
        let row = Node { parent: callers.path, module, address };
        let (node, is_new) = self.epoch.interner.node(&mut self.writer, row);
        if is_new {
            self.want_name(process, frame, leaf, sample.time_ns, world);
        }
        (node, Some(callers))
    }

    /// Where the goroutine goes on that the thread works for on another stack; `None`: there is none.
    pub(super) fn goroutine_path(
        &mut self,
        process: &Process,
        sample: &RawSample<'_>,
        world: &mut impl World,
    ) -> Option<Callers> {
        let (words, maps) = (sample.goroutine, process.maps()?);
        if words.len() == 0 {
            return None;
        }
        let chain = (words, sample.goroutine_end);
        let callers = self.callers(process, maps, chain, sample.time_ns, world);
        callers.path.is_some().then_some(callers)
    }

    /// What a chain of return addresses comes to.
    fn callers(
        &mut self,
        process: &Process,
        maps: &AddressMap,
        chain: (Words<'_>, WalkEnd),
        time_ns: u64,
        world: &mut impl World,
    ) -> Callers {
        let key = CallersKey::new(process.context, chain.0, chain.1 as u64);
        if let Some(known) = self.epoch.interner.callers(key) {
            return known;
        }
        let callers = self.new_callers(process, maps, chain, time_ns, world);
        self.epoch.interner.remember_callers(key, callers);
        callers
    }

    fn new_callers(
        &mut self,
        process: &Process,
        maps: &AddressMap,
        (words, walk_end): (Words<'_>, WalkEnd),
        time_ns: u64,
        world: &mut impl World,
    ) -> Callers {
        let mut frames = std::mem::take(&mut self.frames);
        frames.clear();
        let (mut end, mut outermost) = (None, None);
        // On the way, and of the outermost caller so far.
        let (mut frameless, mut last, mut may_start) = (None, None, true);
        for word in words.iter() {
            if word == 0 {
                end = Some(StackEnd::Complete);
                break;
            }
            // A return address may be the first byte behind its mapping (a call that never returns).
            let Some(region) = maps.find(word - 1) else {
                (end, outermost) = (Some(StackEnd::NotCode), None);
                break;
            };
            let frame = self.user_frame(process, region, word);
            self.want_name(process, frame, word - 1, time_ns, world);
            frames.push((frame.module, frame.address));
            outermost = Some(word);
            frameless = both(frameless, last);
            last = (region.keeps_frame_pointers() == Some(false)).then_some((word, word));
            let facts = region.file.facts.borrow();
            may_start =
                last.is_none() || facts.as_ref().is_some_and(|f| starts_here(f, region, word));
        }
        // A function that sets a frame pointer because its frame grows is enough for a chain to end in
        // `main`, whatever else was skipped.
        outermost = outermost.filter(|_| may_start);
        let end = end.unwrap_or_else(|| end_of_walk(words.len() + 1, self.depth_limit, walk_end));
        let mut path = NodeId::NONE;
        for (module, address) in frames.iter().rev() {
            let row = Node { parent: path, module: *module, address: *address };
            (path, _) = self.epoch.interner.node(&mut self.writer, row);
        }
        self.frames = frames;
        Callers { path, end, outermost, frameless }
    }

    fn user_frame(&mut self, process: &Process, region: &Region, avma: u64) -> Frame {
        let (Place { module, base }, kind) = self.place(process, region);
        let address = avma.wrapping_sub(base);
        Frame { module, address, is_run_time_code: kind == ModuleKind::Anon }
    }

    fn place(&mut self, process: &Process, region: &Region) -> (Place, ModuleKind) {
        let rows = &mut self.epoch.rows;
        let (module, kind) = rows.module(&mut self.writer, process, region);
        rows.mapping(&mut self.writer, process, region, module);
        let base = match kind {
            ModuleKind::File => region.start.wrapping_sub(region.file_offset),
            ModuleKind::Vdso => region.start,
            _ => 0,
        };
        (Place { module, base }, kind)
    }
}

/// The range of two ranges, each from the lowest to the highest.
fn both(a: Option<(u64, u64)>, b: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// Whether a return address is of the code that starts programs and threads.
fn starts_here(facts: &ElfFacts, region: &Region, word: u64) -> bool {
    let offset = word.wrapping_sub(region.start).wrapping_add(region.file_offset);
    let address = Segment::to_svma(&facts.segments, FileOffset(offset));
    address.is_some_and(|address| facts.start_code.contains(address))
}

/// How a chain ended all of whose words are code.
///
/// The kernel's own walk stops without a word at a frame pointer of zero (the outermost frame) and at
/// one that cannot be read, and at its limit. Two frames and more were linked by at least one valid frame pointer and
/// count as complete; a lone leaf had none that could be read.
pub(super) fn end_of_walk(frames: usize, depth_limit: usize, walk_end: WalkEnd) -> StackEnd {
    match walk_end {
        WalkEnd::Unknown if frames >= depth_limit => StackEnd::DepthLimit,
        WalkEnd::Limit => StackEnd::DepthLimit,
        WalkEnd::Zero => StackEnd::Complete,
        WalkEnd::Fault => StackEnd::Fault,
        WalkEnd::NotCode => StackEnd::NotCode,
        WalkEnd::Unknown if frames > 1 => StackEnd::Complete,
        WalkEnd::Unknown => StackEnd::Fault,
    }
}

#[cfg(test)]
#[path = "user_stack_tests.rs"]
mod tests;
