//! What a plugin answers with: a payload and changes to the envelope.

use serde::Serialize;

use crate::{Edit, Fault, Outcome, Payload};

/// The payload of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// What came in, untouched.
    Same,
    /// This text.
    Text(String),
    /// These bytes.
    Bytes(Vec<u8>),
    /// What came in with these changes.
    Edits(Vec<Edit>),
    /// Another payload that the relay holds.
    Held(Payload),
}

/// A change to the envelope; what is not named stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Name and value of a CloudEvents attribute.
    SetAttribute(String, String),
    /// The name of an optional attribute.
    RemoveAttribute(String),
    /// Name and value: replaces every value of a header.
    SetHeader(String, String),
    /// Name and value: one more value of a header.
    AddHeader(String, String),
    /// The name of a header, of which every value goes.
    RemoveHeader(String),
}

/// Changes of headers and attributes, on whatever is sent.
pub trait Envelope: Sized {
    /// Adds a change.
    #[must_use]
    fn with_change(self, change: Change) -> Self;

    /// Replaces every value of a header.
    #[must_use]
    fn set_header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with_change(Change::SetHeader(name.into(), value.into()))
    }

    /// Adds one more value of a header.
    #[must_use]
    fn add_header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with_change(Change::AddHeader(name.into(), value.into()))
    }

    /// Takes every value of a header away.
    #[must_use]
    fn remove_header(self, name: impl Into<String>) -> Self {
        self.with_change(Change::RemoveHeader(name.into()))
    }

    /// Sets `id`, `source`, `type`, `subject`, `time`, `datacontenttype`, `dataschema` or an
    /// extension attribute.
    #[must_use]
    fn set_attribute(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with_change(Change::SetAttribute(name.into(), value.into()))
    }

    /// Takes an optional attribute away.
    #[must_use]
    fn remove_attribute(self, name: impl Into<String>) -> Self {
        self.with_change(Change::RemoveAttribute(name.into()))
    }
}

/// One message to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub(crate) changes: Vec<Change>,
    /// A document that could not be written is a fault, told when the answer is given.
    pub(crate) data: Result<Data, Fault>,
}

impl Message {
    /// The event's own payload, untouched.
    pub fn same() -> Self {
        Self::of(Data::Same)
    }

    /// A JSON document; the content type becomes `application/json`.
    pub fn json(document: impl Serialize) -> Self {
        let text = serde_json::to_string(&document).map_err(Fault::from);
        Self {
            changes: Vec::new(),
            data: text.map(Data::Text),
        }
        .set_attribute("datacontenttype", "application/json")
    }

    /// A text. Its content type is the event's unless `datacontenttype` is set.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Data::Text(text.into()))
    }

    /// Bytes. Their content type is the event's unless `datacontenttype` is set.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::of(Data::Bytes(bytes.into()))
    }

    /// Another payload that the relay holds, passed on without entering the plugin.
    pub fn held(payload: Payload) -> Self {
        Self::of(Data::Held(payload))
    }

    /// The changes to the envelope, in order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The payload.
    ///
    /// # Errors
    /// The fault of a value that cannot be written as JSON.
    pub fn data(&self) -> Result<&Data, &Fault> {
        self.data.as_ref()
    }

    fn of(data: Data) -> Self {
        Self {
            changes: Vec::new(),
            data: Ok(data),
        }
    }
}

impl Envelope for Message {
    fn with_change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}

impl From<Message> for Outcome {
    fn from(message: Message) -> Self {
        Self::Emit(vec![message])
    }
}

impl From<Vec<Message>> for Outcome {
    fn from(messages: Vec<Message>) -> Self {
        Self::Emit(messages)
    }
}
