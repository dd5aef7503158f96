//! Which events and deliveries a caller asks for: the same words in the parameters of a list and
//! in the body of a request.

use serde::Deserialize;

use super::errors::Failure;
use super::{Api, deliveries};
use crate::http::problem::{Flaw, Problem};
use crate::model::attempt::Outcome;
use crate::model::delivery::State;
use crate::model::event_type::{self, Pattern};
use crate::model::id::{EndpointId, SourceId, TenantId};
use crate::model::time::Timestamp;
use crate::store::{BadText, DeliveryFilter, EventFilter, Text};

/// What cannot be asked for.
#[derive(Debug)]
pub(super) struct Wrong {
    name: &'static str,
    problem: String,
}

impl Wrong {
    pub(super) fn new(name: &'static str, problem: impl Into<String>) -> Self {
        Self {
            name,
            problem: problem.into(),
        }
    }

    /// As a parameter of a list.
    pub(super) fn parameter(self) -> Failure {
        let Self { name, problem } = self;
        Failure(Problem::new(
            400,
            "bad_parameter",
            "Bad parameter",
            format!("the parameter {name} {problem}"),
        ))
    }

    /// As a member of a body.
    pub(super) fn member(self) -> Failure {
        let Self { name, problem } = self;
        let detail = format!("the member {name} {problem}");
        let flaw = Flaw::new(format!("/{name}"), "invalid", problem);
        Failure(Problem::new(422, "bad_request", "Bad request", detail).with_errors([flaw]))
    }
}

/// A word or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "is neither a word nor a list of words")]
pub(super) enum Words {
    /// Separated by commas.
    One(String),
    Many(Vec<String>),
}

impl Words {
    fn iter(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::One(words) => Box::new(words.split(',').map(str::trim)),
            Self::Many(words) => Box::new(words.iter().map(String::as_str)),
        }
    }
}

/// A number, in a URL as text.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "is no number")]
pub(super) enum Number {
    Text(String),
    Number(u32),
}

impl Number {
    fn read(this: Option<&Self>, name: &'static str) -> Result<Option<u32>, Wrong> {
        match this {
            None => Ok(None),
            Some(Self::Number(number)) => Ok(Some(*number)),
            Some(Self::Text(text)) => text
                .parse()
                .map(Some)
                .map_err(|_| Wrong::new(name, format!("is {text:?}; use a number"))),
        }
    }
}

/// Which deliveries.
#[derive(Debug, Clone, Default)]
pub(super) struct WhichDeliveries {
    /// An endpoint's name or id.
    pub(super) endpoint: Option<String>,
    pub(super) status: Option<Words>,
    pub(super) event: Option<String>,
    /// An event type or a pattern of them.
    pub(super) kind: Option<String>,
    /// A source's name or id.
    pub(super) source: Option<String>,
    pub(super) error_class: Option<String>,
    pub(super) status_code: Option<Number>,
    pub(super) attempts_min: Option<Number>,
    pub(super) q: Option<String>,
    pub(super) since: Option<String>,
    pub(super) until: Option<String>,
    pub(super) test: Option<String>,
}

impl WhichDeliveries {
    /// Reads it.
    pub(super) fn read(self, api: &Api, tenant: TenantId) -> Result<DeliveryFilter, Wrong> {
        Ok(DeliveryFilter {
            endpoint: endpoint(api, tenant, self.endpoint.as_deref())?,
            states: states(self.status.as_ref())?,
            event: parse("event", self.event.as_deref(), "use an id such as evt_…")?,
            kind: event_type(self.kind.as_deref())?,
            source: source(api, tenant, self.source.as_deref())?,
            error_class: class(self.error_class)?,
            status_code: code(self.status_code.as_ref())?,
            attempts_min: Number::read(self.attempts_min.as_ref(), "attempts_min")?,
            text: text(self.q.as_deref())?,
            since: time("since", self.since.as_deref())?,
            until: time("until", self.until.as_deref())?,
            test: parse("test", self.test.as_deref(), "use true or false")?,
        })
    }
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub(super) struct WhichEvents {
    /// An event type or a pattern of them.
    pub(super) kind: Option<String>,
    /// A source's name or id.
    pub(super) source: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) sender_id: Option<String>,
    pub(super) trace_id: Option<String>,
    pub(super) q: Option<String>,
    pub(super) since: Option<String>,
    pub(super) until: Option<String>,
}

