//! Tests that are kept, and what the newest rows tell.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::MemoryStore;
use crate::model::delivery::State;
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, InspectorId, TenantId};
use crate::model::inspector::Inspector;
use crate::store::insight::DURATIONS_MAX;
use crate::store::{Begins, Error, Insight, NewEvent, Planned, Recent, Record};

#[async_trait]
impl Insight for MemoryStore {
    async fn keep_test(&self, event: Arc<Event>, record: Record) -> Result<(), Error> {
        let now = event.received_at;
        let planned = Planned {
            endpoint: record.endpoint,
            begins: Begins::InMemory,
        };
        let mut tables = self.tables();
        tables.accept(
            NewEvent {
                event,
                deliveries: vec![planned],
                dedupe: None,
                rules: None,
            },
            now,
        );
        tables.record(record);
        Ok(())
    }

    async fn planned(
        &self,
        tenant: TenantId,
        event: EventId,
    ) -> Result<Option<Vec<(DeliveryId, EndpointId)>>, Error> {
        let tables = self.tables();
        let stored = tables.events.get(&event);
        let stored = stored.filter(|stored| stored.event.tenant == tenant);
        Ok(stored.map(|stored| stored.planned().collect()))
    }

    async fn add_inspector(&self, inspector: Inspector) -> Result<(), Error> {
        self.tables().inspectors.push(inspector);
        Ok(())
    }

    async fn inspectors(&self) -> Result<Vec<Inspector>, Error> {
        Ok(self.tables().inspectors.clone())
    }

    async fn remove_inspector(&self, tenant: TenantId, id: InspectorId) -> Result<(), Error> {
        let is_other = |known: &Inspector| known.id != id || known.tenant != tenant;
        self.tables().inspectors.retain(is_other);
        Ok(())
    }

    async fn recent(&self, tenant: TenantId) -> Result<Recent, Error> {
        let tables = self.tables();
        let mut recent = Recent {
            has_all_types: true,
            ..Recent::default()
        };
        let events = tables.events.values().map(|stored| &stored.event);
        let events = events.filter(|event| event.tenant == tenant && !event.is_test());
        recent.types = events.map(|event| event.envelope.kind.clone()).collect();
        for row in tables.deliveries.values().rev() {
            let delivery = &row.delivery;
            if delivery.tenant != tenant || delivery.test {
                continue;
            }
            let activity = recent.endpoints.entry(delivery.endpoint).or_default();
            activity.last_delivery = activity.last_delivery.max(Some(delivery.id.made_at()));
            let is_failure =
                delivery.state == State::Failed || delivery.state == State::Pending && delivery.attempts > 0;
            if is_failure {
                activity.last_failure = activity.last_failure.max(Some(delivery.updated_at));
            }
            if delivery.state == State::Succeeded {
                activity.last_success = activity.last_success.max(Some(delivery.updated_at));
                if activity.durations.len() < DURATIONS_MAX {
                    let last = row.history.last();
                    let took = last.map(|attempt| Duration::from_micros(attempt.duration_us));
                    activity.durations.extend(took);
                }
            }
        }
        Ok(recent)
    }
}
