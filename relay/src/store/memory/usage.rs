//! What limited tenants send and have stored, and whose things are.

use std::collections::HashSet;

use async_trait::async_trait;

use super::{MemoryStore, Tables};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, TenantId};
use crate::model::time::Timestamp;
use crate::store::{Error, Metering, Owned, Usage};

#[async_trait]
impl Metering for MemoryStore {
    async fn meter(&self, tenants: Vec<TenantId>, now: Timestamp) -> Result<Vec<(TenantId, Usage)>, Error> {
        let mut tables = self.tables();
        for tenant in tenants {
            if !tables.usage.contains_key(&tenant) {
                let usage = tables.count(tenant, now);
                tables.usage.insert(tenant, usage);
            }
        }
        Ok(tables
            .usage
            .iter()
            .map(|(tenant, usage)| (*tenant, *usage))
            .collect())
    }

    async fn meter_only(&self, tenants: Vec<TenantId>) -> Result<(), Error> {
        let wanted: HashSet<_> = tenants.into_iter().collect();
        self.tables().usage.retain(|tenant, _| wanted.contains(tenant));
        Ok(())
    }

    async fn usage(&self) -> Result<Vec<(TenantId, Usage)>, Error> {
        let tables = self.tables();
        Ok(tables
            .usage
            .iter()
            .map(|(tenant, usage)| (*tenant, *usage))
            .collect())
    }

    async fn owner(&self, owned: Owned) -> Result<Option<TenantId>, Error> {
        let tables = self.tables();
        Ok(match owned {
            Owned::Event(id) => tables.events.get(&id).map(|stored| stored.event.tenant),
            Owned::Delivery(id) => tables.owner_of_delivery(id),
            Owned::Key(id) => tables.keys.get(&id).map(|key| key.tenant),
            Owned::Job(id) => tables.jobs.get(&id).map(|job| job.tenant),
            Owned::Inspector(id) => {
                let found = tables.inspectors.iter().find(|inspector| inspector.id == id);
                found.map(|inspector| inspector.tenant)
            }
            Owned::Media(id) => tables.owner_of_media(id),
            Owned::Resource(id) => tables.owner_of_resource(id),
        })
    }
}

impl Tables {
    /// What is there already of a tenant.
    fn count(&self, tenant: TenantId, now: Timestamp) -> Usage {
        let mut usage = Usage {
            day: Usage::day_of(now),
            ..Usage::default()
        };
        let events = self.events.values().map(|stored| &stored.event);
        for event in events.filter(|event| event.tenant == tenant) {
            usage.bytes += event.data.len() as u64;
            usage.events += u64::from(Usage::day_of(event.received_at) == usage.day);
        }
        usage
    }

    /// Counts an event that was accepted.
    pub(super) fn count_accepted(&mut self, event: &Event) {
        if let Some(usage) = self.usage.get_mut(&event.tenant) {
            usage.add(event.received_at, event.data.len() as u64);
        }
    }

    /// Takes off an event that was removed.
    pub(super) fn take_off(&mut self, event: &Event) {
        if let Some(usage) = self.usage.get_mut(&event.tenant) {
            usage.bytes = usage.bytes.saturating_sub(event.data.len() as u64);
        }
    }

    fn owner_of_delivery(&self, id: DeliveryId) -> Option<TenantId> {
        if let Some(row) = self.deliveries.get(&id) {
            return Some(row.delivery.tenant);
        }
        let (_, stored) = self.events.range(..EventId::from_raw(id.raw())).next_back()?;
        let is_planned = stored.planned().any(|(delivery, _)| delivery == id);
        is_planned.then_some(stored.event.tenant)
    }

    fn owner_of_resource(&self, id: i64) -> Option<TenantId> {
        let named = || {
            let mut names = self.names.iter();
            names
                .find(|(_, known)| **known == id)
                .map(|((tenant, ..), _)| *tenant)
        };
        self.resources.get(&id).map(|found| found.tenant).or_else(named)
    }
}
