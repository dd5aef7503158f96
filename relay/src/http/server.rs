//! The accept loop: connections within bounds, each served until it ends or the relay stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::Body;

/// HTTP/2 streams of one connection that may be open at once.
const STREAMS_MAX: u32 = 100;
/// How long the accept loop rests when the system has no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub head_bytes_max: usize,
    pub headers_max: usize,
    pub head_timeout: Duration,
    pub connections_max: usize,
}

/// Answers requests; cheap to clone, one clone for each connection.
pub trait Service: Clone + Send + Sync + 'static {
    /// Answers one request of that peer.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Accepts connections until `stop`, each in a task of `tasks`. After `stop`, requests under
/// way are finished and idle connections closed.
pub async fn serve(
    listener: TcpListener,
    service: impl Service,
    limits: Limits,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let builder = Arc::new(builder(limits));
    let places = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let connection = connection(
                    stream,
                    peer,
                    place,
                    service.clone(),
                    Arc::clone(&builder),
                    stop.clone(),
                );
                tasks.spawn(connection);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A place first, then a connection: beyond the bound they queue in the system's backlog.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

fn builder(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.headers_max)
        .max_buf_size(limits.head_bytes_max.max(8192))
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.head_timeout)
        .keep_alive_timeout(limits.head_timeout);
    builder
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    _place: OwnedSemaphorePermit,
    service: impl Service,
    builder: Arc<auto::Builder<TokioExecutor>>,
    stop: CancellationToken,
) {
    // Answers are small and written whole: waiting to fill a segment would only delay them.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let answer = service_fn(|request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(request, peer).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended with an error");
    }
}
