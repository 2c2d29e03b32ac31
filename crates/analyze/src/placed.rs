//! Stacks with the addresses of their code, for outputs that state them: a call tree has none.

use profile::{FrameId, FrameKind, FrameTable, Module};
use rustc_hash::FxHashMap;

use crate::addresses::{AddressId, Addresses};
use crate::collapse::Sum;
use crate::group::Grouping;
use crate::resolve::Resolution;

/// Which frames of a chain an address has become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The address.
    pub address: AddressId,
    /// Index of its first frame in the chain.
    pub first: u32,
    /// How many frames.
    pub count: u32,
}

/// All stacks with the addresses of their code.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Placed {
    /// What code is of; `None` for addresses in no known mapping.
    pub modules: Vec<PlacedModule>,
    /// Places in code, each once.
    pub locations: Vec<Location>,
    /// Stacks and what they were labelled with.
    pub stacks: Vec<PlacedStack>,
}

/// A module.
#[derive(Clone, PartialEq, Debug)]
pub struct PlacedModule {
    /// As it was recorded.
    pub module: Option<Module>,
    /// Whether it is the executable of some process.
    pub is_executable: bool,
}

/// A place in code, or what stands in a stack without being one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// Index of the module and the address in its own meaning ([`profile::ModuleKind`]), within the
    /// instruction; `None`: a marker, or a frame of an input that has no addresses.
    pub address: Option<(u32, u64)>,
    /// The physical function, then what was inlined into it; nothing where it has no name.
    pub lines: Vec<Line>,
}

/// A function at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// The function.
    pub frame: FrameId,
    /// Where: line of the address, or of the inlined call; 0: not known.
    pub line: u32,
    /// Line on which the function begins; 0: not known.
    pub start_line: u32,
}

/// A stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlacedStack {
    /// Indexes of locations, root first.
    pub locations: Vec<u32>,
    /// Keys and values, such as the process's name.
    pub labels: Vec<(String, String)>,
    /// The process's id; 0 where it is not known.
    pub pid: u32,
    /// Weight and samples.
    pub sum: Sum,
}

/// A stack as it comes.
pub struct Trail<'a> {
    /// All its frames, root first.
    pub frames: &'a [FrameId],
    /// Which of them addresses have become.
    pub places: &'a [Place],
    /// Those of them that are shown, in the same order.
    pub shown: &'a [FrameId],
    /// The process's id; 0 where it is not known.
    pub pid: u32,
    /// Further labels.
    pub labels: Vec<(String, String)>,
}

/// One location before its lines are looked up.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    address: Option<(u32, u64)>,
    frames: Vec<FrameId>,
}

/// Which place a frame belongs to: its number in the stack, and the address.
type Owner = Option<(usize, AddressId)>;

/// Gathers stacks.
pub struct Collector<'a> {
    addresses: &'a Addresses,
    /// What the frames at the root of stacks are made of.
    by: &'a [Grouping],
    numbers: FxHashMap<Key, u32>,
    /// By location: one of the addresses that is there, for its lines.
    locations: Vec<(Key, Option<AddressId>)>,
    stacks: Vec<PlacedStack>,
}

impl<'a> Collector<'a> {
    /// Nothing yet.
    #[must_use]
    pub fn new(addresses: &'a Addresses, by: &'a [Grouping]) -> Self {
        let (numbers, locations) = (FxHashMap::default(), Vec::new());
        Self { addresses, by, numbers, locations, stacks: Vec::new() }
    }

    /// Adds a stack.
    pub fn add(&mut self, trail: Trail<'_>, sum: Sum, frames: &FrameTable) {
        let mut owners: Vec<Owner> = vec![None; trail.frames.len()];
        for (index, place) in trail.places.iter().enumerate() {
            let range = place.first as usize..(place.first + place.count) as usize;
            owners[range].fill(Some((index, place.address)));
        }
        let mut labels = trail.labels;
        let mut locations: Vec<(Owner, Vec<FrameId>)> = Vec::new();
        let mut from = 0;
        let mut at_root = true;
        for frame in trail.shown {
            // What is shown are frames of the stack in its order: the next that is equal is meant.
            let place = trail.frames[from..].iter().position(|other| other == frame);
            let owner = place.and_then(|place| owners[from + place]);
            from += place.map_or(0, |place| place + 1);
            let known = frames.get(*frame);
            at_root &= owner.is_none() && known.kind == FrameKind::Process;
            if at_root {
                let key = self.by.get(labels.len()).map_or("process", Grouping::label_key);
                let stated = known.name.strip_prefix(key).and_then(|rest| rest.strip_prefix('='));
                labels.push((key.to_owned(), stated.unwrap_or(&known.name).to_owned()));
                continue;
            }
            match locations.last_mut() {
                Some((last, names)) if *last == owner && (owner.is_some() || known.inlined) => {
                    names.push(*frame);
                }
                _ => locations.push((owner, vec![*frame])),
            }
        }
        let locations = locations
            .into_iter()
            .map(|(owner, frames)| self.number(owner.map(|(_, id)| id), frames))
            .collect();
        self.stacks.push(PlacedStack { locations, labels, pid: trail.pid, sum });
    }

