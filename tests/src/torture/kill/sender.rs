//! Posts events at a fixed rate, whether the relay is there or not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::ledger::Ledger;
use crate::instance::ADMIN_KEY;

/// Connections that take turns.
const CONNECTIONS: u32 = 16;
/// An answer that takes longer is none: what became of the event is unknown.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Senders that run.
pub(super) struct Sender {
    /// Where the relay listens, while there is one.
    aim: watch::Sender<Option<SocketAddr>>,
    tasks: JoinSet<()>,
}

impl Sender {
    /// Starts sending so many events a second.
    pub(super) fn start(ledger: Arc<Ledger>, rate: u32) -> Self {
        let aim = watch::Sender::new(None);
        let numbers = Arc::new(AtomicU64::new(0));
        let every = Duration::from_secs(1) * CONNECTIONS / rate;
        let mut tasks = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (ledger, numbers) = (Arc::clone(&ledger), Arc::clone(&numbers));
            tasks.spawn(send(aim.subscribe(), numbers, ledger, every));
        }
        Self { aim, tasks }
    }

    /// Turns to another relay, or to none.
    pub(super) fn aim(&self, at: Option<SocketAddr>) {
        self.aim.send_replace(at);
    }

    /// Sends no more; what is under way is answered first.
    pub(super) async fn stop(self) {
        let Self { aim, tasks } = self;
        drop(aim);
        tasks.join_all().await;
    }
}

/// One connection: an event every so often, until nobody aims any more.
async fn send(
    mut aim: watch::Receiver<Option<SocketAddr>>,
    numbers: Arc<AtomicU64>,
    ledger: Arc<Ledger>,
    every: Duration,
) {
    let mut ticks = interval(every);
    // An open loop: what could not be sent in time is sent right afterwards.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut connection: Option<SendRequest<Full<Bytes>>> = None;
    loop {
        ticks.tick().await;
        if aim.has_changed().is_err() {
            return;
        }
        let Some(address) = *aim.borrow_and_update() else {
            connection = None;
            continue;
        };
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let open = match connection.take() {
            Some(open) if !open.is_closed() => Some(open),
            _ => connect(address).await,
        };
        let Some(mut open) = open else { continue };
        if let Ok(Some(id)) = timeout(ANSWER_MAX, post(&mut open, address, number)).await {
            ledger.accept(number, id);
            connection = Some(open);
        }
    }
}

async fn connect(address: SocketAddr) -> Option<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (requests, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    Some(requests)
}

/// The id of the event, if it was accepted.
async fn post(to: &mut SendRequest<Full<Bytes>>, address: SocketAddr, number: u64) -> Option<String> {
    let body = json!({"type": "order.paid", "id": format!("order-{number}"), "data": {"number": number}});
    let request = Request::post("/v1/events")
        .header("host", address.to_string())
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .ok()?;
    let response = to.send_request(request).await.ok()?;
    let status = response.status();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    let answer: Value = serde_json::from_slice(&body).ok()?;
    (status == 202).then(|| answer["id"].as_str().map(str::to_owned))?
}
