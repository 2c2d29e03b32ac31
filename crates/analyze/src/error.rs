//! Why nothing came out.

use std::io;
use std::path::PathBuf;

use crate::filter::{BadFilter, BadTime};
use crate::import::{PerfDataError, PprofError, TextError};
use crate::locate::DebuginfodError;

/// Everything that can keep `analyze` from doing what was asked. Each text names the cause and the
/// next step; an incomplete input is no error (see [`crate::Outcome`]).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An input could not be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A number where a file is expected: optional values need `=`.
    #[error(
        "there is no file {number}; if it is an option's value, write it with `=`, as --top={number}"
    )]
    StrayNumber {
        /// What was given.
        number: String,
    },
    /// A command's name where a file is expected.
    #[error("there is no file symbolize; as a command it comes first: analyze symbolize FILE")]
    CommandNotFirst,
    /// An input is not something this program knows.
    #[error(
        "{} is not a recording: it {found}. Give a file made by `capture -o FILE` or by `perf record`, a pprof profile, folded stacks, or text of a profiler that `analyze --help` names", path.display()
    )]
    NotARecording {
        /// Which.
        path: PathBuf,
        /// What it is instead, as a clause.
        found: &'static str,
    },
    /// Debug files packed together.
    #[error("{0} packs files together, as `perf archive` does, and is not looked into. Unpack it to where they are found: mkdir -p ~/.debug && tar xf {0} -C ~/.debug", path.display())]
    Packed {
        /// Which.
        path: PathBuf,
    },
    /// A file that has no code to look addresses up in.
    #[error("{}: {source}; give a program, a library, a debug file or a vmlinux", path.display())]
    NoProgram {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: symbolize::Error,
    },
    /// An archive without anything that can be read.
    #[error("{}: {source}", path.display())]
    Archive {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: archive::Error,
    },
    /// A recording of `perf record` of which nothing can be read.
    #[error("{}: {source}", path.display())]
    PerfData {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: PerfDataError,
    },
    /// A pprof profile that cannot be used.
    #[error("{}: {source}", path.display())]
    Pprof {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: PprofError,
    },
    /// Folded stacks, or text of another tool, that cannot be used.
    #[error("{}: {source}", path.display())]
    Text {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: TextError,
    },
    /// A compressed input that cannot be inflated.
    #[error("cannot inflate {}: {source}; it is cut off or damaged", path.display())]
    Inflate {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// More than memory is set aside for.
    #[error("{} is larger than {} MiB, inflated; that is more than is read of such a profile", path.display(), most_bytes >> 20)]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// How much is read.
        most_bytes: u64,
    },
    /// An input that does not measure what was asked for.
    #[error("{}: nothing in it is called {wanted}; it has {measures}", path.display())]
    NoMeasure {
        /// Which.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is.
        measures: String,
    },
    /// Inputs whose weights cannot be added or compared.
    #[error("{} measures {measure}, and {} {other}; these are never added or compared. Give one of them alone, or choose with --event", path.display(), other_path.display())]
    OtherMeasure {
        /// One input.
        path: PathBuf,
        /// What it measures.
        measure: String,
        /// Another.
        other_path: PathBuf,
        /// What that measures.
        other: String,
    },
    /// Times asked of an input whose samples have none.
    #[error("{}: its samples have no times, so that none of it can be chosen by time", path.display())]
    NoTimes {
        /// Which.
        path: PathBuf,
    },
    /// A directory without recordings.
    #[error("{} holds no .arc file", path.display())]
    EmptyDirectory {
        /// Which.
        path: PathBuf,
    },
    /// No input was left to analyze.
    #[error("none of the inputs could be read: {causes}")]
    NoInput {
        /// Why each of them.
        causes: String,
    },
    /// A comparison in which one side says nothing.
    #[error("cannot compare: {side} covers no time that could be read{why}")]
    NotComparable {
        /// Which side.
        side: &'static str,
        /// Why, as the end of the sentence.
        why: String,
    },
    /// A recording without an event that measures CPU time.
    #[error("{}: no event in it measures CPU time{wanted}; it has {events}", path.display())]
    NoCpuEvent {
        /// Which.
        path: PathBuf,
        /// What else was asked for, as the end of the clause.
        wanted: String,
        /// The events' names.
        events: String,
    },
    /// Weights that no machine can have recorded.
    #[error(
        "{}: with this recording the CPU time exceeds 584 years; it is damaged or forged", path.display()
    )]
    AbsurdWeight {
        /// Which.
        path: PathBuf,
    },
    /// No thread passes the filters.
    #[error("nothing was recorded of {filter}; recorded were {recorded}")]
    NothingLeft {
        /// What was asked for.
        filter: String,
        /// The largest processes there are.
        recorded: String,
    },
    /// A filter that cannot be.
    #[error("{option}: {source}")]
    Filter {
        /// The option, or the input it was given with.
        option: String,
        /// What is wrong with it.
        source: BadFilter,
    },
    /// A time that cannot be found in the recordings.
    #[error(transparent)]
    Time(BadTime),
    /// An expression for frames' names that does not parse.
    #[error("{option}: {source}")]
    Expression {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        source: regex::Error,
    },
    /// One recording given twice on one side, in ways that may overlap.
    #[error(
        "{}: the same recording is given with {first:?} and with {second:?}; what both let through would \
         count twice. Give time ranges, or one filter", path.display()
    )]
    CountedTwice {
        /// The second file.
        path: PathBuf,
        /// The first filter.
        first: String,
        /// The second.
        second: String,
    },
    /// A rest of a recording of which the other side takes nothing, or all.
    #[error(
        "{}@rest: the other side must take a part of the same recording, as in \
         `analyze run.arc@10:00..10:05 --diff run.arc@rest`", path.display()
    )]
    NoRest {
        /// Which.
        path: PathBuf,
    },
    /// A function that is on no stack.
    #[error("--callers {pattern}: no function of such a name is on any stack")]
    NoFunction {
        /// What was asked for.
        pattern: String,
    },
    /// Several functions where one is meant.
    #[error(
        "--callers {pattern}: several functions match; give all of one name, or an expression such as \
         ^name$: {}", names.join(", ")
    )]
    SeveralFunctions {
        /// What was asked for.
        pattern: String,
        /// The functions, the heaviest first.
        names: Vec<String>,
    },
    /// An output whose extension names no format.
    #[error(
        "{}: no format is known by this name; end it in .svg, .folded, .pb.gz, .pprof, .json, .csv, .md or .txt, or say --format", path.display()
    )]
    UnknownFormat {
        /// Which.
        path: PathBuf,
    },
    /// An output that cannot show a comparison.
    #[error("{}: this format cannot hold a difference; write it without --diff", path.display())]
    NoDiffFormat {
        /// Which.
        path: PathBuf,
    },
    /// An output could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// An output that exists and is not a plain file.
    #[error(
        "{} is {what}, and is not replaced; remove it, name another file, or use `-o -`", path.display()
    )]
    NotReplaced {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// What was written cannot be shown.
    #[error("{opener} did not start; open {} in a browser", path.display())]
    NotOpened {
        /// Which.
        path: PathBuf,
        /// What opens files here.
        opener: &'static str,
        /// Cause.
        source: io::Error,
    },
    /// `--open` without a picture or report.
    #[error("--open: no picture and no report is written; name one, for example -o run.html")]
    NothingToOpen,
    /// A `--map-prefix` without `=`.
    #[error("--map-prefix {given:?} must be FROM=TO, for example /usr=/mnt/image/usr")]
    MapPrefix {
        /// What was given.
        given: String,
    },
    /// A `--debuginfod` that names nobody to ask.
    #[error("--debuginfod: {0}")]
    Debuginfod(#[from] DebuginfodError),
    /// A directory or file to search that is not there.
    #[error("{option} {}: {source}", path.display())]
    SearchPath {
        /// The option that named it.
        option: &'static str,
        /// What it named.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

impl Error {
    /// Whether a file was named that is not there: a slip of the hand, not a damaged recording.
    pub(crate) fn is_missing_file(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// The text with the causes behind it, on one line.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let more = error.to_string();
            // Texts of this crate may say their source's themselves: once is enough.
            if !text.contains(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            cause = error.source();
        }
        text
    }
}
