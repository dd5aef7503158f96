//! `[[rule]]`

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use super::endpoint::{event_types, filter, name};
use super::label;
use super::reader::Section;
use crate::crypto::{self, Digest};
use crate::model::event_type;
use crate::model::id::{RuleId, TenantId};
use crate::model::json;
use crate::model::rule::{
    Cancel, Changes, Condition, Emit, KEY_PARTS_MAX, Rule, VALUE_BYTES_MAX, VALUES_MAX,
};

/// How long a rule may wait.
const SPAN: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(365 * 24 * 3600);
/// What a rule can wait for: one of these.
const CONDITIONS: [&str; 4] = ["changes", "inactive_for", "debounce", "delay"];
/// The member of the data that says why, if the rule does not say otherwise.
const MEMBER: &str = "relay";
const MEMBER_CHARS_MAX: usize = 64;
/// Keys that do not decide what a rule waits for: with another value, what it keeps stays.
const NOT_WATCHED: [&str; 7] = [
    "name",
    "description",
    "owner",
    "external_id",
    "tags",
    "emit",
    "enabled",
];
const POINTER_REMEDY: &str = "write a JSON Pointer into the data, as in \"/ticket/id\"";

/// Reads one rule; its name comes by itself so that duplicates are found whatever else is wrong.
pub(super) fn read<'a>(section: &Section<'a>) -> (Option<&'a str>, Option<Rule>) {
    let name = name(section);
    label::check(section);
    let key = pointers(section, "key");
    let event_types = event_types(section, "event_types");
    let filter = filter(section);
    let sources = section.strings("sources").unwrap_or_default();
    let include_emitted = section.boolean("include_emitted").unwrap_or(false);
    let enabled = section.boolean("enabled").unwrap_or(true);
    let condition = condition(section, &key);
    let rule = condition.zip(emit(section)).map(|(condition, emit)| Rule {
        id: RuleId::from_raw(0),
        tenant: TenantId::DEFAULT,
        name: name.unwrap_or_default().to_owned(),
        enabled,
        event_types,
        sources: sources.into_iter().map(str::to_owned).collect(),
        filter,
        include_emitted,
        key,
        condition,
        emit,
        version: version(section),
    });
    (name, rule.filter(|_| name.is_some()))
}

fn condition(section: &Section<'_>, key: &[String]) -> Option<Condition> {
    let changes = changes(section, key);
    let inactive_for = section.duration("inactive_for", SPAN);
    let debounce = section.duration("debounce", SPAN);
    let delay = section.duration("delay", SPAN);
    let max_wait = section.duration("max_wait", SPAN);
    let cancel = cancel(section, key);
    let given: Vec<_> = CONDITIONS.into_iter().filter(|key| section.has(key)).collect();
    if given.len() != 1 {
        let problem = match given.as_slice() {
            [] => "is missing".to_owned(),
            several => format!("stands beside {}", several[1..].join(" and ")),
        };
        let remedy = format!("a rule has exactly one of {}", CONDITIONS.join(", "));
        section.fault(given.first().unwrap_or(&CONDITIONS[0]), problem, remedy);
        return None;
    }
    if section.has("max_wait") && !section.has("debounce") {
        section.fault("max_wait", "says nothing without debounce", "");
    }
    if section.has("cancel_on") && section.has("changes") {
        section.fault(
            "cancel_on",
            "says nothing beside changes, which waits for nothing",
            "",
        );
    }
    if let Some((max, wait)) = max_wait.zip(debounce)
        && max < wait
    {
        section.fault(
            "max_wait",
            "is shorter than debounce",
            "it bounds how long debounce may wait",
        );
    }
    let changes = changes.map(Condition::Changes);
    let inactive = inactive_for.map(|after| Condition::Inactive {
        after,
        cancel: cancel.clone(),
    });
    let debounce = debounce.map(|wait| Condition::Debounce {
        wait,
        max_wait,
        cancel: cancel.clone(),
    });
    let delay = delay.map(|by| Condition::Delay { by, cancel });
    changes.or(inactive).or(debounce).or(delay)
}

fn changes(section: &Section<'_>, key: &[String]) -> Option<Changes> {
    let changes = section.section("changes")?;
    if key.is_empty() {
        section.fault(
            "key",
            "is missing",
            "say what has the value, as in key = \"/ticket/id\"",
        );
    }
    let value = changes.required("value", "\"/ticket/status\"");
    if value.is_some_and(|value| !json::is_pointer(value)) {
        changes.fault("value", "is no JSON Pointer", POINTER_REMEDY);
    }
    let from = values(&changes, "from");
    let to = values(&changes, "to");
    changes.finish();
    Some(Changes {
        value: value?.to_owned(),
        from,
        to,
    })
}