    fn number(&mut self, id: Option<AddressId>, frames: Vec<FrameId>) -> u32 {
        let address = id.and_then(|id| self.addresses.get(id));
        let address = address.map(|(group, address)| (group as u32, address.lookup()));
        let key = Key { address, frames };
        let next = self.locations.len() as u32;
        let number = *self.numbers.entry(key.clone()).or_insert(next);
        if number == next {
            self.locations.push((key, id));
        }
        number
    }

    /// All of it, with lines.
    #[must_use]
    pub fn finish(self, resolution: &Resolution, frames: &FrameTable) -> Placed {
        let location = |(key, id): (Key, Option<AddressId>)| {
            let nameless = |frame: &&FrameId| {
                key.address.is_some() && matches!(frames.get(**frame).kind, FrameKind::NoName(_))
            };
            let mut from = 0;
            let line = |frame: &FrameId| {
                let unknown = Line { frame: *frame, line: 0, start_line: 0 };
                let Some(resolved) = id.map(|id| resolution.get(id)) else { return unknown };
                let Some(place) = resolved.frames[from..].iter().position(|f| f == frame) else {
                    return unknown;
                };
                from += place + 1;
                let lines = resolved.lines.get(from - 1).copied().unwrap_or_default();
                Line { frame: *frame, line: lines.line, start_line: lines.start_line }
            };
            let named: Vec<&FrameId> = key.frames.iter().filter(|f| !nameless(f)).collect();
            Location { address: key.address, lines: named.into_iter().map(line).collect() }
        };
        let module = |group: &crate::addresses::Group| PlacedModule {
            module: group.module.clone(),
            is_executable: group.is_executable,
        };
        Placed {
            modules: self.addresses.groups.iter().map(module).collect(),
            locations: self.locations.into_iter().map(location).collect(),
            stacks: self.stacks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::gather;
    use profile::Frame;

    #[test]
    fn hidden_frames_leave_their_location_and_processes_become_labels() {
        let addresses = gather(&[]);
        let by = [Grouping::Process, Grouping::Label("k".into())];
        let mut collector = Collector::new(&addresses, &by);
        let mut frames = FrameTable::default();
        let mut frame = |name: &str, kind, inlined| {
            frames.intern(Frame { inlined, ..Frame::new(name, "m", kind) })
        };
        let process = frame("server", FrameKind::Process, false);
        let label = frame("k=v", FrameKind::Process, false);
        let main = frame("main", FrameKind::User, false);
        let inner = frame("inner", FrameKind::User, true);
        let f = frame("f", FrameKind::User, false);
        let all = [process, label, main, inner, f, f, main];
        let shown = [process, label, main, inner, f, main];
        let labels = Vec::new();
        let trail = Trail { frames: &all, places: &[], shown: &shown, pid: 7, labels };
        collector.add(trail, Sum { weight: 5, samples: 1 }, &frames);
        let resolution = Resolution { rows: Vec::new(), files: Vec::new() };
        let placed = collector.finish(&resolution, &frames);
        let names = |index: &u32| {
            let lines = placed.locations[*index as usize].lines.iter();
            lines.map(|line| frames.get(line.frame).name.to_string()).collect::<Vec<_>>().join("+")
        };
        let stack = &placed.stacks[0];
        let path: Vec<String> = stack.locations.iter().map(names).collect();
        assert_eq!(path, ["main+inner", "f", "main"]);
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(stack.labels, [label("process", "server"), label("k", "v")]);
        assert_eq!((stack.pid, stack.sum.weight), (7, 5));
    }
}
