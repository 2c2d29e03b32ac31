//! `analyze symbolize FILE`: what it answers, compared with llvm-symbolizer byte for byte.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use object::{Object, ObjectSymbol};

/// Inlined calls two deep, and a name that C++ mangles.
const PROGRAM: &str = r#"
volatile int sink;
__attribute__((always_inline)) static inline int leaf(int x) { sink = x; return x * 3 + sink; }
__attribute__((always_inline)) static inline int middle(int x)
{
    return leaf(x) +
           leaf(x + 1);
}
__attribute__((noinline)) int outer(int x) { return middle(x) + 1; }
__attribute__((noinline)) int _ZN5store3getEi(int x) { return middle(x) + 2; }
int main(int argc, char **argv) { return outer(argc) + _ZN5store3getEi(argc); }
"#;

/// A directory with the program, built in it.
struct Built {
    dir: tempfile::TempDir,
}

impl Built {
    fn new() -> Self {
        let built = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::write(built.path("inlines.c"), PROGRAM).unwrap();
        // Without columns: they are not read.
        let flags = "-O2 -g -gno-column-info inlines.c -o inlines -Wl,--build-id";
        let mut gcc = Command::new("gcc");
        let status = gcc.args(flags.split(' ')).current_dir(built.dir.path()).status();
        assert!(status.expect("gcc is missing: install gcc").success());
        built
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Every address of the functions in the source.
    fn addresses(&self) -> Vec<u64> {
        let bytes = std::fs::read(self.path("inlines")).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let ours = ["outer", "_ZN5store3getEi", "main"];
        let functions = file.symbols().filter(|s| ours.contains(&s.name().unwrap()));
        functions.flat_map(|s| s.address()..s.address() + s.size()).collect()
    }
}

pub fn fed(command: &mut Command, input: &[u8]) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A program that refuses its file does not read.
    let _ = writer.join().unwrap();
    output
}

fn analyze(dir: &Path, arguments: &str, input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_analyze"));
    fed(
        command.args(["symbolize", "--no-cache"]).args(arguments.split(' ')).current_dir(dir),
        input,
    )
}

