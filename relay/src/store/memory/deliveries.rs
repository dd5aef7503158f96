//! Deliveries.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::events::{list, span};
use super::{ATTEMPTS_KEPT_MAX, MemoryStore, Row, Tables};
use crate::model::attempt::{Attempt, Trigger};
use crate::model::delivery::{Delivery, State};
use crate::model::id::{DeliveryId, EndpointId, EventId, TenantId};
use crate::model::page::{Listed, Page};
use crate::model::time::Timestamp;
use crate::store::{
    DeliveryFilter, DeliveryQueue, Due, DueBatch, Error, Record, Retried, Unfinished, UnfinishedPage,
};

#[async_trait]
impl DeliveryQueue for MemoryStore {
    async fn record(&self, records: &[Record]) -> Result<(), Error> {
        let mut tables = self.tables();
        for record in records {
            tables.record(record.clone());
        }
        Ok(())
    }

    async fn due(
        &self,
        endpoint: EndpointId,
        now: Timestamp,
        skip: HashSet<DeliveryId>,
        limit: usize,
    ) -> Result<DueBatch, Error> {
        let tables = self.tables();
        let mut waiting: Vec<(Timestamp, &Row)> = tables
            .waiting_rows()
            .filter(|(_, row)| row.delivery.endpoint == endpoint)
            .collect();
        waiting.retain(|(_, row)| !skip.contains(&row.delivery.id));
        waiting.sort_by_key(|(due, row)| (*due, row.delivery.id));
        let count = waiting
            .iter()
            .take(limit)
            .take_while(|(due, _)| *due <= now)
            .count();
        let next = waiting.get(count).map(|(due, _)| *due);
        let due = waiting[..count]
            .iter()
            .filter_map(|(due, row)| tables.due(row, *due))
            .collect();
        Ok(DueBatch {
            due,
            next,
            damaged: Vec::new(),
        })
    }

    async fn give_up(&self, deliveries: Vec<DeliveryId>, reason: &str, now: Timestamp) -> Result<(), Error> {
        let mut tables = self.tables();
        for id in deliveries {
            if let Some(row) = tables.deliveries.get_mut(&id)
                && row.delivery.state == State::Pending
            {
                row.delivery.state = State::Failed;
                row.delivery.due = None;
                row.delivery.reason = Some(reason.to_owned());
                row.delivery.updated_at = now;
            }
        }
        Ok(())
    }

    async fn cancel_all(
        &self,
        endpoint: EndpointId,
        before: DeliveryId,
        limit: usize,
        reason: &str,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let mut tables = self.tables();
        let waiting = tables.deliveries.values_mut().map(|row| &mut row.delivery);
        let waiting = waiting
            .filter(|delivery| delivery.endpoint == endpoint && delivery.state == State::Pending)
            .filter(|delivery| delivery.id < before)
            .take(limit);
        let mut count = 0;
        for delivery in waiting {
            delivery.state = State::Cancelled;
            delivery.due = None;
            delivery.reason = Some(reason.to_owned());
            delivery.updated_at = now;
            count += 1;
        }
        Ok(count)
    }

