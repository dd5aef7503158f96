//! An event as filters see it: `{id, source, type, subject, time, data}`.

use std::cell::OnceCell;

use sonic_rs::{JsonContainerTrait as _, JsonValueTrait as _, Value};

use crate::model::event::Event;
use crate::model::json;
use crate::model::time::Timestamp;

/// The fields of an event that a filter can name.
pub const FIELDS: [&str; 6] = ["id", "source", "type", "subject", "time", "data"];

/// One event, looked at by any number of filters. What costs something is made when the
/// first filter asks for it, and once: above all, the data is parsed at most once.
#[derive(Debug)]
pub struct View<'e> {
    event: &'e Event,
    id: OnceCell<String>,
    time: OnceCell<String>,
    data: OnceCell<Option<Value>>,
}

impl<'e> View<'e> {
    /// Nothing is computed yet.
    pub const fn new(event: &'e Event) -> Self {
        Self {
            event,
            id: OnceCell::new(),
            time: OnceCell::new(),
            data: OnceCell::new(),
        }
    }

    /// When the event came in, which ages are reckoned from.
    pub(super) const fn received_at(&self) -> Timestamp {
        self.event.received_at
    }

    fn field(&self, name: &str) -> Node<'_> {
        let envelope = &self.event.envelope;
        match name {
            "id" => Node::Text(self.id()),
            "source" => Node::Text(&envelope.source),
            "type" => Node::Text(&envelope.kind),
            "subject" => envelope.subject.as_deref().map_or(Node::Absent, Node::Text),
            "time" => Node::Text(self.time.get_or_init(|| self.event.happened_at().to_string())),
            "data" => self.data().map_or(Node::Absent, Node::Json),
            _ => Node::Absent,
        }
    }

    fn id(&self) -> &str {
        match &self.event.envelope.id {
            Some(id) => id,
            None => self.id.get_or_init(|| self.event.id.to_string()),
        }
    }

    /// The data, if it is JSON that is not too deep; any other data has no fields.
    fn data(&self) -> Option<&Value> {
        let parse = || {
            let data = &self.event.data;
            if !self.event.is_json() || json::is_too_deep(data) {
                return None;
            }
            sonic_rs::from_slice(data).ok()
        };
        self.data.get_or_init(parse).as_ref()
    }
}

/// A place in an event, with or without something there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Node<'v> {
    Event(&'v View<'v>),
    Text(&'v str),
    Json(&'v Value),
    Absent,
}

impl<'v> Node<'v> {
    /// What stands in a field.
    pub(super) fn field(self, name: &str) -> Self {
        match self {
            Self::Event(view) => view.field(name),
            Self::Json(value) => value
                .as_object()
                .and_then(|object| object.get(&name))
                .map_or(Self::Absent, Self::Json),
            Self::Text(_) | Self::Absent => Self::Absent,
        }
    }

    /// The elements, if an array stands here.
    pub(super) fn elements(self) -> Option<&'v [Value]> {
        match self {
            Self::Json(value) => value.as_array().map(|array| array.as_slice()),
            _ => None,
        }
    }

    pub(super) const fn is_absent(self) -> bool {
        matches!(self, Self::Absent)
    }

    /// What stands here, for people: a value of more than `max` bytes is cut.
    pub(super) fn describe(self, max: usize) -> String {
        let text = match self {
            Self::Absent => return "absent".to_owned(),
            Self::Event(_) => return "the event".to_owned(),
            Self::Text(text) => format!("{text:?}"),
            Self::Json(value) if value.is_array() => return "a list without a match".to_owned(),
            Self::Json(value) if value.is_object() => return "an object".to_owned(),
            Self::Json(value) => sonic_rs::to_string(value).unwrap_or_default(),
        };
        if text.len() <= max {
            text
        } else {
            format!("{}…", &text[..text.floor_char_boundary(max)])
        }
    }
}
