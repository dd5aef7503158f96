//! Work over many deliveries or events, done in bites that survive a restart.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DeliveryFilter, Error, EventFilter};
use crate::model::audit::Deed;
use crate::model::delivery::Delivery;
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, JobId, TenantId};
use crate::model::page::{Listed, Page};
use crate::model::time::Timestamp;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// One more attempt for each delivery.
    Retry { which: Deliveries },
    /// Calls deliveries off.
    Cancel { which: Deliveries },
    /// Sends events again, as new deliveries.
    Replay {
        endpoint: EndpointId,
        which: EventFilter,
        /// Only those that the endpoint wants by its present definition.
        only_wanted: bool,
    },
    /// Overwrites what was stored of events.
    Erase {
        which: EventFilter,
        member: Option<Member>,
    },
}

impl Work {
    /// The word for it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Cancel { .. } => "cancel",
            Self::Replay { .. } => "replay",
            Self::Erase { .. } => "erase",
        }
    }

    /// The same, without what an erasure was to find: it must not be what keeps it.
    #[must_use]
    pub fn forgotten(&self) -> Self {
        match self {
            Self::Erase { which, .. } => Self::Erase {
                which: EventFilter {
                    text: None,
                    ..which.clone()
                },
                member: None,
            },
            other => other.clone(),
        }
    }
}

/// Which deliveries a job is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deliveries {
    /// These, in the order of their ids.
    These(Vec<DeliveryId>),
    Matching(DeliveryFilter),
}

/// A member of a payload and its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Where it stands: a JSON Pointer (RFC 6901).
    pub pointer: String,
    pub equals: Value,
}

impl Member {
    /// Whether a payload has it.
    pub fn is_in(&self, data: &[u8]) -> bool {
        serde_json::from_slice::<Value>(data)
            .is_ok_and(|data| data.pointer(&self.pointer) == Some(&self.equals))
    }
}

/// Whether a job goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    Running,
    /// Everything was looked at.
    Done,
    /// Someone called it off; what it has done stays.
    Cancelled,
}

impl JobState {
    const ALL: [Self; 3] = [Self::Running, Self::Done, Self::Cancelled];

    /// The word used everywhere outside.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// The number it is stored as.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The state stored as that number.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub tenant: TenantId,
    pub work: Work,
    pub state: JobState,
    /// How many it is about; `None`: too many to count beforehand.
    pub total: Option<u32>,
    /// How many it has done.
    pub done: u32,
    /// How many could not be done, or not any more.
    pub failed: u32,
    /// Deliveries a second at most; `None`: as fast as it goes.
    pub rate: Option<f64>,
    /// The last raw id that was looked at.
    pub cursor: i64,
    /// It is about raw ids below this one: not about what came later.
    pub before: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// What came of starting a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    Done,
    /// The tenant has as many that run as it may; nothing was written.
    TooMany,
}

/// A part of a job, to be done and remembered in one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub job: JobId,
    /// Where the job stands as far as the caller knows.
    pub from: i64,
    /// Where it stands then.
    pub to: i64,
    pub bite: Bite,
    /// How many could not be done, apart from those that the store finds.
    pub failed: u32,
    /// Whether it is the last.
    pub ends: bool,
    /// By the wall clock.
    pub now: Timestamp,
    /// By the steady clock, by which deliveries are due.
    pub steady: Timestamp,
}

/// What is done in one step.
#[derive(Debug, Clone, PartialEq)]
pub enum Bite {
    /// Makes them due, unless they are pending already.
    Retry(Vec<DeliveryId>),
    /// Counts what was called off already.
    Count(u32),
    /// Makes these new deliveries of old events, due at once.
    Replay {
        endpoint: EndpointId,
        deliveries: Vec<(DeliveryId, EventId)>,
    },
    /// Overwrites what was stored of these events with a tombstone. Their deliveries have been
    /// called off.
    Erase(Vec<EventId>),
}

impl Bite {
    /// How many it is about in the store.
    pub const fn len(&self) -> usize {
        match self {
            Self::Retry(deliveries) => deliveries.len(),
            Self::Count(_) => 0,
            Self::Replay { deliveries, .. } => deliveries.len(),
            Self::Erase(events) => events.len(),
        }
    }

    /// Whether the store has nothing to do but to remember it.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a step has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stepped {
    pub done: u32,
    pub failed: u32,
    /// The endpoints for which something waits now.
    pub endpoints: Vec<EndpointId>,
}

/// Raw ids behind the first and below the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub after: i64,
    pub before: i64,
}

/// A walk along a list, oldest first, as far as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Walked<T> {
    pub items: Vec<T>,
    /// The last raw id looked at, behind which the walk goes on; `None` at the end.
    pub next: Option<i64>,
}

/// What recovery asks of a store.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Up to `limit` events of a tenant, oldest first. It looks at a bounded number.
    async fn events_after(
        &self,
        tenant: TenantId,
        filter: EventFilter,
        span: Span,
        limit: usize,
    ) -> Result<Walked<Arc<Event>>, Error>;

    /// Up to `limit` deliveries of a tenant that have a row, oldest first. It looks at a bounded
    /// number.
    async fn deliveries_after(
        &self,
        tenant: TenantId,
        filter: DeliveryFilter,
        span: Span,
        limit: usize,
    ) -> Result<Walked<Delivery>, Error>;

    /// Makes new deliveries of an old event of a tenant, due at `now`; whether the event is there.
    async fn replay(
        &self,
        tenant: TenantId,
        event: EventId,
        deliveries: Vec<(DeliveryId, EndpointId)>,
        now: Timestamp,
    ) -> Result<bool, Error>;

    /// Keeps a new job with the note of it, if the tenant has fewer than `running_max` that run.
    /// Forgets jobs that ended before `forget_before`.
    async fn start_job(
        &self,
        job: Job,
        running_max: usize,
        forget_before: Timestamp,
        deed: Option<Deed>,
    ) -> Result<Started, Error>;

    /// One job of a tenant.
    async fn job(&self, tenant: TenantId, id: JobId) -> Result<Option<Job>, Error>;

    /// Jobs of a tenant, newest first.
    async fn jobs(&self, tenant: TenantId, page: Page) -> Result<Listed<Job>, Error>;

    /// Every job of all tenants that runs, oldest first.
    async fn running_jobs(&self) -> Result<Vec<Job>, Error>;

    /// Does a step of a job and remembers it, all or nothing. `None`: the job does not run any
    /// more, or stands elsewhere; nothing was done.
    async fn step(&self, step: Step) -> Result<Option<Stepped>, Error>;

    /// Calls a job off, if it runs; whether it did.
    async fn cancel_job(&self, tenant: TenantId, id: JobId, now: Timestamp) -> Result<bool, Error>;
}
