//! The fetcher against servers that behave, break and attack.

use super::test_server::{TestServer, send, send_raw};
use super::*;
use crate::locate::tests::program;
use std::fs;
use std::path::Path;
use std::time::Duration;
use ureq::http::Uri;

const ID: [u8; 8] = [0xab, 0xcd, 0xef, 1, 2, 3, 4, 5];
const PATH: &str = "/buildid/abcdef0102030405/executable";

fn wanted(id: &[u8]) -> Wanted {
    Wanted {
        build_id: BuildId::new(id),
        kind: FileKind::Executable,
        weight: 1,
        name: "server".into(),
    }
}

/// Short enough to wait for in a test; only servers that hang wait that long.
fn impatient() -> Limits {
    Limits { silence: Duration::from_millis(300), ..Limits::default() }
}

struct Case {
    cache: tempfile::TempDir,
    limits: Limits,
}

impl Case {
    fn new() -> Self {
        Self { cache: tempfile::tempdir().unwrap(), limits: Limits::default() }
    }

    fn with(limits: Limits) -> Self {
        Self { limits, ..Self::new() }
    }

    fn fetcher(&self, servers: &[Uri]) -> Fetcher {
        Fetcher::new(&Debuginfod {
            servers: servers.to_vec(),
            cache: self.cache.path().into(),
            limits: self.limits,
        })
    }

    /// What becomes of one file.
    fn fetch(&self, servers: &[Uri]) -> Result<Origin, NotFetched> {
        let mut outcomes = self.fetcher(servers).fetch(&[wanted(&ID)]);
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0).result
    }

    /// Why the only server gave nothing. Nothing may be left of it.
    fn refused(&self, server: &Uri) -> Reason {
        match self.fetch(std::slice::from_ref(server)) {
            Err(NotFetched::Failed(mut reasons)) => {
                assert_eq!(self.kept(), [""; 0], "{reasons:?}");
                assert_eq!(reasons.len(), 1);
                reasons.remove(0).1
            }
            other => panic!("{other:?}"),
        }
    }

    /// Files in the cache, relative to it.
    fn kept(&self) -> Vec<String> {
        let mut files = Vec::new();
        let entries = |path: &Path| {
            let entries: Vec<_> = fs::read_dir(path).unwrap().map(Result::unwrap).collect();
            entries.into_iter().map(|entry| entry.path()).collect::<Vec<_>>()
        };
        for directory in entries(self.cache.path()) {
            files.extend(
                entries(&directory).iter().map(|path| {
                    path.strip_prefix(self.cache.path()).unwrap().display().to_string()
                }),
            );
        }
        files.sort_unstable();
        files
    }
}

fn gives_the_file() -> TestServer {
    TestServer::of_files(vec![(PATH.into(), program(&ID))])
}

#[test]
fn a_file_comes_into_the_cache_and_is_not_asked_for_again() {
    let (case, server) = (Case::new(), gives_the_file());
    let from_server = Origin::Server {
        server: format!("http://127.0.0.1:{}", server.port()),
        bytes: program(&ID).len() as u64,
    };
    assert_eq!(case.fetch(&[server.url()]), Ok(from_server));
    assert_eq!(case.kept(), ["abcdef0102030405/executable"]);
    let path = case.cache.path().join("abcdef0102030405/executable");
    assert_eq!(fs::read(&path).unwrap(), program(&ID));
    assert_eq!(case.fetch(&[server.url()]), Ok(Origin::Cache));
    assert_eq!(server.requests().len(), 1);
    // A damaged file is replaced.
    fs::remove_file(&path).unwrap();
    fs::write(&path, program(&[9; 8])).unwrap();
    assert!(matches!(case.fetch(&[server.url()]), Ok(Origin::Server { .. })));
    assert_eq!(fs::read(&path).unwrap(), program(&ID));
}

