//! `RELAY_SECTION__KEY=value` overrides `key` of `[section]`.

use serde_json::{Map, Value};

use super::key_path::KeyPath;
use super::reader::{Findings, Surroundings};

/// What every overriding variable begins with.
const PREFIX: &str = "RELAY_";
/// What separates the levels of a key path.
const SEPARATOR: &str = "__";

/// Puts the overriding variables into the document. A value is read as TOML if it is some
/// (`true`, `5`, `["a"]`), else taken as text.
pub(super) fn apply(table: &mut Map<String, Value>, surroundings: &dyn Surroundings, findings: &Findings) {
    for (name, text) in surroundings.variables() {
        let Some(path) = name.strip_prefix(PREFIX).filter(|rest| rest.contains(SEPARATOR)) else {
            continue;
        };
        let keys: Vec<String> = path.split(SEPARATOR).map(str::to_ascii_lowercase).collect();
        if !set(table, &keys, value_of(&text)) {
            findings.fault(
                KeyPath::default().key(&name),
                "names a key below something that is no table",
                "check the spelling of the sections",
            );
        }
    }
}

fn set(table: &mut Map<String, Value>, keys: &[String], value: Value) -> bool {
    match keys {
        [] => false,
        [key] => {
            table.insert(key.clone(), value);
            true
        }
        [key, rest @ ..] => match table
            .entry(key.clone())
            .or_insert_with(|| Value::Object(Map::new()))
        {
            Value::Object(below) => set(below, rest, value),
            _ => false,
        },
    }
}

fn value_of(text: &str) -> Value {
    let document = format!("value = {text}");
    document
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .and_then(|value| serde_json::to_value(value).ok())
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_toml_where_they_can_be_and_text_otherwise() {
        for (text, value) in [
            ("true", json!(true)),
            ("5", json!(5)),
            ("[\"a\"]", json!(["a"])),
            ("127.0.0.1:80", json!("127.0.0.1:80")),
        ] {
            assert_eq!(value_of(text), value);
        }
    }

    #[test]
    fn sections_are_made_on_the_way() {
        let mut table = Map::new();
        assert!(set(
            &mut table,
            &["server".to_owned(), "listen".to_owned()],
            json!("x")
        ));
        assert_eq!(Value::Object(table), json!({"server": {"listen": "x"}}));
    }
}
