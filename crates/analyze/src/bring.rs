//! Files to bring: which modules lack names, what that costs, and the commands that fix it.

use std::collections::BTreeMap;

use profile::{BuildId, NoName, Text};

use crate::addresses::tells_builds_apart;
use crate::analysis::{Analysis, ModuleUse};

/// A file that would give names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// CPU time of stacks with nameless frames of it.
    pub weight: u64,
    /// CPU time of stacks that it would let be unwound further.
    pub mendable_weight: u64,
    /// Where it was on the recorded host.
    pub path: Text,
    /// The recorded host.
    pub host: Text,
    /// GNU build-id; may be empty.
    pub build_id: BuildId,
    /// Why names are missing.
    pub why: Why,
}

/// Why a module lacks names, and hence what to bring.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Why {
    /// The file is not here.
    NotHere,
    /// A file of that name is here, but it is another build.
    OtherBuild,
    /// The file is here but was stripped: its debug file is wanted.
    Stripped,
    /// The file was deleted on the host, so it cannot be copied from its path.
    Deleted,
    /// Neither build-id nor size nor segments were recorded: no file could be told to be the right one.
    Unknown,
}

impl Why {
    /// For people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::NotHere => "not here",
            Self::OtherBuild => "another build is here",
            Self::Stripped => "stripped",
            Self::Deleted => "deleted on the host",
            Self::Unknown => "build not recorded",
        }
    }
}

/// What to bring, the most expensive first; a file that several recordings want is listed once.
#[must_use]
pub fn wanted(analysis: &Analysis) -> Vec<Wanted> {
    let mut rows: BTreeMap<(Text, Text, BuildId), Wanted> = BTreeMap::new();
    for module in analysis.modules.iter().filter(|m| m.wants_a_file()) {
        let row = Wanted {
            weight: module.nameless_weight,
            mendable_weight: module.mendable_weight,
            path: module.module.path.clone(),
            host: analysis.recordings[module.recording].facts.host.clone(),
            build_id: module.module.build_id,
            why: why(module),
        };
        rows.entry((row.host.clone(), row.path.clone(), row.build_id))
            .and_modify(|known| {
                known.weight = known.weight.saturating_add(row.weight);
                known.mendable_weight = known.mendable_weight.saturating_add(row.mendable_weight);
            })
            .or_insert(row);
    }
    let mut rows: Vec<Wanted> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.weight));
    rows
}

fn why(module: &ModuleUse) -> Why {
    match module.reason {
        Some(NoName::NoFile) if !tells_builds_apart(&module.module) => Why::Unknown,
        Some(NoName::NoFile | NoName::BuildIdMismatch) if module.module.deleted => Why::Deleted,
        Some(NoName::BuildIdMismatch) => Why::OtherBuild,
        Some(NoName::NoFile) => Why::NotHere,
        _ => Why::Stripped,
    }
}

/// Shell lines that bring the files: for each host one `scp`, each file on a line of its own, and one
/// for debug files, which fails where their packages are not installed. Paths that a shell command
/// cannot hold safely are left out; the list names them.
#[must_use]
pub fn commands(wanted: &[Wanted]) -> Vec<String> {
    let mut hosts: BTreeMap<&Text, Vec<&Wanted>> = BTreeMap::new();
    for row in wanted {
        hosts.entry(&row.host).or_default().push(row);
    }
    let mut commands = Vec::new();
    for (host, rows) in hosts {
        let Some(host) = word(&host.lossy()) else { continue };
        let of = |why: &[Why]| rows.iter().copied().filter(|r| why.contains(&r.why)).collect();
        let programs: Vec<&Wanted> = of(&[Why::NotHere, Why::OtherBuild]);
        commands.extend(copy(&host, &programs));
        let debug = copy(&host, &of(&[Why::Stripped]));
        if !debug.is_empty() {
            commands.push(
                "# where stripped files have their names, if debug packages are there:".into(),
            );
            commands.extend(debug);
        }
    }
    commands
}

