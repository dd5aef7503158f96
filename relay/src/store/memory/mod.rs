//! A store in memory: for simulation and tests, with the same contract as the others.
//!
//! Plain maps under one mutex, never held across an await. It is durable exactly as long as
//! the value lives, so a simulated crash drops the relay and keeps the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::monitoring::{Bucket, Firing, FiringOf};
use super::{
    DedupeKey, Disabled, Failing, Job, Key, Named, RequestName, Retiring, Scope, SigningSecrets, Usage,
};
use crate::model::attempt::{Attempt, Trigger};
use crate::model::counts::Counts;
use crate::model::delivery::{Delivery, State};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, IdMaker, JobId, KeyId, SourceId, TenantId};
use crate::model::inspector::Inspector;
use crate::model::message::Messages;
use crate::model::path::Paths;
use crate::model::resource::Resource;
use crate::model::time::Timestamp;

mod audit;
mod deliveries;
mod events;
mod expiry;
mod insight;
mod jobs;
mod media;
mod monitoring;
mod keys;
mod plugins;
mod paths;
mod registry;
mod replies;
mod resources;
mod rules;
mod state;
mod usage;

/// Attempts of one delivery that are kept: the latest.
const ATTEMPTS_KEPT_MAX: usize = 100;

/// A store that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Tables>);

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// No method panics while it holds the lock, so a poisoned one guards sound tables.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that is kept; ordered by id wherever the order is asked for.
#[derive(Debug)]
struct Tables {
    events: BTreeMap<EventId, Stored>,
    deliveries: BTreeMap<DeliveryId, Row>,
    dedupe: HashMap<(TenantId, DedupeKey), (EventId, Timestamp)>,
    checkpoint: EventId,
    clock_ahead_ms: i64,
    /// The largest id that pruning removed.
    last_removed: i64,
    ids: IdMaker,
    names: HashMap<(TenantId, Named, String), i64>,
    secrets: HashMap<EndpointId, (TenantId, SigningSecrets)>,
    retiring: HashMap<EndpointId, (TenantId, Vec<Retiring>)>,
    paths: HashMap<SourceId, Paths>,
    disabled: BTreeMap<EndpointId, Disabled>,
    failing: BTreeMap<EndpointId, Failing>,
    keys: BTreeMap<KeyId, Key>,
    inspectors: Vec<Inspector>,
    media: media::Kept,
    plugins: BTreeMap<(TenantId, String), plugins::Plugin>,
    resources: BTreeMap<i64, Resource>,
    usage: BTreeMap<TenantId, Usage>,
    replies: HashMap<RequestName, replies::Claim>,
    audit: HashMap<TenantId, audit::Notes>,
    state: HashMap<Scope, BTreeMap<String, Value>>,
    rules: rules::Kept,
    /// Deliveries that their event did not plan.
    replayed: BTreeMap<EventId, Vec<DeliveryId>>,
    jobs: BTreeMap<JobId, Job>,
    counts: BTreeMap<Bucket, Counts>,
    firing: BTreeMap<FiringOf, Firing>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            events: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            dedupe: HashMap::new(),
            checkpoint: EventId::from_raw(0),
            clock_ahead_ms: 0,
            last_removed: 0,
            ids: IdMaker::new(0),
            names: HashMap::new(),
            secrets: HashMap::new(),
            retiring: HashMap::new(),
            paths: HashMap::new(),
            disabled: BTreeMap::new(),
            failing: BTreeMap::new(),
            keys: BTreeMap::new(),
            inspectors: Vec::new(),
            media: media::Kept::default(),
            plugins: BTreeMap::new(),
            resources: BTreeMap::new(),
            usage: BTreeMap::new(),
            replies: HashMap::new(),
            audit: HashMap::new(),
            state: HashMap::new(),
            rules: rules::Kept::default(),
            replayed: BTreeMap::new(),
            jobs: BTreeMap::new(),
            counts: BTreeMap::new(),
            firing: BTreeMap::new(),
        }
    }
}

/// An event and where it goes.
#[derive(Debug)]
struct Stored {
    event: Arc<Event>,
    endpoints: Vec<EndpointId>,
}

impl Stored {
    /// The deliveries it plans, in order.
    fn planned(&self) -> impl DoubleEndedIterator<Item = (DeliveryId, EndpointId)> {
        let id = self.event.id;
        self.endpoints
            .iter()
            .enumerate()
            .map(move |(number, &endpoint)| (id.delivery(number), endpoint))
    }

    /// The largest raw id that it or one of its deliveries has.
    fn last_raw(&self) -> i64 {
        self.planned()
            .next_back()
            .map_or_else(|| self.event.id.raw(), |(delivery, _)| delivery.raw())
    }
}

/// What there is to say of a delivery.
#[derive(Debug)]
struct Row {
    delivery: Delivery,
    trigger: Trigger,
    history: Vec<Attempt>,
    messages: Option<Messages>,
}

impl Row {
    /// When it is due, if it waits.
    fn waits_until(&self) -> Option<Timestamp> {
        self.delivery
            .due
            .filter(|_| self.delivery.state == State::Pending)
    }
}

/// A value of a plugin.
#[derive(Debug)]
struct Value {
    bytes: Vec<u8>,
    expires: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn keeps_the_contract() {
        contract::exercise(|| async { Arc::new(MemoryStore::new()) as Arc<dyn crate::store::Store> }).await;
    }
}
