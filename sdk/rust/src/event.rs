//! The event that a plugin looks at.

use std::cell::OnceCell;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Edits, Fault, Message, Payload, host};

/// An event: the context attributes of CloudEvents, and a payload that the relay holds.
///
/// Attributes, headers and the payload are fetched when they are asked for.
#[derive(Clone)]
pub struct Event {
    pub(crate) id: Attribute,
    pub(crate) source: Attribute,
    pub(crate) event_type: Attribute,
    pub(crate) subject: Attribute,
    pub(crate) time: Attribute,
    pub(crate) content_type: Attribute,
    pub(crate) data: Payload,
}

/// An attribute, kept once the relay was asked for it.
#[derive(Clone, Default)]
pub(crate) struct Attribute(OnceCell<Option<String>>);

impl Attribute {
    /// One that is known without asking.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn known(value: Option<&str>) -> Self {
        Self(OnceCell::from(value.map(str::to_owned)))
    }

    fn read(&self, of: Payload, name: &str) -> Option<&str> {
        self.0.get_or_init(|| host::attribute(of.0, name)).as_deref()
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.attributes() == other.attributes() && self.data == other.data
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Event");
        for (name, value) in self.attributes() {
            shown.field(name, &value);
        }
        shown.field("data", &self.data).finish()
    }
}

impl Event {
    /// The one that the call is about.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn of(data: Payload) -> Self {
        Self {
            id: Attribute::default(),
            source: Attribute::default(),
            event_type: Attribute::default(),
            subject: Attribute::default(),
            time: Attribute::default(),
            content_type: Attribute::default(),
            data,
        }
    }

    /// Its id, the same on every attempt.
    pub fn id(&self) -> &str {
        self.id.read(self.data, "id").unwrap_or_default()
    }

    /// CloudEvents `source`.
    pub fn source(&self) -> &str {
        self.source.read(self.data, "source").unwrap_or_default()
    }

    /// Its type, such as `invoice.paid`.
    pub fn event_type(&self) -> &str {
        self.event_type.read(self.data, "type").unwrap_or_default()
    }

    /// Short for [`event_type`](Self::event_type).
    pub fn kind(&self) -> &str {
        self.event_type()
    }

    /// CloudEvents `subject`.
    pub fn subject(&self) -> Option<&str> {
        self.subject.read(self.data, "subject")
    }

    /// When it happened, in RFC 3339; [`crate::time::Time`] reads it.
    pub fn time(&self) -> Option<&str> {
        self.time.read(self.data, "time")
    }

    /// CloudEvents `datacontenttype`.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.read(self.data, "datacontenttype")
    }

    /// The context attributes by their names in CloudEvents.
    pub(crate) fn attributes(&self) -> [(&'static str, Option<&str>); 6] {
        [
            ("id", Some(self.id())),
            ("source", Some(self.source())),
            ("type", Some(self.event_type())),
            ("subject", self.subject()),
            ("time", self.time()),
            ("datacontenttype", self.content_type()),
        ]
    }

    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        host::header(name)
    }

    /// Every header in the order of arrival; one that came twice is two entries.
    pub fn headers(&self) -> Vec<(String, String)> {
        host::headers()
    }

    /// A CloudEvents extension attribute, or `dataschema`.
    pub fn extension(&self, name: &str) -> Option<String> {
        host::extension(name)
    }

    /// Every extension attribute.
    pub fn extensions(&self) -> Vec<(String, String)> {
        host::extensions()
    }

    /// The payload as the relay holds it.
    pub fn data(&self) -> Payload {
        self.data
    }

    /// One value of a JSON payload, by JSON Pointer; found by the relay, so that the rest is
    /// neither copied nor parsed. `None`: no such value, or one of another type.
    pub fn get<T: DeserializeOwned>(&self, pointer: &str) -> Option<T> {
        self.data.get(pointer)
    }

    /// One value of a JSON payload, by JSON Pointer.
    ///
    /// # Errors
    /// [`Fault::Invalid`], naming the pointer, if it is absent or of another type.
    pub fn require<T: DeserializeOwned>(&self, pointer: &str) -> Result<T, Fault> {
        self.data.require(pointer)
    }

    /// The whole payload as text; `None` if it is not UTF-8.
    pub fn text(&self) -> Option<String> {
        self.data.text()
    }

    /// The whole payload.
    pub fn bytes(&self) -> Vec<u8> {
        self.data.bytes()
    }

    /// The whole payload, parsed. [`get`](Self::get) is cheaper for a few fields.
    ///
    /// # Errors
    /// [`Fault::Invalid`] if the payload is not JSON of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        self.data.json()
    }

    /// Begins a list of changes to the payload, which the relay makes.
    pub fn edit(&self) -> Edits {
        Edits::default()
    }

    /// A message with this JSON document in place of the payload.
    pub fn replace(&self, document: impl Serialize) -> Message {
        Message::json(document)
    }
}
