//! What `analyze run.arc --diff base.arc` says and writes.

use crate::made::{Desk, Made, golden};

const WAIT: &str = "_start main serve wait_events";
const CALL: &str = "_start main serve wait_events|do_syscall_64 __x64_sys_epoll_wait";

/// The story: the same server, with a timeout of 1 ms and with none.
fn fixed() -> Vec<u8> {
    let mut facts = crate::made::facts();
    facts.recording_id = [2; 16];
    let mut run = Made::with(&facts, &crate::made::server_module("/srv/server"));
    run.ran("server", CALL, 9).ran("server", WAIT, 4).ran("server", "_start main work", 60);
    run.finish()
}

fn spinning() -> Vec<u8> {
    let mut run = Made::new();
    run.ran("server", CALL, 640).ran("server", WAIT, 290).ran("server", "_start main work", 62);
    run.finish()
}

#[test]
fn the_culprit_stands_in_the_first_lines() {
    let desk = Desk::with(&[("spin.arc", spinning()), ("fixed.arc", fixed())]);
    let ran = desk.analyze("spin.arc --diff fixed.arc");
    assert_eq!((ran.status, ran.stderr.as_str()), (0, "wrote spin.diff.svg\n"));
    golden("spin-against-fixed.txt", &ran.stdout);
    let picture = desk.read("spin.diff.svg");
    assert!(picture.contains("fixed.arc → spin.arc") && picture.contains("wait_events"));

    golden("fixed-against-spin.txt", &desk.analyze("fixed.arc --diff spin.arc -o -").stdout);
}

#[test]
fn a_recording_against_itself_has_not_changed() {
    let desk = Desk::with(&[("spin.arc", spinning())]);
    let ran = desk.analyze("spin.arc --diff spin.arc -o -");
    golden("spin-against-itself.txt", &ran.stdout);
}

#[test]
fn other_durations_compare_in_cores_and_launched_commands_in_totals() {
    let made = |seconds, samples, launched| {
        let mut facts = crate::made::facts();
        facts.launched = launched;
        let mut run = Made::with(&facts, &crate::made::server_module("/srv/server"));
        run.seconds = seconds;
        run.spread = seconds;
        run.ran("server", "_start main work", samples);
        run.finish()
    };
    let desk = Desk::with(&[
        ("short.arc", made(10, 500, false)),
        ("long.arc", made(40, 2_000, false)),
        ("quick-job.arc", made(10, 500, true)),
        ("slow-job.arc", made(40, 2_000, true)),
    ]);
    let first = |arguments: &str| {
        desk.analyze(arguments).stdout.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        first("long.arc --diff short.arc -o -"),
        "CPU use may have changed or not: 0.50 and 0.50 cores (0, 95 % interval −0.046 to +0.046)."
    );
    assert_eq!(
        first("slow-job.arc --diff quick-job.arc -o -"),
        "CPU use grew from 5.00 to 20.0 CPU-seconds a run (+15.0), not tested against noise."
    );
    assert_eq!(
        first("slow-job.arc --diff quick-job.arc -o - --scale cores"),
        "CPU use may have changed or not: 0.50 and 0.50 cores (0, 95 % interval −0.046 to +0.046)."
    );
    assert_eq!(
        first("slow-job.arc --diff short.arc -o - --scale share"),
        "Compared are shares: what each function takes of its side's whole."
    );
}

#[test]
fn what_one_side_lacks_is_new_or_gone() {
    let made = |path: &str| {
        let mut run = Made::new();
        run.ran("server", path, 300);
        run.finish()
    };
    let desk = Desk::with(&[("a.arc", made("_start main work")), ("b.arc", made(WAIT))]);
    let ran = desk.analyze("b.arc --diff a.arc --top");
    golden("new-and-gone.txt", &ran.stdout);
}

#[test]
fn several_bases_are_one_base() {
    let desk = Desk::with(&[("spin.arc", spinning()), ("fixed.arc", fixed())]);
    let ran = desk.analyze("spin.arc --diff fixed.arc --diff spin.arc -o -");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    // One machine and one time: 10 s observed, the CPU time of both recordings.
    assert!(lines[0].starts_with("CPU use may have changed"), "{}", lines[0]);
    assert!(ran.stdout.contains("10.7 CPU-seconds in 10.0 s, 1,065 samples"), "{}", ran.stdout);
}

#[test]
fn a_regression_fails_where_that_is_asked_for() {
    let mut facts = crate::made::facts();
    facts.recording_id = [3; 16];
    let mut again = Made::with(&facts, &crate::made::server_module("/srv/server"));
    again.ran("server", CALL, 650).ran("server", WAIT, 285).ran("server", "_start main work", 60);
    let desk = Desk::with(&[
        ("spin.arc", spinning()),
        ("fixed.arc", fixed()),
        ("again.arc", again.finish()),
    ]);
    let status = |arguments: &str| desk.analyze(&format!("{arguments} -o -")).status;
    assert_eq!(status("spin.arc --diff fixed.arc --fail-on regression"), 1);
    assert_eq!(status("spin.arc --diff fixed.arc --fail-on regression=2000%"), 0);
    assert_eq!(status("fixed.arc --diff spin.arc --fail-on regression"), 0);
    assert_eq!(status("spin.arc --diff fixed.arc"), 0);
    assert_eq!(status("spin.arc --diff spin.arc --fail-on regression"), 0);
    // The same program again: whether it grew by a hundredth, ten seconds do not say.
    assert_eq!(status("again.arc --diff spin.arc --fail-on regression"), 3);
    assert_eq!(status("again.arc --diff spin.arc --fail-on regression=20%"), 0);
}

