//! A command keeps its status and its signals; what cannot be recorded is refused in one message.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::recording::*;

#[test]
fn a_commands_status_is_passed_on() {
    let dir = dir();
    let status = |script: &[&str]| {
        let path = dir.path().join("run.arc");
        let mut recorder = capture();
        let output =
            recorder.args(["--force", "-o"]).arg(&path).arg("--").args(script).output().unwrap();
        output.status.code()
    };
    assert_eq!(status(&["true"]), Some(0));
    assert_eq!(status(&["sh", "-c", "exit 7"]), Some(7));
    assert_eq!(status(&["sh", "-c", "kill -9 $$"]), Some(137));
    assert_eq!(status(&["/no/such/program"]), Some(127));
    assert_eq!(status(&["/tmp"]), Some(126));
    let recorded = read(&{
        status(&["sh", "-c", "exit 3"]);
        dir.path().join("run.arc")
    });
    assert_eq!(recorded.end().command_status, 3 << 8);

    let exists = dir.path().join("exists");
    fs::write(&exists, "precious").unwrap();
    let output = capture().arg("-o").arg(&exists).args(["--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(fs::read(&exists).unwrap(), b"precious");
    let mut mistyped = capture();
    mistyped.args(["--force", "-o"]).arg(&exists).args(["--", "/no/such/program"]);
    assert_eq!(mistyped.status().unwrap().code(), Some(127));
    assert_eq!(fs::read(&exists).unwrap(), b"precious", "nothing was recorded instead");
    let mut misused = capture();
    assert_eq!(
        misused.args(["-F", "0", "-o", "x", "--", "true"]).status().unwrap().code(),
        Some(125)
    );
}

#[test]
fn a_command_gets_the_signals_and_default_dispositions() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let script = "trap 'exit 9' TERM; echo ready; while :; do :; done";
    let mut recorder = capture();
    recorder.arg("-o").arg(&path).args(["--", "bash", "-c", script]);
    let mut recorder = recorder.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut ready = [0; 6];
    recorder.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let recorder = Running(recorder);
    recorder.signal("TERM");
    let mut recorder = recorder;
    assert_eq!(recorder.wait().code(), Some(9));
    read(&path).assert_balanced();

    // Rust ignores SIGPIPE for itself; a command must not inherit that.
    let ignored = succeed(capture().arg("--force").arg("-o").arg(&path).args([
        "--",
        "grep",
        "Sig[IB]",
        "/proc/self/status",
    ]));
    let ignored = String::from_utf8(ignored.stdout).unwrap();
    for line in ignored.lines() {
        let signals = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        for (name, number) in [("HUP", 1), ("INT", 2), ("PIPE", 13), ("TERM", 15), ("XFSZ", 25)] {
            assert_eq!(signals >> (number - 1) & 1, 0, "SIG{name}: {ignored}");
        }
    }
}

#[test]
fn what_cannot_be_recorded_is_said_in_one_message() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let refused = |arguments: &[&str], words: &str| {
        let output = capture().arg("-o").arg(&path).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
        assert!(!path.exists(), "nothing is left behind");
    };
    refused(&["-p", "4194304"], "there is no process 4194304");
    refused(&["-a", "-F", "0"], "0");
    let nobody = |program: &Path| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", "--"]).arg(program);
        command
    };
    // The program is copied to where nobody may execute it.
    let copy = dir.path().join("capture");
    fs::copy(capture().get_program(), &copy).unwrap();
    for file in [dir.path(), &copy] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = nobody(&copy).args(["-a", "-o", "/tmp/no.arc"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("CAP_BPF and CAP_PERFMON"), "{}", said(&output));
    assert!(!Path::new("/tmp/no.arc").exists());
}
