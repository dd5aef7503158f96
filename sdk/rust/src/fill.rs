//! Values of a document that are filled in from the event.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::Event;
use crate::template::{Template, verbatim};

/// A value of a document that is made for each event: a text with variables, or any other JSON,
/// which stays as it is.
///
/// A text that is one variable and nothing else keeps the variable's type: `"{{/total}}"` is the
/// number 12.5 where `"{{/total}} EUR"` is a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fill {
    /// The same for every event.
    Fixed(Value),
    /// A text with variables.
    Text(Template),
}

impl Fill {
    /// The value for this event; `None` if it is absent, null or a blank text.
    pub fn value(&self, event: &Event) -> Option<Value> {
        let value = match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(template) => match template.only_variable() {
                Some(variable) => serde_json::from_str(&variable.json(event)?).ok()?,
                None => template.render(event).into(),
            },
        };
        match &value {
            Value::Null => None,
            Value::String(text) if text.trim().is_empty() => None,
            _ => Some(value),
        }
    }

    /// The value as text: a string without its quotes, anything else as JSON.
    pub fn text(&self, event: &Event) -> Option<String> {
        match self {
            Self::Text(template) => template.render_some(event, verbatim),
            Self::Fixed(_) => Some(match self.value(event)? {
                Value::String(text) => text,
                other => other.to_string(),
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Fill {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Template::parse(&text).map(Self::Text).map_err(D::Error::custom),
            value => Ok(Self::Fixed(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Host, event};

    #[test]
    fn a_variable_alone_keeps_its_type() {
        let data = json!({ "total": 12.5, "tags": ["a"], "name": "Zoë", "gone": null, "blank": " " });
        Host::new().run(event("order.paid").data(data), |event| {
            for (fill, value, text) in [
                (json!("{{/total}}"), Some(json!(12.5)), Some("12.5")),
                (json!("{{/total}} EUR"), Some(json!("12.5 EUR")), Some("12.5 EUR")),
                (json!("{{/total|0}}"), Some(json!("12.5")), Some("12.5")),
                (json!("{{/tags}}"), Some(json!(["a"])), Some(r#"["a"]"#)),
                (json!("{{/name}}"), Some(json!("Zoë")), Some("Zoë")),
                (
                    json!("{{event.type}}"),
                    Some(json!("order.paid")),
                    Some("order.paid"),
                ),
                (json!("{{/gone}}"), None, None),
                (json!("{{/absent}}"), None, None),
                (json!("{{/blank}}"), None, None),
                (json!(""), None, None),
                (json!(7), Some(json!(7)), Some("7")),
                (json!(false), Some(json!(false)), Some("false")),
                (json!(null), None, None),
            ] {
                let read: Fill = serde_json::from_value(fill.clone()).unwrap();
                assert_eq!(read.value(event), value, "{fill}");
                assert_eq!(read.text(event).as_deref(), text, "{fill}");
            }
        });
        assert!(serde_json::from_str::<Fill>("\"{{nothing}}\"").is_err());
    }
}
