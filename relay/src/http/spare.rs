//! A file descriptor kept aside, so that somebody who cannot be served is told so.
//!
//! With no descriptor left, a connection cannot even be accepted to say no: its sender would
//! wait until it gives up.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long a sender that is turned away may take to read that; others wait meanwhile.
const FAREWELL_MAX: Duration = Duration::from_millis(100);
/// How long to wait for the next one, in which descriptors may have become free.
const PAUSE: Duration = Duration::from_millis(10);
/// It is over once it was not needed for so long: one comes free now and then.
const QUIET: Duration = Duration::from_secs(1);
/// Bytes of the request that are read before the connection is closed.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    content-length: 118\r\n\
    \r\n\
    {\"title\":\"Too busy\",\"status\":503,\"code\":\"too_many_open_files\",\"detail\":\"nothing was accepted; try again in a moment\"}\n";

/// Whether the system or the process has no descriptor left.
pub(super) fn is_out_of_files(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// See the module.
pub(super) struct Spare {
    file: Option<File>,
    /// When it was needed last, until that is over.
    needed_at: Option<Instant>,
}

impl Spare {
    pub(super) fn new() -> Self {
        Self {
            file: open(),
            needed_at: None,
        }
    }

    /// A connection was accepted without it.
    pub(super) fn is_not_needed(&mut self) {
        if self.needed_at.is_some_and(|at| at.elapsed() >= QUIET) {
            self.needed_at = None;
            tracing::info!("there are file descriptors for connections again");
        }
    }

    /// Accepts one connection in its place, answers 503 whatever it asks, and closes it.
    pub(super) async fn turn_away(&mut self, listener: &TcpListener) {
        if self.needed_at.replace(Instant::now()).is_none() {
            tracing::error!(
                "no file descriptor is left for connections: senders are answered 503; allow the relay more open files"
            );
        }
        drop(self.file.take());
        // It was there a moment ago; others may have taken the descriptor, too.
        if let Ok(Ok((stream, _))) = tokio::time::timeout(FAREWELL_MAX, listener.accept()).await {
            // Whoever does not wait for the answer needs none.
            drop(tokio::time::timeout(FAREWELL_MAX, say_no(stream)).await);
        }
        self.file = open();
        tokio::time::sleep(PAUSE).await;
    }
}

fn open() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Reads on after the answer: to close on unread bytes would take the answer back.
async fn say_no(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(REQUEST_BYTES_MAX), &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let answer = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["status"], 503);
    }
}
