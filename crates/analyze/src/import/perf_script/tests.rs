use super::*;

fn read(text: &str) -> Named {
    import(Path::new("x.txt"), text.as_bytes()).unwrap()
}

/// Path and weight of each stack in the shown event.
fn stacks(named: &Named) -> Vec<(String, u64)> {
    let name = |id: FrameId| {
        let frame = named.frames().get(id);
        let inlined = if frame.inlined { "/i" } else { "" };
        format!("{}@{}{inlined}", frame.name, frame.module)
    };
    let stack = |stack: super::super::named::NamedStack<'_>| {
        let path: Vec<String> = named.path_of(&stack).into_iter().map(name).collect();
        (path.join(" "), stack.weights[named.preferred])
    };
    named.stacks().map(stack).filter(|(_, weight)| *weight > 0).collect()
}

#[test]
fn samples_are_read_with_their_threads_and_modules() {
    let named = read(
        "# captured on: today\n\
         web server 12/13 [001]  100.5: 10000000 cpu-clock:pppH: \n\
         \tffffffff81000010 do_syscall_64+0x46 ([kernel.kallsyms])\n\
         \t          401010 inner (inlined)\n\
         \t          401010 outer(int, char (*)[2])+0x10 (/srv/app (deleted))\n\
         \t          7f0010 [unknown] (/usr/lib/libc.so.6)\n\
         \n\
         swapper 0 [000] 101.0: 10000000 cpu-clock:pppH: \n\
         \tffffffff81000020 default_idle+0x6 ([kernel.kallsyms])\n\
         \n\
         java 20/21 [000] 102.500000001: 30000000 cpu-clock:pppH: \n\
         \t  7f55 Lapp;::run+0x5 (/tmp/perf-20.map)\n",
    );
    assert_eq!(
        stacks(&named),
        [
            (
                "web server@ [libc.so.6]@libc.so.6 outer(int, char (*)[2])@app inner@app/i \
                 do_syscall_64@[kernel]"
                    .into(),
                10_000_000
            ),
            ("java@ Lapp;::run@[run-time code]".into(), 30_000_000)
        ]
    );
    assert_eq!(named.duration_ns, Some(2_000_000_001));
    assert_eq!(named.notes, ["1 sample of idle CPUs are left out"]);
    assert!(named.statements.is_empty(), "{:?}", named.statements);
    let labels = named.stacks().next().unwrap().labels.unwrap().clone();
    assert_eq!(labels.values, ["web server".into(), "12".into(), "13".into()]);
}

#[test]
fn clocks_measure_time_and_other_events_count_samples() {
    let named = read(
        "a 1 1.0: 1 page-faults: \n\t10 f+0x1 (/bin/a)\n\n\
         a 1 2.0: 777 cycles:u: \n\t10 g+0x1 (/bin/a)\n\n\
         a 1 3.0: 888 cycles:u: \n\t10 g+0x1 (/bin/a)\n\n",
    );
    assert_eq!(named.measures.len(), 2);
    assert_eq!(named.measures[named.preferred].to_string(), "cycles:u (samples)");
    assert_eq!(stacks(&named), [("a@ g@a".into(), 2)]);
    assert_eq!(named.measure(Some("page-faults")).unwrap(), 0);
    assert_eq!(named.measure(Some("cycles")).unwrap(), 1);
    assert!(named.measure(Some("cache-misses")).is_err());
}

#[test]
fn headers_are_told_from_other_lines() {
    for line in [
        "nginx 12 5.5: 10 cpu-clock: ",
        "nginx  12/13 [001]  5.5:  cycles: ",
        "kworker/0:1-events 12 [000] 5.5:   1 cpu-clock:pppH: ",
        "V8 WorkerThread 25607 4794.54 cycles: ",
        ":12 12 5.5: 10 cycles:",
    ] {
        assert_eq!(is_header(line), line != "V8 WorkerThread 25607 4794.54 cycles: ", "{line}");
    }
    for line in ["a;b;c 12", "\t401 main+0x1 (/bin/a)", "", "one two three", "x 5: y"] {
        assert!(!is_header(line) || line == "x 5: y", "{line}");
    }
}
