//! What was received.

use bytes::Bytes;

use super::id::{EventId, SourceId, TenantId};
use super::time::Timestamp;
use super::trace;

/// A header: lower-case name and value. Repeated headers are repeated entries.
pub type Header = (String, String);

/// One event as it was accepted; never changed afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: EventId,
    pub tenant: TenantId,
    /// The door it came in by; `None` for events posted to the API.
    pub source: Option<SourceId>,
    /// When the relay took it in.
    pub received_at: Timestamp,
    pub envelope: Envelope,
    /// Headers that came with it, credentials left out. Empty for events from the API.
    pub headers: Vec<Header>,
    pub data: Bytes,
}

/// The CloudEvents 1.0 context attributes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// The sender's own id; without one, the event's id takes its place.
    pub id: Option<String>,
    /// CloudEvents `source`: the sender's, or the name of the source it came in by.
    pub source: String,
    /// The event type.
    pub kind: String,
    pub subject: Option<String>,
    /// When it happened, as far as the sender said.
    pub time: Option<Timestamp>,
    pub content_type: Option<String>,
    /// CloudEvents extension attributes, and `dataschema`.
    pub extensions: Vec<Header>,
}

impl Event {
    /// What is left of it once it is erased: its ids, its type, when it came in, and that it was
    /// erased.
    #[must_use]
    pub fn erased(&self, at: Timestamp) -> Self {
        Self {
            envelope: Envelope {
                id: None,
                source: self.envelope.source.clone(),
                kind: self.envelope.kind.clone(),
                subject: None,
                time: self.envelope.time,
                content_type: Some("application/json".to_owned()),
                extensions: Vec::new(),
            },
            headers: Vec::new(),
            data: Bytes::from(format!(r#"{{"erased":true,"at":"{at}"}}"#)),
            ..*self
        }
    }

    /// The CloudEvents `id`: the sender's, else our own.
    pub fn cloudevents_id(&self) -> String {
        self.envelope.id.clone().unwrap_or_else(|| self.id.to_string())
    }

    /// The CloudEvents `time`: the sender's, else when the event came in.
    pub fn happened_at(&self) -> Timestamp {
        self.envelope.time.unwrap_or(self.received_at)
    }

    /// Whether it is a sample that was sent to try an endpoint out.
    pub fn is_test(&self) -> bool {
        self.source == Some(SourceId::TEST)
    }

    /// The trace it belongs to, if its sender said so.
    pub fn trace_id(&self) -> Option<String> {
        trace::of(&self.envelope.extensions, &self.headers).map(|(parent, _)| parent.trace_id())
    }

    /// Whether the data is said to be JSON: `application/json`, or any `+json` type.
    pub fn is_json(&self) -> bool {
        is_json(self.envelope.content_type.as_deref())
    }

    /// Bytes this event takes in memory, near enough to bound queues by.
    pub fn weight(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + 48)
            .sum();
        self.data.len() + headers + 512
    }
}

/// Whether a content type means JSON; none at all is taken as JSON, as CloudEvents does.
pub fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else {
        return true;
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("text/json")
        || essence.len() > 5 && essence.as_bytes()[essence.len() - 5..].eq_ignore_ascii_case(b"+json")
}
