//! Sends one request, or a mail, and reads the beginning of the answer, within a deadline.
//!
//! This is the hottest code of the relay. Connections are kept per origin; an HTTP/1.1
//! connection is polled by the task that uses it, so a request costs no hand-over to another
//! task. Redirects are not followed, proxy variables are not read and answers are not
//! decompressed: what the guard checked is what is spoken to. Where the operator names a proxy,
//! every connection goes through it.

mod connect;
mod exchange;
mod pool;
pub mod probe;
mod proxy;
pub mod resolve;
mod smtp;
mod stream;
mod tls;
mod wire;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, Uri};
use tokio_util::task::TaskTracker;
use url::Url;

use self::connect::Connector;
use self::exchange::Connected;
use self::pool::{IdleLimits, Origin};
use self::resolve::{Resolve, SystemResolver};
use super::address::{self, Guard, UrlError};
use super::header::Parsed;
use super::mail::mailto::{self, Mailto};
use super::mail::{self, Settings as Mail};
use super::outcome::{self, Failure};
use crate::clock::Clock;
use crate::model::attempt::{Cause, Outcome};

pub use self::exchange::Answer;
pub use self::proxy::Proxy;
pub use self::wire::Wire;

/// Why no sender can be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the extra certificates are not PEM: {0}")]
    ExtraRoots(&'static str),
    #[error("an extra certificate cannot be trusted: {0}")]
    UnusableRoot(rustls::Error),
}

/// How a [`Sender`] connects, and how many connections it keeps.
#[derive(Debug, Clone)]
pub struct SenderSettings {
    pub guard: Guard,
    pub resolver: Arc<dyn Resolve>,
    /// For name, connection and TLS handshake together.
    pub connect_timeout: Duration,
    /// Addresses of this machine that connections are made from; the system's choice for a family
    /// that has none.
    pub bind: Vec<IpAddr>,
    /// What connections are made through.
    pub proxy: Option<Proxy>,
    /// The server that mail is sent by.
    pub mail: Option<Mail>,
    /// Certificate authorities to trust beside the platform's, as PEM.
    pub extra_roots: Vec<u8>,
    /// Connections kept idle for one origin, at most.
    pub idle_per_origin: usize,
    /// Connections kept idle for all origins, at most.
    pub idle_total: usize,
    /// How long a connection is kept idle.
    pub idle_timeout: Duration,
    /// Tells the time that an HTTP date in `Retry-After` is compared with.
    pub clock: Arc<dyn Clock>,
    /// What requests go out by in place of the network: a simulation's receivers.
    pub wire: Option<Arc<dyn Wire>>,
    /// Who takes requests to [`LOCAL_SCHEME`](address::LOCAL_SCHEME).
    pub local: Option<Arc<dyn Wire>>,
}

impl SenderSettings {
    /// The settings that fit most relays.
    pub fn new(guard: Guard, clock: Arc<dyn Clock>) -> Self {
        Self {
            guard,
            resolver: Arc::new(SystemResolver),
            connect_timeout: Duration::from_secs(5),
            bind: Vec::new(),
            proxy: None,
            mail: None,
            extra_roots: Vec::new(),
            idle_per_origin: 64,
            idle_total: 1024,
            idle_timeout: Duration::from_secs(30),
            clock,
            wire: None,
            local: None,
        }
    }
}

/// How what is sent gets to its receiver.
#[derive(Debug, Clone)]
enum By {
    Network,
    /// The relay itself takes it, so that nothing leaves it.
    Local,
    /// As mail to these.
    Mail(Arc<Mailto>),
}

/// Where an endpoint's requests go: its URL, taken apart once.
#[derive(Debug, Clone)]
pub struct Target {
    origin: Arc<Origin>,
    /// Path and query, as HTTP/1.1 writes them.
    path: Uri,
    /// The whole, as HTTP/2 writes it.
    uri: Uri,
    host: HeaderValue,
    by: By,
}

impl Target {
    /// The whole address; the name of nothing for mail.
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whom it names, if it is mail that goes there.
    pub fn mailto(&self) -> Option<&Mailto> {
        match &self.by {
            By::Mail(mailto) => Some(mailto),
            By::Network | By::Local => None,
        }
    }
}

