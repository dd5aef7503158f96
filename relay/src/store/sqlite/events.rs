//! Events: the trait, from calls to jobs and reads.

use std::sync::Arc;

use async_trait::async_trait;

use super::accept::{self, Offer};
use super::job::Weight;
use super::{SqliteStore, listing, prune};
use crate::model::event::Event;
use crate::model::id::{EventId, TenantId};
use crate::model::page::{Listed, Page};
use crate::model::time::Timestamp;
use crate::store::{Accepted, Error, EventFilter, EventStore, NewEvent, Pruned};

#[async_trait]
impl EventStore for SqliteStore {
    async fn accept(&self, events: Vec<NewEvent>, now: Timestamp) -> Result<Vec<Accepted>, Error> {
        let offers = events
            .into_iter()
            .map(|new| Offer::new(new, &self.losses))
            .collect::<Result<Vec<_>, _>>()?;
        if offers.is_empty() {
            return Ok(Vec::new());
        }
        let weight = accept::weight(&offers);
        self.writer
            .run(weight, move |session| accept::accept(session, &offers, now))
            .await
    }

    async fn event(&self, tenant: TenantId, id: EventId) -> Result<Option<Arc<Event>>, Error> {
        self.readers
            .run(move |connection| listing::event(connection, tenant, id))
            .await
    }

    async fn events(
        &self,
        tenant: TenantId,
        filter: EventFilter,
        page: Page,
    ) -> Result<Listed<Arc<Event>>, Error> {
        self.readers
            .run(move |connection| listing::events(connection, tenant, &filter, page))
            .await
    }

    async fn prune(
        &self,
        before: Timestamp,
        dedupe_before: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> Result<Pruned, Error> {
        let bounds = prune::Bounds {
            before,
            dedupe_before,
            now,
            limit,
        };
        self.writer
            .run(Weight::SMALL, move |session| prune::prune(session, bounds))
            .await
    }

    fn health(&self) -> Result<(), Error> {
        self.writer.health()
    }

    async fn last_raw_id(&self) -> Result<i64, Error> {
        self.readers.run(accept::last_raw_id).await
    }
}
