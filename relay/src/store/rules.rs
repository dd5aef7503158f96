//! What is kept for rules: the last value of each key, and timers that are armed.
//!
//! Both change in the commit of the event that changes them, so no event is accepted and lost
//! for a rule. A timer goes in the commit of the event that it emits, so it emits exactly one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Error;
use crate::model::event::Event;
use crate::model::id::{EventId, RuleId, TenantId};
use crate::model::time::Timestamp;

/// A rule as it reads now: what was kept while it read otherwise belongs to another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleVersion {
    pub rule: RuleId,
    pub version: i64,
}

/// What the acceptance of an event does for rules; part of its commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleEffects {
    /// The timer that the event comes of. It goes in the same commit; if it is not armed any
    /// more, the event is not accepted.
    pub fires: Option<TimerId>,
    /// How many rules emitted one out of the other up to this event.
    pub hops: u8,
    /// In order.
    pub effects: Vec<Effect>,
    pub bounds: RuleBounds,
}

/// How much may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleBounds {
    /// Keys of one rule whose last value is kept; those seen longest ago are forgotten.
    pub keys_max: i64,
    /// Timers of one tenant; further ones are not armed.
    pub timers_max: i64,
}

impl Default for RuleBounds {
    fn default() -> Self {
        Self {
            keys_max: 1_000_000,
            timers_max: 1_000_000,
        }
    }
}

/// What one rule makes of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    pub of: RuleVersion,
    /// What is watched, as JSON.
    pub key: String,
    pub act: Act,
}

/// See [`Effect`].
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Keeps the value. If it is another one than before, `is_wanted`, and the one before was
    /// in `from`, a timer is due at once; without `from`, also for a key seen for the first
    /// time.
    Change {
        /// As JSON.
        value: String,
        is_wanted: bool,
        from: Option<Arc<[String]>>,
    },
    /// Arms the only timer of the key, or moves it; never past `max_wait` after it was armed
    /// first.
    Rearm {
        after: Duration,
        max_wait: Option<Duration>,
    },
    /// Arms one more timer of the key.
    Arm { after: Duration },
    /// Cancels all timers of the key.
    Cancel,
}

impl Act {
    /// After how long a timer may become due because of it.
    pub fn due_after(&self) -> Option<Duration> {
        match self {
            Self::Change { is_wanted, .. } => is_wanted.then_some(Duration::ZERO),
            Self::Rearm { after, max_wait } => Some(max_wait.map_or(*after, |max| max.min(*after))),
            Self::Arm { after } => Some(*after),
            Self::Cancel => None,
        }
    }
}

/// One timer, as it was armed last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TimerId {
    pub of: RuleVersion,
    pub key: String,
    /// Tells apart the timers of a key; 0 where it has only one.
    pub number: i64,
    /// The event that armed it.
    pub event: EventId,
}

/// A timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    pub id: TimerId,
    /// By the steady clock.
    pub due: Timestamp,
    /// As [`RuleEffects::hops`], of the event that armed it.
    pub hops: u8,
    /// What the watched value was and became, as JSON.
    pub from: Option<String>,
    pub to: Option<String>,
}

/// What is due.
#[derive(Debug, Clone, Default)]
pub struct DueTimers {
    /// Earliest first, each with the event that armed it.
    pub due: Vec<(Timer, Arc<Event>)>,
    /// When the next one after these is due, which may be over already; `None` if there is none.
    pub next: Option<Timestamp>,
    /// Those whose event cannot be read; the log says what is wrong with each.
    pub damaged: Vec<TimerId>,
}

/// What is kept of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKey {
    pub key: String,
    /// As in [`TimerId`].
    pub number: i64,
    /// The last value, as JSON, if the rule watches one.
    pub value: Option<String>,
    /// The last event of the key.
    pub event: EventId,
    /// When its timer is due by the steady clock, if one is armed.
    pub due: Option<Timestamp>,
}

/// What the bounds took away since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleLosses {
    /// Keys whose last value was forgotten.
    pub keys: u64,
    /// Timers that were not armed.
    pub timers: u64,
}

/// What rules ask of a store. Their effects come with
/// [`EventStore::accept`](super::EventStore::accept).
#[async_trait]
pub trait RuleState: Send + Sync {
    /// Up to `limit` timers that are due at `now`.
    async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<DueTimers, Error>;

    /// Cancels timers, if they are still as they were armed then.
    async fn cancel_timers(&self, timers: Vec<TimerId>) -> Result<(), Error>;

    /// The last value of a key, as JSON.
    async fn last_value(&self, of: RuleVersion, key: &str) -> Result<Option<String>, Error>;

    /// Up to `limit` keys of a rule with their last value or timer, in byte order and then by
    /// number, behind `after`.
    async fn rule_keys(
        &self,
        tenant: TenantId,
        of: RuleVersion,
        after: Option<(String, i64)>,
        limit: usize,
    ) -> Result<Vec<KeptKey>, Error>;

    /// The versions of a rule, or of all rules, of which something is kept.
    async fn kept_versions(&self, rule: Option<RuleId>) -> Result<Vec<RuleVersion>, Error>;

    /// Forgets up to `limit` keys and timers of a version; how many.
    async fn forget_version(&self, of: RuleVersion, limit: usize) -> Result<usize, Error>;

    /// See [`RuleLosses`].
    fn rule_losses(&self) -> RuleLosses;
}
