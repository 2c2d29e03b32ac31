//! Names for people compared with c++filt's, for every mangled name of the shared libraries
//! installed here (Debian: binutils) and of this very program.
//!
//! `cargo test -p symbolize --release --features campaign --test demangle_campaign -- --nocapture`

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use object::{Object as _, ObjectSymbol as _};
use symbolize::demangle;

const LIBRARY_FOLDERS: [&str; 2] = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/llvm-14/lib"];

fn mangled_names(file: &Path, into: &mut BTreeSet<String>) {
    let Ok(bytes) = fs::read(file) else { return };
    let Ok(object) = object::File::parse(&*bytes) else { return };
    for symbol in object.symbols().chain(object.dynamic_symbols()) {
        if let Ok(name) = symbol.name()
            && (name.starts_with("_Z") || name.starts_with("_R"))
        {
            // c++filt takes the version for a part of the text around the name
            into.insert(name.split('@').next().unwrap_or(name).to_owned());
        }
    }
}

fn shared_libraries() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in LIBRARY_FOLDERS {
        for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
            let path = entry.path();
            let is_library = entry.file_name().to_string_lossy().contains(".so");
            if is_library && !path.is_symlink() && path.is_file() {
                files.push(path);
            }
        }
    }
    files
}

/// One answer for each name, in order.
fn filtered(names: &BTreeSet<String>) -> Vec<String> {
    let mut child = Command::new("c++filt")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("c++filt (Debian: binutils)");
    let mut stdin = child.stdin.take().unwrap();
    let text: String = names.iter().flat_map(|name| [name, "\n"]).collect();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Equal but for how c++filt treats what is not there and what has a short name.
fn equal_in_cpp(_: &str, ours: &str, theirs: &str) -> bool {
    let spelled_alike = |text: &str| {
        // Of an empty pack c++filt keeps the comma behind it, or loses the space between two >.
        text.replace("<, ", "<")
            .replace("(, ", "(")
            .replace(", , ", ", ")
            .replace(" >", ">")
            .replace(
                "std::basic_string<char, std::char_traits<char>, std::allocator<char>>",
                "std::string",
            )
    };
    spelled_alike(ours) == spelled_alike(theirs)
}

/// Equal but for what c++filt adds: types of constants (`10: usize`) and hashes; and for the
/// number of a split static (`.0`), which it drops.
fn equal_in_rust(raw: &str, ours: &str, theirs: &str) -> bool {
    const CONSTANTS: [&str; 13] = [
        "usize", "u8", "u16", "u32", "u64", "u128", "isize", "i8", "i16", "i32", "i64", "bool",
        "char",
    ];
    let mut text = without_hashes(theirs);
    for kind in CONSTANTS {
        for end in [">", ",", "]"] {
            text = text.replace(&format!(": {kind}{end}"), end);
        }
    }
    match raw.rsplit_once('.') {
        Some((name, number)) if !name.ends_with(".llvm") && ours.ends_with(number) => {
            ours == text || ours == format!("{text}.{number}")
        }
        _ => ours == text,
    }
}

/// Whether the name ends as those of Rust before v0 do.
fn is_legacy_rust(raw: &str) -> bool {
    raw.rsplit_once("17h").is_some_and(|(_, hash)| {
        hash.len() >= 17 && hash.as_bytes()[..16].iter().all(u8::is_ascii_hexdigit)
    })
}

/// Without the hashes that c++filt shows behind crates (`core[c1f1a4ba060b9bfa]`) and, before v0,
/// behind the whole name.
fn without_hashes(text: &str) -> String {
    let mut parts = text.split('[');
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((hash, rest)) if hash.len() > 8 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
                kept.push_str(rest);
            }
            _ => kept.extend(["[", part]),
        }
    }
    match kept.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 => name.to_owned(),
        _ => kept,
    }
}

/// Compares, prints how answers differ, and says which share of them is equal.
fn agreement(names: &BTreeSet<String>, equal: fn(&str, &str, &str) -> bool) -> f64 {
    let answers = filtered(names);
    assert_eq!(answers.len(), names.len());
    let mut kinds: BTreeMap<&str, (usize, Vec<String>)> = BTreeMap::new();
    for (raw, theirs) in names.iter().zip(&answers) {
        let ours = demangle(raw);
        if equal(raw, &ours, theirs) {
            continue;
        }
        let kind = match (*ours == *raw, theirs == raw) {
            (true, false) => "only c++filt has a name",
            (false, true) => "only we have a name",
            _ => "the names differ",
        };
        let (count, examples) = kinds.entry(kind).or_default();
        *count += 1;
        if examples.len() < 20 {
            examples.push(format!("{raw}\n  ours   {ours}\n  theirs {theirs}"));
        }
    }
    let different: usize = kinds.values().map(|kind| kind.0).sum();
    for (kind, (count, examples)) in kinds {
        println!("{kind}: {count}\n{}", examples.join("\n"));
    }
    let share = 1.0 - different as f64 / names.len() as f64;
    println!("{} names, {different} differ, {:.4} % equal", names.len(), share * 100.0);
    share
}

#[test]
fn cpp_names_of_installed_libraries_read_as_in_cppfilt() {
    let mut names = BTreeSet::new();
    for file in shared_libraries() {
        mangled_names(&file, &mut names);
    }
    names.retain(|name| name.starts_with("_Z") && !is_legacy_rust(name));
    assert!(names.len() > 10_000, "only {} names: install g++, llvm, clang", names.len());
    assert!(agreement(&names, equal_in_cpp) >= 0.999);
}

#[test]
fn rust_names_of_this_program_read_as_in_cppfilt() {
    let mut names = BTreeSet::new();
    mangled_names(&std::env::current_exe().unwrap(), &mut names);
    names.retain(|name| name.starts_with("_R") || is_legacy_rust(name));
    assert!(names.len() > 1_000, "only {} names", names.len());
    assert!(agreement(&names, equal_in_rust) >= 0.999);
}
