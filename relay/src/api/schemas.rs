//! The schemas of what is defined in the words of the configuration file: drawn from the reader
//! of definitions, with what only the relay says beside it.

use serde_json::{Map, Value, json};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::alerts;
use super::endpoints::Standing;
use super::managed::{READ_ONLY, Shown};
use super::sources::Address;
use crate::manage;
use crate::model::resource::Kind;

/// Names for the document; what they stand for comes from [`drawn`].
macro_rules! names {
    ($($name:ident),*) => {$(
        pub(super) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

names!(
    EndpointDefinition,
    EndpointPatch,
    Endpoint,
    SourceDefinition,
    SourcePatch,
    Source,
    RuleDefinition,
    RulePatch,
    Rule,
    EventTypeDefinition,
    EventTypePatch,
    EventType,
    AlertDefinition,
    AlertPatch,
    Alert,
    Sample,
    Definition,
    Document
);

/// Every schema that is drawn from a reader, by name, and what these refer to.
pub(super) fn drawn() -> Vec<(String, Value)> {
    let endpoint = manage::definition(Kind::Endpoint);
    let source = manage::definition(Kind::Source);
    let rule = manage::definition(Kind::Rule);
    let event_type = manage::definition(Kind::EventType);
    let alert = manage::definition(Kind::Alert);
    let mut referred = Vec::new();
    Shown::schemas(&mut referred);
    Standing::schemas(&mut referred);
    Address::schemas(&mut referred);
    alerts::Standing::schemas(&mut referred);
    let referred = referred.into_iter().map(|(name, schema)| (name, value(schema)));
    let drawn = [
        ("Alert", shown::<alerts::Standing>(&alert)),
        ("AlertDefinition", taken(alert)),
        ("AlertPatch", taken(manage::patch(Kind::Alert))),
        ("Endpoint", shown::<Standing>(&endpoint)),
        ("EndpointDefinition", taken(endpoint)),
        ("EndpointPatch", taken(manage::patch(Kind::Endpoint))),
        ("Source", shown::<Address>(&source)),
        ("SourceDefinition", taken(source)),
        ("SourcePatch", taken(manage::patch(Kind::Source))),
        // Beside their definition rules and event types show only what every resource shows.
        ("Rule", shown::<Rule>(&rule)),
        ("RuleDefinition", taken(rule)),
        ("RulePatch", taken(manage::patch(Kind::Rule))),
        ("EventType", shown::<EventType>(&event_type)),
        ("EventTypeDefinition", taken(event_type)),
        ("EventTypePatch", taken(manage::patch(Kind::EventType))),
        ("Sample", json!({})),
        ("Definition", json!({"type": "object"})),
        ("Document", document()),
    ];
    let drawn = drawn.into_iter().map(|(name, schema)| (name.to_owned(), schema));
    referred.chain(drawn).collect()
}

/// Lists of definitions, by the sections of a configuration file.
fn document() -> Value {
    let definitions = json!({"type": "array", "items": {"$ref": "#/components/schemas/Definition"}});
    let sections = Kind::ALL.map(|kind| (kind.section().to_owned(), definitions.clone()));
    json!({
        "type": "object",
        "properties": Map::from_iter(sections),
        "additionalProperties": false,
    })
}

/// A definition as it is sent: what only the relay says is passed over.
fn taken(mut definition: Value) -> Value {
    if let Some(properties) = definition["properties"].as_object_mut() {
        for name in READ_ONLY {
            properties.insert(
                name.to_owned(),
                json!({"readOnly": true, "description": "passed over"}),
            );
        }
    }
    definition
}

/// A definition as it is shown, with `More` beside it.
fn shown<More: PartialSchema>(definition: &Value) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let parts = [definition.clone(), value(Shown::schema()), value(More::schema())];
    for part in &parts {
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn value(schema: RefOr<Schema>) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}
