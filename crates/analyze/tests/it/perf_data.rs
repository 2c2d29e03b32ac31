//! Recordings of `perf record`: the same stacks as perf and inferno make of them, and no cut or change of
//! their bytes that ends in anything but an answer or a reason.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use analyze::Recording;
use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options};
use profile::EventId;
use rayon::iter::ParallelIterator;

use crate::made::Desk;
use crate::testdata::{case, command, golden, printed};

const RECORDINGS: [&str; 4] = ["fp.data", "pipe.data", "events.data", "dwarf.data"];

fn bytes(name: &str) -> Vec<u8> {
    fs::read(case("perf").join(name)).unwrap()
}

fn folded(name: &str) -> String {
    printed(command(&case("perf"), &format!("{name} --format folded")).arg("--no-cache"))
}

#[test]
fn callchains_in_files_and_compressed_pipes_and_of_several_events() {
    golden("perf", "fp.data", "fp.txt");
    for name in RECORDINGS {
        golden("perf", &format!("{name} --format folded"), &name.replace(".data", ".folded"));
    }
    golden("perf", "events.data --info", "events.info.txt");
}

#[test]
fn copies_of_the_stack_lead_to_the_root_without_frame_pointers() {
    let folded = folded("dwarf.data");
    assert!(folded.contains("bare;_start;begin;work;compute "), "{folded}");
    assert!(!folded.contains("[truncated") && !folded.contains("[caller"), "{folded}");
}

#[test]
fn a_pipe_is_read_from_standard_input() {
    let case = case("perf");
    let mut command = command(&case, "- --format folded --no-cache");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&bytes("pipe.data")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), folded("pipe.data"));
}

/// CPU time by stack. What the other side cannot know is left out: of the kernel names, and where a
/// caller may be missing.
fn comparable(folded: &str, is_kernel: fn(&str) -> bool) -> BTreeMap<String, u64> {
    let mut stacks = BTreeMap::new();
    for line in folded.lines() {
        let (stack, weight) = line.rsplit_once(' ').unwrap();
        let weight: u64 = weight.parse().unwrap();
        let mut frames: Vec<&str> = stack
            .split(';')
            .filter(|frame| *frame != "[caller may be missing]")
            .map(|frame| if is_kernel(frame) { "kernel" } else { frame })
            .collect();
        frames.dedup_by(|a, b| *a == "kernel" && *b == "kernel");
        *stacks.entry(frames.join(";")).or_default() += weight;
    }
    stacks
}

#[test]
fn stacks_are_those_that_perf_script_and_inferno_make() {
    let script = bytes("expected/fp.script");
    let mut options = Options::default();
    options.annotate_kernel = true;
    let mut theirs = Vec::new();
    Folder::from(options).collapse(&script[..], &mut theirs).unwrap();
    let theirs = String::from_utf8(theirs).unwrap();
    let theirs = comparable(&theirs, |frame| frame.ends_with("_[k]"));
    let ours = comparable(&folded("fp.data"), |frame| frame.starts_with("[kernel"));
    assert!(ours.len() > 4, "{ours:?}");
    assert_eq!(ours, theirs);
}

/// Reads all there is, and returns how many samples.
fn read(name: &str, bytes: Vec<u8>) -> Option<u64> {
    let recording = Recording::from_bytes(Path::new(name), bytes).ok()?;
    let rows = recording.data_blocks().map(|block| block.rows() as u64).sum();
    recording.slice_blocks().for_each(|block| block.for_each(|_, _| {}));
    let ledger = recording.end_ledger().iter();
    let written: u64 = ledger.clone().map(|line| line.written).sum();
    assert_eq!(rows, written);
    assert!(ledger.clone().all(|l| l.fired == l.written.saturating_add(l.dropped_total())));
    Some(rows)
}

#[test]
fn what_was_cut_off_is_said_and_what_is_whole_before_it_is_read() {
    for name in RECORDINGS {
        let whole = bytes(name);
        let all = read(name, whole.clone()).unwrap();
        // Some 1,500 places; that records are cut at every byte, a test of `records` covers.
        let step = 1 + whole.len() / 1500;
        let mut last = 0;
        for end in (0..whole.len()).step_by(step) {
            let Ok(recording) = Recording::from_bytes(Path::new(name), whole[..end].to_vec())
            else {
                assert_eq!(last, 0, "{name}: {end}");
                continue;
            };
            let rows = recording.data_blocks().map(|block| block.rows() as u64).sum();
            assert!(last <= rows && rows <= all, "{name}: {last}, then {rows} of {all} at {end}");
            // A pipe may end behind any record.
            assert!(!recording.damage().complete || name == "pipe.data", "{name}: {end}");
            last = rows;
        }
        assert_eq!(last, all, "{name}");
    }
}

