//! An event on its way through a chain: what plugins see and change.

use bytes::Bytes;
use serde_json::{Value, json};

use super::event::{Envelope, Event, Header, is_json};
use super::id::EventId;
use super::time::Timestamp;

/// The working copy of an event for one delivery. Plugins change it; the event itself stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The event it was made from.
    pub event: EventId,
    pub received_at: Timestamp,
    pub envelope: Envelope,
    pub headers: Vec<Header>,
    pub data: Bytes,
    /// Whether a plugin put data of its own in place of the event's, rather than editing it.
    pub data_replaced: bool,
    /// Headers that a plugin set: these are sent whatever the endpoint's format.
    pub headers_set: Vec<Header>,
}

impl Draft {
    /// A fresh working copy.
    pub fn of(event: &Event) -> Self {
        Self {
            event: event.id,
            received_at: event.received_at,
            envelope: event.envelope.clone(),
            headers: event.headers.clone(),
            data: event.data.clone(),
            data_replaced: false,
            headers_set: Vec::new(),
        }
    }

    /// All that a receiver could tell two apart by, as JSON: for people who compare.
    pub fn shown(&self) -> Value {
        let envelope = &self.envelope;
        let text = || Value::String(String::from_utf8_lossy(&self.data).into_owned());
        let json = is_json(envelope.content_type.as_deref())
            .then(|| serde_json::from_slice(&self.data).ok())
            .flatten();
        json!({
            "type": envelope.kind,
            "id": envelope.id,
            "source": envelope.source,
            "subject": envelope.subject,
            "content_type": envelope.content_type,
            "extensions": envelope.extensions,
            "headers_set": self.headers_set,
            "data": json.unwrap_or_else(text),
        })
    }

    /// The CloudEvents `id`: the sender's or a plugin's, else the event's own.
    pub fn cloudevents_id(&self) -> String {
        self.envelope.id.clone().unwrap_or_else(|| self.event.to_string())
    }

    /// The CloudEvents `time`: the sender's or a plugin's, else when the event came in.
    pub fn happened_at(&self) -> Timestamp {
        self.envelope.time.unwrap_or(self.received_at)
    }
}