    async fn cancel(
        &self,
        tenant: TenantId,
        deliveries: Vec<DeliveryId>,
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<(DeliveryId, EndpointId)>, Error> {
        let mut tables = self.tables();
        let pending = deliveries.into_iter().filter_map(|id| {
            let mut delivery = tables.delivery(tenant, id)?;
            if delivery.state != State::Pending {
                return None;
            }
            delivery.state = State::Cancelled;
            delivery.due = None;
            delivery.reason = Some(reason.to_owned());
            delivery.updated_at = now;
            let endpoint = delivery.endpoint;
            match tables.deliveries.entry(id) {
                Entry::Occupied(mut row) => row.get_mut().delivery = delivery,
                Entry::Vacant(row) => {
                    row.insert(Row {
                        delivery,
                        trigger: Trigger::Scheduled,
                        history: Vec::new(),
                        messages: None,
                    });
                }
            }
            Some((id, endpoint))
        });
        Ok(pending.collect())
    }

    async fn waiting(&self) -> Result<Vec<(EndpointId, Timestamp)>, Error> {
        let tables = self.tables();
        let mut earliest = BTreeMap::new();
        for (due, row) in tables.waiting_rows() {
            let entry = earliest.entry(row.delivery.endpoint).or_insert(due);
            *entry = due.min(*entry);
        }
        Ok(earliest.into_iter().collect())
    }

    async fn unfinished(&self, after: EventId, limit: usize) -> Result<UnfinishedPage, Error> {
        let tables = self.tables();
        let mut page = UnfinishedPage::default();
        let behind = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        for (looked_at, (id, stored)) in (1..).zip(tables.events.range(behind)) {
            let missing = stored
                .planned()
                .filter(|(id, _)| !tables.deliveries.contains_key(id));
            let deliveries: Vec<_> = missing.collect();
            if !deliveries.is_empty() {
                page.events.push(Unfinished {
                    event: Arc::clone(&stored.event),
                    deliveries,
                });
            }
            if looked_at == limit {
                page.next = Some(*id);
                break;
            }
        }
        Ok(page)
    }

    async fn set_checkpoint(&self, upto: EventId) -> Result<(), Error> {
        self.tables().checkpoint = upto;
        Ok(())
    }

    async fn checkpoint(&self) -> Result<EventId, Error> {
        Ok(self.tables().checkpoint)
    }

    async fn set_clock_ahead(&self, ms: i64) -> Result<(), Error> {
        self.tables().clock_ahead_ms = ms;
        Ok(())
    }

    async fn clock_ahead(&self) -> Result<i64, Error> {
        Ok(self.tables().clock_ahead_ms)
    }

    async fn deliveries(
        &self,
        tenant: TenantId,
        filter: DeliveryFilter,
        page: Page,
    ) -> Result<Listed<Delivery>, Error> {
        let tables = self.tables();
        let (from, below) = span(filter.since, filter.until, page);
        let wanted = |delivery: &Delivery| {
            (from..below).contains(&delivery.id.raw()) && tables.wants(tenant, &filter, delivery)
        };
        let with_id = |delivery: Delivery| (delivery.id.raw(), delivery);
        Ok(match filter.event {
            Some(event) => list(
                tables
                    .deliveries_of(event)
                    .into_iter()
                    .rev()
                    .filter(wanted)
                    .map(with_id),
                page,
            ),
            None => {
                let rows = tables.deliveries.values().rev().map(|row| &row.delivery);
                list(
                    rows.filter(|delivery| wanted(delivery)).cloned().map(with_id),
                    page,
                )
            }
        })
    }

    async fn delivery(&self, tenant: TenantId, id: DeliveryId) -> Result<Option<Delivery>, Error> {
        Ok(self.tables().delivery(tenant, id))
    }

    async fn attempts(&self, tenant: TenantId, id: DeliveryId) -> Result<Vec<Attempt>, Error> {
        let tables = self.tables();
        let row = tables
            .deliveries
            .get(&id)
            .filter(|row| row.delivery.tenant == tenant);
        Ok(row.map(|row| row.history.clone()).unwrap_or_default())
    }

    async fn retry(&self, tenant: TenantId, id: DeliveryId, now: Timestamp) -> Result<Retried, Error> {
        let mut tables = self.tables();
        let Some(row) = tables
            .deliveries
            .get_mut(&id)
            .filter(|row| row.delivery.tenant == tenant)
        else {
            return Ok(tables
                .delivery(tenant, id)
                .map_or(Retried::Unknown, |_| Retried::InFlight));
        };
        row.trigger = Trigger::Manual;
        row.delivery.state = State::Pending;
        row.delivery.due = Some(now);
        row.delivery.reason = None;
        row.delivery.updated_at = now;
        Ok(Retried::Waits(row.delivery.endpoint))
    }
}

impl Tables {
    pub(super) fn waiting_rows(&self) -> impl Iterator<Item = (Timestamp, &Row)> {
        self.deliveries
            .values()
            .filter_map(|row| Some((row.waits_until()?, row)))
    }

    fn due(&self, row: &Row, due: Timestamp) -> Option<Due> {
        let stored = self.events.get(&row.delivery.event)?;
        Some(Due {
            delivery: row.delivery.id,
            event: Arc::clone(&stored.event),
            endpoint: row.delivery.endpoint,
            due,
            attempts: row.delivery.attempts,
            trigger: row.trigger,
            owed_since: match stored.planned().any(|(id, _)| id == row.delivery.id) {
                true => stored.event.received_at,
                false => row.delivery.id.made_at(),
            },
            messages: row.messages.clone(),
        })
    }

