//! A receiver of which one delivery in ten goes wrong, by seed: answered 500, reset before the
//! answer, or never answered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::ledger::Ledger;

/// A receiver that runs; gone when it is dropped.
pub(super) struct Target {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Target {
    /// Begins to listen.
    pub(super) fn start(ledger: Arc<Ledger>, seed: u64) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        listener.set_nonblocking(true).expect("a listener need not block");
        let listener = TcpListener::from_std(listener).expect("a runtime takes a listener");
        let address = listener.local_addr().expect("a listener has an address");
        let dice = Arc::new(Dice {
            seed,
            throws: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&ledger), Arc::clone(&dice)));
            }
        });
        Self { address, accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What a receiver does with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    Failed,
    Reset,
    Silent,
}

/// The number of a delivery decides on its fate.
struct Dice {
    seed: u64,
    throws: AtomicU64,
}

impl Dice {
    fn throw(&self) -> Fate {
        let throw = self.throws.fetch_add(1, Ordering::Relaxed);
        let mut random = StdRng::seed_from_u64(self.seed.wrapping_mul(0x9e37_79b9).wrapping_add(throw));
        match random.random_range(0..1000) {
            0..60 => Fate::Failed,
            60..98 => Fate::Reset,
            98..100 => Fate::Silent,
            _ => Fate::Taken,
        }
    }
}

/// An end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the receiver hangs up")]
struct HangsUp;

async fn serve(stream: TcpStream, ledger: Arc<Ledger>, dice: Arc<Dice>) {
    let answer = service_fn(|request: Request<Incoming>| {
        let (ledger, dice) = (Arc::clone(&ledger), Arc::clone(&dice));
        async move { answer(request, &ledger, &dice).await }
    });
    // A connection that breaks is what is wanted here.
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await
        .ok();
}

async fn answer(
    request: Request<Incoming>,
    ledger: &Ledger,
    dice: &Dice,
) -> Result<Response<Empty<Bytes>>, HangsUp> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| HangsUp)?.to_bytes();
    let mut response = Response::new(Empty::new());
    match dice.throw() {
        Fate::Taken => {}
        Fate::Failed => {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return Ok(response);
        }
        Fate::Reset => return Err(HangsUp),
        Fate::Silent => match std::future::pending::<Infallible>().await {},
    }
    let event: Value = serde_json::from_slice(&body).map_err(|_| HangsUp)?;
    let message = head.headers.get("webhook-id").and_then(|id| id.to_str().ok());
    let (Some(number), Some(message)) = (event["data"]["number"].as_u64(), message) else {
        return Err(HangsUp);
    };
    ledger.take(number, message.to_owned());
    Ok(response)
}
