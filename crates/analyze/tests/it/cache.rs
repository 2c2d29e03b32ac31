//! Names kept from one run to the next change nothing but the time it takes.

use std::path::{Path, PathBuf};

use analyze::{CachedSymbols, Located, Locator, Names, Search, SymbolCache};
use profile::{BuildId, BuildIdFrom, Module, ModuleKind, NameSource, Svma};
use symbolize::{Found, SourceFrame, Table, TableBuilder};

use crate::lookup::fed;
use crate::testdata::{case, command, printed};

const FOLDED: &str = "blend.arc --format folded";
const WITH_DEBUG: &str = "blend.arc --format folded --debug-dir debug";

fn tables(cache: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cache.join("flamearc/symbols")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The program of the case `stripped`, with or without its debug file.
fn blend(debug: bool) -> Located {
    let case = case("stripped");
    let mut module = Module::new(ModuleKind::File, "/usr/local/lib/flamearc-testdata/blend");
    module.build_id = BuildId::from_hex("9853767c27a66dbec3015f3ba7ec3ec10cb88f27").unwrap();
    module.build_id_from = BuildIdFrom::FileNote;
    let search = Search {
        sysroot: Some(case.join("sysroot")),
        debug_dirs: if debug { vec![case.join("debug")] } else { Vec::new() },
        ..Search::default()
    };
    Locator::new(search).locate(&module).unwrap()
}

/// In its code.
fn addresses() -> Vec<Svma> {
    (0x1050..0x1250).step_by(3).map(Svma).collect()
}

#[test]
fn a_debug_file_that_is_brought_later_is_used() {
    let (case, cache) = (case("stripped"), tempfile::tempdir().unwrap());
    let run =
        |arguments: &str| printed(command(&case, arguments).env("XDG_CACHE_HOME", cache.path()));
    let (without, with) = (run(FOLDED), run(WITH_DEBUG));
    assert!(!without.contains("blend_row") && with.contains("blend_row"));
    assert_eq!(run(FOLDED), without);
    assert_eq!(run(WITH_DEBUG), with);
    assert_eq!(tables(cache.path()).len(), 2);
}

#[test]
fn no_cache_leaves_no_trace() {
    let (case, cache) = (case("stripped"), tempfile::tempdir().unwrap());
    printed(command(&case, FOLDED).arg("--no-cache").env("XDG_CACHE_HOME", cache.path()));
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
}

#[test]
fn a_cache_that_cannot_be_written_is_no_failure_and_info_says_so() {
    let (case, file) = (case("stripped"), tempfile::NamedTempFile::new().unwrap());
    let expected = printed(command(&case, FOLDED).arg("--no-cache"));
    let ran = command(&case, FOLDED).env("XDG_CACHE_HOME", file.path()).output().unwrap();
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), expected);
    assert_eq!(String::from_utf8(ran.stderr).unwrap(), "");
    let info = command(&case, "blend.arc --info").env("XDG_CACHE_HOME", file.path()).output();
    let said = String::from_utf8(info.unwrap().stderr).unwrap();
    assert!(said.starts_with("symbol cache: not used ("), "{said}");
}

#[test]
fn a_look_up_on_its_own_uses_the_same_tables() {
    let (case, cache) = (case("stripped"), tempfile::tempdir().unwrap());
    let input: String = addresses().iter().map(|at| format!("{:#x}\n", at.0)).collect();
    let run = |cached: bool| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_analyze"));
        command.args(["symbolize", "--json", "--debug-dir", "debug"]);
        command.arg("sysroot/usr/local/lib/flamearc-testdata/blend").current_dir(&case);
        command.args((!cached).then_some("--no-cache")).env("XDG_CACHE_HOME", cache.path());
        String::from_utf8(fed(&mut command, input.as_bytes()).stdout).unwrap()
    };
    let expected = run(false);
    assert!(expected.contains("blend_row"), "{expected}");
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
    assert_eq!(run(true), expected);
    let [table] = &tables(cache.path())[..] else { panic!("one table") };
    let table = std::fs::read(table).unwrap();
    let table = Table::open(&table).unwrap();
    assert!(addresses().iter().all(|at| table.lookup(*at).is_some()));
    assert_eq!(run(true), expected);
}

