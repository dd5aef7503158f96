//! Whole numbers where several may stand, or a text.

use serde_json::{Value, json};

use super::reader::Section;
use super::sketch;

impl Section<'_> {
    /// A string, or a whole number as one.
    pub fn string_or_number(&self, key: &'static str) -> Option<String> {
        self.draw(key, sketch::text);
        self.draw(key, || json!({"type": "integer"}));
        self.expect(key, "a string or a whole number", |value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
            _ => None,
        })
    }

    /// A list of whole numbers within a range, at least one.
    pub fn integers(&self, key: &'static str, range: std::ops::RangeInclusive<u64>) -> Option<Vec<u64>> {
        self.draw(
            key,
            || json!({"type": "array", "minItems": 1, "items": sketch::integer(&range)}),
        );
        let numbers = self.expect(key, "a list of whole numbers", |value| {
            value
                .as_array()?
                .iter()
                .map(Value::as_u64)
                .collect::<Option<Vec<_>>>()
        })?;
        let stray = numbers.iter().find(|number| !range.contains(number));
        if numbers.is_empty() || stray.is_some() {
            self.fault(
                key,
                stray.map_or_else(|| "is empty".to_owned(), |number| format!("has {number}")),
                format!("use {} to {}", range.start(), range.end()),
            );
            return None;
        }
        Some(numbers)
    }
}
