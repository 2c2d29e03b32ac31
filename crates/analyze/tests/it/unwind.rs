//! Stacks that were recorded with registers and stack words.

use analyze::Recording;
use profile::{BuildId, Kept, KeptValue, Module, ModuleId, ModuleKind, Slice, StackEnd};

use crate::made::{Desk, Made};

fn code(module: ModuleId, address: u64) -> KeptValue {
    KeptValue::Code { module, address }
}

fn word(words: u32, value: KeptValue) -> Kept {
    Kept { place: Kept::place_of_word(words), value }
}

/// The event loop in `wait_events`, which sets no frame pointer: the walk skipped `serve`, and the word
/// at the stack pointer says so. `more` further words are of no use.
fn skipped(run: &mut Made, more: u64) {
    let serve = code(run.server, run.code("serve>wait_events"));
    let mut slice = Slice { looked_at_words: 4, kept: vec![word(0, serve)], other: None };
    slice.kept.extend((0..more).map(|n| word(n as u32 + 1, KeptValue::Stack(16 + 8 * n))));
    let stack = run.sliced("_start>main main>serve wait_events", StackEnd::Complete, &slice);
    run.ran_in("server", stack, 10);
}

/// A chain that broke at once, with all that is needed to continue it.
fn broken(run: &mut Made) {
    let server = run.server;
    let caller = |run: &Made, at: &str| code(server, run.code(at));
    let slice = Slice {
        looked_at_words: 6,
        kept: vec![
            Kept { place: 6, value: KeptValue::Stack(8) },
            word(0, caller(run, "serve>wait_events")),
            word(1, KeptValue::Stack(24)),
            word(2, caller(run, "main>serve")),
            word(4, caller(run, "_start>main")),
        ],
        other: None,
    };
    let stack = run.sliced("wait_events", StackEnd::NotCode, &slice);
    run.ran_in("server", stack, 30);
}

#[test]
fn skipped_callers_are_inserted_and_broken_chains_continued() {
    let mut run = Made::new();
    (0..3).for_each(|more| skipped(&mut run, more));
    broken(&mut run);
    run.ran("server", "_start main work", 40);
    let desk = Desk::with(&[("run.arc", run.finish())]);
    let ran = desk.analyze("run.arc -o x.folded -o -");
    assert_eq!((ran.status, ran.stderr.as_str()), (0, "wrote x.folded\n"));
    assert_eq!(
        desk.read("x.folded"),
        "server;_start;main;[caller may be missing];work 400000000\n\
         server;_start;main;serve;wait_events 600000000\n"
    );
    let stacks = ran.stdout.lines().find(|line| line.starts_with("Stacks")).unwrap();
    assert_eq!(
        stacks,
        "Stacks      60.0 % complete (60.0 % repaired with unwind tables); 40.0 % with a caller that may be missing"
    );
    let lacking = ran.stdout.lines().find(|line| line.starts_with("Not whole")).unwrap();
    assert_eq!(lacking, "Not whole   40.0 % in server (with a caller that may be missing)");
}

#[test]
fn without_the_file_stacks_stay_as_recorded_and_the_bill_says_what_it_would_mend() {
    let mut run = Made::new();
    broken(&mut run);
    skipped(&mut run, 0);
    let desk = Desk::with(&[("run.arc", run.finish())]);
    let ran = desk.analyze_elsewhere("run.arc -o x.folded -o -");
    assert_eq!(
        desk.read("x.folded"),
        "server;[server: file not found];[server: file not found];[caller may be missing];\
         [server: file not found] 100000000\n\
         server;[truncated: file with unwind tables not found];[server: file not found] 300000000\n"
    );
    let mend =
        "Files that are not here would also mend stacks of 75.0 % of the CPU time, which end";
    assert!(ran.stdout.contains(mend), "{}", ran.stdout);
    let lacking = ran.stdout.lines().find(|line| line.starts_with("Not whole")).unwrap();
    assert_eq!(
        lacking,
        "Not whole   75.0 % in server (the file with the unwind tables is not here); 25.0 % in \
         server (not checked (no unwind tables, or no file))"
    );
}

#[test]
fn a_slice_that_is_too_short_says_so() {
    let mut run = Made::new();
    let serve = code(run.server, run.code("serve>wait_events"));
    let slice = Slice { looked_at_words: 2, kept: vec![word(0, serve)], other: None };
    let stack = run.sliced("wait_events", StackEnd::NotCode, &slice);
    run.ran_in("server", stack, 10);
    let desk = Desk::with(&[("run.arc", run.finish())]);
    let ran = desk.analyze("run.arc -o x.folded -o -");
    let expected = "server;[truncated: no frame pointers];serve;wait_events 100000000\n";
    assert_eq!(desk.read("x.folded"), expected);
    assert!(ran.stdout.contains("100 % cut: code without frame pointers"), "{}", ran.stdout);
}

/// Several processes may map one build from different places; a recorder embeds it once.
#[test]
fn what_is_embedded_of_one_module_serves_all_of_its_build() {
    let build = |path: &str, id: &[u8]| {
        let mut module = Module::new(ModuleKind::Vdso, path);
        module.build_id = BuildId::new(id);
        module
    };
    let mut run = Made::new();
    run.embed(&build("[vdso]", &[7; 20]), b"image");
    for (path, id) in [("[copy]", &[7; 20][..]), ("[other]", &[8; 20]), ("[unknown]", &[])] {
        let stack = run.elsewhere(&build(path, id), 0x10);
        run.ran_in("server", stack, 1);
    }
    let recording = Recording::from_bytes("run.arc".as_ref(), run.finish()).unwrap();
    let image = |path: &str| {
        let mut rows = (1..).map(ModuleId).zip(&recording.tables().modules);
        let (id, _) = rows.find(|(_, module)| &*module.path.lossy() == path).unwrap();
        recording.vdso_image(id)
    };
    assert_eq!(image("[vdso]").as_deref(), Some(&b"image"[..]));
    assert_eq!(image("[copy]").as_deref(), Some(&b"image"[..]));
    assert_eq!((image("[other]"), image("[unknown]")), (None, None));
}
