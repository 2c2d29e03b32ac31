//! Which samples count, and what stands at the root: filters, times, groupings.

use crate::made::{Desk, Made};

/// Ten seconds: a server that works, then spins; a second process beside it.
fn run() -> Vec<u8> {
    let mut run = Made::new();
    run.spread = 5;
    run.ran("server", "_start main work", 100).flush(5);
    run.ran("server", "_start main serve wait_events", 300);
    run.ran("backup", "_start main work", 50).flush(5);
    run.finish()
}

fn folded(desk: &Desk, arguments: &str) -> Vec<String> {
    let ran = desk.analyze(&format!("{arguments} -o - --format folded"));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_left_out_is_said_and_adds_up() {
    let desk = Desk::with(&[("run.arc", run())]);
    let filtered = |arguments: &str| {
        let ran = desk.analyze(&format!("{arguments} -o -"));
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let line = ran.stdout.lines().find(|line| line.starts_with("Filtered")).map(str::to_owned);
        line.unwrap_or_default()
    };
    assert_eq!(filtered("run.arc"), "");
    assert_eq!(
        filtered("run.arc --comm server"),
        "Filtered    of 4.50 CPU-seconds recorded, 4.00 are shown; left out: 0.50 of other processes or \
         threads (50 samples)"
    );
    assert_eq!(
        filtered("run.arc --comm s*r --focus wait_"),
        "Filtered    of 4.50 CPU-seconds recorded, 3.00 are shown; left out: 0.50 of other processes or \
         threads, 1.00 by their stacks (150 samples)"
    );
}

#[test]
fn a_filter_of_one_input_leaves_the_others_alone() {
    let desk = Desk::with(&[("run.arc", run())]);
    assert_eq!(
        folded(&desk, "run.arc@comm=backup"),
        ["backup;_start;main;[caller may be missing];work 500000000"]
    );
    let both = desk.analyze("run.arc@comm=backup run.arc@comm=server -o -");
    assert!(both.stderr.contains("would count twice"), "{}", both.stderr);
}

#[test]
fn frames_are_hidden_and_stacks_ignored_by_name() {
    let desk = Desk::with(&[("run.arc", run())]);
    assert_eq!(
        folded(&desk, "run.arc --hide ^_start$ --hide main|missing --ignore wait"),
        ["backup;work 500000000", "server;work 1000000000"]
    );
}

#[test]
fn the_root_is_what_was_asked_for() {
    let desk = Desk::with(&[("run.arc", run())]);
    let roots = |by: &str| {
        let lines = folded(&desk, &format!("run.arc {by}"));
        let mut roots: Vec<String> = lines
            .iter()
            .filter_map(|line| Some(line.split_once(";_start")?.0.to_owned()))
            .collect();
        roots.sort();
        roots.dedup();
        roots
    };
    assert_eq!(roots("--by host"), ["prod-7"]);
    assert_eq!(roots("--by module --by process"), ["server;backup", "server;server"]);
    assert_eq!(roots("--by cpu"), ["CPU 0", "CPU 1", "CPU 2", "CPU 3"]);
    assert_eq!(roots("--by label=tenant"), ["[no tenant]"]);
}

#[test]
fn a_recording_is_its_own_base() {
    let desk = Desk::with(&[("run.arc", run())]);
    let ran = desk.analyze("run.arc@-5s.. --diff run.arc@rest -o -");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("3.50 CPU-seconds in 5.00 s"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1.00 CPU-seconds in 5.00 s"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("on both sides"), "{}", ran.stdout);
    let overlapping = desk.analyze("run.arc@2s.. --diff run.arc@..5s -o -");
    assert!(
        overlapping.stdout.contains("Note: 3.00 s are on both sides"),
        "{}",
        overlapping.stdout
    );
    let same = desk.analyze("run.arc@0s..5s run.arc@5s..10s -o -");
    assert!(same.stdout.contains("4.50 CPU-seconds in 10.0 s"), "{}", same.stdout);
}

#[test]
fn what_cannot_be_cut_is_an_error_that_says_why() {
    let desk = Desk::with(&[("run.arc", run()), ("other.arc", run())]);
    let error = |arguments: &str| {
        let ran = desk.analyze(arguments);
        assert_eq!(ran.status, 2);
        ran.stderr
    };
    assert!(error("run.arc --from 20s").contains("lies outside what was recorded"));
    assert!(error("run.arc --from 8s --to 2s").contains("ends before it begins"));
    assert!(error("run.arc@rest").contains("the other side must take a part"));
    assert!(error("run.arc@user=x").contains("is no filter"));
    assert!(error("run.arc@pid=1 run.arc@pid=2").contains("would count twice"));
    assert!(error("run.arc --focus (").contains("--focus: "));
    assert!(error("run.arc --module nothing-like-it").contains("nothing was recorded of --module"));
    assert!(error("run.arc --focus nothing-like-it --top").contains("--focus or --ignore"));
    assert!(error("run.arc --pid 99").contains("nothing was recorded of --pid 99"));
}
