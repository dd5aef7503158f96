//! What a connection is used for, and when it is used for nothing any more.
//!
//! HTTP as such knows no deadline for a head, and none for a connection that nobody uses: one
//! that is silent from the beginning, stops within a head, or keeps an HTTP/2 session open for
//! nothing would hold its place for ever. So the bytes that come and go are noted here, and
//! which requests are under way; a request itself has its own deadlines.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long the rest of a refused request is read and thrown away before its connection is
/// closed. Closed at once, the system would reset it, and the peer might never see the answer.
const LINGER: Duration = Duration::from_secs(2);
/// Read at once of what is thrown away.
const THROWN_AWAY: usize = 8 * 1024;
/// No head has begun.
const NEVER: u64 = u64::MAX;

/// How long a connection may be without a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) head: Duration,
    pub(super) idle: Duration,
}

/// Why a connection has no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unused {
    /// A head did not come in time.
    SlowHead,
    /// No request came for long.
    Idle,
}

/// The use of one connection. Times are milliseconds since it was opened.
#[derive(Debug)]
pub(super) struct Usage {
    opened: Instant,
    patience: Patience,
    under_way: AtomicUsize,
    is_http2: AtomicBool,
    was_refused: AtomicBool,
    /// When the head that is coming began, or [`NEVER`].
    head_began: AtomicU64,
    /// When the last answer was made, or some of it written.
    last: AtomicU64,
}

/// What the deadlines say now.
enum Due {
    Now(Unused),
    At(Instant),
}

impl Usage {
    pub(super) fn new(patience: Patience) -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            patience,
            under_way: AtomicUsize::new(0),
            is_http2: AtomicBool::new(false),
            was_refused: AtomicBool::new(false),
            // The first head counts from the beginning, before any of its bytes.
            head_began: AtomicU64::new(0),
            last: AtomicU64::new(0),
        })
    }

    /// A request's head is there; its answer is made when what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>, version: http::Version) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.head_began.store(NEVER, Ordering::Relaxed);
        self.is_http2
            .store(version == http::Version::HTTP_2, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Ends when the connection has no use any more.
    pub(super) async fn unused(&self) -> Unused {
        // No deadline can come sooner than this, since none is shorter.
        let step = self.patience.head.min(self.patience.idle);
        let mut wake = Instant::now() + step;
        loop {
            tokio::time::sleep_until(wake).await;
            match self.due() {
                Due::Now(unused) => return unused,
                // A head may begin meanwhile, and would be due before the connection is idle.
                Due::At(due) => wake = due.min(Instant::now() + step),
            }
        }
    }

    fn due(&self) -> Due {
        let now = Instant::now();
        if self.under_way.load(Ordering::Relaxed) > 0 {
            return Due::At(now + self.patience.head);
        }
        let began = self.head_began.load(Ordering::Relaxed);
        let (since, patience, unused) = if began == NEVER {
            (
                self.last.load(Ordering::Relaxed),
                self.patience.idle,
                Unused::Idle,
            )
        } else {
            (began, self.patience.head, Unused::SlowHead)
        };
        let due = self.opened + Duration::from_millis(since) + patience;
        if due <= now {
            Due::Now(unused)
        } else {
            Due::At(due)
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    fn has_request(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }

    /// Bytes came. What comes between the requests of HTTP/2 is its own talk, not a head.
    fn heard(&self) {
        let is_head = !self.has_request()
            && self.head_began.load(Ordering::Relaxed) == NEVER
            && !self.is_http2.load(Ordering::Relaxed);
        if is_head {
            self.head_began.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Bytes of an answer went: the connection is used, and a head that waits behind the answer
    /// is not late.
    fn spoke(&self) {
        // Before its first request a connection has nothing to say but HTTP/2's greeting.
        if self.has_request() || self.last.load(Ordering::Relaxed) == 0 {
            return;
        }
        let now = self.now();
        self.last.store(now, Ordering::Relaxed);
        if self.head_began.load(Ordering::Relaxed) != NEVER {
            self.head_began.store(now, Ordering::Relaxed);
        }
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Usage>);

impl UnderWay {
    /// The answer is made; a refusal may leave some of its request unread.
    pub(super) fn answered(self, status: http::StatusCode) {
        let is_refusal = status.is_client_error() || status.is_server_error();
        self.0.was_refused.store(is_refusal, Ordering::Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let usage = &self.0;
        usage.last.store(usage.now().max(1), Ordering::Relaxed);
        usage.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose use is noted.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    usage: Arc<Usage>,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    pub(super) const fn new(stream: S, usage: Arc<Usage>) -> Self {
        Self {
            stream,
            usage,
            lingering: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.usage.heard();
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        if written.is_ready() {
            this.usage.spoke();
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        if written.is_ready() {
            this.usage.spoke();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Says goodbye; after a refusal, also hears the peer out for up to [`LINGER`].
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            std::task::ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.usage.was_refused.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let lingering = this
            .lingering
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if lingering.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut thrown_away = [0; THROWN_AWAY];
        loop {
            let mut buf = ReadBuf::new(&mut thrown_away);
            let read = std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