fn text(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn llvm(dir: &Path, arguments: &str, input: &[u8]) -> String {
    let mut command = Command::new("llvm-symbolizer-14");
    text(fed(command.args(arguments.split(' ')).current_dir(dir), input))
}

#[test]
fn answers_are_llvm_symbolizers_byte_for_byte() {
    let built = Built::new();
    let addresses = built.addresses();
    assert!(addresses.len() > 50, "{}", addresses.len());
    let mut lines: Vec<String> = addresses.iter().map(|a| format!("{a:#x}\n")).collect();
    // Twice and backwards, with lines that are no addresses and one where nothing is.
    lines.extend(lines.clone().into_iter().rev());
    for odd in ["\n", "# comment\n", "0x\n", "-1\n", "0x99999999999999999\n", "0x0\n"] {
        lines.insert(7, odd.into());
    }
    lines.push(format!(" {:#X} and more\r\n", addresses[0]).replace("0X", "0x"));
    lines.push("no line end".into());
    let input = lines.concat().into_bytes();
    let dir = built.dir.path();
    let theirs = llvm(dir, "--obj=inlines", &input);
    assert!(theirs.contains("leaf\n") && theirs.contains("store::get(int)\n"), "{theirs}");
    // What came without a line end gets none.
    assert_eq!(text(analyze(dir, "inlines", &input)) + "\n", theirs);
    let theirs = llvm(dir, "--obj=inlines --no-demangle", &input);
    let ours = text(analyze(dir, "inlines --raw-names", &input));
    assert_eq!(ours + "\n", theirs);
}

#[test]
fn a_stripped_program_answers_from_its_debug_file_wherever_that_is() {
    let built = Built::new();
    let dir = built.dir.path();
    let input: Vec<u8> =
        built.addresses().iter().flat_map(|a| format!("{a:x}\n").into_bytes()).collect();
    let whole = text(analyze(dir, "inlines", &input));
    let run = |command: &str| {
        let mut words = command.split(' ');
        let mut program = Command::new(words.next().unwrap());
        assert!(program.args(words).current_dir(dir).status().unwrap().success(), "{command}");
    };
    run("objcopy --only-keep-debug inlines anything");
    run("objcopy --strip-all inlines stripped");
    let nothing = text(analyze(dir, "stripped", &input));
    assert_eq!(nothing, "??\n??:0:0\n\n".repeat(built.addresses().len()));
    std::fs::create_dir(built.path("kept")).unwrap();
    std::fs::rename(built.path("anything"), built.path("kept/anything")).unwrap();
    assert_eq!(text(analyze(dir, "stripped --debug-dir kept", &input)), whole);
    // The debug file alone has them, too.
    assert_eq!(text(analyze(dir, "kept/anything", &input)), whole);
}

#[test]
fn json_says_who_named_what_and_why_there_is_no_name() {
    let built = Built::new();
    let row = |output: String| -> Vec<serde_json::Value> {
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let bytes = std::fs::read(built.path("inlines")).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let get = file.symbols().find(|s| s.name() == Ok("_ZN5store3getEi")).unwrap().address();
    let input = format!("{get:#x}\n0x2\n\u{1b}[2J \"quoted\"\n");
    let rows = row(text(analyze(built.dir.path(), "inlines --json", input.as_bytes())));
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["address"], format!("{get:#x}"));
    let frames = rows[0]["frames"].as_array().unwrap();
    let names: Vec<&str> = frames.iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["leaf", "middle", "store::get(int)"]);
    let physical = &frames[2];
    assert_eq!(physical["raw_name"], "_ZN5store3getEi");
    assert_eq!((&physical["inlined"], &frames[0]["inlined"]), (&false.into(), &true.into()));
    assert_eq!(physical["source"], "DWARF");
    assert_eq!(
        (&frames[0]["line"], &frames[1]["line"], &physical["line"]),
        (&3.into(), &6.into(), &10.into())
    );
    assert!(physical["file"].as_str().unwrap().ends_with("/inlines.c"), "{physical}");
    assert!(physical.get("start_line").is_some());
    let expected = serde_json::json!({ "address": "0x2", "reason": "outside every function" });
    assert_eq!(rows[1], expected);
    let expected =
        serde_json::json!({ "line": "\u{1b}[2J \"quoted\"", "reason": "not an address" });
    assert_eq!(rows[2], expected);

    // Away from its debug file.
    let stripped = crate::made::fixtures().join("server.stripped");
    std::fs::copy(stripped, built.path("stripped")).unwrap();
    let arguments = "stripped --json --sysroot .";
    let rows = row(text(analyze(built.dir.path(), arguments, b"0x4001f0\n")));
    assert_eq!(rows[0]["reason"], "no symbols in the file");
}

#[test]
fn lines_of_any_length_and_content_pass_through() {
    let built = Built::new();
    let address = built.addresses()[0];
    let mut input = vec![b'7'; 5 << 20];
    input.extend(b"\n\0\xff\xfe\n");
    let echoed = input.len();
    input.extend(format!("{address:#x}\n").into_bytes());
    let output = analyze(built.dir.path(), "inlines", &input);
    assert!(output.status.success());
    assert_eq!(&output.stdout[..echoed], &input[..echoed]);
    let alone = format!("{address:#x}\n");
    let alone = analyze(built.dir.path(), "inlines", alone.as_bytes()).stdout;
    assert!(alone.len() > 20 && output.stdout[echoed..] == alone);
}

#[test]
fn a_file_without_code_is_refused() {
    let built = Built::new();
    for (file, why) in [
        ("inlines.c", "inlines.c: not an ELF file, or its header is cut off; give a program"),
        ("missing", "cannot read missing: No such file"),
        (".", "cannot read .: not a plain file"),
    ] {
        let output = analyze(built.dir.path(), file, b"0x10\n");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn the_command_does_not_stand_in_the_way_of_a_recording_of_its_name() {
    let desk = crate::made::Desk::with(&[("symbolize", crate::made::Made::new().finish())]);
    let ran = desk.analyze("./symbolize -o -");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("No samples"), "{}", ran.stdout);
    let ran = desk.analyze("missing.arc symbolize -o -");
    assert!(ran.stderr.contains("cannot read missing.arc"), "{}", ran.stderr);
    let ran = desk.analyze("symbolize --top");
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("Usage: analyze symbolize"), "{}", ran.stderr);
}
