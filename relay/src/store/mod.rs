//! Where everything durable lives, as a seam in domain verbs.
//!
//! Traits by caller, joined by [`Store`] and used as `Arc<dyn Store>`. Each method is
//! one atomic step; there is no begin, no commit and no SQL here. Expected results are
//! values; [`Error`] is only what the caller cannot prevent. Time comes as an argument: the
//! steady clock's wherever something waits or is remembered for a while, so for `now` and `due`
//! of deliveries and dedupe keys; else the wall clock's.
//! Every store passes the suite in [`contract`].

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::attempt::{Attempt, Trigger};
use crate::model::audit::Deed;
use crate::model::delivery::{Delivery, Progress, State};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, TenantId};
use crate::model::message::Messages;
use crate::model::page::{Listed, Page};
use crate::model::resource::{Kind, Resource};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

pub use audit::{Audit, AuditFilter, Chain, ChainHash, Chained, Link, chain_hash};
pub use replies::{Claimed, Fingerprint, REPLIES_MAX, Replies, Reply, RequestName};
pub use rules::{
    Act, DueTimers, Effect, KeptKey, RuleBounds, RuleEffects, RuleLosses, RuleState, RuleVersion, Timer,
    TimerId,
};

mod audit;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod expiry;
mod filter;
pub mod insight;
mod jobs;
mod keys;
mod media;
pub mod memory;
pub mod monitoring;
mod plugins;
mod paths;
mod replies;
pub mod rules;
pub mod seal;
pub mod sqlite;
mod state;
mod usage;

pub use expiry::Expiry;
pub use filter::{BadText, DeliveryFilter, EventFilter, Q_BYTES_MAX, Text};
pub use insight::{Activity, Insight, Recent};
pub use jobs::{Bite, Deliveries, Job, JobState, Jobs, Member, Span, Started, Step, Stepped, Walked, Work};
pub use keys::{Key, KeyCount, KeyFilter, KeyRing, Role};
pub use media::{MEDIA_BYTES_MIN, MediaDigest, MediaFile, MediaFiles, MediaReserved, MediaRoom};
pub use monitoring::Monitoring;
pub use paths::SourcePaths;
pub use plugins::{NewVersion, PluginChange, Uploaded, UploadedVersion, Uploads};
pub use state::{PluginState, STATE_BYTES_MAX, Scope, Written};
pub use usage::{Metering, Owned, Usage};

/// All that a relay keeps.
pub trait Store:
    EventStore
    + Expiry
    + DeliveryQueue
    + Jobs
    + Registry
    + SourcePaths
    + KeyRing
    + Resources
    + Metering
    + PluginState
    + Uploads
    + MediaFiles
    + RuleState
    + Insight
    + Monitoring
    + Replies
    + Audit
{
}

impl<T> Store for T where
    T: EventStore
        + Expiry
        + DeliveryQueue
        + Jobs
        + Registry
        + SourcePaths
        + KeyRing
        + Resources
        + Metering
        + PluginState
        + Uploads
        + MediaFiles
        + RuleState
        + Insight
        + Monitoring
        + Replies
        + Audit
{
}

/// What the caller of a store cannot prevent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// It may work later: locked for too long, I/O error, shutting down.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The disk is full; frees itself when space returns.
    #[error("the store is full: {0}")]
    Full(String),
    /// Something read back is not what was written.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
    /// The store was written by another version.
    #[error("the store has schema {found}, this relay knows up to {known}; use a newer relay")]
    Schema { found: i64, known: i64 },
    /// None of the master keys opens it.
    #[error("the store is sealed with the master key {master}, which is not given; {remedy}")]
    Sealed { master: String, remedy: String },
}

// ---- events ----------------------------------------------------------------------------

/// An event to accept, with the deliveries it was routed to.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub event: Arc<Event>,
    /// One delivery each, in order: the id of number `n` is `event.id.delivery(n)`.
    pub deliveries: Vec<Planned>,
    /// Events with the same key are one and the same, within the window.
    pub dedupe: Option<DedupeKey>,
    /// What rules make of it; boxed, since most events are of no rule.
    pub rules: Option<Box<RuleEffects>>,
}

/// A delivery that an event is routed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    pub endpoint: EndpointId,
    pub begins: Begins,
}

