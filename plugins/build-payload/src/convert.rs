//! Turns a value into the type that a row asks for.

use relay_sdk::time::Time;
use serde::Deserialize;

/// What a value is turned into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Type {
    /// As it is, null included.
    #[default]
    Json,
    String,
    Number,
    Integer,
    Boolean,
    /// RFC 3339, from that or from a Unix time.
    Time,
    /// Whole seconds since 1970, from that, from milliseconds or from RFC 3339.
    Unix,
}

impl Type {
    /// The value as JSON text; `None` for null, which has no type.
    pub(crate) fn convert(self, json: String) -> Result<Option<String>, String> {
        if self == Self::Json {
            return Ok(Some(json));
        }
        if json == "null" {
            return Ok(None);
        }
        let is_text = json.starts_with('"');
        let text = if is_text {
            serde_json::from_str(&json).unwrap_or_default()
        } else {
            json.clone()
        };
        let converted = match self {
            Self::Json => Some(json),
            Self::String => Some(if is_text { json } else { quoted(&text) }),
            Self::Number => number(text.trim()).map(str::to_owned),
            Self::Integer => text.trim().parse::<i64>().ok().map(|number| number.to_string()),
            Self::Boolean => boolean(text.trim()).map(|value| value.to_string()),
            Self::Time => time(text.trim()).map(|time| quoted(&time.to_string())),
            Self::Unix => time(text.trim()).map(|time| time.unix_seconds().to_string()),
        };
        converted
            .map(Some)
            .ok_or_else(|| format!("{} is no {}", relay_sdk::template::cut(text, 40), self.name()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Time | Self::Unix => "time",
        }
    }
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text itself if JSON would read it as a number, so that no digit is lost.
fn number(text: &str) -> Option<&str> {
    serde_json::from_str::<serde_json::Number>(text)
        .is_ok()
        .then_some(text)
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" | "" => Some(false),
        _ => None,
    }
}

fn time(text: &str) -> Option<Time> {
    text.parse()
        .map(Time::from_unix)
        .ok()
        .or_else(|| Time::parse(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_converted_without_losing_a_digit() {
        for (to, json, expected) in [
            (Type::Json, "null", Some("null")),
            (Type::Json, "1.50", Some("1.50")),
            (Type::String, "1.50", Some("\"1.50\"")),
            (Type::String, "\"a\\u00e9\"", Some("\"a\\u00e9\"")),
            (Type::String, "{\"a\":1}", Some("\"{\\\"a\\\":1}\"")),
            (Type::String, "null", None),
            (Type::Number, "\" 12.340 \"", Some("12.340")),
            (
                Type::Number,
                "123456789012345678901234567890",
                Some("123456789012345678901234567890"),
            ),
            (Type::Integer, "\"007\"", Some("7")),
            (Type::Boolean, "\"Yes\"", Some("true")),
            (Type::Boolean, "0", Some("false")),
            (Type::Time, "1749472312", Some("\"2025-06-09T12:31:52Z\"")),
            (Type::Unix, "\"2025-06-09T14:05:12.000Z\"", Some("1749477912")),
        ] {
            assert_eq!(
                to.convert(json.into()),
                Ok(expected.map(str::to_owned)),
                "{to:?} {json}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (to, json, expected) in [
            (Type::Number, "\"12,5\"", "12,5 is no number"),
            (Type::Number, "\"0x1\"", "0x1 is no number"),
            (Type::Integer, "1.5", "1.5 is no integer"),
            (Type::Boolean, "\"maybe\"", "maybe is no boolean"),
            (Type::Time, "\"tomorrow\"", "tomorrow is no time"),
        ] {
            assert_eq!(to.convert(json.into()), Err(expected.to_owned()));
        }
    }
}
