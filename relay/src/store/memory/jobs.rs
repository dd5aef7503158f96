//! Jobs.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::{MemoryStore, Row, Tables};
use crate::model::attempt::Trigger;
use crate::model::audit::Deed;
use crate::model::delivery::{Delivery, State};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, JobId, TenantId, first_raw_at};
use crate::model::page::{Listed, Page};
use crate::model::time::Timestamp;
use crate::store::{
    Bite, DeliveryFilter, Error, EventFilter, Job, JobState, Jobs, Span, Started, Step, Stepped, Walked,
};

#[async_trait]
impl Jobs for MemoryStore {
    async fn events_after(
        &self,
        tenant: TenantId,
        filter: EventFilter,
        span: Span,
        limit: usize,
    ) -> Result<Walked<Arc<Event>>, Error> {
        let tables = self.tables();
        let is_within = within((filter.since, filter.until), span);
        let events = tables.events.values().map(|stored| &stored.event);
        let wanted =
            events.filter(|event| is_within(event.id.raw()) && event.tenant == tenant && filter.wants(event));
        Ok(walk(
            wanted.map(|event| (event.id.raw(), Arc::clone(event))),
            limit,
        ))
    }

    async fn deliveries_after(
        &self,
        tenant: TenantId,
        filter: DeliveryFilter,
        span: Span,
        limit: usize,
    ) -> Result<Walked<Delivery>, Error> {
        let tables = self.tables();
        let is_within = within((filter.since, filter.until), span);
        let deliveries = tables.deliveries.values().map(|row| &row.delivery);
        let wanted = deliveries.filter(|delivery| {
            is_within(delivery.id.raw())
                && filter.event.is_none_or(|event| event == delivery.event)
                && tables.wants(tenant, &filter, delivery)
        });
        Ok(walk(
            wanted.map(|delivery| (delivery.id.raw(), delivery.clone())),
            limit,
        ))
    }

    async fn replay(
        &self,
        tenant: TenantId,
        event: EventId,
        deliveries: Vec<(DeliveryId, EndpointId)>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut tables = self.tables();
        let made = deliveries
            .into_iter()
            .map(|(delivery, endpoint)| tables.replay(tenant, (delivery, event, endpoint), now));
        Ok(made.collect::<Option<Vec<_>>>().is_some())
    }

    async fn start_job(
        &self,
        job: Job,
        running_max: usize,
        forget_before: Timestamp,
        deed: Option<Deed>,
    ) -> Result<Started, Error> {
        let mut tables = self.tables();
        let is_old = |kept: &Job| {
            kept.tenant == job.tenant && kept.ended_at.is_some_and(|ended_at| ended_at < forget_before)
        };
        tables.jobs.retain(|_, kept| !is_old(kept));
        let of_tenant = tables.jobs.values().filter(|kept| kept.tenant == job.tenant);
        if of_tenant.filter(|kept| kept.state == JobState::Running).count() >= running_max {
            return Ok(Started::TooMany);
        }
        if let Some(deed) = deed {
            tables.note(deed)?;
        }
        tables.jobs.insert(job.id, job);
        Ok(Started::Done)
    }

    async fn job(&self, tenant: TenantId, id: JobId) -> Result<Option<Job>, Error> {
        let tables = self.tables();
        Ok(tables.jobs.get(&id).filter(|job| job.tenant == tenant).cloned())
    }

    async fn jobs(&self, tenant: TenantId, page: Page) -> Result<Listed<Job>, Error> {
        let tables = self.tables();
        let before = page.before.unwrap_or(i64::MAX);
        let jobs = tables.jobs.values().rev();
        let wanted = jobs.filter(|job| job.tenant == tenant && job.id.raw() < before);
        Ok(super::events::list(
            wanted.map(|job| (job.id.raw(), job.clone())),
            page,
        ))
    }

    async fn running_jobs(&self) -> Result<Vec<Job>, Error> {
        let tables = self.tables();
        let running = tables.jobs.values().filter(|job| job.state == JobState::Running);
        Ok(running.cloned().collect())
    }

    async fn step(&self, step: Step) -> Result<Option<Stepped>, Error> {
        let mut tables = self.tables();
        let Some(job) = tables
            .jobs
            .get(&step.job)
            .filter(|job| job.state == JobState::Running && job.cursor == step.from)
        else {
            return Ok(None);
        };
        let tenant = job.tenant;
        let mut stepped = tables.bite(tenant, &step);
        stepped.failed += step.failed;
        if let Some(job) = tables.jobs.get_mut(&step.job) {
            job.cursor = step.to;
            job.done += stepped.done;
            job.failed += stepped.failed;
            job.updated_at = step.now;
            if step.ends {
                end(job, JobState::Done, step.now);
            }
        }
        Ok(Some(stepped))
    }

