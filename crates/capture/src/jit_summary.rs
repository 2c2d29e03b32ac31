//! What came of naming run-time code, in a sentence.

use std::fmt;

use profile::Text;

use crate::perf_map_file::NoMap;

/// Over the whole recording.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct JitSummary {
    /// Functions that have a name.
    pub(crate) functions: u64,
    /// Addresses that were not even searched for, because they were too many.
    pub(crate) passed_over: u64,
    /// Addresses without a name.
    addresses: u64,
    /// The process that has most of them.
    worst: Option<Nameless>,
}

/// What one process leaves without a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Nameless {
    pub(crate) addresses: u64,
    pub(crate) pid: u32,
    /// File name of the program.
    pub(crate) program: Text,
    /// File name of the map; empty when it was not even looked for.
    pub(crate) map: String,
    /// Why there was no map to look into.
    pub(crate) why: Option<NoMap>,
    /// All of the map was searched.
    pub(crate) searched: bool,
}

impl JitSummary {
    /// Counts a process's addresses without a name.
    pub(crate) fn leave_nameless(&mut self, one: Nameless) {
        self.addresses += one.addresses;
        if self.worst.as_ref().is_none_or(|worst| one.addresses > worst.addresses) {
            self.worst = Some(one);
        }
    }

    /// Whether there was any run-time code.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for JitSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let functions = if self.functions == 1 { "function" } else { "functions" };
        write!(f, "run-time code: {} {functions} named", self.functions)?;
        let nameless = self.addresses + self.passed_over;
        if nameless > 0 {
            let addresses = if nameless == 1 { "address" } else { "addresses" };
            write!(f, ", {nameless} {addresses} without a name")?;
        }
        if let Some(worst) = &self.worst {
            write!(f, ": {worst}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Nameless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.program.lossy();
        let map = if self.map.is_empty() { "perf-PID.map" } else { &self.map };
        write!(f, "/tmp/{map} of {} ({}) ", program.escape_debug(), self.pid)?;
        match self.why {
            Some(why) => f.write_str(why.describe())?,
            None if self.searched => f.write_str("does not name them")?,
            None => f.write_str("was not searched in time")?,
        }
        match how_to_get_a_map(&program) {
            Some(how) if self.why == Some(NoMap::Missing) => write!(f, " ({how})"),
            _ => Ok(()),
        }
    }
}

fn how_to_get_a_map(program: &str) -> Option<&'static str> {
    let is = |prefix| program.starts_with(prefix);
    match program {
        "java" => Some("write it with `jcmd PID Compiler.perfmap`, JDK 17"),
        "dotnet" => Some("start it with DOTNET_PerfMapEnabled=1"),
        _ if is("node") => Some("start it with --perf-basic-prof"),
        _ if is("python") => Some("start it with -X perf, Python 3.12"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nameless(addresses: u64, program: &str, why: Option<NoMap>) -> Nameless {
        let (pid, map) = (7, "perf-3.map".to_owned());
        Nameless { addresses, pid, program: program.into(), map, why, searched: true }
    }

    #[test]
    fn the_process_with_most_addresses_says_why_and_what_to_do() {
        let mut summary = JitSummary::default();
        assert!(summary.is_empty());
        summary.functions = 1;
        assert_eq!(summary.to_string(), "run-time code: 1 function named");
        summary.leave_nameless(nameless(1, "server", None));
        assert_eq!(
            summary.to_string(),
            "run-time code: 1 function named, 1 address without a name: \
             /tmp/perf-3.map of server (7) does not name them"
        );
        summary.leave_nameless(nameless(40, "node", Some(NoMap::Missing)));
        summary.functions = 200;
        assert_eq!(
            summary.to_string(),
            "run-time code: 200 functions named, 41 addresses without a name: \
             /tmp/perf-3.map of node (7) does not exist (start it with --perf-basic-prof)"
        );
    }

    #[test]
    fn a_programs_name_cannot_write_to_the_terminal() {
        let text = nameless(1, "a\x1b[2J", Some(NoMap::Link)).to_string();
        assert_eq!(text, "/tmp/perf-3.map of a\\u{1b}[2J (7) is a link");
    }
}
