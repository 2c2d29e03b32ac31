//! `--tree` and `--callers`: what calls what, on a terminal.

use crate::made::{Desk, Made, golden};

fn recording(waits: u64) -> Vec<u8> {
    let mut run = Made::new();
    let wait = "_start main serve wait_events|do_syscall_64 __x64_sys_epoll_wait";
    run.ran("server", wait, waits).ran("server", "_start main serve wait_events", 290);
    run.ran("server", "_start main work", 62).ran("server", "_start main", 3);
    run.finish()
}

#[test]
fn the_tree_stands_from_the_process_down_and_its_parts_add_up() {
    let desk = Desk::with(&[("run.arc", recording(640))]);
    let ran = desk.analyze("run.arc --tree");
    assert_eq!((ran.status, desk.files()), (0, vec!["run.arc".to_owned()]), "and nothing else");
    golden("tree.txt", &ran.stdout);
}

#[test]
fn callers_and_callees_of_one_function() {
    let desk = Desk::with(&[("run.arc", recording(640))]);
    golden("callers.txt", &desk.analyze("run.arc --callers wait_events").stdout);
    let by_expression = desk.analyze("run.arc --callers ^wait_ev");
    assert_eq!(by_expression.stdout, desk.analyze("run.arc --callers wait_ev").stdout);
    let several = desk.analyze("run.arc --callers epoll|main|work");
    assert_eq!(several.status, 2);
    assert!(several.stderr.contains("several functions match"), "{}", several.stderr);
    assert!(several.stderr.contains(": main, __x64_sys_epoll_wait, work"), "{}", several.stderr);
    let none = desk.analyze("run.arc --callers nobody");
    assert_eq!(none.status, 2);
    assert!(none.stderr.contains("no function of such a name"), "{}", none.stderr);
}

#[test]
fn both_show_what_changed() {
    let desk = Desk::with(&[("base.arc", recording(40)), ("run.arc", recording(640))]);
    let tree = desk.analyze("run.arc --diff base.arc --tree").stdout;
    let row = tree.lines().find(|line| line.contains("__x64_sys_epoll_wait")).unwrap();
    assert!(row.contains("+0.600") && row.contains("0.0400") && row.contains("0.640"), "{tree}");
    let callers = desk.analyze("run.arc --diff base.arc --callers __x64_sys_epoll_wait").stdout;
    let rows: Vec<&str> = callers.lines().filter(|line| line.contains("+0.600")).collect();
    assert!(rows.len() >= 5, "{callers}");
    assert!(callers.starts_with("Callers of __x64_sys_epoll_wait"), "{callers}");
}
