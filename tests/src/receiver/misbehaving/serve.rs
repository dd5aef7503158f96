//! One connection of a receiver that misbehaves.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{Act, Certified, End, Speech};
use crate::receiver::tls::{Authority, Certificate, Validity};

/// Between two bytes that drip.
const DRIP_EVERY: Duration = Duration::from_millis(20);
/// Stands in an answer for the receiver's own URL.
pub(super) const OWN_URL: &str = "{own}";
/// What a well-behaved receiver answers.
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// An act with all that it needs.
pub(super) enum Prepared {
    AtOnce(Speech),
    Answer(Speech),
    Tls(TlsAcceptor),
}

impl Prepared {
    pub(super) fn new(act: &Act, own: SocketAddr) -> Self {
        match act {
            Act::Answer(speech) => Self::Answer(speech.naming(own)),
            Act::AtOnce(speech) | Act::InsteadOfTls(speech) => Self::AtOnce(speech.clone()),
            Act::Tls(certified) => Self::Tls(certificate(*certified).acceptor()),
            Act::Refuse | Act::Nameless => Self::AtOnce(Speech {
                words: Vec::new(),
                end: End::Close,
            }),
        }
    }
}

impl Speech {
    /// The same, with the receiver's own URL where it is meant.
    fn naming(&self, own: SocketAddr) -> Self {
        let Ok(text) = std::str::from_utf8(&self.words) else {
            return self.clone();
        };
        Self {
            words: text.replace(OWN_URL, &format!("http://{own}/hook")).into_bytes(),
            end: self.end.clone(),
        }
    }
}

/// Only the fault that it is named after is wrong with it, but its authority is unknown as well.
fn certificate(certified: Certified) -> Certificate {
    let authority = Authority::new();
    match certified {
        Certified::OtherName => authority.issue("example.com", Validity::Valid),
        Certified::Expired => authority.issue("127.0.0.1", Validity::Expired),
        Certified::UnknownAuthority => authority.issue("127.0.0.1", Validity::Valid),
        Certified::SelfSigned => Certificate::self_signed("127.0.0.1"),
    }
}

pub(super) async fn connection(
    mut stream: TcpStream,
    act: Arc<Prepared>,
    requests: Arc<Mutex<Vec<String>>>,
) -> io::Result<()> {
    match &*act {
        Prepared::AtOnce(speech) => speak(&mut stream, speech).await,
        Prepared::Answer(speech) => {
            let mut read = Vec::new();
            while let Some(head) = request(&mut stream, &mut read).await? {
                requests.lock().unwrap_or_else(PoisonError::into_inner).push(head);
                speak(&mut stream, speech).await?;
                if !matches!(speech.end, End::Next) {
                    break;
                }
            }
            Ok(())
        }
        Prepared::Tls(acceptor) => {
            let mut stream = acceptor.accept(stream).await?;
            stream.read_u8().await?;
            stream.write_all(TAKEN).await?;
            stream.shutdown().await
        }
    }
}

async fn speak(stream: &mut TcpStream, speech: &Speech) -> io::Result<()> {
    stream.write_all(&speech.words).await?;
    stream.flush().await?;
    match &speech.end {
        End::Next => Ok(()),
        End::Silence => std::future::pending().await,
        End::Close => stream.shutdown().await,
        End::Reset => stream.set_zero_linger(),
        End::HalfClose => {
            stream.shutdown().await?;
            stream.read_to_end(&mut Vec::new()).await?;
            Ok(())
        }
        End::Repeat(bytes) => loop {
            stream.write_all(bytes).await?;
        },
        End::Drip(bytes) => {
            let mut every = tokio::time::interval(DRIP_EVERY);
            for byte in bytes.iter().cycle() {
                every.tick().await;
                stream.write_all(&[*byte]).await?;
            }
            Ok(())
        }
    }
}

/// The head of the next request, once its body is there too; `None` at the end.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some((head, end)) = complete(read) {
            read.drain(..end);
            return Ok(Some(head));
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

/// The head of a request that is complete, and where it ends.
fn complete(read: &[u8]) -> Option<(String, usize)> {
    let head_end = read.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&read[..head_end]).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length: usize = length
        .and_then(|rest| rest.split("\r\n").next()?.parse().ok())
        .unwrap_or(0);
    (read.len() >= head_end + length).then_some((head, head_end + length))
}
