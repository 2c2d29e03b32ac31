//! The program `analyze`: its command line, and its exit status.

use std::process::ExitCode;

use analyze::{Cli, Command, Error, Outcome, Plan};
use clap::Parser;
use render::safe_text::clean;

/// Nothing could be done.
const FAILED: u8 = 2;
/// `--strict`, and an input is incomplete.
const INCOMPLETE: u8 = 4;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(Command::Symbolize(request)) => analyze::symbolize(request),
        None => Plan::new(&cli).and_then(|plan| analyze::run(&plan)),
    };
    match done {
        Ok(Outcome::Incomplete) if cli.strict => ExitCode::from(INCOMPLETE),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::from(FAILED)
        }
    }
}

fn say(error: &Error) {
    eprintln!("analyze: {}", clean(&error.with_causes()));
}
