//! The command line, as typed. What it means is [`crate::plan`]'s.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::comparison::FailOn;
use crate::diff::Scale;
use crate::group::Grouping;

/// Names, merges, compares and draws what `capture` recorded.
///
/// `analyze run.arc` prints a summary and writes run.svg. `analyze run.arc --diff base.arc` prints
/// what changed since base.arc and writes run.diff.svg. With -o, --top, --tree, --callers or --info only what
/// was asked for is written.
#[derive(Parser, Clone, Debug)]
#[command(name = "analyze", version, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(disable_help_subcommand = true)]
#[command(after_help = "Exit status: 0 done, also for an incomplete input, which is analyzed and \
    named first; 1 --fail-on and a regression; 2 nothing could be done; 3 --fail-on and no telling, or \
    sides that do not compare; 4 --strict and an incomplete input.")]
pub struct Cli {
    /// What to do instead of analyzing recordings.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Recordings (of capture or perf), or directories of them; or profiles that have names already:
    /// pprof, folded stacks, text of `perf script`, of DTrace, macOS `sample`, VTune, Visual Studio or GHC's
    /// `.prof`. Several are merged. `-` is standard input.
    /// Filters for one input alone follow it: run.arc@10:00..10:30, run.arc@comm=nginx@cpu=3.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,

    /// Compare with this recording. Several are merged. `FILE@rest` is what the inputs leave of the same
    /// recording: run.arc@10:00..10:05 --diff run.arc@rest.
    #[arg(long, value_name = "BASE")]
    pub diff: Vec<PathBuf>,

    /// Write this and nothing else: .svg, .html, .folded, .pb.gz or .pprof (for `go tool pprof`), .json, .csv,
    /// .md or .txt; `-` is standard output. Repeatable.
    #[arg(short, long, value_name = "OUT")]
    pub output: Vec<PathBuf>,

    /// Format of `-o -` and of names that say none.
    #[arg(long, value_name = "FMT")]
    pub format: Option<Format>,

    /// Title of pictures.
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,

    /// Where the root of an SVG picture stands: on top (icicle) or at the bottom (flame).
    #[arg(long, value_name = "HOW", default_value = "icicle", help_heading = "Pictures")]
    pub direction: Direction,

    /// What the colours of an SVG picture tell apart. Of a comparison they say what changed.
    #[arg(long, value_name = "WHAT", default_value = "kind", help_heading = "Pictures")]
    pub color: Coloring,

    /// Leave the script out of SVG pictures: no zoom and no search, for places that allow none.
    #[arg(long = "static", help_heading = "Pictures")]
    pub still: bool,

    /// Open the picture or report that was written in the browser.
    #[arg(long, help_heading = "Pictures")]
    pub open: bool,

    /// Print the functions that cost most (by default 30), and nothing else.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "30")]
    pub top: Option<usize>,

    /// Print the call tree, the heaviest paths first; of a comparison what changed most.
    #[arg(long)]
    pub tree: bool,

    /// Print who calls a function and what it calls. FN is its name, a part of it, or a regular
    /// expression; where several match they are listed.
    #[arg(long, value_name = "FN")]
    pub callers: Option<String>,

    /// Print what the file holds: facts, tables, modules with build-ids, counters per CPU, damage.
    #[arg(long)]
    pub info: bool,

    /// Which samples count.
    #[command(flatten)]
    pub filters: FilterOptions,

    /// Of perf.data: show this event, in place of the one that measured most CPU time; of pprof this
    /// sample type.
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,

    /// Give kernel time to the user functions that asked for it.
    #[arg(long, help_heading = "Shape")]
    pub no_kernel: bool,

    /// Give the time of inlined functions to the functions they are part of.
    #[arg(long, help_heading = "Shape")]
    pub no_inlines: bool,

    /// What stands at the root of stacks: process, thread, cpu, host, cgroup, module or label=KEY.
    /// Repeatable, the outermost first.
    #[arg(long, value_name = "WHAT", default_value = "process", help_heading = "Shape")]
    pub by: Vec<Grouping>,

