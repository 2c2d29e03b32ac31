//! The `.prof` file of a program that GHC compiled for profiling:
//!
//! ```text
//!         total time  =        0.37 secs   (371 ticks @ 1000 us, 1 processor)
//! …
//! COST CENTRE  MODULE   SRC         no.  entries  %time %alloc   %time %alloc  ticks     bytes
//!
//! MAIN         MAIN     <built-in>   85        0    0.3    0.1   100.0  100.0      1      4096
//!  main        Main     Main.hs:7    95        1   80.0   70.0    99.7   99.9    296   1234567
//! ```
//!
//! A blank for each caller. A cost centre's own ticks are its weight, as time where their length is stated. A
//! processor that idles ticks, too. Ticks are printed with `-P` only; without them there is the share of the time,
//! rounded to tenths of a percent.

use std::borrow::Cow;

use profile::FrameKind;

use super::{Line, Measured, Report, Row};
use crate::import::text::fixed_point;
use crate::measure::{Measure, Quantity};

/// The columns behind the cost centre, its module and where it stands; older versions have no SRC.
const COLUMNS: [&str; 6] = ["no.", "entries", "%time", "%alloc", "%time", "%alloc"];

/// Which of them is a cost centre's own share of the time.
const SHARE: usize = 2;

/// Whether a line names the columns that are read.
pub fn is_header(line: &str) -> bool {
    columns(line).is_some()
}

/// The numbers of a line: how many, and which of them is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Columns {
    count: usize,
    ticks: Option<usize>,
}

fn columns(line: &str) -> Option<Columns> {
    let rest = line.strip_prefix("COST CENTRE")?;
    let mut words = rest.split_whitespace();
    (words.next() == Some("MODULE")).then_some(())?;
    let mut words = words.peekable();
    words.next_if(|word| *word == "SRC");
    COLUMNS.iter().all(|column| words.next() == Some(column)).then_some(())?;
    let more: Vec<&str> = words.take(3).collect();
    let ticks = more.iter().position(|word| *word == "ticks").map(|place| COLUMNS.len() + place);
    Some(Columns { count: COLUMNS.len() + more.len(), ticks })
}

#[derive(Default)]
pub struct Ghc {
    columns: Option<Columns>,
    /// How long a tick is, in nanoseconds.
    tick_ns: Option<u64>,
    rows: bool,
}

impl Report for Ghc {
    fn line<'a>(&mut self, line: &'a str) -> Line<'a> {
        let Some(columns) = self.columns else {
            self.tick_ns = self.tick_ns.or_else(|| tick_ns(line));
            self.columns = columns(line);
            return Line::Other;
        };
        if line.trim().is_empty() {
            // One below the header, one behind the outline.
            return if self.rows { Line::End } else { Line::Other };
        }
        self.rows = true;
        let depth = line.len() - line.trim_start_matches(' ').len();
        if line.split_whitespace().count() < columns.count + 2 {
            return Line::Unreadable { depth, why: "has not all columns" };
        }
        let mut numbers = vec![""; columns.count];
        let mut from_end = line.split_whitespace().rev();
        for number in numbers.iter_mut().rev() {
            *number = from_end.next().unwrap_or_default();
        }
        let read = match columns.ticks {
            Some(place) => numbers.get(place).and_then(|ticks| ticks.parse().ok()),
            None => fixed_point(numbers[SHARE], 1),
        };
        let weight = read.and_then(|weight: u64| match columns.ticks {
            Some(_) => weight.checked_mul(self.tick_ns.unwrap_or(1)),
            None => Some(weight),
        });
        let Some(weight) = weight else {
            return Line::Unreadable { depth, why: "has no time" };
        };
        let mut words = line.split_whitespace();
        let (name, module) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let name = Cow::Owned(format!("{module}.{name}"));
        Line::Function(Row { depth, name, module: module.into(), kind: FrameKind::User, weight })
    }

    fn measured(&self) -> Measured {
        let has_ticks = self.columns.is_some_and(|columns| columns.ticks.is_some());
        let (name, quantity) = match (has_ticks, self.tick_ns) {
            (true, Some(_)) => ("", Quantity::Time),
            (true, None) => ("ticks", Quantity::Samples),
            (false, _) => ("share of time", Quantity::Unstated),
        };
        let share =
            "weights are tenths of a percent of the time, as it was rounded; -P also prints ticks";
        let notes = if has_ticks { Vec::new() } else { vec![share.to_owned()] };
        let measure = Measure { name: name.into(), quantity };
        let sample_weight = has_ticks.then_some(self.tick_ns.unwrap_or(1));
        Measured { measure, sample_weight, notes }
    }
}

/// "(371 ticks @ 1000 us, 1 processor)".
fn tick_ns(line: &str) -> Option<u64> {
    let (_, behind) = line.split_once(" ticks @ ")?;
    let (microseconds, unit) = behind.split_once(' ')?;
    let is_microseconds = unit.starts_with("us");
    let ns = is_microseconds.then(|| fixed_point(microseconds, 3)).flatten()?;
    (ns > 0).then_some(ns)
}