#[test]
fn cpu_time_is_compared_for_each_unit_of_work() {
    let served = |samples, recording: u8| {
        let mut facts = crate::made::facts();
        facts.recording_id = [recording; 16];
        let mut run = Made::with(&facts, &crate::made::server_module("/srv/server"));
        run.ran("server", "_start main work", samples);
        run.finish()
    };
    let desk = Desk::with(&[("busy.arc", served(800, 1)), ("calm.arc", served(400, 2))]);
    let first = |arguments: &str| {
        let ran = desk.analyze(&format!("busy.arc --diff calm.arc -o - {arguments}"));
        ran.stdout.lines().next().unwrap_or_default().to_owned()
    };
    assert!(first("").starts_with("REGRESSION: CPU use grew from 0.40 to 0.80 cores"));
    let by_work = first("--work 2000 --diff-work 1000");
    assert!(by_work.contains("4.00 and 4.00 CPU-ms per unit of work (0,"), "{by_work}");
}

#[test]
fn sides_that_do_not_compare_get_no_verdict() {
    let mut facts = crate::made::facts();
    facts.events[0].name = "task-clock".into();
    let mut other = Made::with(&facts, &crate::made::server_module("/srv/server"));
    other.ran("server", "_start main work", 900);
    let desk = Desk::with(&[("a.arc", spinning()), ("b.arc", other.finish())]);
    let ran = desk.analyze("a.arc --diff b.arc -o - --fail-on regression");
    assert_eq!(ran.status, 3);
    assert!(ran.stdout.contains("NO VERDICT: the sides were recorded with different events"));
    assert!(!ran.stdout.contains("REGRESSION"));
}

#[test]
fn several_runs_of_a_command_compare_by_their_mean() {
    let run = |number: u8, samples| {
        let mut facts = crate::made::facts();
        facts.recording_id = [number; 16];
        facts.launched = true;
        let mut run = Made::with(&facts, &crate::made::server_module("/srv/server"));
        run.ran("server", "_start main work", samples);
        (format!("{number}.arc"), run.finish())
    };
    let runs: Vec<(String, Vec<u8>)> =
        (1..=9).map(|number| run(number, 500 + u64::from(number % 3))).collect();
    let slower: Vec<(String, Vec<u8>)> = (11..=13).map(|number| run(number, 900)).collect();
    let all: Vec<(&str, Vec<u8>)> =
        runs.iter().chain(&slower).map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let desk = Desk::with(&all);
    let base = "--diff 7.arc --diff 8.arc --diff 9.arc --fail-on regression=15% -o -";
    // Twice as many runs of the same work are no more work.
    let same = desk.analyze(&format!("1.arc 2.arc 3.arc 4.arc 5.arc 6.arc {base}"));
    assert!(same.stdout.contains("5.01 and 5.01 CPU-seconds a run"), "{}", same.stdout);
    assert!(same.stdout.contains("6 against 3 captures"), "{}", same.stdout);
    assert_eq!(same.status, 0, "{}", same.stderr);
    let slower = desk.analyze(&format!("11.arc 12.arc 13.arc {base}"));
    assert!(
        slower.stdout.starts_with("REGRESSION: CPU use grew from 5.01 to 9.00"),
        "{}",
        slower.stdout
    );
    assert_eq!(slower.status, 1);
}

#[test]
fn a_change_below_a_root_that_is_always_busy_is_found() {
    let busy = |number: u8, work, waiting, rest| {
        let mut facts = crate::made::facts();
        facts.recording_id = [number; 16];
        let mut run = Made::with(&facts, &crate::made::server_module("/srv/server"));
        run.ran("server", "_start main work", work);
        run.ran("server", "_start main serve wait_events", waiting);
        run.ran("server", "_start main", rest);
        run.finish()
    };
    let desk = Desk::with(&[("a.arc", busy(1, 200, 600, 200)), ("b.arc", busy(2, 700, 250, 50))]);
    let ran = desk.analyze("b.arc --diff a.arc -o - -o b.svg");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("CPU use is unchanged: 1.00 and 1.00 cores"), "{}", ran.stdout);
    assert!(
        lines[1].starts_with("REGRESSION: work (server) grew from 0.20 to 0.70"),
        "{}",
        lines[1]
    );
    assert!(!ran.stdout.contains("moved"), "neither is new or gone: {}", ran.stdout);
    assert!(desk.read("b.svg").contains("▲ work"));
}
