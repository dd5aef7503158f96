//! Turns events into events of Google Analytics 4 or Mixpanel.

mod ga4;
mod mixpanel;

use std::collections::BTreeMap;

use relay_sdk::fill::Fill;
use relay_sdk::prelude::*;
use relay_sdk::template::{Template, Variable, verbatim};
use relay_sdk::time::Time;
use serde::Deserialize;
use serde_json::{Map, Value};

struct TrackEvent;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    service: Service,
    name: Template,
    client: Option<Fill>,
    user: Option<Fill>,
    time: Option<Variable>,
    #[serde(default)]
    properties: BTreeMap<String, Fill>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Service {
    Ga4,
    Mixpanel,
}

/// What both services want to know.
struct Tracked {
    name: String,
    client: Option<String>,
    user: Option<String>,
    time: Option<Time>,
    properties: Map<String, Value>,
}

#[plugin]
impl TrackEvent {
    fn transform(event: &Event, config: &Config) -> Result<Message, Fault> {
        let tracked = config.tracked(event)?;
        match config.service {
            Service::Ga4 => ga4::message(tracked),
            Service::Mixpanel => mixpanel::message(tracked, event),
        }
    }

    fn check(config: Config) -> Vec<Problem> {
        match config.service {
            Service::Ga4 => ga4::problems(&config),
            Service::Mixpanel => mixpanel::problems(&config),
        }
    }
}

impl Config {
    fn tracked(&self, event: &Event) -> Result<Tracked, Fault> {
        let text = |fill: &Option<Fill>| fill.as_ref()?.text(event);
        let property = |(name, fill): (&String, &Fill)| Some((name.clone(), fill.value(event)?));
        Ok(Tracked {
            name: self
                .name
                .render_some(event, verbatim)
                .or_invalid("/name is empty once its variables are filled in")?,
            client: text(&self.client),
            user: text(&self.user),
            time: self.time(event)?,
            properties: self.properties.iter().filter_map(property).collect(),
        })
    }

    /// When it happened: by the configuration, else by the event.
    fn time(&self, event: &Event) -> Result<Option<Time>, Fault> {
        let Some(variable) = &self.time else {
            return Ok(event.time().and_then(Time::parse));
        };
        let Some(text) = variable.text(event) else {
            return Ok(None);
        };
        Time::read(&text)
            .map(Some)
            .or_invalid("/time is neither a time in RFC 3339 nor one in Unix seconds or milliseconds")
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<TrackEvent>();
    }

    #[test]
    fn mixpanel_knows_an_attempt_again() {
        let host = Host::new().config(json!({ "service": "mixpanel", "name": "n", "user": "u" }));
        let sent = |host: &Host, id: &str| {
            let sample = event("a").id(id).time("2026-01-31T15:04:05Z").data(json!({}));
            let sent = host.transform::<TrackEvent>(sample).unwrap().json();
            sent[0]["properties"]["$insert_id"].as_str().unwrap().to_owned()
        };
        let first = sent(&host, "evt_1");
        assert_eq!(first.len(), 32);
        assert_ne!(first, sent(&host, "evt_2"));
        assert_eq!(first, sent(&host.attempt(2), "evt_1"));
    }
}