    async fn cancel_job(&self, tenant: TenantId, id: JobId, now: Timestamp) -> Result<bool, Error> {
        let mut tables = self.tables();
        let job = tables
            .jobs
            .get_mut(&id)
            .filter(|job| job.tenant == tenant && job.state == JobState::Running);
        Ok(job.map(|job| end(job, JobState::Cancelled, now)).is_some())
    }
}

fn end(job: &mut Job, state: JobState, now: Timestamp) {
    job.state = state;
    job.work = job.work.forgotten();
    job.updated_at = now;
    job.ended_at = Some(now);
}

fn within((since, until): (Option<Timestamp>, Option<Timestamp>), span: Span) -> impl Fn(i64) -> bool {
    let from = since.map_or(i64::MIN, first_raw_at);
    let below = until.map_or(i64::MAX, first_raw_at);
    move |raw| raw > span.after && raw < span.before && (from..below).contains(&raw)
}

/// As much of what is given oldest first as fits.
fn walk<T>(items: impl Iterator<Item = (i64, T)>, limit: usize) -> Walked<T> {
    let mut found: Vec<_> = items.take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(|(id, _)| *id).filter(|_| more);
    Walked {
        items: found.into_iter().map(|(_, item)| item).collect(),
        next,
    }
}

impl Tables {
    fn bite(&mut self, tenant: TenantId, step: &Step) -> Stepped {
        let mut stepped = Stepped::default();
        let mut endpoints = BTreeSet::new();
        let mut count = |endpoint: Option<EndpointId>| match endpoint {
            Some(endpoint) => {
                stepped.done += 1;
                endpoints.insert(endpoint);
            }
            None => stepped.failed += 1,
        };
        match &step.bite {
            Bite::Retry(deliveries) => deliveries
                .iter()
                .for_each(|id| count(self.retry_one(tenant, *id, step.steady))),
            Bite::Replay { endpoint, deliveries } => deliveries
                .iter()
                .for_each(|(id, event)| count(self.replay(tenant, (*id, *event, *endpoint), step.steady))),
            Bite::Count(done) => stepped.done = *done,
            Bite::Erase(events) => {
                for event in events {
                    match self.erase(tenant, *event, step.now) {
                        true => stepped.done += 1,
                        false => stepped.failed += 1,
                    }
                }
            }
        }
        stepped.endpoints = endpoints.into_iter().collect();
        stepped
    }

    fn retry_one(&mut self, tenant: TenantId, id: DeliveryId, now: Timestamp) -> Option<EndpointId> {
        let row = self.deliveries.get_mut(&id)?;
        if row.delivery.tenant != tenant || row.delivery.state == State::Pending {
            return None;
        }
        row.trigger = Trigger::Manual;
        row.delivery.state = State::Pending;
        row.delivery.due = Some(now);
        row.delivery.reason = None;
        row.delivery.updated_at = now;
        Some(row.delivery.endpoint)
    }

    fn replay(
        &mut self,
        tenant: TenantId,
        (id, event, endpoint): (DeliveryId, EventId, EndpointId),
        now: Timestamp,
    ) -> Option<EndpointId> {
        let stored = self
            .events
            .get(&event)
            .filter(|stored| stored.event.tenant == tenant)?;
        let mut delivery = stored.delivery(id, endpoint);
        delivery.due = Some(now);
        delivery.updated_at = now;
        let row = Row {
            delivery,
            trigger: Trigger::Replay,
            history: Vec::new(),
            messages: None,
        };
        self.deliveries.insert(id, row);
        self.replayed.entry(event).or_default().push(id);
        Some(endpoint)
    }

    fn erase(&mut self, tenant: TenantId, event: EventId, now: Timestamp) -> bool {
        let Some(stored) = self
            .events
            .get_mut(&event)
            .filter(|stored| stored.event.tenant == tenant)
        else {
            return false;
        };
        let was = stored.event.data.len() as u64;
        stored.event = Arc::new(stored.event.erased(now));
        if let Some(usage) = self.usage.get_mut(&tenant) {
            usage.bytes = (usage.bytes + stored.event.data.len() as u64).saturating_sub(was);
        }
        let planned: Vec<_> = stored.planned().map(|(id, _)| id).collect();
        let replays = self.replays(event).to_vec();
        for id in planned.into_iter().chain(replays) {
            let Some(row) = self.deliveries.get_mut(&id) else {
                continue;
            };
            row.messages = None;
            row.history = std::mem::take(&mut row.history)
                .into_iter()
                .map(crate::model::attempt::Attempt::erased)
                .collect();
            match row.delivery.state {
                State::Pending => {
                    row.delivery.state = State::Cancelled;
                    row.delivery.due = None;
                    row.delivery.updated_at = now;
                    row.delivery.reason = Some("its event was erased".to_owned());
                }
                State::Cancelled => {}
                _ => row.delivery.reason = None,
            }
        }
        true
    }
}
