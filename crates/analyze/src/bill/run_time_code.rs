//! Programs that compile at run time, and what makes them say the names of what they compiled.

use profile::Text;

/// A runtime, known by the name of its executable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Runtime {
    /// Node.js.
    Node,
    /// Deno.
    Deno,
    /// CPython, 3.12 or later.
    Python,
    /// OpenJDK, 17 or later.
    Java,
    /// .NET.
    DotNet,
    /// Ruby with YJIT, 3.3 or later.
    Ruby,
    /// PHP 8 with its just-in-time compiler.
    Php,
    /// Erlang, OTP 26 or later.
    Erlang,
    /// Another program.
    Other,
}

impl Runtime {
    /// By the path of the executable.
    #[must_use]
    pub fn of(executable: Option<&Text>) -> Self {
        let name = executable.map(Text::file_name).unwrap_or_default();
        // "python3.13", "ruby3.3", "php8.2"
        let family = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        match family {
            "node" | "nodejs" => Self::Node,
            "deno" => Self::Deno,
            "python" => Self::Python,
            "java" => Self::Java,
            "dotnet" => Self::DotNet,
            "ruby" => Self::Ruby,
            "php" | "php-fpm" => Self::Php,
            _ if name == "beam.smp" => Self::Erlang,
            _ => Self::Other,
        }
    }

    /// What makes it write /tmp/perf-PID.map, as a sentence's end: "start it as …".
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Node => "start it as `node --perf-basic-prof`",
            Self::Deno => "start it as `deno run --v8-flags=--perf-basic-prof`",
            Self::Python => "start it as `python3 -X perf` (Python 3.12)",
            Self::Java => {
                "start it with `-XX:+PreserveFramePointer`, and while recording run \
                 `jcmd PID Compiler.perfmap` (JDK 17)"
            }
            Self::DotNet => "start it with `DOTNET_PerfMapEnabled=1` in its environment",
            Self::Ruby => "start it as `ruby --yjit --yjit-perf` (Ruby 3.3)",
            Self::Php => "start it with `-d opcache.jit_debug=16`",
            Self::Erlang => "start it as `erl +JPperf map` (OTP 26)",
            Self::Other => "if it has a switch that makes it write /tmp/perf-PID.map, use that",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_known_by_its_executable_whatever_its_version() {
        for (path, runtime) in [
            ("/usr/bin/node", Runtime::Node),
            ("/usr/bin/python3.13", Runtime::Python),
            ("/usr/lib/jvm/java-17/bin/java", Runtime::Java),
            ("/usr/lib/erlang/erts-14.2/bin/beam.smp", Runtime::Erlang),
            ("/usr/sbin/php-fpm8.2", Runtime::Php),
            ("/opt/node-exporter", Runtime::Other),
            ("", Runtime::Other),
        ] {
            assert_eq!(Runtime::of(Some(&path.into())), runtime, "{path}");
        }
        assert_eq!(Runtime::of(None), Runtime::Other);
    }
}
