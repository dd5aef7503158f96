//! The schemas of what is defined in the words of the configuration file: drawn from the reader
//! of definitions, with what only the relay says beside it.

use serde_json::{Map, Value, json};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::managed::{READ_ONLY, Shown};
use super::page::List;
use super::resource::{Deleted, schema_name};
use super::{alerts, endpoints, sources};
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
    NewEndpoint,
    Endpoint,
    Source,
    EventType,
    Sample,
    Definition,
    Document
);

/// Every schema that is drawn from a reader, by name, and what these refer to.
pub(super) fn drawn() -> Vec<(String, Value)> {
    let mut referred = Vec::new();
    Shown::schemas(&mut referred);
    endpoints::Standing::schemas(&mut referred);
    sources::Address::schemas(&mut referred);
    alerts::Standing::schemas(&mut referred);
    let referred = referred.into_iter().map(|(name, schema)| (name, value(schema)));
    let unnamed = nameless(taken(manage::definition(Kind::Endpoint)));
    let others = [
        ("NewEndpoint", unnamed),
        ("Deleted", value(Deleted::schema())),
        ("Sample", json!({})),
        ("Definition", json!({"type": "object"})),
        ("Document", document()),
    ];
    let others = others.map(|(name, schema)| (name.to_owned(), schema));
    let kinds = Kind::ALL.into_iter().chain([Kind::Tenant]).flat_map(of_kind);
    referred.chain(others).chain(kinds).collect()
}

/// How a kind of resource is shown, by itself and in lists, and how it is sent.
fn of_kind(kind: Kind) -> [(String, Value); 4] {
    let (name, definition) = (schema_name(kind), manage::definition(kind));
    let more = match kind {
        Kind::Endpoint => value(endpoints::Standing::schema()),
        Kind::Source => value(sources::Address::schema()),
        Kind::Alert => value(alerts::Standing::schema()),
        Kind::Rule | Kind::EventType | Kind::Tenant => json!({}),
    };
    let mut list = value(List::<String>::schema());
    list["properties"]["data"]["items"] = json!({"$ref": format!("#/components/schemas/{name}")});
    [
        (name.clone(), shown(&definition, more)),
        (format!("List_{name}"), list),
        (format!("{name}Definition"), taken(definition)),
        (format!("{name}Patch"), taken(manage::patch(kind))),
    ]
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

/// A definition of one that is given a name if it has none.
fn nameless(mut definition: Value) -> Value {
    if let Some(required) = definition["required"].as_array_mut() {
        required.retain(|key| key != "name");
    }
    definition
}

/// A definition as it is shown, with what every resource shows and `more` beside it.
fn shown(definition: &Value, more: Value) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let parts = [definition.clone(), value(Shown::schema()), more];
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
