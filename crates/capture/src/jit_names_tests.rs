//! Maps on a real disk; when what happens is the test's.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use profile::SymbolFrom;

use super::*;
use crate::untrusted_file::hold;

const SECOND_NS: u64 = 1_000_000_000;
const IMAGE: Image = Image { pid: 70, uid: 1 };

/// A process with a root of its own, in which its pid is 7.
struct Target {
    root: tempfile::TempDir,
    names: JitNames,
    /// What runs under its pid now.
    runs: Cell<Option<u64>>,
    symbols: Vec<HostSymbol>,
}

impl Target {
    fn new(map: Option<&str>) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("tmp")).unwrap();
        let names = JitNames::default();
        let target = Self { root, names, runs: Cell::new(Some(IMAGE.uid)), symbols: Vec::new() };
        if let Some(map) = map {
            target.write(map);
        }
        target
    }

    fn write(&self, map: &str) {
        fs::write(self.root.path().join("tmp/perf-7.map"), map).unwrap();
    }

    fn hit(&mut self, avma: u64, time_ns: u64) {
        let root = hold(self.root.path().to_str().unwrap()).unwrap();
        let owner = fs::metadata("/proc/self").unwrap().uid();
        let place = || ("node".into(), PerfMapPlace::in_root(&root, 7, owner));
        let address = JitAddress { avma, module: ModuleId(3) };
        self.names.want(IMAGE, address, time_ns, place);
    }

    /// Names that are new, as long as nothing but the time decides.
    fn search(&mut self, now_ns: u64) -> Vec<String> {
        let runs = |_| self.runs.get();
        let before = self.symbols.len();
        self.names.notice_ends(runs);
        let symbols = &mut self.symbols;
        assert!(self.names.search(now_ns, u64::MAX, |symbol| symbols.push(symbol.clone())));
        self.symbols[before..].iter().map(|s| s.name.lossy().into_owned()).collect()
    }

    fn search_all(&mut self, now_ns: u64) -> Vec<String> {
        self.names.hurry(now_ns);
        self.search(now_ns)
    }
}

#[test]
fn names_come_after_growing_intervals_and_each_function_once() {
    let mut target = Target::new(Some("1000 100 first\n2000 100 second\n"));
    target.hit(0x1010, 0);
    assert_eq!(target.search(4 * SECOND_NS), [""; 0]);
    assert_eq!(target.search(5 * SECOND_NS), ["first"]);
    target.hit(0x1020, 6 * SECOND_NS);
    target.hit(0x2010, 6 * SECOND_NS);
    assert_eq!(target.search(14 * SECOND_NS), [""; 0]);
    assert_eq!(target.search(15 * SECOND_NS), ["second"]);
    assert_eq!(target.search_all(16 * SECOND_NS), [""; 0]);
    let expected = HostSymbol {
        module: ModuleId(3),
        start: 0x1000,
        bytes: 0x100,
        name: "first".into(),
        from: SymbolFrom::PerfMap,
        seen_ns: 5 * SECOND_NS,
    };
    assert_eq!(target.symbols[0], expected);
    assert_eq!(target.names.summary().to_string(), "run-time code: 2 functions named");
    assert_eq!(target.names.count, 0);
}

#[test]
fn what_was_missed_is_found_in_what_is_appended() {
    let mut target = Target::new(Some("1000 100 first\n2000 10"));
    target.hit(0x1010, 0);
    target.hit(0x2010, 0);
    assert_eq!(target.search(5 * SECOND_NS), ["first"]);
    assert_eq!(target.names.processes[&1].searched.unwrap().to, 15, "the end of the whole lines");
    target.write("1000 100 first\n2000 100 second\n");
    assert_eq!(target.search_all(6 * SECOND_NS), ["second"]);
}

#[test]
fn a_map_that_was_begun_anew_is_searched_from_its_start() {
    let mut target = Target::new(Some("1000 100 first\n5000 100 never hit\n"));
    target.hit(0x2010, 0);
    assert_eq!(target.search(5 * SECOND_NS), [""; 0]);
    target.write("2000 100 second\n");
    assert_eq!(target.search_all(6 * SECOND_NS), ["second"]);
}

#[test]
fn a_process_that_ended_is_searched_for_at_once_and_then_forgotten() {
    let mut target = Target::new(None);
    target.hit(0x1010, 0);
    target.write("1000 100 dumped at exit\n");
    target.runs.set(None);
    assert_eq!(target.search(SECOND_NS), ["dumped at exit"]);
    target.search(2 * SECOND_NS);
    assert!(target.names.processes.is_empty());
    assert_eq!(target.names.summary().to_string(), "run-time code: 1 function named");
}

#[test]
fn the_map_of_the_next_program_is_not_taken() {
    let mut target = Target::new(Some("1000 100 of the next program\n"));
    target.hit(0x1010, 0);
    target.runs.set(Some(2));
    assert_eq!(target.search(SECOND_NS), [""; 0]);
    assert!(target.names.summary().to_string().ends_with("was gone too early"));

    // One that was known before, and has not become shorter, is still this image's.
    let mut target = Target::new(Some("1000 100 first\n2000 100 second\n"));
    target.hit(0x1010, 0);
    assert_eq!(target.search(5 * SECOND_NS), ["first"]);
    target.hit(0x2010, 6 * SECOND_NS);
    target.runs.set(Some(2));
    assert_eq!(target.search(7 * SECOND_NS), ["second"]);
}

#[test]
fn addresses_without_a_name_are_counted_once_each() {
    let mut target = Target::new(None);
    for _ in 0..3 {
        target.hit(0x1010, 0);
        target.hit(0x1020, 0);
        target.search(60 * SECOND_NS);
    }
    target.search_all(61 * SECOND_NS);
    assert_eq!(target.names.count, 2);
    assert_eq!(
        target.names.summary().to_string(),
        "run-time code: 0 functions named, 2 addresses without a name: \
         /tmp/perf-7.map of node (70) does not exist (start it with --perf-basic-prof)"
    );
    target.names.begin_epoch();
    assert_eq!(target.names.count, 0);
    assert_eq!(target.names.summary().to_string().matches(" 2 addresses").count(), 1);
}

#[test]
fn an_epoch_waits_for_its_names_but_not_for_ever() {
    let mut target = Target::new(Some("1000 100 first\n"));
    assert!(target.names.epoch_may_end(SECOND_NS), "nothing to wait for");
    target.names.begin_epoch();
    target.hit(0x1010, SECOND_NS);
    assert!(!target.names.epoch_may_end(2 * SECOND_NS));
    assert!(target.names.epoch_may_end(2 * SECOND_NS + MAX_HURRY_NS));
    assert_eq!(target.search(3 * SECOND_NS), ["first"]);
    assert!(target.names.epoch_may_end(3 * SECOND_NS));
    target.hit(0x2010, 3 * SECOND_NS);
    assert!(!target.names.epoch_may_end(3 * SECOND_NS), "hit meanwhile");
}

#[test]
fn addresses_are_bounded() {
    let mut target = Target::new(None);
    for avma in 0..2 * MAX_WANTED as u64 {
        target.hit(avma, 0);
    }
    assert_eq!(target.names.count, MAX_WANTED);
    assert_eq!(target.names.summary.passed_over, MAX_WANTED as u64);
}
