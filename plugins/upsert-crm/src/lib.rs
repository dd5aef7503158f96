//! Makes or changes a record in HubSpot, Salesforce or another CRM.

mod person;
mod shape;

use std::collections::BTreeMap;

use person::Preset;
use relay_sdk::fill::Fill;
use relay_sdk::prelude::*;
use relay_sdk::secrets::SecretError;
use serde::Deserialize;
use serde_json::{Map, Value};
use shape::{Record, Shape};

/// Messages that the relay takes of one event.
const MESSAGES_MAX: usize = 100;

struct UpsertCrm;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    preset: Option<Preset>,
    #[serde(default)]
    person: String,
    #[serde(default)]
    shape: Shape,
    object: Option<String>,
    key: Option<Key>,
    #[serde(default)]
    properties: BTreeMap<String, Fill>,
}

/// What tells one record from another.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    name: String,
    value: Option<Fill>,
    /// With a preset: the person's own member that is the value.
    member: Option<String>,
}

impl Key {
    /// Whether nothing says what its value is.
    const fn is_open(&self) -> bool {
        self.value.is_none() && self.member.is_none()
    }
}

#[plugin]
impl UpsertCrm {
    fn transform(event: &Event, config: &Config) -> Result<Vec<Message>, Fault> {
        let records = config.records(event)?;
        let (shape, name) = (config.shape(), config.key_name()?);
        if records.len() > shape.records_max() * MESSAGES_MAX {
            let most = shape.records_max() * MESSAGES_MAX;
            return Err(Fault::invalid(format!("the event has more than {most} records")));
        }
        let token = token()?;
        let requests = records.chunks(shape.records_max()).map(|records| {
            let message = Message::json(shape.body(config.object(), name, records));
            match &token {
                Some(token) => message.set_header("authorization", format!("Bearer {token}")),
                None => message,
            }
        });
        Ok(requests.collect())
    }

    fn check(config: Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        if config.shape() == Shape::Salesforce && config.object().is_empty() {
            problems.push(Problem::new(
                "/object",
                "is needed for Salesforce, such as Contact",
            ));
        }
        match (&config.key, config.preset) {
            (None, Some(preset)) if preset.key().is_some() => {}
            (None, _) => problems.push(Problem::new(
                "/key",
                "is needed: what tells one record from another, such as { name = \"Shop_Id__c\", value = \"{{/id}}\" }",
            )),
            (Some(key), preset) if key.is_open() && preset.and_then(Preset::key) != Some(&key.name) => {
                problems.push(Problem::new("/key/value", "is needed, such as {{/customer/email}}"));
            }
            (Some(key), None) if key.member.is_some() => {
                problems.push(Problem::new("/key/member", "means nothing without a preset: use value"));
            }
            (Some(_), _) => {}
        }
        let name = config
            .key
            .as_ref()
            .map(|key| key.name.as_str())
            .unwrap_or_default();
        if config.properties.contains_key(name) {
            let at = format!("/properties/{}", name.replace('~', "~0").replace('/', "~1"));
            problems.push(Problem::new(at, "is the key already: leave it out here"));
        }
        if config.preset.is_none() && !config.person.is_empty() {
            problems.push(Problem::new(
                "/person",
                "means nothing without a preset: name one, or leave it out",
            ));
        }
        problems
    }
}

impl Config {
    fn shape(&self) -> Shape {
        self.preset.map_or(self.shape, Preset::shape)
    }

    fn object(&self) -> &str {
        let usual = self.preset.map(Preset::object).unwrap_or_default();
        self.object.as_deref().unwrap_or(usual)
    }

    fn key_name(&self) -> Result<&str, Fault> {
        let usual = self.preset.and_then(Preset::key);
        let own = self.key.as_ref().map(|key| key.name.as_str());
        own.or(usual)
            .or_misconfigured("/key is needed: what tells one record from another")
    }

    fn records(&self, event: &Event) -> Result<Vec<Record>, Fault> {
        let own = |(name, fill): (&String, &Fill)| Some((name.clone(), fill.value(event)?));
        let own: Map<String, Value> = self.properties.iter().filter_map(own).collect();
        let Some(preset) = self.preset else {
            let key = self.key(event, &Value::Null, &Map::new())?;
            return Ok(vec![Record { key, properties: own }]);
        };
        let persons = person::persons(event, &self.person)?;
        let record = |person: &Value| {
            let mut properties = preset.properties(person);
            let key = self.key(event, person, &properties)?;
            properties.remove(self.key_name()?);
            properties.extend(own.clone());
            Ok(Record { key, properties })
        };
        let records = persons.iter().map(record).collect::<Result<_, Fault>>();
        records.map(person::once_each)
    }

    /// Without it every event would make a record, or change somebody else's.
    fn key(&self, event: &Event, person: &Value, known: &Map<String, Value>) -> Result<Value, Fault> {
        let name = self.key_name()?;
        let (value, member) = match &self.key {
            Some(key) => (key.value.as_ref(), key.member.as_deref()),
            None => (None, None),
        };
        let value = match (value, member) {
            (Some(fill), _) => fill.value(event),
            (None, Some(member)) => person.get(member).filter(|value| is_said(value)).cloned(),
            (None, None) => known.get(name).cloned(),
        };
        let value = value.or_invalid(format!(
            "/key/value is empty for this event: nothing says which record is meant by {name}"
        ))?;
        if value.is_array() || value.is_object() {
            return Err(Fault::invalid(format!(
                "/key/value is a list or an object: {name} has to be a text or a number"
            )));
        }
        Ok(value)
    }
}

/// Neither null nor a blank text.
fn is_said(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    }
}

/// The secret `token`, if it is granted; otherwise the endpoint's own headers say who asks.
fn token() -> Result<Option<String>, Fault> {
    match secrets::get("token") {
        Ok(token) => Ok(Some(token)),
        Err(SecretError::NotGranted(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event};

    use super::*;

    #[test]
    fn fixtures_hold() {
        relay_sdk::testing::fixtures::<UpsertCrm>();
    }

    #[test]
    fn many_persons_are_as_many_requests_as_the_crm_wants() {
        let person = |number: usize| json!({ "email": format!("p{number}@example.org") });
        let host = Host::new().config(json!({ "preset": "hubspot-contact", "person": "/persons" }));
        let sent = |count: usize| {
            let persons: Vec<_> = (0..count).map(person).collect();
            let sample = event("import").data(json!({ "persons": persons }));
            host.transform::<UpsertCrm>(sample)
        };
        let sent = sent(101).unwrap();
        let counts = sent.messages.iter().map(|message| {
            let inputs = message.json();
            inputs["inputs"].as_array().unwrap().len()
        });
        assert_eq!(counts.collect::<Vec<_>>(), [100, 1]);
    }
}
