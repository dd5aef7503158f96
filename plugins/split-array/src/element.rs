//! What is sent for one element. Values keep the spelling that they have in the event.

use std::collections::HashMap;

use relay_sdk::template::cut;
use relay_sdk::time::Time;
use serde_json::Value;
use serde_json::value::RawValue;

/// The payload: the element under a name of its own, or itself with what is copied into it.
pub(crate) fn composed(
    element: &str,
    under: Option<&str>,
    copied: &[(&str, String)],
) -> Result<String, String> {
    let mut members: Vec<(&str, &str)> = copied.iter().map(|(name, json)| (*name, json.as_str())).collect();
    match under {
        Some(name) => members.push((name, element)),
        None if copied.is_empty() => return Ok(element.to_owned()),
        None => {
            let own: HashMap<String, &RawValue> = serde_json::from_str(element)
                .map_err(|_| "is no object that members could be copied into; set `under`".to_owned())?;
            members.retain(|(name, _)| !own.contains_key(*name));
            return Ok(spliced(&written(&members), element, own.is_empty()));
        }
    }
    Ok(format!("{{{}}}", written(&members)))
}

fn written(members: &[(&str, &str)]) -> String {
    let member = |(name, json): &(&str, &str)| format!("{}:{json}", Value::from(*name));
    members.iter().map(member).collect::<Vec<_>>().join(",")
}

/// An object with more members in front of its own.
fn spliced(members: &str, object: &str, is_empty: bool) -> String {
    let rest = object.strip_prefix('{').unwrap_or(object);
    let comma = if members.is_empty() || is_empty { "" } else { "," };
    format!("{{{members}{comma}{rest}")
}

/// The value of an attribute, found in the element; `None` leaves the event's.
pub(crate) fn attribute(element: &Value, name: &str, pointer: &str) -> Result<Option<String>, String> {
    let text = match element.pointer(pointer) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(format!("the value at {pointer:?} is no text for `{name}`")),
    };
    if name != "time" {
        return Ok(Some(text));
    }
    let unix = text.parse().map(Time::from_unix).ok();
    let time = unix.or_else(|| Time::parse(&text));
    time.map(|time| Some(time.to_string()))
        .ok_or_else(|| format!("{:?} at {pointer:?} is no time", cut(text, 40)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_copied_without_touching_the_element() {
        let copied = [("object", "\"page\"".to_owned()), ("n", "1.50".to_owned())];
        for (element, under, expected) in [
            ("7", Some("entry"), Ok(r#"{"object":"page","n":1.50,"entry":7}"#)),
            (
                r#"{ "id": 7.0 }"#,
                None,
                Ok(r#"{"object":"page","n":1.50, "id": 7.0 }"#),
            ),
            (r#"{"n":2}"#, None, Ok(r#"{"object":"page","n":2}"#)),
            ("{ }", None, Ok(r#"{"object":"page","n":1.50 }"#)),
            (
                r#"{"n":2,"\u006fbject":null}"#,
                None,
                Ok(r#"{"n":2,"\u006fbject":null}"#),
            ),
            (
                "[7]",
                None,
                Err("is no object that members could be copied into; set `under`".to_owned()),
            ),
        ] {
            assert_eq!(
                composed(element, under, &copied),
                expected.map(str::to_owned),
                "{element}"
            );
        }
        assert_eq!(composed("[7]", None, &[]), Ok("[7]".into()));
    }

    #[test]
    fn attributes_come_from_the_element() {
        let element = serde_json::from_str(r#"{"type":"open","n":7,"at":1749477912,"iso":"2025-06-09T14:05:12+00:00","gone":null,"list":[]}"#).unwrap();
        for (name, pointer, expected) in [
            ("type", "/type", Ok(Some("open"))),
            ("subject", "/n", Ok(Some("7"))),
            ("time", "/at", Ok(Some("2025-06-09T14:05:12Z"))),
            ("time", "/iso", Ok(Some("2025-06-09T14:05:12Z"))),
            ("type", "/gone", Ok(None)),
            ("type", "/none", Ok(None)),
            ("time", "/type", Err("\"open\" at \"/type\" is no time")),
            (
                "type",
                "/list",
                Err("the value at \"/list\" is no text for `type`"),
            ),
        ] {
            let expected = expected
                .map(|found| found.map(str::to_owned))
                .map_err(str::to_owned);
            assert_eq!(attribute(&element, name, pointer), expected, "{name} {pointer}");
        }
    }
}
