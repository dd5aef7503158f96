//! Turns events into messages for a Slack incoming webhook.

use std::borrow::Cow;

use relay_sdk::notify::Field;
use relay_sdk::prelude::*;
use relay_sdk::template::{Template, cut, replaced, verbatim};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Slack's limits, in characters and fields.
const TEXT_MAX: usize = 40_000;
const SECTION_TEXT_MAX: usize = 3_000;
const FIELD_TEXT_MAX: usize = 2_000;
const SECTION_FIELDS_MAX: usize = 10;

struct NotifySlack;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    text: Template,
    #[serde(default)]
    fields: Vec<Field>,
    blocks: Option<Value>,
    username: Option<Template>,
    icon: Option<String>,
}

#[plugin]
impl NotifySlack {
    fn transform(event: &Event, config: &Config) -> Result<Message, Fault> {
        let text = config.text.render_with(event, escaped);
        let blocks = match &config.blocks {
            Some(blocks) => Some(filled_in(blocks, event, "")?),
            None if config.fields.is_empty() => None,
            None => Some(sections(&text, &config.fields, event)),
        };
        let mut message = Map::from_iter([("text".to_owned(), cut(text, TEXT_MAX).into())]);
        message.extend(blocks.map(|blocks| ("blocks".to_owned(), blocks)));
        message.extend(
            config
                .username
                .iter()
                .map(|name| ("username".to_owned(), name.render(event).into())),
        );
        message.extend(
            config
                .icon
                .iter()
                .map(|icon| (icon_key(icon).to_owned(), icon.as_str().into())),
        );
        Ok(Message::json(message))
    }

    fn check(config: Config) -> Vec<Problem> {
        config
            .blocks
            .iter()
            .flat_map(|blocks| problems(blocks, "/blocks"))
            .collect()
    }
}

fn icon_key(icon: &str) -> &'static str {
    if icon.starts_with(':') {
        "icon_emoji"
    } else {
        "icon_url"
    }
}

/// The text, then the fields in as many sections as Slack needs for them.
fn sections(text: &str, fields: &[Field], event: &Event) -> Value {
    let field = |field: &Field| {
        let value = field.value.render_with(event, escaped);
        mrkdwn(cut(format!("*{}*\n{value}", field.title), FIELD_TEXT_MAX))
    };
    let heading = json!({ "type": "section", "text": mrkdwn(cut(text.to_owned(), SECTION_TEXT_MAX)) });
    let columns = fields.chunks(SECTION_FIELDS_MAX).map(|chunk| {
        let fields: Vec<Value> = chunk.iter().map(field).collect();
        json!({ "type": "section", "fields": fields })
    });
    std::iter::once(heading).chain(columns).collect()
}

fn mrkdwn(text: String) -> Value {
    json!({ "type": "mrkdwn", "text": text })
}

/// A copy with the variables of every text filled in. Slack reads control sequences only in
/// members named `text`; escaping elsewhere would spoil addresses and values.
fn filled_in(value: &Value, event: &Event, name: &str) -> Result<Value, Fault> {
    Ok(match value {
        Value::String(text) if text.contains("{{") => {
            let template = Template::parse(text).or_misconfigured("a text in blocks")?;
            let escape = if name == "text" { escaped } else { verbatim };
            template.render_with(event, escape).into()
        }
        Value::Array(elements) => elements
            .iter()
            .map(|element| filled_in(element, event, name))
            .collect::<Result<_, _>>()?,
        Value::Object(members) => {
            let filled =
                |(name, member): (&String, &Value)| Ok((name.clone(), filled_in(member, event, name)?));
            Value::Object(members.iter().map(filled).collect::<Result<_, Fault>>()?)
        }
        other => other.clone(),
    })
}

/// What is wrong with the templates in blocks.
fn problems(value: &Value, at: &str) -> Vec<Problem> {
    match value {
        Value::String(text) => Template::parse(text)
            .err()
            .map(|error| Problem::new(at, error.to_string()))
            .into_iter()
            .collect(),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .flat_map(|(index, element)| problems(element, &format!("{at}/{index}")))
            .collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, member)| problems(member, &format!("{at}/{name}")))
            .collect(),
        _ => Vec::new(),
    }
}

/// The three characters that Slack reads as control sequences: a value must not mention
/// `<!channel>` or forge a link.
fn escaped(value: &str) -> Cow<'_, str> {
    replaced(value, |character| match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<NotifySlack>();
    }

    #[test]
    fn more_than_ten_fields_take_more_sections() {
        let fields: Vec<_> = (0..23)
            .map(|n| json!({ "title": format!("F{n}"), "value": "{{/a}}" }))
            .collect();
        let host = Host::new().config(json!({ "text": "x", "fields": fields }));
        let message = host
            .transform::<NotifySlack>(event("a").data(json!({ "a": 1 })))
            .unwrap()
            .json();
        let sizes = [1, 2, 3].map(|section| message["blocks"][section]["fields"].as_array().map(Vec::len));
        assert_eq!(sizes, [Some(10), Some(10), Some(3)]);
    }

    #[test]
    fn long_values_are_cut_to_what_slack_takes() {
        let host =
            Host::new().config(json!({ "text": "{{/a}}", "fields": [{ "title": "A", "value": "{{/a}}" }] }));
        let message = host
            .transform::<NotifySlack>(event("a").data(json!({ "a": "x".repeat(50_000) })))
            .unwrap()
            .json();
        let length = |pointer: &str| {
            message
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(|text| text.chars().count())
        };
        assert_eq!(length("/text"), Some(TEXT_MAX));
        assert_eq!(length("/blocks/0/text/text"), Some(SECTION_TEXT_MAX));
        assert_eq!(length("/blocks/1/fields/0/text"), Some(FIELD_TEXT_MAX));
    }
}
