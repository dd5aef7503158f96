//! A connection to which anything can be written: for senders that do not keep to HTTP.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wait::within;

/// What an HTTP/2 connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An open connection.
#[derive(Debug)]
pub struct Wire(TcpStream);

impl Wire {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("the relay listens"))
    }

    /// Connects and greets as HTTP/2 does, with settings of its own that say nothing.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn open_http2(address: SocketAddr) -> Self {
        let mut wire = Self::open(address).await;
        wire.write(PREFACE).await;
        wire.write(&frame(Kind::Settings, 0, 0, &[])).await;
        wire
    }

    /// Writes as long as the other end takes it; whether it took everything.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        within("the other end to take bytes", self.0.write_all(bytes))
            .await
            .is_ok()
    }

    /// Reads some bytes; none at the end.
    ///
    /// # Panics
    /// If nothing comes in time.
    pub async fn read(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 64 * 1024];
        let count = within("bytes from the other end", self.0.read(&mut bytes)).await;
        bytes.truncate(ended(count));
        bytes
    }

    /// Reads one answer of HTTP/1 with a small body; what came, if the other end closed.
    ///
    /// # Panics
    /// If nothing comes in time.
    pub async fn answer(&mut self) -> String {
        let mut text = String::new();
        loop {
            let bytes = self.read().await;
            text.push_str(&String::from_utf8_lossy(&bytes));
            if bytes.is_empty() || is_whole(&text) {
                return text;
            }
        }
    }

    /// Reads until the other end closes.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let bytes = self.read().await;
            if bytes.is_empty() {
                return all;
            }
            all.extend(bytes);
        }
    }

    /// Whether nothing has come yet.
    pub fn is_quiet(&self) -> bool {
        let mut byte = [0];
        self.0
            .try_read(&mut byte)
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// A connection that was reset has ended too.
fn ended(read: std::io::Result<usize>) -> usize {
    match read {
        Ok(count) => count,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            0
        }
    }
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    body.len() >= length.unwrap_or(0)
}

// ---- frames of HTTP/2 (RFC 9113, section 6) ----------------------------------------------

/// The kinds of frames that tests send or look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Data = 0,
    Headers = 1,
    Reset = 3,
    Settings = 4,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
    Continuation = 9,
}

/// Nothing follows on this stream.
pub const END_STREAM: u8 = 1;
/// The head is complete.
pub const END_HEADERS: u8 = 4;

/// One frame.
///
/// # Panics
/// If it is too large for one.
pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a frame is small")
        .to_be_bytes();
    assert_eq!(length[0], 0, "a frame is small");
    let mut frame = length[1..].to_vec();
    frame.extend([kind as u8, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A head as HPACK writes it without its tables, up to 126 bytes for each word.
///
/// # Panics
/// If a word is longer.
pub fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for word in [name, value] {
            block.push(
                u8::try_from(word.len())
                    .ok()
                    .filter(|len| *len < 127)
                    .expect("a short word"),
            );
            block.extend(word.as_bytes());
        }
    }
    block
}

/// The frames in what came, whole ones.
pub fn frames(mut bytes: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<9>() {
        let [high, middle, low, kind, _, stream @ ..] = *header;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            break;
        };
        frames.push((kind, u32::from_be_bytes(stream), payload.to_vec()));
        bytes = rest;
    }
    frames
}
