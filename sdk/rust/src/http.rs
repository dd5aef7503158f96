//! Requests to hosts that the owner granted.
//!
//! Name the power in `plugin.toml` (`powers = ["http"]`); whoever uses the plugin grants the hosts
//! (`grants = { http = ["api.example.com"] }`). The time until an answer is there is not the
//! plugin's own.
//!
//! ```
//! use relay_sdk::http;
//! use relay_sdk::prelude::*;
//! use relay_sdk::testing::{Host, Reply, event};
//!
//! fn name_of(id: u64) -> Result<String, Fault> {
//!     let answer = http::get(format!("https://api.example.com/users/{id}"))
//!         .bearer_secret("api-key")
//!         .send()?
//!         .success()?;
//!     answer.body.require("/name")
//! }
//!
//! let host = Host::new()
//!     .secret("api-key", "k")
//!     .http("GET https://api.example.com/users/7", Reply::json(json!({ "name": "Zoë" })));
//! let name = host.run(event("user.seen"), |_| name_of(7));
//! assert_eq!(name, Ok("Zoë".to_owned()));
//! ```

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::Data;
use crate::{Fault, Payload, host};

/// Why there is no answer.
///
/// No `std::error::Error`, so that `?` knows which [`Fault`] it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpError {
    /// Not granted, or the name leads to an address that nobody may reach.
    Denied(String),
    /// It took too long.
    Timeout,
    /// The answer is longer than this many bytes.
    TooLarge(u32),
    /// The request itself is none: a method, URL or header that cannot be.
    Invalid(String),
    /// No answer: name, connection, TLS, or half an answer.
    Failed(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(why) => write!(formatter, "the request was not sent: {why}"),
            Self::Timeout => write!(formatter, "the answer took too long"),
            Self::TooLarge(bytes) => write!(formatter, "the answer has more than {bytes} bytes"),
            Self::Invalid(why) => write!(formatter, "the request cannot be sent: {why}"),
            Self::Failed(why) => write!(formatter, "there was no answer: {why}"),
        }
    }
}

/// A request that is being put together.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `send`"]
pub struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    /// A document that could not be written is a fault, told when the request is sent.
    pub(crate) body: Result<Option<Data>, String>,
    pub(crate) bearer_secret: Option<String>,
    pub(crate) timeout_ms: Option<u32>,
    pub(crate) max_bytes: Option<u32>,
}

/// Begins a `GET`.
pub fn get(url: impl Into<String>) -> Request {
    request("GET", url)
}

/// Begins a `POST`.
pub fn post(url: impl Into<String>) -> Request {
    request("POST", url)
}

/// Begins a `PUT`.
pub fn put(url: impl Into<String>) -> Request {
    request("PUT", url)
}

/// Begins a `PATCH`.
pub fn patch(url: impl Into<String>) -> Request {
    request("PATCH", url)
}

/// Begins a `DELETE`.
pub fn delete(url: impl Into<String>) -> Request {
    request("DELETE", url)
}

/// Begins a request of any method, which is written in capitals.
pub fn request(method: impl Into<String>, url: impl Into<String>) -> Request {
    Request {
        method: method.into(),
        url: url.into(),
        headers: Vec::new(),
        body: Ok(None),
        bearer_secret: None,
        timeout_ms: None,
        max_bytes: None,
    }
}

impl Request {
    /// Adds a header.
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.headers
            .push((name.as_ref().to_ascii_lowercase(), value.into()));
        self
    }

    /// Has the host send a granted secret as `authorization: Bearer …`; it does not enter the
    /// plugin.
    pub fn bearer_secret(mut self, name: impl Into<String>) -> Self {
        self.bearer_secret = Some(name.into());
        self
    }

    /// How long the answer may take, in place of the longest that the owner allows.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(timeout.as_millis().try_into().unwrap_or(u32::MAX));
        self
    }

    /// The longest body of the answer that is of use.
    pub fn max_bytes(mut self, bytes: u32) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Sends a JSON document.
    pub fn json(mut self, document: impl Serialize) -> Self {
        let text = serde_json::to_string(&document);
        self.body = text
            .map(|text| Some(Data::Text(text)))
            .map_err(|error| error.to_string());
        self.header("content-type", "application/json")
    }

    /// Sends a text; say its `content-type` too.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.body(Data::Text(text.into()))
    }

    /// Sends bytes; say their `content-type` too.
    pub fn bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body(Data::Bytes(bytes.into()))
    }

    /// Sends a payload that the relay holds, without a copy.
    pub fn payload(self, payload: Payload) -> Self {
        self.body(Data::Held(payload))
    }

    fn body(mut self, data: Data) -> Self {
        self.body = Ok(Some(data));
        self
    }

    /// Sends it, and waits for the answer. Redirects are answers like any other.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn send(self) -> Result<Response, HttpError> {
        host::http_send(self)
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The relay holds it until the hook has answered; `Message::held` passes it on without a copy.
    pub body: Payload,
}