/// One value or a list of them.
fn values(section: &Section<'_>, key: &'static str) -> Option<Vec<Value>> {
    let values = match section.value(key)? {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    if values.is_empty() || values.len() > VALUES_MAX {
        section.fault(
            key,
            format!("has {} values", values.len()),
            format!("use 1 to {VALUES_MAX}, or leave it out for any value"),
        );
    }
    if values.iter().any(|value| value.is_array() || value.is_object()) {
        section.fault(
            key,
            "has a list or a table in it",
            "use texts, numbers, true, false and null",
        );
    }
    if values
        .iter()
        .any(|value| value.to_string().len() > VALUE_BYTES_MAX)
    {
        section.fault(
            key,
            "has a value that is too long to be watched",
            format!("use at most {VALUE_BYTES_MAX} bytes"),
        );
    }
    Some(values)
}

fn cancel(section: &Section<'_>, key: &[String]) -> Option<Cancel> {
    let cancel = section.section("cancel_on")?;
    let own = pointers(&cancel, "key");
    if !own.is_empty() && own.len() != key.len() {
        cancel.fault(
            "key",
            format!("has {} pointers, the rule's key has {}", own.len(), key.len()),
            "each stands for the same part of the key",
        );
    }
    let event_types = event_types(&cancel, "event_types");
    cancel.require("event_types");
    if event_types.is_empty() {
        cancel.fault(
            "event_types",
            "is missing",
            "say which events call it off, as in event_types = [\"conversation.closed\"]",
        );
    }
    let filter = filter(&cancel);
    cancel.finish();
    Some(Cancel {
        event_types,
        filter,
        key: if own.is_empty() { key.to_vec() } else { own },
    })
}

fn pointers(section: &Section<'_>, key: &'static str) -> Vec<String> {
    let pointers = section.strings(key).unwrap_or_default();
    if pointers.len() > KEY_PARTS_MAX {
        section.fault(
            key,
            format!("has {} pointers", pointers.len()),
            format!("use at most {KEY_PARTS_MAX}"),
        );
    }
    for pointer in pointers.iter().filter(|pointer| !json::is_pointer(pointer)) {
        section.fault(
            key,
            format!("has {pointer:?}, which is no JSON Pointer"),
            POINTER_REMEDY,
        );
    }
    pointers.into_iter().map(str::to_owned).collect()
}

fn emit(section: &Section<'_>) -> Option<Emit> {
    section.require("emit");
    if !section.has("emit") {
        let remedy = "say what the rule emits, as in emit = { type = \"ticket.was_closed\" }";
        section.fault("emit", "is missing", remedy);
    }
    let emit = section.section("emit")?;
    let kind = emit.required("type", "\"ticket.was_closed\"");
    if let Some(Err(error)) = kind.map(event_type::check) {
        emit.fault(
            "type",
            error.to_string(),
            "write a type as in \"ticket.was_closed\"",
        );
    }
    let member = emit.string("member").unwrap_or(MEMBER);
    if !(1..=MEMBER_CHARS_MAX).contains(&member.chars().count()) {
        emit.fault(
            "member",
            "is empty or long",
            format!("use 1 to {MEMBER_CHARS_MAX} characters"),
        );
    }
    emit.finish();
    Some(Emit {
        kind: kind?.to_owned(),
        member: member.to_owned(),
    })
}

/// A digest of all that decides what a rule waits for.
fn version(section: &Section<'_>) -> i64 {
    let mut entries: Vec<_> = section
        .entries()
        .filter(|(key, value)| !NOT_WATCHED.contains(key) && !value.is_null())
        .collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    let mut text = String::new();
    for (key, value) in entries {
        write_sorted(&Value::from(key), &mut text);
        write_sorted(value, &mut text);
    }
    let digest = crypto::hash(Digest::Sha256, &[text.as_bytes()]);
    let first = digest.first_chunk().copied().unwrap_or_default();
    i64::from_le_bytes(first)
}

/// The same text for the same value, in whichever order its members stand.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in members {
                write_sorted(&Value::from(key.as_str()), text);
                write_sorted(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_sorted(item, text);
            }
            text.push(']');
        }
        scalar => {
            text.push_str(&scalar.to_string());
            text.push(' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::definition;
    use super::*;

    fn read(keys: &Value) -> Result<Rule, Vec<String>> {
        let table = keys.as_object().expect("an object");
        definition::rule(table).map(|read| read.item).map_err(|faults| {
            faults
                .iter()
                .map(|fault| format!("{} {}", fault.path.pointer(), fault.problem))
                .collect()
        })
    }

    fn closed() -> Value {
        json!({
            "name": "closed", "event_types": ["ticket.*"], "key": "/ticket/id",
            "changes": {"value": "/ticket/status", "to": "closed"}, "emit": {"type": "ticket.was_closed"},
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut keys = closed();
        keys[key] = value;
        keys
    }

    #[test]
    fn a_rule_waits_for_one_thing() {
        assert_eq!(read(&with("delay", json!("5m"))).unwrap_err().len(), 1);
        assert_eq!(
            read(&with("changes", Value::Null)).unwrap_err(),
            ["/changes is missing"]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (key, value, fault) in [
            ("key", json!("ticket"), "/key has \"ticket\""),
            ("key", Value::Null, "/key is missing"),
            ("changes", json!({"to": [1]}), "/changes/value is missing"),
            (
                "changes",
                json!({"value": "/a", "from": []}),
                "/changes/from has 0",
            ),
            (
                "changes",
                json!({"value": "/a", "from": [{}]}),
                "/changes/from has a list",
            ),
            ("emit", Value::Null, "/emit is missing"),
            ("emit", json!({"type": "a..b"}), "/emit/type "),
            ("max_wait", json!("5m"), "/max_wait says nothing"),
            (
                "cancel_on",
                json!({"event_types": ["a"]}),
                "/cancel_on says nothing",
            ),
            ("wehn", json!(1), "/wehn is not a known key"),
        ] {
            let found = read(&with(key, value)).expect_err(key);
            assert!(found[0].starts_with(fault), "{fault}: {found:?}");
            assert_eq!(found.len(), 1, "{found:?}");
        }
    }

    #[test]
    fn only_what_decides_changes_the_version() {
        let version = |keys: &Value| read(keys).expect("valid").version;
        let before = version(&closed());
        for (key, value) in [
            ("name", json!("other")),
            ("description", json!("for sales")),
            ("emit", json!({"type": "a.b"})),
        ] {
            assert_eq!(version(&with(key, value)), before, "{key}");
        }
        for (key, value) in [
            ("key", json!("/id")),
            ("filter", json!({"data": {"vip": [true]}})),
            ("changes", json!({"value": "/ticket/status"})),
        ] {
            assert_ne!(version(&with(key, value)), before, "{key}");
        }
    }
}
