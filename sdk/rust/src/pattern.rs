//! JSON Pointers in which `*` stands for every element or member: `/items/*/price`.

use std::cmp::Ordering;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::{Edits, Event, repeated};

/// A JSON Pointer, perhaps with steps `*`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

/// A value that a pattern leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its JSON Pointer.
    pub at: String,
    /// The value as JSON text.
    pub json: String,
}

impl Pattern {
    /// Every value that it leads to. Without a `*` only that value is copied from the payload.
    pub fn values(&self, event: &Event) -> Vec<Found> {
        let Some((stem, rest)) = self.split() else {
            let found = event.data().value(&self.0).map(|json| Found {
                at: self.0.clone(),
                json,
            });
            return found.into_iter().collect();
        };
        found_in(event, stem, rest, |at, value| Found {
            at,
            json: value.to_string(),
        })
    }

    /// Every pointer that it leads to. Without a `*` nothing is copied.
    fn pointers(&self, event: &Event) -> Vec<String> {
        match self.split() {
            None => vec![self.0.clone()],
            Some((stem, rest)) => found_in(event, stem, rest, |at, _| at),
        }
    }

    /// Adds the edits after which of every name that comes twice on the way, or behind a `*`, the last
    /// member alone is there. They change nothing else, and where nothing comes twice nothing at all.
    pub fn single_out(&self, event: &Event, edits: Edits) -> Edits {
        let stem = self.split().map_or(self.0.as_str(), |(stem, _)| stem);
        let Some(json) = event.data().value(stem) else {
            // Nothing is there; on the way to it the relay takes away what comes twice.
            return edits.remove(stem);
        };
        if self.split().is_none() {
            // What is done to the value does it.
            return edits;
        }
        let value: Value = serde_json::from_str(&json).unwrap_or_default();
        match repeated::is_in(&json) {
            Some(true) => edits.set(stem, value),
            _ if stem.is_empty() => edits,
            _ => edits.remove(format!("{stem}/{}", absent(&value))),
        }
    }

    /// The part before the first `*`, and the steps from there on.
    fn split(&self) -> Option<(&str, &str)> {
        let star = self
            .0
            .match_indices("/*")
            .find(|(at, _)| matches!(self.0.as_bytes().get(at + 2), None | Some(b'/')))?;
        Some(self.0.split_at(star.0))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Pointers of values to take out, in an order in which none moves another: the last element
/// of an array first, and a value before what it lies in.
pub fn in_order_of_removal(patterns: &[Pattern], event: &Event) -> Vec<String> {
    let mut pointers: Vec<String> = patterns
        .iter()
        .flat_map(|pattern| pattern.pointers(event))
        .collect();
    if pointers.len() > 1 {
        pointers.sort_unstable_by(|one, other| backwards(one, other));
        pointers.dedup();
    }
    pointers
}

fn backwards(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        let order = match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) => match (one.parse::<u32>(), other.parse::<u32>()) {
                (Ok(one), Ok(other)) => other.cmp(&one),
                _ => other.cmp(one),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// What every value is turned into that `rest` leads to from the value at `stem`.
fn found_in<T>(event: &Event, stem: &str, rest: &str, turn: fn(String, &Value) -> T) -> Vec<T> {
    let value = event.get::<Value>(stem).unwrap_or_default();
    let mut found = Vec::new();
    spread(stem.to_owned(), &value, rest, &mut found);
    found.into_iter().map(|(at, value)| turn(at, value)).collect()
}

/// Follows `rest` (empty, or steps each with their slash) from a value at `at`.
fn spread<'v>(at: String, value: &'v Value, rest: &str, found: &mut Vec<(String, &'v Value)>) {
    let Some(rest) = rest.strip_prefix('/') else {
        found.push((at, value));
        return;
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (step, rest) = rest.split_at(end);
    let mut follow = |step: &str, value: &'v Value| spread(format!("{at}/{step}"), value, rest, found);
    match value {
        Value::Array(elements) if step == "*" => {
            elements
                .iter()
                .enumerate()
                .for_each(|(index, element)| follow(&index.to_string(), element));
        }
        Value::Object(members) if step == "*" => {
            members
                .iter()
                .for_each(|(name, member)| follow(&escaped(name), member));
        }
        _ => {
            if let Some(next) = value.pointer(&format!("/{step}")) {
                follow(step, next);
            }
        }
    }
}

/// A step that leads nowhere from a value.
fn absent(value: &Value) -> String {
    let mut name = "-".to_owned();
    while value.get(&name).is_some() {
        name.push('-');
    }
    name
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Host, event};

    #[test]
    fn patterns_lead_to_every_value() {
        let data = json!({ "list": [{ "a": 1 }, { "b": 2 }, 3], "map": { "x/y": { "a": 4 }, "*z": [5] } });
        Host::new().run(event("a").data(data), |event| {
            for (pattern, expected) in [
                ("/list/0/a", vec![("/list/0/a", "1")]),
                ("/list/*/a", vec![("/list/0/a", "1")]),
                (
                    "/list/*",
                    vec![
                        ("/list/0", "{\"a\":1}"),
                        ("/list/1", "{\"b\":2}"),
                        ("/list/2", "3"),
                    ],
                ),
                ("/map/*/a", vec![("/map/x~1y/a", "4")]),
                ("/map/*z/*", vec![("/map/*z/0", "5")]),
                ("/*/*/a", vec![("/list/0/a", "1"), ("/map/x~1y/a", "4")]),
                ("/none/*", vec![]),
                ("/none", vec![]),
            ] {
                let found = Pattern(pattern.into()).values(event);
                let found: Vec<_> = found
                    .iter()
                    .map(|found| (found.at.as_str(), found.json.as_str()))
                    .collect();
                assert_eq!(found, expected, "{pattern}");
            }
        });
    }

    #[test]
    fn removals_do_not_move_each_other() {
        let data = json!({ "list": (0..12).collect::<Vec<_>>(), "a": { "b": 1 } });
        Host::new().run(event("a").data(data), |event| {
            let patterns =
                ["/a", "/list/2", "/a/b", "/list/10", "/list/2"].map(|pattern| Pattern(pattern.into()));
            assert_eq!(
                in_order_of_removal(&patterns, event),
                ["/list/10", "/list/2", "/a/b", "/a"]
            );
        });
    }
}