    pub(super) fn record(&mut self, record: Record) {
        // Only to wait changes nothing: the row that is there knows better.
        let only_waits = record.progress.state == State::Pending && record.progress.attempt.is_none();
        if only_waits && self.deliveries.contains_key(&record.delivery) {
            return;
        }
        let event = self.events.get(&record.event).map(|stored| &stored.event);
        let kind = event.map(|event| event.envelope.kind.clone());
        let test = event.is_some_and(|event| event.is_test());
        let row = self.deliveries.entry(record.delivery).or_insert_with(|| Row {
            delivery: Delivery {
                id: record.delivery,
                tenant: record.tenant,
                event: record.event,
                endpoint: record.endpoint,
                event_type: kind.unwrap_or_default(),
                state: State::Pending,
                due: None,
                attempts: 0,
                reason: None,
                test,
                updated_at: record.delivery.made_at(),
            },
            trigger: Trigger::Scheduled,
            history: Vec::new(),
            messages: None,
        });
        row.apply(record);
    }

    fn deliveries_of(&self, event: EventId) -> Vec<Delivery> {
        let Some(stored) = self.events.get(&event) else {
            return Vec::new();
        };
        let rows = stored
            .planned()
            .map(|(id, endpoint)| match self.deliveries.get(&id) {
                Some(row) => row.delivery.clone(),
                None => stored.delivery(id, endpoint),
            });
        let replays = self.replays(event).iter();
        let replays = replays.filter_map(|id| self.deliveries.get(id).map(|row| row.delivery.clone()));
        rows.chain(replays).collect()
    }

    /// The deliveries of an event that it did not plan, oldest first.
    pub(super) fn replays(&self, event: EventId) -> &[DeliveryId] {
        self.replayed.get(&event).map_or(&[], Vec::as_slice)
    }

    /// Whether a filter wants a delivery of a tenant, its time aside.
    pub(super) fn wants(&self, tenant: TenantId, filter: &DeliveryFilter, delivery: &Delivery) -> bool {
        let last = || {
            let row = self.deliveries.get(&delivery.id)?;
            row.history.last().map(|attempt| &attempt.outcome)
        };
        let event = || self.events.get(&delivery.event).map(|stored| &stored.event);
        delivery.tenant == tenant
            && filter.wants(delivery)
            && filter.wants_outcome(last())
            && event().is_none_or(|event| filter.wants_event(event))
    }

    pub(super) fn delivery(&self, tenant: TenantId, id: DeliveryId) -> Option<Delivery> {
        if let Some(row) = self.deliveries.get(&id) {
            return Some(row.delivery.clone()).filter(|delivery| delivery.tenant == tenant);
        }
        let (event, _) = self.events.range(..EventId::from_raw(id.raw())).next_back()?;
        let delivery = self
            .deliveries_of(*event)
            .into_iter()
            .find(|delivery| delivery.id == id);
        delivery.filter(|delivery| delivery.tenant == tenant)
    }
}

impl Row {
    fn apply(&mut self, record: Record) {
        let progress = record.progress;
        let waits = progress.state == State::Pending;
        if !waits || progress.attempt.is_some() {
            self.trigger = Trigger::Scheduled;
        }
        // What was called off while an attempt was under way is not tried again.
        if !(waits && self.delivery.state == State::Cancelled) {
            self.delivery.state = progress.state;
            self.delivery.due = waits.then(|| progress.due.unwrap_or_default());
            self.delivery.reason = progress.reason;
        }
        self.delivery.attempts = record.attempts;
        self.messages = progress.messages.or_else(|| self.messages.take());
        if let Some(attempt) = progress.attempt {
            self.add(attempt);
        }
    }

    fn add(&mut self, attempt: Attempt) {
        let ended_at = attempt.started_at + Duration::from_micros(attempt.duration_us);
        self.delivery.updated_at = self.delivery.updated_at.max(ended_at);
        self.history.retain(|known| known.number < attempt.number);
        self.history.push(attempt);
        let surplus = self.history.len().saturating_sub(ATTEMPTS_KEPT_MAX);
        self.history.drain(..surplus);
    }
}
