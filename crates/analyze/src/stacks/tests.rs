use super::*;
use crate::addresses::{Used, gather};
use crate::collapse::Cells;
use crate::group::Grouping;
use crate::paths::PathsBuilder;
use crate::processes::ProcessNames;
use crate::resolve::{ModuleFiles, Resolved};
use profile::{
    CgroupId, Module, ModuleId, ModuleKind, NameSource, NoName, Node, NodeId, Pid, Process,
    ProcessId, Stack, StackId, Tables, Text, Thread, Tid,
};

/// What an address is, in a few characters: "a" a function, "a+b" with b inlined, "a!" with a
/// caller that the walk skips, "a?" unknown, "a^" outermost, "-" without a name; in the module "m" or
/// the one after an "@".
fn resolved(code: &str, frames: &mut FrameTable) -> Resolved {
    let (code, caller) = match code.chars().last() {
        Some('!') => (&code[..code.len() - 1], Caller::Skipped),
        Some('?') => (&code[..code.len() - 1], Caller::Unknown),
        Some('^') => (&code[..code.len() - 1], Caller::Outermost),
        _ => (code, Caller::Next),
    };
    let (code, module) = code.split_once('@').unwrap_or((code, "m"));
    let no_name = (code == "-").then_some(NoName::NoFile);
    let ids = code
        .split('+')
        .enumerate()
        .map(|(i, name)| {
            let mut frame = Frame::new(name, module, FrameKind::User);
            frame.inlined = i > 0;
            frames.intern(frame)
        })
        .collect();
    Resolved { frames: ids, lines: [].into(), group: u32::from(module != "m"), no_name, caller }
}

/// The chain of one stack: user and kernel addresses root first, in words.
fn chain(user: &str, kernel: &str, end: StackEnd, shape: Shape) -> (String, Chain) {
    unwound_chain(user, kernel, end, shape, None)
}

/// Likewise of a stack that was unwound, if it was.
fn unwound_chain(
    user: &str,
    kernel: &str,
    end: StackEnd,
    shape: Shape,
    unwound: Option<Unwound>,
) -> (String, Chain) {
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
    let row = Stack { user, kernel, goroutine: NodeId::NONE, end };
    tables.stacks.push(row);
    let mut paths = PathsBuilder::new(&tables);
    let stack = unwound.map_or(StackId(1), |u| paths.stack(row, u));
    let paths = paths.finish();
    let cell = Cell { process: ProcessId(1), stack, weight: 1, samples: 1, ..Cell::default() };
    let cells = Cells { rows: vec![cell], ..Cells::default() };
    let addresses = gather(&[Used { tables: &tables, paths: &paths, cells: &cells }]);
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
        paths: &paths,
        groups: Groups {
            by: &[Grouping::Process],
            tables: &tables,
            host: &Text::default(),
            processes: &processes,
        },
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
        "server __libc_start_call_main main"
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
fn a_program_has_one_root_however_far_its_stacks_were_followed() {
    let complete = |user: &str| names(user, "", StackEnd::Complete);
    let main = "server __libc_start_call_main main f";
    assert_eq!(complete("_start^ __libc_start_main! __libc_start_call_main! main f"), main);
    assert_eq!(complete("__libc_start_main! __libc_start_call_main! main f"), main);
    assert_eq!(complete("__libc_start_call_main! main f"), main);
    assert_eq!(complete("clone3^ start_thread! f"), "server start_thread f");
    // Programs, and with them libraries, whose names were stripped.
    assert_eq!(
        complete("- __libc_start_main@c __libc_start_call_main@c - f"),
        "server __libc_start_call_main - f"
    );
    assert_eq!(complete("- __libc_start_main@c -@c - -"), "server - - -");
    assert_eq!(complete("- - __libc_start_main@c -@c - -"), "server - - -");
    assert_eq!(complete("- __libc_start_main@c f"), "server __libc_start_main f");
}

#[test]
fn what_a_program_calls_does_not_start_it() {
    let complete = |user: &str| names(user, "", StackEnd::Complete);
    assert_eq!(
        complete("__libc_start_call_main! main main f"),
        "server __libc_start_call_main main main f"
    );
    assert_eq!(
        complete("__libc_start_call_main! main clone"),
        "server __libc_start_call_main main clone"
    );
    assert_eq!(complete("f clone"), "server f clone");
    assert_eq!(complete("- - - clone"), "server - - - clone");
}

#[test]
fn a_thread_has_one_root_without_names_too() {
    let unwound = |user: &str, end| {
        let unwound = Unwound { end, repaired: true, unproven: Box::default() };
        unwound_chain(user, "", StackEnd::NotCode, Shape::default(), Some(unwound)).0
    };
    let root = WalkEnd::Root;
    assert_eq!(unwound("-@libc.so.6 -@libc.so.6 - f", root), "server - - f");
    assert_eq!(unwound("-@ld-musl-x86_64.so.1 -@ld-musl-x86_64.so.1 f", root), "server - f");
    assert_eq!(unwound("-@libc.so.6 - - f", root), "server - - - f");
    assert_eq!(unwound("- - - f", root), "server - - - f", "not a C library");
    assert_eq!(
        unwound("-@libc.so.6 -@libc.so.6 f", WalkEnd::Recorded),
        "server [truncated: no frame pointers] - - f"
    );
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
