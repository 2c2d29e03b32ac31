//! What missing names cost, and what would bring them.

use profile::{BuildId, BuildIdFrom, Module, ModuleKind};

use crate::made::{Desk, Made};

fn file(path: &str, id: u8) -> Module {
    let mut module = Module::new(ModuleKind::File, path);
    module.build_id = BuildId::new(&[id; 20]);
    module.build_id_from = BuildIdFrom::FileNote;
    module
}

/// The bill of a recording, without what stands before it.
fn bill(run: Made) -> String {
    let desk = Desk::with(&[("run.arc", run.finish())]);
    let ran = desk.analyze("run.arc -o - --sysroot .");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let start = ran.stdout.find("\nMissing names").expect(&ran.stdout);
    ran.stdout[start + 1..].to_owned()
}

#[test]
fn the_module_that_costs_most_comes_first_and_the_rest_is_summed() {
    let mut run = Made::new();
    for i in 0..18_u8 {
        let stack = run.elsewhere(&file(&format!("/lib/{i:02}.so"), i + 1), 0x1000);
        run.ran_in("server", stack, 10 + u64::from(i));
    }
    let bill = bill(run);
    let rows: Vec<&str> = bill.lines().skip(2).take_while(|line| !line.is_empty()).collect();
    assert_eq!(rows.len(), 16, "{bill}");
    assert!(rows[0].ends_with("/lib/17.so") && rows[14].ends_with("/lib/03.so"), "{bill}");
    // 10 + 11 + 12 of 333 samples.
    assert_eq!(rows[15], "   9.9 %           … and 3 more");
    assert!(bill.contains("scp prod-7:/lib/17.so \\\n    prod-7:/lib/16.so"), "{bill}");
    assert!(!bill.contains("02.so"), "what is not listed is not brought: {bill}");
}

#[test]
fn self_is_the_code_itself_and_total_what_it_called() {
    let mut run = Made::new();
    let library = run.elsewhere(&file("/lib/leaf.so", 1), 0x1000);
    run.ran_in("server", library, 30);
    run.ran("server", "_start main work|do_syscall_64", 70);
    let desk = Desk::with(&[("run.arc", run.finish())]);
    let stdout = desk.analyze_elsewhere("run.arc -o - --sysroot .").stdout;
    let row = |path: &str| stdout.lines().find(|line| line.ends_with(path)).expect(&stdout);
    assert!(row("/lib/leaf.so").starts_with("  30.0 %   30.0 %  not here"), "{stdout}");
    assert!(row("  /srv/server").starts_with("     0 %   70.0 %  not here"), "{stdout}");
}

#[test]
fn run_time_code_gets_the_switch_of_its_runtime() {
    let mut run = Made::new();
    let mut made = |process: &str, exe: &str, samples| {
        let module = run.run_time_code(process, exe);
        let stack = run.elsewhere(&module, 0x7f00_0000_1000);
        run.ran_in(process, stack, samples);
    };
    made("web", "/usr/bin/node", 50);
    made("worker", "/usr/bin/node", 10);
    made("odd", "/opt/\u{1b}[2Jodd\n", 40);
    let bill = bill(run);
    let lines: Vec<&str> = bill.lines().skip(2).collect();
    let none = format!("{:<40}", "none");
    assert_eq!(
        lines,
        [
            format!("  60.0 %   60.0 %  made at run time       {none}  run-time code of /usr/bin/node"),
            format!("  40.0 %   40.0 %  made at run time       {none}  run-time code of /opt/\u{fffd}[2Jodd "),
            "For names of run-time code of /opt/\u{fffd}[2Jodd : if it has a switch that makes it write \
             /tmp/perf-PID.map, use that, and record again."
                .into(),
            "For names of run-time code of /usr/bin/node: start it as `node --perf-basic-prof`, and \
             record again."
                .into(),
        ]
    );
}

#[test]
fn a_kernel_that_hid_its_names_says_how_to_record_them() {
    let mut run = Made::new();
    let hidden = run.kernel(&Module::new(ModuleKind::Kernel, "[kernel]"), &[]);
    let stack = run.in_kernel(hidden, 0xffff_ffff_8100_1000);
    run.ran_in("server", stack, 100);
    let bill = bill(run);
    assert!(bill.contains("  hidden by the kernel   none"), "{bill}");
    assert!(bill.contains("For names of prod-7's kernel: `sysctl kernel.kptr_restrict=1` there"));
    assert!(!bill.contains("analyze run.arc"), "no file would help: {bill}");
}

#[test]
fn names_without_lines_are_listed_where_they_matter() {
    let summary = |kernel_samples| {
        let mut kernel = Module::new(ModuleKind::Kernel, "[kernel]");
        kernel.runtime_base = 0xffff_ffff_8100_0000;
        kernel.build_id = BuildId::new(&[3; 20]);
        let mut run = Made::new();
        let kernel = run.kernel(&kernel, &[(0, 0x100, "do_idle")]);
        let stack = run.in_kernel(kernel, 0x10);
        run.ran_in("server", stack, kernel_samples);
        run.ran("server", "_start main work", 100 - kernel_samples);
        let desk = Desk::with(&[("run.arc", run.finish())]);
        desk.analyze("run.arc -o - --sysroot .").stdout
    };
    let matters = summary(5);
    let id = "03".repeat(20);
    assert!(
        matters.ends_with(&format!(
            "\nNames, but neither inlined calls nor lines\n    \
             self    total  names from             {:<40}  module\n   \
             5.0 %    5.0 %  kallsyms               {id}  [kernel]\n\n  \
             mkdir -p ./debug\n  \
             analyze run.arc --debug-dir ./debug\n\
             For the kernel: ./debug needs the vmlinux of that build-id, from the package of debug \
             symbols of Linux 6.1.0-18-amd64.\n",
            "build-id"
        )),
        "{matters}"
    );
    assert!(!summary(4).contains("neither inlined calls"));
}

#[test]
fn the_command_repeats_inputs_as_a_shell_needs_them() {
    let recording = || {
        let mut run = Made::new();
        run.ran("server", "_start main work", 100);
        run.finish()
    };
    let desk = Desk::with(&[("it's a run.arc", recording())]);
    let ran = desk.analyze_elsewhere("./ --sysroot . -o -");
    assert!(
        ran.stdout.contains("\n  analyze './it'\\''s a run.arc' --debug-dir ./debug\n"),
        "{}",
        ran.stdout
    );
    let desk = Desk::with(&[("a\nb.arc", recording())]);
    let ran = desk.analyze_elsewhere("./ --sysroot . -o -");
    assert!(!ran.stdout.contains("  analyze "), "no line holds such a name: {}", ran.stdout);
    assert!(ran.stdout.contains("scp prod-7:/srv/server ./debug/"), "{}", ran.stdout);
}
