//! `capture`: see the library.
#![deny(clippy::print_stderr)] // it panics when standard error is gone: narrate instead

use std::process::ExitCode;

use capture::Options;
use capture::narrate;
use clap::Parser as _;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // A terminal that is gone cannot be told.
            let _ = error.print();
            let with_command = std::env::args_os().any(|word| word == "--");
            let failed = if with_command { 125 } else { 2 };
            return ExitCode::from(if error.use_stderr() { failed } else { 0 });
        }
    };
    match capture::run(&options) {
        Ok(status) => ExitCode::from(status as u8),
        Err(error) => {
            narrate(format_args!("capture: {error}\n"));
            // As env(1): a command's own statuses stay apart from ours.
            ExitCode::from(if options.command.is_empty() { 2 } else { 125 })
        }
    }
}
