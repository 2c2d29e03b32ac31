//! What `analyze run.arc` says and writes.

use crate::made::{Desk, Made, golden};
use profile::{Module, ModuleKind, StackEnd};

/// The story's recording: an event loop that polls without waiting.
fn spinning() -> Vec<u8> {
    let mut run = Made::new();
    run.ran("server", "_start main serve wait_events|do_syscall_64 __x64_sys_epoll_wait", 620);
    run.ran("server", "_start main serve wait_events+5", 210);
    run.ran("server", "_start main serve+16", 90);
    run.ran("helper", "_start main work", 60);
    let cut = run.stack("serve wait_events", StackEnd::NotCode);
    run.ran_in("server", cut, 20);
    run.finish()
}

#[test]
fn a_summary_tells_what_ran_what_was_lost_and_where_time_went() {
    let desk = Desk::with(&[("run.arc", spinning())]);
    let ran = desk.analyze("run.arc");
    assert_eq!((ran.status, ran.stderr.as_str()), (0, "wrote run.svg\n"));
    golden("spinning.txt", &ran.stdout);
    assert_eq!(desk.files(), ["run.arc", "run.svg"]);
    let picture = desk.read("run.svg");
    for text in ["run.arc", "prod-7", "wait_events", "caller may be missing", "02:41:28"] {
        assert!(picture.contains(text), "{text}");
    }
}

#[test]
fn a_recording_without_samples_says_what_that_means() {
    let desk = Desk::with(&[("idle.arc", Made::new().finish())]);
    let idle = desk.analyze("idle.arc");
    assert_eq!(idle.status, 0);
    assert!(idle.stdout.contains("\nNo samples: what was recorded did not run"), "{}", idle.stdout);
}

#[test]
fn folded_stacks_have_the_usual_marks_and_all_the_weight() {
    let desk = Desk::with(&[("run.arc", spinning())]);
    let ran = desk.analyze("run.arc -o x.folded");
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""));
    golden("spinning.folded", &desk.read("x.folded"));
    let sum: u64 = desk
        .read("x.folded")
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    assert_eq!(sum, 1_000 * crate::made::PERIOD_NS);
    assert_eq!(desk.files(), ["run.arc", "x.folded"]);
}

#[test]
fn without_the_files_the_same_recording_says_which_to_bring_and_brought_they_give_the_same() {
    let desk = Desk::with(&[("run.arc", spinning())]);
    let there = desk.analyze("run.arc -o there.folded -o there.txt");
    assert_eq!(there.status, 0);
    let ran = desk.analyze_elsewhere("run.arc");
    golden("nothing-here.txt", &ran.stdout);

    // What the scp line would do.
    std::fs::create_dir(desk.dir.path().join("debug")).unwrap();
    let brought = desk.dir.path().join("debug/server");
    std::fs::copy(crate::made::fixtures().join("server"), brought).unwrap();
    desk.analyze_elsewhere("run.arc --debug-dir ./debug -o here.folded -o here.txt");
    assert_eq!(desk.read("here.folded"), desk.read("there.folded"));
    assert_eq!(desk.read("here.txt"), desk.read("there.txt"));
}

#[test]
fn a_stripped_program_needs_its_debug_file_and_finds_it_by_its_link() {
    let desk = Desk::with(&[("run.arc", spinning())]);
    let srv = desk.dir.path().join("srv");
    std::fs::create_dir(&srv).unwrap();
    std::fs::copy(crate::made::fixtures().join("server.stripped"), srv.join("server")).unwrap();
    let stripped = desk.analyze_elsewhere("run.arc --sysroot . -o -");
    golden("stripped.txt", &stripped.stdout);

    std::fs::copy(crate::made::fixtures().join("server.debug"), srv.join("server.debug")).unwrap();
    desk.analyze_elsewhere("run.arc --sysroot . -o linked.folded");
    desk.analyze("run.arc -o there.folded");
    assert_eq!(desk.read("linked.folded"), desk.read("there.folded"));
}

#[test]
fn another_build_of_a_file_is_refused_and_said() {
    let desk = Desk::with(&[("run.arc", spinning())]);
    let srv = desk.dir.path().join("srv");
    std::fs::create_dir(&srv).unwrap();
    let mut other = std::fs::read(crate::made::fixtures().join("server")).unwrap();
    let id = symbolize::identify(&other).unwrap().build_id;
    let at = other.windows(20).position(|w| w == id.as_bytes()).unwrap();
    other[at] ^= 1;
    std::fs::write(srv.join("server"), other).unwrap();
    let ran = desk.analyze_elsewhere("run.arc --sysroot . -o -");
    assert!(ran.stdout.contains("another build is here"), "{}", ran.stdout);
    assert!(ran.stdout.contains("[server: another build of the file]"), "{}", ran.stdout);
}

