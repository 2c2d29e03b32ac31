//! From unique stacks to a call tree: process, then user frames, then kernel frames, root first.
//!
//! Two things are never claimed silently. A chain that was cut hangs under a marker that says why,
//! never as if its top were the root. And where a frame-pointer walk came through a function that had
//! not set its frame pointer, the walk skipped that function's caller: a marker stands between it and
//! the next frame that was recorded.

use profile::{Frame, FrameId, FrameKind, FrameTable, NoName, StackEnd, Tables};

use crate::addresses::{AddressId, Addresses};
use crate::collapse::Cell;
use crate::naming::Named;
use crate::processes::ProcessNames;
use crate::resolve::{Caller, Resolution};

/// Which frames are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Kernel frames; without them their weight is their user caller's.
    pub kernel: bool,
    /// Inlined functions as frames of their own; without them their weight is the physical
    /// function's.
    pub inlines: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { kernel: true, inlines: true }
    }
}

/// How much of a stack is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Wholeness {
    /// From a root to the leaf.
    Complete,
    /// Nothing says that a caller is missing, but for a module without unwind information.
    Unchecked,
    /// A caller may have been skipped.
    CallerSkipped,
    /// Cut, and why.
    Cut(StackEnd),
}

/// A stack as frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// Root first, beginning with the process.
    pub frames: Vec<FrameId>,
    /// How much of it is there.
    pub wholeness: Wholeness,
    /// Who named the code that ran, or why nobody did.
    pub leaf: Named,
    /// Groups ([`crate::addresses::Group`]) on the stack, each once, and whether frames of it lack
    /// names.
    pub groups: Vec<(u32, bool)>,
    /// Which of these the code that ran is of.
    pub leaf_group: Option<usize>,
}

/// The marker under which a cut stack hangs.
fn cut_marker(end: StackEnd) -> Option<&'static str> {
    match end {
        StackEnd::Complete | StackEnd::NoUser => None,
        StackEnd::DepthLimit => Some("[truncated: depth limit]"),
        StackEnd::NotCode => Some("[truncated: no frame pointers]"),
        StackEnd::Fault => Some("[truncated: page not present]"),
        StackEnd::MapsUnknown => Some("[truncated: mappings unknown]"),
        StackEnd::LostBlock => Some(LOST),
    }
}

/// What stands where a block that is damaged held the definition.
pub const LOST: &str = "[lost in a damaged block]";

/// What stands between a function and a frame that need not be its caller.
pub const CALLER_SKIPPED: &str = "[caller may be missing]";

/// Functions between a thread's first instruction and its own code: glibc's and musl's.
const STARTS_THREADS: [&str; 10] = [
    "_start",
    "_start_c",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_call_main",
    "libc_start_main_stage2",
    "start_thread",
    "clone",
    "__clone",
    "clone3",
];

/// Makes chains of one recording's stacks.
pub struct Chains<'a> {
    /// Which recording, in [`Addresses`].
    pub recording: usize,
    /// Its tables.
    pub tables: &'a Tables,
    /// Its processes' frames.
    pub processes: &'a ProcessNames,
    /// Numbers of addresses.
    pub addresses: &'a Addresses,
    /// Their names.
    pub resolution: &'a Resolution,
    /// Which frames are shown.
    pub shape: Shape,
}

fn marker(frames: &mut FrameTable, name: &str) -> FrameId {
    frames.intern(Frame::new(name, "", FrameKind::Marker))
}

