//! One request and its answer over one connection.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::task::TaskTracker;

use super::Outgoing;
use super::stream::{Heard, Stream};
use crate::deliver::outcome::Failure;
use crate::model::attempt::Cause;
use crate::model::reply;

/// Largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// How much may come over HTTP/1.1 before the head of the answer is complete, in bytes: interim
/// answers (1xx) without end are no answer.
const BEFORE_ANSWER_BYTES_MAX: usize = 64 << 10;
/// Buffer of an HTTP/1.1 connection, in bytes.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// How much of an answer's body is read so that its connection can be used again, in bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How much one HTTP/2 answer may send ahead of being read, in bytes.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 64 << 10;
/// How much all answers of one HTTP/2 connection may send ahead, in bytes.
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// How often a busy HTTP/2 connection is asked whether it lives.
const HTTP2_PING_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

/// The beginning of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// One byte more than is kept of it, at most: so it can be told that it was cut.
    pub body: Vec<u8>,
}

impl From<Answer> for reply::Answer {
    /// Bytes of a header that are not UTF-8 are read as Latin-1. What names a session of the
    /// receiver's own is nobody else's.
    fn from(answer: Answer) -> Self {
        let headers = answer.headers.iter().filter(|(name, _)| *name != SET_COOKIE);
        let text = |value: &HeaderValue| match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => text.to_owned(),
            Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
        };
        Self {
            status: answer.status.as_u16(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            body: answer.body.into(),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// The connection had been used before and ended before anything was heard on it.
    pub(super) is_stale: bool,
}

impl Failed {
    /// The answer began, and broke off.
    fn in_body(error: &hyper::Error) -> Self {
        Self {
            failure: Failure::of_exchange(error),
            is_stale: false,
        }
    }
}

/// A connection that is ready for a request.
#[derive(Debug)]
pub(super) enum Connected {
    Http1(Box<Http1>),
    Http2(Http2),
}

/// Speaks the protocol that the TLS handshake chose. The way had changed so many times when the
/// connection was begun.
pub(super) async fn handshake(
    stream: Stream,
    changes: u64,
    tasks: &TaskTracker,
) -> Result<Connected, Failure> {
    let made = if stream.is_http2() {
        Http2::new(stream, tasks).await.map(Connected::Http2)
    } else {
        Http1::new(stream, changes)
            .await
            .map(|connection| Connected::Http1(Box::new(connection)))
    };
    made.map_err(|error| Failure::of_exchange(&error))
}

impl Connected {
    /// The answer, and the connection if it can be kept for another request.
    pub(super) async fn exchange(
        self,
        request: &Outgoing<'_>,
    ) -> Result<(Answer, Option<Box<Http1>>), Failed> {
        match self {
            Self::Http1(mut connection) => {
                let answer = connection.exchange(request).await?;
                Ok((answer, connection.is_reusable().then_some(connection)))
            }
            Self::Http2(connection) => Ok((connection.exchange(request).await?, None)),
        }
    }
}

/// An HTTP/1.1 connection. It has no task of its own: it moves while a request waits on it,
/// and stands still while it is idle.
#[derive(Debug)]
pub(super) struct Http1 {
    requests: http1::SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    io: Option<http1::Connection<TokioIo<Stream>, Full<Bytes>>>,
    heard: Heard,
    was_used: bool,
    /// How many times the way had changed when it was made.
    pub(super) changes: u64,
}

impl Http1 {
    async fn new(stream: Stream, changes: u64) -> Result<Self, hyper::Error> {
        let heard = stream.heard.clone();
        let (requests, io) = http1::Builder::new()
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self {
            requests,
            io: Some(io),
            heard,
            was_used: false,
            changes,
        })
    }

    async fn exchange(&mut self, request: &Outgoing<'_>) -> Result<Answer, Failed> {
        self.heard.clear();
        let was_used = std::mem::replace(&mut self.was_used, true);
        let response = self.response(http1_request(request)).await;
        let response = response.map_err(|failure| Failed {
            failure,
            is_stale: was_used && self.heard.bytes() == 0,
        })?;
        let (head, body) = response.into_parts();
        let body = read_prefix(body, request.answer_bytes_max, |cx| self.drive(cx)).await;
        let body = body.map_err(|error| Failed::in_body(&error))?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    async fn response(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let mut response = pin!(self.requests.send_request(request));
        poll_fn(|cx| {
            // In this order: what the connection finds is there when the response looks.
            drive(&mut self.io, cx);
            match response.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(response.map_err(|error| Failure::of_exchange(&error))),
                Poll::Pending if self.heard.bytes() > BEFORE_ANSWER_BYTES_MAX => Poll::Ready(Err(
                    Failure::new(Cause::TooLarge, "interim answers came without end, and no answer"),
                )),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.io, cx);
    }

    /// Whether the answer was read to its end and the receiver keeps the connection open.
    fn is_reusable(&mut self) -> bool {
        // The end of a body is noticed only by looking for the next answer.
        if !self.requests.is_ready() {
            self.drive(&mut Context::from_waker(Waker::noop()));
        }
        self.io.is_some() && self.requests.is_ready()
    }

    /// Whether an idle connection is still open at the other end.
    pub(super) fn is_open(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.io.is_some()
    }
}

/// Lets the connection do what it can. What goes wrong on it comes out of the response or
/// its body; a connection that has ended must be dropped, or a request still queued in it
/// would wait for ever.
fn drive(io: &mut Option<http1::Connection<TokioIo<Stream>, Full<Bytes>>>, cx: &mut Context<'_>) {
    if let Some(connection) = io
        && Pin::new(connection).poll(cx).is_ready()
    {
        *io = None;
    }
}

/// An HTTP/2 connection, shared by all requests to its origin.
#[derive(Debug, Clone)]
pub(super) struct Http2 {
    requests: http2::SendRequest<Full<Bytes>>,
    was_used: bool,
}

impl Http2 {
    async fn new(stream: Stream, tasks: &TaskTracker) -> Result<Self, hyper::Error> {
        let (requests, connection) = http2::Builder::new(Tasks(tasks.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .keep_alive_interval(HTTP2_PING_EVERY)
            .handshake(TokioIo::new(stream))
            .await?;
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection ended");
            }
        });
        Ok(Self {
            requests,
            was_used: false,
        })
    }

    /// The same connection, known to have been made for an earlier request.
    pub(super) fn again(self) -> Self {
        Self {
            was_used: true,
            ..self
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    async fn exchange(mut self, request: &Outgoing<'_>) -> Result<Answer, Failed> {
        let response = self.requests.send_request(http2_request(request)).await;
        let (head, body) = response.map_err(|error| self.failed(&error))?.into_parts();
        let body = read_prefix(body, request.answer_bytes_max, |_| {}).await;
        let body = body.map_err(|error| Failed::in_body(&error))?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    fn failed(&self, error: &hyper::Error) -> Failed {
        let is_gone = error.is_canceled() || error.is_closed() || self.requests.is_closed();
        Failed {
            failure: Failure::of_exchange(error),
            is_stale: self.was_used && is_gone,
        }
    }
}

/// Where the tasks of HTTP/2 connections are kept track of.
#[derive(Debug, Clone)]
struct Tasks(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

fn http1_request(outgoing: &Outgoing<'_>) -> Request<Full<Bytes>> {
    let mut request = request(outgoing);
    *request.uri_mut() = outgoing.target.path.clone();
    request.headers_mut().insert(HOST, outgoing.target.host.clone());
    request
}

fn http2_request(outgoing: &Outgoing<'_>) -> Request<Full<Bytes>> {
    let mut request = request(outgoing);
    *request.uri_mut() = outgoing.target.uri.clone();
    *request.version_mut() = Version::HTTP_2;
    request
}

fn request(outgoing: &Outgoing<'_>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(outgoing.body.clone()));
    *request.method_mut() = outgoing.method.clone();
    // One for `host`, one for `content-length`.
    let mut headers = HeaderMap::with_capacity(outgoing.headers.len() + 2);
    for (name, value) in outgoing.headers {
        // Far beyond what a chain may set, a map is full.
        if headers.try_append(name.clone(), value.clone()).is_err() {
            break;
        }
    }
    // hyper writes the length of every other body.
    if outgoing.body.is_empty() && matches!(*outgoing.method, Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    *request.headers_mut() = headers;
    request
}

/// Reads a body to its end, or to [`ANSWER_BYTES_MAX`], or to `kept_max` if that is more, and keeps
/// its beginning. Dropping an unfinished body ends the stream or the connection it came on.
async fn read_prefix(
    mut body: Incoming,
    kept_max: usize,
    mut drive: impl FnMut(&mut Context<'_>),
) -> Result<Vec<u8>, hyper::Error> {
    let mut prefix = Vec::new();
    let mut read = 0;
    while read <= ANSWER_BYTES_MAX.max(kept_max) && !body.is_end_stream() {
        let frame = poll_fn(|cx| {
            if let Poll::Ready(frame) = Pin::new(&mut body).poll_frame(cx) {
                return Poll::Ready(frame);
            }
            drive(cx);
            Pin::new(&mut body).poll_frame(cx)
        });
        let Some(frame) = frame.await else { break };
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        read += data.len();
        let wanted = (kept_max + 1).saturating_sub(prefix.len());
        prefix.extend_from_slice(&data[..data.len().min(wanted)]);
    }
    Ok(prefix)
}
