//! Reports of each tool as trees.

use super::*;
use crate::import::named::NamedStack;
use crate::measure::Quantity;

const SAMPLE: &str = include_str!("../../../../../testdata/printed/sample.txt");

const VTUNE: &str = include_str!("../../../../../testdata/printed/vtune.csv");

const VISUAL_STUDIO: &str = include_str!("../../../../../testdata/printed/visual_studio.csv");

const GHC: &str = include_str!("../../../../../testdata/printed/ghc.prof");

fn read(text: &str) -> Named {
    let tool = recognise(text).expect("a known tool");
    import(Path::new("x.txt"), tool, text.as_bytes()).unwrap()
}

/// Paths as name@module with their weights, in the order of their ends.
fn stacks(named: &Named) -> Vec<(String, u64)> {
    let row = |stack: NamedStack<'_>| {
        let name = |id| {
            let frame = named.frames().get(id);
            format!("{}@{}", frame.name, frame.module)
        };
        let path: Vec<String> = named.path_of(&stack).into_iter().map(name).collect();
        (path.join(" "), stack.weights[0])
    };
    named.stacks().map(row).collect()
}

fn rows(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(path, weight)| ((*path).to_owned(), *weight)).collect()
}

#[test]
fn of_sample_each_function_has_what_its_callees_have_not() {
    let named = read(SAMPLE);
    let main = "server@ start@libdyld.dylib main@server";
    let serve = format!("{main} serve@libserve.dylib");
    assert_eq!(
        stacks(&named),
        rows(&[
            (&format!("{serve} read@libserve.dylib"), 20),
            (&serve, 40),
            (&format!("{main} work@server"), 25),
            (main, 5),
            ("server@ start@libdyld.dylib [server]@server", 10),
            ("server@ thread_start@libsystem_pthread.dylib", 7),
        ])
    );
    let threads: Vec<String> = named
        .stacks()
        .map(|stack| stack.labels.expect("a thread").values[0].lossy().into_owned())
        .collect();
    assert_eq!(threads[0], "Thread_1   DispatchQueue_1: com.apple.main-thread  (serial)");
    assert_eq!(threads[5], "Thread_2");
    assert_eq!(named.measures[0].quantity, Quantity::Samples);
    assert_eq!(named.statements, Vec::<String>::new());
}

#[test]
fn of_vtune_seconds_are_the_functions_own() {
    let named = read(VTUNE);
    let sort = "Total@ main@app std::sort<int*, Less>@libc.so.6";
    assert_eq!(
        stacks(&named),
        rows(&[
            (&format!("{sort} [libc.so.6]@libc.so.6"), 500_000_000),
            (sort, 1_250_000_000),
            ("Total@ main@app", 10_000_000),
            ("Total@ start_thread@libpthread.so.0", 2_000_000),
        ])
    );
    assert_eq!(named.measures[0].quantity, Quantity::CpuTime);
}

#[test]
fn of_visual_studio_calls_are_counted_where_they_were_made() {
    let named = read(VISUAL_STUDIO);
    let main = "App.exe@App.exe App.Main(string[], int)@App.exe";
    assert_eq!(
        stacks(&named),
        rows(&[
            (&format!("{main} String.IsNullOrEmpty(string)@mscorlib.dll"), 2_893_824),
            (main, 1234),
            ("App.exe@App.exe App.Exit()@App.exe", 4),
            ("App.exe@App.exe", 1),
        ])
    );
    assert_eq!(named.measures[0].to_string(), "calls (occurrences)");
}

#[test]
fn of_ghc_ticks_are_time_and_else_there_are_shares() {
    let named = read(GHC);
    let main = "MAIN.MAIN@MAIN Main.CAF@Main Main.main@Main";
    assert_eq!(
        stacks(&named),
        rows(&[
            (&format!("{main} Main.go@Main"), 296_000_000),
            (main, 73_000_000),
            ("MAIN.MAIN@MAIN", 1_000_000),
        ])
    );
    assert_eq!(named.measures[0].quantity, Quantity::Time);
    assert_eq!(named.sample_weight(0), 1_000_000);

    let older = "COST CENTRE MODULE no. entries %time %alloc %time %alloc\n\n\
                 MAIN MAIN 85 0 0.3 0.1 100.0 100.0\n main Main 170 1 99.7 29.9 99.7 99.9\n\nmore\n";
    let named = read(older);
    let rows = rows(&[("MAIN.MAIN@MAIN Main.main@Main", 997), ("MAIN.MAIN@MAIN", 3)]);
    assert_eq!(stacks(&named), rows);
    assert_eq!(named.measures[0].quantity, Quantity::Unstated);
    assert!(named.notes[0].starts_with("weights are tenths of a percent"));
}

#[test]
fn nothing_hangs_below_a_line_that_cannot_be_read() {
    let text = "Function Stack,CPU Time:Self,Module\n\
                main,1,a\n serve,never,a\n  read,2,a\n  write,3,a\n work,4,a\n   far,5,a\n end,6s,a\n";
    let named = read(text);
    assert_eq!(
        stacks(&named),
        rows(
            &[("main@a work@a", 4), ("main@a end@a", 6), ("main@a", 1)]
                .map(|(p, w)| (p, w * 1_000_000_000))
        )
    );
    assert_eq!(
        named.statements,
        [
            "line 3 has no time",
            "line 4 lies below no line that could be read",
            "line 5 lies below no line that could be read",
            "1 more lines cannot be read",
        ]
    );
    let cut = read(&SAMPLE[..SAMPLE.find("    7 Thread_2").unwrap()]);
    assert_eq!(cut.statements, ["the call graph ends without an end"]);
    assert_eq!(stacks(&cut).iter().map(|(_, weight)| weight).sum::<u64>(), 100);
    let crooked = SAMPLE.replace("    +   ! : 20", "    +   !  20");
    assert_eq!(read(&crooked).statements, ["line 8 is not indented as others are"]);
}

#[test]
fn depth_without_end_costs_no_memory_and_loses_no_weight() {
    let mut text = String::from("Level,Function Name,Number of Calls,\n");
    for level in 1..=40_000 {
        text += &format!("{level},f,1,\n");
    }
    let named = read(&text);
    assert_eq!(named.stacks().map(|stack| stack.weights[0]).sum::<u64>(), 40_000);
    let deepest = named.stacks().next().expect("what ended first");
    assert_eq!(named.path_of(&deepest).len(), DEEPEST as usize + 1);
    assert_eq!(deepest.weights, [40_000 - u64::from(DEEPEST)]);
    assert_eq!(named.statements, Vec::<String>::new());
}
