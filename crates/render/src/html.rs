//! A report as one HTML page: opens from a disk, asks the network for nothing, and reads without scripts.
//!
//! The page's own text stands in the markup: finding, verdicts, provenance, a still picture and an outline of
//! the heaviest paths. Where scripts run, one constant script (`viewer/`, built by `cargo xtask viewer`) draws
//! all of the tree instead, from data that stand compressed in a block that is no script and whose alphabet
//! has no `<`. The page's policy allows that script and two style sheets by their hashes, and nothing else.
//! Names reach the page escaped, and the viewer only as text.

mod columns;
mod markup;
mod outline;
mod over_time;
mod page;
mod payload;
mod verdicts;

use profile::{CallTree, Caption, DiffTree, FrameId, Grade, Timeline};

/// What a report shows.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Title, finding and warnings.
    pub caption: &'a Caption,
    /// What there is to say, a sentence each, the finding first.
    pub findings: &'a [String],
    /// What is drawn.
    pub subject: Subject<'a>,
    /// Where it comes from.
    pub provenance: &'a [Provenance],
    /// What is known of modules, by the short names that frames have.
    pub modules: &'a [ModuleFacts],
}

/// What a report draws.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// One profile.
    Profile {
        /// Weight by call path.
        tree: &'a CallTree,
        /// When and where it was measured.
        times: Option<Times<'a>>,
        /// Weight of one sample: the counting error of a difference between two times follows from it.
        sample_weight: u64,
    },
    /// A comparison.
    Diff {
        /// Both sides by call path.
        tree: &'a DiffTree,
        /// What became of each function, in the order in which they are listed.
        verdicts: &'a [FunctionVerdict],
        /// By what was judged, and how much that is worth.
        judged: &'a str,
    },
}

/// When and where the weight of a profile was measured.
#[derive(Clone, Copy, Debug)]
pub struct Times<'a> {
    /// Rows refer to the tree's nodes.
    pub timeline: &'a Timeline,
    /// For each capture, the Unix time at which its first cell begins, where it is known.
    pub starts_unix_ns: &'a [Option<u64>],
}

/// Facts about one input, or about the whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provenance {
    /// What the facts are of.
    pub heading: String,
    /// Label and text.
    pub facts: Vec<(String, String)>,
}

/// One program, library or kernel.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ModuleFacts {
    /// Its short name, as frames have it.
    pub name: String,
    /// Its build-id, in hexadecimal.
    pub build_id: String,
}

/// What became of one function.
#[derive(Clone, PartialEq, Debug)]
pub struct FunctionVerdict {
    /// A frame of the function, in the diff's tree.
    pub frame: FrameId,
    /// Its own code.
    pub own: Judged,
    /// With all it calls.
    pub total: Judged,
    /// "new", "gone", "moved", "transient".
    pub labels: Vec<&'static str>,
}

/// A number on both sides, in the diff's unit, and what may be said of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Judged {
    /// Base.
    pub before: f64,
    /// New.
    pub after: f64,
    /// What may be said of the difference.
    pub grade: Grade,
    /// The same in a word: "regression", "grew", …
    pub word: &'static str,
    /// The 95 % interval of the difference.
    pub interval: Option<(f64, f64)>,
}

impl Judged {
    /// Whether more may be said than that it may be noise.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.grade != Grade::Noise
    }
}

/// The page.
#[must_use]
pub fn report(report: &Report<'_>) -> String {
    page::page(report)
}
