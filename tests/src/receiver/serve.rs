//! One connection of a receiver: reads requests, and does what the script says.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Reply, Shared, request};

/// Between two bytes of a body that drips.
const DRIP_EVERY: Duration = Duration::from_millis(20);

/// A stream whose TCP connection can be reset.
trait Wire: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Whether a connection can be used for another request.
enum After {
    Again,
    End,
}

pub(super) async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    match tls {
        None => requests(stream, &shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                requests(stream, &shared).await;
            }
        }
    }
}

async fn requests(mut stream: impl Wire, shared: &Shared) {
    let mut buffer = Vec::new();
    while let Some(request) = request::read(&mut stream, &mut buffer).await {
        let reply = shared.take(request);
        let after = answer(&mut stream, reply, shared).await;
        shared.done();
        if !matches!(after, Ok(After::Again)) {
            return;
        }
    }
}

async fn answer(stream: &mut impl Wire, reply: Reply, shared: &Shared) -> io::Result<After> {
    match reply {
        Reply::Status(status) => whole(stream, status, &[], "").await,
        Reply::Full {
            status,
            headers,
            body,
        } => whole(stream, status, &headers, &body).await,
        Reply::Held => {
            shared.released().await;
            whole(stream, 200, &[], "").await
        }
        Reply::HeldWith(body) => {
            shared.released().await;
            whole(stream, 200, &[], &body).await
        }
        Reply::After(span) => {
            tokio::time::sleep(span).await;
            whole(stream, 200, &[], "").await
        }
        Reply::Never => std::future::pending().await,
        Reply::EndlessBody => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await?;
            repeat(
                stream,
                format!("{:x}\r\n{}\r\n", 4096, "x".repeat(4096)).as_bytes(),
            )
            .await
        }
        Reply::Drip => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
                .await?;
            drip(stream).await
        }
        Reply::Interim => repeat(stream, b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await,
        Reply::EndlessHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            repeat(stream, format!("x-more: {}\r\n", "x".repeat(4096)).as_bytes()).await
        }
        Reply::Garbage => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n").await?;
            Ok(After::End)
        }
        Reply::Close => Ok(After::End),
        Reply::Reset => reset(stream),
        Reply::ResetInBody => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin")
                .await?;
            stream.flush().await?;
            reset(stream)
        }
    }
}

async fn whole(
    stream: &mut impl Wire,
    status: u16,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<After> {
    let mut answer = format!("HTTP/1.1 {status} Told\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    answer.push_str("\r\n");
    answer.push_str(body);
    stream.write_all(answer.as_bytes()).await?;
    stream.flush().await?;
    Ok(After::Again)
}

/// Until the other end has had enough.
async fn repeat(stream: &mut impl Wire, bytes: &[u8]) -> io::Result<After> {
    loop {
        stream.write_all(bytes).await?;
        stream.flush().await?;
    }
}

async fn drip(stream: &mut impl Wire) -> io::Result<After> {
    let mut every = tokio::time::interval(DRIP_EVERY);
    loop {
        every.tick().await;
        stream.write_all(b"x").await?;
        stream.flush().await?;
    }
}

/// Makes the end of the connection a reset instead of an orderly one.
fn reset(stream: &impl Wire) -> io::Result<After> {
    stream.tcp().set_zero_linger()?;
    Ok(After::End)
}