#[test]
fn what_no_server_has_is_not_asked_for_again_for_a_while() {
    let (case, server) = (Case::new(), TestServer::of_files(vec![]));
    assert_eq!(case.fetch(&[server.url()]), Err(NotFetched::Absent));
    assert_eq!(case.kept(), ["abcdef0102030405/executable"]);
    assert_eq!(fs::metadata(case.cache.path().join(&case.kept()[0])).unwrap().len(), 0);
    assert_eq!(case.fetch(&[server.url()]), Err(NotFetched::Absent));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn one_fetcher_asks_once_also_after_a_failure() {
    let case = Case::new();
    let server = TestServer::start(|_, stream| send(stream, "500 Oh", "", b""));
    let fetcher = case.fetcher(&[server.url()]);
    let first = fetcher.fetch(&[wanted(&ID), wanted(&ID)]);
    assert_eq!(first.len(), 1);
    assert_eq!(fetcher.fetch(&[wanted(&ID)]), first);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(case.refused(&server.url()), Reason::Status(500));
}

#[test]
fn servers_are_asked_in_order_until_one_has_the_file() {
    let case = Case::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead: Uri = format!("http://{}", closed.local_addr().unwrap()).parse().unwrap();
    drop(closed);
    let without = TestServer::of_files(vec![]);
    let (first, second) = (gives_the_file(), gives_the_file());
    let all = [dead.clone(), without.url(), first.url(), second.url()];
    let Ok(Origin::Server { server, .. }) = case.fetch(&all) else { panic!("not fetched") };
    assert_eq!(server, format!("http://127.0.0.1:{}", first.port()));
    assert_eq!((without.requests().len(), second.requests().len()), (1, 0));
    // A dead server may have it: that is no proof of absence, and no note is made.
    let case = Case::new();
    let Err(NotFetched::Failed(reasons)) = case.fetch(&[dead, without.url()]) else {
        panic!("not failed")
    };
    assert!(matches!(reasons.as_slice(), [(_, Reason::Unreachable(_))]), "{reasons:?}");
    assert_eq!(case.kept(), [""; 0]);
}

#[test]
fn heavier_files_are_asked_for_first_and_outcomes_stand_in_that_order() {
    let case = Case::new();
    // Answers when four have asked: so many ask at a time, and which four does not depend on luck.
    let four = std::sync::Barrier::new(WORKERS);
    let server = TestServer::start(move |_, stream| {
        four.wait();
        send(stream, "404 Not Found", "", b"");
    });
    let wanted: Vec<Wanted> =
        (1..=20).map(|n| Wanted { weight: n, ..wanted(&[n as u8; 8]) }).collect();
    let outcomes = case.fetcher(&[server.url()]).fetch(&wanted);
    let weights: Vec<u64> = outcomes.iter().map(|outcome| outcome.wanted.weight).collect();
    assert_eq!(weights, (1..=20).rev().collect::<Vec<_>>());
    let asked = server.requests();
    assert_eq!(asked.len(), 20);
    for (four, heaviest) in asked.chunks(WORKERS).zip((1..=20u8).rev().step_by(WORKERS)) {
        for n in heaviest - 3..=heaviest {
            let path = format!("/buildid/{}/", BuildId::new(&[n; 8]));
            assert!(four.iter().any(|head| head.contains(&path)), "{path} in {four:?}");
        }
    }
}

/// A server that redirects the first question, and answers the redirected one.
fn redirects(to: impl Fn(u16) -> String + Send + Sync + 'static) -> TestServer {
    let port = std::sync::OnceLock::new();
    let port = std::sync::Arc::new(port);
    let known = std::sync::Arc::clone(&port);
    let server = TestServer::start(move |path, stream| {
        if path == "/elsewhere" {
            return send(stream, "200 OK", "", &program(&ID));
        }
        let location = format!("Location: {}\r\n", to(*known.wait()));
        send(stream, "302 Found", &location, b"");
    });
    port.set(server.port()).unwrap();
    server
}

#[test]
fn a_redirect_is_followed_on_the_same_scheme() {
    for relative in [true, false] {
        let server = redirects(move |port| match relative {
            true => "/elsewhere".into(),
            false => format!("http://127.0.0.1:{port}/elsewhere"),
        });
        let case = Case::new();
        assert!(matches!(case.fetch(&[server.url()]), Ok(Origin::Server { .. })), "{relative}");
    }
}

#[test]
fn a_redirect_to_anything_else_is_refused() {
    for (location, how) in [
        ("file:///etc/passwd", "to another scheme"),
        ("file:/etc/passwd", "to another scheme"),
        ("javascript:alert(1)", "to another scheme"),
        ("https://127.0.0.1/x", "to another scheme"),
        ("ftp://127.0.0.1/x", "to another scheme"),
        ("http://169.254.169.254/latest/meta-data", "to a link-local address"),
        ("http://[fe80::1]/x", "to a link-local address"),
        ("http://[::ffff:169.254.169.254]/x", "to a link-local address"),
        ("http://me:secret@127.0.0.1/x", "with credentials"),
        ("//169.254.169.254/x", "nowhere"),
        ("elsewhere", "nowhere"),
        ("", "nowhere"),
        ("/for/ever", "more than three times"),
    ] {
        let server = redirects(move |_| location.into());
        assert_eq!(Case::new().refused(&server.url()), Reason::Redirect(how), "{location:?}");
    }
}

#[test]
fn a_name_that_leads_to_a_link_local_address_is_not_asked() {
    // The system's look-up takes a number for the address that it is; its spelling here is a name.
    for name in ["2852039166", "0xa9fea9fe"] {
        let server = redirects(move |_| format!("http://{name}/x"));
        assert_eq!(Case::new().refused(&server.url()), Reason::LinkLocal, "{name}");
    }
    let named: Uri = "http://169.254.169.254".parse().unwrap();
    assert_eq!(Case::new().refused(&named), Reason::LinkLocal);
}

#[test]
fn credentials_go_to_the_server_they_were_given_for_and_no_further() {
    let end = TestServer::of_files(vec![("/elsewhere".into(), program(&ID))]);
    let location = format!("http://127.0.0.1:{}/elsewhere", end.port());
    let first = redirects(move |_| location.clone());
    let url = format!("http://me:secret@127.0.0.1:{}", first.port()).parse().unwrap();
    let Ok(Origin::Server { server, .. }) = Case::new().fetch(&[url]) else {
        panic!("not fetched")
    };
    assert_eq!(server, format!("http://127.0.0.1:{}", first.port()), "no credentials in reports");
    let authorized = |server: &TestServer| {
        server.requests().concat().to_ascii_lowercase().contains("authorization")
    };
    assert!(authorized(&first));
    assert_eq!(end.requests().len(), 1);
    assert!(!authorized(&end));
}

#[test]
fn another_build_or_no_program_is_refused() {
    let cut = program(&ID)[..program(&ID).len() / 8].to_vec();
    for content in [program(&[9; 8]), b"<html>please log in</html>".to_vec(), Vec::new(), cut] {
        let server = TestServer::of_files(vec![(PATH.into(), content)]);
        assert_eq!(Case::new().refused(&server.url()), Reason::OtherBuild);
    }
}

#[test]
fn more_than_the_limit_is_not_taken() {
    let limits = Limits { file_bytes: 1 << 20, ..Limits::default() };
    let endless = TestServer::start(|_, stream| {
        send_raw(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [b"1000\r\n".as_slice(), &[b'x'; 0x1000], b"\r\n"].concat();
        while send_raw(stream, &chunk) {}
    });
    assert_eq!(Case::with(limits).refused(&endless.url()), Reason::TooLarge(1 << 20));
    // What states its size is refused before any of it comes.
    let honest = TestServer::start(|_, stream| {
        send_raw(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n");
        std::thread::park();
    });
    assert_eq!(Case::with(limits).refused(&honest.url()), Reason::TooLarge(1 << 20));
}

#[test]
fn what_ends_early_is_not_kept() {
    let file = program(&ID);
    let length = file.len() + 1;
    let cut = TestServer::start(move |_, stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        send_raw(stream, head.as_bytes());
        send_raw(stream, &program(&ID));
    });
    assert!(matches!(Case::new().refused(&cut.url()), Reason::BrokeOff(_)));
    // Without a length nobody could tell.
    let until_closed = TestServer::start(move |_, stream| {
        send_raw(stream, b"HTTP/1.1 200 OK\r\n\r\n");
        send_raw(stream, &file);
    });
    assert_eq!(Case::new().refused(&until_closed.url()), Reason::NoLength);
    let garbage = TestServer::start(|_, stream| {
        send_raw(stream, b"SSH-2.0-OpenSSH_9.2\r\n");
    });
    assert!(matches!(Case::new().refused(&garbage.url()), Reason::BrokeOff(_)));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    says_nothing(&TestServer::start(|_, _stream| std::thread::park()));
    says_nothing(&TestServer::start(|_, stream| {
        send_raw(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        std::thread::park();
    }));
    says_nothing(&TestServer::start(|_, stream| {
        send_raw(stream, b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\n");
        std::thread::park();
    }));
}

fn says_nothing(silent: &TestServer) {
    let case = Case::with(impatient());
    let many: Vec<Wanted> = (1..=40).map(|n| wanted(&[n; 8])).collect();
    let outcomes = case.fetcher(&[silent.url()]).fetch(&many);
    assert_eq!(outcomes.len(), 40);
    let given_up = |reason: &Reason| matches!(reason, Reason::Silent(_) | Reason::GivenUp);
    for outcome in &outcomes {
        let Err(NotFetched::Failed(reasons)) = &outcome.result else { panic!("{outcome:?}") };
        assert!(given_up(&reasons[0].1), "{reasons:?}");
    }
    assert!(silent.connections() <= WORKERS, "{} connections", silent.connections());
    assert_eq!(case.kept(), [""; 0]);
}

#[test]
fn a_server_that_drips_is_given_up() {
    let case = Case::with(impatient());
    let drips = TestServer::start(|_, stream| {
        send_raw(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while send_raw(stream, b"x") {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let many: Vec<Wanted> = (1..=40).map(|n| wanted(&[n; 8])).collect();
    let outcomes = case.fetcher(&[drips.url()]).fetch(&many);
    let slow = |reason: &Reason| matches!(reason, Reason::TooSlow(_) | Reason::GivenUp);
    for outcome in &outcomes {
        let Err(NotFetched::Failed(reasons)) = &outcome.result else { panic!("{outcome:?}") };
        assert!(slow(&reasons[0].1), "{reasons:?}");
    }
    assert!(drips.connections() <= WORKERS, "{} connections", drips.connections());
    assert_eq!(case.kept(), [""; 0]);
}

#[test]
fn a_server_that_takes_no_connection_costs_its_time_once() {
    // It listens, but never answers the first word of TLS: no connection comes about.
    let limits = Limits { connect: Duration::from_secs(1), ..Limits::default() };
    let case = Case::with(limits);
    let silent = TestServer::start(|_, _stream| std::thread::park());
    let url: Uri = format!("https://127.0.0.1:{}", silent.port()).parse().unwrap();
    let many: Vec<Wanted> = (1..=200).map(|n| wanted(&[n; 8])).collect();
    let begin = std::time::Instant::now();
    let outcomes = case.fetcher(&[url]).fetch(&many);
    let dead = |reason: &Reason| matches!(reason, Reason::Unreachable(_) | Reason::GivenUp);
    for outcome in &outcomes {
        let Err(NotFetched::Failed(reasons)) = &outcome.result else { panic!("{outcome:?}") };
        assert!(dead(&reasons[0].1), "{reasons:?}");
    }
    assert!(silent.connections() <= WORKERS, "{} connections", silent.connections());
    // 200 files in 4 threads would take 50 times the limit, if each of them waited.
    assert!(begin.elapsed() < 10 * limits.connect, "{:?}", begin.elapsed());
}

#[test]
fn several_processes_may_fetch_the_same_file() {
    let case = Case::new();
    let server = gives_the_file();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(case.fetch(&[server.url()]).is_ok()));
        }
    });
    assert_eq!(case.kept(), ["abcdef0102030405/executable"]);
}

#[test]
fn a_cache_that_cannot_be_written_fails_before_anything_is_asked() {
    let case = Case::new();
    fs::write(case.cache.path().join("abcdef0102030405"), b"a file in the way").unwrap();
    let server = gives_the_file();
    assert!(matches!(case.fetch(&[server.url()]), Err(NotFetched::NotKept(_))));
    assert_eq!(server.requests(), [""; 0]);
}
