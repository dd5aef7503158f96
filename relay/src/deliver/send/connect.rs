//! Makes a connection to a checked address: the only place from which the relay connects out.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use url::Host;

use super::pool::Origin;
use super::proxy::{Proxy, Way};
use super::resolve::{Lookup, Lookups, Resolve};
use super::stream::{Io, Stream};
use super::tls::Trust;
use crate::deliver::address::{Blocked, Guard};
use crate::deliver::outcome::Failure;
use crate::model::attempt::Cause;

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 32;
/// How long an address has to itself before the next is tried beside it: the delay that RFC 8305
/// recommends.
const HEAD_START: Duration = Duration::from_millis(250);

/// Resolves, checks, connects and shakes hands.
#[derive(Debug)]
pub(super) struct Connector {
    guard: Guard,
    lookups: Lookups,
    timeout: Duration,
    /// Addresses to connect from.
    bind: Vec<IpAddr>,
    /// What connections are made through; `None`: straight.
    proxy: ArcSwapOption<Way>,
    /// How often that has changed.
    changes: AtomicU64,
    extra_roots: RootCertStore,
    /// Made at the first use: reading the platform's authorities takes milliseconds that a
    /// relay with plain receivers need not spend.
    tls: OnceLock<Result<Trust, rustls::Error>>,
}

impl Connector {
    pub(super) fn new(
        guard: Guard,
        resolver: Arc<dyn Resolve>,
        timeout: Duration,
        bind: Vec<IpAddr>,
        proxy: Option<Proxy>,
        extra_roots: RootCertStore,
    ) -> Self {
        Self {
            guard,
            lookups: Lookups::new(resolver),
            timeout,
            bind,
            proxy: ArcSwapOption::from_pointee(proxy.map(Way::new)),
            changes: AtomicU64::new(0),
            extra_roots,
            tls: OnceLock::new(),
        }
    }

    /// Makes connections through another proxy from now on, or through none.
    pub(super) fn set_proxy(&self, proxy: Option<Proxy>) {
        self.proxy.store(proxy.map(Way::new).map(Arc::new));
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often the way has changed: a connection made before goes another one.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether connections are made through a proxy.
    pub(super) fn has_proxy(&self) -> bool {
        self.proxy.load().is_some()
    }

    pub(super) const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// How long the whole may take; the caller holds it to that.
    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) async fn connect(&self, origin: &Origin) -> Result<Stream, Failure> {
        let addresses = self.admit(self.resolve(origin).await?)?;
        let tcp = self.connect_any(addresses).await?;
        match &origin.server_name {
            None => Ok(Stream::new(Io::Plain(tcp))),
            Some(name) => shake_hands(tcp, name, Arc::clone(&self.trust()?.config)).await,
        }
    }

    /// What the origin's name stands for.
    pub(super) async fn resolve(&self, origin: &Origin) -> Result<Vec<SocketAddr>, Failure> {
        self.addresses(&origin.host, origin.port, &origin.lookup).await
    }

    async fn addresses(&self, host: &Host, port: u16, lookup: &Lookup) -> Result<Vec<SocketAddr>, Failure> {
        let ips = match host {
            Host::Ipv4(ip) => Arc::from([IpAddr::V4(*ip)]),
            Host::Ipv6(ip) => Arc::from([IpAddr::V6(*ip)]),
            Host::Domain(name) => self.lookups.addresses(name, lookup).await?,
        };
        Ok(ips.iter().map(|&ip| SocketAddr::new(ip, port)).collect())
    }

