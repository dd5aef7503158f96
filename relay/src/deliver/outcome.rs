//! Turns what went wrong on the wire, and what came back, into an [`Outcome`].

use std::error::Error as StdError;
use std::io;

use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::model::attempt::{Cause, EXCERPT_BYTES_MAX, Outcome};
use crate::model::time::Timestamp;

/// Longest detail of a failure, in bytes.
const DETAIL_BYTES_MAX: usize = 256;

/// Why a request got no complete answer.
#[derive(Debug)]
pub struct Failure {
    /// `None`: the relay's own policy did not let it out.
    cause: Option<Cause>,
    detail: String,
}

impl Failure {
    /// A failure on the wire. `detail` is for people and holds no secret.
    pub fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            cause: Some(cause),
            detail: bounded(detail.into()),
        }
    }

    /// The relay's own policy did not let the request out.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self {
            cause: None,
            detail: bounded(reason.into()),
        }
    }

    /// The same, with a word in front about who it is that failed.
    #[must_use]
    pub fn before(self, whom: &str) -> Self {
        Self {
            detail: bounded(format!("{whom}: {}", self.detail)),
            ..self
        }
    }

    /// The connection could not be made.
    pub fn of_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::new(Cause::Timeout, "no connection in time"),
            _ => Self::new(Cause::Connect, error.to_string()),
        }
    }

    /// The TLS handshake did not succeed.
    pub fn of_tls(error: &io::Error) -> Self {
        match tls_error(error) {
            Some(error) => Self::new(Cause::Tls, error.to_string()),
            None => Self::new(Cause::Tls, format!("the handshake was cut off: {error}")),
        }
    }

    /// The exchange of request and answer did not succeed.
    pub fn of_exchange(error: &hyper::Error) -> Self {
        if error.is_parse_too_large() {
            return Self::new(Cause::TooLarge, "the head of the answer is larger than allowed");
        }
        if error.is_parse() {
            return Self::new(Cause::Protocol, format!("the answer is not HTTP: {error}"));
        }
        if error.is_timeout() {
            return Self::new(Cause::Timeout, "the receiver stopped answering");
        }
        match io_error(error) {
            Some(error) => Self::of_read(error),
            None => Self::new(Cause::Reset, "the connection ended before the answer did"),
        }
    }

    fn of_read(error: &io::Error) -> Self {
        if let Some(error) = tls_error(error) {
            return Self::new(Cause::Tls, error.to_string());
        }
        match error.kind() {
            io::ErrorKind::TimedOut => Self::new(Cause::Timeout, "the connection timed out"),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::new(Cause::Protocol, format!("the answer is not HTTP: {error}"))
            }
            _ => Self::new(
                Cause::Reset,
                format!("the connection ended before the answer did: {error}"),
            ),
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure.cause {
            Some(cause) => Self::Unreachable {
                cause,
                detail: failure.detail,
            },
            None => Self::Refused {
                reason: failure.detail,
            },
        }
    }
}

/// The outcome of a complete answer. `body` is its beginning; `now` is when it came.
pub fn responded(status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Outcome {
    Outcome::Responded {
        status,
        excerpt: excerpt(body),
        retry_after_ms: retry_after_ms(headers, now),
        declined: false,
        by_mail: false,
    }
}

/// The outcome of a call whose time was over before `what`.
pub fn late(what: &str) -> Outcome {
    Failure::new(
        Cause::Timeout,
        format!("the time of the call was over before {what}"),
    )
    .into()
}

/// The beginning of a body as text, at most [`EXCERPT_BYTES_MAX`] bytes. Control characters
/// are kept: whoever shows it makes them visible.
fn excerpt(body: &[u8]) -> String {
    let is_cut = body.len() > EXCERPT_BYTES_MAX;
    let body = &body[..body.len().min(EXCERPT_BYTES_MAX)];
    let mut text = String::new();
    let mut chunks = body.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        // The cut may have fallen into a character: that one is left out, not marked.
        let is_cut_here = is_cut && chunks.peek().is_none();
        if !chunk.invalid().is_empty() && !is_cut_here {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text.truncate(text.floor_char_boundary(EXCERPT_BYTES_MAX));
    text
}

/// What `Retry-After` asks for: whole seconds or an HTTP date; anything else asks nothing.
fn retry_after_ms(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1000));
    }
    let date = http_date(text)?;
    u64::try_from(date.since(now).as_millis()).ok()
}

/// An `IMF-fixdate` such as `Sun, 06 Nov 1994 08:49:37 GMT`; no obsolete forms.
fn http_date(text: &str) -> Option<Timestamp> {
    const LEN: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();
    if text.len() != LEN || !text.ends_with(" GMT") {
        return None;
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    Some(Timestamp::from_millis(date.as_millisecond()))
}

/// The I/O error that a hyper error was caused by.
fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}

/// The TLS error that an I/O error wraps.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn bounded(mut detail: String) -> String {
    detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
    detail
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);

    fn asked(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        retry_after_ms(&headers, NOW)
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        for (value, ms) in [
            ("0", Some(0)),
            ("120", Some(120_000)),
            (" 7 ", Some(7_000)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60_000)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 +0000", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Sun, 36 Nov 1994 08:49:37 GMT", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(asked(value), ms, "{value:?}");
        }
        assert_eq!(retry_after_ms(&HeaderMap::new(), NOW), None);
    }

    #[test]
    fn excerpts_are_text_and_bounded() {
        let cases: [(&[u8], &str); 4] = [
            (b"", ""),
            (b"ok\n\x1b[31m", "ok\n\x1b[31m"),
            (b"a\xffb", "a\u{fffd}b"),
            (b"a\xe2\x82", "a\u{fffd}"),
        ];
        for (body, text) in cases {
            assert_eq!(excerpt(body), text);
        }
        assert_eq!(excerpt(&[b'x'; 5000]).len(), EXCERPT_BYTES_MAX);
        assert!(excerpt(&[0xff; 5000]).len() <= EXCERPT_BYTES_MAX);
        let euros = "€".repeat(1000);
        assert_eq!(excerpt(euros.as_bytes()), "€".repeat(EXCERPT_BYTES_MAX / 3));
    }

    #[test]
    fn details_are_bounded() {
        let Outcome::Unreachable { detail, .. } = Failure::new(Cause::Dns, "ü".repeat(1000)).into() else {
            panic!("a failure on the wire is unreachable")
        };
        assert!(detail.len() <= DETAIL_BYTES_MAX);
    }
}
