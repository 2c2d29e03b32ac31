//! Code made at run time has the names that its process wrote down for it, and no process can make
//! `capture` wait, or look into another's file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use profile::{ModuleKind, SymbolFrom};
use rayon::iter::ParallelIterator as _;

use crate::recording::*;

/// Samples by the name of their leaf, where that is code made at run time; "" without a name.
fn leaves(path: &Path) -> BTreeMap<String, usize> {
    let recorded = read(path);
    recorded.assert_balanced();
    let tables = recorded.archive.tables();
    let mut leaves = BTreeMap::new();
    for block in recorded.archive.data_blocks().collect::<Vec<_>>() {
        block.unwrap().for_each_sample(|sample| {
            let Some((_, leaf)) = tables.nodes.walk(tables.stacks.get(sample.stack).user).next()
            else {
                return;
            };
            if tables.module(leaf.module).is_none_or(|m| m.kind != ModuleKind::Anon) {
                return;
            }
            let names_it = |s: &&profile::HostSymbol| {
                let within = leaf.address.wrapping_sub(s.start) < s.bytes;
                s.module == leaf.module && s.from == SymbolFrom::PerfMap && within
            };
            let name = tables.symbols.iter().find(names_it).map(|s| s.name.lossy().into_owned());
            *leaves.entry(name.unwrap_or_default()).or_default() += 1;
        });
    }
    leaves
}

fn assert_exact(path: &Path) {
    let leaves = leaves(path);
    let names: Vec<&str> = leaves.keys().map(String::as_str).collect();
    assert_eq!(names, ["jit_heavy", "jit_light"], "{leaves:?}");
    let all: usize = leaves.values().sum();
    assert!(all > 500, "{leaves:?}");
    let percent = leaves["jit_heavy"] * 100 / all;
    assert!((70..=80).contains(&percent), "three of four parts: {leaves:?}");
}

/// A new recording at 997 Hz.
fn recorder(path: &Path) -> Command {
    let mut recorder = capture();
    recorder.args(["--force", "-F", "997", "-o"]).arg(path);
    recorder
}

/// Removes the maps that recorded processes left behind.
fn remove_maps(path: &Path) {
    for process in &read(path).archive.tables().processes {
        drop(Map::of(process.pid.0));
    }
}

/// A map that is removed again.
struct Map(PathBuf);

impl Map {
    fn of(pid: impl std::fmt::Display) -> Self {
        Self(format!("/tmp/perf-{pid}.map").into())
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0).or_else(|_| fs::remove_file(&self.0));
    }
}

#[test]
fn private_and_shared_memory_is_named_exactly() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let jit = program(dir.path(), "jit", WITH_FRAME_POINTERS);
    for mode in ["map", "shared", "late"] {
        let output = succeed(recorder(&path).arg("--").arg(&jit).args(["1.5", mode]));
        remove_maps(&path);
        assert!(said(&output).contains("run-time code: 2 functions named\n"), "{}", said(&output));
        assert_exact(&path);
    }
}

#[test]
fn a_process_that_ends_during_the_recording_is_named() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let jit = program(dir.path(), "jit", WITH_FRAME_POINTERS);
    let mut recorder = Running::start(recorder(&path).arg("-a"));
    pause(500);
    // Its map is written at its very end; then the folder is all that is left of its root.
    let mut target = Running::start(Command::new(&jit).args(["0.7", "late"]));
    let _map = Map::of(target.pid());
    target.wait();
    pause(500);
    recorder.signal("INT");
    assert!(recorder.wait().success());
    let leaves = leaves(&path);
    assert!(leaves["jit_heavy"] > 400, "{leaves:?}");
}

#[test]
fn a_container_has_its_own_pids_and_its_own_tmp() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let path = dir.path().join("run.arc");
    let jit = program(dir.path(), "jit", WITH_FRAME_POINTERS);
    let script = format!("mount -t tmpfs none /tmp && {} 1.5 map; true", jit.display());
    let container = ["unshare", "--mount", "--pid", "--fork", "--", "sh", "-c", &script];
    let output = succeed(recorder(&path).arg("--").args(container));
    assert!(said(&output).contains("run-time code: 2 functions named"), "{}", said(&output));
    assert_exact(&path);
}

