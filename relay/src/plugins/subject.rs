//! What a plugin looks at.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::draft::Draft;
use crate::model::event::{Envelope, Event, Header};

/// An event on its way through a chain: copied only when a plugin changes it.
#[derive(Debug, Clone)]
pub(super) enum Working {
    Event(Arc<Event>),
    Draft(Arc<Draft>),
}

impl Working {
    pub(super) fn envelope(&self) -> &Envelope {
        match self {
            Self::Event(event) => &event.envelope,
            Self::Draft(draft) => &draft.envelope,
        }
    }

    pub(super) fn headers(&self) -> &[Header] {
        match self {
            Self::Event(event) => &event.headers,
            Self::Draft(draft) => &draft.headers,
        }
    }

    pub(super) fn data(&self) -> &Bytes {
        match self {
            Self::Event(event) => &event.data,
            Self::Draft(draft) => &draft.data,
        }
    }

    /// The CloudEvents `id` and `time`, as text.
    pub(super) fn stamps(&self) -> Stamps {
        Stamps {
            id: self.id(),
            time: self.time(),
        }
    }

    fn id(&self) -> String {
        match self {
            Self::Event(event) => event.cloudevents_id(),
            Self::Draft(draft) => draft.cloudevents_id(),
        }
    }

    fn time(&self) -> String {
        match self {
            Self::Event(event) => event.happened_at().to_string(),
            Self::Draft(draft) => draft.happened_at().to_string(),
        }
    }

    /// The CloudEvents attribute of that name, an extension if it is none of the core ones.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let envelope = self.envelope();
        match name {
            "id" => Some(self.id()),
            "source" => Some(envelope.source.clone()),
            "type" => Some(envelope.kind.clone()),
            "subject" => envelope.subject.clone(),
            "time" => Some(self.time()),
            "datacontenttype" => envelope.content_type.clone(),
            other => value_of(&envelope.extensions, other),
        }
    }

    /// A copy to change.
    pub(super) fn draft(&self) -> Draft {
        match self {
            Self::Event(event) => Draft::of(event),
            Self::Draft(draft) => Draft::clone(draft),
        }
    }

    /// The same, without a copy where nobody else holds it.
    pub(super) fn into_draft(self) -> Draft {
        match self {
            Self::Event(event) => Draft::of(&event),
            Self::Draft(draft) => Arc::unwrap_or_clone(draft),
        }
    }
}

/// The first value of a field.
pub(super) fn value_of(fields: &[Header], name: &str) -> Option<String> {
    let found = fields.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.clone())
}

/// The attributes of an event that have to be made into text.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    pub(super) id: String,
    pub(super) time: String,
}

/// A request to a source, as it came.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) headers: Vec<Header>,
    pub(super) body: Bytes,
}

/// What a visit is about.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    None,
    Request(Arc<Asked>),
    Event(Working),
    /// An event and what its destination answered.
    Answer(Working, Arc<Asked>),
}

impl Subject {
    pub(super) fn headers(&self) -> &[Header] {
        match self {
            Self::None => &[],
            Self::Request(asked) => &asked.headers,
            Self::Event(event) | Self::Answer(event, _) => event.headers(),
        }
    }

    pub(super) const fn event(&self) -> Option<&Working> {
        match self {
            Self::None | Self::Request(_) => None,
            Self::Event(event) | Self::Answer(event, _) => Some(event),
        }
    }

    pub(super) fn extensions(&self) -> &[Header] {
        match self {
            Self::None | Self::Request(_) => &[],
            Self::Event(event) | Self::Answer(event, _) => &event.envelope().extensions,
        }
    }

    pub(super) fn answer_headers(&self) -> &[Header] {
        match self {
            Self::Answer(_, answer) => &answer.headers,
            _ => &[],
        }
    }

    pub(super) fn data(&self) -> Option<&Bytes> {
        match self {
            Self::None => None,
            Self::Request(asked) => Some(&asked.body),
            Self::Event(event) | Self::Answer(event, _) => Some(event.data()),
        }
    }

    pub(super) fn answer_body(&self) -> Option<&Bytes> {
        match self {
            Self::Answer(_, answer) => Some(&answer.body),
            _ => None,
        }
    }
}