    /// The addresses in the order they are tried, every one of them checked. If one is refused, all
    /// are: a name that points inside as well as outside is not to be trusted.
    pub(super) fn admit(&self, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Failure> {
        if addresses
            .iter()
            .any(|&address| self.guard.check(address).is_err())
        {
            return Err(Failure::refused(Blocked.to_string()));
        }
        Ok(interleaved(addresses))
    }

    /// The first address that answers, through the proxy if there is one.
    pub(super) async fn connect_any(&self, addresses: Vec<SocketAddr>) -> Result<TcpStream, Failure> {
        match self.proxy.load_full() {
            None => race(addresses, |address| self.connect_one(address)).await,
            // On the heap, because it is rare: what is part of an attempt is moved with it.
            Some(way) => {
                let way = &*way;
                Box::pin(race(addresses, |address| self.tunnel(way, address))).await
            }
        }
    }

    /// The first address of the operator's own server that answers: neither the guard nor a proxy
    /// stands in between.
    pub(super) async fn connect_own(
        &self,
        host: &Host,
        port: u16,
        lookup: &Lookup,
    ) -> Result<TcpStream, Failure> {
        let addresses = self.addresses(host, port, lookup).await?;
        race(interleaved(addresses), |address| self.open(address)).await
    }

    async fn tunnel(&self, way: &Way, to: SocketAddr) -> Result<TcpStream, Failure> {
        let Proxy { host, port, .. } = &way.proxy;
        let connected = self.connect_own(host, *port, &way.lookup).await;
        let mut tcp = connected.map_err(|failure| failure.before("the egress proxy"))?;
        way.open(&mut tcp, to).await?;
        Ok(tcp)
    }

    async fn connect_one(&self, address: SocketAddr) -> Result<TcpStream, Failure> {
        let stream = self.open(address).await?;
        if let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) {
            let checked = self.guard.check_connection(local, peer);
            checked.map_err(|blocked| Failure::refused(blocked.to_string()))?;
        }
        Ok(stream)
    }

    async fn open(&self, address: SocketAddr) -> Result<TcpStream, Failure> {
        let stream = self
            .dial(address)
            .await
            .map_err(|error| Failure::of_connect(&error))?;
        // A request is written in one go; it must not wait for the answer to an earlier one.
        stream
            .set_nodelay(true)
            .map_err(|error| Failure::of_connect(&error))?;
        Ok(stream)
    }

    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let of_its_family = |own: &&IpAddr| own.is_ipv4() == address.is_ipv4();
        let Some(own) = self.bind.iter().find(of_its_family) else {
            return TcpStream::connect(address).await;
        };
        let socket = match own {
            IpAddr::V4(_) => TcpSocket::new_v4()?,
            IpAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.bind(SocketAddr::new(*own, 0))?;
        socket.connect(address).await
    }

    /// Whom to trust.
    pub(super) fn trust(&self) -> Result<&Trust, Failure> {
        let made = self.tls.get_or_init(|| Trust::of(&self.extra_roots));
        made.as_ref()
            .map_err(|error| Failure::new(Cause::Tls, error.to_string()))
    }
}

/// The first address that answers. Each has a head start over the next, which is tried at
/// once when it fails and beside it when it is slow (RFC 8305), so that one address, or one
/// of the two families, that swallows packets costs a moment and not the deadline.
async fn race<Connecting>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> Connecting,
) -> Result<TcpStream, Failure>
where
    Connecting: Future<Output = Result<TcpStream, Failure>>,
{
    let mut failure = Failure::new(Cause::Dns, "the name has no addresses");
    let mut waiting = addresses.into_iter().take(ADDRESSES_MAX);
    let mut racing = FuturesUnordered::new();
    racing.extend(waiting.next().map(&connect));
    while !racing.is_empty() {
        tokio::select! {
            Some(connected) = racing.next() => match connected {
                Ok(stream) => return Ok(stream),
                Err(failed) => failure = failed,
            },
            () = tokio::time::sleep(HEAD_START), if waiting.len() > 0 => {}
        }
        racing.extend(waiting.next().map(&connect));
    }
    Err(failure)
}

/// Speaks TLS on a connection, to whoever proves to have that name.
pub(super) async fn shake_hands(
    tcp: TcpStream,
    name: &ServerName<'static>,
    config: Arc<ClientConfig>,
) -> Result<Stream, Failure> {
    let stream = TlsConnector::from(config)
        .connect(name.clone(), tcp)
        .await
        .map_err(|error| Failure::of_tls(&error))?;
    Ok(Stream::new(Io::Tls(Box::new(stream))))
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
