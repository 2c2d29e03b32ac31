//! Starts programs and says which one failed.

use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

/// A cargo command in the checkout, with the cargo that runs us.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(crate::root());
    command
}

/// Runs a command with our own output; an error when it fails.
pub fn check(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}

/// Runs a command and takes what it prints; an error, with what it printed, when it fails.
pub fn output(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed: {}\n{said}", output.status);
    }
    Ok(output)
}

/// Whether we are root.
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n")
}

/// `program`, through sudo when we are not root: only what must be privileged is.
pub fn elevated(program: &std::path::Path) -> Command {
    if is_root() {
        Command::new(program)
    } else {
        let mut command = Command::new("sudo");
        command.arg(program);
        command
    }
}

/// A command whose result on stdout is not of interest.
pub fn quiet(program: &std::path::Path) -> Command {
    let mut command = Command::new(program);
    command.stdout(std::process::Stdio::null());
    command
}

/// Throws away what a command prints.
pub fn quiet_all(command: &mut Command) -> &mut Command {
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null())
}