    /// Begin pictures and folded stacks with what costs, its callers behind it.
    #[arg(long, help_heading = "Shape")]
    pub inverted: bool,

    /// Show calls of a function by itself as one frame.
    #[arg(long, help_heading = "Shape")]
    pub fold_recursion: bool,

    /// What a comparison compares: cores, unless both sides launched a command with `--`, which
    /// compares totals.
    #[arg(long, value_name = "SCALE", requires = "diff", help_heading = "Shape")]
    pub scale: Option<Scale>,

    /// Compare CPU time for each unit of work: this many were done (requests served, jobs finished) on
    /// the new side.
    #[arg(
        long,
        value_name = "N",
        requires = "diff_work",
        conflicts_with = "scale",
        help_heading = "Shape"
    )]
    #[arg(value_parser = positive)]
    pub work: Option<f64>,

    /// Units of work done in the base.
    #[arg(long, value_name = "M", requires_all = ["work", "diff"], help_heading = "Shape")]
    #[arg(value_parser = positive)]
    pub diff_work: Option<f64>,

    /// Changes smaller than this percentage of the base's total do not matter.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "1%",
        requires = "diff",
        help_heading = "Shape"
    )]
    #[arg(value_parser = percentage)]
    pub min_effect: f64,

    /// End with status 1 when something regressed (by this percentage of the base's total or more), and
    /// with 3 when that cannot be told.
    #[arg(long, value_name = "regression[=N%]", requires = "diff")]
    pub fail_on: Option<FailOn>,

    /// Where names come from.
    #[command(flatten)]
    pub symbols: SymbolOptions,

    /// Look up recorded paths that begin with FROM at TO instead. Repeatable, the first that fits.
    #[arg(long, value_name = "FROM=TO", help_heading = "Symbols")]
    pub map_prefix: Vec<String>,

    /// End with status 4 when an input is incomplete.
    #[arg(long)]
    pub strict: bool,
}

fn positive(given: &str) -> Result<f64, String> {
    match given.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("a positive number is expected".into()),
    }
}

fn percentage(given: &str) -> Result<f64, String> {
    match given.trim_end_matches('%').parse::<f64>() {
        Ok(number) if (0.0..=100.0).contains(&number) => Ok(number),
        _ => Err("a percentage is expected, as 1%".into()),
    }
}

/// Which samples count. Values of one option are alternatives, different options must all hold. In names
/// `*` stands for anything, `?` for one character.
#[derive(Args, Clone, Default, Debug)]
#[command(next_help_heading = "Filters (alternatives when repeated)")]
pub struct FilterOptions {
    /// Only this process.
    #[arg(long, value_name = "PID")]
    pub pid: Vec<u32>,

    /// Only processes or threads of this name; `*` stands for anything, `?` for one character.
    #[arg(long, value_name = "NAME")]
    pub comm: Vec<String>,

    /// Only threads of this name.
    #[arg(long, value_name = "NAME")]
    pub thread: Vec<String>,

    /// Only this CPU.
    #[arg(long, value_name = "N")]
    pub cpu: Vec<u32>,

    /// Only this control group and those below it, by path, or by one part of a path (a container's id).
    #[arg(long, value_name = "PATH")]
    pub cgroup: Vec<String>,

    /// Only recordings of this machine.
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,

    /// Only samples with this label.
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,

    /// Only stacks with code of this program or library, and processes that run it; by path or file name.
    #[arg(long, value_name = "NAME")]
    pub module: Vec<String>,

    /// Likewise, by the beginning of the build-id.
    #[arg(long, value_name = "HEX")]
    pub build_id: Vec<String>,

    /// From this time on: 10:30, 10:30+01:00, 2026-11-21T10:30, 90s (after the start), -5m (before the
    /// end). UTC unless a zone is given.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,

    /// Up to this time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,

