//! Which samples of an input count, as asked for on the command line: `--pid 12`, `--from 10:00`, or for
//! one input only `run.arc@pid=12@10:00..10:30`.
//!
//! Values of one filter are alternatives, different filters must all hold.

mod input;
mod pattern;
mod time;

use profile::{LabelSet, Module, RecordingFacts, Tables, Text};

use crate::keep::Keep;
use crate::processes::ProcessNames;
pub use input::InputPath;
pub use pattern::Pattern;
pub use time::{BadTime, Span, Window};

/// Which samples count; empty lists leave nothing out.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Filter {
    /// Processes.
    pub pids: Vec<u32>,
    /// Names of processes or threads.
    pub comms: Vec<Pattern>,
    /// Names of threads.
    pub threads: Vec<Pattern>,
    /// CPUs.
    pub cpus: Vec<u32>,
    /// Control groups: a path, which takes in all below it, or a part of one between slashes (a
    /// container's id).
    pub cgroups: Vec<Pattern>,
    /// Machines.
    pub hosts: Vec<Pattern>,
    /// Labels: key and value.
    pub labels: Vec<(String, Pattern)>,
    /// Programs and libraries, by path or file name: what is on the stack, or the process's own.
    pub modules: Vec<Pattern>,
    /// Builds of them: the beginning of a build-id, in hexadecimal digits.
    pub build_ids: Vec<String>,
    /// Times.
    pub times: Vec<Span>,
    /// Of the recording, what the other side of the comparison does not take.
    pub rest: bool,
}

/// Why a filter cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadFilter {
    /// Not a filter's name.
    #[error(
        "{given:?} is no filter; write pid=, comm=, thread=, cpu=, cgroup=, host=, label=, module=, \
         build-id=, last=, a time range (10:00..10:30, 30s..90s) or rest"
    )]
    Unknown {
        /// What was given.
        given: String,
    },
    /// A number is expected.
    #[error("{given:?} is no number")]
    Number {
        /// What was given.
        given: String,
    },
    /// A label without a value.
    #[error("{given:?} must be KEY=VALUE")]
    Label {
        /// What was given.
        given: String,
    },
    /// A build-id that is none.
    #[error("{given:?} is no build-id: hexadecimal digits are expected, two at least")]
    BuildId {
        /// What was given.
        given: String,
    },
    /// A time that is none.
    #[error(transparent)]
    Time(#[from] BadTime),
}

impl Filter {
    /// Adds one filter, as `FILE@FILTER` and the options of the same names give it.
    ///
    /// # Errors
    /// When there is no such filter, or its value makes no sense.
    pub fn add(&mut self, key: &str, value: &str) -> Result<(), BadFilter> {
        let number = || value.parse().map_err(|_| BadFilter::Number { given: value.into() });
        let pattern = || Pattern::new(value);
        match key {
            "pid" => self.pids.push(number()?),
            "cpu" => self.cpus.push(number()?),
            "comm" => self.comms.push(pattern()),
            "thread" => self.threads.push(pattern()),
            "cgroup" => self.cgroups.push(pattern()),
            "host" => self.hosts.push(pattern()),
            "module" => self.modules.push(pattern()),
            "label" => match value.split_once('=') {
                Some((key, value)) => self.labels.push((key.into(), Pattern::new(value))),
                None => return Err(BadFilter::Label { given: value.into() }),
            },
            "build-id" => {
                let digits = value.bytes().all(|b| b.is_ascii_hexdigit());
                if !digits || value.len() < 2 {
                    return Err(BadFilter::BuildId { given: value.into() });
                }
                self.build_ids.push(value.to_ascii_lowercase());
            }
            "last" => self.times.push(Span::last(value)?),
            _ => return Err(BadFilter::Unknown { given: key.into() }),
        }
        Ok(())
    }