/// Where a delivery begins, and so what is written of it in its event's commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// In memory: nothing is written before its first record.
    InMemory,
    /// In the store (backlog, disabled endpoint): a pending row, due at once.
    Waiting,
    /// With its sender, who waits for the answer, so that it is never made later: a failed row,
    /// until a record says what came of it.
    Called,
}

impl Begins {
    /// The state and the reason of the row that is written, if one is.
    pub const fn row(self) -> Option<(State, Option<&'static str>)> {
        match self {
            Self::InMemory => None,
            Self::Waiting => Some((State::Pending, None)),
            Self::Called => Some((State::Failed, Some(CALLED))),
        }
    }
}

/// Why a delivery has failed whose call was not recorded.
pub const CALLED: &str =
    "called, and what came of it is not recorded: the call is under way, or the relay stopped in its middle";

/// A digest of what makes two posts the same event: source and the sender's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DedupeKey(pub [u8; 16]);

/// What became of an event that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is durable now.
    New,
    /// It was accepted before, under this id; nothing was written.
    Duplicate(EventId),
    /// It comes of a timer that was cancelled or moved; nothing was written.
    Outdated,
}

/// How much one bite of pruning removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    pub events: usize,
    pub deliveries: usize,
    /// Whether there is more to remove.
    pub more: bool,
}

/// What ingest and the log ask of a store.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Accepts all events or none. Durable when it returns: a crash right afterwards loses
    /// nothing. The answers are in the order of the events. A dedupe key seen before within
    /// its window yields `Duplicate` for that event alone; two equal keys in one call are
    /// duplicates of each other.
    async fn accept(&self, events: Vec<NewEvent>, now: Timestamp) -> Result<Vec<Accepted>, Error>;

    /// One event of a tenant.
    async fn event(&self, tenant: TenantId, id: EventId) -> Result<Option<Arc<Event>>, Error>;

    /// Events of a tenant, newest first.
    async fn events(
        &self,
        tenant: TenantId,
        filter: EventFilter,
        page: Page,
    ) -> Result<Listed<Arc<Event>>, Error>;

    /// Removes up to `limit` of the oldest events accepted before `before`, with their
    /// deliveries and attempts; events with a pending delivery or an armed timer stay. Also removes dedupe
    /// keys seen before `dedupe_before` and plugin state past its time, up to `limit` each.
    async fn prune(
        &self,
        before: Timestamp,
        dedupe_before: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> Result<Pruned, Error>;

    /// Whether writes go through at present; why not, if the last did not and it was not its own
    /// fault.
    fn health(&self) -> Result<(), Error>;

    /// The largest event or delivery id ever stored, as a raw number; 0 in an empty store.
    async fn last_raw_id(&self) -> Result<i64, Error>;
}

// ---- deliveries ------------------------------------------------------------------------

/// Where a delivery stands now, to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub delivery: DeliveryId,
    pub event: EventId,
    pub endpoint: EndpointId,
    pub tenant: TenantId,
    /// Attempts so far, this one included.
    pub attempts: u32,
    pub progress: Progress,
}

impl Record {
    /// Says only that a delivery waits, due at `now`: written if there is no row yet.
    pub fn waiting(delivery: DeliveryId, event: &Event, endpoint: EndpointId, now: Timestamp) -> Self {
        Self {
            delivery,
            event: event.id,
            endpoint,
            tenant: event.tenant,
            attempts: 0,
            progress: Progress {
                state: State::Pending,
                due: Some(now),
                reason: None,
                attempt: None,
                messages: None,
            },
        }
    }
}

/// A delivery whose time has come, read back from the store.
#[derive(Debug, Clone)]
pub struct Due {
    pub delivery: DeliveryId,
    pub event: Arc<Event>,
    pub endpoint: EndpointId,
    pub due: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// What sets the attempt off.
    pub trigger: Trigger,
    /// Since when it has been owed: the event came in, or a replay was asked for.
    pub owed_since: Timestamp,
    /// What to send, if an earlier attempt froze it.
    pub messages: Option<Messages>,
}

/// What is due for an endpoint.
#[derive(Debug, Clone, Default)]
pub struct DueBatch {
    /// Earliest due first, then in order of acceptance.
    pub due: Vec<Due>,
    /// When the next waiting delivery after these becomes due: in the past if more are due
    /// already, `None` if none waits.
    pub next: Option<Timestamp>,
    /// Deliveries that are due but cannot be read; the log says what is wrong with each.
    pub damaged: Vec<DeliveryId>,
}

