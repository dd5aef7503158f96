//! Last values and timers of rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::MemoryStore;
use crate::model::event::Event;
use crate::model::id::{EventId, RuleId, TenantId};
use crate::model::time::Timestamp;
use crate::store::{
    Act, DueTimers, Effect, Error, KeptKey, RuleBounds, RuleEffects, RuleLosses, RuleState, RuleVersion,
    Timer, TimerId,
};

/// A key of a rule.
type Key = (RuleVersion, String);

/// What rules keep.
#[derive(Debug, Default)]
pub(super) struct Kept {
    values: BTreeMap<Key, (EventId, String)>,
    timers: BTreeMap<(RuleVersion, String, i64), Armed>,
    losses: RuleLosses,
}

#[derive(Debug)]
struct Armed {
    timer: Timer,
    tenant: TenantId,
    since: Timestamp,
}

#[async_trait]
impl RuleState for MemoryStore {
    async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<DueTimers, Error> {
        let tables = self.tables();
        let mut armed: Vec<&Timer> = tables.rules.timers.values().map(|armed| &armed.timer).collect();
        armed.sort_by_key(|timer| timer.due);
        let mut timers = DueTimers::default();
        for timer in armed {
            if timer.due > now || timers.due.len() + timers.damaged.len() >= limit {
                timers.next = Some(timer.due);
                break;
            }
            match tables.events.get(&timer.id.event) {
                Some(stored) => timers.due.push((timer.clone(), Arc::clone(&stored.event))),
                None => timers.damaged.push(timer.id.clone()),
            }
        }
        Ok(timers)
    }

    async fn cancel_timers(&self, timers: Vec<TimerId>) -> Result<(), Error> {
        let mut tables = self.tables();
        for timer in &timers {
            tables.rules.take(timer);
        }
        Ok(())
    }

    async fn last_value(&self, of: RuleVersion, key: &str) -> Result<Option<String>, Error> {
        let tables = self.tables();
        let found = tables.rules.values.get(&(of, key.to_owned()));
        Ok(found.map(|(_, value)| value.clone()))
    }

    async fn rule_keys(
        &self,
        tenant: TenantId,
        of: RuleVersion,
        after: Option<(String, i64)>,
        limit: usize,
    ) -> Result<Vec<KeptKey>, Error> {
        let tables = self.tables();
        let values = tables.rules.values.iter().filter(|((whose, _), _)| *whose == of);
        let values = values.map(|((_, key), (event, value))| KeptKey {
            key: key.clone(),
            number: 0,
            value: Some(value.clone()),
            event: *event,
            due: None,
        });
        let timers = tables.rules.timers.iter().filter(|((whose, _, _), armed)| {
            *whose == of && armed.tenant == tenant && armed.timer.to.is_none()
        });
        let timers = timers.map(|((_, key, number), armed)| KeptKey {
            key: key.clone(),
            number: *number,
            value: None,
            event: armed.timer.id.event,
            due: Some(armed.timer.due),
        });
        let mut keys: Vec<_> = values.chain(timers).collect();
        keys.sort_by(|one, other| (&one.key, one.number).cmp(&(&other.key, other.number)));
        keys.retain(|kept| {
            after
                .as_ref()
                .is_none_or(|(key, number)| (&kept.key, kept.number) > (key, *number))
        });
        keys.truncate(limit);
        Ok(keys)
    }

    async fn kept_versions(&self, rule: Option<RuleId>) -> Result<Vec<RuleVersion>, Error> {
        let tables = self.tables();
        let values = tables.rules.values.keys().map(|(of, _)| *of);
        let timers = tables.rules.timers.keys().map(|(of, _, _)| *of);
        let versions: BTreeSet<RuleVersion> = values
            .chain(timers)
            .filter(|of| rule.is_none_or(|rule| rule == of.rule))
            .collect();
        Ok(versions.into_iter().collect())
    }

