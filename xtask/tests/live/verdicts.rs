//! A mistake that many have, and its mending: a middleware that reads the whole configuration on every request, and the
//! same service that reads it once, under the same load.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use super::recording::{Running, analyze, capture, succeed};

const ON_EVERY_REQUEST: &str = "\
	return handlerFunc(func(r request) string {
		var c config
		if err := json.Unmarshal(raw, &c); err != nil {
			return err.Error()
		}
";
const ONCE: &str = "\
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		log.Fatal(err)
	}
	return handlerFunc(func(r request) string {
";
const SECONDS: u64 = 10;
/// On each of four connections; a closed loop would keep the CPUs as busy with either service.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(8);

/// The service of the Go fixture, stripped; `cached` without its mistake.
fn build(dir: &Path, cached: bool) -> PathBuf {
    let dir = dir.join(if cached { "cached" } else { "read" });
    fs::create_dir(&dir).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/go/service.go");
    let source = fs::read_to_string(source).unwrap();
    assert!(source.contains(ON_EVERY_REQUEST));
    let source = if cached { source.replace(ON_EVERY_REQUEST, ONCE) } else { source };
    fs::write(dir.join("service.go"), source).unwrap();
    let mut build = Command::new("go");
    build.current_dir(&dir).args(["build", "-trimpath", "-ldflags", "-s -w", "-o", "service"]);
    succeed(build.arg("service.go"));
    dir.join("service")
}

fn ask(address: &str, until: Instant) {
    let mut connection = TcpStream::connect(address).expect("the service listens");
    let mut answers = BufReader::new(connection.try_clone().expect("a socket"));
    let mut due = Instant::now();
    for number in (0..8).cycle() {
        if due.max(Instant::now()) >= until {
            return;
        }
        sleep(due.saturating_duration_since(Instant::now()));
        // In one piece: the second half of a line would wait for the first one's acknowledgement.
        let line = format!("/{number}/item\n");
        connection.write_all(line.as_bytes()).expect("the service reads");
        answers.read_line(&mut String::new()).expect("the service answers");
        due += BETWEEN_REQUESTS;
    }
}

fn record(program: &Path) -> PathBuf {
    let mut serve = Command::new(program);
    let mut service =
        Running(serve.args(["serve", "60"]).stdout(Stdio::piped()).spawn().expect("it starts"));
    let mut address = String::new();
    BufReader::new(service.0.stdout.take().expect("a pipe")).read_line(&mut address).unwrap();
    let until = Instant::now() + Duration::from_secs(SECONDS + 2);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let address = address.trim().to_owned();
            spawn(move || ask(&address, until))
        })
        .collect();
    let archive = program.with_extension("arc");
    let mut recorder = capture();
    recorder.args(["-p", &service.pid(), "-F", "499", "-d", &SECONDS.to_string(), "-o"]);
    succeed(recorder.arg(&archive));
    clients.into_iter().for_each(|client| client.join().expect("served to the end"));
    archive
}

fn report(arguments: &[&Path]) -> String {
    let printed = succeed(analyze().args(arguments).args(["-o", "-", "--format", "txt"]));
    String::from_utf8(printed.stdout).expect("UTF-8")
}

#[test]
fn a_middleware_that_reads_the_configuration_on_every_request_is_named_and_so_is_its_mending() {
    let dir = tempfile::tempdir().unwrap();
    let [read, cached] = [false, true].map(|cached| record(&build(dir.path(), cached)));

    let alone = report(&[&read]);
    for finding in [
        "- Decoding takes ",
        "100 % of it is for main.withConfig.func1.",
        "- Allocating memory takes ",
    ] {
        assert!(alone.contains(finding), "{alone}");
    }

    let diff = Path::new("--diff");
    let mended = report(&[&cached, diff, &read]);
    let lines: Vec<&str> = mended.lines().collect();
    assert!(lines[0].starts_with("IMPROVEMENT: CPU use shrank from"), "{mended}");
    let culprit = "IMPROVEMENT: encoding/json.Unmarshal (service) shrank from ";
    assert!(lines[1].starts_with(culprit), "{mended}");
    assert!(lines[2].ends_with("→ main.withConfig.func1 → encoding/json.Unmarshal"), "{mended}");
    assert!(
        mended.contains("The program's own code on this path: main.withConfig.func1 (service)."),
        "{mended}"
    );

    let broken = report(&[&read, diff, &cached]);
    assert!(broken.contains("REGRESSION: encoding/json.Unmarshal (service) grew from"), "{broken}");

    let same = report(&[&read, diff, &read]);
    assert!(same.starts_with("CPU use is unchanged: "), "{same}");
    for line in [
        "Nothing changed: both sides are the same.",
        "The smallest change that would have been seen: ",
        "0 regressions, 0 improvements",
    ] {
        assert!(same.contains(line), "{same}");
    }
}
