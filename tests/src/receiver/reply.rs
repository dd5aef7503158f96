//! What a receiver can do with a request.

use std::time::Duration;

/// What a receiver does with a request it has read.
#[derive(Debug, Clone)]
pub enum Reply {
    /// This status, without a body.
    Status(u16),
    /// This status, these headers, this body.
    Full {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// 200, but only after [`super::Receiver::release`].
    Held,
    /// The same with a body.
    HeldWith(String),
    /// 200, after a while.
    After(Duration),
    /// Nothing, with the connection left open.
    Never,
    /// 200 and a body that never ends.
    EndlessBody,
    /// 200 and a body that comes a byte at a time and never gets to its end.
    Drip,
    /// Interim answers without end.
    Interim,
    /// A head that never ends.
    EndlessHead,
    /// Bytes that are no HTTP.
    Garbage,
    /// The end of the connection, before an answer.
    Close,
    /// A reset of the connection, before an answer.
    Reset,
    /// A reset within the body of an answer.
    ResetInBody,
}

impl Reply {
    /// A status with one header.
    pub fn with_header(status: u16, name: &str, value: &str) -> Self {
        Self::Full {
            status,
            headers: vec![(name.to_owned(), value.to_owned())],
            body: String::new(),
        }
    }

    /// A status with a body.
    pub fn with_body(status: u16, body: &str) -> Self {
        Self::Full {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }
}
