//! Sets the attributes of CloudEvents from what an event holds.

use std::collections::BTreeMap;

use relay_sdk::prelude::*;
use relay_sdk::template::{Template, Variable, verbatim};
use relay_sdk::time::Time;
use serde::Deserialize;

/// Names that are no extension's: attributes of CloudEvents, and members of its JSON format.
const TAKEN: [&str; 10] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "database64",
];

struct ToCloudevents;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    r#type: Option<Template>,
    source: Option<Template>,
    id: Option<Template>,
    subject: Option<Template>,
    time: Option<Variable>,
    dataschema: Option<Template>,
    #[serde(default)]
    extensions: BTreeMap<String, Template>,
    data: Option<String>,
}

#[plugin]
impl ToCloudevents {
    fn transform(event: &Event, config: &Config) -> Result<Outcome, Fault> {
        let mut message = match &config.data {
            Some(pointer) => part(event, pointer)?,
            None => Message::same(),
        };
        for (name, template) in config.attributes() {
            if let Some(value) = template.render_some(event, verbatim) {
                message = message.set_attribute(name, value.trim());
            }
        }
        if let Some(time) = config.time(event)? {
            message = message.set_attribute("time", time.to_string());
        }
        Ok(match message == Message::same() {
            true => Outcome::Keep,
            false => message.into(),
        })
    }

    fn check(config: Config) -> Vec<Problem> {
        let taken = config
            .extensions
            .keys()
            .filter(|name| TAKEN.contains(&name.as_str()));
        taken
            .map(|name| {
                let at = format!("/extensions/{name}");
                Problem::new(
                    at,
                    "is a name of CloudEvents' own: choose another, or set it by itself",
                )
            })
            .collect()
    }
}

impl Config {
    fn attributes(&self) -> impl Iterator<Item = (&str, &Template)> {
        let own = [
            ("type", &self.r#type),
            ("source", &self.source),
            ("id", &self.id),
            ("subject", &self.subject),
            ("dataschema", &self.dataschema),
        ];
        let own = own
            .into_iter()
            .filter_map(|(name, template)| Some((name, template.as_ref()?)));
        let more = self.extensions.iter();
        own.chain(more.map(|(name, template)| (name.as_str(), template)))
    }

    fn time(&self, event: &Event) -> Result<Option<Time>, Fault> {
        let Some(text) = self.time.as_ref().and_then(|variable| variable.text(event)) else {
            return Ok(None);
        };
        Time::read(&text)
            .map(Some)
            .or_invalid("/time is neither a time in RFC 3339 nor one in Unix seconds or milliseconds")
    }
}

/// A part of the payload, its numbers as they are spelled.
fn part(event: &Event, pointer: &str) -> Result<Message, Fault> {
    let json = event
        .data()
        .value(pointer)
        .or_invalid(format!("the payload has no value at {pointer:?}"))?;
    Ok(Message::text(json).set_attribute("datacontenttype", "application/json"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn fixtures_hold() {
        relay_sdk::testing::fixtures::<super::ToCloudevents>();
    }
}
