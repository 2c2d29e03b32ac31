//! What `-o x.pb.gz` writes is what Go's tool reads: its figures are ours, and nothing is lost on the way
//! through it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use analyze::{Named, Opened};

use crate::testdata::{case, command, printed};

/// Runs Go's tool on a profile. It comes with Debian's golang-go; without it nothing can be compared.
fn go_tool(arguments: &[&str], profile: &Path) -> Vec<u8> {
    let output = Command::new("go")
        .args(["tool", "pprof", "-symbolize=none"])
        .args(arguments)
        .arg(profile)
        .env("PPROF_TMPDIR", profile.parent().unwrap())
        .output()
        .expect("`go tool pprof` (package golang-go)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A case's recording as a profile.
fn profile(dir: &Path, name: &str, arguments: &str) -> std::path::PathBuf {
    let path = dir.join("x.pb.gz");
    let out = path.to_str().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_analyze"));
    command.args(arguments.split_whitespace()).args(["--no-cache", "-o", out]);
    if case(name).join("sysroot").exists() {
        command.args(["--sysroot", "sysroot"]);
    }
    printed(command.current_dir(case(name)));
    path
}

/// Self and total nanoseconds by function, as Go's tool sums them.
fn theirs(profile: &Path) -> BTreeMap<String, (u64, u64)> {
    let all = ["-top", "-unit=ns", "-nodecount=100000", "-nodefraction=0", "-edgefraction=0"];
    let text = String::from_utf8(go_tool(&all, profile)).unwrap();
    let rows = text.lines().skip_while(|line| !line.contains("flat%")).skip(1);
    let weight = |word: &str| word.trim_end_matches("ns").parse().unwrap();
    rows.map(|row| {
        let mut words = row.split_whitespace();
        let own = weight(words.next().unwrap());
        let total = weight(words.nth(2).unwrap());
        let name = words.skip(1).collect::<Vec<_>>().join(" ");
        let name = name.trim_end_matches(" (inline)").trim_end_matches(" (partial-inline)");
        (name.to_owned(), (own, total))
    })
    .collect()
}

/// Rows of `--top`: self and total as printed, and the function.
fn ours(name: &str, arguments: &str) -> Vec<(String, String, String)> {
    let text =
        printed(command(&case(name), &format!("{arguments} --no-cache")).args(["--top=100000"]));
    let mut rows = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split("  ").map(str::trim).filter(|w| !w.is_empty()).collect();
        if let [own, own_share, total, total_share, function, ..] = words[..]
            && own_share.ends_with('%')
            && total_share.ends_with('%')
        {
            rows.push((own.to_owned(), total.to_owned(), function.to_owned()));
        }
    }
    rows
}

/// Whether a figure of seconds is right to its last digit.
fn agrees(printed: &str, ns: u64) -> bool {
    let digits = printed.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let shown: f64 = printed.parse().unwrap();
    (shown - ns as f64 / 1e9).abs() <= 0.500_001 * 0.1f64.powi(digits as i32)
}

#[test]
fn the_figures_of_gos_tool_are_ours_to_the_last_digit() {
    let dir = tempfile::tempdir().unwrap();
    let profile = profile(dir.path(), "go", "service.arc");
    let theirs = theirs(&profile);
    let ours = ours("go", "service.arc -o -");
    let mut compared = 0;
    for (own, total, function) in &ours {
        // Long names are shortened in a table, and processes are labels in a profile.
        let Some((own_ns, total_ns)) = theirs.get(function) else { continue };
        assert!(agrees(own, *own_ns), "{function}: self {own}, {own_ns} ns");
        assert!(agrees(total, *total_ns), "{function}: total {total}, {total_ns} ns");
        compared += 1;
    }
    assert!(compared * 10 >= ours.len() * 9, "{compared} of {}", ours.len());
    let sum: u64 = theirs.values().map(|(own, _)| own).sum();
    assert_eq!(sum, 669 * 10_101_010, "every sample is in it");
}

/// Everything that a profile states of its stacks.
fn stacks(named: &Named) -> Vec<String> {
    let mut stacks: Vec<String> = named
        .stacks()
        .map(|stack| {
            let frame = |id: &profile::FrameId| {
                let frame = named.frames().get(*id);
                let (name, raw, module) = (&frame.name, &frame.raw_name, &frame.module);
                format!("{name}|{raw}|{module}|{:?}|{}", frame.file, frame.inlined)
            };
            let path: Vec<String> = named.path_of(&stack).iter().map(frame).collect();
            let mut labels: Vec<(String, String)> = stack
                .labels
                .into_iter()
                .flat_map(|set| set.keys.iter().zip(&set.values))
                .map(|(key, value)| (key.lossy().into_owned(), value.lossy().into_owned()))
                .collect();
            labels.sort();
            format!("{path:?} {labels:?} {} {:?}", stack.samples, stack.weights)
        })
        .collect();
    stacks.sort();
    stacks
}

fn named(bytes: Vec<u8>) -> Named {
    match Opened::from_bytes(Path::new("x.pb.gz"), bytes).unwrap() {
        Opened::Named(named) => *named,
        Opened::Recording(_) => panic!("a profile is no recording"),
    }
}

#[test]
fn nothing_is_lost_on_the_way_through_gos_tool() {
    for (name, arguments) in [
        ("go", "service.arc"),
        ("mixed", "mixed.arc --by process --by thread"),
        ("stripped", "blend.arc --debug-dir debug"),
        ("pprof", "cpu.pb.gz"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = profile(dir.path(), name, arguments);
        let before = named(std::fs::read(&path).unwrap());
        let after = named(go_tool(&["-proto", "-output=/dev/stdout"], &path));
        assert_eq!(stacks(&before), stacks(&after), "{name}");
        let facts = |named: &Named| {
            (
                named.started_realtime_ns,
                named.duration_ns,
                named.period.clone(),
                named.notes.clone(),
            )
        };
        assert_eq!(facts(&before), facts(&after), "{name}");
    }
}

#[test]
fn what_a_mapping_states_is_true() {
    let dir = tempfile::tempdir().unwrap();
    let raw = |name: &str, arguments: &str| {
        let profile = profile(dir.path(), name, arguments);
        String::from_utf8(go_tool(&["-raw"], &profile)).unwrap()
    };
    let mappings = |raw: &str| {
        let lines = raw.lines().skip_while(|line| *line != "Mappings").skip(1);
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    // Go's tables have functions, files, lines and inlined calls; the kernel's names are names alone.
    let go = mappings(&raw("go", "service.arc"));
    assert!(go[0].starts_with("1: 0x400000/") || go[0].starts_with("1: 0x401000/"), "{go:#?}");
    assert!(go[0].ends_with(" [FN][FL][LN][IN]"), "{go:#?}");
    let kernel = go.iter().find(|line| line.contains("[kernel.kallsyms]")).unwrap();
    assert!(kernel.ends_with(" [FN]"), "{kernel}");
    // Without its debug file, a stripped program has no names, and no line claims one.
    let stripped = raw("stripped", "blend.arc");
    let program = mappings(&stripped)[0].clone();
    assert!(program.contains("blend 98537"), "{program}");
    assert!(!program.contains("[FN]"), "{program}");
    let with_file = mappings(&raw("stripped", "blend.arc --debug-dir debug"))[0].clone();
    assert!(with_file.contains("[FN][FL][LN][IN]"), "{with_file}");
}

#[test]
fn the_same_recording_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let write = || std::fs::read(profile(dir.path(), "mixed", "mixed.arc")).unwrap();
    assert_eq!(write(), write());
    let mut threads = Vec::new();
    for count in ["1", "16"] {
        let mut command = command(&case("mixed"), "mixed.arc --format pprof --no-cache");
        let output = command.env("RAYON_NUM_THREADS", count).output().unwrap();
        assert!(output.status.success());
        threads.push(output.stdout);
    }
    assert_eq!(threads[0], threads[1]);
    assert_eq!(threads[0], write());
}
