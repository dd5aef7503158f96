//! Makes or changes a record in HubSpot, Salesforce or another CRM.

mod shape;

use std::collections::BTreeMap;

use relay_sdk::fill::Fill;
use relay_sdk::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value};
use shape::Shape;

struct UpsertCrm;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    shape: Shape,
    object: Option<String>,
    key: Key,
    #[serde(default)]
    properties: BTreeMap<String, Fill>,
}

/// What tells one record from another.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    name: String,
    value: Fill,
}

#[plugin]
impl UpsertCrm {
    fn transform(event: &Event, config: &Config) -> Result<Message, Fault> {
        // Without it every event would make a record, or change somebody else's.
        let key = config.key.value.value(event).or_invalid(format!(
            "/key/value is empty for this event: nothing says which record is meant by {}",
            config.key.name
        ))?;
        if key.is_array() || key.is_object() {
            return Err(Fault::invalid(format!(
                "/key/value is a list or an object: {} has to be a text or a number",
                config.key.name
            )));
        }
        let property = |(name, fill): (&String, &Fill)| Some((name.clone(), fill.value(event)?));
        let properties: Map<String, Value> = config.properties.iter().filter_map(property).collect();
        let object = config.object.as_deref().unwrap_or_default();
        Ok(Message::json(config.shape.body(
            object,
            &config.key.name,
            key,
            properties,
        )))
    }

    fn check(config: Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        if config.shape == Shape::Salesforce && config.object.is_none() {
            problems.push(Problem::new(
                "/object",
                "is needed for Salesforce, such as Contact",
            ));
        }
        if config.properties.contains_key(&config.key.name) {
            let at = format!(
                "/properties/{}",
                config.key.name.replace('~', "~0").replace('/', "~1")
            );
            problems.push(Problem::new(at, "is the key already: leave it out here"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn fixtures_hold() {
        relay_sdk::testing::fixtures::<super::UpsertCrm>();
    }
}