/// One request.
#[derive(Debug)]
pub struct Outgoing<'a> {
    pub target: &'a Target,
    pub method: &'a Method,
    /// Without `host` and `content-length`, which are added.
    pub headers: &'a [Parsed],
    pub body: Bytes,
    /// How much of the answer's body is wanted.
    pub answer_bytes_max: usize,
    /// For everything: connecting, sending, and reading the answer.
    pub timeout: Duration,
}

/// Sends requests over connections that it keeps.
#[derive(Debug)]
pub struct Sender {
    connector: Connector,
    clock: Arc<dyn Clock>,
    wire: Option<Arc<dyn Wire>>,
    local: Option<Arc<dyn Wire>>,
    mail: Option<smtp::Server>,
    idle_timeout: Duration,
    idle: IdleLimits,
    /// One for each origin in use; an unused one goes once its last idle connection has gone.
    origins: Mutex<HashMap<pool::Key, Arc<Origin>>>,
    /// HTTP/2 connections are shared, so each has a task of its own. It ends with the last
    /// user of the connection.
    tasks: TaskTracker,
}

impl Sender {
    /// A sender with no connections yet.
    ///
    /// # Errors
    /// The extra certificates cannot be read.
    pub fn new(settings: SenderSettings) -> Result<Self, Error> {
        let roots = tls::parse_roots(&settings.extra_roots)?;
        Ok(Self {
            connector: Connector::new(
                settings.guard,
                settings.resolver,
                settings.connect_timeout,
                settings.bind,
                settings.proxy,
                roots,
            ),
            clock: settings.clock,
            wire: settings.wire,
            local: settings.local,
            mail: settings.mail.map(smtp::Server::new),
            idle_timeout: settings.idle_timeout,
            idle: IdleLimits::new(settings.idle_per_origin, settings.idle_total),
            origins: Mutex::default(),
            tasks: TaskTracker::new(),
        })
    }

    /// Takes an endpoint's URL apart, to be kept for all its requests.
    ///
    /// # Errors
    /// As [`Guard::check_url`].
    pub fn target(&self, url: &Url) -> Result<Target, UrlError> {
        self.connector.guard().check_url(url)?;
        if mail::is_mail(url) {
            return self.mail_target(url);
        }
        let path = address::path_and_query(url)?;
        let key = pool::Key::of(url)?;
        let authority = key.authority(url);
        let uri = Uri::builder()
            .scheme(url.scheme())
            .authority(authority.as_str())
            .path_and_query(path.clone());
        Ok(Target {
            uri: uri.build().map_err(|_| UrlError::Host)?,
            host: HeaderValue::try_from(authority).map_err(|_| UrlError::Host)?,
            path: Uri::from(path),
            by: match url.scheme() {
                address::LOCAL_SCHEME => By::Local,
                _ => By::Network,
            },
            origin: self.origin(key)?,
        })
    }

    fn mail_target(&self, url: &Url) -> Result<Target, UrlError> {
        Ok(Target {
            uri: Uri::from_static("/"),
            host: HeaderValue::from_static(""),
            path: Uri::from_static("/"),
            by: By::Mail(Arc::new(mailto::read(url)?)),
            origin: self.origin(pool::Key::of_mail())?,
        })
    }

    fn origin(&self, key: pool::Key) -> Result<Arc<Origin>, UrlError> {
        let mut origins = self.lock_origins();
        if let Some(known) = origins.get(&key) {
            return Ok(Arc::clone(known));
        }
        let origin = Arc::new(Origin::new(&key)?);
        origins.insert(key, Arc::clone(&origin));
        Ok(origin)
    }

    /// Sends a request. Whatever happens is an outcome.
    ///
    /// An answer counts when its head and its body, or the first 64 KiB of a longer body,
    /// have come within the deadline: a receiver that answers 200 and then never ends has
    /// taken the message, but its connection is not used again.
    pub async fn send(&self, request: Outgoing<'_>) -> Outcome {
        match self.ask(&request).await {
            Ok(answer) => outcome::responded(
                answer.status.as_u16(),
                &answer.headers,
                &answer.body,
                self.clock.now(),
            ),
            Err(outcome) => outcome,
        }
    }

    /// As [`Sender::send`], for whoever wants to read the answer's headers.
    ///
    /// # Errors
    /// Why there is no complete answer.
    pub async fn ask(&self, request: &Outgoing<'_>) -> Result<Answer, Outcome> {
        match tokio::time::timeout(request.timeout, self.exchange(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) => Err(failure.into()),
            Err(_) => Err(Failure::new(
                Cause::Timeout,
                format!("no complete answer within {:?}", request.timeout),
            )
            .into()),
        }
    }

