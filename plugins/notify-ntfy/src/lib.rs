//! Turns events into ntfy notifications, for the root of a server such as `https://ntfy.sh`.

use relay_sdk::notify::{Rule, is_address, markdown};
use relay_sdk::prelude::*;
use relay_sdk::template::{Template, cut, verbatim};
use serde::{Deserialize, Serialize};

/// Longest message that ntfy keeps as one, in bytes: of a longer one it makes an attachment.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// Longest title and label that can still be read, in characters.
const TITLE_MAX: usize = 250;
const LABEL_MAX: usize = 60;

struct NotifyNtfy;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    topic: String,
    message: Template,
    title: Option<Template>,
    #[serde(default = "normal")]
    priority: u8,
    #[serde(default)]
    priorities: Vec<Rule<u8>>,
    #[serde(default)]
    tags: Vec<Template>,
    click: Option<Template>,
    icon: Option<Template>,
    #[serde(default)]
    links: Vec<Link>,
    #[serde(default)]
    markdown: bool,
}

fn normal() -> u8 {
    3
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    title: Template,
    url: Template,
}

/// The body that ntfy takes.
#[derive(Serialize)]
struct Notification {
    topic: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    priority: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    click: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<Action>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    markdown: bool,
}

/// A button that opens an address.
#[derive(Serialize)]
struct Action {
    action: &'static str,
    label: String,
    url: String,
}

#[plugin]
impl NotifyNtfy {
    fn transform(event: &Event, config: &Config) -> Result<Message, Fault> {
        let escape = if config.markdown { markdown } else { verbatim };
        let message = config.message.render_some(event, escape).or_invalid(
            "the message is empty once its variables are filled in: ntfy would say \"triggered\" instead",
        )?;
        let some = |template: &Option<Template>| template.as_ref()?.render_some(event, verbatim);
        Ok(Message::json(Notification {
            topic: config.topic.clone(),
            message: cut_bytes(message, MESSAGE_BYTES_MAX),
            title: some(&config.title).map(|title| cut(title, TITLE_MAX)),
            priority: *Rule::choice(&config.priorities, event).unwrap_or(&config.priority),
            tags: config
                .tags
                .iter()
                .filter_map(|tag| tag.render_some(event, verbatim))
                .collect(),
            click: some(&config.click).filter(|url| is_address(url)),
            icon: some(&config.icon).filter(|url| is_address(url)),
            actions: config
                .links
                .iter()
                .filter_map(|link| link.action(event))
                .collect(),
            markdown: config.markdown,
        }))
    }

    fn check(config: Config) -> Vec<Problem> {
        let is_blank = config.message.is_literal() && config.message.literal_text().trim().is_empty();
        let blank = is_blank.then(|| Problem::new("/message", "is blank: ntfy takes none"));
        blank.into_iter().collect()
    }
}

impl Link {
    /// The button; `None` if it would lead to no web address.
    fn action(&self, event: &Event) -> Option<Action> {
        let url = self
            .url
            .render_some(event, verbatim)
            .filter(|url| is_address(url))?;
        let label = self.title.render_some(event, verbatim)?;
        Some(Action {
            action: "view",
            label: cut(label, LABEL_MAX),
            url,
        })
    }
}

/// Cuts a text to at most `max` bytes, the last character of which says that it was cut.
fn cut_bytes(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<NotifyNtfy>();
    }

    #[test]
    fn a_message_is_cut_by_bytes_and_says_so() {
        for piece in ["x", "ä", "😀", "\n."] {
            let sample = event("a").data(json!({ "text": piece.repeat(5_000) }));
            let config = json!({ "topic": "t", "message": "{{/text}}" });
            let sent = Host::new()
                .config(config)
                .transform::<NotifyNtfy>(sample)
                .unwrap()
                .json();
            let message = sent["message"].as_str().unwrap();
            assert!(
                (MESSAGE_BYTES_MAX - 4..=MESSAGE_BYTES_MAX).contains(&message.len()),
                "{piece}"
            );
            assert!(message.ends_with('…'));
        }
    }
}
