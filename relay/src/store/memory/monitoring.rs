//! Counts, alerts that fire, and what should have come.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::MemoryStore;
use crate::model::counts::Counts;
use crate::model::delivery::State;
use crate::model::id::{DeliveryId, EndpointId, EventId, SourceId, first_raw_at};
use crate::model::time::Timestamp;
use crate::store::Error;
use crate::store::monitoring::{
    Bucket, By, CountsAsked, EVENTS_SEEN_MAX, Expected, ExpectedAsked, ExpectedPage, Firing, FiringOf,
    Monitoring, Pending, Step, Unfetched,
};

#[async_trait]
impl Monitoring for MemoryStore {
    async fn add_counts(&self, counts: &[(Bucket, Counts)]) -> Result<(), Error> {
        let mut tables = self.tables();
        for (bucket, counts) in counts {
            tables.counts.entry(bucket.clone()).or_default().merge(counts);
        }
        Ok(())
    }

    async fn counts(&self, asked: CountsAsked) -> Result<BTreeMap<i64, Counts>, Error> {
        let tables = self.tables();
        let wanted = tables.counts.iter().filter(|(bucket, _)| {
            bucket.tenant == asked.tenant
                && asked.subjects.contains(&bucket.subject)
                && bucket.step == asked.step
                && (asked.since..asked.until).contains(&bucket.at)
                && (asked.types.is_empty() || asked.types.iter().any(|pattern| pattern.matches(&bucket.kind)))
        });
        let mut sums = BTreeMap::<i64, Counts>::new();
        for (bucket, counts) in wanted {
            let key = match asked.by {
                By::Time => bucket.at.as_millis(),
                By::Subject => bucket.subject,
            };
            sums.entry(key).or_default().merge(counts);
        }
        Ok(sums)
    }

    async fn forget_counts(&self, step: Step, before: Timestamp, limit: usize) -> Result<usize, Error> {
        let mut tables = self.tables();
        let is_old = |bucket: &&Bucket| bucket.step == step && bucket.at < before;
        let old: Vec<Bucket> = tables.counts.keys().filter(is_old).take(limit).cloned().collect();
        for bucket in &old {
            tables.counts.remove(bucket);
        }
        Ok(old.len())
    }

    async fn pending(&self, endpoint: EndpointId) -> Result<Pending, Error> {
        let tables = self.tables();
        let mut waiting = tables
            .deliveries
            .values()
            .map(|row| &row.delivery)
            .filter(|delivery| delivery.endpoint == endpoint && delivery.state == State::Pending);
        let oldest = waiting.next().map(|delivery| delivery.id);
        Ok(Pending {
            count: u64::from(oldest.is_some()) + waiting.count() as u64,
            oldest,
        })
    }

    async fn expected(&self, asked: ExpectedAsked) -> Result<ExpectedPage, Error> {
        let tables = self.tables();
        let mut page = ExpectedPage::default();
        let until = EventId::from_raw(first_raw_at(asked.until));
        if until <= asked.after {
            return Ok(page);
        }
        let behind = (
            std::ops::Bound::Excluded(asked.after),
            std::ops::Bound::Excluded(until),
        );
        for (looked_at, (id, stored)) in (1..).zip(tables.events.range(behind)) {
            let event = &stored.event;
            let ours = stored
                .planned()
                .find(|(_, endpoint)| *endpoint == asked.endpoint)
                .filter(|_| event.tenant == asked.tenant);
            if let Some((delivery, _)) = ours {
                let row = tables.deliveries.get(&delivery);
                let is_test = event.source == Some(SourceId::TEST);
                if is_test && row.is_none_or(|row| row.delivery.state != State::Succeeded) {
                    continue;
                }
                page.items.push(Expected {
                    delivery,
                    event: *id,
                    kind: event.envelope.kind.clone(),
                    received_at: event.received_at,
                    state: row.map_or(State::Pending, |row| row.delivery.state),
                });
            }
            if page.items.len() >= asked.limit || looked_at >= EVENTS_SEEN_MAX {
                page.next = Some(*id);
                break;
            }
        }
        Ok(page)
    }

    async fn unfetched(
        &self,
        endpoint: EndpointId,
        after: Option<(Timestamp, DeliveryId)>,
        limit: usize,
    ) -> Result<Vec<Unfetched>, Error> {
        let tables = self.tables();
        let mut found: Vec<Unfetched> = tables
            .waiting_rows()
            .filter(|(due, row)| {
                row.delivery.endpoint == endpoint && after.is_none_or(|after| (*due, row.delivery.id) > after)
            })
            .filter_map(|(due, row)| {
                Some(Unfetched {
                    delivery: row.delivery.id,
                    due,
                    event: Arc::clone(&tables.events.get(&row.delivery.event)?.event),
                })
            })
            .collect();
        found.sort_by_key(|one| (one.due, one.delivery));
        found.truncate(limit);
        Ok(found)
    }

    async fn fetched(
        &self,
        endpoint: EndpointId,
        deliveries: Vec<DeliveryId>,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let mut tables = self.tables();
        let mut count = 0;
        for id in deliveries {
            let row = tables.deliveries.get_mut(&id).map(|row| &mut row.delivery);
            let waits = |delivery: &&mut crate::model::delivery::Delivery| {
                delivery.endpoint == endpoint && delivery.state == State::Pending
            };
            if let Some(delivery) = row.filter(waits) {
                delivery.state = State::Succeeded;
                delivery.due = None;
                delivery.reason = None;
                delivery.updated_at = now;
                count += 1;
            }
        }
        Ok(count)
    }

    async fn set_firing(&self, of: FiringOf, firing: Option<Firing>) -> Result<(), Error> {
        let mut tables = self.tables();
        match firing {
            Some(firing) => drop(tables.firing.insert(of, firing)),
            None => drop(tables.firing.remove(&of)),
        }
        Ok(())
    }

    async fn firing(&self) -> Result<Vec<(FiringOf, Firing)>, Error> {
        let tables = self.tables();
        Ok(tables.firing.iter().map(|(of, firing)| (*of, *firing)).collect())
    }
}
