//! What testing and diagnosis ask of a store.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Error, Record};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, InspectorId, TenantId};
use crate::model::inspector::Inspector;
use crate::model::time::Timestamp;

/// Attempts of an endpoint whose durations are told: the newest.
pub const DURATIONS_MAX: usize = 20;
/// Different event types that are told.
pub const TYPES_MAX: usize = 10_000;

/// What the newest deliveries and events of a tenant tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recent {
    /// Those of endpoints that had any. Tests do not count.
    pub endpoints: HashMap<EndpointId, Activity>,
    /// Deliveries made before were not looked at; `None`: all were.
    pub since: Option<Timestamp>,
    /// The types of the newest events.
    pub types: BTreeSet<String>,
    /// Whether these are the types of every event that is kept.
    pub has_all_types: bool,
}

/// What an endpoint has been doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// When the newest delivery was made.
    pub last_delivery: Option<Timestamp>,
    pub last_success: Option<Timestamp>,
    /// When a delivery last came to be failed, or was tried in vain.
    pub last_failure: Option<Timestamp>,
    /// How long the newest successful attempts took, at most [`DURATIONS_MAX`] of them.
    pub durations: Vec<Duration>,
}

/// See the module.
#[async_trait]
pub trait Insight: Send + Sync {
    /// Keeps a test that is over: its event, which goes to the record's endpoint alone, and the
    /// record. Both or none.
    async fn keep_test(&self, event: Arc<Event>, record: Record) -> Result<(), Error>;

    /// Where an event of a tenant was routed when it came in, in order; `None` if there is no
    /// such event.
    async fn planned(
        &self,
        tenant: TenantId,
        event: EventId,
    ) -> Result<Option<Vec<(DeliveryId, EndpointId)>>, Error>;

    /// Keeps an inspector.
    async fn add_inspector(&self, inspector: Inspector) -> Result<(), Error>;

    /// Every inspector of all tenants, oldest first.
    async fn inspectors(&self) -> Result<Vec<Inspector>, Error>;

    /// Forgets an inspector of a tenant.
    async fn remove_inspector(&self, tenant: TenantId, id: InspectorId) -> Result<(), Error>;

    /// What the newest deliveries and events of a tenant tell; a bounded number is looked at.
    async fn recent(&self, tenant: TenantId) -> Result<Recent, Error>;
}