#[test]
fn a_module_without_a_build_id_is_taken_by_its_looks_and_called_unverified() {
    let mut module = crate::made::server_module("/srv/server");
    module.build_id = profile::BuildId::default();
    let mut run = Made::with(&crate::made::facts(), &module);
    run.ran("server", "_start main work", 100);
    let desk = Desk::with(&[("run.arc", run.finish())]);
    let ran = desk.analyze("run.arc -o -");
    assert!(
        ran.stdout.contains("Unverified  1 module (no build-id was recorded;"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("  work  server\n"), "{}", ran.stdout);
}

#[test]
fn filters_keep_the_account_of_what_they_leave_out() {
    let desk = Desk::with(&[("run.arc", spinning())]);
    let ran = desk.analyze("run.arc -o - --comm helper");
    golden("only-helper.txt", &ran.stdout);
    assert_eq!(desk.analyze("run.arc -o - --pid 11").stdout, ran.stdout);
    let none = desk.analyze("run.arc --pid 99");
    assert_eq!(none.status, 2);
    assert_eq!(
        none.stderr,
        "analyze: nothing was recorded of --pid 99; recorded were helper, server\n"
    );
}

#[test]
fn kernel_and_inlined_frames_can_be_left_to_their_callers() {
    let desk = Desk::with(&[("run.arc", spinning())]);
    desk.analyze("run.arc --no-kernel --no-inlines -o x.folded");
    golden("plain.folded", &desk.read("x.folded"));
}

#[test]
fn several_recordings_merge_by_name() {
    let other = {
        let mut facts = crate::made::facts();
        facts.host = "prod-8".into();
        facts.recording_id = [8; 16];
        facts.boot_id = "77aa".into();
        let mut run = Made::with(&facts, &crate::made::server_module("/srv/server"));
        run.ran("server", "_start main work", 500);
        run.finish()
    };
    let desk = Desk::with(&[("a.arc", spinning()), ("b.arc", other)]);
    let ran = desk.analyze("a.arc b.arc");
    assert_eq!(ran.stderr, "wrote analyze.svg\n");
    golden("two-hosts.txt", &ran.stdout);
    assert_eq!(desk.analyze(". -o -").stdout, desk.analyze("./a.arc ./b.arc -o -").stdout);
}

#[test]
fn a_recording_given_twice_counts_once() {
    let desk = Desk::with(&[("a.arc", spinning()), ("copy.arc", spinning())]);
    let twice = desk.analyze("a.arc copy.arc -o -");
    assert_eq!(twice.stdout, desk.analyze("a.arc -o -").stdout);
    assert_eq!(
        twice.stderr,
        "analyze: copy.arc is the same recording as a.arc, and is counted once\n"
    );
}

#[test]
fn a_vdso_is_named_from_the_image_that_one_process_brought_for_all() {
    let image = std::fs::read(crate::made::fixtures().join("server")).unwrap();
    let mut vdso = crate::made::server_module("[vdso]");
    vdso.kind = ModuleKind::Vdso;
    let mut run = Made::new();
    run.embed(&vdso, &image);
    vdso.process = profile::ProcessId(1); // the same of another process
    let stack = run.elsewhere(&vdso, 0x1f0);
    run.ran_in("server", stack, 100);
    let desk = Desk::with(&[("run.arc", run.finish())]);
    let folded = desk.analyze_elsewhere("run.arc -o - --format folded").stdout;
    assert_eq!(folded, "server;[truncated: no frame pointers];work 1000000000\n");
}

#[test]
fn losses_are_told_by_their_cause() {
    let mut run = Made::new();
    run.ran("server", "_start main work", 300).dropped(100);
    let desk = Desk::with(&[("run.arc", run.finish())]);
    let stdout = desk.analyze("run.arc -o -").stdout;
    for line in [
        "Lost        25.0 % of 400 samples (100 ring buffer full)",
        "Note: 25.0 % of the samples were lost.",
    ] {
        assert!(stdout.lines().any(|l| l == line), "{stdout}");
    }
    assert!(desk.analyze("run.arc --info").stdout.ends_with("on every CPU\n"));
}

#[test]
fn hostile_names_reach_no_terminal_and_no_markup() {
    let evil = "\u{1b}[2J<script>\u{202e}x</script>\n&\"'";
    let mut run = Made::new();
    let mut module = Module::new(ModuleKind::File, format!("/tmp/{evil}"));
    module.build_id = profile::BuildId::new(&[5; 20]);
    let stack = run.elsewhere(&module, 0x1234);
    run.ran_in(evil, stack, 100);
    let desk = Desk::with(&[("run.arc", run.finish())]);
    let ran = desk.analyze("run.arc");
    let info = desk.analyze("run.arc --info");
    for text in [&ran.stdout, &ran.stderr, &info.stdout] {
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{text}");
    }
    assert!(ran.stdout.contains("[2J<script>"), "shown, but harmless");
    assert!(!ran.stdout.contains("scp "), "no command holds such a path");
    let picture = desk.read("run.svg");
    assert!(!picture.contains("<script>\u{fffd}") && !picture.contains('\u{202e}'));
    assert!(picture.contains("&lt;script&gt;"));
}

#[test]
fn the_outcome_is_the_same_for_any_number_of_threads() {
    let mut run = Made::new();
    for second in 0..20 {
        for (i, path) in
            ["_start main work", "_start main serve+16", "_start main serve wait_events"]
                .iter()
                .enumerate()
        {
            run.ran(&format!("server-{}", second % 7), path, 1 + i as u64 * second);
        }
        run.flush(1);
    }
    let desk = Desk::with(&[("run.arc", run.finish())]);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let recording = analyze::Recording::open(&desk.dir.path().join("run.arc")).unwrap();
            let search = analyze::Search {
                map_prefix: vec![(b"/srv".to_vec(), crate::made::fixtures())],
                ..analyze::Search::default()
            };
            let analysis = analyze::analyze(
                &[analyze::Input::from(recording)],
                &[],
                &analyze::Question::default(),
                &analyze::Locator::new(search),
                &analyze::SymbolCache::none(),
            )
            .unwrap();
            let mut folded = Vec::new();
            render::folded::write(&analysis.tree, &mut folded).unwrap();
            (String::from_utf8(folded).unwrap(), format!("{:?}", analysis.tree.nodes()))
        })
    };
    let one = with(1);
    assert!(one.0.lines().count() > 20);
    assert_eq!(one, with(2));
    assert_eq!(one, with(16));
}
