//! One rule, ready to look at events.

use std::sync::Arc;

use serde_json::Value;

use super::MalformedFilter;
use super::key::{Data, canonical};
use crate::model::event::Event;
use crate::model::event_type::Pattern;
use crate::model::rule::{Condition, Rule};
use crate::route::filter::Filter;
use crate::route::view::View;
use crate::store::{Act, Effect, RuleVersion};

/// See the module.
#[derive(Debug)]
pub struct Watcher {
    pub rule: Arc<Rule>,
    filter: Option<Filter>,
    cancel_filter: Option<Filter>,
    /// As JSON.
    from: Option<Arc<[String]>>,
    to: Option<Vec<String>>,
}

/// What a rule makes of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// It does not look at such events.
    Unwanted,
    /// It would, but cannot.
    Skipped(Skip),
    Effect(Effect),
}

/// Why a rule that wants an event does nothing with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The data has no text, number or boolean where the key should be.
    NoKey,
    LongKey,
    /// The data has no scalar where the watched value should be.
    NoValue,
    LongValue,
    /// Too many rules emitted one out of the other: it would go on for ever.
    Hops,
}

impl Skip {
    /// In metrics and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::LongKey => "long_key",
            Self::NoValue => "no_value",
            Self::LongValue => "long_value",
            Self::Hops => "hops",
        }
    }
}

impl Watcher {
    /// Reads the filters of a rule.
    ///
    /// # Errors
    /// One of them is malformed.
    pub fn new(rule: Arc<Rule>) -> Result<Self, MalformedFilter> {
        let read = |pattern: Option<&Value>| {
            pattern
                .map(Filter::parse)
                .transpose()
                .map_err(|faults| MalformedFilter {
                    name: rule.name.clone(),
                    faults,
                })
        };
        let filter = read(rule.filter.as_ref())?;
        let cancel = rule.condition.cancel();
        let cancel_filter = read(cancel.and_then(|cancel| cancel.filter.as_ref()))?;
        let texts = |values: &Vec<Value>| values.iter().filter_map(canonical).collect::<Vec<_>>();
        let (from, to) = match &rule.condition {
            Condition::Changes(changes) => (
                changes.from.as_ref().map(texts).map(Arc::from),
                changes.to.as_ref().map(texts),
            ),
            _ => (None, None),
        };
        Ok(Self {
            rule,
            filter,
            cancel_filter,
            from,
            to,
        })
    }

    /// Whose state it is.
    pub fn version(&self) -> RuleVersion {
        RuleVersion {
            rule: self.rule.id,
            version: self.rule.version,
        }
    }

    /// Whether a value that becomes another one does so as the rule asks for.
    pub fn is_change(&self, before: Option<&str>, value: &str) -> bool {
        let is_from =
            |from: &Arc<[String]>| before.is_some_and(|before| from.iter().any(|one| one == before));
        before != Some(value) && self.is_wanted(value) && self.from.as_ref().is_none_or(is_from)
    }

    fn is_wanted(&self, value: &str) -> bool {
        self.to
            .as_ref()
            .is_none_or(|to| to.iter().any(|wanted| wanted == value))
    }

    /// What it makes of an event by itself.
    pub fn look(&self, event: &Event, source: Option<&str>) -> Seen {
        self.see(event, &View::new(event), &Data::of(event), source)
    }

    pub(super) fn see(&self, event: &Event, view: &View<'_>, data: &Data<'_>, source: Option<&str>) -> Seen {
        let sources = &self.rule.sources;
        let is_of = |name: &str| sources.iter().any(|wanted| wanted == name);
        if !sources.is_empty() && !source.is_some_and(is_of) {
            return Seen::Unwanted;
        }
        let kind = &event.envelope.kind;
        let wants = |filter: &Option<Filter>| filter.as_ref().is_none_or(|filter| filter.matches(view));
        let cancel = self.rule.condition.cancel();
        let cancel = cancel.filter(|cancel| fits(&cancel.event_types, kind) && wants(&self.cancel_filter));
        let act = match cancel {
            Some(cancel) => data.key(&cancel.key).map(|key| (key, Act::Cancel)),
            None if (self.rule.event_types.is_empty() || fits(&self.rule.event_types, kind))
                && wants(&self.filter) =>
            {
                self.act(data)
            }
            None => return Seen::Unwanted,
        };
        match act {
            Ok((key, act)) => Seen::Effect(Effect {
                of: self.version(),
                key,
                act,
            }),
            Err(skip) => Seen::Skipped(skip),
        }
    }

    fn act(&self, data: &Data<'_>) -> Result<(String, Act), Skip> {
        let key = data.key(&self.rule.key)?;
        let act = match &self.rule.condition {
            Condition::Changes(changes) => {
                let value = data.value(&changes.value)?;
                Act::Change {
                    is_wanted: self.is_wanted(&value),
                    from: self.from.clone(),
                    value,
                }
            }
            Condition::Inactive { after, .. } => Act::Rearm {
                after: *after,
                max_wait: None,
            },
            Condition::Debounce { wait, max_wait, .. } => Act::Rearm {
                after: *wait,
                max_wait: *max_wait,
            },
            Condition::Delay { by, .. } => Act::Arm { after: *by },
        };
        Ok((key, act))
    }
}

fn fits(patterns: &[Pattern], kind: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(kind))
}
