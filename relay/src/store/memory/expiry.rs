//! Retention by tenant.

use async_trait::async_trait;

use super::MemoryStore;
use crate::model::id::{EventId, TenantId};
use crate::model::time::Timestamp;
use crate::store::{Error, Expiry, Pruned};

#[async_trait]
impl Expiry for MemoryStore {
    async fn expire(&self, kept_since: Vec<(TenantId, Timestamp)>, limit: usize) -> Result<Pruned, Error> {
        let mut tables = self.tables();
        let mut pruned = Pruned::default();
        for (tenant, since) in kept_since {
            let left = limit - pruned.events;
            let mut old = tables.removable(since, Some(tenant), left + 1);
            pruned.more |= old.len() > left;
            old.truncate(left);
            for event in old {
                pruned.events += 1;
                pruned.deliveries += tables.remove(event);
            }
        }
        Ok(pruned)
    }

    /// Nothing is overdue here: all is looked at each time.
    async fn expire_overdue(
        &self,
        _: Vec<(TenantId, Timestamp)>,
        _: EventId,
        _: usize,
    ) -> Result<(Pruned, Option<EventId>), Error> {
        Ok((Pruned::default(), None))
    }
}
