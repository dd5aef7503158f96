//! The head of a request: which headers may be set, and how they come together.

use http::header::{HeaderName, HeaderValue, USER_AGENT};

use crate::model::event::Header;
use crate::model::hops;
use crate::model::message::Message;
use crate::model::secret::Secret;

/// Longest value of a header, in bytes.
pub const VALUE_BYTES_MAX: usize = 8 << 10;
/// What the relay calls itself.
pub const USER_AGENT_VALUE: HeaderValue =
    HeaderValue::from_static(concat!("relay/", env!("CARGO_PKG_VERSION")));

const RELAY_HOPS: HeaderName = HeaderName::from_static(hops::HEADER);
/// What is said of an event that no other relay has sent.
const ONE_HOP: HeaderValue = HeaderValue::from_static("1");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Headers that belong to the connection, in lower case: they come from the URL, the body
/// and the protocol.
const OF_THE_CONNECTION: [&str; 14] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];
/// What the names of signature headers begin with.
const OF_THE_SIGNATURE: &str = "webhook-";

/// What is wrong with a header that an operator or a plugin wants to send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("`{0}` is not a name for a header")]
    Name(String),
    #[error("`{0}` cannot be set: it belongs to the connection")]
    Connection(String),
    #[error("`{0}` cannot be set: `webhook-` headers carry the signature")]
    Signature(String),
    #[error("the value of `{0}` contains a character that cannot stand in a header")]
    Value(String),
    #[error("the value of `{0}` is longer than {VALUE_BYTES_MAX} bytes")]
    TooLong(String),
}

/// A header in the form in which it is sent.
pub type Parsed = (HeaderName, HeaderValue);

/// Reads a header that an operator or a plugin wants to send.
///
/// # Errors
/// It cannot stand in a request, or would change where the request goes, where it ends or
/// what its signature says.
pub fn check_header(name: &str, value: &str) -> Result<Parsed, HeaderError> {
    let shown = || name.chars().take(64).collect::<String>();
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name(shown()))?;
    if OF_THE_CONNECTION.contains(&parsed.as_str()) {
        return Err(HeaderError::Connection(shown()));
    }
    if parsed.as_str().starts_with(OF_THE_SIGNATURE) {
        return Err(HeaderError::Signature(shown()));
    }
    if value.len() > VALUE_BYTES_MAX {
        return Err(HeaderError::TooLong(shown()));
    }
    let value = HeaderValue::from_str(value).map_err(|_| HeaderError::Value(shown()))?;
    Ok((parsed, value))
}

/// An endpoint's own headers, ready to be sent. Their values are kept out of debug output
/// and out of HTTP/2's shared tables.
///
/// # Errors
/// As [`check_header`].
pub fn parse_own(headers: &[(String, Secret)]) -> Result<Vec<Parsed>, HeaderError> {
    let parse = |(name, value): &(String, Secret)| {
        let (name, mut value) = check_header(name, value.reveal())?;
        value.set_sensitive(true);
        Ok((name, value))
    };
    headers.iter().map(parse).collect()
}

/// The headers of one attempt: the message's, the endpoint's own in place of any of the same
/// name, and the three of the signature.
pub fn head(message: &Message, own: &[Parsed], timestamp: i64, signature: String) -> Vec<Parsed> {
    let mut head = Vec::with_capacity(message.headers.len() + own.len() + 5);
    let is_own = |name: &HeaderName| own.iter().any(|(own, _)| own == name);
    head.extend(
        message
            .headers
            .iter()
            .filter_map(parsed)
            .filter(|(name, _)| !is_own(name)),
    );
    head.extend_from_slice(own);
    for (name, usual) in [(USER_AGENT, USER_AGENT_VALUE), (RELAY_HOPS, ONE_HOP)] {
        if !head.iter().any(|(known, _)| known == name) {
            head.push((name, usual));
        }
    }
    let value = |text: String| HeaderValue::try_from(text).ok();
    head.extend(value(message.id.clone()).map(|id| (WEBHOOK_ID, id)));
    head.push((WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp)));
    head.extend(value(signature).map(|signature| (WEBHOOK_SIGNATURE, signature)));
    head
}

/// The headers of a mail: the message's, and its id. Who sends it is for its server to prove.
pub fn of_mail(message: &Message) -> Vec<Parsed> {
    let mut head: Vec<Parsed> = message.headers.iter().filter_map(parsed).collect();
    let id = HeaderValue::from_str(&message.id).ok();
    head.extend(id.map(|id| (WEBHOOK_ID, id)));
    head
}

/// A header of a message. Messages are checked when they are made; one from a store that was
/// written otherwise loses what cannot be sent.
fn parsed((name, value): &Header) -> Option<Parsed> {
    check_header(name, value).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn headers_of_the_connection_and_the_signature_cannot_be_set() {
        for name in [
            "Host",
            "host",
            "Content-Length",
            "Transfer-Encoding",
            "TE",
            "Connection",
            "Upgrade",
            "Expect",
        ] {
            assert_eq!(
                check_header(name, "x"),
                Err(HeaderError::Connection(name.to_owned()))
            );
        }
        for name in ["webhook-id", "Webhook-Signature", "webhook-anything"] {
            assert_eq!(
                check_header(name, "x"),
                Err(HeaderError::Signature(name.to_owned()))
            );
        }
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_refused() {
        for (name, value, error) in [
            ("", "x", HeaderError::Name(String::new())),
            ("a b", "x", HeaderError::Name("a b".to_owned())),
            (":path", "x", HeaderError::Name(":path".to_owned())),
            ("x-a", "a\r\nhost: b", HeaderError::Value("x-a".to_owned())),
            ("x-a", "a\0", HeaderError::Value("x-a".to_owned())),
            (
                "x-a",
                &"a".repeat(VALUE_BYTES_MAX + 1),
                HeaderError::TooLong("x-a".to_owned()),
            ),
        ] {
            assert_eq!(check_header(name, value), Err(error));
        }
        assert!(check_header("X-Api-Key", "ключ").is_ok());
        assert!(check_header("content-type", "").is_ok());
    }

    #[test]
    fn an_endpoints_own_headers_take_the_place_of_the_messages() {
        let message = Message {
            id: "msg_1".to_owned(),
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("x-kept".to_owned(), "1".to_owned()),
                ("host".to_owned(), "elsewhere".to_owned()),
            ],
            body: Bytes::new(),
        };
        let own = [("Content-Type", "text/plain"), ("authorization", "Bearer s3cret")]
            .map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned())));
        let own = parse_own(&own).unwrap();
        assert!(!format!("{own:?}").contains("s3cret"));
        let head = head(&message, &own, 1_700_000_000, "v1,abc v1a,def".to_owned());
        let shown: Vec<_> = head
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        assert_eq!(
            shown,
            [
                "x-kept: 1",
                "content-type: text/plain",
                "authorization: Bearer s3cret",
                concat!("user-agent: relay/", env!("CARGO_PKG_VERSION")),
                "relay-hops: 1",
                "webhook-id: msg_1",
                "webhook-timestamp: 1700000000",
                "webhook-signature: v1,abc v1a,def",
            ]
        );
    }
}
