//! `[[alert]]`

use std::time::Duration;

use super::endpoint::{event_types, name};
use super::label;
use super::reader::Section;
use crate::model::alert::{Alert, Limits, VolumeLimit, When, Window};
use crate::model::id::{AlertId, TenantId};
use crate::model::quota::Quota;

/// The keys of `when` of which exactly one says what is wrong.
const TRIGGERS: [&str; 11] = [
    "consecutive_failures",
    "success_rate_below",
    "failed_type",
    "p95_above",
    "volume_above",
    "volume_below",
    "volume_above_factor",
    "volume_below_factor",
    "pending_above",
    "oldest_pending_above",
    "quota_above",
];
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// What is looked at if nothing else is said.
const WINDOW_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// Counts by the hour, of which longer windows are made, are kept for longer than this.
const WINDOW_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
const MIN_COUNT_DEFAULT: u64 = 20;
const COUNT_MAX: u64 = 1_000_000_000;

/// Reads one alert; its name comes by itself so that duplicates are found whatever else is wrong.
pub(super) fn read<'a>(section: &Section<'a>) -> (Option<&'a str>, Option<Alert>) {
    let name = name(section);
    label::check(section);
    let strings = |key| section.strings(key).unwrap_or_default();
    let endpoints = strings("endpoints").into_iter().map(str::to_owned).collect();
    let event_types = event_types(section, "event_types");
    let source = section.string("source").map(str::to_owned);
    let repeat_every = section.duration("repeat_every", MINUTE..=30 * DAY);
    let enabled = section.boolean("enabled").unwrap_or(true);
    let when = match section.section("when") {
        Some(table) => when(table, section),
        None => {
            if !section.has("when") {
                section.fault(
                    "when",
                    "is missing",
                    "give it, as in when = { consecutive_failures = 5 }",
                );
            }
            None
        }
    };
    let alert = when.zip(name).map(|(when, name)| Alert {
        id: AlertId::from_raw(0),
        tenant: TenantId::DEFAULT,
        name: name.to_owned(),
        when,
        endpoints,
        event_types,
        source,
        repeat_every,
        enabled,
    });
    (name, alert)
}

fn when(section: Section<'_>, alert: &Section<'_>) -> Option<When> {
    let is_given = |key: &&'static str| section.value(key).is_some();
    let given: Vec<&str> = TRIGGERS.into_iter().filter(is_given).collect();
    let when = match given.as_slice() {
        [one] => trigger(&section, one),
        [] => {
            let remedy = format!("use one of {}", TRIGGERS.join(", "));
            alert.fault("when", "says nothing", remedy);
            // So that all that may be said is known.
            TRIGGERS.into_iter().for_each(|key| drop(trigger(&section, key)));
            None
        }
        [_, second, ..] => {
            section.fault(second, "is one condition too many", "make an alert of each");
            // So that each counts as known, and is checked too.
            given.iter().for_each(|key| drop(trigger(&section, key)));
            None
        }
    };
    section.finish();
    when
}

