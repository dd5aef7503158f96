//! What a rule emits: the event that set it off, as another type, with a word about why.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::ingest::Post;
use crate::model::event::{Envelope, Event};
use crate::model::id::EventId;
use crate::model::json;
use crate::model::rule::Rule;

/// CloudEvents extension attributes of what a rule emits: the rule's id, and the id of the event
/// that set it off.
const RULE: &str = "relayrule";
const CAUSE: &str = "relaycause";
/// Says where the schema of the data is, which no longer fits.
const SCHEMA: &str = "dataschema";

/// Why a rule emits.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'a> {
    /// As JSON; empty without one.
    pub key: &'a str,
    /// What the watched value was and became, as JSON.
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
}

/// The word about why, as it stands in the data.
#[derive(Serialize)]
struct Why<'a> {
    rule: &'a str,
    event: EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a RawValue>,
}

/// What a rule emits because of an event.
pub fn post(rule: &Rule, event: &Event, cause: Cause<'_>) -> Post {
    let own = [RULE, CAUSE, SCHEMA];
    let kept = event.envelope.extensions.iter();
    let kept = kept.filter(|(name, _)| !own.contains(&name.as_str()));
    let mut extensions: Vec<_> = kept.cloned().collect();
    extensions.push((RULE.to_owned(), rule.id.to_string()));
    extensions.push((CAUSE.to_owned(), event.id.to_string()));
    Post {
        envelope: Envelope {
            id: None,
            kind: rule.emit.kind.clone(),
            time: None,
            extensions,
            ..event.envelope.clone()
        },
        headers: Vec::new(),
        data: data(rule, event, cause),
        dedupe: None,
    }
}

/// The data with the word about why; as it is, if it is no JSON object.
fn data(rule: &Rule, event: &Event, cause: Cause<'_>) -> Bytes {
    let why = Why {
        rule: &rule.name,
        event: event.id,
        key: raw(Some(cause.key)),
        from: raw(cause.from),
        to: raw(cause.to),
    };
    if !event.is_json() || json::is_too_deep(&event.data) {
        return event.data.clone();
    }
    let joined = serde_json::to_string(&why).ok().and_then(|why| {
        let data = std::str::from_utf8(&event.data).ok()?;
        join(data, &rule.emit.member, &why)
    });
    joined.map_or_else(|| event.data.clone(), Bytes::from)
}

fn raw(json: Option<&str>) -> Option<&RawValue> {
    json.and_then(|json| serde_json::from_str(json).ok())
}

/// An object with one more member, all else as it was written; `None` if it is no object.
fn join(object: &str, name: &str, value: &str) -> Option<String> {
    if !object.trim_start().starts_with('{') {
        return None;
    }
    let mut text = String::with_capacity(object.len() + name.len() + value.len() + 8);
    text.push('{');
    for member in sonic_rs::to_object_iter(object) {
        let (key, raw) = member.ok()?;
        if key != name {
            text.push_str(&serde_json::to_string(&*key).ok()?);
            text.push(':');
            text.push_str(raw.as_raw_str());
            text.push(',');
        }
    }
    text.push_str(&serde_json::to_string(name).ok()?);
    text.push(':');
    text.push_str(value);
    text.push('}');
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_an_object_stays_as_it_was_written() {
        let joined = join(r#" {"n": 1.50e3, "relay": 7, "ü\"": [1, 2]} "#, "relay", "{}");
        assert_eq!(joined.as_deref(), Some(r#"{"n":1.50e3,"ü\"":[1, 2],"relay":{}}"#));
        assert_eq!(join("{}", "a", "1").as_deref(), Some(r#"{"a":1}"#));
        for other in ["[1]", "7", "", "{\"a\"", "{\"a\":1"] {
            assert_eq!(join(other, "a", "1"), None, "{other}");
        }
    }
}
