//! A request as it came to a receiver.

use std::time::Duration;

use bytes::Bytes;
use relay::crypto::standard_webhooks::{VerifyError, VerifyingKey, verify};
use relay::model::secret::Secret;
use relay::model::time::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::Arrival;
use crate::sign::now_secs;

/// How far a signature's time may be from now.
const TOLERANCE: Duration = Duration::from_secs(300);
/// Bytes read at once.
const PIECE: usize = 16 << 10;

/// A request, read to its end.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// When its last byte was there.
    pub at: Arrival,
}

impl Request {
    /// A header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    /// Whether there is such a header.
    pub fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known == name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {}", self.text()))
    }

    /// The message's id on the wire.
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// Checks the signature with a `whsec_…` secret or a `whpk_…` key, as a receiver does.
    ///
    /// # Errors
    /// Why it is not taken as genuine.
    ///
    /// # Panics
    /// If the key is none.
    pub fn verify(&self, key: &str) -> Result<(), VerifyError> {
        let key = VerifyingKey::parse(&Secret::new(key.to_owned())).expect("a key to verify with");
        let now = Timestamp::from_millis(now_secs(0) * 1000);
        let (timestamp, signatures) = (self.header("webhook-timestamp"), self.header("webhook-signature"));
        verify(
            &[key],
            self.id(),
            timestamp,
            signatures,
            &self.body,
            now,
            TOLERANCE,
        )
    }
}

/// Reads the next request of a connection; `None` when it ends.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at;
        }
        // What does not begin like a method, such as the handshake of TLS, is no request.
        if buffer.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
            return None;
        }
        fill(stream, buffer).await?;
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok());
    let end = head_end + 4 + length.unwrap_or(0);
    while buffer.len() < end {
        fill(stream, buffer).await?;
    }
    let body = Bytes::copy_from_slice(&buffer[head_end + 4..end]);
    buffer.drain(..end);
    Some(Request {
        method,
        path,
        headers,
        body,
        at: Arrival::now(),
    })
}

async fn fill(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<()> {
    buffer.reserve(PIECE);
    match stream.read_buf(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}
