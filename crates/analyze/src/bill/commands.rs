//! The commands that bring files: to be pasted into a shell, so nothing in them may mislead one.

use std::collections::BTreeMap;

use profile::Text;

use super::{Item, Why};

impl Why {
    /// Whether a debuginfod server may have what is missing.
    pub fn wants_debug_file(self) -> bool {
        matches!(self, Self::Stripped | Self::NoLines(_))
    }

    /// Whether a file in a `--debug-dir` would help.
    pub fn wants_a_file(self) -> bool {
        match self {
            Self::NotHere
            | Self::OtherBuild
            | Self::Stripped
            | Self::Deleted
            | Self::NoLines(_)
            | Self::NoKernelLines => true,
            Self::Unknown
            | Self::RunTimeCode(_)
            | Self::Hidden
            | Self::NotCopied
            | Self::Nameless(_) => false,
        }
    }
}

/// Shell lines that bring the files: for each host one `scp`, each file on a line of its own. Paths
/// that a shell command cannot hold safely are left out; the list names them.
#[must_use]
pub fn commands(items: &[Item]) -> Vec<String> {
    let mut hosts: BTreeMap<&Text, Vec<&Item>> = BTreeMap::new();
    for item in items.iter().filter(|item| matches!(item.why, Why::NotHere | Why::OtherBuild)) {
        hosts.entry(&item.host).or_default().push(item);
    }
    let mut commands = Vec::new();
    for (host, items) in hosts {
        let Some(host) = word(&host.lossy()) else { continue };
        commands.extend(copy(&host, &items));
    }
    commands
}

/// Commands that copy files of one host into one directory.
fn copy(host: &str, items: &[&Item]) -> Vec<String> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut together = Vec::new();
    let mut commands = Vec::new();
    for item in items {
        let Some((path, name)) = remote_file(item) else { continue };
        let Some(path) = word(&path) else { continue };
        let same = names.entry(name.clone()).or_default();
        *same += 1;
        if *same == 1 {
            together.push(format!("{host}:{path}"));
        } else if let Some(name) = word(&format!("{name}.{}", item.build_id)) {
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
fn remote_file(item: &Item) -> Option<(String, String)> {
    let path = std::str::from_utf8(&item.path.0).ok()?.to_owned();
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?.to_owned();
    Some((path, name))
}

/// Text as one word of a shell command, quoted where needed; `None` where it holds control or other
/// invisible characters, which have no business in a line that people paste into a shell.
pub fn word(text: &str) -> Option<String> {
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
    use crate::modules::Weight;
    use profile::BuildId;

    fn row(path: &str, why: Why) -> Item {
        Item {
            weight: Weight::default(),
            path: path.into(),
            host: "prod-7".into(),
            kernel_release: "6.1.0".into(),
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
            ["scp prod-7:/usr/lib/libfoo.so.1 \\\n    prod-7:'/opt/my app/server' ./debug/",]
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
