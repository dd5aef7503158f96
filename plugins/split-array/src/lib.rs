//! Sends one message for each element of an array.

mod element;

use std::collections::BTreeMap;

use element::{attribute, composed};
use relay_sdk::prelude::*;
use relay_sdk::template::Variable;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Most messages that the relay takes for one event.
const MESSAGES_MAX: usize = 100;

struct SplitArray;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    at: String,
    #[serde(default = "messages_max")]
    max: usize,
    #[serde(default)]
    beyond: Beyond,
    under: Option<String>,
    #[serde(default)]
    copy: BTreeMap<String, Variable>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    otherwise: Otherwise,
}

/// What becomes of an array with more than `max` elements.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Beyond {
    #[default]
    Fail,
    First,
}

/// What becomes of an event without an array.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Otherwise {
    #[default]
    Fail,
    Keep,
}

fn messages_max() -> usize {
    MESSAGES_MAX
}

#[plugin]
impl SplitArray {
    fn transform(event: &Event, config: &Config) -> Result<Outcome, Fault> {
        let text = event.data().value(&config.at);
        let elements: Option<Vec<&RawValue>> =
            text.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let elements = match (elements, config.otherwise) {
            (Some(elements), _) => elements,
            (None, Otherwise::Keep) => return Ok(Outcome::Keep),
            (None, Otherwise::Fail) => {
                return Err(Fault::invalid(format!(
                    "the payload has no array at {:?}",
                    config.at
                )));
            }
        };
        if elements.is_empty() {
            return Ok(Outcome::drop(format!("the array at {:?} is empty", config.at)));
        }
        let elements = config.bounded(&elements)?;
        let copied = config.copied(event);
        let messages = elements.iter().enumerate().map(|(index, element)| {
            let at = |fault: String| Fault::invalid(format!("element {index} of {:?}: {fault}", config.at));
            config.message(event, element.get(), index, &copied).map_err(at)
        });
        Ok(messages.collect::<Result<Vec<_>, _>>()?.into())
    }
}

impl Config {
    fn bounded<'e, 't>(&self, elements: &'e [&'t RawValue]) -> Result<&'e [&'t RawValue], Fault> {
        let max = self.max.min(MESSAGES_MAX);
        match (elements.get(..max), self.beyond) {
            (None, _) => Ok(elements),
            (Some(_), Beyond::Fail) if elements.len() > max => Err(Fault::invalid(format!(
                "the array at {:?} has {} elements, {max} are allowed: let the sender make smaller batches, or set `beyond` to `first`",
                self.at,
                elements.len()
            ))),
            (Some(first), _) => {
                let left_out = elements.len() - first.len();
                if left_out > 0 {
                    log::warn!(
                        left_out = left_out,
                        "the array at {:?} was cut to {max} elements",
                        self.at
                    );
                }
                Ok(first)
            }
        }
    }

    /// What every message gets beside its element, as JSON text.
    fn copied(&self, event: &Event) -> Vec<(&str, String)> {
        let members = self.copy.iter();
        members
            .filter_map(|(name, variable)| Some((name.as_str(), variable.json(event)?)))
            .collect()
    }

    fn message(
        &self,
        event: &Event,
        element: &str,
        index: usize,
        copied: &[(&str, String)],
    ) -> Result<Message, String> {
        let data = composed(element, self.under.as_deref(), copied)?;
        // The event's id stays the same on every attempt, and so does an element's place.
        let message = Message::text(data).set_attribute("id", format!("{}-{}", event.id(), index + 1));
        if self.attributes.is_empty() {
            return Ok(message);
        }
        let element = serde_json::from_str(element).map_err(|error| error.to_string())?;
        self.attributes
            .iter()
            .try_fold(message, |message, (name, pointer)| {
                Ok(match attribute(&element, name, pointer)? {
                    Some(value) => message.set_attribute(name, value),
                    None => message,
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<SplitArray>();
    }

    #[test]
    fn a_hundred_elements_are_a_hundred_messages_and_one_more_is_too_many() {
        let split = |elements: usize, config| {
            let sample = event("a").data(json!((0..elements).collect::<Vec<_>>()));
            Host::new().config(config).transform::<SplitArray>(sample)
        };
        let sent = split(100, json!({})).unwrap().messages;
        assert_eq!(sent.len(), 100);
        assert_eq!(
            (sent[99].text().as_str(), sent[99].attribute("id")),
            ("99", Some("evt_test-100"))
        );
        let refused = split(101, json!({})).unwrap_err();
        assert!(
            refused.message().contains("has 101 elements, 100 are allowed"),
            "{refused}"
        );
        assert_eq!(
            split(101, json!({ "beyond": "first" })).unwrap().messages.len(),
            100
        );
    }
}
