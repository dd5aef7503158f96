//! What a tenant has used of what it may.

use std::sync::Arc;
use std::time::Duration;

use super::Manager;
use crate::model::id::TenantId;
use crate::model::resource::Kind;
use crate::model::tenant::Tenant;
use crate::quota::Ledger;
use crate::store;

/// One limit of a tenant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// As it is called in a plan; `media_bytes` is `media.tenant_limit`, the same for all.
    pub name: &'static str,
    /// `None`: not counted, since it is not limited.
    pub used: Option<u64>,
    /// `None`: not limited.
    pub max: Option<u64>,
    /// Of a rate: within how long so many may come.
    pub per: Option<Duration>,
}

impl Limit {
    /// What is no rate.
    pub const fn of(name: &'static str, used: Option<u64>, max: Option<u64>) -> Self {
        Self {
            name,
            used,
            max,
            per: None,
        }
    }

    /// How much of it is used; above 1 where the limit was lowered.
    pub fn share(&self) -> Option<f64> {
        let (used, max) = self.used.zip(self.max)?;
        Some(match max {
            0 => 1.0,
            _ => used as f64 / max as f64,
        })
    }
}

impl Manager {
    /// A tenant and all its limits; `None`: it is not there any more.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn usage(&self, id: TenantId) -> Result<Option<(Arc<Tenant>, Vec<Limit>)>, store::Error> {
        let Some(tenant) = self.tenant(id) else {
            return Ok(None);
        };
        let quota = tenant.quota;
        let used = self.quotas.used(id).await?;
        let now = self.workshop.clock.now();
        let keys = self.workshop.store.count_keys(id, now).await?.in_force;
        let count = |kind| Some(self.shelf().count(id, kind) as u64);
        let judged = Ledger::of(&*self.workshop.store, id, now).spent().await?;
        let kept = self.workshop.store.media_bytes(id).await?;
        let rate = quota.events_per_second;
        let limits = vec![
            Limit::of("endpoints", count(Kind::Endpoint), quota.endpoints),
            Limit::of("sources", count(Kind::Source), quota.sources),
            Limit::of("keys", Some(keys), quota.keys),
            Limit::of("plugins", Some(self.plugin_uses(id)), quota.plugins),
            Limit {
                per: rate.map(|rate| rate.per),
                ..Limit::of(
                    "events_per_second",
                    used.events_per_second,
                    rate.map(|rate| u64::from(rate.count.get())),
                )
            },
            Limit::of("events_per_day", used.events_per_day, quota.events_per_day),
            Limit::of("stored_bytes", used.stored_bytes, quota.stored_bytes),
            Limit::of(
                "judge_questions_per_day",
                Some(judged.questions),
                quota.judge_questions_per_day,
            ),
            Limit::of(
                "judge_tokens_per_day",
                Some(judged.tokens),
                quota.judge_tokens_per_day,
            ),
            Limit::of("media_bytes", Some(kept), Some(self.media_bytes_max)),
        ];
        Ok(Some((tenant, limits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_what_is_limited_and_a_limit_of_nothing_is_used_up() {
        for (used, max, share) in [
            (Some(3), Some(4), Some(0.75)),
            (Some(5), Some(4), Some(1.25)),
            (Some(0), Some(0), Some(1.0)),
            (Some(5), None, None),
            (None, Some(4), None),
        ] {
            assert_eq!(Limit::of("keys", used, max).share(), share, "{used:?} {max:?}");
        }
    }
}
