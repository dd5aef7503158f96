//! The accept loop: connections within bounds, each served until it ends or the relay stops.

use std::net::SocketAddr;
use std::sync::Arc;
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
                tasks.spawn(connection(
                    stream,
                    peer,
                    (place, entered),
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
type Held = (OwnedSemaphorePermit, Entered);

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    _held: Held,
    service: impl Service,
    server: Arc<Server>,
    stop: CancellationToken,
) {
    // Answers are small and written whole: waiting to fill a segment would only delay them.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    server.serve(stream, peer, service, stop).await;
}
