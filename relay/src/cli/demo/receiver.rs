//! The demo's receiver: verifies every signature, fails where it is told to, counts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::super::listen::Arrival;
use crate::app::App;
use crate::crypto::standard_webhooks::VerifyingKey;
use crate::model::secret::Secret;

/// The endpoint that fails before it takes a message.
const FLAKY: &str = "billing";
/// The endpoint whose answer a platform waits for, and the answer.
const ASKED: (&str, &str) = ("/auto-reply", r#"{"say":"We are on it"}"#);
/// How often it fails.
const FAILURES: usize = 2;

/// What came for one endpoint.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    /// Requests that were answered with success.
    pub(super) taken: usize,
    /// Requests that were answered with 500 on purpose.
    pub(super) failed: usize,
    /// Requests whose signature was not valid.
    pub(super) forged: usize,
    /// Attempts at one message that did not carry the same bytes.
    pub(super) altered: usize,
    /// The first body that was taken.
    pub(super) sample: Bytes,
}

#[derive(Default)]
struct Inner {
    keys: HashMap<String, Vec<VerifyingKey>>,
    tallies: HashMap<String, Tally>,
    /// The first body that came under each message id, and how often it came.
    seen: HashMap<String, (Bytes, usize)>,
}

pub(super) struct Receiver {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Receiver {
    /// Listens on a free port of loopback until the program ends.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("the demo's receiver cannot listen")?;
        let receiver = Self {
            address: listener.local_addr()?,
            inner: Arc::default(),
        };
        tokio::spawn(accept(listener, Arc::clone(&receiver.inner)));
        Ok(receiver)
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Learns what each endpoint signs with.
    pub(super) fn expect_signatures(&self, app: &App) -> anyhow::Result<()> {
        let mut inner = lock(&self.inner);
        for target in app.directories.current().targets() {
            let secret = target
                .shared_secret()
                .context("an endpoint of the demo has no secret")?;
            let key = VerifyingKey::parse(&Secret::new(secret))?;
            inner.keys.insert(target.endpoint.name.clone(), vec![key]);
        }
        Ok(())
    }

    /// What came for an endpoint.
    pub(super) fn tally(&self, endpoint: &str) -> Tally {
        lock(&self.inner)
            .tallies
            .get(endpoint)
            .cloned()
            .unwrap_or_default()
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, inner: Arc<Mutex<Inner>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let inner = Arc::clone(&inner);
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(request, Arc::clone(&inner)));
            // A relay that closes its connection is nothing to report.
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await
                .ok();
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    inner: Arc<Mutex<Inner>>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let arrival = Arrival::read(request)
        .await
        .ok_or_else(|| std::io::Error::other("the body broke off"))?;
    let mut response = Response::new(Full::default());
    *response.status_mut() = lock(&inner).take(&arrival);
    if response.status().is_success() && arrival.path == ASKED.0 {
        *response.status_mut() = StatusCode::OK;
        *response.body_mut() = Full::from(ASKED.1);
    }
    Ok(response)
}

impl Inner {
    fn take(&mut self, arrival: &Arrival) -> StatusCode {
        let endpoint = arrival.path.trim_start_matches('/').to_owned();
        let genuine = self
            .keys
            .get(&endpoint)
            .is_some_and(|keys| arrival.verify(keys).is_ok());
        let (first, times) = self
            .seen
            .entry(arrival.header("webhook-id").to_owned())
            .or_insert_with(|| (arrival.body.clone(), 0));
        *times += 1;
        let is_altered = *first != arrival.body;
        let is_early = endpoint == FLAKY && *times <= FAILURES;
        let tally = self.tallies.entry(endpoint).or_default();
        tally.altered += usize::from(is_altered);
        if !genuine {
            tally.forged += 1;
            return StatusCode::UNAUTHORIZED;
        }
        if is_early {
            tally.failed += 1;
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        if tally.taken == 0 {
            tally.sample = arrival.body.clone();
        }
        tally.taken += 1;
        StatusCode::NO_CONTENT
    }
}
