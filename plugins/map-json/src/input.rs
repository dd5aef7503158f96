//! What an expression looks at.

use std::collections::BTreeMap;

use jmespath::{Rcvar, Variable};
use relay_sdk::{Event, Fault, OrFault};
use serde::Deserialize;

/// What an expression looks at.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Input {
    /// The payload, which has to be JSON.
    #[default]
    Payload,
    /// The event: its attributes, its headers and, as `data`, the payload.
    Event,
}

impl Input {
    pub(crate) fn of(self, event: &Event) -> Result<Rcvar, Fault> {
        let text = event.text().or_invalid("the payload is not UTF-8")?;
        match (self, Variable::from_json(&text)) {
            (Self::Payload, Ok(data)) => Ok(Rcvar::new(data)),
            (Self::Payload, Err(error)) => Err(Fault::invalid(format!("the payload is not JSON: {error}"))),
            (Self::Event, data) => Ok(wrapped(event, data.unwrap_or(Variable::String(text)))),
        }
    }
}

fn wrapped(event: &Event, data: Variable) -> Rcvar {
    let some = |text: &str| Rcvar::new(Variable::String(text.to_owned()));
    let text = |text: Option<&str>| text.map_or_else(|| Rcvar::new(Variable::Null), some);
    let mut headers = BTreeMap::new();
    for (name, value) in event.headers() {
        headers.entry(name).or_insert_with(|| some(&value));
    }
    object([
        ("id", some(event.id())),
        ("source", some(event.source())),
        ("type", some(event.event_type())),
        ("subject", text(event.subject())),
        ("time", text(event.time())),
        ("content_type", text(event.content_type())),
        ("headers", Rcvar::new(Variable::Object(headers))),
        ("data", Rcvar::new(data)),
    ])
}

fn object<const N: usize>(members: [(&str, Rcvar); N]) -> Rcvar {
    let members = members.map(|(name, value)| (name.to_owned(), value));
    Rcvar::new(Variable::Object(BTreeMap::from(members)))
}
