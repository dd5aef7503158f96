//! What the relay notices by itself over several events: rules, as `docs/rules.md` tells them.
//!
//! A [`Rulebook`] is part of the directory. When an event is accepted, it says what that does for
//! rules, and the store does so in the same commit: keeps the value of a key, arms and cancels
//! timers. Whatever a rule emits comes of a timer that is due, also where a value has changed;
//! [`emission`] makes the post of it.

pub mod alarm;
pub mod emission;
mod key;
#[cfg(test)]
mod tests;
mod watcher;

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::model::event::Event;
use crate::model::id::{RuleId, TenantId};
use crate::model::rule::{HOPS_MAX, Rule};
use crate::route::filter::Fault;
use crate::route::type_index::TypeIndex;
use crate::route::view::View;
use crate::store::{RuleBounds, RuleEffects, RuleVersion};

pub use self::watcher::{Seen, Skip, Watcher};

/// A rule whose filter cannot be read; its definition should not have been taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the filter of rule {name} is malformed: {}", .faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; "))]
pub struct MalformedFilter {
    pub name: String,
    pub faults: Vec<Fault>,
}

/// All rules that are on, arranged so that an event finds those that look at its type.
#[derive(Debug, Default)]
pub struct Rulebook {
    tenants: HashMap<TenantId, Tenant>,
    by_id: HashMap<RuleId, Arc<Watcher>>,
}

/// Watchers that look at a type.
type Positions = SmallVec<[usize; 16]>;

#[derive(Debug, Default)]
struct Tenant {
    /// In the order of their ids.
    watchers: Vec<Arc<Watcher>>,
    /// Their positions.
    by_type: TypeIndex<Vec<usize>>,
}

/// What an event does for rules.
#[derive(Debug, Default)]
pub struct Looked {
    /// `None` if it does nothing.
    pub effects: Option<Box<RuleEffects>>,
    /// Rules that wanted to look at it and could not.
    pub skipped: Vec<(Arc<Watcher>, Skip)>,
}

impl Rulebook {
    /// Arranges the rules that are on and reads their filters.
    ///
    /// # Errors
    /// Every rule whose filter is malformed.
    pub fn build(mut rules: Vec<Arc<Rule>>) -> Result<Self, Vec<MalformedFilter>> {
        rules.sort_by_key(|rule| rule.id);
        let mut book = Self::default();
        let mut malformed = Vec::new();
        for rule in rules.into_iter().filter(|rule| rule.enabled) {
            match Watcher::new(rule) {
                Ok(watcher) => book.add(Arc::new(watcher)),
                Err(fault) => malformed.push(fault),
            }
        }
        if malformed.is_empty() {
            Ok(book)
        } else {
            Err(malformed)
        }
    }

    fn add(&mut self, watcher: Arc<Watcher>) {
        let rule = &watcher.rule;
        self.by_id.insert(rule.id, Arc::clone(&watcher));
        let tenant = self.tenants.entry(rule.tenant).or_default();
        let position = tenant.watchers.len();
        tenant.by_type.add(&rule.event_types, &position);
        if let Some(cancel) = rule.condition.cancel() {
            tenant.by_type.add(&cancel.event_types, &position);
        }
        tenant.watchers.push(watcher);
    }

    /// What the acceptance of an event does for rules. `source` is the name of the source it came
    /// in by, `hops` how many rules emitted one out of the other up to it.
    pub fn look(&self, event: &Event, source: Option<&str>, hops: u8) -> Looked {
        let Some(tenant) = self.tenants.get(&event.tenant) else {
            return Looked::default();
        };
        let mut found = Positions::new();
        tenant
            .by_type
            .find(&event.envelope.kind, |bucket| found.extend_from_slice(bucket));
        if found.is_empty() {
            return Looked::default();
        }
        found.sort_unstable();
        found.dedup();
        tenant.look(&found, event, source, hops)
    }

    /// The rule of a version, if it is on and still reads so.
    pub fn get(&self, of: RuleVersion) -> Option<&Arc<Watcher>> {
        self.by_id
            .get(&of.rule)
            .filter(|watcher| watcher.rule.version == of.version)
    }
}

impl Tenant {
    fn look(&self, found: &[usize], event: &Event, source: Option<&str>, hops: u8) -> Looked {
        let mut looked = Looked::default();
        let mut effects = Vec::new();
        let view = View::new(event);
        let data = key::Data::of(event);
        for watcher in found.iter().filter_map(|position| self.watchers.get(*position)) {
            if hops > 0 && !watcher.rule.include_emitted {
                continue;
            }
            match watcher.see(event, &view, &data, source) {
                Seen::Unwanted => {}
                Seen::Skipped(skip) => looked.skipped.push((Arc::clone(watcher), skip)),
                Seen::Effect(_) if hops >= HOPS_MAX => {
                    looked.skipped.push((Arc::clone(watcher), Skip::Hops));
                }
                Seen::Effect(effect) => effects.push(effect),
            }
        }
        looked.effects = (!effects.is_empty()).then(|| {
            Box::new(RuleEffects {
                fires: None,
                hops,
                effects,
                bounds: RuleBounds::default(),
            })
        });
        looked
    }
}
