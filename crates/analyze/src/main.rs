//! The program `analyze`: its command line, and its exit status.

use std::process::ExitCode;

use analyze::{Cli, Command, Error, Outcome, Plan};
use clap::Parser;
use render::safe_text::clean;

/// `--fail-on`, and something regressed.
const REGRESSION: u8 = 1;
/// Nothing could be done.
const FAILED: u8 = 2;
/// `--fail-on`, and the recordings do not say, or do not compare.
const INCONCLUSIVE: u8 = 3;
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
        Ok(Outcome::Regression) => ExitCode::from(REGRESSION),
        Ok(Outcome::Inconclusive) => ExitCode::from(INCONCLUSIVE),
        Ok(Outcome::Complete | Outcome::Incomplete) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::from(FAILED)
        }
    }
}

fn say(error: &Error) {
    eprintln!("analyze: {}", clean(&error.with_causes()));
}
