//! Where two JSON values differ.

use serde::Serialize;
use serde_json::Value;

/// Places of one difference that are told.
const CHANGES_MAX: usize = 20;
/// Longest text of a value that is told, in bytes.
const VALUE_BYTES_MAX: usize = 200;

/// A place where two values differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = RolloutChanged)]
pub struct Changed {
    /// A JSON pointer.
    pub at: String,
    /// As JSON, cut if it is long; `null`: nothing is there.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// Where they differ, the innermost places; twenty at most.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<Changed> {
    let mut changes = Vec::new();
    walk(&mut String::new(), Some(before), Some(after), &mut changes);
    changes
}

fn walk(at: &mut String, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Changed>) {
    if before == after || changes.len() >= CHANGES_MAX {
        return;
    }
    match (before, after) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let fresh = other.keys().filter(|key| !one.contains_key(*key));
            for key in one.keys().chain(fresh) {
                let word = key.replace('~', "~0").replace('/', "~1");
                below(at, &word, one.get(key), other.get(key), changes);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => {
            for index in 0..one.len().max(other.len()) {
                below(at, &index.to_string(), one.get(index), other.get(index), changes);
            }
        }
        _ => changes.push(Changed {
            at: at.clone(),
            before: before.map(text),
            after: after.map(text),
        }),
    }
}

fn below(
    at: &mut String,
    word: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<Changed>,
) {
    let length = at.len();
    at.push('/');
    at.push_str(word);
    walk(at, before, after, changes);
    at.truncate(length);
}

fn text(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > VALUE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(VALUE_BYTES_MAX));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(at: &str, before: Option<&str>, after: Option<&str>) -> Changed {
        Changed {
            at: at.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        }
    }

    #[test]
    fn only_the_innermost_places_are_told() {
        let before = json!({"a/b": {"c": 1, "d": [1, 2]}, "gone": null, "same": [1]});
        let after = json!({"a/b": {"c": "1", "d": [1]}, "same": [1], "new": {}});
        assert_eq!(
            changes(&before, &after),
            [
                changed("/a~1b/c", Some("1"), Some("\"1\"")),
                changed("/a~1b/d/1", Some("2"), None),
                changed("/gone", Some("null"), None),
                changed("/new", None, Some("{}")),
            ]
        );
        assert_eq!(changes(&before, &before), []);
    }

    #[test]
    fn what_is_long_or_much_is_cut() {
        let long = json!("é".repeat(500));
        let told = changes(&json!(1), &long);
        assert!(
            told[0].after.as_ref().is_some_and(|text| text.len() < 210),
            "{told:?}"
        );
        let many: Vec<u32> = (0..100).collect();
        assert_eq!(changes(&json!([]), &json!(many)).len(), CHANGES_MAX);
    }
}
