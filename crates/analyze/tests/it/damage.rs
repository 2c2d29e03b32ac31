//! Recordings that are cut off or damaged: what is there is shown, what is missing is said, everywhere.

use crate::made::{Desk, Made};

/// Ten blocks, a second and 100 samples each.
fn recording() -> Vec<u8> {
    let mut run = Made::new();
    for _ in 0..10 {
        run.ran("server", "_start main work", 60);
        run.ran("server", "_start main serve wait_events", 40);
        run.flush(1);
    }
    run.finish()
}

/// `recording()` without its last third.
fn cut() -> Vec<u8> {
    let whole = recording();
    whole[..whole.len() * 2 / 3].to_vec()
}

#[test]
fn an_incomplete_recording_is_named_first_in_every_output() {
    let desk = Desk::with(&[("cut.arc", cut()), ("whole.arc", recording())]);
    let ran = desk.analyze("cut.arc -o - -o x.txt -o x.svg -o x.folded");
    assert_eq!(ran.status, 0);
    assert!(
        ran.stdout.starts_with("INCOMPLETE: the archive ends without an end"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.starts_with("INCOMPLETE: "), "{}", ran.stderr);
    assert!(desk.read("x.txt").starts_with("INCOMPLETE: "));
    assert!(desk.read("x.svg").contains("INCOMPLETE: "));
    assert!(desk.analyze("cut.arc --top").stdout.starts_with("INCOMPLETE: "));
    assert!(desk.analyze("cut.arc --info").stdout.contains("\nINCOMPLETE: "));

    let new = desk.analyze("cut.arc --diff whole.arc -o - -o d.svg");
    assert!(new.stdout.starts_with("INCOMPLETE: the archive"), "{}", new.stdout);
    assert!(desk.read("d.svg").contains("INCOMPLETE: "));
    let base = desk.analyze("whole.arc --diff cut.arc -o -");
    assert!(base.stdout.starts_with("INCOMPLETE: base: the archive"), "{}", base.stdout);
}

#[test]
fn strict_makes_it_a_failure() {
    let desk = Desk::with(&[("cut.arc", cut()), ("whole.arc", recording())]);
    assert_eq!(desk.analyze("cut.arc -o - --strict").status, 4);
    assert_eq!(desk.analyze("cut.arc --info --strict").status, 4);
    assert_eq!(desk.analyze("whole.arc -o - --strict").status, 0);
    assert_eq!(desk.analyze("whole.arc --diff cut.arc -o - --strict").status, 4);
}

#[test]
fn cores_of_a_cut_recording_are_those_of_the_time_it_covers() {
    let desk = Desk::with(&[("cut.arc", cut())]);
    let stdout = desk.analyze("cut.arc -o -").stdout;
    let line = stdout.lines().find(|line| line.starts_with("CPU time")).unwrap();
    assert!(line.contains(" = 1.00 cores; "), "{line}");
}

#[test]
fn a_lost_block_is_counted_to_the_sample() {
    let mut bytes = recording();
    // Damage one byte in the middle of the file: one block is lost, and nothing else.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    let desk = Desk::with(&[("run.arc", bytes)]);
    let ran = desk.analyze("run.arc -o - -o x.folded");
    let first = ran.stdout.lines().next().unwrap();
    assert!(
        first.starts_with("INCOMPLETE: 100 samples (1.00 CPU-seconds) cannot be read"),
        "{first}"
    );
    let sum: u64 = desk
        .read("x.folded")
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    assert_eq!(sum, 900 * crate::made::PERIOD_NS);
}

#[test]
fn one_bad_input_among_several_is_named_and_the_rest_goes_on() {
    let desk = Desk::with(&[
        ("good.arc", recording()),
        ("bad.arc", b"not a recording".to_vec()),
        ("empty.arc", Vec::new()),
    ]);
    let ran = desk.analyze("good.arc bad.arc -o -");
    assert_eq!(ran.status, 0);
    let first = ran.stdout.lines().next().unwrap();
    assert!(first.starts_with("INCOMPLETE: left out: bad.arc is not a recording"), "{first}");
    assert!(ran.stderr.contains("bad.arc"));
    assert_eq!(desk.analyze("good.arc bad.arc -o - --strict").status, 4);

    let none = desk.analyze("bad.arc empty.arc");
    assert_eq!(none.status, 2);
    assert!(
        none.stderr.contains("bad.arc") && none.stderr.contains("empty.arc is not a recording")
    );
    let missing = desk.analyze("nowhere.arc");
    assert_eq!(missing.status, 2);
    assert!(missing.stderr.starts_with("analyze: cannot read nowhere.arc: No such file"));
}

#[test]
fn no_cut_makes_it_fail_otherwise_than_with_a_message() {
    let whole = recording();
    let desk = Desk::with(&[]);
    for length in (0..whole.len()).step_by(97) {
        std::fs::write(desk.dir.path().join("cut.arc"), &whole[..length]).unwrap();
        let ran = desk.analyze("cut.arc -o -");
        let said = ran.status == 0 && ran.stdout.starts_with("INCOMPLETE: ");
        let refused = ran.status == 2 && ran.stderr.starts_with("analyze: ");
        assert!(said || refused, "cut at {length}: {} {}", ran.status, ran.stderr);
    }
}

#[test]
fn whatever_is_damaged_the_weight_shown_and_the_weight_missed_are_all_there_was() {
    let whole = recording();
    let written = 1_000 * crate::made::PERIOD_NS;
    let locator = analyze::Locator::new(analyze::Search::default());
    let cache = analyze::SymbolCache::none();
    let question = analyze::Question::default();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut refused = 0;
    for _ in 0..300 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (at, flip) = ((state >> 33) as usize % whole.len(), (state >> 20) as u8 | 1);
        let mut bytes = whole.clone();
        bytes[at] ^= flip;
        let Ok(recording) = analyze::Recording::from_bytes("x.arc".as_ref(), bytes) else {
            refused += 1;
            continue;
        };
        let inputs = [analyze::Input::from(recording)];
        let analysis = analyze::analyze(&inputs, &[], &question, &locator, &cache).unwrap();
        let recorded = &analysis.recordings[0];
        let lost = recorded.damage.lost(recorded.event).weight;
        assert_eq!(analysis.tree.total() + lost, written, "byte {at} ^ {flip:#x}");
        assert!(!recorded.damage.complete, "byte {at} ^ {flip:#x} is not said");
    }
    assert!(refused < 10, "{refused} of 300 damaged files could not be opened at all");
}

#[test]
fn absurd_figures_are_no_reason_to_fall_over() {
    let made = |id: u8| {
        let mut facts = crate::made::facts();
        facts.recording_id = [id; 16];
        facts.events[0].period = u64::MAX;
        facts.clock.realtime_ns = u64::MAX;
        let mut run = Made::with(&facts, &crate::made::server_module("/srv/server"));
        run.weighs("server", "_start main work", u64::MAX - 1).dropped(u64::MAX - 1_000);
        run.finish()
    };
    let desk = Desk::with(&[("a.arc", made(1)), ("b.arc", made(2)), ("whole.arc", recording())]);
    assert_eq!(desk.analyze("a.arc").status, 0);
    assert_eq!(desk.analyze("a.arc --info").status, 0);
    assert_eq!(desk.analyze("a.arc --diff whole.arc").status, 0);
    let both = desk.analyze("a.arc b.arc");
    assert_eq!(both.status, 2);
    assert!(both.stderr.starts_with("analyze: b.arc: with this recording the CPU time exceeds"));
}
