//! Opens the inputs of both sides, and finds out which of their time counts.

use std::path::Path;

use render::safe_text::clean;

use crate::Error;
use crate::account::Spans;
use crate::analysis::Input;
use crate::filter::{Filter, InputPath, Span, Window};
use crate::given::NamedInput;
use crate::import::{Opened, Recording};

/// The inputs of one side.
#[derive(Debug)]
pub struct Inputs {
    /// Recordings that could be opened.
    pub list: Vec<Input>,
    /// Inputs that came with names.
    pub named: Vec<NamedInput>,
    /// What could not be read, and why.
    pub left_out: Vec<String>,
}

impl Inputs {
    /// Opens what can be opened. One file alone must be readable; of several one.
    ///
    /// # Errors
    /// When that is not so, or one recording is given twice with filters that may overlap.
    pub fn open(paths: &[InputPath], all: &Filter) -> Result<Self, Error> {
        let mut inputs = Self { list: Vec::new(), named: Vec::new(), left_out: Vec::new() };
        for given in paths {
            let path = &given.path;
            let filter = all.and(&given.filter);
            match Opened::open(path) {
                Ok(Opened::Recording(recording)) => inputs.add(*recording, filter)?,
                Ok(Opened::Named(_)) if !filter.times.is_empty() || filter.rest => {
                    return Err(Error::NoTimes { path: path.clone() });
                }
                Ok(Opened::Named(named)) => inputs.named.push(NamedInput { named: *named, filter }),
                Err(error) if error.is_missing_file() && is_number(path) => {
                    return Err(Error::StrayNumber { number: path.display().to_string() });
                }
                Err(error) if paths.len() == 1 || error.is_missing_file() => return Err(error),
                Err(error) => inputs.left_out.push(error.with_causes()),
            }
        }
        if inputs.list.is_empty() && inputs.named.is_empty() && !paths.is_empty() {
            return Err(Error::NoInput { causes: inputs.left_out.join("; ") });
        }
        Ok(inputs)
    }

    /// A recording given twice would count twice. Two times of one recording are one input.
    fn add(&mut self, recording: Recording, filter: Filter) -> Result<(), Error> {
        let Some(known) = self.list.iter_mut().find(|known| is_same(&known.recording, &recording))
        else {
            self.list.push(Input { recording, filter, times: None });
            return Ok(());
        };
        let timeless = |filter: &Filter| Filter { times: Vec::new(), ..filter.clone() };
        let show = |path: &Path| path.display().to_string();
        if known.filter == filter {
            eprintln!(
                "analyze: {} is the same recording as {}, and is counted once",
                clean(&show(recording.path())),
                clean(&show(known.recording.path()))
            );
        } else if timeless(&known.filter) == timeless(&filter)
            && !filter.times.is_empty()
            && !known.filter.times.is_empty()
        {
            known.filter.times.extend(filter.times);
        } else {
            return Err(Error::CountedTwice {
                path: recording.path().into(),
                first: known.filter.describe(),
                second: filter.describe(),
            });
        }
        Ok(())
    }

    fn windows(&self) -> Vec<Window> {
        let window = |input: &Input| Window {
            covered_ns: input.recording.span(),
            clock: input.recording.facts().clock,
        };
        self.list.iter().map(window).collect()
    }

    /// Finds out which time of each input counts, all but what is the rest of the other side's.
    fn resolve_times(&mut self) -> Result<(), Error> {
        let windows = self.windows();
        let mut spans: Vec<&Span> = self.list.iter().flat_map(|i| &i.filter.times).collect();
        spans.dedup();
        let mut times: Vec<Spans> = vec![Spans::default(); self.list.len()];
        for span in spans {
            let asked: Vec<usize> = (0..self.list.len())
                .filter(|index| self.list[*index].filter.times.contains(span))
                .collect();
            let of_these: Vec<Window> = asked.iter().map(|index| windows[*index].clone()).collect();
            let found = span.within(&of_these).map_err(Error::Time)?;
            for (index, at) in asked.iter().zip(found) {
                times[*index].add(at);
            }
        }
        for (input, times) in self.list.iter_mut().zip(times) {
            if !input.filter.times.is_empty() {
                input.times = Some(times.list());
            }
        }
        Ok(())
    }

    /// `FILE@rest`: what the other side does not take of the same recording.
    fn resolve_rest(&mut self, other: &Self) -> Result<(), Error> {
        for input in self.list.iter_mut().filter(|input| input.filter.rest) {
            let span = input.recording.span();
            let same = other.list.iter().filter(|o| is_same(&o.recording, &input.recording));
            let mut taken = Spans::default();
            let mut found = false;
            for other in same {
                found = true;
                for at in other.times.as_deref().unwrap_or(std::slice::from_ref(&span)) {
                    taken.add(at.clone());
                }
            }
            let rest = taken.gaps(&span);
            if !found || rest.is_empty() {
                return Err(Error::NoRest { path: input.recording.path().into() });
            }
            input.times = Some(rest);
        }
        Ok(())
    }
}

/// Finds out which time of the inputs of both sides counts.
///
/// # Errors
/// When there is no such time, or several; when there is no rest.
pub fn resolve_times(new: &mut Inputs, base: &mut Inputs) -> Result<(), Error> {
    new.resolve_times()?;
    base.resolve_times()?;
    base.resolve_rest(new)?;
    new.resolve_rest(base)
}

/// Whether two files hold the same segment of one recording.
fn is_same(a: &Recording, b: &Recording) -> bool {
    let identity = |r: &Recording| (r.facts().recording_id, r.facts().segment);
    identity(a) == identity(b)
}

fn is_number(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.parse::<u32>().is_ok())
}
