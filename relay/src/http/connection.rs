//! One connection, from its first byte to its end: HTTP/1 or HTTP/2 over any stream.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::answer::Body;
use super::server::{Limits, Service};
use super::usage::{Patience, Unused, Usage, Watched};

/// HTTP/2 streams of one connection that may be open at once.
const STREAMS_MAX: u32 = 100;
/// Streams that the peer reset before they were taken up; with one more, the connection ends.
/// A flood of them is the "rapid reset" of CVE-2023-44487.
const PENDING_RESETS_MAX: usize = 20;
/// Streams that had to be reset for what the peer sent; with one more, the connection ends.
const ERROR_RESETS_MAX: usize = 100;
/// How long a peer may take to agree to the end of a connection.
const GOODBYE: Duration = Duration::from_secs(5);

/// Why a connection was closed that its peer might have wanted to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Its address has as many as it may.
    AddressCap,
    /// A head did not come in time.
    SlowHead,
    /// A head is too large; answered with 431, or 414 if it is the URI.
    HeadTooLarge,
    /// A head is malformed; answered with 400.
    HeadMalformed,
    /// The peer broke the rules of HTTP/2, or used them for a flood.
    Http2Abuse,
    /// No request came for long.
    Idle,
}

impl Closed {
    /// The word for it in metrics and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AddressCap => "address_cap",
            Self::SlowHead => "slow_head",
            Self::HeadTooLarge => "head_too_large",
            Self::HeadMalformed => "head_malformed",
            Self::Http2Abuse => "http2_abuse",
            Self::Idle => "idle",
        }
    }

    fn for_error(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let error = error.downcast_ref::<hyper::Error>()?;
        if error.is_parse_too_large() {
            return Some(Self::HeadTooLarge);
        }
        if error.is_parse() {
            return Some(Self::HeadMalformed);
        }
        let cause = std::error::Error::source(error)?.downcast_ref::<h2::Error>()?;
        // Whoever said goodbye with an error, it was for what the peer did.
        (cause.is_library() && !cause.is_io()).then_some(Self::Http2Abuse)
    }
}

impl From<Unused> for Closed {
    fn from(unused: Unused) -> Self {
        match unused {
            Unused::SlowHead => Self::SlowHead,
            Unused::Idle => Self::Idle,
        }
    }
}

/// Serves connections, all with the same bounds.
#[derive(Debug)]
pub(super) struct Server {
    builder: auto::Builder<TokioExecutor>,
    patience: Patience,
}

impl Server {
    pub(super) fn new(limits: &Limits) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .header_read_timeout(None)
            .max_headers(limits.headers_max)
            .max_buf_size(limits.head_bytes_max.max(8192))
            // Answers are small: one piece is written faster than two. Not `pipeline_flush`, with
            // which the last answer is never written if more than its request was read.
            .writev(false);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_local_error_reset_streams(ERROR_RESETS_MAX)
            .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
            .keep_alive_interval(limits.head_timeout)
            .keep_alive_timeout(limits.head_timeout);
        Self {
            builder,
            patience: Patience {
                head: limits.head_timeout,
                idle: limits.idle_timeout,
            },
        }
    }

    /// Serves one connection until it ends, has no use any more, or the relay stops.
    pub(super) async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        service: impl Service,
        stop: CancellationToken,
    ) {
        let usage = Usage::new(self.patience);
        let answer = service_fn(|request: Request<Incoming>| {
            let under_way = usage.begin(request.version());
            let service = service.clone();
            async move {
                let response: Response<Body> = service.answer(request, peer).await;
                under_way.answered(response.status());
                Ok::<_, Infallible>(response)
            }
        });
        let stream = TokioIo::new(Watched::new(stream, usage.clone()));
        let connection = self.builder.serve_connection(stream, answer);
        tokio::pin!(connection);
        let unused = usage.unused();
        tokio::pin!(unused);
        let mut is_stopping = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "a connection ended with an error");
                        if let Some(why) = Closed::for_error(error.as_ref()) {
                            service.closed(peer, why);
                        }
                    }
                    return;
                }
                unused = unused.as_mut() => {
                    service.closed(peer, unused.into());
                    if unused == Unused::Idle {
                        connection.as_mut().graceful_shutdown();
                        // Who does not agree to the end is not waited for.
                        tokio::time::timeout(GOODBYE, connection).await.ok();
                    }
                    return;
                }
                () = stop.cancelled(), if !is_stopping => {
                    connection.as_mut().graceful_shutdown();
                    is_stopping = true;
                }
            }
        }
    }
}
