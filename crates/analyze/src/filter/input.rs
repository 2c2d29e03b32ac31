//! Inputs with filters of their own: `run.arc@10:00..10:30`, `run.arc@comm=nginx@cpu=3`.

use std::path::PathBuf;

use super::{BadFilter, Filter, Span};

/// A file (or directory) and what of it counts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct InputPath {
    /// Where it is; `-` is standard input.
    pub path: PathBuf,
    /// Its own filters.
    pub filter: Filter,
    /// Whether it was found in a directory that was given.
    pub from_directory: bool,
}

impl InputPath {
    /// Takes apart what was given. A file may have `@` in its name: the longest beginning that is a
    /// file is the file. Where there is none, the first `@` ends it.
    ///
    /// # Errors
    /// When what follows is no filter.
    pub fn parse(given: &std::path::Path) -> Result<Self, BadFilter> {
        let whole = |path: &std::path::Path| Self { path: path.into(), ..Self::default() };
        let Some(text) = given.to_str() else { return Ok(whole(given)) };
        if given.exists() || !text.contains('@') {
            return Ok(whole(given));
        }
        let is_input = |at: &usize| {
            let path = &text[..*at];
            path == "-" || std::path::Path::new(path).exists()
        };
        let places = || text.match_indices('@').map(|(at, _)| at);
        let at = places().rev().find(is_input).or_else(|| places().next());
        let (path, filters) = text.split_at(at.unwrap_or(text.len()));
        let mut input = whole(path.as_ref());
        for filter in filters.split('@').skip(1) {
            input.add(filter)?;
        }
        Ok(input)
    }

    fn add(&mut self, filter: &str) -> Result<(), BadFilter> {
        if filter == "rest" {
            self.filter.rest = true;
        } else if let Some((from, to)) = filter.split_once("..") {
            self.filter.times.push(Span::new(from, to)?);
        } else {
            let unknown = || BadFilter::Unknown { given: filter.into() };
            let (key, value) = filter.split_once('=').ok_or_else(unknown)?;
            self.filter.add(key, value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_follow_the_file_behind_at_signs() {
        let dir = tempfile::tempdir().unwrap();
        let parse = |name: &str| InputPath::parse(&dir.path().join(name));
        std::fs::write(dir.path().join("web@2.arc"), "").unwrap();
        let with_at = parse("web@2.arc").unwrap();
        assert_eq!(with_at.path, dir.path().join("web@2.arc"));
        assert_eq!(with_at.filter, Filter::default());

        let filtered = parse("web@2.arc@comm=nginx@10:00..10:30").unwrap();
        assert_eq!(filtered.path, dir.path().join("web@2.arc"));
        assert_eq!(filtered.filter.describe(), "--comm nginx 10:00..10:30");

        let missing = parse("none.arc@pid=3").unwrap();
        assert_eq!(missing.path, dir.path().join("none.arc"));
        assert!(InputPath::parse("-@rest".as_ref()).unwrap().filter.rest);
        assert!(matches!(parse("none.arc@x"), Err(BadFilter::Unknown { .. })));
        assert!(matches!(parse("none.arc@user=x"), Err(BadFilter::Unknown { .. })));
    }
}
