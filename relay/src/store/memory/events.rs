//! Events.

use std::sync::Arc;

use async_trait::async_trait;

use super::{MemoryStore, Row, Stored, Tables, Value};
use crate::model::attempt::Trigger;
use crate::model::delivery::{Delivery, State};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, TenantId, first_raw_at};
use crate::model::page::{LIMIT_MAX, Listed, Page};
use crate::model::time::Timestamp;
use crate::store::{Accepted, Error, EventFilter, EventStore, NewEvent, Pruned};

#[async_trait]
impl EventStore for MemoryStore {
    async fn accept(&self, events: Vec<NewEvent>, now: Timestamp) -> Result<Vec<Accepted>, Error> {
        let mut tables = self.tables();
        if let Some(taken) = events
            .iter()
            .find(|new| tables.events.contains_key(&new.event.id))
        {
            return Err(Error::Unavailable(format!(
                "there is an event {} already",
                taken.event.id
            )));
        }
        Ok(events.into_iter().map(|new| tables.accept(new, now)).collect())
    }

    async fn event(&self, tenant: TenantId, id: EventId) -> Result<Option<Arc<Event>>, Error> {
        let tables = self.tables();
        let event = tables
            .events
            .get(&id)
            .filter(|stored| stored.event.tenant == tenant);
        Ok(event.map(|stored| Arc::clone(&stored.event)))
    }

    async fn events(
        &self,
        tenant: TenantId,
        filter: EventFilter,
        page: Page,
    ) -> Result<Listed<Arc<Event>>, Error> {
        let tables = self.tables();
        let (from, below) = span(filter.since, filter.until, page);
        let range = EventId::from_raw(from)..EventId::from_raw(below.max(from));
        let events = tables.events.range(range).rev().map(|(_, stored)| &stored.event);
        let wanted = events.filter(|event| event.tenant == tenant && filter.wants(event));
        Ok(list(
            wanted.map(|event| (event.id.raw(), Arc::clone(event))),
            page,
        ))
    }

    async fn prune(
        &self,
        before: Timestamp,
        dedupe_before: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> Result<Pruned, Error> {
        let mut tables = self.tables();
        let mut pruned = Pruned::default();
        let mut old = tables.removable(before, None, limit + 1);
        pruned.more = old.len() > limit;
        old.truncate(limit);
        for event in old {
            pruned.events += 1;
            pruned.deliveries += tables.remove(event);
        }
        tables.dedupe.retain(|_, (_, seen_at)| *seen_at >= dedupe_before);
        for values in tables.state.values_mut() {
            values.retain(|_, value| value.is_live(now));
        }
        Ok(pruned)
    }

    fn health(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn last_raw_id(&self) -> Result<i64, Error> {
        let tables = self.tables();
        let event = tables
            .events
            .last_key_value()
            .map_or(0, |(_, stored)| stored.last_raw());
        let delivery = tables.deliveries.last_key_value().map_or(0, |(id, _)| id.raw());
        Ok(event.max(delivery).max(tables.last_removed))
    }
}

impl Tables {
    pub(super) fn accept(&mut self, new: NewEvent, now: Timestamp) -> Accepted {
        let (id, tenant) = (new.event.id, new.event.tenant);
        if let Some(timer) = new.rules.as_ref().and_then(|rules| rules.fires.as_ref())
            && !self.rules.take(timer)
        {
            return Accepted::Outdated;
        }
        if let Some(key) = new.dedupe {
            let (first, _) = *self.dedupe.entry((tenant, key)).or_insert((id, now));
            if first != id {
                return Accepted::Duplicate(first);
            }
        }
        let endpoints = new.deliveries.iter().map(|planned| planned.endpoint).collect();
        let stored = Stored {
            event: new.event,
            endpoints,
        };
        for ((delivery, endpoint), planned) in stored.planned().zip(&new.deliveries) {
            if let Some((state, reason)) = planned.begins.row() {
                let mut delivery = stored.delivery(delivery, endpoint);
                delivery.state = state;
                delivery.due = (state == State::Pending).then_some(now);
                delivery.reason = reason.map(str::to_owned);
                delivery.updated_at = now;
                let row = Row {
                    delivery,
                    trigger: Trigger::Scheduled,
                    history: Vec::new(),
                    messages: None,
                };
                self.deliveries.insert(row.delivery.id, row);
            }
        }
        if let Some(rules) = &new.rules {
            self.rules.apply(&stored.event, rules, now);
        }
        self.count_accepted(&stored.event);
        self.events.insert(id, stored);
        Accepted::New
    }

    /// The oldest events that pruning may remove, of one tenant or of all, up to `limit`.
    pub(super) fn removable(&self, before: Timestamp, of: Option<TenantId>, limit: usize) -> Vec<EventId> {
        let old = self.events.range(..EventId::from_raw(first_raw_at(before)));
        let old = old.filter(|(_, stored)| of.is_none_or(|tenant| tenant == stored.event.tenant));
        old.filter(|(_, stored)| self.is_finished(stored))
            .map(|(id, _)| *id)
            .take(limit)
            .collect()
    }

    fn is_finished(&self, stored: &Stored) -> bool {
        let checked = stored.event.id <= self.checkpoint;
        let is_done = |id: &DeliveryId| match self.deliveries.get(id) {
            Some(row) => row.delivery.state != State::Pending,
            None => checked,
        };
        !self.rules.is_armed_by(stored.event.id)
            && stored.planned().all(|(id, _)| is_done(&id))
            && self.replays(stored.event.id).iter().all(is_done)
    }

    /// Removes an event; how many deliveries went with it.
    pub(super) fn remove(&mut self, event: EventId) -> usize {
        let Some(stored) = self.events.remove(&event) else {
            return 0;
        };
        self.last_removed = self.last_removed.max(stored.last_raw());
        self.take_off(&stored.event);
        let replays = self.replayed.remove(&event).unwrap_or_default();
        let last = replays.last().map_or(0, |id| id.raw());
        self.last_removed = self.last_removed.max(last);
        let planned = stored.planned().map(|(id, _)| id);
        planned
            .chain(replays)
            .filter(|id| self.deliveries.remove(id).is_some())
            .count()
    }
}

impl Stored {
    /// A delivery of which there is nothing to say yet.
    pub(super) fn delivery(&self, id: DeliveryId, endpoint: EndpointId) -> Delivery {
        Delivery {
            id,
            tenant: self.event.tenant,
            event: self.event.id,
            endpoint,
            event_type: self.event.envelope.kind.clone(),
            state: State::Pending,
            due: Some(self.event.received_at),
            attempts: 0,
            reason: None,
            test: false,
            updated_at: self.event.received_at,
        }
    }
}

impl Value {
    /// Whether its time has not come yet.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}

/// Raw ids from the first to below the second: a span of time and what is left of it.
pub(super) fn span(since: Option<Timestamp>, until: Option<Timestamp>, page: Page) -> (i64, i64) {
    let until = until.map_or(i64::MAX, first_raw_at);
    (
        since.map_or(0, first_raw_at),
        page.before.unwrap_or(i64::MAX).min(until),
    )
}

/// One page of what is given newest first.
pub(super) fn list<T>(items: impl Iterator<Item = (i64, T)>, page: Page) -> Listed<T> {
    let limit = page.limit.clamp(1, LIMIT_MAX);
    let mut found: Vec<_> = items.take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(|(id, _)| *id).filter(|_| more);
    Listed {
        items: found.into_iter().map(|(_, item)| item).collect(),
        next,
    }
}
