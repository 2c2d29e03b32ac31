//! However a recording ends, what was taken before can be read.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use archive::Archive;
use profile::EndReason;
use rayon::iter::ParallelIterator as _;

use crate::recording::*;

#[test]
fn signals_end_a_recording_with_the_last_samples_written() {
    let dir = dir();
    let spin = Running::start(Command::new(program(dir.path(), "spin", &["-O1"])).arg("60"));
    for signal in ["INT", "TERM", "HUP"] {
        let path = dir.path().join(signal);
        // As a script's background job: with SIGINT ignored.
        let mut script = Command::new("sh");
        script.args(["-c", "trap '' INT; exec \"$@\"", "sh"]).arg(capture().get_program());
        let mut recorder =
            Running::start(script.args(["-F", "499", "-p", &spin.pid(), "-o"]).arg(&path));
        pause(900);
        recorder.signal(signal);
        assert!(recorder.wait().success(), "{signal}");
        let recorded = read(&path);
        recorded.assert_balanced();
        assert_eq!(recorded.end().reason, EndReason::Signal);
        let newest = recorded.times_ns.iter().max().unwrap();
        // A busy machine may not have run the target in the very last milliseconds.
        assert!(recorded.covered_to_ns - newest < 250_000_000, "{signal}");
    }
}

#[test]
fn nohup_is_respected_and_a_second_signal_harms_nothing() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let mut script = Command::new("sh");
    script.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(capture().get_program());
    let mut recorder = Running::start(script.args(["-a", "-o"]).arg(&path));
    pause(500);
    recorder.signal("HUP");
    pause(500);
    assert!(recorder.0.try_wait().unwrap().is_none(), "still recording");
    let both =
        Command::new("sh").args(["-c", "kill -INT $0; kill -INT $0", &recorder.pid()]).status();
    both.unwrap(); // the second may come too late
    assert!(recorder.wait().success());
    read(&path).assert_balanced();
}

#[test]
fn a_killed_recorder_leaves_what_it_had_flushed() {
    let dir = dir();
    let spin = Running::start(Command::new(program(dir.path(), "spin", &["-O1"])).arg("60"));
    let path = dir.path().join("run.arc");
    let mut recorder =
        Running::start(capture().args(["-F", "499", "-p", &spin.pid(), "-o"]).arg(&path));
    pause(2500);
    recorder.0.kill().unwrap();
    assert_eq!(recorder.wait().signal(), Some(9));
    let recorded = read(&path);
    assert!(recorded.archive.end().is_none());
    assert!(recorded.times_ns.len() > 50, "{} samples", recorded.times_ns.len());
}

#[test]
fn a_stream_holds_the_same_as_a_file() {
    let dir = dir();
    let spin = program(dir.path(), "spin", &["-O1"]);
    let path = dir.path().join("run.arc");
    // What the command prints must not stand inside the archive: it goes to standard error.
    let script = format!("seq 1 30000; exec {} 1", spin.display());
    let output = succeed(capture().args(["-o", "-", "--", "sh", "-c", &script]));
    fs::write(&path, &output.stdout).unwrap();
    let recorded = read(&path);
    recorded.assert_balanced();
    assert_eq!(recorded.end().reason, EndReason::TargetGone);
    assert!(recorded.times_ns.len() > 80);
    assert!(said(&output).contains("\n29999\n"), "{}", said(&output));
}

#[test]
fn a_reader_that_goes_away_ends_the_recording_with_a_message() {
    let mut recorder = capture();
    recorder.args(["-a", "-o", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut recorder = recorder.spawn().unwrap();
    let mut first = [0; 64];
    recorder.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = recorder.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("the reader of the stream has gone"), "{}", said(&output));
}

#[test]
fn the_targets_end_is_a_normal_end() {
    let dir = dir();
    let mut spin = Running::start(Command::new(program(dir.path(), "spin", &["-O1"])).arg("1.5"));
    let path = dir.path().join("run.arc");
    let mut recorder = Running::start(capture().args(["-p", &spin.pid(), "-o"]).arg(&path));
    spin.wait();
    assert!(recorder.wait().success());
    let recorded = read(&path);
    recorded.assert_balanced();
    assert_eq!(recorded.end().reason, EndReason::TargetGone);
}

#[test]
fn a_terminal_that_goes_away_costs_neither_the_recording_nor_the_status() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let (reader, gone) = std::io::pipe().unwrap();
    drop(reader);
    let mut recorder = capture();
    recorder.args(["-d", "0.5", "-o"]).arg(&path).args(["--", "sh", "-c", "sleep 1; exit 7"]);
    assert_eq!(recorder.stderr(gone).status().unwrap().code(), Some(7));
    assert_eq!(read(&path).end().reason, EndReason::Duration);
}

#[test]
fn a_full_disk_ends_the_recording_and_leaves_it_readable() {
    let dir = dir();
    let mount = dir.path().join("small");
    fs::create_dir(&mount).unwrap();
    succeed(Command::new("mount").args(["-t", "tmpfs", "-o", "size=48k", "none"]).arg(&mount));
    let path = mount.join("run.arc");
    let spin = Running::start(Command::new(program(dir.path(), "spin", &["-O1"])).arg("60"));
    let mut recorder = capture();
    recorder.args(["-F", "9999", "-d", "60", "-p", &spin.pid(), "-o"]).arg(&path);
    let output = recorder.output().unwrap();
    let archive = Archive::open(fs::File::open(&path).unwrap()).unwrap();
    let whole = archive.data_blocks().filter(Result::is_ok).count();
    let finished = archive.end().is_some();
    drop(archive);
    succeed(Command::new("umount").arg(&mount));
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("the disk is full"), "{}", said(&output));
    assert!(said(&output).contains("write failed"), "the loss is counted: {}", said(&output));
    assert!(said(&output).contains("INCOMPLETE"), "{}", said(&output));
    assert!(!finished);
    assert!(whole > 0, "what was written before is readable");
}