    async fn forget_version(&self, of: RuleVersion, limit: usize) -> Result<usize, Error> {
        let kept = &mut self.tables().rules;
        let timers = kept.timers.keys().filter(|(whose, _, _)| *whose == of);
        let timers: Vec<_> = timers.take(limit).cloned().collect();
        let values = kept.values.keys().filter(|(whose, _)| *whose == of);
        let values: Vec<_> = values.take(limit - timers.len()).cloned().collect();
        for timer in &timers {
            kept.timers.remove(timer);
        }
        for value in &values {
            kept.values.remove(value);
        }
        Ok(timers.len() + values.len())
    }

    fn rule_losses(&self) -> RuleLosses {
        self.tables().rules.losses
    }
}

impl Kept {
    /// Takes a timer off; whether it was still as it was armed then.
    pub(super) fn take(&mut self, timer: &TimerId) -> bool {
        let place = (timer.of, timer.key.clone(), timer.number);
        let is_same = self
            .timers
            .get(&place)
            .is_some_and(|armed| armed.timer.id.event == timer.event);
        if is_same {
            self.timers.remove(&place);
        }
        is_same
    }

    /// Whether a timer will emit that event again.
    pub(super) fn is_armed_by(&self, event: EventId) -> bool {
        self.timers.values().any(|armed| armed.timer.id.event == event)
    }

    /// Carries out what rules make of an event.
    pub(super) fn apply(&mut self, event: &Event, rules: &RuleEffects, now: Timestamp) {
        for Effect { of, key, act } in &rules.effects {
            let timer = |number, due| Timer {
                id: TimerId {
                    of: *of,
                    key: key.clone(),
                    number,
                    event: event.id,
                },
                due,
                hops: rules.hops,
                from: None,
                to: None,
            };
            let place = (*of, key.clone());
            match act {
                Act::Change {
                    value,
                    is_wanted,
                    from,
                } => {
                    let before = self.values.insert(place, (event.id, value.clone()));
                    let before = before.map(|(_, before)| before);
                    if before.is_none() {
                        self.make_room(*of, rules.bounds);
                    }
                    let is_from = from
                        .as_ref()
                        .is_none_or(|from| before.as_ref().is_some_and(|before| from.contains(before)));
                    if *is_wanted && is_from && before.as_ref() != Some(value) {
                        let changed = Timer {
                            from: before,
                            to: Some(value.clone()),
                            ..timer(event.id.raw(), now)
                        };
                        self.arm(changed, event.tenant, now, rules.bounds);
                    }
                }
                Act::Rearm { after, max_wait } => {
                    let armed = self.timers.get_mut(&(*of, key.clone(), 0));
                    let since = armed.as_ref().map_or(now, |armed| armed.since);
                    let latest = max_wait.map(|max| since + max);
                    let due = latest.map_or(now + *after, |latest| latest.min(now + *after));
                    match armed {
                        Some(armed) => armed.timer = timer(0, due),
                        None => self.arm(timer(0, due), event.tenant, now, rules.bounds),
                    }
                }
                Act::Arm { after } => {
                    let timer = timer(event.id.raw(), now + *after);
                    self.arm(timer, event.tenant, now, rules.bounds);
                }
                Act::Cancel => self
                    .timers
                    .retain(|(whose, of_key, _), _| (whose, of_key) != (of, key)),
            }
        }
    }

    fn make_room(&mut self, of: RuleVersion, bounds: RuleBounds) {
        let own = || self.values.iter().filter(|((whose, _), _)| *whose == of);
        if own().count() as i64 <= bounds.keys_max {
            return;
        }
        let oldest = own().min_by_key(|(_, (event, _))| *event);
        if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
            self.values.remove(&oldest);
            self.losses.keys += 1;
        }
    }

    fn arm(&mut self, timer: Timer, tenant: TenantId, now: Timestamp, bounds: RuleBounds) {
        let armed = self.timers.values().filter(|armed| armed.tenant == tenant);
        if armed.count() as i64 >= bounds.timers_max {
            self.losses.timers += 1;
            return;
        }
        let place = (timer.id.of, timer.id.key.clone(), timer.id.number);
        let armed = Armed {
            timer,
            tenant,
            since: now,
        };
        self.timers.insert(place, armed);
    }
}