/// Commands that copy files of one host into one directory.
fn copy(host: &str, rows: &[&Wanted]) -> Vec<String> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut together = Vec::new();
    let mut commands = Vec::new();
    for row in rows {
        let Some((path, name)) = remote_file(row) else { continue };
        let Some(path) = word(&path) else { continue };
        let same = names.entry(name.clone()).or_default();
        *same += 1;
        if *same == 1 {
            together.push(format!("{host}:{path}"));
        } else if let Some(name) = word(&format!("{name}.{}", row.build_id)) {
            // A second file of one name would replace the first.
            commands.push(format!("scp {host}:{path} ./debug/{name}"));
        }
    }
    if !together.is_empty() {
        commands.insert(0, format!("scp {} ./debug/", together.join(" \\\n    ")));
    }
    commands
}

/// Which file of the host to copy, and its name.
fn remote_file(row: &Wanted) -> Option<(String, String)> {
    let path = match row.why {
        Why::Stripped => {
            let hex = row.build_id.to_string();
            let (directory, rest) = hex.split_at_checked(2).filter(|(_, rest)| !rest.is_empty())?;
            format!("/usr/lib/debug/.build-id/{directory}/{rest}.debug")
        }
        _ => std::str::from_utf8(&row.path.0).ok()?.to_owned(),
    };
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?.to_owned();
    Some((path, name))
}

/// Text as one word of a shell command, quoted where needed; `None` where it holds control or other
/// invisible characters, which have no business in a line that people paste into a shell.
fn word(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%,=".contains(c);
    if text.is_empty() || text.starts_with('-') {
        return None;
    }
    if text.chars().all(plain) {
        return Some(text.to_owned());
    }
    let visible =
        |c: char| c == ' ' || c.is_ascii_graphic() || (c.is_alphanumeric() && !c.is_ascii());
    text.chars().all(visible).then(|| format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, why: Why) -> Wanted {
        Wanted {
            weight: 1,
            mendable_weight: 0,
            path: path.into(),
            host: "prod-7".into(),
            build_id: BuildId::from_hex("abcdef0123").unwrap(),
            why,
        }
    }

    #[test]
    fn one_command_brings_all_files_of_a_host() {
        let rows = [
            row("/usr/lib/libfoo.so.1", Why::NotHere),
            row("/opt/my app/server", Why::OtherBuild),
            row("/usr/bin/stripped", Why::Stripped),
            row("/tmp/gone", Why::Deleted),
        ];
        assert_eq!(
            commands(&rows),
            [
                "scp prod-7:/usr/lib/libfoo.so.1 \\\n    prod-7:'/opt/my app/server' ./debug/",
                "# where stripped files have their names, if debug packages are there:",
                "scp prod-7:/usr/lib/debug/.build-id/ab/cdef0123.debug ./debug/"
            ]
        );
    }

    #[test]
    fn files_of_one_name_do_not_replace_each_other() {
        let rows = [row("/a/libx.so", Why::NotHere), row("/b/libx.so", Why::NotHere)];
        assert_eq!(
            commands(&rows),
            ["scp prod-7:/a/libx.so ./debug/", "scp prod-7:/b/libx.so ./debug/libx.so.abcdef0123"]
        );
    }

    #[test]
    fn a_path_cannot_leave_its_quotes_or_hide_in_a_command() {
        assert_eq!(word("a'; rm -rf ~; '").unwrap(), r"'a'\''; rm -rf ~; '\'''");
        assert_eq!(word("/tmp/$(id)").unwrap(), "'/tmp/$(id)'");
        for hidden in ["a\nb", "a\u{1b}[2J", "a\u{202e}b", "", "-oProxyCommand=x"] {
            assert_eq!(word(hidden), None);
        }
        assert_eq!(commands(&[row("/tmp/a\nb", Why::NotHere)]), [""; 0]);
    }
}
