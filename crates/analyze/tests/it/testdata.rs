//! Real recordings of `testdata` give the same outputs everywhere, with any number of threads.

use std::path::{Path, PathBuf};
use std::process::Command;

pub fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(name)
}

/// `analyze` in a case's folder; where addresses are named, `--sysroot` keeps this machine's own files out.
pub fn command(case: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_analyze"));
    command
        .args(arguments.split_whitespace())
        .args(["-o", "-"])
        .current_dir(case)
        .env("NO_COLOR", "1");
    if case.join("sysroot").exists() {
        command.args(["--sysroot", "sysroot"]);
    }
    command
}

/// stdout of a command that succeeds.
pub fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn analyze(case: &Path, arguments: &str) -> String {
    printed(command(case, arguments).arg("--no-cache"))
}

/// Compares with `expected/NAME` for 1, 2 and 16 threads, without a symbol cache, with an empty one
/// and with the one that is full then; `BLESS=1` writes it.
pub fn golden(name: &str, arguments: &str, expected: &str) {
    let case = case(name);
    let path = case.join("expected").join(expected);
    let actual = analyze(&case, arguments);
    for threads in ["1", "2", "16"] {
        let cache = tempfile::tempdir().unwrap();
        for which in ["empty", "full"] {
            let mut command = command(&case, arguments);
            command.env("RAYON_NUM_THREADS", threads).env("XDG_CACHE_HOME", cache.path());
            assert_eq!(printed(&mut command), actual, "{threads} threads, {which} cache");
        }
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &actual).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == actual,
        "{} differs; BLESS=1 accepts what is new\n--- actual\n{actual}",
        path.display()
    );
}

#[test]
fn the_storys_diff_names_the_system_call_that_grew() {
    golden("story", "spin.arc --diff fixed.arc", "diff.txt");
    let diff = analyze(&case("story"), "spin.arc --diff fixed.arc");
    let verdict: Vec<&str> = diff.lines().take(4).collect();
    assert!(verdict.join(" ").contains("system call epoll_wait"), "{verdict:#?}");
}

#[test]
fn the_storys_stacks() {
    golden("story", "spin.arc --format folded", "spin.folded");
    golden("story", "fixed.arc --format folded", "fixed.folded");
}

#[test]
fn a_summary_of_several_processes_and_threads_with_kernel_time() {
    golden("mixed", "mixed.arc", "summary.txt");
    golden("mixed", "mixed.arc --format folded", "stacks.folded");
}

#[test]
fn a_stripped_program_says_which_file_to_bring() {
    golden("stripped", "blend.arc", "summary.txt");
    assert!(!analyze(&case("stripped"), "blend.arc").contains("blend_row"));
}

#[test]
fn a_separate_debug_file_gives_functions_and_inlined_calls() {
    let arguments = "blend.arc --debug-dir debug --format folded";
    golden("stripped", arguments, "with-debug-file.folded");
    let folded = analyze(&case("stripped"), arguments);
    assert!(folded.contains("render_image;blend_row;mix_pixel_[i];mix_channel_[i] "), "{folded}");
}

#[test]
fn cpp_and_rust_have_their_inlined_calls_from_compressed_debug_files() {
    golden("native", "shapes.arc --debug-dir debug --format folded", "shapes.folded");
    golden("native", "tokens.arc --debug-dir debug --format folded", "tokens.folded");
    let folded = analyze(&case("native"), "shapes.arc --debug-dir debug --format folded");
    let turned = "Polygon::turn(double, double);geometry::Point::turned(double, double) const_[i]";
    assert!(folded.contains(turned), "{folded}");
}

#[test]
fn a_stripped_go_program_has_its_inlined_calls() {
    golden("go", "service.arc", "summary.txt");
    golden("go", "service.arc --format folded", "stacks.folded");
    let folded = analyze(&case("go"), "service.arc --format folded");
    assert!(folded.contains(";main.sum[...];main.weigh[...]_[i] "), "{folded}");
}

#[test]
fn c_code_under_go_has_the_whole_chain_of_its_callers() {
    golden("cgo", "digest.arc", "summary.txt");
    golden("cgo", "digest.arc --format folded", "stacks.folded");
    let folded = analyze(&case("cgo"), "digest.arc --no-kernel --format folded");
    let in_c = |line: &&str| line.contains(";mix ") || line.contains(";digest ");
    let chain = "digest;runtime.goexit;main.work;main.handle;main.serve;main._Cfunc_digest;\
                 runtime.cgocall;runtime.asmcgocall;_cgo_";
    let (whole, not): (Vec<&str>, Vec<&str>) =
        folded.lines().filter(in_c).partition(|line| line.starts_with(chain));
    assert!(!whole.is_empty() && not.is_empty(), "{not:#?}");
}

#[test]
fn javascript_has_the_names_that_its_engine_wrote() {
    golden("node", "hot.arc", "summary.txt");
    golden("node", "hot.arc --format folded", "stacks.folded");
    let folded = analyze(&case("node"), "hot.arc --format folded");
    assert!(folded.contains("countPrimes") && folded.contains("hashText"), "{folded}");
}

#[test]
fn a_debug_file_that_was_cut_off_is_not_passed_over_in_silence() {
    let brought = tempfile::tempdir().unwrap();
    let debug =
        case("stripped").join("debug/.build-id/98/53767c27a66dbec3015f3ba7ec3ec10cb88f27.debug");
    let whole = std::fs::read(debug).unwrap();
    let half = brought.path().join("half.debug");
    std::fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    let arguments = format!("blend.arc --debug-dir {}", brought.path().display());
    let said = analyze(&case("stripped"), &arguments);
    let note = format!("The debug file {} is not used: it is cut off.", half.display());
    assert!(said.contains(&note), "{said}");
}

/// Exit status and stderr.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_analyze"))
        .args(arguments)
        .args(["-o", "-", "--no-cache"])
        .current_dir(case("story"))
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn nothing_is_compared_with_a_base_of_which_nothing_can_be_read() {
    let base = tempfile::NamedTempFile::new().unwrap();
    let whole = std::fs::read(case("story").join("fixed.arc")).unwrap();
    std::fs::write(base.path(), &whole[..900]).unwrap();
    let (status, said) = refused(&["spin.arc", "--diff", base.path().to_str().unwrap()]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("cannot compare: the base covers no time"), "{said}");
}

#[test]
fn a_file_that_is_not_there_is_a_slip_of_the_hand_and_no_damaged_recording() {
    let (status, said) = refused(&["missing.arc", "spin.arc"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("cannot read missing.arc"), "{said}");
    let (status, said) = refused(&["--strict", "symbolize", "server"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("analyze symbolize FILE"), "{said}");
    let (status, said) = refused(&["spin.arc", "--top", "5"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("--top=5"), "{said}");
}
