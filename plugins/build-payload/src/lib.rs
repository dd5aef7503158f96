//! Builds a JSON payload from rows of a key and a fixed value or a variable.

mod convert;
mod tree;

use convert::Type;
use relay_sdk::prelude::*;
use relay_sdk::template::{Template, Variable};
use serde::Deserialize;
use serde_json::value::RawValue;
use tree::Tree;

struct BuildPayload;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    key: String,
    #[serde(default, deserialize_with = "present")]
    value: Option<Box<RawValue>>,
    from: Option<Variable>,
    text: Option<Template>,
    #[serde(default)]
    r#type: Type,
    #[serde(default, deserialize_with = "present")]
    default: Option<Box<RawValue>>,
    #[serde(default)]
    missing: Missing,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Missing {
    #[default]
    Omit,
    Null,
    Fail,
}

/// Reads null as the value null, where `Option` alone would take it for none.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

#[plugin]
impl BuildPayload {
    fn transform(event: &Event, config: &Config) -> Result<Message, Fault> {
        let mut tree = Tree::default();
        for (index, row) in config.rows.iter().enumerate() {
            let at = |fault: String| Fault::invalid(format!("row {} ({:?}): {fault}", index + 1, row.key));
            if let Some(json) = row.json(event).map_err(at)? {
                tree.put(&row.key, json).map_err(at)?;
            }
        }
        Ok(Message::text(tree.to_string()).set_attribute("datacontenttype", "application/json"))
    }

    fn check(config: Config) -> Vec<Problem> {
        let mut tree = Tree::default();
        let rows = config.rows.iter().enumerate();
        rows.filter_map(|(index, row)| Some(Problem::new(format!("/rows/{index}"), row.fault(&mut tree)?)))
            .collect()
    }
}

impl Row {
    /// Its value as JSON text; `None` leaves it out.
    fn json(&self, event: &Event) -> Result<Option<String>, String> {
        let found = match (&self.value, &self.from, &self.text) {
            (Some(value), ..) => Some(value.get().to_owned()),
            (_, Some(variable), _) => variable.json(event),
            (.., Some(text)) => Some(convert::quoted(&text.render(event))),
            _ => return Err("has neither value, from nor text".into()),
        };
        match found.map(|json| self.r#type.convert(json)).transpose()?.flatten() {
            Some(json) => Ok(Some(json)),
            None => self.otherwise(),
        }
    }

    fn otherwise(&self) -> Result<Option<String>, String> {
        match (&self.default, &self.missing) {
            (Some(default), _) => Ok(Some(default.get().to_owned())),
            (None, Missing::Omit) => Ok(None),
            (None, Missing::Null) => Ok(Some("null".into())),
            (None, Missing::Fail) => Err("the event has no such value".into()),
        }
    }

    /// What can be known to be wrong with it before there is an event.
    fn fault(&self, tree: &mut Tree) -> Option<String> {
        let given = [self.value.is_some(), self.from.is_some(), self.text.is_some()];
        if given.into_iter().filter(|is_given| *is_given).count() != 1 {
            return Some("has to have one of value, from and text".into());
        }
        if let Some(Err(fault)) = self
            .value
            .as_ref()
            .map(|value| self.r#type.convert(value.get().to_owned()))
        {
            return Some(fault);
        }
        tree.put(&self.key, "null".into()).err()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn fixtures_hold() {
        relay_sdk::testing::fixtures::<super::BuildPayload>();
    }
}
