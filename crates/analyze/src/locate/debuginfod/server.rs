//! Asks one server for one file.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use profile::BuildId;
use rustls::crypto::CryptoProvider;
use ureq::http::header::{CONTENT_LENGTH, LOCATION, TRANSFER_ENCODING};
use ureq::http::uri::PathAndQuery;
use ureq::http::{Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Error, Timeout};

use super::connect::{Budget, CheckedResolver, LinkLocal, names_link_local};
use super::{FileKind, Limits, Reason, WORKERS, receive};

/// Redirects that are followed for one file.
const MAX_REDIRECTS: usize = 3;
/// Of a "not here" this much is read, so that the connection serves the next question.
const ABSENT_BODY_BYTES: u64 = 4 << 10;

/// What takes a file: its body, and its size as the server states it.
pub(super) type Take<'a> = dyn FnMut(&mut dyn Read, Option<u64>) -> Result<u64, Reason> + 'a;

/// One server, with its connections and what is known of it.
#[derive(Debug)]
pub(super) struct Server {
    base: Uri,
    shown: String,
    agent: Agent,
    limits: Limits,
    budget: Budget,
    given_up: AtomicBool,
}

impl Server {
    pub fn new(base: Uri, limits: Limits) -> Self {
        let budget = Budget::new(limits.connect);
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(provider())
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("flamearc-analyze/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .http_status_as_error(false)
            // Followed here, after a look at where they lead.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections_per_host(WORKERS)
            .timeout_send_request(Some(limits.silence))
            .timeout_recv_response(Some(limits.silence))
            .timeout_per_read(Some(limits.silence))
            .build();
        let agent = Agent::with_parts(config, budget.connector(), CheckedResolver::default());
        let shown = shown(&base);
        Self { base, shown, agent, limits, budget, given_up: AtomicBool::new(false) }
    }

    /// Its address, without credentials.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Asks for a file and hands its body on.
    pub fn get(&self, id: BuildId, kind: FileKind, take: &mut Take<'_>) -> Result<u64, Reason> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(Reason::GivenUp);
        }
        let result = self.ask(id, kind, take);
        if result.as_ref().is_err_and(Reason::ends_asking) {
            self.given_up.store(true, Ordering::Relaxed);
        }
        result
    }

    fn ask(&self, id: BuildId, kind: FileKind, take: &mut Take<'_>) -> Result<u64, Reason> {
        let mut uri = file_uri(&self.base, id, kind).ok_or(Reason::Redirect("nowhere"))?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.request(&uri).or_else(|reason| match reason {
                // An idle connection may have been closed just now.
                Reason::BrokeOff(_) => self.request(&uri),
                other => Err(other),
            })?;
            let status = response.status().as_u16();
            match status {
                200 => {
                    let headers = response.headers();
                    if !headers.contains_key(CONTENT_LENGTH)
                        && !headers.contains_key(TRANSFER_ENCODING)
                    {
                        return Err(Reason::NoLength);
                    }
                    let body = response.into_body();
                    let stated = body.content_length();
                    return take(&mut body.into_reader(), stated);
                }
                301 | 302 | 303 | 307 | 308 => uri = next(&uri, &response)?,
                404 => return Err(self.absent(response)),
                _ => return Err(Reason::Status(status)),
            }
        }
        Err(Reason::Redirect("more than three times"))
    }

    /// Sends one request and waits for the head of the answer.
    fn request(&self, uri: &Uri) -> Result<Response<Body>, Reason> {
        if uri.host().is_some_and(names_link_local) {
            return Err(Reason::LinkLocal);
        }
        let in_vain = || Reason::Unreachable("no connection in time".into());
        let left = self.budget.left().ok_or_else(in_vain)?;
        // ureq has one limit for the name and another for the connection; together they keep ours.
        let request = self
            .agent
            .get(uri)
            .config()
            .timeout_resolve(Some(left * 2 / 5))
            .timeout_connect(Some(left * 3 / 5))
            .build();
        request.call().map_err(|error| match error {
            Error::Timeout(Timeout::Resolve | Timeout::Connect) => in_vain(),
            Error::Timeout(_) => Reason::Silent(self.limits.silence.as_secs()),
            Error::Other(other) if other.is::<LinkLocal>() => Reason::LinkLocal,
            Error::Io(error) if broke_off(error.kind()) => Reason::BrokeOff(error.to_string()),
            Error::Io(error) => Reason::Unreachable(error.to_string()),
            Error::Protocol(error) => Reason::BrokeOff(error.to_string()),
            error => Reason::Unreachable(error.to_string()),
        })
    }

    /// Reads the rest of a "not here", so that its connection can be used again.
    fn absent(&self, response: Response<Body>) -> Reason {
        let body = response.into_body();
        if body.content_length().is_none_or(|bytes| bytes > ABSENT_BODY_BYTES) {
            return Reason::Absent;
        }
        let read =
            receive::body(&mut body.into_reader(), None, &mut io::sink(), &self.limits, |_| ());
        match read {
            Err(reason) if reason.ends_asking() => reason,
            _ => Reason::Absent,
        }
    }
}

/// Whether an error is of a connection that there was.
fn broke_off(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// `BASE/buildid/HEX/debuginfo`.
fn file_uri(base: &Uri, id: BuildId, kind: FileKind) -> Option<Uri> {
    let path = base.path().trim_end_matches('/');
    with_path(base, &format!("{path}/buildid/{id}/{}", kind.word()))
}

fn with_path(base: &Uri, path: &str) -> Option<Uri> {
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

/// Where a redirect leads, if it may be followed: credentials are never sent on, and a redirect that
/// brings its own is not followed.
fn next(from: &Uri, response: &Response<Body>) -> Result<Uri, Reason> {
    let nowhere = Reason::Redirect("nowhere");
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| nowhere.clone())?;
    if location.starts_with('/') && !location.starts_with("//") {
        return with_path(from, location).ok_or(nowhere);
    }
    let scheme = location.split(['/', '?', '#']).next().and_then(|start| start.split_once(':'));
    let (scheme, _) = scheme.ok_or_else(|| nowhere.clone())?;
    if from.scheme_str() != Some(scheme.to_ascii_lowercase().as_str()) {
        return Err(Reason::Redirect("to another scheme"));
    }
    let Ok(to) = location.parse::<Uri>() else { return Err(nowhere) };
    let Some(authority) = to.authority() else { return Err(nowhere) };
    if authority.as_str().contains('@') {
        return Err(Reason::Redirect("with credentials"));
    }
    if names_link_local(authority.host()) {
        return Err(Reason::Redirect("to a link-local address"));
    }
    Ok(to)
}

/// An address for people: credentials are nobody's to read.
fn shown(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{}://{host}{}", uri.scheme_str().unwrap_or_default(), uri.path().trim_end_matches('/'))
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(&PROVIDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_path_and_hides_its_credentials() {
        let id = BuildId::new(&[0xab, 0xcd]);
        let base: Uri = "https://me:secret@host:8002/mirror/".parse().unwrap();
        assert_eq!(shown(&base), "https://host:8002/mirror");
        let uri = file_uri(&base, id, FileKind::Executable).unwrap();
        assert_eq!(uri.to_string(), "https://me:secret@host:8002/mirror/buildid/abcd/executable");
    }
}
