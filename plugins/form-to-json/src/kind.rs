//! What the text of a field is turned into.

use relay_sdk::template::cut;
use serde::Deserialize;
use serde_json::{Number, Value};

/// The type of a field. Forms know only text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    #[default]
    String,
    Number,
    Integer,
    Boolean,
    /// The text is JSON.
    Json,
}

impl Kind {
    /// The value of a text. Nothing at all is null, except as a string.
    pub(crate) fn read(self, text: String) -> Result<Value, String> {
        if self == Self::String {
            return Ok(text.into());
        }
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Ok(Value::Null);
        }
        let value = match self {
            Self::Number => trimmed.parse::<Number>().ok().map(Value::from),
            Self::Integer => trimmed.parse::<i64>().ok().map(Value::from),
            Self::Boolean => boolean(trimmed).map(Value::from),
            Self::String | Self::Json => serde_json::from_str(trimmed).ok(),
        };
        value.ok_or_else(|| format!("{:?} is no {}", cut(text, 40), self.name()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Json => "JSON",
        }
    }
}

/// `on` is what browsers send for a checkbox.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_become_values_or_say_why_not() {
        for (kind, text, expected) in [
            (Kind::String, " 7 ", Ok(json!(" 7 "))),
            (Kind::Number, "12.50", Ok(json!(12.5))),
            (Kind::Number, " -3 ", Ok(json!(-3))),
            (Kind::Number, "", Ok(json!(null))),
            (Kind::Number, "12,50", Err("\"12,50\" is no number")),
            (Kind::Number, "0x1", Err("\"0x1\" is no number")),
            (Kind::Integer, "007", Ok(json!(7))),
            (Kind::Integer, "1.5", Err("\"1.5\" is no integer")),
            (
                Kind::Integer,
                "9223372036854775808",
                Err("\"9223372036854775808\" is no integer"),
            ),
            (Kind::Boolean, "On", Ok(json!(true))),
            (Kind::Boolean, "0", Ok(json!(false))),
            (Kind::Boolean, "maybe", Err("\"maybe\" is no boolean")),
            (Kind::Json, "{\"a\":[1]}", Ok(json!({ "a": [1] }))),
            (Kind::Json, "{a:1}", Err("\"{a:1}\" is no JSON")),
        ] {
            let expected = expected.map_err(str::to_owned);
            assert_eq!(kind.read(text.into()), expected, "{kind:?} {text:?}");
        }
    }
}