impl WhichEvents {
    /// Reads it.
    pub(super) fn read(self, api: &Api, tenant: TenantId) -> Result<EventFilter, Wrong> {
        Ok(EventFilter {
            kind: event_type(self.kind.as_deref())?,
            source: source(api, tenant, self.source.as_deref())?,
            subject: self.subject,
            sender_id: self.sender_id,
            trace_id: self.trace_id.map(|id| id.to_ascii_lowercase()),
            text: text(self.q.as_deref())?,
            since: time("since", self.since.as_deref())?,
            until: time("until", self.until.as_deref())?,
        })
    }
}

/// Reads what has a form of its own.
pub(super) fn parse<T: std::str::FromStr>(
    name: &'static str,
    text: Option<&str>,
    wanted: &str,
) -> Result<Option<T>, Wrong> {
    text.map(|text| {
        text.parse()
            .map_err(|_| Wrong::new(name, format!("is {text:?}; {wanted}")))
    })
    .transpose()
}

fn time(name: &'static str, text: Option<&str>) -> Result<Option<Timestamp>, Wrong> {
    parse(name, text, "use a time such as 2026-01-31T15:00:00Z")
}

fn event_type(text: Option<&str>) -> Result<Option<Pattern>, Wrong> {
    let read = |text: &str| {
        let read = text.parse();
        read.map_err(|error: event_type::Error| Wrong::new("type", format!("is {text:?}, which {error}")))
    };
    text.map(read).transpose()
}

/// Finds an endpoint by its name or id.
pub(super) fn endpoint(
    api: &Api,
    tenant: TenantId,
    asked: Option<&str>,
) -> Result<Option<EndpointId>, Wrong> {
    let Some(name) = asked else { return Ok(None) };
    match deliveries::named(&api.directories.current(), tenant, name) {
        Some(id) => Ok(Some(id)),
        None => parse("endpoint", Some(name), "use the name or id of an endpoint"),
    }
}

fn source(api: &Api, tenant: TenantId, asked: Option<&str>) -> Result<Option<SourceId>, Wrong> {
    let Some(name) = asked else { return Ok(None) };
    match api.directories.current().source(tenant, name) {
        Some(door) => Ok(Some(door.source.id)),
        None => parse("source", Some(name), "use the name or id of a source"),
    }
}

fn states(words: Option<&Words>) -> Result<Vec<State>, Wrong> {
    let Some(words) = words else { return Ok(Vec::new()) };
    words
        .iter()
        .map(|word| {
            word.parse().map_err(|()| {
                let problem = format!("is {word:?}; use pending, succeeded, failed, dropped or cancelled");
                Wrong::new("status", problem)
            })
        })
        .collect()
}

fn class(word: Option<String>) -> Result<Option<String>, Wrong> {
    match word {
        Some(word) if !Outcome::CLASSES.contains(&word.as_str()) => Err(Wrong::new(
            "error_class",
            format!("is {word:?}; use one of {}", Outcome::CLASSES.join(", ")),
        )),
        word => Ok(word),
    }
}

fn code(number: Option<&Number>) -> Result<Option<u16>, Wrong> {
    let Some(number) = Number::read(number, "status_code")? else {
        return Ok(None);
    };
    u16::try_from(number)
        .ok()
        .filter(|code| (100..=999).contains(code))
        .map(Some)
        .ok_or_else(|| Wrong::new("status_code", format!("is {number}; use a status such as 503")))
}

fn text(q: Option<&str>) -> Result<Option<Text>, Wrong> {
    let text = q.map(str::parse).transpose();
    text.map_err(|error: BadText| Wrong::new("q", format!("cannot be searched for: {error}")))
}
