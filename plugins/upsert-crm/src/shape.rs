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

/// A record, known by the value of its key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) key: Value,
    pub(crate) properties: Map<String, Value>,
}

impl Shape {
    /// Records that one request takes.
    pub(crate) const fn records_max(self) -> usize {
        match self {
            Self::Plain => 1,
            Self::Hubspot => 100,
            Self::Salesforce => 200,
        }
    }

    /// A request for records whose key is called `name`.
    pub(crate) fn body(self, object: &str, name: &str, records: &[Record]) -> Value {
        match self {
            // One at a time.
            Self::Plain => records.first().map(|record| record.members(name)).into(),
            Self::Hubspot => {
                let inputs = records.iter().map(|record| {
                    let properties = record.properties.iter();
                    let properties = properties.map(|(name, value)| (name.clone(), text(value)));
                    json!({
                        "id": text(&record.key),
                        "idProperty": name,
                        "properties": properties.collect::<Map<_, _>>(),
                    })
                });
                json!({ "inputs": inputs.collect::<Vec<_>>() })
            }
            Self::Salesforce => {
                let records = records.iter().map(|record| {
                    let attributes = Map::from_iter([("attributes".to_owned(), json!({ "type": object }))]);
                    Value::Object(attributes.into_iter().chain(record.members(name)).collect())
                });
                json!({ "allOrNone": true, "records": records.collect::<Vec<_>>() })
            }
        }
    }
}

impl Record {
    fn members(&self, name: &str) -> Map<String, Value> {
        let properties = self
            .properties
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        std::iter::once((name.to_owned(), self.key.clone()))
            .chain(properties)
            .collect()
    }
}

/// HubSpot's properties are texts; of several choices semicolons stand between them.
pub(crate) fn text(value: &Value) -> Value {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => {
            let texts = values.iter().map(|value| match text(value) {
                Value::String(text) => text,
                other => other.to_string(),
            });
            texts.collect::<Vec<_>>().join(";").into()
        }
        other => other.to_string().into(),
    }
}
