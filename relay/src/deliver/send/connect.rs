//! Makes a connection to a checked address.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use url::Host;

use super::pool::Origin;
use super::stream::{Io, Stream};
use super::tls;
use crate::deliver::address::{Blocked, Guard};
use crate::deliver::outcome::Failure;
use crate::model::attempt::Cause;

/// Most addresses of one name that are checked and tried.
const ADDRESSES_MAX: usize = 32;

/// Resolves, checks, connects and shakes hands.
#[derive(Debug)]
pub(super) struct Connector {
    guard: Guard,
    timeout: Duration,
    extra_roots: RootCertStore,
    /// Made at the first use: reading the platform's authorities takes milliseconds that a
    /// relay with plain receivers need not spend.
    tls: OnceLock<Result<Arc<ClientConfig>, rustls::Error>>,
}

impl Connector {
    pub(super) fn new(guard: Guard, timeout: Duration, extra_roots: RootCertStore) -> Self {
        Self {
            guard,
            timeout,
            extra_roots,
            tls: OnceLock::new(),
        }
    }

    pub(super) const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// How long the whole may take; the caller holds it to that.
    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) async fn connect(&self, origin: &Origin) -> Result<Stream, Failure> {
        let deadline = Instant::now() + self.timeout;
        let addresses = self.addresses(origin).await?;
        let tcp = self.connect_any(&addresses, deadline).await?;
        match &origin.server_name {
            None => Ok(Stream::new(Io::Plain(tcp))),
            Some(name) => self.shake_hands(tcp, name).await,
        }
    }

    /// The origin's addresses. If one of them is refused, all are: a name that points inside
    /// as well as outside is not to be trusted.
    async fn addresses(&self, origin: &Origin) -> Result<Vec<SocketAddr>, Failure> {
        let addresses = resolve(&origin.host, origin.port).await?;
        if addresses
            .iter()
            .any(|&address| self.guard.check(address).is_err())
        {
            return Err(Failure::refused(Blocked.to_string()));
        }
        Ok(interleaved(addresses))
    }

    /// The first address that answers. Each gets an equal share of the time that is left, so
    /// that one that swallows packets does not use up the others' chance.
    async fn connect_any(&self, addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Failure> {
        let mut failure = Failure::new(Cause::Dns, "the name has no addresses");
        for (index, &address) in addresses.iter().enumerate() {
            let share = deadline.saturating_duration_since(Instant::now()) / divisor(addresses.len() - index);
            match timeout(share, self.connect_one(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(failed)) => failure = failed,
                Err(_) => failure = Failure::new(Cause::Timeout, format!("no connection within {share:?}")),
            }
        }
        Err(failure)
    }

    async fn connect_one(&self, address: SocketAddr) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| Failure::of_connect(&error))?;
        // A request is written in one go; it must not wait for the answer to an earlier one.
        stream
            .set_nodelay(true)
            .map_err(|error| Failure::of_connect(&error))?;
        if let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) {
            let checked = self.guard.check_connection(local, peer);
            checked.map_err(|blocked| Failure::refused(blocked.to_string()))?;
        }
        Ok(stream)
    }

    async fn shake_hands(&self, tcp: TcpStream, name: &ServerName<'static>) -> Result<Stream, Failure> {
        let connector = TlsConnector::from(self.tls()?);
        let stream = connector
            .connect(name.clone(), tcp)
            .await
            .map_err(|error| Failure::of_tls(&error))?;
        Ok(Stream::new(Io::Tls(Box::new(stream))))
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, Failure> {
        let made = self
            .tls
            .get_or_init(|| tls::client_config(&self.extra_roots).map(Arc::new));
        made.clone()
            .map_err(|error| Failure::new(Cause::Tls, error.to_string()))
    }
}

fn divisor(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

/// What a host stands for, at most [`ADDRESSES_MAX`] addresses.
async fn resolve(host: &Host, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    match host {
        Host::Ipv4(ip) => Ok(vec![SocketAddr::from((*ip, port))]),
        Host::Ipv6(ip) => Ok(vec![SocketAddr::from((*ip, port))]),
        Host::Domain(name) => {
            let found = tokio::net::lookup_host((name.as_str(), port)).await;
            let found = found.map_err(|error| Failure::new(Cause::Dns, error.to_string()))?;
            Ok(found.take(ADDRESSES_MAX).collect())
        }
    }
}

/// Both families in turn, in the resolver's order, beginning with its first choice.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().copied() else {
        return addresses;
    };
    let is_like_first = |address: &SocketAddr| address.is_ipv4() == first.is_ipv4();
    let (like_first, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(is_like_first);
    let mut others = others.into_iter();
    let mut order = Vec::with_capacity(like_first.len() + others.len());
    for address in like_first {
        order.push(address);
        order.extend(others.next());
    }
    order.extend(others);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |text: &str| -> Vec<SocketAddr> {
            text.split(' ')
                .map(|ip| SocketAddr::new(ip.parse().unwrap(), 1))
                .collect()
        };
        for (given, order) in [
            (
                "::1 ::2 1.1.1.1 2.2.2.2 3.3.3.3",
                "::1 1.1.1.1 ::2 2.2.2.2 3.3.3.3",
            ),
            ("1.1.1.1 2.2.2.2 ::1", "1.1.1.1 ::1 2.2.2.2"),
            ("1.1.1.1", "1.1.1.1"),
        ] {
            assert_eq!(interleaved(parse(given)), parse(order));
        }
        assert_eq!(interleaved(Vec::new()), []);
    }
}
