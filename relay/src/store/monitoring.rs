//! What monitoring asks of a store: counts, alerts that fire, and what should have come.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::Error;
use crate::model::counts::Counts;
use crate::model::delivery::State;
use crate::model::event::Event;
use crate::model::event_type::Pattern;
use crate::model::id::{AlertId, DeliveryId, EndpointId, EventId, TenantId};
use crate::model::time::Timestamp;

/// Events that one page of [`Monitoring::expected`] may look at.
pub const EVENTS_SEEN_MAX: usize = 20_000;

/// How finely things are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Minute,
    Hour,
}

impl Step {
    /// How long one is, in milliseconds.
    pub const fn ms(self) -> i64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }

    /// The beginning of the one that a time is in.
    pub const fn floor(self, time: Timestamp) -> Timestamp {
        let ms = time.as_millis();
        Timestamp::from_millis(ms - ms.rem_euclid(self.ms()))
    }
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    pub tenant: TenantId,
    /// The raw id of an endpoint or a source; 0: events posted to the API.
    pub subject: i64,
    pub step: Step,
    /// Its beginning.
    pub at: Timestamp,
    /// The event type.
    pub kind: String,
}

/// What counts are added up over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// One sum for each step of time, by its beginning in milliseconds.
    Time,
    /// One sum for each subject, by its raw id.
    Subject,
}

/// Which counts are asked for.
#[derive(Debug, Clone)]
pub struct CountsAsked {
    pub tenant: TenantId,
    pub subjects: Vec<i64>,
    /// Event types; empty: all.
    pub types: Vec<Pattern>,
    pub step: Step,
    /// Steps that begin at or after.
    pub since: Timestamp,
    /// Steps that begin before.
    pub until: Timestamp,
    pub by: By,
}

/// What waits for an endpoint in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    pub count: u64,
    /// The one whose event came first.
    pub oldest: Option<DeliveryId>,
}

/// A delivery that an event was routed to, whatever became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub delivery: DeliveryId,
    pub event: EventId,
    pub kind: String,
    pub received_at: Timestamp,
    /// Pending if it has no row yet.
    pub state: State,
}

/// Some of them, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectedPage {
    pub items: Vec<Expected>,
    /// The last event looked at; ask again after it. `None` at the end.
    pub next: Option<EventId>,
}

/// Whose deliveries are asked for, and when their events were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedAsked {
    pub tenant: TenantId,
    pub endpoint: EndpointId,
    /// Events after this one.
    pub after: EventId,
    /// Accepted before.
    pub until: Timestamp,
    /// How many are wanted, about: all of the last event are given.
    pub limit: usize,
}

/// A delivery that waits to be fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfetched {
    pub delivery: DeliveryId,
    pub due: Timestamp,
    pub event: Arc<Event>,
}

/// An alert that fires, for one endpoint or for all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Firing {
    pub since: Timestamp,
    /// When it was told last.
    pub told_at: Timestamp,
    /// What was measured when it was told last.
    pub value: f64,
}

/// Whom an alert fires for: the raw id of an endpoint, 0 for all.
pub type FiringOf = (AlertId, i64);

/// See the module.
#[async_trait]
pub trait Monitoring: Send + Sync {
    /// Adds to what is counted. All or none.
    async fn add_counts(&self, counts: &[(Bucket, Counts)]) -> Result<(), Error>;

    /// What was counted, added up; only what is not empty.
    async fn counts(&self, asked: CountsAsked) -> Result<BTreeMap<i64, Counts>, Error>;

    /// Forgets up to `limit` buckets of a step that began before then; how many.
    async fn forget_counts(&self, step: Step, before: Timestamp, limit: usize) -> Result<usize, Error>;

    /// What waits for an endpoint with a row.
    async fn pending(&self, endpoint: EndpointId) -> Result<Pending, Error>;

    /// The deliveries that events were routed to for an endpoint, in the order of acceptance.
    async fn expected(&self, asked: ExpectedAsked) -> Result<ExpectedPage, Error>;

    /// Up to `limit` deliveries of an endpoint that wait, after the given one, in the order in
    /// which they became due.
    async fn unfetched(
        &self,
        endpoint: EndpointId,
        after: Option<(Timestamp, DeliveryId)>,
        limit: usize,
    ) -> Result<Vec<Unfetched>, Error>;

    /// Ends deliveries of an endpoint that wait: who fetched them has them. Those that do not wait
    /// stay as they are. How many it ended.
    async fn fetched(
        &self,
        endpoint: EndpointId,
        deliveries: Vec<DeliveryId>,
        now: Timestamp,
    ) -> Result<usize, Error>;

    /// Remembers that an alert fires, or with `None` that it does not.
    async fn set_firing(&self, of: FiringOf, firing: Option<Firing>) -> Result<(), Error>;

    /// The alerts that fire.
    async fn firing(&self) -> Result<Vec<(FiringOf, Firing)>, Error>;
}