    /// Only the last part of each recording, this long: 5m, 90s.
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["from", "to"])]
    #[arg(allow_hyphen_values = true)]
    pub last: Option<String>,

    /// Only stacks with a frame whose name matches this regular expression.
    #[arg(long, value_name = "RE")]
    pub focus: Vec<String>,

    /// No stacks with such a frame.
    #[arg(long, value_name = "RE")]
    pub ignore: Vec<String>,

    /// Do not show such frames.
    #[arg(long, value_name = "RE")]
    pub hide: Vec<String>,
}

/// Where names come from.
#[derive(Args, Clone, Default, Debug)]
pub struct SymbolOptions {
    /// Look for programs and debug files here, by build-id, recursively. Repeatable.
    #[arg(long, value_name = "DIR", help_heading = "Symbols")]
    pub debug_dir: Vec<PathBuf>,

    /// The root of another file system: recorded paths and the system's debug files are looked up
    /// below it instead of `/`.
    #[arg(long, value_name = "DIR", help_heading = "Symbols")]
    pub sysroot: Option<PathBuf>,

    /// Ask debuginfod servers for files that are not here: those of DEBUGINFOD_URLS, or URL. Without
    /// this option nobody is asked. Of a recording, only for modules on at least 1 % of the stacks.
    /// Repeatable.
    #[arg(
        long,
        value_name = "URL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        help_heading = "Symbols"
    )]
    pub debuginfod: Vec<String>,

    /// Neither read nor write the names kept from earlier runs in the user's cache directory.
    #[arg(long, help_heading = "Symbols")]
    pub no_cache: bool,
}

/// What can be done but analyzing recordings. A recording called like a command is `./symbolize`.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Print the functions, files and lines of a program's addresses.
    ///
    /// Reads addresses from standard input, one a line: hexadecimal, with or without 0x, as FILE
    /// itself states them and nm and objdump print them. Prints for each, innermost inlined function
    /// first, a line with the function's name and one with its source file, line and column (always 0:
    /// columns are not read), and after them an empty line; `??` stands for what is not known. A line
    /// that is no address is printed as it is. llvm-symbolizer does the same, but reads numbers without
    /// 0x as decimal.
    Symbolize(Symbolize),
}

/// What `analyze symbolize` is asked for.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Exit status: 0 done, also where addresses have no name; 2 FILE cannot be used."
)]
pub struct Symbolize {
    /// A program, a library, a debug file or a kernel (vmlinux).
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Print a JSON object a line: the address, and its frames (with the source of each name) or the
    /// reason why it has no name.
    #[arg(long)]
    pub json: bool,

    /// Print names as the linker knows them, not demangled.
    #[arg(long)]
    pub raw_names: bool,

    /// Where names come from.
    #[command(flatten)]
    pub symbols: SymbolOptions,
}

/// Where the root of a picture stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Direction {
    /// On top, leaves hang down.
    Icicle,
    /// At the bottom, leaves stand up.
    Flame,
}

/// What the colours of a picture tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Coloring {
    /// Program, inlined calls, libraries, kernel.
    Kind,
    /// The heaviest programs and libraries.
    Module,
    /// What code was written in.
    Language,
}

/// What an output looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Format {
    /// Flamegraph.
    Svg,
    /// Report to explore in a browser: one file that needs no network and reads without scripts.
    Html,
    /// One line for each stack, for other tools: `frame;frame;frame weight`.
    Folded,
    /// pprof's profile.proto, compressed with gzip.
    Pprof,
    /// Everything the summary or the comparison shows, for programs (docs/analyze.schema.json).
    Json,
    /// Functions, for spreadsheets.
    Csv,
    /// Verdict or total, tables and paths, for a postmortem or a pull request.
    Md,
    /// The summary.
    Txt,
}

impl Format {
    /// By a file's extension.
    #[must_use]
    pub fn of(path: &std::path::Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        if name.ends_with(".pb.gz") {
            return Some(Self::Pprof);
        }
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "svg" => Some(Self::Svg),
            "html" | "htm" => Some(Self::Html),
            "folded" | "collapsed" => Some(Self::Folded),
            "pprof" => Some(Self::Pprof),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "md" => Some(Self::Md),
            "txt" => Some(Self::Txt),
            _ => None,
        }
    }
}
