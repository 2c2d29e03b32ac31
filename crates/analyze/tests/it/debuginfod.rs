//! `--debuginfod` against elfutils' own server and client, on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use object::{Object, ObjectSymbol};

use crate::made::{Desk, Made, Ran, fixtures};

/// How long the server may take to start and to look at its files.
const START: Duration = Duration::from_secs(60);

/// The server, with the program's stripped file and its debug file.
struct Debuginfod {
    child: Child,
    url: String,
    _files: tempfile::TempDir,
}

impl Debuginfod {
    fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        for name in ["server.stripped", "server.debug"] {
            std::fs::copy(fixtures().join(name), files.path().join(name)).unwrap();
        }
        let port = free_port();
        let child = Command::new("debuginfod")
            .args(["-F", "-d", ":memory:", "-p", &port.to_string()])
            .arg(files.path())
            .env_remove("DEBUGINFOD_URLS")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server `debuginfod` of Debian's package debuginfod is not installed");
        let server = Self { child, url: format!("http://127.0.0.1:{port}"), _files: files };
        let begin = Instant::now();
        while !["executable", "debuginfo"].iter().all(|kind| has(port, kind)) {
            assert!(begin.elapsed() < START, "the server does not give its files");
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }
}

impl Drop for Debuginfod {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn build_id() -> String {
    let bytes = std::fs::read(fixtures().join("server.debug")).unwrap();
    symbolize::identify(&bytes).unwrap().build_id.to_string()
}

/// Whether the server gives a file of the program.
fn has(port: u16, kind: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let path = format!("/buildid/{}/{kind}", build_id());
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_end(&mut answer).is_ok()
        && answer.starts_with(b"HTTP/1.1 200")
}

fn desk() -> Desk {
    let mut run = Made::new();
    run.ran("server", "_start main serve wait_events", 100);
    Desk::with(&[("run.arc", run.finish())])
}

fn analyze(desk: &Desk, arguments: &str, urls: &str, cache: &Path) -> Ran {
    let cache = cache.to_str().unwrap();
    let variables = [("DEBUGINFOD_URLS", urls), ("DEBUGINFOD_CACHE_PATH", cache)];
    let ran = desk.analyze_elsewhere_with(arguments, &variables);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran
}

fn names(ran: &Ran) -> bool {
    ran.stdout.contains("wait_events")
}

/// What elfutils' client says: whether it has the file.
fn elfutils_finds(urls: &str, cache: &Path) -> bool {
    Command::new("debuginfod-find")
        .args(["debuginfo", &build_id()])
        .env("DEBUGINFOD_URLS", urls)
        .env("DEBUGINFOD_CACHE_PATH", cache)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("the client `debuginfod-find` of Debian's package debuginfod is not installed")
        .success()
}

#[test]
fn names_come_from_a_server_only_where_that_was_asked_for() {
    let (server, desk) = (Debuginfod::start(), desk());
    let cache = desk.dir.path().join("cache");
    let url = server.url.as_str();
    // The variable alone asks nobody, and changes nothing.
    let without = analyze(&desk, "run.arc -o -", url, &cache);
    assert!(!names(&without), "{}", without.stdout);
    assert_eq!(without.stdout, desk.analyze_elsewhere("run.arc -o -").stdout);
    assert!(!cache.exists());

    let with = analyze(&desk, &format!("run.arc -o - --debuginfod={url}"), "", &cache);
    assert!(names(&with), "{}", with.stdout);
    let line = with.stdout.lines().find(|line| line.starts_with("debuginfod")).unwrap();
    assert!(line.contains("2 files fetched (0.0"), "{line}");
    assert_eq!(with.stderr, "", "progress is for terminals");
    for kind in ["executable", "debuginfo"] {
        assert!(cache.join(build_id()).join(kind).is_file(), "{kind}");
    }

    let by_variable = analyze(&desk, "run.arc -o - --debuginfod", url, &cache);
    assert!(names(&by_variable));
    assert!(
        by_variable.stdout.contains("debuginfod  nothing to ask for"),
        "{}",
        by_variable.stdout
    );
    // Without the option the cache is not looked at either.
    assert_eq!(analyze(&desk, "run.arc -o -", url, &cache).stdout, without.stdout);
}

#[test]
fn a_look_up_on_its_own_asks_for_the_debug_file() {
    let (server, cache) = (Debuginfod::start(), tempfile::tempdir().unwrap());
    let bytes = std::fs::read(fixtures().join("server")).unwrap();
    let program = object::File::parse(&*bytes).unwrap();
    let address = program.symbol_by_name("wait_events").unwrap().address();
    // Apart from its debug file, which its debug link would lead to.
    let stripped = cache.path().join("server.stripped");
    std::fs::copy(fixtures().join("server.stripped"), &stripped).unwrap();
    let look_up = |option: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_analyze"))
            .args(["symbolize", option])
            .arg(&stripped)
            .env("DEBUGINFOD_CACHE_PATH", cache.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{address:#x}").unwrap();
        let output = child.wait_with_output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    assert!(look_up("--json")[0].contains("reason"));
    let [found, said] = look_up(&format!("--debuginfod={}", server.url));
    assert!(found.starts_with("wait_events\n"), "{found}");
    assert!(said.starts_with("debuginfod: 1 file fetched"), "{said}");
}

#[test]
fn the_cache_is_shared_with_elfutils_both_ways() {
    let (server, desk) = (Debuginfod::start(), desk());
    let dead = format!("http://127.0.0.1:{}", free_port());
    let ours = desk.dir.path().join("ours");
    analyze(&desk, &format!("run.arc -o - --debuginfod={}", server.url), "", &ours);
    assert!(elfutils_finds(&dead, &ours), "what we fetched");

    let theirs = desk.dir.path().join("theirs");
    assert!(elfutils_finds(&server.url, &theirs));
    let ran = analyze(&desk, &format!("run.arc -o - --debuginfod={dead}"), "", &theirs);
    assert!(names(&ran), "{}", ran.stdout);
    assert!(ran.stdout.contains("debuginfod  1 not fetched"), "{}", ran.stdout);
    let reason = format!("debuginfod  {dead} cannot be reached (Connection refused");
    assert!(ran.stdout.contains(&reason), "{}", ran.stdout);
}

#[test]
fn absence_is_shared_with_elfutils_both_ways() {
    let desk = desk();
    // A server that has nothing, and counts who asks.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let mut head = BufReader::new(&stream).lines().map_while(Result::ok);
            head.find(String::is_empty);
            let answer =
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).ok();
        }
    });
    let asked = || asked.load(std::sync::atomic::Ordering::SeqCst);
    let cache = desk.dir.path().join("cache");
    let arguments = format!("run.arc -o - --debuginfod={url}");
    let ran = analyze(&desk, &arguments, "", &cache);
    assert!(ran.stdout.contains("debuginfod  2 on no server"), "{}", ran.stdout);
    assert_eq!(asked(), 2, "the program, and its debug file");
    assert!(!elfutils_finds(&url, &cache));
    assert_eq!(asked(), 2, "elfutils reads our note");

    let cache = desk.dir.path().join("theirs");
    assert!(!elfutils_finds(&url, &cache));
    assert_eq!(asked(), 3);
    analyze(&desk, &arguments, "", &cache);
    assert_eq!(asked(), 4, "we read theirs of the debug file, and ask for the program");
}

#[test]
fn servers_that_give_nothing_never_fail_an_analysis() {
    let desk = desk();
    let cache = desk.dir.path().join("cache");
    let urls = format!("http://127.0.0.1:{} http://169.254.0.1", free_port());
    let ran = analyze(&desk, "run.arc -o - --debuginfod", &urls, &cache);
    assert!(ran.stdout.contains("debuginfod  2 not fetched"), "{}", ran.stdout);
    assert!(ran.stdout.contains("http://169.254.0.1 has a link-local address"), "{}", ran.stdout);
    let nobody = desk.analyze_elsewhere_with("--debuginfod run.arc", &[("DEBUGINFOD_URLS", "")]);
    assert_eq!(nobody.status, 2);
    assert!(nobody.stderr.contains("give --debuginfod=URL or set DEBUGINFOD_URLS"));
}
