//! Intel VTune's top-down report as comma-separated values:
//!
//! ```text
//! Function Stack,CPU Time:Self,Module
//! Total,0,
//!  main,0.010,app
//!   "std::sort<int*, Less>",1.250,libc.so.6
//! ```
//!
//! A blank for each caller; seconds of the function's own.

use std::borrow::Cow;

use super::csv::fields;
use super::{Line, Measured, Report, Row};
use crate::import::spelling::kind_of_module;
use crate::import::text::fixed_point;
use crate::measure::Measure;

const STACK: &str = "Function Stack";
const SECONDS: &str = "CPU Time:Self";
const MODULE: &str = "Module";

/// Whether a line names the columns that are read.
pub fn is_header(line: &str) -> bool {
    line.trim_start_matches('\u{feff}').starts_with(STACK) && Columns::of(line).is_some()
}

#[derive(Clone, Copy)]
struct Columns {
    seconds: usize,
    module: Option<usize>,
}

impl Columns {
    fn of(line: &str) -> Option<Self> {
        let place = |name| fields(line).position(|field| field == name);
        Some(Self { seconds: place(SECONDS)?, module: place(MODULE) })
    }
}

#[derive(Default)]
pub struct Vtune {
    columns: Option<Columns>,
}

impl Report for Vtune {
    fn line<'a>(&mut self, line: &'a str) -> Line<'a> {
        let Some(columns) = self.columns else {
            if is_header(line) {
                self.columns = Columns::of(line);
            }
            return Line::Other;
        };
        if line.trim().is_empty() {
            return Line::Other;
        }
        let spelled = fields(line).next().unwrap_or_default();
        let depth = spelled.len() - spelled.trim_start_matches(' ').len();
        let field = |place| fields(line).nth(place).unwrap_or_default();
        let seconds = field(columns.seconds);
        let Some(weight) = fixed_point(seconds.trim().trim_end_matches('s'), 9) else {
            return Line::Unreadable { depth, why: "has no time" };
        };
        let module = columns.module.map(field).unwrap_or_default();
        let name = match spelled {
            Cow::Borrowed(name) => Cow::Borrowed(name.trim()),
            Cow::Owned(name) => Cow::Owned(name.trim().to_owned()),
        };
        let kind = kind_of_module(&module);
        Line::Function(Row { depth, name, module, kind, weight })
    }

    fn measured(&self) -> Measured {
        Measured { measure: Measure::cpu_time(), sample_weight: None, notes: Vec::new() }
    }
}
