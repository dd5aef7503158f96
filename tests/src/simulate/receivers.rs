//! Receivers that follow a script.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rand::RngExt as _;
use rand::rngs::StdRng;
use relay::deliver::outcome::Failure;
use relay::deliver::send::{Answer, Outgoing, Wire};
use relay::model::attempt::Cause;
use serde_json::value::RawValue;

use super::world::World;

/// How a receiver is doing at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Answers this status.
    Erring(u16),
    /// Answers 429 and asks to wait for so many seconds.
    Limiting(u64),
    /// Answers 410 to some requests.
    Leaving,
    /// Takes connections and never answers.
    Hanging,
    /// Ends every connection.
    Resetting,
    /// Takes the message, but its answer gets lost, at times.
    Losing,
    /// Answers late, at times too late.
    Slow,
    /// Any of these.
    Fickle,
}

/// What it does with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answering {
    Status(u16),
    Limits(u64),
    Never,
    Resets,
    /// Takes the message, then ends the connection.
    Loses,
}

impl Mood {
    pub(super) fn draw_any(random: &mut StdRng) -> Self {
        match random.random_range(0..14) {
            0..4 => Self::Well,
            4 => Self::Erring(500),
            5 => Self::Erring([400, 404, 408, 502, 301][random.random_range(0..5)]),
            6 => Self::Limiting(random.random_range(0..2000)),
            7 => Self::Leaving,
            8 => Self::Hanging,
            9 => Self::Resetting,
            10 => Self::Losing,
            11 => Self::Slow,
            _ => Self::Fickle,
        }
    }

    /// A mood in which it answers each request in time, and has nothing against the pace.
    pub(super) fn draw_answering(random: &mut StdRng) -> Self {
        match random.random_bool(0.5) {
            true => Self::Erring(500),
            false => Self::Well,
        }
    }

    /// What it does with a request, and after how long.
    pub(super) fn draw(self, timeout: Duration, random: &mut StdRng) -> (Answering, Duration) {
        let quick = Duration::from_millis(random.random_range(0..200));
        let late = Duration::from_millis(
            random.random_range(0..=u64::try_from(timeout.as_millis()).unwrap_or(1) * 2),
        );
        let half = random.random_bool(0.5);
        match self {
            Self::Well => (Answering::Status(200), quick),
            Self::Erring(status) => (Answering::Status(status), quick),
            Self::Limiting(seconds) => (Answering::Limits(seconds), quick),
            Self::Leaving => (
                Answering::Status(if random.random_bool(0.3) { 410 } else { 200 }),
                quick,
            ),
            Self::Hanging => (Answering::Never, quick),
            Self::Resetting => (Answering::Resets, quick),
            Self::Losing if half => (Answering::Loses, quick),
            Self::Losing => (Answering::Status(204), quick),
            Self::Slow => (Answering::Status(200), late),
            Self::Fickle => match random.random_range(0..8) {
                0..3 => (Answering::Status(200), late / 2),
                3 => (Answering::Status(500), quick),
                4 => (Answering::Limits(random.random_range(0..100)), quick),
                5 => (Answering::Never, quick),
                6 => (Answering::Loses, quick),
                _ => (Answering::Resets, quick),
            },
        }
    }
}

/// All receivers: endpoint `e3` of the configuration is at `http://e3.test/`.
pub(super) struct Receivers(pub(super) Arc<World>);

impl std::fmt::Debug for Receivers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Receivers")
    }
}

#[async_trait]
impl Wire for Receivers {
    async fn exchange(&self, request: &Outgoing<'_>) -> Result<Answer, Failure> {
        let world = &self.0;
        let endpoint = endpoint(request);
        let messages = messages(request);
        let (id, body) = messages.first().expect("a request has a message");
        world.trace(format_args!(
            "e{endpoint} gets {id} and {} others",
            messages.len() - 1
        ));
        world.count(|counts| {
            counts.attempts += messages.len() as u64;
            counts.together += messages.len() as u64 - 1;
        });
        let now = world.time.now();
        let began = world.ledger().request_began(endpoint, id, body, now);
        world.expect(began);
        for (id, body) in &messages[1..] {
            let came = world.ledger().message_came(endpoint, id, body, now);
            world.expect(came);
        }
        let _under_way = UnderWay { world, endpoint, id };
        let (answering, after) = world.answer(endpoint, request.timeout);
        tokio::time::sleep(after).await;
        world.trace(format_args!("e{endpoint} {answering:?} to {id}"));
        let (status, retry_after) = match answering {
            Answering::Never => std::future::pending().await,
            Answering::Status(status) => (status, None),
            Answering::Limits(seconds) => (429, Some(seconds)),
            Answering::Resets | Answering::Loses => {
                return Err(Failure::new(Cause::Reset, "simulated"));
            }
        };
        for (id, _) in &messages {
            world.ledger().answered(id, status, retry_after);
        }
        let mut headers = HeaderMap::new();
        headers.extend(retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
        Ok(Answer {
            status: StatusCode::from_u16(status).unwrap_or_default(),
            headers,
            body: Vec::new(),
        })
    }
}

/// Ends with the request, however that ends.
struct UnderWay<'a> {
    world: &'a World,
    endpoint: usize,
    id: &'a str,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.world.ledger().request_ended(self.endpoint, self.id);
    }
}

fn endpoint(request: &Outgoing<'_>) -> usize {
    let host = request.target.uri().host().unwrap_or_default();
    let number = host.strip_prefix('e').and_then(|host| host.strip_suffix(".test"));
    number
        .and_then(|number| number.parse().ok())
        .expect("hosts are e0.test, e1.test …")
}

/// The messages of a request: id and body.
fn messages<'a>(request: &'a Outgoing<'_>) -> Vec<(&'a str, Cow<'a, [u8]>)> {
    let Some(ids) = header_of(request, "relay-message-ids") else {
        let id = header_of(request, "webhook-id").unwrap_or_default();
        return vec![(id, Cow::Borrowed(&request.body))];
    };
    let bodies: Vec<Box<RawValue>> = serde_json::from_slice(&request.body).expect("a list");
    let bodies = bodies
        .into_iter()
        .map(|body| Cow::Owned(body.get().as_bytes().to_vec()));
    ids.split(',').zip(bodies).collect()
}

fn header_of<'a>(request: &'a Outgoing<'_>, name: &str) -> Option<&'a str> {
    let (_, value) = request.headers.iter().find(|(known, _)| known == name)?;
    value.to_str().ok()
}
