//! House rules as tests: crate edges, where unsafe may stand, what `analyze` may use, names of files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_owned()
}

/// Every Rust file of the workspace, as (path from the root, text).
fn sources() -> Vec<(String, String)> {
    fn visit(dir: &Path, root: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(dir).expect("a folder of the checkout").map(Result::unwrap) {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules"
            {
                visit(&path, root, found);
            } else if name.ends_with(".rs") {
                let shown = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.push((shown, fs::read_to_string(&path).expect("Rust is UTF-8")));
            }
        }
    }
    let mut found = Vec::new();
    for top in ["crates", "xtask", "benches", "testdata", "fuzz"] {
        let dir = root().join(top);
        if dir.exists() {
            visit(&dir, &root(), &mut found);
        }
    }
    assert!(found.len() > 20, "the walk found only {} files", found.len());
    found
}

/// A crate's workspace dependencies, normal and build (tests may look anywhere they like).
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .no_deps()
        .current_dir(root())
        .exec()
        .expect("cargo metadata");
    let members: BTreeSet<String> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    metadata
        .packages
        .iter()
        .map(|package| {
            let to = package
                .dependencies
                .iter()
                .filter(|d| d.kind != cargo_metadata::DependencyKind::Development)
                .map(|d| d.name.clone())
                .filter(|name| members.contains(name))
                .collect();
            (package.name.to_string(), to)
        })
        .collect()
}

#[test]
fn crates_depend_only_on_what_the_architecture_allows() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("profile", &[][..]),
        ("archive", &["profile"][..]),
        ("symbolize", &["profile"][..]),
        ("render", &["profile"][..]),
        ("capture", &["archive", "profile"][..]),
        ("analyze", &["archive", "profile", "render", "symbolize"][..]),
        ("benches", &["archive", "profile", "render", "symbolize"][..]),
        ("workloads", &[][..]),
        ("xtask", &[][..]),
    ]);
    let edges = edges();
    for (name, to) in &edges {
        let allowed = allowed.get(name.as_str());
        let allowed: BTreeSet<String> = allowed
            .unwrap_or_else(|| panic!("{name} is not in the architecture"))
            .iter()
            .map(ToString::to_string)
            .collect();
        let extra: Vec<_> = to.difference(&allowed).collect();
        assert!(extra.is_empty(), "{name} must not depend on {extra:?}");
    }
    assert_eq!(edges.len(), allowed.len(), "a crate of the architecture is missing");
}

#[test]
fn capture_reaches_no_symbolizer_dwarf_reader_or_renderer() {
    let metadata =
        cargo_metadata::MetadataCommand::new().current_dir(root()).exec().expect("cargo metadata");
    let capture = metadata.packages.iter().find(|p| p.name.as_str() == "capture").unwrap();
    let direct: Vec<&str> = capture
        .dependencies
        .iter()
        .filter(|d| d.kind == cargo_metadata::DependencyKind::Normal)
        .map(|d| d.name.as_str())
        .collect();
    for forbidden in
        ["addr2line", "gimli", "symbolize", "render", "svg", "cpp_demangle", "rustc-demangle"]
    {
        assert!(!direct.contains(&forbidden), "capture depends on {forbidden}");
    }
}

#[test]
fn unsafe_stands_only_in_files_that_allow_it_with_a_reason() {
    for (path, text) in sources() {
        if path == "xtask/tests/tidy.rs" || !text.contains("#![allow(unsafe_code)]") {
            continue;
        }
        let line = text.lines().find(|l| l.contains("#![allow(unsafe_code)]")).unwrap();
        assert!(line.contains("//"), "{path}: `#![allow(unsafe_code)]` needs its reason beside it");
        if path.starts_with("crates/") {
            let blocks = text.matches("unsafe {").count() + text.matches("unsafe impl").count();
            let reasons = text.matches("SAFETY:").count();
            assert!(reasons >= blocks, "{path}: {blocks} unsafe blocks, {reasons} reasons");
        }
    }
}

#[test]
fn analyze_runs_on_the_laptops_people_have() {
    for (path, text) in sources() {
        let of_analyze = [
            "crates/analyze/src",
            "crates/render/src",
            "crates/symbolize/src",
            "crates/archive/src",
            "crates/profile/src",
        ];
        if !of_analyze.iter().any(|dir| path.starts_with(dir)) {
            continue;
        }
        for forbidden in
            ["std::os::linux", "libc::", "rustix::", "procfs::", "target_os = \"linux\""]
        {
            assert!(!text.contains(forbidden), "{path} uses {forbidden}, which only Linux has");
        }
    }
}

#[test]
fn no_drawers() {
    for (path, _) in sources() {
        for part in path.split('/') {
            let stem = part.trim_end_matches(".rs");
            assert!(
                !["util", "utils", "common", "shared", "types", "helpers", "misc"].contains(&stem),
                "{path}: a name that tells nobody what is inside"
            );
        }
    }
}

#[test]
fn files_are_about_one_thing() {
    // Longer needs a reason, which stands here. Generated code is nobody's reading.
    let reasons: &[&str] = &["crates/archive/src/schema.rs"];
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= 600 || reasons.contains(&path.as_str()),
            "{path} has {lines} lines: split it, or say here why not"
        );
    }
}

#[test]
fn no_unfinished_work() {
    let marks = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];
    for (path, text) in sources() {
        if path == "xtask/tests/tidy.rs" {
            continue;
        }
        for mark in marks {
            assert!(!text.contains(mark), "{path} contains {mark}");
        }
    }
}
