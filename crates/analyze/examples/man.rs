//! Writes the man page and the completions of `analyze` into a folder: `cargo run -p analyze
//! --example man -- DIR`.

use std::path::PathBuf;

use clap_complete::Shell;

fn main() -> std::io::Result<()> {
    let dir = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidInput, "usage: man DIR"))?;
    let mut command = analyze::command();
    clap_mangen::generate_to(command.clone(), &dir)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "analyze", &dir)?;
    }
    Ok(())
}
