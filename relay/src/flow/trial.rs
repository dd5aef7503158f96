//! Tries an endpoint out: one sample, sent at once by the endpoint's own way out, recorded as a
//! test, and never sent again.
//!
//! It takes no permit and gives no sign: whether the receiver takes a sample says nothing of how
//! the endpoint is treated, and a disabled one can be tried before it is enabled.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::Instant;

use super::prepare::{Prepared, prepare};
use super::{Attempted, Flow};
use crate::deliver::Outlet;
use crate::deliver::header::Parsed;
use crate::deliver::message;
use crate::directory::{Directory, Door, Target};
use crate::ingest::Request;
use crate::ingest::map::Reader;
use crate::model::attempt::{Attempt, Cause, Outcome, Trigger};
use crate::model::delivery::{Progress, State};
use crate::model::event::{Envelope, Event};
use crate::model::id::{AttemptId, DeliveryId, SourceId};
use crate::model::message::Message;
use crate::plugins::Call;
use crate::store::{self, Record};

/// How long a trial may take, chain and requests together: whoever asked for it waits.
pub const TRIAL_MAX: Duration = Duration::from_secs(20);

const JSON: &str = "application/json";

/// What a trial sends.
#[derive(Debug, Clone)]
pub struct Sample {
    pub kind: String,
    /// JSON.
    pub data: Bytes,
    /// Whether it is the sample of its event type, which may be a platform's own post.
    pub is_typical: bool,
}

/// A request as it went out.
#[derive(Debug, Clone)]
pub struct Sent {
    pub headers: Vec<Parsed>,
    pub message: Message,
}

/// What came of a trial.
#[derive(Debug, Clone)]
pub struct Tried {
    pub delivery: DeliveryId,
    pub event: Arc<Event>,
    pub state: State,
    pub attempt: Attempt,
    /// One for each message.
    pub sent: Vec<Sent>,
}

impl Flow {
    /// Sends a sample to an endpoint by `outlet`, which is the endpoint's own, or leads to where
    /// its URL may lead later.
    ///
    /// # Errors
    /// If what came of it cannot be kept.
    pub async fn try_out(
        &self,
        directory: &Directory,
        target: &Target,
        outlet: &Outlet,
        sample: Sample,
    ) -> Result<Tried, store::Error> {
        let event = self.event_of(directory, target, sample);
        let delivery = event.id.delivery(0);
        let (started_at, watch) = (self.clock.now(), Instant::now());
        let mut sent = Vec::new();
        let attempting = self.attempt_once(directory, target, outlet, &event, &mut sent);
        let attempted = tokio::time::timeout(TRIAL_MAX, attempting)
            .await
            .unwrap_or_else(|_| Attempted::too_long());
        let attempt = Attempt {
            id: AttemptId::from_raw(self.ids.next(started_at)),
            number: 1,
            trigger: Trigger::Manual,
            started_at,
            duration_us: u64::try_from(watch.elapsed().as_micros()).unwrap_or(u64::MAX),
            outcome: attempted.outcome,
            plugins: attempted.plugins,
            log: attempted.log,
        };
        // From here on it is a test, whatever source the sample looked as if it came from.
        let event = Arc::new(Event {
            source: Some(SourceId::TEST),
            ..Event::clone(&event)
        });
        let record = record(target, &event, &attempt);
        let state = record.progress.state;
        self.store.keep_test(Arc::clone(&event), record).await?;
        Ok(Tried {
            delivery,
            event,
            state,
            attempt,
            sent,
        })
    }

    /// The sample as it would come in: by the first source that the endpoint wants, or the one that
    /// would make that type of it; else by the API.
    fn event_of(&self, directory: &Directory, target: &Target, sample: Sample) -> Arc<Event> {
        let now = self.clock.now();
        let endpoint = &target.endpoint;
        let named = |name: &String| directory.source(endpoint.tenant, name);
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(JSON))]);
        let post = Request {
            method: &Method::POST,
            path: "/",
            query: "",
            headers: &headers,
            body: &sample.data,
        };
        let reader = Reader::new(&post);
        let makes_it = |door: &&Arc<Door>| reader.envelope(&door.source).kind == sample.kind;
        let source = match endpoint.sources.first() {
            Some(name) => named(name),
            None if sample.is_typical => directory.doors_of(endpoint.tenant).find(makes_it),
            None => None,
        };
        let envelope = match source {
            Some(door) => reader.envelope(&door.source),
            None => Envelope {
                source: "test".to_owned(),
                content_type: Some(JSON.to_owned()),
                ..Envelope::default()
            },
        };
        Arc::new(Event {
            id: self.ids.event(now, 1),
            tenant: endpoint.tenant,
            source: source.map(|door| door.source.id),
            received_at: now,
            envelope: Envelope {
                kind: sample.kind,
                ..envelope
            },
            headers: Vec::new(),
            data: sample.data,
        })
    }

    async fn attempt_once(
        &self,
        directory: &Directory,
        target: &Target,
        outlet: &Outlet,
        event: &Arc<Event>,
        sent: &mut Vec<Sent>,
    ) -> Attempted {
        let call = Call {
            source: event.source.and_then(|id| directory.source_name(id)),
            delivery: Some(event.id.delivery(0)),
            attempt: 1,
        };
        let Prepared {
            mut messages,
            plugins,
            log,
        } = match prepare(target, event, event.id.delivery(0), call).await {
            Ok(prepared) => prepared,
            Err(ended) => return ended,
        };
        if target.endpoint.batch.is_some() {
            messages = message::batch::join_all(&target.endpoint, &messages);
        }
        let show = |message: &Message, headers: &[Parsed]| {
            sent.push(Sent {
                headers: headers.to_vec(),
                message: message.clone(),
            });
        };
        let policy = directory.policy(event.tenant);
        let outcome = outlet
            .send_showing(&self.sender, &mut messages, self.clock.as_ref(), policy, show)
            .await;
        Attempted {
            outcome,
            messages: None,
            plugins,
            log,
        }
    }
}

impl Attempted {
    fn too_long() -> Self {
        Self {
            outcome: Outcome::Unreachable {
                cause: Cause::Timeout,
                detail: format!("a test may take {TRIAL_MAX:?}, and it was not over by then"),
            },
            messages: None,
            plugins: Vec::new(),
            log: Vec::new(),
        }
    }
}

/// What is written of a trial: over, whatever came of it.
fn record(target: &Target, event: &Event, attempt: &Attempt) -> Record {
    let state = match &attempt.outcome {
        outcome if outcome.is_success() => State::Succeeded,
        Outcome::Dropped { .. } => State::Dropped,
        _ => State::Failed,
    };
    Record {
        delivery: event.id.delivery(0),
        event: event.id,
        endpoint: target.endpoint.id,
        tenant: event.tenant,
        attempts: 1,
        progress: Progress {
            state,
            due: None,
            reason: (state != State::Succeeded).then(|| attempt.outcome.summary()),
            attempt: Some(attempt.clone()),
            messages: None,
        },
    }
}
