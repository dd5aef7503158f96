//! Which headers of a post are kept: not those that could open a door elsewhere.
//!
//! Headers are stored, shown to plugins and passed on, so whatever looks like a credential is
//! left out before that, known or not: a sender once put its webhook secret into a header.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName};

use crate::crypto;
use crate::model::event::Header;
use crate::model::secret::Secret;
use crate::model::verify::{Encoding, Handshake, Jwt, Place, Scheme, Signature, Verify};

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

/// What a secret of Standard Webhooks begins with.
const SECRET_BEGINNINGS: [&str; 2] = ["whsec_", "whsk_"];

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

/// Whether the headers call the body a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    media_type
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
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
        || looks_like_a_credential(name, value)
        || is_read_by(name, &verify.scheme)
        || secrets(verify).any(|secret| contains(value, secret))
}

/// Whether a header may hold a credential: by its name, or by its value whatever its name.
pub fn looks_like_a_credential(name: &str, value: &[u8]) -> bool {
    CREDENTIAL_WORDS.iter().any(|word| name.contains(word))
        || std::str::from_utf8(value).is_ok_and(is_credential)
}

/// Whether a value is a credential whatever its header is called: a secret, a bearer token, or
/// user and password. Words that only begin alike, such as a "basic plan", are none.
fn is_credential(value: &str) -> bool {
    let of_scheme = value.split_once(' ').is_some_and(|(scheme, rest)| {
        let is = |word: &str| scheme.eq_ignore_ascii_case(word);
        is("bearer") && !rest.contains(' ')
            || is("basic") && crypto::decode(Encoding::Base64, rest).is_some_and(|pair| pair.contains(&b':'))
    });
    of_scheme
        || SECRET_BEGINNINGS
            .iter()
            .any(|beginning| value.starts_with(beginning))
}

/// Whether the scheme finds its proof in this header; those of the other schemes are known
/// by their names.
fn is_read_by(name: &str, scheme: &Scheme) -> bool {
    let places = match scheme {
        Scheme::Signature(Signature { at, .. }) | Scheme::Jwt(Jwt { at, .. }) => std::slice::from_ref(at),
        Scheme::Token { at, .. } => at.as_slice(),
        Scheme::Basic { .. } | Scheme::StandardWebhooks { .. } | Scheme::None => &[],
    };
    places
        .iter()
        .any(|place| matches!(place, Place::Header(header) if header == name))
}

fn secrets(verify: &Verify) -> impl Iterator<Item = &Secret> {
    let of_scheme: &[Secret] = match &verify.scheme {
        Scheme::None => &[],
        Scheme::Signature(Signature { keys, .. }) | Scheme::Jwt(Jwt { keys, .. }) => keys,
        Scheme::StandardWebhooks { secrets, .. } | Scheme::Token { secrets, .. } => secrets,
        Scheme::Basic { passwords, .. } => passwords,
    };
    let of_handshake = match &verify.handshake {
        Handshake::Meta { verify_token } => Some(verify_token),
        _ => None,
    };
    of_scheme.iter().chain(of_handshake)
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
            ("x-upstream", b"Bearer x"),
            ("x-caller", b"basic dTpw"),
            ("x-hook", b"whsec_abc"),
            ("x-plan", b"Basic plan"),
            ("host", b"relay.example.com"),
            ("content-length", b"3"),
            ("x-github-event", b"push"),
            ("content-type", b"application/json"),
        ]);
        assert_eq!(
            names(&headers, &Verify::from(Scheme::None)),
            ["x-plan", "x-github-event", "content-type"]
        );
    }

    #[test]
    fn a_header_that_holds_the_secret_is_left_out_whatever_its_name() {
        let secrets = vec![Secret::new("s3cr3t-of-the-hook".to_owned())];
        let headers = map(&[
            ("x-debug", b"key=s3cr3t-of-the-hook;"),
            ("x-other", b"s3cr3t"),
            ("x-door", b"in"),
        ]);
        let signature = Verify::from(Scheme::Signature(Signature::of_body("x-sum", secrets.clone())));
        assert_eq!(names(&headers, &signature), ["x-other", "x-door"]);
        let handshake = Verify {
            scheme: Scheme::None,
            handshake: Handshake::Meta {
                verify_token: secrets[0].clone(),
            },
        };
        assert_eq!(names(&headers, &handshake), ["x-other", "x-door"]);
        let token = Verify::from(Scheme::Token {
            at: vec![Place::Header("x-door".to_owned())],
            secrets,
        });
        assert_eq!(names(&headers, &token), ["x-other"]);
    }

    #[test]
    fn values_that_are_not_utf8_are_read_as_latin1() {
        let headers = map(&[("x-name", b"caf\xe9"), ("x-utf8", "café".as_bytes())]);
        let values: Vec<_> = kept(&headers, &Verify::from(Scheme::None))
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
        assert_eq!(kept(&many, &Verify::from(Scheme::None)).len(), HEADERS_MAX);
        let mut large = HeaderMap::new();
        large.append(
            "x-a",
            HeaderValue::from_bytes(&vec![b'a'; HEADERS_BYTES_MAX]).expect("a header value"),
        );
        large.append("x-b", HeaderValue::from_static("1"));
        assert_eq!(names(&large, &Verify::from(Scheme::None)), ["x-b"]);
    }
}
