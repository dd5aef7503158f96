//! The address guard: where the relay may connect to.
//!
//! Judged is the socket address that is about to be connected to, never the text of a URL:
//! every answer of the resolver is checked, and the connection goes to a checked address.
//! What is refused is always refused with the same words, so that nobody can map a network
//! by asking.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use url::{Host, Position, Url};

use super::mail::{Recipients, SCHEME as MAIL_SCHEME, mailto};

/// Longest URL of an endpoint, in bytes.
pub const URL_BYTES_MAX: usize = 4 << 10;

/// The scheme of URLs that lead to an inspector of the relay itself, and so to no address.
pub const LOCAL_SCHEME: &str = "inspector";

/// IPv4 networks that are not the public internet, and one address that is but answers with
/// credentials.
const IPV4_REFUSED: [(Ipv4Addr, u32); 18] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Azure's host agent.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // With the metadata services of most clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, reserved, broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// The part of IPv6 that is the public internet. All else (loopback, unique local, link
/// local, NAT64, IPv4-compatible, multicast) is refused without being named.
const IPV6_PUBLIC: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Parts of [`IPV6_PUBLIC`] that are not.
const IPV6_REFUSED: [(Ipv6Addr, u32); 5] = [
    // Protocol assignments, with Teredo.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4 carries an IPv4 address.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// The address is refused; which one and why is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address is not public and not within `outbound.allow_networks`")]
pub struct Blocked;

/// Why a URL cannot be an endpoint's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("the scheme `{0}` is not supported; use `https`")]
    Scheme(String),
    #[error("plain `http` is refused; use `https`, or set `outbound.https_only = false`")]
    PlainHttp,
    #[error("the URL contains a user or a password; set an `authorization` header instead")]
    Credentials,
    #[error("the URL has no host that can be connected to")]
    Host,
    #[error("port 0 cannot be connected to")]
    Port,
    #[error("the path or query contains a character that cannot be sent; percent-encode it")]
    Path,
    #[error("an inspector's URL is `inspector://` and its token, as it was given out")]
    Inspector,
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    #[error(transparent)]
    Mail(#[from] mailto::Error),
    #[error(transparent)]
    Blocked(#[from] Blocked),
}

/// Decides where the relay may connect to.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Networks that are allowed although they are not public.
    allow_networks: Vec<IpNet>,
    https_only: bool,
    /// Where the relay itself listens: never allowed, so that no event goes in circles.
    own: Vec<SocketAddr>,
    /// Whom mail may be sent to; `None`: nobody.
    recipients: Option<Recipients>,
}

impl Guard {
    /// A guard that lets through public addresses and those of `allow_networks`, but never
    /// the `own` addresses that the relay listens on.
    pub const fn new(allow_networks: Vec<IpNet>, https_only: bool, own: Vec<SocketAddr>) -> Self {
        Self {
            allow_networks,
            https_only,
            own,
            recipients: None,
        }
    }

    /// A guard that lets everything through: for what the operator names, and no stranger can lead
    /// elsewhere.
    pub fn open() -> Self {
        let everywhere = vec![
            ipnet::Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0).into(),
            ipnet::Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0).into(),
        ];
        Self::new(everywhere, false, Vec::new())
    }

    /// The same, which lets through mail to these.
    #[must_use]
    pub fn with_mail(self, recipients: Option<Recipients>) -> Self {
        Self { recipients, ..self }
    }

    /// Checks a URL as far as it can be done without resolving its name.
    ///
    /// # Errors
    /// Says which rule is broken.
    pub fn check_url(&self, url: &Url) -> Result<(), UrlError> {
        match url.scheme() {
            "https" => {}
            "http" if self.https_only => return Err(UrlError::PlainHttp),
            "http" => {}
            LOCAL_SCHEME => return check_local(url),
            MAIL_SCHEME if url.as_str().len() <= URL_BYTES_MAX => {
                return Ok(mailto::check(url, self.recipients.as_ref())?);
            }
            MAIL_SCHEME => return Err(UrlError::TooLong),
            other => return Err(UrlError::Scheme(other.chars().take(32).collect())),
        }
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials);
        }
        let port = url
            .port_or_known_default()
            .filter(|&port| port != 0)
            .ok_or(UrlError::Port)?;
        // What is a URL for one library need not be one for the other.
        path_and_query(url)?;
        match url.host().ok_or(UrlError::Host)? {
            Host::Ipv4(ip) => Ok(self.check(SocketAddr::from((ip, port)))?),
            Host::Ipv6(ip) => Ok(self.check(SocketAddr::from((ip, port)))?),
            Host::Domain(name) => server_name(name).map(|_| ()),
        }
    }

    /// Checks an address that is about to be connected to.
    ///
    /// # Errors
    /// It is neither public nor allowed, or it is the relay's own.
    pub fn check(&self, address: SocketAddr) -> Result<(), Blocked> {
        let ip = address.ip().to_canonical();
        let is_allowed = is_public(ip) || self.allow_networks.iter().any(|network| network.contains(&ip));
        if is_allowed && !self.is_own(ip, address.port()) {
            Ok(())
        } else {
            Err(Blocked)
        }
    }

    /// Checks a connection that was made: one whose two ends are the same machine, at a port
    /// that the relay listens on, leads back into the relay whatever its address is called.
    ///
    /// # Errors
    /// It leads back into the relay.
    pub fn check_connection(&self, local: SocketAddr, peer: SocketAddr) -> Result<(), Blocked> {
        let is_loop = local.ip() == peer.ip()
            && self
                .own
                .iter()
                .any(|own| own.port() == peer.port() && own.ip().is_unspecified());
        if is_loop { Err(Blocked) } else { Ok(()) }
    }

    fn is_own(&self, ip: IpAddr, port: u16) -> bool {
        self.own.iter().any(|own| {
            let own_ip = own.ip().to_canonical();
            // A listener on all addresses is met on every local one.
            let is_met = own_ip == ip || own_ip.is_unspecified() && (ip.is_loopback() || ip.is_unspecified());
            own.port() == port && is_met
        })
    }
}

