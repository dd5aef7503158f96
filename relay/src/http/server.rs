//! The accept loop: connections within bounds, each served until it ends or the relay stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address_cap::{AddressCap, Entered};
use super::answer::Body;
use super::connection::{Closed, Server};
use super::spare::{self, Spare};
use super::tls::{Stream, Tls};

/// How long the accept loop rests when a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The bounds of a listener.
#[derive(Debug, Clone)]
pub struct Limits {
    pub head_bytes_max: usize,
    pub headers_max: usize,
    /// From a connection's begin to its first request, and from the first byte of a later head
    /// to its end.
    pub head_timeout: Duration,
    /// How long a connection is kept that nobody uses.
    pub idle_timeout: Duration,
    pub connections_max: usize,
    pub address_cap: Arc<AddressCap>,
}

/// The connections of all listeners, and what they speak.
#[derive(Default)]
pub struct Connections {
    /// What is shown to who connects; without it, no TLS is spoken.
    pub tls: Option<Arc<Tls>>,
    open: AtomicUsize,
}

impl Connections {
    /// None yet.
    pub fn new(tls: Option<Arc<Tls>>) -> Self {
        Self {
            tls,
            open: AtomicUsize::new(0),
        }
    }

    /// How many are open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn enter(self: &Arc<Self>) -> Opened {
        self.open.fetch_add(1, Ordering::Relaxed);
        Opened(Arc::clone(self))
    }
}

/// Counts a connection for as long as it is there.
struct Opened(Arc<Connections>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers requests; cheap to clone, one clone for each connection.
pub trait Service: Clone + Send + Sync + 'static {
    /// Answers one request of that peer.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// Hears of a connection that was closed for what its peer did or failed to do.
    fn closed(&self, peer: SocketAddr, why: Closed);
}

/// Accepts connections until `stop`, each in a task of `tasks`. After `stop`, requests under
/// way are finished and idle connections closed.
pub async fn serve(
    listener: TcpListener,
    service: impl Service,
    limits: Limits,
    connections: Arc<Connections>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let server = Arc::new(Server::new(&limits));
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let mut spare = Spare::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                spare.is_not_needed();
                let Some(entered) = limits.address_cap.enter(peer.ip()) else {
                    service.closed(peer, Closed::AddressCap);
                    continue;
                };
                let opened = connections.enter();
                let handshake = handshake(stream, peer, Arc::clone(&connections), limits.head_timeout);
                tasks.spawn(connection(
                    handshake,
                    peer,
                    (place, entered, opened),
                    service.clone(),
                    Arc::clone(&server),
                    stop.clone(),
                ));
            }
            Err(error) if spare::is_out_of_files(&error) => spare.turn_away(&listener).await,
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

/// What a connection holds while it is open, and gives back when it ends.
type Held = (OwnedSemaphorePermit, Entered, Opened);

/// Takes a connection to where requests can be read from it: through TLS, if that is spoken.
async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    connections: Arc<Connections>,
    deadline: Duration,
) -> Option<Stream> {
    // Answers are small and written whole: waiting to fill a segment would only delay them.
    stream.set_nodelay(true).ok()?;
    let Some(tls) = &connections.tls else {
        return Some(Stream::Plain(stream));
    };
    // On the heap, so that a connection without TLS does not carry the room for a handshake.
    match Box::pin(tls.accept(stream, deadline)).await {
        Ok(stream) => Some(stream),
        Err(failure) => {
            tracing::debug!(%peer, reason = failure.as_str(), "a TLS handshake failed");
            None
        }
    }
}

async fn connection(
    handshake: impl Future<Output = Option<Stream>>,
    peer: SocketAddr,
    _held: Held,
    service: impl Service,
    server: Arc<Server>,
    stop: CancellationToken,
) {
    let stream = tokio::select! {
        stream = handshake => stream,
        () = stop.cancelled() => None,
    };
    let Some(stream) = stream else { return };
    server.serve(stream, peer, service, stop).await;
}
