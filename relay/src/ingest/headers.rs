//! Which headers of a post are kept: not those that could open a door elsewhere.
//!
//! Headers are stored, shown to plugins and passed on, so whatever looks like a credential is
//! left out before that, known or not: a sender once put its webhook secret into a header.

use http::{HeaderMap, HeaderName};

use crate::model::event::Header;
use crate::model::secret::Secret;
use crate::model::source::{HmacScheme, Place, Verify};

/// Most headers that are kept of one post; the rest is left out.
pub const HEADERS_MAX: usize = 64;
/// Most bytes of names and values that are kept of one post.
pub const HEADERS_BYTES_MAX: usize = 16 * 1024;
/// A secret shorter than this is not looked for in other headers: it would be found by chance.
const SECRET_LEN_MIN: usize = 8;

/// Said of the connection, not of the event.
const CONNECTION: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// What credentials are called, as part of a header's name.
const CREDENTIAL_WORDS: [&str; 13] = [
    "apikey",
    "api-key",
    "authorization",
    "auth-key",
    "cookie",
    "credential",
    "hmac",
    "jwt",
    "passw",
    "secret",
    "session",
    "signature",
    "token",
];

/// The headers to keep, in order: names in lower case, values that are not UTF-8 read as
/// Latin-1; credentials, and all that `verify` reads, left out.
pub fn kept(headers: &HeaderMap, verify: &Verify) -> Vec<Header> {
    bounded(headers, |name, value| !is_left_out(name, value, verify))
}

/// Every header, credentials included: for a plugin that checks them. The same bounds hold.
pub fn all(headers: &HeaderMap) -> Vec<Header> {
    bounded(headers, |_, _| true)
}

/// The bytes as UTF-8, else as Latin-1.
pub fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

fn bounded(headers: &HeaderMap, is_wanted: impl Fn(&HeaderName, &[u8]) -> bool) -> Vec<Header> {
    let mut kept = Vec::with_capacity(headers.len().min(HEADERS_MAX));
    let mut room = HEADERS_BYTES_MAX;
    for (name, value) in headers {
        if kept.len() == HEADERS_MAX {
            break;
        }
        let size = name.as_str().len() + value.len();
        if size > room || !is_wanted(name, value.as_bytes()) {
            continue;
        }
        room -= size;
        kept.push((name.as_str().to_owned(), text(value.as_bytes())));
    }
    kept
}

fn is_left_out(name: &HeaderName, value: &[u8], verify: &Verify) -> bool {
    let name = name.as_str();
    CONNECTION.contains(&name)
        || CREDENTIAL_WORDS.iter().any(|word| name.contains(word))
        || is_read_by(name, verify)
        || secrets(verify).iter().any(|secret| contains(value, secret))
}

/// Whether the scheme finds its proof in this header; those of the other schemes are known
/// by their names.
fn is_read_by(name: &str, verify: &Verify) -> bool {
    match verify {
        Verify::Hmac(HmacScheme { header, .. })
        | Verify::Token {
            at: Place::Header(header),
            ..
        } => name == header,
        Verify::Token { .. } | Verify::Basic { .. } | Verify::StandardWebhooks { .. } | Verify::None => false,
    }
}

fn secrets(verify: &Verify) -> &[Secret] {
    match verify {
        Verify::None => &[],
        Verify::Hmac(scheme) => &scheme.secrets,
        Verify::StandardWebhooks { secrets, .. } | Verify::Token { secrets, .. } => secrets,
        Verify::Basic { passwords, .. } => passwords,
    }
}

fn contains(value: &[u8], secret: &Secret) -> bool {
    let secret = secret.reveal().as_bytes();
    secret.len() >= SECRET_LEN_MIN && memchr::memmem::find(value, secret).is_some()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn names(headers: &HeaderMap, verify: &Verify) -> Vec<String> {
        kept(headers, verify).into_iter().map(|(name, _)| name).collect()
    }

    fn map(pairs: &[(&'static str, &'static [u8])]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static [u8])| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value).expect("a header value"),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn credentials_known_and_unknown_are_left_out() {
        let headers = map(&[
            ("authorization", b"Bearer x"),
            ("proxy-authorization", b"Basic x"),
            ("cookie", b"a=b"),
            ("x-api-key", b"k"),
            ("x-hub-signature-256", b"sha256=00"),
            ("x-gitlab-token", b"t"),
            ("x-shopify-hmac-sha256", b"m"),
            ("x-some-secret", b"s"),
            ("host", b"relay.example.com"),
            ("content-length", b"3"),
            ("x-github-event", b"push"),
            ("content-type", b"application/json"),
        ]);
        assert_eq!(names(&headers, &Verify::None), ["x-github-event", "content-type"]);
    }

    #[test]
    fn a_header_that_holds_the_secret_is_left_out_whatever_its_name() {
        let secrets = vec![Secret::new("s3cr3t-of-the-hook".to_owned())];
        let headers = map(&[
            ("x-debug", b"key=s3cr3t-of-the-hook;"),
            ("x-other", b"s3cr3t"),
            ("x-door", b"in"),
        ]);
        assert_eq!(
            names(&headers, &Verify::github(secrets.clone())),
            ["x-other", "x-door"]
        );
        let token = Verify::Token {
            at: Place::Header("x-door".to_owned()),
            secrets,
        };
        assert_eq!(names(&headers, &token), ["x-other"]);
    }

    #[test]
    fn values_that_are_not_utf8_are_read_as_latin1() {
        let headers = map(&[("x-name", b"caf\xe9"), ("x-utf8", "café".as_bytes())]);
        let values: Vec<_> = kept(&headers, &Verify::None)
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(values, ["café", "café"]);
    }

    #[test]
    fn number_and_size_are_bounded() {
        let mut many = HeaderMap::new();
        for _ in 0..HEADERS_MAX * 2 {
            many.append("x-a", HeaderValue::from_static("1"));
        }
        assert_eq!(kept(&many, &Verify::None).len(), HEADERS_MAX);
        let mut large = HeaderMap::new();
        large.append(
            "x-a",
            HeaderValue::from_bytes(&vec![b'a'; HEADERS_BYTES_MAX]).expect("a header value"),
        );
        large.append("x-b", HeaderValue::from_static("1"));
        assert_eq!(names(&large, &Verify::None), ["x-b"]);
    }
}