/// `inspector://` and a token, and nothing else.
fn check_local(url: &Url) -> Result<(), UrlError> {
    let token = url.host_str().unwrap_or_default();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_bare = url[Position::AfterHost..].trim_end_matches('/').is_empty() && url.username().is_empty();
    match is_token && is_bare && url.password().is_none() {
        true => Ok(()),
        false => Err(UrlError::Inspector),
    }
}

/// Path and query as they go on the wire.
pub(super) fn path_and_query(url: &Url) -> Result<http::uri::PathAndQuery, UrlError> {
    if url.scheme() == LOCAL_SCHEME {
        return Ok(http::uri::PathAndQuery::from_static("/"));
    }
    url[Position::BeforePath..Position::AfterQuery]
        .parse()
        .map_err(|_| UrlError::Path)
}

/// The name that a certificate has to be valid for.
pub(super) fn server_name(name: &str) -> Result<rustls::pki_types::ServerName<'static>, UrlError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    rustls::pki_types::ServerName::try_from(name.to_owned()).map_err(|_| UrlError::Host)
}

/// Whether an address belongs to the public internet. IPv4-mapped ones are judged as IPv4.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !IPV4_REFUSED
            .iter()
            .any(|&(network, bits)| ipv4_within(ip, network, bits)),
        IpAddr::V6(ip) => {
            ipv6_within(ip, IPV6_PUBLIC.0, IPV6_PUBLIC.1)
                && !IPV6_REFUSED
                    .iter()
                    .any(|&(network, bits)| ipv6_within(ip, network, bits))
        }
    }
}

/// `bits` is 1 to 32.
const fn ipv4_within(ip: Ipv4Addr, network: Ipv4Addr, bits: u32) -> bool {
    (ip.to_bits() ^ network.to_bits()) >> (32 - bits) == 0
}

/// `bits` is 1 to 128.
const fn ipv6_within(ip: Ipv6Addr, network: Ipv6Addr, bits: u32) -> bool {
    (ip.to_bits() ^ network.to_bits()) >> (128 - bits) == 0
}

#[cfg(test)]
mod tests;
