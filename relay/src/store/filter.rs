//! Which events and deliveries are asked for. Lists, jobs and exports ask alike.

use std::str::FromStr;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use crate::model::attempt::Outcome;
use crate::model::delivery::{Delivery, State};
use crate::model::event::Event;
use crate::model::event_type::Pattern;
use crate::model::id::{EndpointId, EventId, SourceId};
use crate::model::time::Timestamp;

/// Bytes of a text that is searched for.
pub const Q_BYTES_MAX: usize = 200;
/// Words of it.
const WORDS_MAX: usize = 8;

/// Which events are asked for; `None` does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Its type is one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Pattern>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The sender's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// What stands in the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// Accepted at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Accepted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl EventFilter {
    /// Whether it wants an event, its time aside.
    pub fn wants(&self, event: &Event) -> bool {
        let is = |wanted: &Option<String>, own: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| own == Some(wanted))
        };
        let envelope = &event.envelope;
        is_of(self.kind.as_ref(), &envelope.kind)
            && self.source.is_none_or(|source| event.source == Some(source))
            && is(&self.subject, envelope.subject.as_deref())
            && is(&self.sender_id, envelope.id.as_deref())
            && (self.trace_id.is_none() || is(&self.trace_id, event.trace_id().as_deref()))
            && self.text.as_ref().is_none_or(|text| text.is_in(&event.data))
    }

    /// Whether it takes the whole event to decide, not its type and source alone.
    pub(super) const fn looks_deep(&self) -> bool {
        self.subject.is_some() || self.sender_id.is_some() || self.trace_id.is_some() || self.text.is_some()
    }
}

/// Which deliveries are asked for; `None` and nothing do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeliveryFilter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointId>,
    /// In one of these states.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<State>,
    /// With this set, deliveries that have no row yet are listed too, as pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// Its event's type is one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Pattern>,
    /// Its event came in there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceId>,
    /// The class of the last attempt's failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    /// The status of the last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_min: Option<u32>,
    /// What stands in the event's payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// The event was accepted, or its replay asked for, at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The event was accepted, or its replay asked for, before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Whether somebody tried the endpoint out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<bool>,
}

impl DeliveryFilter {
    /// Whether it wants deliveries in that state.
    pub fn wants_state(&self, state: State) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }

    /// Whether it wants a delivery, its time and what its event and last attempt say aside.
    pub fn wants(&self, delivery: &Delivery) -> bool {
        self.endpoint.is_none_or(|endpoint| endpoint == delivery.endpoint)
            && self.wants_state(delivery.state)
            && is_of(self.kind.as_ref(), &delivery.event_type)
            && self.attempts_min.is_none_or(|min| delivery.attempts >= min)
            && self.test.is_none_or(|test| test == delivery.test)
    }

    /// Whether it asks how the last attempt ended.
    pub(super) const fn asks_outcome(&self) -> bool {
        self.error_class.is_some() || self.status_code.is_some()
    }

    /// Whether it wants one whose last attempt ended so.
    pub(super) fn wants_outcome(&self, last: Option<&Outcome>) -> bool {
        let class = self
            .error_class
            .as_deref()
            .is_none_or(|wanted| last.and_then(Outcome::class) == Some(wanted));
        class
            && self
                .status_code
                .is_none_or(|wanted| last.and_then(Outcome::status) == Some(wanted))
    }

    /// Whether it asks for more of the event than its type.
    pub(super) const fn asks_event(&self) -> bool {
        self.source.is_some() || self.text.is_some()
    }

    /// Whether it wants a delivery of that event.
    pub(super) fn wants_event(&self, event: &Event) -> bool {
        self.source.is_none_or(|source| event.source == Some(source))
            && self.text.as_ref().is_none_or(|text| text.is_in(&event.data))
    }
}

/// Whether an event type is one of those asked for.
pub(super) fn is_of(wanted: Option<&Pattern>, event_type: &str) -> bool {
    wanted.is_none_or(|wanted| wanted.matches(event_type))
}

/// What is wrong with a text to search for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a text to search for is 1 to {WORDS_MAX} words in at most {Q_BYTES_MAX} bytes")]
pub struct BadText;

/// Words to search payloads for. All of them have to be there, in any order, each anywhere, also
/// within another word. The case of ASCII letters does not count; escapes are not undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text {
    words: Vec<String>,
}

impl Text {
    /// The words, in lower case.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether all of it is in these bytes.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.words.iter().all(|word| contains(bytes, word.as_bytes()))
    }
}

impl FromStr for Text {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        let words: Vec<_> = text.split_whitespace().map(str::to_ascii_lowercase).collect();
        if text.len() > Q_BYTES_MAX || !(1..=WORDS_MAX).contains(&words.len()) {
            return Err(BadText);
        }
        Ok(Self { words })
    }
}

impl TryFrom<String> for Text {
    type Error = BadText;

    fn try_from(text: String) -> Result<Self, BadText> {
        text.parse()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.words.join(" ")
    }
}

/// Whether a word in lower case is in these bytes. Most often it stands there as it was asked for:
/// that is found fast.
fn contains(bytes: &[u8], word: &[u8]) -> bool {
    if Finder::new(word).find(bytes).is_some() {
        return true;
    }
    let Some((first, rest)) = word.split_first() else {
        return true;
    };
    let upper = first.to_ascii_uppercase();
    memchr::memchr2_iter(*first, upper, bytes).any(|at| {
        bytes
            .get(at + 1..at + word.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_have_to_be_there_in_any_order_and_case() {
        let data = br#"{"customer": "ada@Example.com", "order": "ORD-1234"}"#;
        for (text, is_there) in [
            ("ord-1234", true),
            ("1234 ada@example", true),
            ("ADA", true),
            ("xample.c", true),
            ("ada bob", false),
            ("ord-12345", false),
        ] {
            let wanted: Text = text.parse().unwrap();
            assert_eq!(wanted.is_in(data), is_there, "{text}");
        }
    }

    #[test]
    fn a_text_has_bounds() {
        assert_eq!(" ".parse::<Text>(), Err(BadText));
        assert_eq!("a ".repeat(9).parse::<Text>(), Err(BadText));
        assert_eq!("a".repeat(201).parse::<Text>(), Err(BadText));
    }

    #[test]
    fn filters_read_back_as_they_were_written() {
        let filter = DeliveryFilter {
            states: vec![State::Failed, State::Cancelled],
            text: Some("a b".parse().unwrap()),
            kind: "order.*".parse().ok(),
            endpoint: Some(EndpointId::from_raw(7)),
            ..DeliveryFilter::default()
        };
        let text = serde_json::to_string(&filter).unwrap();
        assert_eq!(serde_json::from_str::<DeliveryFilter>(&text).unwrap(), filter);
    }
}