    async fn exchange(&self, request: &Outgoing<'_>) -> Result<Answer, Failure> {
        match &request.target.by {
            By::Network => {}
            By::Local => {
                return match &self.local {
                    Some(local) => local.exchange(request).await,
                    None => Err(Failure::refused("there are no inspectors here")),
                };
            }
            By::Mail(mailto) => return Box::pin(self.mail(mailto, request)).await,
        }
        if let Some(wire) = &self.wire {
            return wire.exchange(request).await;
        }
        let origin = &request.target.origin;
        if let Some(connection) = origin.take_idle() {
            match self.exchange_over(connection, request).await {
                // The receiver closed it while it was idle, or while the request was on its
                // way: nothing was heard of this request, so it is sent once more.
                Err(failed) if failed.is_stale => {}
                Err(failed) => return Err(failed.failure),
                Ok(answer) => return Ok(answer),
            }
        }
        // On the heap, because it is rare and large: what is part of an attempt is moved with
        // it into its task.
        let connection = Box::pin(self.connect(origin)).await?;
        let answered = self.exchange_over(connection, request).await;
        answered.map_err(|failed| failed.failure)
    }

    /// A new connection, or one to share that another task has just made.
    async fn connect(&self, origin: &Arc<Origin>) -> Result<Connected, Failure> {
        let connecting = async {
            // Only one task at a time finds out whether the origin speaks HTTP/2.
            let _turn = origin.turn_to_connect().await;
            if let Some(shared) = origin.shared() {
                return Ok(shared);
            }
            let changes = self.connector.changes();
            let stream = self.connector.connect(origin).await?;
            let connected = exchange::handshake(stream, changes, &self.tasks).await?;
            if self.connector.changes() == changes {
                origin.remember(&connected);
            }
            Ok(connected)
        };
        let limit = self.connector.timeout();
        tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| {
            Err(Failure::new(
                Cause::Timeout,
                format!("no connection within {limit:?}"),
            ))
        })
    }

    async fn exchange_over(
        &self,
        connection: Connected,
        request: &Outgoing<'_>,
    ) -> Result<Answer, exchange::Failed> {
        let (answer, reusable) = connection.exchange(request).await?;
        if let Some(connection) = reusable
            && connection.changes == self.connector.changes()
        {
            self.idle.keep(&request.target.origin, connection);
        }
        Ok(answer)
    }

    /// Sends through another proxy from now on, or through none. What is under way ends as it
    /// began; no connection made before is used again.
    pub fn set_proxy(&self, proxy: Option<Proxy>) {
        self.connector.set_proxy(proxy);
        // Later than the last use of any.
        let all = tokio::time::Instant::now() + Duration::from_secs(1);
        let origins: Vec<_> = self.lock_origins().values().cloned().collect();
        for origin in origins {
            origin.sweep(all);
        }
    }

    /// Whether requests go through a proxy.
    pub fn has_proxy(&self) -> bool {
        self.connector.has_proxy()
    }

    /// Closes connections that have been idle for too long or that the receiver closed, and
    /// forgets origins that nobody sends to any more.
    pub fn sweep(&self) {
        let Some(oldest) = tokio::time::Instant::now().checked_sub(self.idle_timeout) else {
            return;
        };
        let origins: Vec<_> = self.lock_origins().values().cloned().collect();
        for origin in origins {
            origin.sweep(oldest);
        }
        self.lock_origins()
            .retain(|_, origin| Arc::strong_count(origin) > 1 || !origin.is_unused());
    }

    fn lock_origins(&self) -> MutexGuard<'_, HashMap<pool::Key, Arc<Origin>>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sweeps for as long as it is polled: `app` runs it beside the stages.
    pub async fn keep_swept(&self) -> std::convert::Infallible {
        let pause = (self.idle_timeout / 4).max(Duration::from_secs(1));
        loop {
            tokio::time::sleep(pause).await;
            self.sweep();
        }
    }

    /// Connections that are idle at present.
    pub fn idle_connections(&self) -> usize {
        self.idle.count()
    }
}

#[cfg(test)]
mod tests;
