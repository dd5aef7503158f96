//! What a tenant's plugins have asked of the judge today, in the store: a restart gives nothing back.

use crate::model::id::TenantId;
use crate::model::quota::Quota;
use crate::model::time::Timestamp;
use crate::store::{Error, PluginState, Scope, Usage, Written};

/// No endpoint or source has this id.
const NOBODY: i64 = 0;
const QUESTIONS: &str = "questions";
const TOKENS: &str = "tokens";

/// The account of one tenant on one day of UTC.
pub struct Ledger<'s> {
    store: &'s dyn PluginState,
    scope: Scope,
    day: i64,
    now: Timestamp,
}

/// What is spent of that day's budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    pub questions: u64,
    pub tokens: u64,
}

impl<'s> Ledger<'s> {
    /// The account of the day that `now` is in.
    pub fn of(store: &'s dyn PluginState, tenant: TenantId, now: Timestamp) -> Self {
        Self {
            store,
            scope: Scope {
                tenant,
                owner: NOBODY,
                plugin: "judge".to_owned(),
            },
            day: Usage::day_of(now),
            now,
        }
    }

    /// What is spent so far.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn spent(&self) -> Result<Spent, Error> {
        Ok(Spent {
            questions: self.read(QUESTIONS).await?,
            tokens: self.read(TOKENS).await?,
        })
    }

    /// Counts one request, if there is room for it; whether there was. Tokens are known only
    /// afterwards, so that what is under way may go beyond them.
    ///
    /// # Errors
    /// The store does not answer; then nothing may be asked.
    pub async fn ask(&self, budget: &Quota) -> Result<bool, Error> {
        if let Some(max) = budget.judge_tokens_per_day
            && self.read(TOKENS).await? >= max
        {
            return Ok(false);
        }
        // Counted first and looked at then: of two at once no more get through than may.
        let questions = self.add(QUESTIONS, 1).await?;
        let is_over = budget.judge_questions_per_day.is_some_and(|max| questions > max);
        if is_over {
            self.add(QUESTIONS, -1).await?;
        }
        Ok(!is_over)
    }

    /// Counts what a request took.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn took(&self, tokens: u64) -> Result<(), Error> {
        let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
        self.add(TOKENS, tokens).await.map(drop)
    }

    async fn read(&self, what: &str) -> Result<u64, Error> {
        let value = self
            .store
            .state_value(&self.scope, &self.key(what), self.now)
            .await?;
        let bytes = value.and_then(|value| <[u8; 8]>::try_from(value).ok());
        Ok(bytes.map_or(0, |bytes| count(i64::from_le_bytes(bytes))))
    }

    async fn add(&self, what: &str, delta: i64) -> Result<u64, Error> {
        // A day longer than it is of use: clocks are set back.
        let expires = Some(Usage::end_of(self.day + 1));
        let key = self.key(what);
        let added = self.store.add_state(&self.scope, &key, delta, expires, self.now);
        match added.await? {
            Written::Done(total) => Ok(count(total)),
            // Two keys a day for two days are far from any bound; if they were not, nothing is free.
            Written::QuotaExceeded => Ok(u64::MAX),
        }
    }

    fn key(&self, what: &str) -> String {
        format!("{what}/{}", self.day)
    }
}

fn count(total: i64) -> u64 {
    u64::try_from(total).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::memory::MemoryStore;

    const NOON: Timestamp = Timestamp::from_millis(1_770_033_600_000);

    #[tokio::test]
    async fn a_day_has_its_questions_and_tokens_and_the_next_as_many() {
        let store = MemoryStore::default();
        let ledger = |tenant, now| Ledger::of(&store, TenantId::from_raw(tenant), now);
        let budget = Quota {
            judge_questions_per_day: Some(2),
            judge_tokens_per_day: Some(100),
            ..Quota::default()
        };
        let today = ledger(1, NOON);
        assert!(today.ask(&budget).await.unwrap() && today.ask(&budget).await.unwrap());
        assert!(!today.ask(&budget).await.unwrap(), "two are asked");
        assert!(ledger(2, NOON).ask(&budget).await.unwrap(), "another tenant's");
        let tomorrow = ledger(1, NOON + Duration::from_secs(12 * 3600));
        assert!(tomorrow.ask(&budget).await.unwrap());
        tomorrow.took(100).await.unwrap();
        assert!(!tomorrow.ask(&budget).await.unwrap(), "the tokens are spent");
        assert!(tomorrow.ask(&Quota::default()).await.unwrap(), "no limits");
        let spent = |questions, tokens| Spent { questions, tokens };
        assert_eq!(today.spent().await.unwrap(), spent(2, 0));
        assert_eq!(tomorrow.spent().await.unwrap(), spent(2, 100));
    }
}
