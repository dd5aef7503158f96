//! A receiver on a loopback address that takes down what comes, and answers or misbehaves as
//! it was told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::wait::within;

pub mod misbehaving;
mod reply;
mod request;
mod serve;
pub mod tls;

pub use reply::Reply;
pub use request::Request;

/// What a receiver answers: its request and how many came before it decide.
type Script = Box<dyn Fn(&Request, usize) -> Reply + Send + Sync>;

/// A receiver that runs; gone when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    is_tls: bool,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    script: Script,
    state: Mutex<State>,
    changed: Notify,
    /// Whether held requests may be answered.
    released: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<Request>,
    busy: usize,
    busy_max: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lock().fmt(f)
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port that is taken but not listened on: connections to it are refused.
#[derive(Debug)]
pub struct Closed(TcpSocket);

impl Closed {
    /// Takes a port.
    ///
    /// # Panics
    /// If there is none.
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket
            .bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .expect("there is a free port");
        Self(socket)
    }

    /// Where it will listen.
    ///
    /// # Panics
    /// Never: the socket is bound.
    pub fn url(&self) -> String {
        format!(
            "http://{}/hook",
            self.0.local_addr().expect("the socket is bound")
        )
    }

    /// Begins to listen.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn open(self, script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Receiver {
        let listener = self.0.listen(BACKLOG).expect("a bound socket can listen");
        Receiver::on(listener, Box::new(script), None)
    }
}

impl Default for Closed {
    fn default() -> Self {
        Self::new()
    }
}

/// Connections that the system keeps until they are accepted.
const BACKLOG: u32 = 1024;

impl Receiver {
    /// Answers everything with 200.
    pub fn start() -> Self {
        Self::always(Reply::Status(200))
    }

    /// Answers everything alike.
    pub fn always(reply: Reply) -> Self {
        Self::answering(move |_, _| reply.clone())
    }

    /// Answers one after the other as listed, and everything after that with 200.
    pub fn script(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<Reply> = replies.into_iter().collect();
        Self::answering(move |_, number| replies.get(number).cloned().unwrap_or(Reply::Status(200)))
    }

    /// Answers as `script` decides from the request and how many came before it.
    pub fn answering(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        Closed::new().open(script)
    }

    /// Answers everything with 200, behind TLS with this certificate.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn behind(certificate: &tls::Certificate) -> Self {
        let listener = Closed::new()
            .0
            .listen(BACKLOG)
            .expect("a bound socket can listen");
        Self::on(
            listener,
            Box::new(|_, _| Reply::Status(200)),
            Some(certificate.acceptor()),
        )
    }

    fn on(listener: TcpListener, script: Script, tls: Option<TlsAcceptor>) -> Self {
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            script,
            state: Mutex::default(),
            changed: Notify::new(),
            released: watch::Sender::new(false),
        });
        let is_tls = tls.is_some();
        let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&shared)));
        Self {
            address,
            is_tls,
            shared,
            accepting,
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for an endpoint.
    pub fn url(&self) -> String {
        format!(
            "{}://{}/hook",
            if self.is_tls { "https" } else { "http" },
            self.address
        )
    }

    /// The configuration of an endpoint of that name that leads here, and what else it says.
    pub fn endpoint(&self, name: &str, settings: &str) -> String {
        endpoint(name, &self.url(), settings)
    }

    /// Answers every request that is held, now and from now on.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// What has come so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// Most requests that were there at once.
    pub fn busy_max(&self) -> usize {
        self.shared.lock().busy_max
    }

    /// Waits until `count` requests have come, and returns all that have.
    ///
    /// # Panics
    /// If they do not come in time.
    pub async fn received(&self, count: usize) -> Vec<Request> {
        self.until(&format!("{count} requests"), |requests| requests.len() >= count)
            .await
    }

    /// Waits until the requests that have come are as wanted.
    ///
    /// # Panics
    /// If they are not in time.
    pub async fn until(&self, what: &str, is_so: impl Fn(&[Request]) -> bool) -> Vec<Request> {
        within(what, async {
            loop {
                // Registered before the look, so that a request between the two is not missed.
                let changed = self.shared.changed.notified();
                let requests = self.requests();
                if is_so(&requests) {
                    return requests;
                }
                changed.await;
            }
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The configuration of an endpoint.
pub fn endpoint(name: &str, url: &str, settings: &str) -> String {
    format!("[[endpoint]]\nname = \"{name}\"\nurl = \"{url}\"\n{settings}\n")
}

/// Serves each connection in a task that ends with this one.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve::connection(stream, tls.clone(), Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Shared {
    /// Takes a request down; returns what to answer.
    fn take(&self, request: Request) -> Reply {
        let number = {
            let mut state = self.lock();
            state.busy += 1;
            state.busy_max = state.busy_max.max(state.busy);
            state.requests.push(request.clone());
            state.requests.len() - 1
        };
        self.changed.notify_waiters();
        (self.script)(&request, number)
    }

    fn done(&self) {
        self.lock().busy -= 1;
    }

    /// Waits for [`Receiver::release`].
    async fn released(&self) {
        let mut released = self.released.subscribe();
        // The sender lives as long as we do.
        released.wait_for(|released| *released).await.ok();
    }
}

/// When something came, by a clock that only goes forward.
pub type Arrival = Instant;
