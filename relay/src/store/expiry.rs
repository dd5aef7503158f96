//! Retention by tenant: what some keep for less time than the store keeps everything.

use async_trait::async_trait;

use super::{Error, Pruned};
use crate::model::id::{EventId, TenantId};
use crate::model::time::Timestamp;

/// See the module. Of the tenants that are named, events from before the time given go, with all that
/// belongs to them, like those that [`EventStore::prune`](super::EventStore::prune) removes: none
/// that has a delivery still to be made.
#[async_trait]
pub trait Expiry: Send + Sync {
    /// Removes up to `limit` events. Looked at is what has become old enough since the last time, and
    /// not while others wait to write.
    async fn expire(&self, kept_since: Vec<(TenantId, Timestamp)>, limit: usize) -> Result<Pruned, Error>;

    /// Looks again at up to `limit` events, from behind one, that were old enough and had to stay;
    /// behind which to go on, if there are more.
    async fn expire_overdue(
        &self,
        kept_since: Vec<(TenantId, Timestamp)>,
        after: EventId,
        limit: usize,
    ) -> Result<(Pruned, Option<EventId>), Error>;
}
