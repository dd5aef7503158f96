//! Keeps whole exchanges with a receiver for a while, for whoever develops one.
//!
//! In memory alone, and only where somebody has asked for it. All other attempts cost one look at a
//! flag.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Flow;
use crate::deliver::header::Parsed;
use crate::directory::Target;
use crate::model::attempt::Outcome;
use crate::model::id::{DeliveryId, EndpointId};
use crate::model::message::{Message, Messages};
use crate::model::policy::Policy;
use crate::model::time::Timestamp;
use crate::queue::Job;

/// Endpoints whose exchanges are kept at once.
pub const CAPTURES_MAX: usize = 16;
/// Exchanges that are kept of one: the newest.
pub const EXCHANGES_MAX: usize = 50;
/// Requests of one exchange that are kept: the first.
const REQUESTS_MAX: usize = 8;
/// Bytes of a request's body that are kept.
const BODY_BYTES_MAX: usize = 16 << 10;
/// How long what was kept can be looked at after the last exchange was.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// One attempt with all that went out.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Grows with each.
    pub number: i64,
    pub at: Timestamp,
    pub delivery: DeliveryId,
    pub attempt: u32,
    pub duration: Duration,
    pub requests: Vec<Request>,
    pub outcome: Outcome,
}

/// A request as it went out.
#[derive(Debug, Clone)]
pub struct Request {
    pub headers: Vec<Parsed>,
    /// The beginning of it.
    pub body: Bytes,
    /// Of the whole body.
    pub bytes: usize,
}

impl Request {
    fn of(message: &Message, headers: &[Parsed]) -> Self {
        let beginning = &message.body[..message.body.len().min(BODY_BYTES_MAX)];
        Self {
            headers: headers.to_vec(),
            // Copied: a part would keep the whole alive.
            body: Bytes::copy_from_slice(beginning),
            bytes: message.body.len(),
        }
    }
}

/// Whose exchanges are kept, and those that were.
#[derive(Debug, Default)]
pub struct Captures {
    /// Whether there is any, for all who need not look closer.
    is_any: AtomicBool,
    kept: Mutex<HashMap<EndpointId, Capture>>,
}

#[derive(Debug)]
struct Capture {
    until: Timestamp,
    last: i64,
    /// Oldest first.
    exchanges: VecDeque<Exchange>,
}

impl Captures {
    /// Begins to keep the exchanges of an endpoint; goes on if it had begun. False if there are as
    /// many as there may be.
    pub fn begin(&self, endpoint: EndpointId, now: Timestamp, until: Timestamp) -> bool {
        let mut kept = self.kept_at(now);
        if kept.len() >= CAPTURES_MAX && !kept.contains_key(&endpoint) {
            return false;
        }
        let capture = kept.entry(endpoint).or_insert_with(|| Capture {
            until,
            last: 0,
            exchanges: VecDeque::new(),
        });
        capture.until = until;
        self.is_any.store(true, Ordering::Relaxed);
        true
    }

    /// Ends it and forgets what was kept; false if nothing was.
    pub fn end(&self, endpoint: EndpointId) -> bool {
        let mut kept = self.lock();
        let was = kept.remove(&endpoint).is_some();
        self.is_any.store(!kept.is_empty(), Ordering::Relaxed);
        was
    }

    /// Until when exchanges are kept, and those that were, newest first.
    pub fn of(&self, endpoint: EndpointId, now: Timestamp) -> Option<(Timestamp, Vec<Exchange>)> {
        let kept = self.kept_at(now);
        let capture = kept.get(&endpoint)?;
        Some((capture.until, capture.exchanges.iter().rev().cloned().collect()))
    }

    fn wants(&self, endpoint: EndpointId, now: impl FnOnce() -> Timestamp) -> bool {
        if !self.is_any.load(Ordering::Relaxed) {
            return false;
        }
        let now = now();
        let kept = self.kept_at(now);
        kept.get(&endpoint).is_some_and(|capture| capture.until > now)
    }

    /// What is kept still; the rest is forgotten.
    fn kept_at(&self, now: Timestamp) -> MutexGuard<'_, HashMap<EndpointId, Capture>> {
        let mut kept = self.lock();
        kept.retain(|_, capture| capture.until + KEPT_FOR > now);
        self.is_any.store(!kept.is_empty(), Ordering::Relaxed);
        kept
    }

    fn keep(&self, endpoint: EndpointId, exchange: Exchange) {
        let mut kept = self.lock();
        let Some(capture) = kept.get_mut(&endpoint) else {
            return;
        };
        capture.last += 1;
        if capture.exchanges.len() == EXCHANGES_MAX {
            capture.exchanges.pop_front();
        }
        capture.exchanges.push_back(Exchange {
            number: capture.last,
            ..exchange
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EndpointId, Capture>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flow {
    /// Sends what there is to send, and keeps the exchange if somebody wants to see it.
    pub(super) async fn dispatch(
        &self,
        target: &Target,
        messages: &mut Messages,
        job: &Job,
        policy: Policy,
    ) -> Outcome {
        if self.captures.wants(target.endpoint.id, || self.clock.now()) {
            // On the heap, because it is rare: what is part of an attempt is moved with it.
            return Box::pin(self.send_and_keep(target, messages, job, policy)).await;
        }
        let clock = self.clock.as_ref();
        target.outlet.send(&self.sender, messages, clock, policy).await
    }

    async fn send_and_keep(
        &self,
        target: &Target,
        messages: &mut Messages,
        job: &Job,
        policy: Policy,
    ) -> Outcome {
        let (at, watch) = (self.clock.now(), Instant::now());
        let mut requests = Vec::new();
        let show = |message: &Message, headers: &[Parsed]| {
            if requests.len() < REQUESTS_MAX {
                requests.push(Request::of(message, headers));
            }
        };
        let clock = self.clock.as_ref();
        let sending = target
            .outlet
            .send_showing(&self.sender, messages, clock, policy, show);
        let outcome = sending.await;
        let exchange = Exchange {
            number: 0,
            at,
            delivery: job.delivery,
            attempt: job.attempts + 1,
            duration: watch.elapsed(),
            requests,
            outcome: outcome.clone(),
        };
        self.captures.keep(target.endpoint.id, exchange);
        outcome
    }
}
