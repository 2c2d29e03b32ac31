//! A small HTTP server for tests, as well behaved or hostile as its answers.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use ureq::http::Uri;

use super::lock;

/// A server on this machine that lives as long as the test program.
pub(in crate::locate) struct TestServer {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl TestServer {
    /// Serves one request on each connection with what `answer` writes, given the path.
    pub fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        let (requests, connections) =
            (Arc::clone(&server.requests), Arc::clone(&server.connections));
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                *lock(&connections) += 1;
                let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let head = head(&stream);
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    lock(&requests).push(head);
                    answer(&path, &mut stream);
                });
            }
        });
        server
    }

    /// Gives each file of a list, and 404 for anything else.
    pub fn of_files(files: Vec<(String, Vec<u8>)>) -> Self {
        Self::start(move |path, stream| match files.iter().find(|(known, _)| known == path) {
            Some((_, content)) => send(stream, "200 OK", "", content),
            None => send(stream, "404 Not Found", "", b"not found"),
        })
    }

    pub fn url(&self) -> Uri {
        format!("http://127.0.0.1:{}", self.port).parse().unwrap()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Heads of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.requests).clone()
    }

    pub fn connections(&self) -> usize {
        *lock(&self.connections)
    }
}

/// Reads up to the empty line, or to the end.
fn head(stream: &TcpStream) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while reader.read_line(&mut head).is_ok_and(|bytes| bytes > 0) && !head.ends_with("\r\n\r\n") {}
    head
}

/// Writes an answer with a length. The client may have gone away meanwhile.
pub(in crate::locate) fn send(stream: &mut TcpStream, status: &str, headers: &str, content: &[u8]) {
    let length = content.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(content)).ok();
}

/// Writes whatever; a client that went away is no failure.
pub(in crate::locate) fn send_raw(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}
