//! Inputs that came with names: they are read as their own tools read them, and say no more than they know.

use std::fs;
use std::path::Path;

use crate::made::{Desk, Made};
use crate::testdata::{case, command, golden, printed};

fn folded(path: &Path) -> String {
    let folder = path.parent().unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    printed(command(folder, &format!("{name} --format folded")).arg("--no-cache"))
}

#[test]
fn folded_stacks_come_out_as_they_went_in() {
    let mut seen = 0;
    for folder in ["cgo", "go", "mixed", "native", "node", "perf", "story", "stripped"] {
        for entry in fs::read_dir(case(folder).join("expected")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "folded") {
                assert!(folded(&path) == fs::read_to_string(&path).unwrap(), "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn each_says_what_it_knows_and_no_more() {
    golden("go", "expected/stacks.folded", "stacks.folded.txt");
    golden("perf", "fp.script.txt", "fp.script.summary.txt");
    golden("pprof", "cpu.pb.gz", "cpu.txt");
    golden("pprof", "cpu.pb.gz --info", "cpu.info.txt");
    golden("pprof", "heap.pb.gz", "heap.txt");
    golden("pprof", "heap.pb.gz --event alloc_objects", "heap.alloc_objects.txt");
    golden("pprof", "cpu.pb.gz --format folded", "cpu.folded");
}

#[test]
fn what_perf_prints_is_what_perf_recorded() {
    let summary = |input| printed(&mut command(&case("perf"), input));
    let total = |summary: &str| {
        let line = summary.lines().find(|line| line.starts_with("CPU time")).unwrap();
        (line.split(" in ").next().unwrap().to_owned(), line.split("; ").nth(1).unwrap().to_owned())
    };
    assert_eq!(total(&summary("fp.script.txt")), total(&summary("fp.data")));
    let user = |input: &str| {
        let all =
            printed(&mut command(&case("perf"), &format!("{input} --no-kernel --format folded")));
        let all = all.replace("[caller may be missing];", "");
        let mut lines: Vec<String> = all.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(user("fp.script.txt"), user("fp.data"));
}

#[test]
fn weights_of_other_units_are_neither_added_nor_compared() {
    let stacks = b"main;work 5\n".to_vec();
    let mut run = Made::new();
    run.ran("server", "_start main work", 5);
    let desk = Desk::with(&[
        ("run.arc", run.finish()),
        ("a.folded", stacks.clone()),
        ("b.folded", stacks),
    ]);
    for arguments in ["run.arc a.folded --top", "a.folded --diff run.arc --top"] {
        let ran = desk.analyze(arguments);
        assert_eq!(ran.status, 2, "{}", ran.stdout);
        assert!(ran.stderr.contains("these are never added or compared"), "{}", ran.stderr);
    }
    let both = desk.analyze("a.folded b.folded -o - --format folded");
    assert_eq!(both.stdout, "main;work 10\n");
    let ran = desk.analyze("a.folded --diff b.folded -o - --scale cores");
    assert_eq!(ran.status, 2);
}

#[test]
fn without_a_duration_shares_are_compared() {
    let before = b"main;work 501\nmain;wait 499\n".to_vec();
    let after = b"main;work 5003\nmain;wait 1001\n".to_vec();
    let desk = Desk::with(&[("before.txt", before), ("after.txt", after)]);
    let ran = desk.analyze("after.txt --diff before.txt -o -");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let is_row = |line: &&str| line.starts_with('▲') && line.ends_with(" work");
    let row = ran.stdout.lines().find(is_row).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["▲", "+33.2", "50.1", "83.3", "work"]);
}

#[test]
fn filters_go_by_labels_and_processes() {
    let script = b"a 1/1 1.0: 5 cpu-clock: \n\t10 f+0x1 (/bin/a)\n\n\
                   b 2/2 2.0: 7 cpu-clock: \n\t10 g+0x1 (/bin/b)\n\n";
    let desk = Desk::with(&[("script.txt", script.to_vec())]);
    assert_eq!(desk.analyze("script.txt --pid 2 -o - --format folded").stdout, "b;g 7\n");
    assert_eq!(desk.analyze("script.txt --comm a -o - --format folded").stdout, "a;f 5\n");
    let none = desk.analyze("script.txt --comm c -o -");
    assert_eq!(none.status, 2);
    assert!(none.stderr.contains("nothing was recorded of --comm c"), "{}", none.stderr);
}

#[test]
fn bad_inputs_name_the_file_and_the_place() {
    let whole = fs::read(case("pprof").join("cpu.pb.gz")).unwrap();
    let bomb = {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![0x0a; 1 << 20];
        (0..200).for_each(|_| std::io::Write::write_all(&mut writer, &zeros).unwrap());
        writer.finish().unwrap()
    };
    let desk = Desk::with(&[
        ("cut.pb.gz", whole[..whole.len() / 2].to_vec()),
        ("bomb.pb.gz", bomb),
        (
            "broken.pb",
            b"\x32\x00\x32\x03cpu\x32\x0bnanoseconds\x0a\x04\x08\x01\x10\x02\x12\x09\x0a\x01"
                .to_vec(),
        ),
        ("prose.txt", b"It was a dark night.\n".to_vec()),
        ("compared.folded", b"a;b 1 2\na;c 0 2\n".to_vec()),
    ]);
    for (name, why) in [
        ("cut.pb.gz", "cannot inflate cut.pb.gz: "),
        ("bomb.pb.gz", "bomb.pb.gz is larger than 128 MiB"),
        ("broken.pb", "broken.pb: at byte 28 there is no valid field"),
        ("prose.txt", "prose.txt is not a recording: it is text, and no stacks are in it"),
        ("compared.folded", "compared.folded: its lines have two weights"),
    ] {
        let ran = desk.analyze(&format!("{name} -o -"));
        assert_eq!(ran.status, 2, "{name}: {}", ran.stdout);
        assert!(ran.stderr.contains(why), "{name}: {}", ran.stderr);
    }
    let beside = b"main;work 5\nno weight\n".to_vec();
    fs::write(desk.dir.path().join("some.folded"), beside).unwrap();
    let ran = desk.analyze("some.folded --strict --top");
    assert_eq!(ran.status, 4);
    assert!(ran.stdout.starts_with("INCOMPLETE: line 2 has no weight.\n"), "{}", ran.stdout);
}
