//! The project's own commands. `cargo xtask --help` lists them.

mod bench;
mod bpf;
mod build;
mod compare;
mod compare_noise;
mod compare_unwind;
mod demo;
mod dist;
mod fixtures;
mod fuzz;
mod hostile;
mod requirements;
mod run;
mod rusage;
mod test;
mod viewer;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Flamearc's own commands
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Record the bundled story twice with real eBPF, analyze it, and say where the picture is
    Demo {
        /// Seconds of each recording
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    /// Everything: format, lints, licences, tests, BPF object, live recordings, pictures in a browser
    Test {
        /// Only the steps whose name contains this
        #[arg(long)]
        only: Option<String>,
    },
    /// Compile the BPF program and write its committed object
    Bpf {
        /// Only check that the committed object is what the source compiles to
        #[arg(long)]
        check: bool,
    },
    /// Build the HTML report's viewer and write its committed script and style
    Viewer {
        /// Only check that what is committed is the build of its source
        #[arg(long)]
        check: bool,
    },
    /// Record testdata's archives again
    Fixtures {
        /// Only this case
        #[arg(long)]
        only: Option<String>,
    },
    /// Run the fuzz targets: replay what is known, then mutate it for a while
    Fuzz {
        /// Seconds of each target
        #[arg(long, default_value_t = 30)]
        seconds: u32,
        /// Only these targets
        names: Vec<String>,
    },
    /// Give `analyze` inputs made to be bad, and measure its memory
    Hostile,
    /// Measure the budgets, side by side with perf and inferno
    Bench {
        /// Seconds of the steady-state measurement
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Only this part
        #[arg(long)]
        only: Option<bench::Part>,
    },
    /// Record loads in which nothing changes and services made slower, and count wrong and right verdicts
    CompareNoise {
        /// Pairs in which nothing changed
        #[arg(long, default_value_t = 201)]
        pairs: u32,
        /// Seconds of each side of a pair
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// Where the recordings are kept; those that are there are used
        #[arg(long, default_value = "target/noise")]
        dir: PathBuf,
    },
    /// Record a command with capture and with perf at the same time, and compare the names
    ComparePerf {
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Record a command with capture and with perf's stack dumps, hold its stacks against perf's and gdb's
    CompareUnwind {
        /// How often gdb looks at it, in a run of its own
        #[arg(long, default_value_t = 20)]
        gdb: u32,
        /// Process that gdb looks at, by name: the newest one (default: the command itself)
        #[arg(long)]
        process: Option<String>,
        /// Samples a second of both
        #[arg(long, default_value_t = 499)]
        hz: u32,
        /// How capture unwinds: fp, auto or dwarf
        #[arg(long, default_value = "auto")]
        unwind: String,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Build `capture` as it is shipped: one small static file; with man pages and completions
    Dist,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Demo { seconds } => demo::run(seconds),
        Command::Test { only } => test::run(only.as_deref()),
        Command::Bpf { check } => bpf::run(check),
        Command::Viewer { check } => viewer::run(check),
        Command::Fixtures { only } => fixtures::run(only.as_deref()),
        Command::Fuzz { seconds, names } => fuzz::run(seconds, &names),
        Command::Hostile => hostile::run(),
        Command::Bench { seconds, only } => bench::run(seconds, only),
        Command::CompareNoise { pairs, seconds, dir } => {
            compare_noise::run(&compare_noise::Plan { pairs, seconds, dir })
        }
        Command::ComparePerf { command } => compare::run(&command),
        Command::CompareUnwind { gdb, process, hz, unwind, command } => {
            compare_unwind::run(&compare_unwind::Plan { gdb, process, hz, unwind, command })
        }
        Command::Dist => dist::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The checkout this program was built from.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_owned()
}
