//! What the tests need beyond cargo. Where something is missing, one command that installs all of
//! it is named, and the run fails: a check that cannot run does not pass.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

struct Requirement {
    /// A program on the PATH, or an absolute path.
    program: &'static str,
    /// Debian's package.
    package: &'static str,
}

const DEBIAN: &[Requirement] = &[
    Requirement { program: "clang-14", package: "clang-14" },
    Requirement { program: "llvm-strip-14", package: "llvm-14" },
    Requirement { program: "/usr/include/bpf/bpf_helpers.h", package: "libbpf-dev" },
    Requirement { program: "llvm-symbolizer-14", package: "llvm-14" },
    Requirement { program: "dwz", package: "dwz" },
    Requirement { program: "debuginfod", package: "debuginfod" },
    Requirement { program: "objcopy", package: "binutils" },
    Requirement { program: "gcc", package: "gcc" },
    Requirement { program: "g++", package: "g++" },
    Requirement { program: "perf", package: "linux-perf" },
    Requirement { program: "protoc", package: "protobuf-compiler" },
    Requirement { program: "zstd", package: "zstd" },
    Requirement { program: "python3", package: "python3" },
    Requirement { program: "chromium", package: "chromium" },
    Requirement { program: "node", package: "nodejs" },
    Requirement { program: "npm", package: "npm" },
    Requirement { program: "unshare", package: "util-linux" },
    Requirement { program: "go", package: "golang-go" },
];

fn present(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).exists();
    }
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()))
}

/// Fails with the commands that install whatever is missing.
pub fn check() -> Result<()> {
    let mut commands = Vec::new();
    let mut packages: Vec<&str> =
        DEBIAN.iter().filter(|r| !present(r.program)).map(|r| r.package).collect();
    packages.dedup();
    if !packages.is_empty() {
        commands.push(format!("sudo apt-get install -y {}", packages.join(" ")));
    }
    let deny = Command::new("cargo").args(["deny", "--version"]).output();
    if !deny.is_ok_and(|o| o.status.success()) {
        commands.push("cargo install --locked cargo-deny".to_owned());
    }
    if commands.is_empty() {
        return Ok(());
    }
    bail!("the tests need more than is installed here; run\n    {}", commands.join(" && "));
}