impl Response {
    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// Whether the status is a 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The answer, if its status is a 2xx.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] for 408, 429 and 5xx, with what `retry-after` says in seconds;
    /// [`Fault::Misconfigured`] for 401 and 403; [`Fault::Invalid`] for the rest.
    pub fn success(self) -> Result<Self, Fault> {
        if self.is_success() {
            return Ok(self);
        }
        let message = format!("the answer is {}", self.status);
        Err(match self.status {
            401 | 403 => Fault::misconfigured(message),
            408 | 429 | 500.. => Fault::Unavailable {
                message,
                after: self.header("retry-after").and_then(seconds),
            },
            _ => Fault::invalid(message),
        })
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`Fault::Invalid`] if it is not JSON of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body.bytes())
            .map_err(|error| Fault::invalid(format!("the body of the answer: {error}")))
    }

    /// The body as text; `None` if it is not UTF-8.
    pub fn text(&self) -> Option<String> {
        self.body.text()
    }
}

fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Host, Reply, event};

    const URL: &str = "https://api.example.com/a";

    fn answer(reply: Reply) -> Result<Response, HttpError> {
        let host = Host::new().http(format!("GET {URL}"), reply);
        host.run(event("a"), |_| get(URL).send())
    }

    #[test]
    fn an_answer_tells_which_fault_it_is() {
        let fault = |status| answer(Reply::status(status)).unwrap().success().map(|_| ());
        assert_eq!(fault(204), Ok(()));
        assert!(matches!(fault(302), Err(Fault::Invalid(_))));
        assert!(matches!(fault(401), Err(Fault::Misconfigured(_))));
        assert!(matches!(fault(503), Err(Fault::Unavailable { after: None, .. })));
        let slow = Reply::status(429).header("Retry-After", "7");
        let later = answer(slow).unwrap().success().unwrap_err();
        assert_eq!(
            later,
            Fault::unavailable_for("the answer is 429", Duration::from_secs(7))
        );
        let denied: Fault = answer(Reply::error(HttpError::Denied("no".into())))
            .unwrap_err()
            .into();
        assert_eq!(denied, Fault::misconfigured("the request was not sent: no"));
        let late: Fault = answer(Reply::error(HttpError::Timeout)).unwrap_err().into();
        assert!(matches!(late, Fault::Unavailable { .. }));
    }

    #[test]
    fn a_request_carries_what_was_put_into_it_and_is_kept_for_the_test() {
        let host = Host::new()
            .secret("key", "s3cret")
            .http("POST https://api.example.com/a", Reply::json(json!({ "n": 1 })));
        let sample = event("a").data(json!({ "own": true }));
        let body: Value = host
            .run(sample, |event| {
                let first = post(URL).payload(event.data()).bearer_secret("key").send()?;
                first.json::<Value>()
            })
            .unwrap();
        assert_eq!(body, json!({ "n": 1 }));
        let sent = host.requests();
        assert_eq!(sent.len(), 1);
        assert_eq!(
            (sent[0].request.as_str(), sent[0].json()),
            ("POST https://api.example.com/a", json!({ "own": true }))
        );
        assert_eq!(sent[0].header("authorization"), Some("Bearer s3cret"));
        let unexpected = host.run(event("a"), |_| get(URL).send());
        assert!(matches!(unexpected, Err(HttpError::Failed(_))), "{unexpected:?}");
        let unknown = host.run(event("a"), |_| get(URL).bearer_secret("other").send());
        assert!(matches!(unknown, Err(HttpError::Denied(_))), "{unknown:?}");
        let bare = Host::new().without("http");
        let denied = bare.run(event("a"), |_| get(URL).send());
        assert!(matches!(denied, Err(HttpError::Denied(_))), "{denied:?}");
    }
}