/// An event some of whose deliveries have no row yet: they were in flight when the relay
/// stopped.
#[derive(Debug, Clone)]
pub struct Unfinished {
    pub event: Arc<Event>,
    pub deliveries: Vec<(DeliveryId, EndpointId)>,
}

/// A page of [`Unfinished`] events, oldest first.
#[derive(Debug, Clone, Default)]
pub struct UnfinishedPage {
    pub events: Vec<Unfinished>,
    /// The last event looked at; ask again after it. `None` at the end.
    pub next: Option<EventId>,
}

/// What came of asking for one more attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// It is pending and due now.
    Waits(EndpointId),
    /// It has no row yet: its first attempt is still to come or under way.
    InFlight,
    /// There is no such delivery in this tenant.
    Unknown,
}

/// What the queue, the delivery and the log ask of a store.
#[async_trait]
pub trait DeliveryQueue: Send + Sync {
    /// Writes where deliveries stand: inserts the row or moves it, and keeps the attempt.
    /// All or none. A record that is pending and bears no attempt only says that a delivery
    /// waits: it changes nothing if there is a row already, since that row knows better.
    async fn record(&self, records: &[Record]) -> Result<(), Error>;

    /// Up to `limit` deliveries of an endpoint that are pending and due at `now`, those in
    /// `skip` left out.
    async fn due(
        &self,
        endpoint: EndpointId,
        now: Timestamp,
        skip: HashSet<DeliveryId>,
        limit: usize,
    ) -> Result<DueBatch, Error>;

    /// Fails deliveries of which not enough can be read to attempt them. Those that are not
    /// pending stay as they are.
    async fn give_up(&self, deliveries: Vec<DeliveryId>, reason: &str, now: Timestamp) -> Result<(), Error>;

    /// Cancels up to `limit` deliveries of an endpoint that wait in the store, with ids below
    /// `before`; how many.
    async fn cancel_all(
        &self,
        endpoint: EndpointId,
        before: DeliveryId,
        limit: usize,
        reason: &str,
        now: Timestamp,
    ) -> Result<usize, Error>;

    /// Cancels those of these deliveries of a tenant that are pending, with a row or without;
    /// which. An attempt under way is the last: what is [recorded](Self::record) of it later
    /// stands, but does not make the delivery pending again.
    async fn cancel(
        &self,
        tenant: TenantId,
        deliveries: Vec<DeliveryId>,
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<(DeliveryId, EndpointId)>, Error>;

    /// Endpoints with pending rows and when the earliest of each is due.
    async fn waiting(&self) -> Result<Vec<(EndpointId, Timestamp)>, Error>;

    /// Events after `after`, oldest first, that have deliveries without a row; looks at up
    /// to `limit` events.
    async fn unfinished(&self, after: EventId, limit: usize) -> Result<UnfinishedPage, Error>;

    /// Remembers that every delivery of every event up to `upto` has a row.
    async fn set_checkpoint(&self, upto: EventId) -> Result<(), Error>;

    /// What [`Self::set_checkpoint`] was last told; the smallest id if nothing.
    async fn checkpoint(&self) -> Result<EventId, Error>;

    /// Remembers by how many milliseconds the wall clock is ahead of the steady one, by which
    /// due times are told.
    async fn set_clock_ahead(&self, ms: i64) -> Result<(), Error>;

    /// What [`Self::set_clock_ahead`] was last told; 0 if nothing.
    async fn clock_ahead(&self) -> Result<i64, Error>;

    /// Deliveries of a tenant, newest first.
    async fn deliveries(
        &self,
        tenant: TenantId,
        filter: DeliveryFilter,
        page: Page,
    ) -> Result<Listed<Delivery>, Error>;

    /// One delivery of a tenant; pending if it has no row yet but its event plans it.
    async fn delivery(&self, tenant: TenantId, id: DeliveryId) -> Result<Option<Delivery>, Error>;

    /// The attempts of a delivery, first to last; empty when there is none.
    async fn attempts(&self, tenant: TenantId, id: DeliveryId) -> Result<Vec<Attempt>, Error>;

    /// Makes a delivery that has a row, in whatever state, pending and due at `now`, its
    /// next attempt marked as manual. Frozen messages stay frozen.
    async fn retry(&self, tenant: TenantId, id: DeliveryId, now: Timestamp) -> Result<Retried, Error>;
}

// ---- registry --------------------------------------------------------------------------

/// A kind of named thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Named {
    Source,
    Endpoint,
    Rule,
    EventType,
    Alert,
}

