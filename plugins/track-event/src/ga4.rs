//! The [Measurement Protocol](https://developers.google.com/analytics/devguides/collection/protocol/ga4)
//! of Google Analytics 4. Whatever is wrong with an event, its server answers that all is well:
//! what it would throw away is refused here.

use relay_sdk::{Fault, Message, OrFault, Problem, json};
use serde_json::{Map, Value};

use crate::{Config, Tracked};

/// Google's limits: characters of names and values, and parameters of an event.
const NAME_MAX: usize = 40;
const VALUE_MAX: usize = 100;
const PARAMETERS_MAX: usize = 25;

/// The one event that is sent.
pub(crate) fn message(tracked: Tracked) -> Result<Message, Fault> {
    let name = tracked.name;
    if let Some(reason) = misnamed(&name) {
        return Err(Fault::invalid(format!("/name {reason}, once it is filled in")));
    }
    let client = tracked
        .client
        .or_invalid("/client is empty for this event: Google Analytics throws away what is nobody's")?;
    let parameters: Map<String, Value> = tracked
        .properties
        .into_iter()
        .map(|(name, value)| (name, short(value)))
        .collect();
    let mut body = json!({ "client_id": client, "events": [{ "name": name, "params": parameters }] });
    if let Some(user) = tracked.user {
        body["user_id"] = user.into();
    }
    if let Some(time) = tracked.time {
        body["timestamp_micros"] = time.unix_ms().saturating_mul(1_000).into();
    }
    Ok(Message::json(body))
}

/// What Google would throw away.
pub(crate) fn problems(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    if config.client.is_none() {
        problems.push(Problem::new(
            "/client",
            "is needed: the visitor, as Google Analytics knows him",
        ));
    }
    if config.name.is_literal()
        && let Some(reason) = misnamed(&config.name.literal_text())
    {
        problems.push(Problem::new("/name", reason));
    }
    if config.properties.len() > PARAMETERS_MAX {
        problems.push(Problem::new(
            "/properties",
            format!("has more than the {PARAMETERS_MAX} that Google Analytics takes"),
        ));
    }
    for name in config.properties.keys() {
        if let Some(reason) = misnamed(name) {
            let at = format!("/properties/{}", name.replace('~', "~0").replace('/', "~1"));
            problems.push(Problem::new(at, reason));
        }
    }
    problems
}

/// Why Google takes no event or parameter of this name.
fn misnamed(name: &str) -> Option<String> {
    let is_word = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_word {
        return Some("has to begin with a letter, and to consist of letters, digits and underscores".into());
    }
    (name.len() > NAME_MAX).then(|| format!("has more than {NAME_MAX} characters"))
}

/// A text is cut to what Google keeps.
fn short(value: Value) -> Value {
    match value {
        Value::String(text) => text.chars().take(VALUE_MAX).collect::<String>().into(),
        other => other,
    }
}