/// Records a process in whose map's place something else stands, put there by `put` which is given
/// that place and the lines of a map.
fn record_with(jit: &Path, path: &Path, put: impl FnOnce(&Path, &str)) -> String {
    let mut command = Command::new(jit);
    let target = command.args(["60", "none"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut target = Running(target);
    let mut lines = BufReader::new(target.0.stdout.take().unwrap()).lines();
    let lines = [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap(), String::new()];
    let map = Map::of(target.pid());
    put(&map.0, &lines.join("\n"));
    let output = succeed(recorder(path).args(["-d", "1", "-p", &target.pid()]));
    said(&output)
}

#[test]
fn what_stands_in_a_maps_place_is_refused_with_the_reason() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let jit = program(dir.path(), "jit", WITH_FRAME_POINTERS);
    let elsewhere = dir.path().join("elsewhere");
    type Put<'a> = &'a dyn Fn(&Path, &str);
    let cases: [(&str, Put<'_>); 8] = [
        ("is a link", &|map, lines| {
            fs::write(&elsewhere, lines).unwrap();
            symlink(&elsewhere, map).unwrap();
        }),
        ("has hard links", &|map, lines| {
            fs::write(&elsewhere, lines).unwrap();
            fs::hard_link(&elsewhere, map).unwrap();
        }),
        ("is not a regular file", &|map, _| {
            assert!(Command::new("mkfifo").arg(map).status().unwrap().success());
        }),
        ("is not a regular file", &|map, _| fs::create_dir(map).unwrap()),
        ("belongs to another user", &|map, lines| {
            fs::write(map, lines).unwrap();
            chown(map, Some(65534), None).unwrap();
        }),
        ("is longer than 512 MiB", &|map, lines| {
            fs::write(map, lines).unwrap();
            fs::OpenOptions::new().write(true).open(map).unwrap().set_len(1 << 40).unwrap();
        }),
        ("does not name them", &|map, lines| {
            let garbage = lines.replace(' ', "\0").into_bytes().repeat(1000);
            fs::write(map, [garbage, vec![0xff; 1 << 20]].concat()).unwrap();
        }),
        ("does not exist", &|_, _| {}),
    ];
    for (reason, put) in cases {
        let said = record_with(&jit, &path, put);
        assert!(said.contains(" of jit ("), "{said}");
        assert!(said.contains(reason), "{reason}: {said}");
        let leaves = leaves(&path);
        assert_eq!(leaves.keys().collect::<Vec<_>>(), [""], "{reason}: {leaves:?}");
        let _ = fs::remove_file(&elsewhere);
    }
}

#[test]
fn a_sparse_file_of_the_longest_size_does_not_hold_up_the_end() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let jit = program(dir.path(), "jit", WITH_FRAME_POINTERS);
    record_with(&jit, &path, |map, lines| {
        fs::write(map, lines).unwrap();
        fs::OpenOptions::new().write(true).open(map).unwrap().set_len(512 << 20).unwrap();
    });
    let leaves = leaves(&path);
    assert!(leaves.keys().all(|name| ["", "jit_heavy", "jit_light"].contains(&&**name)));
}

#[test]
fn a_map_that_is_replaced_all_the_time_gives_right_names_or_none() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let jit = program(dir.path(), "jit", WITH_FRAME_POINTERS);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        record_with(&jit, &path, |map, lines| {
            let (map, lines, done) = (map.to_owned(), lines.to_owned(), &done);
            scope.spawn(move || {
                let beside = map.with_extension("new");
                while !done.load(Ordering::Relaxed) {
                    let padding = "1 1 x\n".repeat(100_000);
                    for content in [&format!("{padding}{lines}"), "1 fff wrong\n", &lines] {
                        fs::write(&beside, content).unwrap();
                        fs::rename(&beside, &map).unwrap();
                        fs::write(&map, "").unwrap();
                    }
                }
                let _ = fs::remove_file(&map);
            });
        });
        done.store(true, Ordering::Relaxed);
    });
    let leaves = leaves(&path);
    assert!(leaves.keys().all(|name| ["", "jit_heavy", "jit_light"].contains(&&**name)));
}

#[test]
fn node_says_its_functions_names() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let script = dir.path().join("fib.js");
    let source = "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }\n\
        while (process.cpuUsage().user < 2e6) fib(25);\n";
    fs::write(&script, source).unwrap();
    let node = ["--", "node", "--perf-basic-prof"];
    // It writes a log beside the map.
    let output = succeed(recorder(&path).args(node).arg(&script).current_dir(dir.path()));
    remove_maps(&path);
    assert!(said(&output).contains("run-time code: "), "{}", said(&output));
    let leaves = leaves(&path);
    let all: usize = leaves.values().sum();
    let place = format!("fib {}:1:13", script.display());
    let fib: usize = leaves.iter().filter(|(name, _)| name.contains(&place)).map(|(_, n)| n).sum();
    assert!(all > 1000, "{leaves:?}");
    assert!(fib * 100 >= all * 95, "{leaves:?}");
    assert!(leaves.get("").is_none_or(|nameless| nameless * 100 <= all), "{leaves:?}");
}