/// An endpoint's own signing secrets, made when it was first seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSecrets {
    /// `whsec_…`: the HMAC-SHA256 secret.
    pub symmetric: Secret,
    /// `whsk_…`: the Ed25519 seed and public key.
    pub asymmetric: Secret,
}

/// A secret that was replaced, and signs beside its successor until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retiring {
    pub secret: Secret,
    pub until: Timestamp,
}

/// What becomes of an endpoint's own signing secrets; `None`: they stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    pub own: Option<SigningSecrets>,
    /// All that retire from now on.
    pub retiring: Vec<Retiring>,
}

/// Why an endpoint gets nothing at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled {
    pub at: Timestamp,
    pub reason: String,
}

/// What a receiver has failed at since its last success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// When the first attempt failed.
    pub since: Timestamp,
    /// Failures since then; one read back may be less than there were.
    pub failures: u32,
    /// The percents of the way to being disabled that were told last; 0: none.
    pub warned: u8,
}

/// What start-up and the management API ask of a store.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The ids under which these names are known in a tenant, in order; names seen for the
    /// first time get an id of their own, made at `now`.
    async fn identify(
        &self,
        tenant: TenantId,
        kind: Named,
        names: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<i64>, Error>;

    /// An endpoint's own signing secrets; the first caller's `fresh` ones are kept.
    async fn signing_secrets(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        fresh: SigningSecrets,
    ) -> Result<SigningSecrets, Error>;

    /// Secrets of an endpoint that were replaced and still sign, some of them past their time.
    async fn retiring_secrets(&self, endpoint: EndpointId) -> Result<Vec<Retiring>, Error>;

    /// Replaces an endpoint's signing secrets, and what retires with them. All or none.
    async fn rotate_secrets(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        rotation: Rotation,
    ) -> Result<(), Error>;

    /// Disables an endpoint, or with `None` enables it again.
    async fn set_disabled(&self, endpoint: EndpointId, disabled: Option<Disabled>) -> Result<(), Error>;

    /// The endpoints that are disabled at present.
    async fn disabled(&self) -> Result<Vec<(EndpointId, Disabled)>, Error>;

    /// Remembers what receivers have failed at; `None` forgets it. All or none.
    async fn set_failing(&self, failing: &[(EndpointId, Option<Failing>)]) -> Result<(), Error>;

    /// What receivers have failed at.
    async fn failing(&self) -> Result<Vec<(EndpointId, Failing)>, Error>;
}

// ---- resources -------------------------------------------------------------------------

/// What came of saving a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    Done,
    /// Another living resource of that kind and tenant has the name; nothing was written.
    NameTaken,
    /// Its revision is not the one after what is kept; nothing was written.
    Changed,
}

/// Which resources are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Living,
    Deleted,
}

/// What the management of resources asks of a store.
#[async_trait]
pub trait Resources: Send + Sync {
    /// An id that no name and no resource has.
    fn fresh_id(&self, now: Timestamp) -> i64;

    /// Keeps a resource, new or changed: its revision has to be the one after that which is
    /// kept, 1 if there is none. The deed is noted in the same step, if it is done.
    async fn save(&self, resource: Resource, deed: Option<Deed>) -> Result<Saved, Error>;

    /// One resource of a tenant, deleted or not.
    async fn resource(&self, tenant: TenantId, kind: Kind, id: i64) -> Result<Option<Resource>, Error>;

    /// Resources of a tenant, newest first.
    async fn resources(
        &self,
        tenant: TenantId,
        kind: Kind,
        which: Which,
        page: Page,
    ) -> Result<Listed<Resource>, Error>;

    /// Every resource of all tenants that is not deleted, oldest first. Those that are damaged are
    /// left out, and logged.
    async fn living(&self) -> Result<Vec<Resource>, Error>;

    /// Whether that is the id of a resource that was deleted, itself or with its tenant.
    async fn is_deleted(&self, id: i64) -> Result<bool, Error>;

    /// Forgets up to `limit` deleted resources, with the secrets and the state that belonged to
    /// them: those deleted before then, and the oldest of those that are more than `kept_max` of
    /// one kind in one tenant. With a tenant goes all that it has but its log. How many.
    async fn forget_resources(
        &self,
        deleted_before: Timestamp,
        kept_max: usize,
        limit: usize,
    ) -> Result<usize, Error>;
}
