//! Which servers are asked, where files are kept, and how long and how much is waited for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use ureq::http::Uri;

/// What `--debuginfod` means here.
#[derive(Clone, Debug)]
pub struct Debuginfod {
    /// Servers, the first is asked first.
    pub servers: Vec<Uri>,
    /// Where files are kept, shared with elfutils' own programs.
    pub cache: PathBuf,
    /// How long and how much.
    pub limits: Limits,
}

/// How long is waited and how much is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// For names and connections of one server, all attempts together that nothing came of.
    pub connect: Duration,
    /// Without an answer, or with less than 100 KiB more of it (`DEBUGINFOD_TIMEOUT`).
    pub silence: Duration,
    /// For one file (`DEBUGINFOD_MAXTIME`).
    pub file_time: Duration,
    /// Of one file (`DEBUGINFOD_MAXSIZE`).
    pub file_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            // A server may unpack a package first; elfutils waits 90 s.
            silence: Duration::from_secs(30),
            file_time: Duration::from_secs(1800),
            file_bytes: 2 << 30,
        }
    }
}

/// Why there is nothing to ask.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DebuginfodError {
    /// Neither the option nor the variable names a server.
    #[error("no server is named; give --debuginfod=URL or set DEBUGINFOD_URLS")]
    NoServer,
    /// A word that is no address of a server.
    #[error("{given:?} is not the address of a server, for example https://debuginfod.debian.net")]
    NotAServer {
        /// What was given.
        given: String,
    },
    /// Nowhere to keep what comes.
    #[error("there is no place for the files; set DEBUGINFOD_CACHE_PATH or HOME")]
    NoCache,
}

impl Debuginfod {
    /// From the values of `--debuginfod` (empty ones stand for `DEBUGINFOD_URLS`) and the environment.
    ///
    /// # Errors
    /// When no server is named, a name is no address, or there is no place for the cache.
    pub fn new(
        given: &[String],
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, DebuginfodError> {
        let text = |name| variable(name).and_then(|value| value.into_string().ok());
        let named = text("DEBUGINFOD_URLS").unwrap_or_default();
        let mut servers: Vec<Uri> = Vec::new();
        for value in given {
            let value = if value.is_empty() { &named } else { value };
            // "ima:enforcing" and its like are words for newer clients, not servers.
            for word in value.split_whitespace().filter(|word| !word.starts_with("ima:")) {
                let server = server(word)?;
                if !servers.contains(&server) {
                    servers.push(server);
                }
            }
        }
        if servers.is_empty() {
            return Err(DebuginfodError::NoServer);
        }
        let number = |name| text(name)?.trim().parse::<u64>().ok().filter(|n| *n > 0);
        let default = Limits::default();
        let limits = Limits {
            silence: number("DEBUGINFOD_TIMEOUT").map_or(default.silence, Duration::from_secs),
            file_time: number("DEBUGINFOD_MAXTIME").map_or(default.file_time, Duration::from_secs),
            file_bytes: number("DEBUGINFOD_MAXSIZE").unwrap_or(default.file_bytes),
            ..default
        };
        let cache = cache(variable).ok_or(DebuginfodError::NoCache)?;
        Ok(Self { servers, cache, limits })
    }
}

/// An address that can be asked: `http` or `https`, a host, no query.
fn server(word: &str) -> Result<Uri, DebuginfodError> {
    let uri = word.parse::<Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    });
    uri.ok_or_else(|| DebuginfodError::NotAServer { given: word.to_owned() })
}

/// The directory that elfutils uses.
fn cache(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = path("DEBUGINFOD_CACHE_PATH") {
        return Some(path);
    }
    let home = path("HOME").or_else(std::env::home_dir);
    let old = home.as_ref().map(|home| home.join(".debuginfod_client_cache"));
    if let Some(old) = old.filter(|old| old.is_dir()) {
        return Some(old);
    }
    let caches = path("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache")))?;
    Some(caches.join("debuginfod_client"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(given: &[&str], variables: &[(&str, &str)]) -> Result<Debuginfod, DebuginfodError> {
        let given: Vec<String> = given.iter().map(ToString::to_string).collect();
        Debuginfod::new(&given, |name| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(value.into())
        })
    }

    fn shown(settings: &Debuginfod) -> Vec<String> {
        settings.servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_option_without_a_value_means_the_variable_and_one_with_a_value_does_not() {
        let variables =
            [("DEBUGINFOD_URLS", "http://a  https://b/x ima:enforcing"), ("HOME", "/h")];
        assert_eq!(shown(&settings(&[""], &variables).unwrap()), ["http://a/", "https://b/x"]);
        assert_eq!(shown(&settings(&["http://c"], &variables).unwrap()), ["http://c/"]);
        let both = settings(&["http://c http://d", "", "http://c"], &variables).unwrap();
        assert_eq!(shown(&both), ["http://c/", "http://d/", "http://a/", "https://b/x"]);
        assert_eq!(settings(&[""], &[("HOME", "/h")]).unwrap_err(), DebuginfodError::NoServer);
    }

    #[test]
    fn only_addresses_of_web_servers_are_servers() {
        for bad in ["file:///srv", "ftp://a", "a", "//a/b", "http://", "http://a/?x=1", "/srv"] {
            let refused = settings(&[bad], &[("HOME", "/h")]).unwrap_err();
            assert_eq!(refused, DebuginfodError::NotAServer { given: bad.into() });
        }
    }

    #[test]
    fn the_cache_is_where_elfutils_has_it() {
        let old = tempfile::tempdir().unwrap();
        std::fs::create_dir(old.path().join(".debuginfod_client_cache")).unwrap();
        let old = old.path().to_str().unwrap();
        let cache = |variables: &[(&str, &str)]| settings(&["http://a"], variables).unwrap().cache;
        let all = [("DEBUGINFOD_CACHE_PATH", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(cache(&all), PathBuf::from("/c"));
        assert_eq!(cache(&all[1..]), PathBuf::from("/x/debuginfod_client"));
        assert_eq!(cache(&all[2..]), PathBuf::from("/h/.cache/debuginfod_client"));
        let expected = PathBuf::from(old).join(".debuginfod_client_cache");
        assert_eq!(cache(&[("HOME", old), ("XDG_CACHE_HOME", "/x")]), expected);
    }

    #[test]
    fn limits_follow_the_variables_of_elfutils() {
        let limits = |variables: &[(&str, &str)]| {
            let variables = [variables, &[("HOME", "/h")]].concat();
            settings(&["http://a"], &variables).unwrap().limits
        };
        assert_eq!(limits(&[]), Limits::default());
        assert_eq!(limits(&[]).connect, Duration::from_secs(5));
        // Zero means "no limit" there; here a limit stays.
        assert_eq!(
            limits(&[("DEBUGINFOD_MAXSIZE", "0"), ("DEBUGINFOD_TIMEOUT", "-1")]),
            limits(&[])
        );
        let set = limits(&[
            ("DEBUGINFOD_MAXSIZE", "1000"),
            ("DEBUGINFOD_TIMEOUT", "7"),
            ("DEBUGINFOD_MAXTIME", "60"),
        ]);
        assert_eq!(set.file_bytes, 1000);
        assert_eq!(set.silence, Duration::from_secs(7));
        assert_eq!(set.file_time, Duration::from_secs(60));
    }
}
