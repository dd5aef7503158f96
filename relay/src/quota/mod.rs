//! Holds tenants to how much they may send and have stored.
//!
//! What is checked stands in memory, for the tenants that have such a limit and for no others; what
//! was counted is durable, because the store counts with what it accepts and removes. The two may
//! differ by what is under way, and the store is asked again before anybody is refused for long.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::model::id::TenantId;
use crate::model::tenant::Tenant;
use crate::store::{self, Store, Usage};

mod ledger;
mod meter;
mod over;

pub use ledger::{Ledger, Spent};
use meter::Meter;
pub use over::Over;

/// See the module.
pub struct Quotas {
    meters: ArcSwap<HashMap<TenantId, Arc<Meter>>>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// What was let in of a tenant that is limited, until it is known what became of it.
#[derive(Debug)]
pub struct Ticket {
    meter: Arc<Meter>,
    /// The day that it counts for.
    day: i64,
    /// Bytes of each event.
    bytes: Vec<u64>,
}

/// How much of its limits on events a tenant has used at present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub events_per_second: Option<u64>,
    pub events_per_day: Option<u64>,
    pub stored_bytes: Option<u64>,
}

impl Quotas {
    /// Of no tenant yet.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            meters: ArcSwap::default(),
            store,
            clock,
        }
    }

    /// Has the store count for those of these tenants that need it, before they are limited. Those
    /// that are limited stay counted: whether what comes next comes into force is not known yet.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn count_for(
        &self,
        tenants: impl Iterator<Item = &Tenant>,
    ) -> Result<HashMap<TenantId, Usage>, store::Error> {
        let counted = tenants.filter(|tenant| tenant.quota.counts_events());
        let mut counted: Vec<_> = counted.map(|tenant| tenant.id).collect();
        counted.sort_unstable();
        let usage = self.store.meter(counted, self.clock.now()).await?;
        Ok(usage.into_iter().collect())
    }

    /// Puts the limits of these tenants in force, and of no others.
    pub fn configure<'a>(&self, tenants: impl Iterator<Item = &'a Tenant>, usage: &HashMap<TenantId, Usage>) {
        let before = self.meters.load();
        let limited = tenants.filter(|tenant| tenant.quota.bounds_events());
        let meters = limited.map(|tenant| {
            let usage = usage.get(&tenant.id).copied().unwrap_or_default();
            let meter = match before.get(&tenant.id) {
                Some(meter) => meter.with(tenant.quota, usage),
                None => Meter::new(tenant.quota, usage),
            };
            (tenant.id, Arc::new(meter))
        });
        self.meters.store(Arc::new(meters.collect()));
    }

    /// Puts the limits of one tenant in force, and leaves those of all others as they are.
    pub fn set(&self, tenant: &Tenant, usage: &HashMap<TenantId, Usage>) {
        let mut meters = HashMap::clone(&self.meters.load());
        let usage = usage.get(&tenant.id).copied().unwrap_or_default();
        match (tenant.quota.bounds_events(), meters.get(&tenant.id)) {
            (true, Some(before)) => {
                let meter = before.with(tenant.quota, usage);
                meters.insert(tenant.id, Arc::new(meter));
            }
            (true, None) => {
                meters.insert(tenant.id, Arc::new(Meter::new(tenant.quota, usage)));
            }
            (false, Some(_)) => {
                meters.remove(&tenant.id);
            }
            (false, None) => return,
        }
        self.meters.store(Arc::new(meters));
    }

    /// Has the store count for nobody any more but those whose limits in force need it.
    ///
    /// # Errors
    /// The store does not answer; then it goes on counting.
    pub async fn count_no_others(&self) -> Result<(), store::Error> {
        let meters = self.meters.load_full();
        let counted = meters.iter().filter(|(_, meter)| meter.counts_events());
        self.store
            .meter_only(counted.map(|(tenant, _)| *tenant).collect())
            .await
    }

    /// Lets events of these sizes in, all or none. `None`: the tenant has no limits.
    ///
    /// # Errors
    /// They are more than the tenant may send, or have stored.
    pub async fn admit(
        &self,
        tenant: TenantId,
        bytes: impl Iterator<Item = usize>,
    ) -> Result<Option<Ticket>, Over> {
        let Some(meter) = self.meters.load().get(&tenant).map(Arc::clone) else {
            return Ok(None);
        };
        let bytes: Vec<u64> = bytes.map(|bytes| bytes as u64).collect();
        meter.keep_pace(bytes.len())?;
        let now = self.clock.now();
        let sum = bytes.iter().sum();
        let counted = match meter.count(now, bytes.len(), sum) {
            // Retention may have made room since, and what was given up halfway is counted here alone.
            Err(Over::Bytes { .. } | Over::Day { .. }) if meter.may_ask(now) => {
                self.ask(tenant, &meter).await;
                meter.count(now, bytes.len(), sum)
            }
            counted => counted,
        };
        Ok(Some(Ticket {
            day: counted?,
            meter,
            bytes,
        }))
    }

    /// What a tenant has used of its limits on events, as exactly as the store knows it.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn used(&self, tenant: TenantId) -> Result<Used, store::Error> {
        let Some(meter) = self.meters.load().get(&tenant).map(Arc::clone) else {
            return Ok(Used::default());
        };
        let usage = self.store.usage().await?;
        let known = usage.into_iter().find(|(known, _)| *known == tenant);
        Ok(meter.used(self.clock.now(), known.map(|(_, usage)| usage)))
    }

    async fn ask(&self, tenant: TenantId, meter: &Meter) {
        match self.store.usage().await {
            Ok(usage) => {
                let known = usage.iter().find(|(known, _)| *known == tenant);
                meter.correct(known.map(|(_, usage)| *usage));
            }
            Err(error) => tracing::warn!(%error, %tenant, "what a tenant has stored could not be read"),
        }
    }
}

