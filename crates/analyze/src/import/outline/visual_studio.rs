//! The call tree that Visual Studio's profiler exports as comma-separated values:
//!
//! ```text
//! Level,Function Name,Number of Calls,Elapsed Inclusive Time %,…,Module Name,
//! 1,"App.exe",1,100.00,…,"App.exe",
//! 2,"App.Main(string[])","1,234",99.87,…,"App.exe",
//! ```
//!
//! Its times are rounded to hundredths of a percent, in which most functions vanish; calls are exact. They are
//! a function's own: how often it was called from there. So the total of a function has the calls of all that
//! it led to.

use super::csv::fields;
use super::{Line, Measured, Report, Row};
use crate::import::spelling::kind_of_module;
use crate::measure::{Measure, Quantity};

const LEVEL: &str = "Level,Function Name,Number of Calls,";
const MODULE: &str = "Module Name";

/// Whether a line names the columns that are read.
pub fn is_header(line: &str) -> bool {
    line.trim_start_matches('\u{feff}').starts_with(LEVEL)
}

#[derive(Default)]
pub struct VisualStudio {
    in_tree: bool,
    module: Option<usize>,
}

impl Report for VisualStudio {
    fn line<'a>(&mut self, line: &'a str) -> Line<'a> {
        if !self.in_tree {
            self.in_tree = is_header(line);
            self.module = fields(line).position(|field| field == MODULE);
            return Line::Other;
        }
        if line.trim().is_empty() {
            return Line::Other;
        }
        let mut row = fields(line);
        let (level, name, calls) = (row.next(), row.next(), row.next());
        let level = level.as_deref().and_then(grouped).and_then(|level| level.checked_sub(1));
        let Some(depth) = level.and_then(|depth| usize::try_from(depth).ok()) else {
            return Line::Unreadable { depth: 0, why: "has no level" };
        };
        let (Some(name), Some(weight)) = (name, calls.as_deref().and_then(grouped)) else {
            return Line::Unreadable { depth, why: "has no number of calls" };
        };
        let module = self.module.and_then(|place| fields(line).nth(place)).unwrap_or_default();
        let kind = kind_of_module(&module);
        Line::Function(Row { depth, name, module, kind, weight })
    }

    fn measured(&self) -> Measured {
        let measure = Measure { name: "calls".into(), quantity: Quantity::Count };
        Measured { measure, sample_weight: None, notes: Vec::new() }
    }
}

/// "1,234": a whole number, its digits in groups.
fn grouped(text: &str) -> Option<u64> {
    let is_digit = |c: char| c.is_ascii_digit();
    if !text.starts_with(is_digit) || !text.ends_with(is_digit) {
        return None;
    }
    let mut groups = text.split([',', '.', ' ', '\u{a0}']).enumerate();
    let is_group = |(index, group): (usize, &str)| {
        group.bytes().all(|b| b.is_ascii_digit()) && (index == 0 || group.len() == 3)
    };
    groups.all(is_group).then_some(())?;
    text.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()
}
