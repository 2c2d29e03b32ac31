//! How long a server's connections may take, and which addresses are never connected to.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};

use super::lock;

/// Time to reach one server. It runs from the first attempt after which no connection came about, so
/// that a dead server costs it once, whatever the number of files and of threads that want them.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    limit: Duration,
    trying_since: Arc<Mutex<Option<Instant>>>,
}

impl Budget {
    pub fn new(limit: Duration) -> Self {
        Self { limit, trying_since: Arc::default() }
    }

    /// How long an attempt may take that begins now; `None` when nothing is left.
    pub fn left(&self) -> Option<Duration> {
        let spent = lock(&self.trying_since).map_or(Duration::ZERO, |since| since.elapsed());
        self.limit.checked_sub(spent).filter(|left| !left.is_zero())
    }

    /// The chain of connectors that keeps the account. ureq runs it only where no open connection
    /// serves.
    pub fn connector(&self) -> impl Connector<Out = impl Transport> {
        let (begin, end) = (Begin(self.clone()), End(self.clone()));
        begin.chain(DefaultConnector::default()).chain(end)
    }

    fn begin(&self) {
        lock(&self.trying_since).get_or_insert_with(Instant::now);
    }

    fn connected(&self) {
        *lock(&self.trying_since) = None;
    }
}

/// First in the chain: an attempt begins.
#[derive(Debug)]
struct Begin(Budget);

impl Connector for Begin {
    type Out = ();

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<()>) -> Result<Option<()>, Error> {
        self.0.begin();
        Ok(chained)
    }
}

/// Last in the chain: what gets here is connected, with TLS where asked for.
#[derive(Debug)]
struct End(Budget);

impl<T: Transport> Connector<T> for End {
    type Out = T;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<T>) -> Result<Option<T>, Error> {
        if chained.is_some() {
            self.0.connected();
        }
        Ok(chained)
    }
}

/// What stands in [`Error::Other`] when a name leads to link-local addresses only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("link-local address")]
pub(super) struct LinkLocal;

/// Looks names up and leaves link-local addresses out: a name that leads to one reaches what only this
/// machine's surroundings should (the metadata service of a cloud, a router).
#[derive(Default, Debug)]
pub(super) struct CheckedResolver {
    inner: DefaultResolver,
}

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let all = self.inner.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in all.iter().filter(|address| !is_link_local(address.ip())) {
            allowed.push(*address);
        }
        if allowed.is_empty() { Err(Error::Other(Box::new(LinkLocal))) } else { Ok(allowed) }
    }
}

/// 169.254.0.0/16 and fe80::/10, also where IPv6 carries the former.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || carried(address).is_some_and(|v4| v4.is_link_local())
        }
    }
}

/// The IPv4 address inside ::ffff:0:0/96, ::/96 and NAT64's 64:ff9b::/96.
fn carried(address: Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            Some(std::net::Ipv4Addr::new(a, b, c, d))
        }
        _ => address.to_ipv4(),
    }
}

/// Whether a host is written as a link-local address.
pub(super) fn names_link_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let bare = bare.split('%').next().unwrap_or(bare);
    bare.parse().is_ok_and(is_link_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_are_known_in_every_spelling() {
        for host in [
            "169.254.169.254",
            "[fe80::1]",
            "[febf::1]",
            "[fe80::1%eth0]",
            "[::ffff:169.254.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::169.254.169.254]",
        ] {
            assert!(names_link_local(host), "{host}");
        }
        for host in ["127.0.0.1", "169.253.0.1", "[::1]", "[fec0::1]", "fe80", "example.org"] {
            assert!(!names_link_local(host), "{host}");
        }
    }

    #[test]
    fn time_runs_from_the_first_vain_attempt_and_stops_with_a_connection() {
        let whole = Duration::from_secs(3600);
        let budget = Budget::new(whole);
        assert_eq!(budget.left(), Some(whole));
        budget.begin();
        let first = budget.left().unwrap();
        budget.begin();
        assert!(
            first < whole && budget.left().unwrap() < first,
            "a second attempt is no new start"
        );
        budget.connected();
        assert_eq!(budget.left(), Some(whole));
        assert_eq!(Budget::new(Duration::ZERO).left(), None);
    }
}
