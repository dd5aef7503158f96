//! What each CRM takes.

use relay_sdk::json;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What each CRM takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    /// One object with the key and the properties.
    #[default]
    Plain,
    /// `POST /crm/v3/objects/OBJECT/batch/upsert`
    Hubspot,
    /// `PATCH /services/data/vN/composite/sobjects/OBJECT/KEY`
    Salesforce,
}

impl Shape {
    pub(crate) fn body(self, object: &str, name: &str, key: Value, properties: Map<String, Value>) -> Value {
        match self {
            Self::Plain => record(name, key, properties).into(),
            Self::Hubspot => json!({
                "inputs": [{
                    "id": text(key),
                    "idProperty": name,
                    "properties": properties
                        .into_iter()
                        .map(|(name, value)| (name, text(value)))
                        .collect::<Map<_, _>>(),
                }],
            }),
            Self::Salesforce => {
                let attributes = Map::from_iter([("attributes".to_owned(), json!({ "type": object }))]);
                let members = attributes.into_iter().chain(record(name, key, properties));
                json!({ "allOrNone": true, "records": [members.collect::<Map<_, _>>()] })
            }
        }
    }
}

fn record(name: &str, key: Value, properties: Map<String, Value>) -> Map<String, Value> {
    std::iter::once((name.to_owned(), key))
        .chain(properties)
        .collect()
}

/// HubSpot's properties are texts; of several choices semicolons stand between them.
fn text(value: Value) -> Value {
    match value {
        Value::String(text) => text.into(),
        Value::Array(values) => {
            let texts = values.into_iter().map(|value| match text(value) {
                Value::String(text) => text,
                other => other.to_string(),
            });
            texts.collect::<Vec<_>>().join(";").into()
        }
        other => other.to_string().into(),
    }
}