#[test]
fn changed_bytes_end_in_an_answer_or_a_reason() {
    let mut state = 88_172_645_463_325_252u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for name in RECORDINGS {
        let whole = bytes(name);
        for _ in 0..500 {
            let mut changed = whole.clone();
            for _ in 0..1 + random(8) {
                // Half of them where the headers are.
                let below = [whole.len(), 600][random(2)];
                let values = [0, 1, 0x7f, 0xff, random(256) as u8];
                changed[random(below)] = values[random(5)];
            }
            read(name, changed);
        }
    }
}

#[test]
fn the_event_that_measured_most_cpu_time_is_shown() {
    let recording = Recording::open(&case("perf").join("events.data")).unwrap();
    let names: Vec<String> =
        recording.facts().events.iter().map(|event| event.name.lossy().into_owned()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let weight = |event: u32| -> u64 {
        let lines = recording.end_ledger().iter().filter(|line| line.event == EventId(event));
        lines.map(|line| line.written_weight).sum()
    };
    let (task, cpu) = (weight(1), weight(3));
    let shown = if cpu > task { "cpu-clock at 397 Hz" } else { "task-clock at 397 Hz" };
    let summary = printed(command(&case("perf"), "events.data").arg("--no-cache"));
    assert!(summary.contains(shown), "{task} {cpu} {summary}");
}

#[test]
fn a_recording_of_the_other_byte_order_is_refused_with_the_reason() {
    let mut swapped = bytes("fp.data");
    swapped[..8].reverse();
    let error = Recording::from_bytes(Path::new("x"), swapped).unwrap_err();
    assert!(error.with_causes().contains("big-endian"), "{}", error.with_causes());
}

#[test]
fn another_event_is_shown_on_request_if_it_measures_cpu_time() {
    let case = case("perf");
    for (event, shown) in [("cpu-clock", "cpu-clock at"), ("task-clock", "task-clock at")] {
        let mut command = command(&case, &format!("events.data --no-cache --event {event}"));
        assert!(printed(&mut command).contains(shown), "{event}");
    }
    let mut command = command(&case, "events.data --no-cache --event page-faults");
    let said = command.output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("measures CPU time and is called page-faults; it has "), "{said}");
}

#[test]
fn samples_whose_weights_no_number_holds_are_counted_as_lost() {
    let mut forged = bytes("fp.data");
    let period =
        Recording::from_bytes(Path::new("x"), forged.clone()).unwrap().facts().events[0].period;
    let places: Vec<usize> = (0..forged.len() - 8)
        .filter(|at| forged[*at..].starts_with(&period.to_le_bytes()))
        .collect();
    assert!(places.len() > 100);
    for at in &places[places.len() - 3..] {
        forged[*at..at + 8].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
    }
    let recording = Recording::from_bytes(Path::new("x"), forged.clone()).unwrap();
    let bad: u64 = recording.end_ledger().iter().map(|line| line.dropped_total()).sum();
    let rows = read("fp.data", forged).unwrap();
    assert!(bad >= 1 && rows + bad == read("fp.data", bytes("fp.data")).unwrap(), "{bad} {rows}");
}

#[test]
fn what_perf_archive_packed_is_told_how_to_unpack() {
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let desk = Desk::with(&[
        ("perf.data", bytes("fp.data")),
        ("perf.data.tar.bz2", b"BZh91AY&SY".to_vec()),
        ("perf.tar", tar),
        ("perf.tar.gz", gzip.finish().unwrap()),
    ]);
    for packed in ["perf.data.tar.bz2", "perf.tar", "perf.tar.gz"] {
        for arguments in [packed.to_owned(), format!("perf.data --debug-dir {packed}")] {
            let ran = desk.analyze(&format!("{arguments} -o -"));
            assert_eq!(ran.status, 2, "{}", ran.stdout);
            let unpack = format!("mkdir -p ~/.debug && tar xf {packed} -C ~/.debug");
            assert!(ran.stderr.contains(&unpack), "{arguments}: {}", ran.stderr);
        }
    }
}
