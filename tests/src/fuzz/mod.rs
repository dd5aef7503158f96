//! What strangers write, held against the relay's readers: bytes nobody thought of go in, and a
//! rule has to hold of whatever comes out.
//!
//! Each target is a file: its seeds, the words that its language is made of, and its rule, which
//! says more than that nothing panics. `tests/fuzz.rs` runs them all for a short time on
//! [mutated](mutate) seeds; `make fuzz` runs them for long under libFuzzer, which knows what code
//! an input has reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue};
use relay::config::reader::Surroundings;
use relay::model::time::Timestamp;

pub mod mutate;

mod addresses;
mod answers;
mod config;
mod edits;
mod events;
mod filters;
mod heads;
mod manifests;
mod pointers;
mod posts;
mod rows;
mod signatures;
mod steps;

/// One reader of the relay and the rule that holds of it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What means something in an input.
    pub words: &'static [&'static str],
    /// Panics if the rule does not hold of an input.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 13] = [
    addresses::TARGET,
    answers::TARGET,
    config::TARGET,
    edits::TARGET,
    events::TARGET,
    filters::TARGET,
    heads::TARGET,
    manifests::TARGET,
    pointers::TARGET,
    posts::TARGET,
    rows::TARGET,
    signatures::TARGET,
    steps::TARGET,
];

/// The time at which every input arrives: that of the seeds' signatures.
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Seeds that are text.
fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Splits at the first separator; without one, everything is before it.
fn split<'i>(input: &'i [u8], separator: &[u8]) -> (&'i [u8], &'i [u8]) {
    match memchr::memmem::find(input, separator) {
        Some(at) => (&input[..at], &input[at + separator.len()..]),
        None => (input, &[]),
    }
}

/// A post as an input writes it: the door's name, path and query, headers, an empty line, the body.
struct Post<'i> {
    door: &'i str,
    path: &'i str,
    query: &'i str,
    headers: HeaderMap,
    body: bytes::Bytes,
}

impl<'i> Post<'i> {
    fn read(input: &'i [u8]) -> Option<Self> {
        let (head, body) = split(input, b"\n\n");
        let (door, head) = split(head, b"\n");
        let (target, head) = split(head, b"\n");
        let target = std::str::from_utf8(target).ok()?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Some(Self {
            door: std::str::from_utf8(door).ok()?,
            path,
            query,
            headers: headers(head),
            body: bytes::Bytes::copy_from_slice(body),
        })
    }

    fn request(&self) -> relay::ingest::Request<'_> {
        relay::ingest::Request {
            method: &http::Method::POST,
            path: self.path,
            query: self.query,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

/// Headers in lines of their own; what can be none is left out.
fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let (name, value) = split(line, b": ");
        let parsed = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value));
        if let (Ok(name), Ok(value)) = parsed {
            headers.append(name, value);
        }
    }
    headers
}

/// Whether an address is one that nobody outside has: by the standard library's words for them,
/// written apart from the relay's own lists.
fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_inside_v4(v4),
        IpAddr::V6(v6) => is_inside_v6(v6),
    }
}

fn is_inside_v4(v4: Ipv4Addr) -> bool {
    v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_unspecified()
        || v4.is_multicast()
        || v4.is_broadcast()
        || v4.is_documentation()
}

const fn is_inside_v6(v6: Ipv6Addr) -> bool {
    v6.is_loopback()
        || v6.is_unspecified()
        || v6.is_unique_local()
        || v6.is_unicast_link_local()
        || v6.is_multicast()
}

/// No environment and no files.
struct Nowhere;

impl Surroundings for Nowhere {
    fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("there are no files here".to_owned())
    }
}
