//! The text of a configuration: TOML, with JSON in it where TOML has no words.
//!
//! `{ json = "…" }` stands for whatever its text says: TOML has no null, and a schema or a sample
//! is JSON anyway.

use serde_json::{Map, Value};

use super::key_path::KeyPath;
use super::reader::Fault;
use crate::model::resource::Kind;

/// The one key of a table that stands for JSON.
const JSON: &str = "json";
/// What is JSON by its nature, and more readable so.
const ALWAYS_JSON: [&str; 2] = ["schema", "sample"];

/// Reads a text.
///
/// # Errors
/// That it is no TOML, or every JSON in it that is none.
pub fn read(text: &str) -> Result<Map<String, Value>, Vec<Fault>> {
    let whole = |problem: String| vec![fault(KeyPath::default().key("configuration"), problem)];
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| whole(format!("is no TOML: {error}")))?;
    let mut value = serde_json::to_value(table).map_err(|error| whole(format!("cannot be read: {error}")))?;
    let mut faults = Vec::new();
    unfold(&mut value, &KeyPath::default(), &mut faults);
    match value {
        Value::Object(table) if faults.is_empty() => Ok(table),
        _ => Err(faults),
    }
}

fn fault(path: KeyPath, problem: String) -> Fault {
    Fault {
        path,
        problem,
        remedy: String::new(),
    }
}

/// Puts JSON in the place of the tables that stand for it.
fn unfold(value: &mut Value, path: &KeyPath, faults: &mut Vec<Fault>) {
    if let Some(text) = folded(value) {
        match serde_json::from_str(text) {
            Ok(json) => *value = json,
            Err(error) => faults.push(fault(path.key(JSON), format!("is no JSON: {error}"))),
        }
        return;
    }
    match value {
        Value::Object(table) => {
            for (key, below) in table {
                unfold(below, &path.key(key), faults);
            }
        }
        Value::Array(list) => {
            for (index, below) in list.iter_mut().enumerate() {
                unfold(below, &path.item(index), faults);
            }
        }
        _ => {}
    }
}

fn folded(value: &Value) -> Option<&str> {
    let table = value.as_object().filter(|table| table.len() == 1)?;
    table.get(JSON)?.as_str()
}

/// Writes a definition as one table of a configuration.
pub fn write(kind: Kind, keys: &Map<String, Value>) -> String {
    let mut text = format!("[[{}]]\n", kind.section());
    let name = keys.iter().filter(|(key, _)| *key == "name");
    let others = keys.iter().filter(|(key, _)| *key != "name");
    for (key, value) in name.chain(others).filter(|(_, value)| !value.is_null()) {
        let value = if ALWAYS_JSON.contains(&key.as_str()) {
            format!("{{ {JSON} = {} }}", readable(value))
        } else {
            wording(value).to_string()
        };
        text.push_str(&format!("{} = {value}\n", word(key)));
    }
    text
}

/// A key as TOML has it.
fn word(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !key.is_empty() && key.bytes().all(is_bare) {
        key.to_owned()
    } else {
        toml::Value::String(key.to_owned()).to_string()
    }
}

/// JSON in several lines, as a text of TOML.
fn readable(value: &Value) -> String {
    let json = format!("{value:#}");
    let is_plain = |character: char| character == '\n' || !character.is_control();
    if json.contains('\n') && !json.contains("'''") && json.chars().all(is_plain) {
        format!("'''\n{json}\n'''")
    } else {
        toml::Value::String(value.to_string()).to_string()
    }
}

/// A value in TOML's words, with JSON where those do not reach.
fn wording(value: &Value) -> toml::Value {
    plain(value).unwrap_or_else(|| {
        let json = toml::Value::String(value.to_string());
        toml::Value::Table(toml::Table::from_iter([(JSON.to_owned(), json)]))
    })
}

/// The same, if the value itself can be said; what is in it may have to be JSON.
fn plain(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => toml::Value::Boolean(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => toml::Value::Integer(whole),
            None if number.is_f64() => toml::Value::Float(number.as_f64()?),
            None => return None,
        },
        Value::String(text) => toml::Value::String(text.clone()),
        // `[{ json = "null" }]` would be read as it is meant, and would be harder to read.
        Value::Array(list) if list.iter().any(Value::is_null) => return None,
        Value::Array(list) => toml::Value::Array(list.iter().map(wording).collect()),
        Value::Object(table) if table.values().any(Value::is_null) => return None,
        Value::Object(_) if folded(value).is_some() => return None,
        Value::Object(table) => {
            let keys = table.iter().map(|(key, value)| (key.clone(), wording(value)));
            toml::Value::Table(keys.collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn again(keys: &Map<String, Value>) -> Value {
        let text = write(Kind::Endpoint, keys);
        let read = read(&text).unwrap_or_else(|faults| panic!("{faults:?}\n{text}"));
        read["endpoint"][0].clone()
    }

    #[test]
    fn json_stands_where_toml_has_no_words() {
        let keys = json!({
            "name": "crm",
            "filter": {"data": {"at": [null, 1]}, "or": {"a": null}},
            "sample": {"attachment_url": null, "text": "it's '''quoted'''"},
            "schema": {"type": "object"},
            "config": {"json": "{\"a\": 1}"},
            "large": u64::MAX,
            "half": 0.5,
            "headers": {"x y": {"sealed": true}},
        });
        let keys = keys.as_object().expect("an object");
        assert_eq!(again(keys), Value::Object(keys.clone()));
        assert!(write(Kind::Endpoint, keys).starts_with("[[endpoint]]\nname = \"crm\"\n"));
    }

    #[test]
    fn json_that_is_none_is_told_with_its_place() {
        let faults = read("[[event_type]]\nsample = { json = '{' }").expect_err("no JSON");
        assert_eq!(faults[0].path.to_string(), "event_type[0].sample.json");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("(json|.{0,6})", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in any_json(), sample in any_json()) {
            let mut keys = Map::new();
            keys.insert("name".to_owned(), "x".into());
            keys.insert("filter".to_owned(), value);
            keys.insert("sample".to_owned(), sample);
            let mut expected = keys.clone();
            expected.retain(|_, value| !value.is_null());
            prop_assert_eq!(again(&keys), Value::Object(expected));
        }
    }
}
