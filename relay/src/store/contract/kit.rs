//! What the rules are told with: times, events, records.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::attempt::{Attempt, Outcome, Trigger};
use crate::model::delivery::{Progress, State};
use crate::model::event::{Envelope, Event};
use crate::model::id::{AttemptId, DeliveryId, EndpointId, IdMaker, TenantId};
use crate::model::message::{Message, Messages};
use crate::model::time::Timestamp;
use crate::store::{Accepted, Begins, Due, DueBatch, Error, NewEvent, Planned, Record, Store};

pub(super) const TENANT: TenantId = TenantId::DEFAULT;
pub(super) const OTHER_TENANT: TenantId = TenantId::from_raw(2);
pub(super) const ENDPOINT: EndpointId = EndpointId::from_raw(101);
pub(super) const OTHER_ENDPOINT: EndpointId = EndpointId::from_raw(102);

/// A moment, in milliseconds after the suite's own beginning of time.
pub(super) fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(1_770_000_000_000) + Duration::from_millis(ms)
}

/// The value of a call that has to work.
#[track_caller]
pub(super) fn done<T>(outcome: Result<T, Error>) -> T {
    outcome.expect("a store that works")
}

/// Makes the events of one rule.
pub(super) struct Maker(IdMaker);

impl Maker {
    pub(super) const fn new() -> Self {
        Self(IdMaker::new(0))
    }

    /// A plain event that came in at `ms`, routed to these endpoints.
    pub(super) fn event(&self, ms: u64, endpoints: &[EndpointId]) -> NewEvent {
        let event = Event {
            id: self.0.event(at(ms), endpoints.len()),
            tenant: TENANT,
            source: None,
            received_at: at(ms),
            envelope: Envelope {
                source: "shop".to_owned(),
                kind: "invoice.paid".to_owned(),
                ..Envelope::default()
            },
            headers: Vec::new(),
            data: Bytes::from_static(br#"{"total":1}"#),
        };
        let deliveries = endpoints
            .iter()
            .map(|&endpoint| Planned {
                endpoint,
                begins: Begins::InMemory,
            })
            .collect();
        NewEvent {
            event: Arc::new(event),
            deliveries,
            dedupe: None,
            rules: None,
        }
    }

    /// The same, all of whose deliveries wait.
    pub(super) fn waiting(&self, ms: u64, endpoints: &[EndpointId]) -> NewEvent {
        let mut new = self.event(ms, endpoints);
        new.deliveries
            .iter_mut()
            .for_each(|planned| planned.begins = Begins::Waiting);
        new
    }
}

/// The same event, changed.
pub(super) fn with(mut new: NewEvent, change: impl FnOnce(&mut Event)) -> NewEvent {
    change(Arc::make_mut(&mut new.event));
    new
}

/// Accepts events that have to be new.
pub(super) async fn accept(store: &Arc<dyn Store>, events: &[&NewEvent]) {
    let events: Vec<_> = events.iter().copied().cloned().collect();
    let count = events.len();
    let now = events.first().map_or_else(|| at(0), |new| new.event.received_at);
    assert_eq!(done(store.accept(events, now).await), vec![Accepted::New; count]);
}

/// Attempt `number`, begun at `ms`; the status tells them apart.
pub(super) fn attempt(number: u32, ms: u64, status: u16) -> Attempt {
    Attempt {
        id: AttemptId::from_raw(i64::from(number)),
        number,
        trigger: Trigger::Scheduled,
        started_at: at(ms),
        duration_us: 2_500,
        outcome: Outcome::Responded {
            status,
            excerpt: "ok".to_owned(),
            retry_after_ms: None,
            declined: false,
            by_mail: false,
        },
        plugins: Vec::new(),
        log: Vec::new(),
    }
}

/// A record of the event's delivery number `index`, without an attempt.
pub(super) fn record(
    new: &NewEvent,
    index: usize,
    attempts: u32,
    state: State,
    due: Option<Timestamp>,
) -> Record {
    Record {
        delivery: new.event.id.delivery(index),
        event: new.event.id,
        endpoint: new.deliveries[index].endpoint,
        tenant: new.event.tenant,
        attempts,
        progress: Progress {
            state,
            due,
            reason: None,
            attempt: None,
            messages: None,
        },
    }
}

/// A success at attempt `number`.
pub(super) fn success(new: &NewEvent, index: usize, number: u32, ms: u64) -> Record {
    let mut record = record(new, index, number, State::Succeeded, None);
    record.progress.attempt = Some(attempt(number, ms, 200));
    record
}

/// A failure at attempt `number`, to be tried again at `due`.
pub(super) fn failure(new: &NewEvent, index: usize, number: u32, ms: u64, due: u64) -> Record {
    let mut record = record(new, index, number, State::Pending, Some(at(due)));
    record.progress.reason = Some("http_5xx".to_owned());
    record.progress.attempt = Some(attempt(number, ms, 503));
    record
}

/// Two messages, the first of which has arrived.
pub(super) fn messages() -> Messages {
    let message = |id: &str| Message {
        id: id.to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Bytes::from_static(b"\x00\xff frozen"),
    };
    Messages {
        list: vec![message("msg_1"), message("msg_2")],
        sent: 1,
    }
}

/// What is due for [`ENDPOINT`] at `ms`, nothing skipped.
pub(super) async fn due(store: &Arc<dyn Store>, ms: u64) -> DueBatch {
    done(store.due(ENDPOINT, at(ms), HashSet::new(), 100).await)
}

/// Their ids.
pub(super) fn ids(due: &[Due]) -> Vec<DeliveryId> {
    due.iter().map(|due| due.delivery).collect()
}
