//! Connections that are kept for the next request to the same origin.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::ServerName;
use tokio::time::Instant;
use url::{Host, Url};

use super::exchange::{Connected, Http1, Http2};
use super::resolve::Lookup;
use crate::deliver::address::{self, UrlError};

/// What connections are kept by: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    is_tls: bool,
    host: Host,
    port: u16,
}

impl Key {
    pub(super) fn of(url: &Url) -> Result<Self, UrlError> {
        let host = url.host().ok_or(UrlError::Host)?.to_owned();
        // What leads to no other machine has no port.
        let none = (url.scheme() == address::LOCAL_SCHEME).then_some(0);
        let port = url.port_or_known_default().or(none).ok_or(UrlError::Port)?;
        Ok(Self {
            is_tls: url.scheme() == "https",
            host,
            port,
        })
    }

    /// One that no connection is kept by: mail has its own.
    pub(super) fn of_mail() -> Self {
        Self {
            is_tls: false,
            host: Host::Domain(String::new()),
            port: 0,
        }
    }

    /// Host and port as `Host` writes them: no port if it is the scheme's own.
    pub(super) fn authority(&self, url: &Url) -> String {
        match url.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }
}

/// One origin and its connections.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) host: Host,
    pub(super) port: u16,
    /// What the certificate has to be valid for; `None`: plain HTTP.
    pub(super) server_name: Option<ServerName<'static>>,
    /// HTTP/1.1 connections, the last used at the end: it is used next, so that those in
    /// excess grow old.
    idle: Mutex<Vec<Idle>>,
    /// The HTTP/2 connection, and when a request last took it.
    shared: Mutex<Option<(Http2, Instant)>>,
    /// Set once the origin chose HTTP/1.1, or can choose nothing else.
    is_http1: AtomicBool,
    connecting: tokio::sync::Mutex<()>,
    pub(super) lookup: Lookup,
}

impl Origin {
    pub(super) fn new(key: &Key) -> Result<Self, UrlError> {
        let server_name = match (&key.host, key.is_tls) {
            (_, false) => None,
            (Host::Domain(name), true) => Some(address::server_name(name)?),
            (Host::Ipv4(ip), true) => Some(ServerName::IpAddress((*ip).into())),
            (Host::Ipv6(ip), true) => Some(ServerName::IpAddress((*ip).into())),
        };
        Ok(Self {
            host: key.host.clone(),
            port: key.port,
            is_http1: AtomicBool::new(server_name.is_none()),
            server_name,
            idle: Mutex::default(),
            shared: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            lookup: Lookup::default(),
        })
    }

    /// A connection that was used before.
    pub(super) fn take_idle(&self) -> Option<Connected> {
        if let Some(idle) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Some(Connected::Http1(idle.connection));
        }
        self.shared()
    }

    /// The HTTP/2 connection, if there is one that lives.
    pub(super) fn shared(&self) -> Option<Connected> {
        if self.is_http1.load(Ordering::Relaxed) {
            return None;
        }
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (connection, used_at) = shared.as_mut()?;
        if connection.is_closed() {
            *shared = None;
            return None;
        }
        *used_at = Instant::now();
        Some(Connected::Http2(connection.clone().again()))
    }

    /// Waits while another task connects, if its connection could be shared.
    pub(super) async fn turn_to_connect(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if self.is_http1.load(Ordering::Relaxed) {
            return None;
        }
        let turn = self.connecting.lock().await;
        // The task before this one may have found that there is nothing to share.
        (!self.is_http1.load(Ordering::Relaxed)).then_some(turn)
    }

    /// Learns from a new connection what the origin speaks.
    pub(super) fn remember(&self, connected: &Connected) {
        match connected {
            // A server of several minds is asked anew once its HTTP/1.1 connections are gone.
            Connected::Http1(_) => self.is_http1.store(true, Ordering::Relaxed),
            Connected::Http2(connection) => {
                *self.shared.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((connection.clone(), Instant::now()));
            }
        }
    }

    /// Whether no connection is kept.
    pub(super) fn is_unused(&self) -> bool {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
            && self
                .shared
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_none()
    }

    /// Closes connections that were last used before `oldest` or that the receiver closed,
    /// and asks again what the origin speaks when none is left.
    pub(super) fn sweep(&self, oldest: Instant) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        // Requests under way on it go on; it ends after the last one.
        shared.take_if(|(connection, used_at)| connection.is_closed() || *used_at < oldest);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain_mut(|idle| idle.since >= oldest && idle.connection.is_open());
        if idle.is_empty() && self.server_name.is_some() {
            self.is_http1.store(false, Ordering::Relaxed);
        }
    }
}

/// A connection that waits for its next request.
#[derive(Debug)]
pub(super) struct Idle {
    connection: Box<Http1>,
    since: Instant,
    _slot: Slot,
}

/// How many connections may wait.
#[derive(Debug)]
pub(super) struct IdleLimits {
    per_origin: usize,
    total: usize,
    count: Arc<AtomicUsize>,
}

impl IdleLimits {
    pub(super) fn new(per_origin: usize, total: usize) -> Self {
        Self {
            per_origin,
            total,
            count: Arc::default(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Keeps a connection for the next request, or closes it if enough are kept.
    pub(super) fn keep(&self, origin: &Origin, connection: Box<Http1>) {
        let Some(slot) = self.slot() else { return };
        let idle = Idle {
            connection,
            since: Instant::now(),
            _slot: slot,
        };
        let mut kept = origin.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < self.per_origin {
            kept.push(idle);
        }
    }

    fn slot(&self) -> Option<Slot> {
        if self.count.fetch_add(1, Ordering::Relaxed) < self.total {
            return Some(Slot(Arc::clone(&self.count)));
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

/// One place among all idle connections, free again when dropped.
#[derive(Debug)]
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