fn trigger(section: &Section<'_>, key: &str) -> Option<When> {
    let window = |usual, max| section.duration("window", MINUTE..=max).unwrap_or(usual);
    let sampled = || Window {
        span: window(WINDOW_DEFAULT, WINDOW_MAX),
        min_count: section
            .integer("min_count", 1..=COUNT_MAX)
            .unwrap_or(MIN_COUNT_DEFAULT),
    };
    let volume = |is_above, limit| When::Volume {
        is_above,
        limit,
        window: window(HOUR, WINDOW_MAX),
    };
    let factor = |is_above, factor| When::Volume {
        is_above,
        limit: VolumeLimit::Factor(factor),
        window: HOUR,
    };
    match key {
        "consecutive_failures" => section
            .integer("consecutive_failures", 1..=COUNT_MAX)
            .map(When::ConsecutiveFailures),
        "success_rate_below" => {
            let share = section.number("success_rate_below", 0.0..=1.0);
            let window = sampled();
            share.map(|share| When::SuccessRateBelow { share, window })
        }
        "failed_type" => {
            let types = event_types(section, "failed_type");
            let count = section.integer("count", 1..=COUNT_MAX).unwrap_or(1);
            let window = window(WINDOW_DEFAULT, WINDOW_MAX);
            (!types.is_empty()).then_some(When::FailedType { types, count, window })
        }
        "p95_above" => {
            let span = section.duration("p95_above", Duration::from_millis(1)..=HOUR);
            let window = sampled();
            span.map(|span| When::P95Above { span, window })
        }
        "volume_above" => {
            let limit = section
                .integer("volume_above", 0..=COUNT_MAX)
                .map(VolumeLimit::Events);
            limit.map(|limit| volume(true, limit))
        }
        "volume_below" => {
            let limit = section
                .integer("volume_below", 1..=COUNT_MAX)
                .map(VolumeLimit::Events);
            limit.map(|limit| volume(false, limit))
        }
        "volume_above_factor" => {
            let found = section.number("volume_above_factor", 1.0..=1_000_000.0);
            found.map(|found| factor(true, found))
        }
        "volume_below_factor" => {
            let found = section.number("volume_below_factor", 0.0..=1.0);
            found.map(|found| factor(false, found))
        }
        "pending_above" => section
            .integer("pending_above", 0..=COUNT_MAX)
            .map(When::PendingAbove),
        "oldest_pending_above" => section
            .duration("oldest_pending_above", Duration::from_secs(1)..=365 * DAY)
            .map(When::OldestPendingAbove),
        "quota_above" => {
            let share = section.number("quota_above", 0.0..=1.0);
            let limits = limits(section);
            share.map(|share| When::QuotaAbove { share, limits })
        }
        _ => None,
    }
}

fn limits(section: &Section<'_>) -> Limits {
    let Some(names) = section.strings("limits") else {
        return Limits::Lasting;
    };
    for name in names.iter().filter(|name| !Quota::LIMITS.contains(name)) {
        let remedy = format!("use some of {}", Quota::LIMITS.join(", "));
        section.fault("limits", format!("has {name:?}, which is no limit"), remedy);
    }
    Limits::Named(names.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::reader::{Findings, Process};
    use super::*;

    fn alert(definition: &Value) -> Result<Alert, Vec<String>> {
        let findings = Findings::default();
        let table = definition.as_object().expect("a table");
        let section = Section::root(table, &findings, &Process);
        let (_, alert) = read(&section);
        section.finish();
        let faults = findings.into_faults();
        match alert {
            Some(alert) if faults.is_empty() => Ok(alert),
            _ => Err(faults.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn every_condition_is_read_by_its_key() {
        for (key, value) in [
            ("consecutive_failures", json!(5)),
            ("success_rate_below", json!(0.95)),
            ("failed_type", json!("payment.*")),
            ("p95_above", json!("3s")),
            ("volume_above", json!(1000)),
            ("volume_below", json!(1)),
            ("volume_above_factor", json!(3)),
            ("volume_below_factor", json!(0.3)),
            ("pending_above", json!(100)),
            ("oldest_pending_above", json!("10m")),
            ("quota_above", json!(0.8)),
        ] {
            let read = alert(&json!({"name": "a", "when": {key: value}}));
            assert_eq!(read.map(|alert| alert.when.word()), Ok(key));
        }
    }

    #[test]
    fn a_condition_has_to_be_one_and_well_formed() {
        for (when, fault) in [
            (json!({}), "says nothing"),
            (
                json!({"pending_above": 1, "volume_above": 1}),
                "one condition too many",
            ),
            (json!({"success_rate_below": 95}), "use 0 to 1"),
            (json!({"pending_abov": 1}), "did you mean"),
            (json!({"pending_above": 1, "window": "5m"}), "not a known key"),
            (json!({"failed_type": "a*"}), "whole segments"),
            (json!({"quota_above": 80}), "use 0 to 1"),
            (json!({"quota_above": 0.8, "limits": ["days"]}), "no limit"),
        ] {
            let faults = alert(&json!({"name": "a", "when": when})).expect_err("it is malformed");
            assert!(faults.iter().any(|found| found.contains(fault)), "{faults:?}");
        }
        let faults = alert(&json!({"name": "a"})).expect_err("it says nothing");
        assert!(faults[0].contains("when: is missing"), "{faults:?}");
    }
}
