//! A small HTTP client: one request, one connection, the whole answer.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wait::within;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
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
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "{} with a body that is no JSON: {error}: {}",
                self.status,
                self.text()
            )
        })
    }

    /// The body as a problem document, once it is one in every part.
    ///
    /// # Panics
    /// If it is none, or contradicts the answer's status.
    pub fn problem(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert!(
            problem["title"].as_str().is_some_and(|title| !title.is_empty()),
            "{problem}"
        );
        assert!(
            problem["code"].as_str().is_some_and(|code| !code.is_empty()),
            "{problem}"
        );
        problem
    }
}

/// Sends one request over a connection of its own.
///
/// # Errors
/// If there is no connection or no complete answer.
pub async fn call(address: SocketAddr, request: Request<Full<Bytes>>) -> std::io::Result<Answer> {
    let stream = TcpStream::connect(address).await?;
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(std::io::Error::other)?;
    let connection = tokio::spawn(connection);
    let response = requests
        .send_request(request)
        .await
        .map_err(std::io::Error::other)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    connection.abort();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    })
}

/// Sends bytes as they are and reads what comes until the other end closes.
///
/// # Panics
/// If there is no connection, or it is not closed in time.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the relay listens");
    // The other end may have answered and closed before it has read everything.
    stream.write_all(bytes).await.ok();
    let mut answer = Vec::new();
    let read = within("the end of the answer", stream.read_to_end(&mut answer)).await;
    if let Err(error) = read {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8_lossy(&answer).into_owned()
}