impl Chains<'_> {
    /// The frames of one stack in one process.
    pub fn chain(&self, cell: &Cell, frames: &mut FrameTable) -> Chain {
        let stack = self.tables.stacks.get(cell.stack);
        let mut chain = Chain {
            frames: vec![self.processes.frame(cell.process, frames)],
            wholeness: Wholeness::Complete,
            leaf: Err(match stack.end {
                StackEnd::LostBlock => NoName::LostBlock,
                _ => NoName::Unmapped,
            }),
            groups: Vec::new(),
            leaf_group: None,
        };
        let user = self.addresses.path(self.recording, self.tables, stack.user);
        let end = self.why_it_ends(stack.end, &user, frames);
        if let Some(name) = cut_marker(end) {
            let cut = marker(frames, name);
            if chain.frames[0] != cut {
                chain.frames.push(cut);
            }
            chain.wholeness = Wholeness::Cut(end);
        }
        for (index, id) in user.iter().enumerate() {
            if !self.starts_threads(*id, user.get(index + 1), frames) {
                let is_leaf = index + 1 == user.len();
                self.note_caller(&mut chain, *id, index == 0, is_leaf, frames);
            }
            self.push(&mut chain, *id, true, frames);
        }
        let kernel = self.addresses.path(self.recording, self.tables, stack.kernel);
        for id in kernel {
            self.push(&mut chain, id, self.shape.kernel, frames);
        }
        chain
    }

    /// What the end of a walk means, given the code where it ended.
    ///
    /// In the code that starts a program or a thread it has arrived, whatever it met there: glibc
    /// calls `main` with any number in the register. In another function that never set its frame
    /// pointer the register may hold any number, too: zero looks like the end of the stack, a small one
    /// like a page that is not present. (Of a Rust program built without frame pointers 95 % of the
    /// samples ended so, and of gcc's compiler, which has none, 28 % with zero.)
    fn why_it_ends(&self, end: StackEnd, user: &[AddressId], frames: &FrameTable) -> StackEnd {
        let by_register = matches!(end, StackEnd::Complete | StackEnd::Fault | StackEnd::NotCode);
        match user.first() {
            Some(root) if by_register => {
                if self.starts_threads(*root, user.get(1), frames) {
                    StackEnd::Complete
                } else if self.resolution.get(*root).caller == Caller::Skipped {
                    StackEnd::NotCode
                } else {
                    end
                }
            }
            _ => end,
        }
    }

    /// Whether an address lies in the code that starts programs and threads. It sets no frame pointer
    /// in the C libraries, but what a walk skips there is more of the same, and nobody looks for it.
    /// Stripped libraries have no names for it; then it shows by calling the program's `main`.
    fn starts_threads(
        &self,
        id: AddressId,
        callee: Option<&AddressId>,
        frames: &FrameTable,
    ) -> bool {
        let physical =
            |id: AddressId| self.resolution.get(id).frames.first().map(|frame| frames.get(*frame));
        physical(id).is_some_and(|frame| STARTS_THREADS.contains(&&*frame.name))
            || callee
                .and_then(|callee| physical(*callee))
                .is_some_and(|frame| &*frame.name == "main" && frame.kind == FrameKind::User)
    }

    /// Sets a marker before the frames of an address whose caller the walk skipped.
    fn note_caller(
        &self,
        chain: &mut Chain,
        id: AddressId,
        is_root: bool,
        is_leaf: bool,
        frames: &mut FrameTable,
    ) {
        let resolved = self.resolution.get(id);
        match resolved.caller {
            Caller::Next | Caller::Outermost => {}
            Caller::Unknown => {
                // Of a library that is not here every leaf may be one that sets no frame pointer, as
                // most of libc is: nothing may be claimed until the file is brought.
                if is_leaf && !is_root && resolved.no_name.is_some() {
                    chain.frames.push(marker(frames, CALLER_SKIPPED));
                }
                chain.wholeness = chain.wholeness.max(Wholeness::Unchecked);
            }
            Caller::Skipped => {
                // At the root of a cut chain the marker that stands there says it already.
                if !(is_root && matches!(chain.wholeness, Wholeness::Cut(_))) {
                    chain.frames.push(marker(frames, CALLER_SKIPPED));
                }
                chain.wholeness = chain.wholeness.max(Wholeness::CallerSkipped);
            }
        }
    }

    /// Appends the frames of an address. What is known of names counts also where it is not shown.
    fn push(&self, chain: &mut Chain, id: AddressId, shown: bool, frames: &FrameTable) {
        let resolved = self.resolution.get(id);
        if shown {
            let inlines = self.shape.inlines;
            let wanted = |frame: &&FrameId| inlines || !frames.get(**frame).inlined;
            chain.frames.extend(resolved.frames.iter().filter(wanted));
        }
        chain.leaf = match (resolved.no_name, resolved.frames.last()) {
            (None, Some(innermost)) => Ok(frames.get(*innermost).source),
            (reason, _) => Err(reason.unwrap_or(NoName::OutOfRange)),
        };
        let known = chain.groups.iter().position(|(group, _)| *group == resolved.group);
        let position = known.unwrap_or_else(|| {
            chain.groups.push((resolved.group, false));
            chain.groups.len() - 1
        });
        chain.groups[position].1 |= chain.leaf.is_err();
        chain.leaf_group = Some(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::{Used, gather};
    use crate::collapse::Cells;
    use crate::resolve::{ModuleFiles, Resolved};
    use profile::{
        CgroupId, Module, ModuleId, ModuleKind, NameSource, NoName, Node, NodeId, Pid, Process,
        ProcessId, Stack, StackId, Text, Thread, Tid,
    };

    /// What an address is, in a few characters: "a" a function, "a+b" with b inlined, "a!" with a
    /// caller that the walk skips, "a?" unknown, "a^" outermost, "-" without a name.
    fn resolved(code: &str, frames: &mut FrameTable) -> Resolved {
        let (code, caller) = match code.chars().last() {
            Some('!') => (&code[..code.len() - 1], Caller::Skipped),
            Some('?') => (&code[..code.len() - 1], Caller::Unknown),
            Some('^') => (&code[..code.len() - 1], Caller::Outermost),
            _ => (code, Caller::Next),
        };
        let no_name = (code == "-").then_some(NoName::NoFile);
        let ids = code
            .split('+')
            .enumerate()
            .map(|(i, name)| {
                let mut frame = Frame::new(name, "m", FrameKind::User);
                frame.inlined = i > 0;
                frames.intern(frame)
            })
            .collect();
        Resolved { frames: ids, group: 0, no_name, caller }
    }

    /// The chain of one stack: user and kernel addresses root first, in words.
    fn chain(user: &str, kernel: &str, end: StackEnd, shape: Shape) -> (String, Chain) {
        let mut tables = Tables::default();
        let process = Process {
            pid: Pid(7),
            start_ns: 0,
            image: 0,
            image_ns: 0,
            parent: ProcessId::NONE,
            ns_pid: 0,
            cgroup: CgroupId::NONE,
            exe: ModuleId::NONE,
            argv0: Text::default(),
        };
        tables.processes.push(process);
        let comm = "server".into();
        tables.threads.push(Thread { tid: Tid(7), process: ProcessId(1), comm, start_ns: 0 });
        tables.modules.push(Module::new(ModuleKind::File, "/m"));
        let mut codes = Vec::new();
        let mut push = |path: &str| {
            path.split_whitespace().fold(NodeId::NONE, |parent, code| {
                codes.push(code.to_owned());
                let address = codes.len() as u64;
                tables.nodes.push(Node { parent, module: ModuleId(1), address })
            })
        };
        let (user, kernel) = (push(user), push(kernel));
        tables.stacks.push(Stack { user, kernel, end });
        let cell = Cell { process: ProcessId(1), stack: StackId(1), weight: 1, samples: 1 };
        let cells = Cells { rows: vec![cell], ..Cells::default() };
        let addresses = gather(&[Used { tables: &tables, cells: &cells }]);
        let mut frames = FrameTable::default();
        // Addresses are numbered in the order of their values, and that is the order of the codes.
        let rows = codes.iter().map(|code| resolved(code, &mut frames)).collect();
        let resolution = Resolution {
            rows,
            files: vec![ModuleFiles { located: None, vmlinux: None, refused: None }],
        };
        let processes = ProcessNames::new(&tables);
        let chains = Chains {
            recording: 0,
            tables: &tables,
            processes: &processes,
            addresses: &addresses,
            resolution: &resolution,
            shape,
        };
        let chain = chains.chain(&cell, &mut frames);
        let names: Vec<&str> = chain.frames.iter().map(|f| &*frames.get(*f).name).collect();
        (names.join(" "), chain)
    }

    fn names(user: &str, kernel: &str, end: StackEnd) -> String {
        chain(user, kernel, end, Shape::default()).0
    }

    #[test]
    fn a_stack_is_the_process_then_user_then_kernel_frames_root_first() {
        let (names, chain) =
            chain("start^ main serve+parse", "sys read", StackEnd::Complete, Shape::default());
        assert_eq!(names, "server start main serve parse sys read");
        assert_eq!(chain.wholeness, Wholeness::Complete);
        assert_eq!(chain.leaf, Ok(NameSource::Given));
        assert_eq!(self::names("", "kthread work", StackEnd::NoUser), "server kthread work");
    }

    #[test]
    fn a_marker_stands_between_a_function_and_a_frame_that_need_not_be_its_caller() {
        let complete = StackEnd::Complete;
        assert_eq!(
            names("start^ main serve epoll_wait+inner!", "sys", complete),
            "server start main serve [caller may be missing] epoll_wait inner sys"
        );
        assert_eq!(
            names("start^ main f! g", "", complete),
            "server start main [caller may be missing] f g"
        );
        let skipped = chain("start^ f! g", "", complete, Shape::default()).1;
        assert_eq!(skipped.wholeness, Wholeness::CallerSkipped);
    }

    #[test]
    fn the_first_function_of_a_thread_has_no_caller_to_miss() {
        assert_eq!(names("start^", "", StackEnd::Complete), "server start");
    }

    #[test]
    fn a_cut_stack_hangs_under_the_reason_and_says_it_once() {
        for (end, marker) in [
            (StackEnd::DepthLimit, "[truncated: depth limit]"),
            (StackEnd::NotCode, "[truncated: no frame pointers]"),
            (StackEnd::MapsUnknown, "[truncated: mappings unknown]"),
            (StackEnd::LostBlock, LOST),
        ] {
            assert_eq!(names("f! g", "", end), format!("server {marker} f g"));
            let cut = chain("f g?", "", end, Shape::default()).1;
            assert_eq!(cut.wholeness, Wholeness::Cut(end));
        }
    }

    #[test]
    fn a_register_that_is_no_frame_pointer_says_nothing_of_the_end() {
        assert_eq!(names("f!", "", StackEnd::Complete), "server [truncated: no frame pointers] f");
        assert_eq!(names("f g", "", StackEnd::Fault), "server [truncated: page not present] f g");
        assert_eq!(names("f!", "", StackEnd::Fault), "server [truncated: no frame pointers] f");
        assert_eq!(
            names("f g!", "", StackEnd::Fault),
            "server [truncated: page not present] f [caller may be missing] g"
        );
    }

    #[test]
    fn code_that_starts_programs_and_threads_misses_nobody() {
        let complete = StackEnd::Complete;
        assert_eq!(
            names("_start^ __libc_start_call_main! main", "", complete),
            "server _start __libc_start_call_main main"
        );
        assert_eq!(names("start_thread! f", "", complete), "server start_thread f");
        for end in [StackEnd::NotCode, StackEnd::Fault] {
            assert_eq!(
                names("__libc_start_call_main! main f", "", end),
                "server __libc_start_call_main main f"
            );
        }
        assert_eq!(
            names("start_thread! f", "", StackEnd::DepthLimit),
            "server [truncated: depth limit] start_thread f"
        );
        assert_eq!(names("-! main f", "", complete), "server - main f", "a stripped library");
        assert_eq!(names("-! f", "", complete), "server [truncated: no frame pointers] - f");
    }

    #[test]
    fn code_without_unwind_tables_is_counted_and_marked_where_its_file_is_not_here() {
        let (names, chain) = chain("main jit?", "", StackEnd::Complete, Shape::default());
        assert_eq!(names, "server main jit");
        assert_eq!(chain.wholeness, Wholeness::Unchecked);
        assert_eq!(chain.groups, [(0, false)]);
        let (names, chain) = self::chain("main -? -?", "", StackEnd::Complete, Shape::default());
        assert_eq!(names, "server main - [caller may be missing] -", "only a leaf");
        assert_eq!(chain.wholeness, Wholeness::Unchecked);
        assert_eq!(chain.leaf, Err(NoName::NoFile));
        assert_eq!((chain.groups, chain.leaf_group), (vec![(0, true)], Some(0)));
    }

    #[test]
    fn what_is_not_shown_leaves_its_weight_to_its_caller() {
        let shape = Shape { kernel: false, inlines: false };
        let (names, chain) = chain("main serve+parse", "sys", StackEnd::Complete, shape);
        assert_eq!(names, "server main serve");
        assert_eq!(chain.leaf, Ok(NameSource::Given));
    }
}
