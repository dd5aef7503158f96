//! JSON and events as values of expressions.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};
use relay_sdk::Event;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The operator's own values.
pub(crate) struct Vars(Value);

/// JSON, read into a value without a document in between. Whole numbers are integers, as they
/// look, though CEL has only doubles in JSON: `event.data.id + 1` should do what it says.
struct Json(Value);

/// What expressions see as `event`.
pub(crate) fn of_event(event: &Event) -> Value {
    let text = |text: &str| Value::String(Arc::new(text.to_owned()));
    let required = [
        ("id", text(event.id())),
        ("type", text(event.event_type())),
        ("source", text(event.source())),
        ("data", data(event)),
    ];
    let optional = [
        ("subject", event.subject()),
        ("time", event.time()),
        ("content_type", event.content_type()),
    ];
    let optional = optional
        .into_iter()
        .filter_map(|(name, value)| Some((name, text(value?))));
    let members = required.into_iter().chain(optional);
    map(members.map(|(name, value)| (Key::from(name), value)).collect())
}

/// The payload: as JSON, else as text, else null.
fn data(event: &Event) -> Value {
    let Some(text) = event.text() else {
        return Value::Null;
    };
    match serde_json::from_str(&text) {
        Ok(Json(value)) => value,
        Err(_) => Value::String(Arc::new(text)),
    }
}

fn map(members: HashMap<Key, Value>) -> Value {
    Value::Map(Map {
        map: Arc::new(members),
    })
}

impl Vars {
    pub(crate) fn value(&self) -> Value {
        self.0.clone()
    }
}

impl Default for Vars {
    fn default() -> Self {
        Self(map(HashMap::new()))
    }
}

impl<'de> Deserialize<'de> for Vars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(|Json(value)| Self(value))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(Self)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::UInt(value), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(Arc::new(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(Json(element)) = access.next_element()? {
            elements.push(element);
        }
        Ok(Value::List(Arc::new(elements)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = HashMap::new();
        while let Some((name, Json(value))) = access.next_entry::<String, Json>()? {
            members.insert(Key::from(name), value);
        }
        Ok(map(members))
    }
}