impl Ticket {
    /// Gives back what was not accepted: all of it if the store failed, or what was there already.
    pub fn settle(self, was_accepted: impl Iterator<Item = bool>) {
        let accepted = was_accepted.chain(std::iter::repeat(false));
        let (mut events, mut bytes) = (0, 0);
        for (size, _) in self.bytes.iter().zip(accepted).filter(|(_, accepted)| !accepted) {
            events += 1;
            bytes += size;
        }
        self.meter.give_back(self.day, events, bytes);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::ManualClock;
    use crate::model::event::{Envelope, Event};
    use crate::model::id::EventId;
    use crate::model::quota::Quota;
    use crate::model::time::Timestamp;
    use crate::store::NewEvent;
    use crate::store::memory::MemoryStore;

    const NOW: Timestamp = Timestamp::from_millis(1_770_033_600_000);

    fn tenant(id: i64, events_per_day: Option<u64>) -> Tenant {
        Tenant {
            id: TenantId::from_raw(id),
            name: format!("t{id}"),
            plan: None,
            quota: Quota {
                events_per_day,
                ..Quota::default()
            },
            policy: crate::model::policy::Policy::default(),
            publishers: Default::default(),
        }
    }

    async fn counted(store: &Arc<dyn Store>) -> Vec<(i64, u64)> {
        let usage = store.usage().await.unwrap();
        usage
            .iter()
            .map(|(tenant, usage)| (tenant.raw(), usage.events))
            .collect()
    }

    async fn accept(store: &Arc<dyn Store>, tenant: i64) {
        let event = Event {
            id: EventId::from_raw(crate::model::id::first_raw_at(NOW)),
            tenant: TenantId::from_raw(tenant),
            source: None,
            received_at: NOW,
            envelope: Envelope::default(),
            headers: Vec::new(),
            data: Bytes::from_static(b"1"),
        };
        let new = NewEvent {
            event: Arc::new(event),
            deliveries: Vec::new(),
            dedupe: None,
            rules: None,
        };
        store.accept(vec![new], NOW).await.unwrap();
    }

    #[tokio::test]
    async fn who_is_limited_stays_counted_until_others_are_in_force() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(NOW));
        let quotas = Quotas::new(Arc::clone(&store), clock);
        let (before, after) = (tenant(2, Some(9)), tenant(3, Some(9)));
        let usage = quotas.count_for([&before].into_iter()).await.unwrap();
        quotas.configure([&before].into_iter(), &usage);
        let usage = quotas.count_for([&after].into_iter()).await.unwrap();
        accept(&store, 2).await;
        quotas.count_no_others().await.unwrap();
        assert_eq!(
            counted(&store).await,
            [(2, 1)],
            "the change did not come into force"
        );
        quotas.configure([&after].into_iter(), &usage);
        quotas.count_no_others().await.unwrap();
        assert_eq!(counted(&store).await, []);
        let usage = quotas.count_for([&after].into_iter()).await.unwrap();
        quotas.set(&after, &usage);
        quotas.count_no_others().await.unwrap();
        assert_eq!(counted(&store).await, [(3, 0)]);
        quotas.set(&tenant(3, None), &usage);
        quotas.count_no_others().await.unwrap();
        assert_eq!(counted(&store).await, []);
    }
}
