//! What whoever waits for a receiver's answer is answered: the answer itself, or what an endpoint
//! says is to become of it.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::event::Header;

/// The shortest and the longest that a caller may wait for an answer.
pub const CALL_TIMEOUT_MIN: Duration = Duration::from_millis(50);
pub const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// Largest body of an answer that somebody waits for, in bytes.
pub const ANSWER_BYTES_MAX: usize = 256 << 10;

/// An answer, of a receiver or to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<Header>,
    pub body: Bytes,
}

impl Answer {
    /// Whether it says that all is well.
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

/// What becomes of a receiver's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// `None`: the receiver's own.
    pub status: Option<u16>,
    pub headers: Vec<(String, Template)>,
    /// `None`: the receiver's own, with its content type.
    pub body: Option<Template>,
    /// What is answered when there is no answer to map.
    pub fallback: Option<Fallback>,
    pub cache: Option<Caching>,
}

/// An answer that needs no receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallback {
    pub status: u16,
    pub body: Option<Template>,
}

/// How long an answer is good for the same question, and what makes two questions the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caching {
    pub ttl: Duration,
    /// JSON Pointers into the event's data; empty: all of it.
    pub key: Vec<String>,
}

/// A JSON value with holes, each to be filled with what stands at a pointer.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    Literal(Value),
    /// What stands at a JSON Pointer into `{"reply": …, "event": …}`.
    From {
        pointer: String,
        default: Option<Value>,
    },
    Object(Vec<(String, Self)>),
    List(Vec<Self>),
}