#[test]
fn several_processes_at_once_agree() {
    let (case, cache) = (case("stripped"), tempfile::tempdir().unwrap());
    let expected = printed(command(&case, WITH_DEBUG).arg("--no-cache"));
    for _ in 0..3 {
        let start = || {
            let mut command = command(&case, WITH_DEBUG);
            command.env("XDG_CACHE_HOME", cache.path()).stdout(std::process::Stdio::piped());
            command.spawn().unwrap()
        };
        let running: Vec<_> = (0..8).map(|_| start()).collect();
        for process in running {
            let output = process.wait_with_output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        }
        let [table] = &tables(cache.path())[..] else { panic!("one table and nothing else") };
        assert!(Table::open(&std::fs::read(table).unwrap()).is_ok());
        std::fs::remove_file(table).unwrap();
    }
}

#[test]
fn what_one_run_asked_the_next_one_adds_to() {
    let (dir, located) = (tempfile::tempdir().unwrap(), blend(true));
    let cache = SymbolCache::at(&dir.path().join("flamearc/symbols"));
    let symbols = CachedSymbols::of(&located, &cache);
    let expected = CachedSymbols::of(&located, &SymbolCache::none()).names(&addresses());
    let rows = || {
        let [path] = &tables(dir.path())[..] else { panic!("one table") };
        let bytes = std::fs::read(path).unwrap();
        let table = Table::open(&bytes).unwrap();
        addresses().iter().filter(|at| table.lookup(**at).is_some()).count()
    };
    let (first, second) = expected.split_at(40);
    assert_eq!(symbols.names(&addresses()[..40]), first);
    assert!(rows() < addresses().len());
    assert_eq!(symbols.names(&addresses()[40..]), second);
    assert_eq!(rows(), addresses().len());
    assert_eq!(symbols.names(&addresses()), expected);
    // In any order, and more than once.
    let mut asked = addresses();
    asked.reverse();
    asked.extend(addresses());
    let answers = symbols.answers(&asked);
    let names = |answers: &[analyze::Answer]| -> Vec<Names> {
        answers.iter().map(|answer| answer.names.clone()).collect()
    };
    assert_eq!(names(&answers[addresses().len()..]), expected);
    assert!(names(&answers[..addresses().len()]).iter().eq(expected.iter().rev()));
    assert_eq!(answers, CachedSymbols::of(&located, &SymbolCache::none()).answers(&asked));
}

/// The table in place of the files: that it is asked at all shows in an answer they do not give.
#[test]
fn what_the_table_knows_is_not_asked_of_the_files() {
    let (dir, located) = (tempfile::tempdir().unwrap(), blend(true));
    let cache = SymbolCache::at(&dir.path().join("flamearc/symbols"));
    let symbols = CachedSymbols::of(&located, &cache);
    let asked = addresses();
    let before = symbols.names(&asked);
    let [path] = &tables(dir.path())[..] else { panic!("one table") };
    let key = Table::open(&std::fs::read(path).unwrap()).unwrap().key().to_vec();

    let invented = SourceFrame {
        name: "invented".into(),
        raw_name: "invented".into(),
        file: None,
        line: None,
        start_line: None,
        inlined: false,
        source: NameSource::Symtab,
    };
    let mut builder = TableBuilder::default();
    let found = Found { names: Ok(vec![invented.clone()]), extent: asked[5].0..asked[5].0 + 1 };
    builder.add_names(asked[5], &found);
    std::fs::write(path, builder.finish(&key).unwrap()).unwrap();
    let after = symbols.names(&asked);
    assert_eq!(after[5], Ok(vec![invented]));
    assert_ne!(before[5], after[5]);
    assert!((0..asked.len()).filter(|i| *i != 5).all(|i| before[i] == after[i]));

    let mut builder = TableBuilder::default();
    builder.add_names(asked[5], &found);
    std::fs::write(path, builder.finish(b"another key").unwrap()).unwrap();
    assert_eq!(symbols.names(&asked), before, "a table of other files is none of ours");
}

#[test]
fn a_table_damaged_at_any_byte_is_made_again() {
    let (dir, located) = (tempfile::tempdir().unwrap(), blend(true));
    let cache = SymbolCache::at(&dir.path().join("flamearc/symbols"));
    let asked: Vec<Svma> = addresses().into_iter().step_by(12).collect();
    let symbols = CachedSymbols::of(&located, &cache);
    let expected = symbols.answers(&asked);
    let [path] = &tables(dir.path())[..] else { panic!("one table") };
    let whole = std::fs::read(path).unwrap();
    assert!(whole.len() > 500);
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(path, &damaged).unwrap();
        assert_eq!(symbols.answers(&asked), expected, "byte {at}");
        assert!(std::fs::read(path).unwrap() == whole, "byte {at}");
        std::fs::write(path, &whole[..at]).unwrap();
        assert_eq!(symbols.answers(&asked), expected, "cut at {at}");
    }
}
