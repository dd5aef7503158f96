//! One message as one line.

use relay_sdk::time::{Civil, Time};
use serde::Deserialize;
use serde_json::Value;

use crate::Config;

/// What a message without a type is called.
const UNKNOWN: &str = "Unknown";

/// How much of a time is shown.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stamp {
    None,
    Clock,
    Full,
}

/// A message, of which any part may be missing or null.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Message {
    r#type: Option<String>,
    content: Option<Value>,
    timestamp: Option<Value>,
    content_type: Option<String>,
    media_url: Option<String>,
}

impl Message {
    /// When it was sent: RFC 3339, or a Unix time as a number or text.
    pub(crate) fn time(&self) -> Option<Time> {
        match self.timestamp.as_ref()? {
            Value::Number(number) => number.as_f64().map(|number| Time::from_unix(number as i64)),
            Value::String(text) => text
                .parse()
                .map(Time::from_unix)
                .ok()
                .or_else(|| Time::parse(text)),
            _ => None,
        }
    }

    /// `[2025-06-09 14:05] User: text`; `None` if it says nothing. Lines after the first are
    /// indented, so that no message can pass for one of someone else.
    pub(crate) fn line(&self, config: &Config) -> Option<String> {
        let said = self.said(config.media_urls)?;
        let kind = self.r#type.as_deref().unwrap_or(UNKNOWN);
        let name = config.names.get(kind).map_or(kind, String::as_str);
        let line = format!("{}{name}: {said}", self.stamp(config));
        Some(line.lines().collect::<Vec<_>>().join("\n  "))
    }

    fn stamp(&self, config: &Config) -> String {
        let Some(time) = self.time() else {
            return String::new();
        };
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            ..
        } = time.shifted(config.utc_offset_minutes).civil();
        match config.time {
            Stamp::None => String::new(),
            Stamp::Clock => format!("[{hour:02}:{minute:02}] "),
            Stamp::Full => format!("[{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}] "),
        }
    }

    /// Its file, then its text.
    fn said(&self, media_urls: bool) -> Option<String> {
        let parts: Vec<String> = self.media(media_urls).into_iter().chain(self.text()).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    fn media(&self, media_urls: bool) -> Option<String> {
        let url = self.media_url.as_deref().filter(|url| !url.is_empty());
        let kind = self
            .content_type
            .as_deref()
            .filter(|kind| !matches!(*kind, "" | "text"));
        let kind = kind.or_else(|| url.map(|_| "file"))?;
        Some(match url.filter(|_| media_urls) {
            Some(url) => format!("[{kind}] {url}"),
            None => format!("[{kind}]"),
        })
    }

    fn text(&self) -> Option<String> {
        let text = match self.content.as_ref()? {
            Value::Null => return None,
            Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::json;

    use super::*;

    #[test]
    fn whatever_is_missing_the_line_is_readable() {
        for (message, expected) in [
            (
                json!({ "type": "user", "content": "hi", "timestamp": "2025-06-09T14:05:12.000Z" }),
                Some("[2025-06-09 14:05] User: hi"),
            ),
            (
                json!({ "type": "agent", "content": "hi", "timestamp": 1_749_477_912 }),
                Some("[2025-06-09 14:05] agent: hi"),
            ),
            (json!({ "content": "hi", "timestamp": null }), Some("Unknown: hi")),
            (json!({ "type": "bot", "content": null }), None),
            (
                json!({ "type": "bot", "content": " ", "content_type": "text" }),
                None,
            ),
            (
                json!({ "type": "user", "content": "", "content_type": "document", "media_url": "https://x/y" }),
                Some("User: [document] https://x/y"),
            ),
            (
                json!({ "type": "user", "content": "look", "media_url": "https://x/y" }),
                Some("User: [file] https://x/y look"),
            ),
            (
                json!({ "type": "user", "content_type": "location", "content": { "lat": 1 } }),
                Some("User: [location] {\"lat\":1}"),
            ),
            (
                json!({ "type": "user", "content": "hi", "timestamp": "yesterday" }),
                Some("User: hi"),
            ),
        ] {
            let line = serde_json::from_value::<Message>(message.clone())
                .unwrap()
                .line(&Config::default());
            assert_eq!(line.as_deref(), expected, "{message}");
        }
    }

    #[test]
    fn times_are_shown_as_asked() {
        let message: Message =
            serde_json::from_value(json!({ "content": "x", "timestamp": 1_749_477_912_000_i64 })).unwrap();
        for (time, utc_offset_minutes, expected) in [
            (Stamp::None, 0, "Unknown: x"),
            (Stamp::Clock, 120, "[16:05] Unknown: x"),
            (Stamp::Full, -900, "[2025-06-08 23:05] Unknown: x"),
        ] {
            let config = Config {
                time,
                utc_offset_minutes,
                ..Config::default()
            };
            assert_eq!(message.line(&config).as_deref(), Some(expected));
        }
    }
}
