//! The way through an egress proxy: a tunnel for each connection, so that whatever leaves comes from
//! the proxy's address.
//!
//! Source: RFC 9110, section 9.3.6 (CONNECT). The proxy is told the address that the guard has
//! judged and never a name, so that nobody can have it look one up that leads into its own network.
//! TLS is spoken through the tunnel: the proxy sees where it goes, not what.

use std::io;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Host;

use super::resolve::Lookup;
use crate::deliver::outcome::Failure;
use crate::model::attempt::Cause;
use crate::model::secret::Secret;

/// Largest answer to CONNECT, interim ones included, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// Headers of such an answer.
const HEADERS_MAX: usize = 64;

/// A proxy, as the operator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    pub host: Host,
    pub port: u16,
    /// What stands in `Proxy-Authorization`.
    pub authorization: Option<Secret>,
}

impl Proxy {
    /// What stands in `Proxy-Authorization` for a user and a password (RFC 7617).
    pub fn basic(user: &str, password: &Secret) -> Secret {
        let both = format!("{user}:{}", password.reveal());
        Secret::new(format!("Basic {}", STANDARD.encode(both)))
    }
}

/// The way through a proxy that is in force.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) proxy: Proxy,
    pub(super) lookup: Lookup,
}

impl Way {
    pub(super) fn new(proxy: Proxy) -> Self {
        Self {
            proxy,
            lookup: Lookup::default(),
        }
    }

    /// Has the proxy at the other end of a connection open a tunnel to an address.
    pub(super) async fn open(&self, tcp: &mut TcpStream, to: SocketAddr) -> Result<(), Failure> {
        let authorization = self.proxy.authorization.as_ref();
        let authorization = authorization.map_or_else(String::new, |value| {
            format!("Proxy-Authorization: {}\r\n", value.reveal())
        });
        let asked = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{authorization}\r\n");
        tcp.write_all(asked.as_bytes())
            .await
            .map_err(|error| broken_off(&error))?;
        judge(answer(tcp).await?)
    }
}

/// The status of the final answer, of which nothing may stand behind the head: receivers do not
/// speak first.
async fn answer(tcp: &mut TcpStream) -> Result<u16, Failure> {
    let (mut read, mut total) = (Vec::new(), 0);
    loop {
        while let Some((status, length)) = parse(&read)? {
            read.drain(..length);
            if status >= 200 {
                return match status < 300 && !read.is_empty() {
                    true => Err(not_http()),
                    false => Ok(status),
                };
            }
        }
        let room = ANSWER_BYTES_MAX.saturating_sub(total).min(1 << 10);
        let mut part = [0; 1 << 10];
        match tcp.read(&mut part[..room]).await {
            Ok(0) if room == 0 => return Err(not_http()),
            Ok(0) => return Err(broken_off(&io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                total += count;
                read.extend_from_slice(&part[..count]);
            }
            Err(error) => return Err(broken_off(&error)),
        }
    }
}

/// The status of a head and how long it is; `None` if it has not ended yet.
fn parse(read: &[u8]) -> Result<Option<(u16, usize)>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    match head.parse(read) {
        Ok(httparse::Status::Complete(length)) => Ok(head.code.map(|status| (status, length))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(not_http()),
    }
}

/// What a proxy refuses is the operator's policy; what it does not reach is the network's doing.
fn judge(status: u16) -> Result<(), Failure> {
    match status {
        200..=299 => Ok(()),
        407 => Err(Failure::refused(
            "the egress proxy wants other credentials: it answered CONNECT with 407",
        )),
        400..=499 => Err(Failure::refused(format!(
            "the egress proxy refused the way: it answered CONNECT with {status}"
        ))),
        _ => Err(Failure::new(
            Cause::Connect,
            format!("the egress proxy did not get through: it answered CONNECT with {status}"),
        )),
    }
}

fn broken_off(error: &io::Error) -> Failure {
    Failure::new(
        Cause::Connect,
        format!("the connection to the egress proxy ended before its answer: {error}"),
    )
}

fn not_http() -> Failure {
    Failure::new(
        Cause::Protocol,
        "the egress proxy's answer to CONNECT is none, or too large",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::Outcome;

    fn class(status: u16) -> Option<&'static str> {
        let failure = judge(status).err()?;
        Outcome::from(failure).class()
    }

    #[test]
    fn a_refusal_is_policy_and_the_rest_is_the_network() {
        for (status, expected) in [
            (200, None),
            (204, None),
            (403, Some("blocked")),
            (407, Some("blocked")),
            (302, Some("connect")),
            (502, Some("connect")),
            (504, Some("connect")),
        ] {
            assert_eq!(class(status), expected, "{status}");
        }
    }

    #[test]
    fn heads_are_read_once_they_are_whole() {
        assert!(matches!(parse(b"HTTP/1.1 200"), Ok(None)));
        let head = b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\n\r\n";
        assert!(matches!(parse(head), Ok(Some((407, length))) if length == head.len()));
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_err());
    }
}
