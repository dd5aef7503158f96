//! Receivers that misbehave, as data: what each does, and what the relay has to record of it.
//!
//! Each is served by the byte, without an HTTP library that would be too polite.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::{BACKLOG, Closed};

mod kinds;
mod serve;

pub use kinds::kinds;

/// A way to misbehave.
#[derive(Debug, Clone)]
pub struct Kind {
    /// What the endpoint is called.
    pub name: &'static str,
    pub act: Act,
    /// What the attempt may be recorded as.
    pub expected: Expected,
    /// Whether it gets a second event after the first, which it has to take as well.
    pub again: bool,
}

/// What the relay may record of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The receiver took it, however oddly.
    Success,
    /// One of these error classes: where the network may be faster or slower there are several.
    Class(&'static [&'static str]),
}

/// What a receiver does.
#[derive(Debug, Clone)]
pub enum Act {
    /// Nobody listens.
    Refuse,
    /// No such name.
    Nameless,
    /// Does this with a connection, before a byte is read.
    AtOnce(Speech),
    /// Reads a request and does this.
    Answer(Speech),
    /// Shakes hands with this certificate, and answers 200.
    Tls(Certified),
    /// Does this where a TLS handshake is expected.
    InsteadOfTls(Speech),
}

/// What a receiver says, and how it ends.
#[derive(Debug, Clone)]
pub struct Speech {
    pub words: Vec<u8>,
    pub end: End,
}

/// What comes after the words.
#[derive(Debug, Clone)]
pub enum End {
    /// The next request.
    Next,
    /// Nothing: the connection stays open, and nothing is read from it.
    Silence,
    /// The orderly end of the connection.
    Close,
    /// Its end in one direction: it still reads.
    HalfClose,
    /// A reset.
    Reset,
    /// These bytes, again and again, as fast as they are taken.
    Repeat(Vec<u8>),
    /// These bytes, again and again, one at a time.
    Drip(&'static [u8]),
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certified {
    OtherName,
    Expired,
    SelfSigned,
    UnknownAuthority,
}

/// A receiver that misbehaves in one way; gone when it is dropped.
#[derive(Debug)]
pub struct Misbehaving {
    pub kind: Kind,
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    /// A port that nobody listens on stays taken.
    _closed: Option<Closed>,
    accepting: Option<JoinHandle<()>>,
}

impl Misbehaving {
    /// Starts one.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn start(kind: Kind) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let closed = Closed::new();
        let mut receiver = Self {
            url: kind.url(&closed),
            kind,
            requests,
            _closed: None,
            accepting: None,
        };
        if matches!(receiver.kind.act, Act::Refuse | Act::Nameless) {
            receiver._closed = Some(closed);
        } else {
            let listener = closed.0.listen(BACKLOG).expect("a bound socket can listen");
            let serve = accept(
                listener,
                receiver.kind.act.clone(),
                Arc::clone(&receiver.requests),
            );
            receiver.accepting = Some(tokio::spawn(serve));
        }
        receiver
    }

    /// The URL for an endpoint.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The heads of the requests that came, TLS aside.
    pub fn requests(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Kind {
    fn url(&self, at: &Closed) -> String {
        let plain = at.url();
        match self.act {
            Act::Nameless => "http://nowhere.invalid/".to_owned(),
            Act::Tls(_) | Act::InsteadOfTls(_) => plain.replace("http:", "https:"),
            Act::Refuse | Act::AtOnce(_) | Act::Answer(_) => plain,
        }
    }
}

impl Drop for Misbehaving {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

/// Serves each connection in a task that ends with this one.
async fn accept(listener: TcpListener, act: Act, requests: Arc<Mutex<Vec<String>>>) {
    let own = listener.local_addr().expect("a listener has an address");
    let act = Arc::new(serve::Prepared::new(&act, own));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve::connection(stream, Arc::clone(&act), Arc::clone(&requests)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
