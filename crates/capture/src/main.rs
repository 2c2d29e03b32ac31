//! `capture`: see the library.

use std::process::ExitCode;

use capture::Options;
use clap::Parser as _;

fn main() -> ExitCode {
    let options = Options::parse();
    match capture::run(&options) {
        Ok(status) => ExitCode::from(status as u8),
        Err(error) => {
            eprintln!("capture: {error}");
            // As env(1): a command's own statuses stay apart from ours.
            ExitCode::from(if options.command.is_empty() { 2 } else { 125 })
        }
    }
}