    /// Both filters: what passes this one and that. Where both name times, `own`, which is of one
    /// input, holds in place of what is said for all.
    #[must_use]
    pub fn and(&self, own: &Self) -> Self {
        fn both<T: Clone>(all: &[T], own: &[T]) -> Vec<T> {
            if own.is_empty() { all.to_vec() } else { own.to_vec() }
        }
        let times = if own.rest { &[] } else { self.times.as_slice() };
        Self {
            pids: both(&self.pids, &own.pids),
            comms: both(&self.comms, &own.comms),
            threads: both(&self.threads, &own.threads),
            cpus: both(&self.cpus, &own.cpus),
            cgroups: both(&self.cgroups, &own.cgroups),
            hosts: both(&self.hosts, &own.hosts),
            labels: both(&self.labels, &own.labels),
            modules: both(&self.modules, &own.modules),
            build_ids: both(&self.build_ids, &own.build_ids),
            times: both(times, &own.times),
            rest: own.rest,
        }
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether stacks decide, which are not known before they are unwound and their modules found.
    #[must_use]
    pub fn asks_for_modules(&self) -> bool {
        !self.modules.is_empty() || !self.build_ids.is_empty()
    }

    /// Whether a module is one of those asked for.
    #[must_use]
    pub fn wants_module(&self, module: &Module) -> bool {
        let (path, name) = (module.path.lossy(), module.path.file_name());
        let by_path = self.modules.iter().any(|m| m.matches(&path) || m.matches(&name));
        let id = module.build_id.to_string();
        let by_id = self.build_ids.iter().any(|wanted| id.starts_with(wanted.as_str()));
        (self.modules.is_empty() || by_path) && (self.build_ids.is_empty() || by_id)
    }

    /// Which samples of a recording pass, as far as no stack decides.
    #[must_use]
    pub fn keep(&self, tables: &Tables, facts: &RecordingFacts, names: &ProcessNames) -> Keep {
        let host = any(&self.hosts, |host| host.matches(&facts.host.lossy()));
        let by_thread = [&self.comms, &self.threads, &self.cgroups];
        let all = self.pids.is_empty() && by_thread.iter().all(|list| list.is_empty());
        let mut keep = if all && host {
            Keep::everything(tables)
        } else {
            Keep::only(tables, |thread, process| {
                let Some(process) = process else { return false };
                let comm = thread.comm.lossy();
                let name = names.get(thread.process);
                let cgroup = tables.cgroup(process.cgroup).map(|cgroup| &cgroup.path);
                host && any(&self.pids, |pid| *pid == process.pid.0)
                    && any(&self.comms, |wanted| {
                        wanted.matches(&comm) || name.is_some_and(|name| wanted.matches(name))
                    })
                    && any(&self.threads, |wanted| wanted.matches(&comm))
                    && any(&self.cgroups, |wanted| {
                        cgroup.is_some_and(|path| in_cgroup(wanted, path))
                    })
            })
        };
        if !self.cpus.is_empty() {
            keep = keep.on(self.cpus.clone());
        }
        if !self.labels.is_empty() {
            keep = keep.labelled(tables, |set| self.wants_labels(set));
        }
        keep
    }

    fn wants_labels(&self, set: &LabelSet) -> bool {
        let mut pairs = set.keys.iter().zip(&set.values);
        any(&self.labels, |(key, wanted)| {
            pairs.any(|(k, value)| k.lossy() == *key && wanted.matches(&value.lossy()))
        })
    }

    /// "--pid 12 --comm nginx".
    #[must_use]
    pub fn describe(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.pids.iter().map(|pid| format!("--pid {pid}")));
        for (option, patterns) in [
            ("--comm", &self.comms),
            ("--thread", &self.threads),
            ("--cgroup", &self.cgroups),
            ("--host", &self.hosts),
            ("--module", &self.modules),
        ] {
            words.extend(patterns.iter().map(|pattern| format!("{option} {pattern}")));
        }
        words.extend(self.cpus.iter().map(|cpu| format!("--cpu {cpu}")));
        words.extend(self.labels.iter().map(|(key, value)| format!("--label {key}={value}")));
        words.extend(self.build_ids.iter().map(|id| format!("--build-id {id}")));
        words.extend(self.times.iter().map(ToString::to_string));
        words.join(" ")
    }
}

/// Whether one of the alternatives holds; none given: everything does.
fn any<T>(alternatives: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    alternatives.is_empty() || alternatives.iter().any(holds)
}

/// Whether a control group is the one asked for, lies below it, or has a part of that name.
fn in_cgroup(wanted: &Pattern, path: &Text) -> bool {
    let path = path.lossy();
    let mut ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
    ends.push(path.len());
    ends.iter().any(|end| *end > 0 && wanted.matches(&path[..*end]))
        || path.split('/').any(|part| !part.is_empty() && wanted.matches(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_takes_in_what_lies_below_it() {
        let inside = |wanted: &str, path: &str| in_cgroup(&Pattern::new(wanted), &path.into());
        let path = "/system.slice/docker-4f5e.scope/init";
        for wanted in ["/system.slice", path, "docker-4f5e.scope", "docker-*", "/system.slice/*"] {
            assert!(inside(wanted, path), "{wanted}");
        }
        for wanted in ["/system", "system", "docker", "/system.slice/init"] {
            assert!(!inside(wanted, path), "{wanted}");
        }
    }

    #[test]
    fn what_is_said_of_one_input_holds_in_place_of_what_is_said_of_all() {
        let mut all = Filter::default();
        all.add("pid", "1").unwrap();
        all.add("last", "5m").unwrap();
        let mut own = Filter::default();
        own.add("pid", "2").unwrap();
        own.add("comm", "nginx").unwrap();
        let both = all.and(&own);
        assert_eq!((both.pids.as_slice(), both.times.len()), ([2].as_slice(), 1));
        assert_eq!(both.describe(), "--pid 2 --comm nginx --last 5m");
        let rest = Filter { rest: true, ..Filter::default() };
        assert!(all.and(&rest).times.is_empty(), "the rest is of the whole recording");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |key: &str, value: &str| Filter::default().add(key, value).unwrap_err();
        assert_eq!(refused("pid", "x"), BadFilter::Number { given: "x".into() });
        assert_eq!(refused("label", "x"), BadFilter::Label { given: "x".into() });
        assert_eq!(refused("build-id", "xyz"), BadFilter::BuildId { given: "xyz".into() });
        assert_eq!(refused("user", "x"), BadFilter::Unknown { given: "user".into() });
        assert!(matches!(refused("last", "x"), BadFilter::Time(_)));
    }
}
