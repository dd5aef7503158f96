//! Turns events into messages for a Discord webhook.

mod color;
mod room;

use color::Color;
use relay_sdk::notify::{Field, Rule, is_address, markdown};
use relay_sdk::prelude::*;
use relay_sdk::template::{Template, verbatim};
use room::{Room, cut};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Discord's limits (<https://docs.discord.com/developers/resources/message#embed-object-embed-limits>).
const CONTENT_MAX: usize = 2_000;
const USERNAME_MAX: usize = 80;
const THREAD_MAX: usize = 100;
const TITLE_MAX: usize = 256;
const DESCRIPTION_MAX: usize = 4_096;
const FIELD_TITLE_MAX: usize = 256;
const FIELD_VALUE_MAX: usize = 1_024;
const FOOTER_MAX: usize = 2_048;
const URL_MAX: usize = 2_048;
/// What Discord allows in no webhook's name.
const NAMES_REFUSED: [&str; 2] = ["discord", "clyde"];

struct NotifyDiscord;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    content: Option<Template>,
    title: Option<Template>,
    description: Option<Template>,
    url: Option<Template>,
    #[serde(default)]
    fields: Vec<Field>,
    #[serde(default)]
    inline: bool,
    footer: Option<Template>,
    color: Option<Color>,
    #[serde(default)]
    colors: Vec<Rule<Color>>,
    #[serde(default)]
    timestamp: bool,
    username: Option<Template>,
    avatar: Option<Template>,
    thread: Option<Template>,
    #[serde(default)]
    mentions: Mentions,
}

/// Who may be notified. Nobody else is, whatever an event's values say, and never everyone.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mentions {
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
}

#[plugin]
impl NotifyDiscord {
    fn transform(event: &Event, config: &Config) -> Result<Message, Fault> {
        let mut message = Map::new();
        let content = some(&config.content, event, markdown).map(|content| cut(content, CONTENT_MAX));
        put(&mut message, "content", content);
        put(
            &mut message,
            "embeds",
            config.embed(event).map(|embed| vec![embed]),
        );
        if message.is_empty() {
            return Err(Fault::invalid(
                "nothing is left once the variables are filled in: Discord takes no empty message",
            ));
        }
        put(&mut message, "username", config.username(event));
        put(&mut message, "avatar_url", address(&config.avatar, event));
        let thread = some(&config.thread, event, verbatim).map(|name| cut(name, THREAD_MAX));
        put(&mut message, "thread_name", thread);
        let Mentions { users, roles } = &config.mentions;
        let allowed = json!({ "parse": [], "users": users, "roles": roles });
        put(&mut message, "allowed_mentions", Some(allowed));
        Ok(Message::json(message))
    }

    fn check(config: Config) -> Vec<Problem> {
        let has_embed = config.title.is_some() || config.description.is_some() || !config.fields.is_empty();
        let blank = (config.content.is_none() && !has_embed)
            .then(|| Problem::new("", "has neither content, a title, a description nor fields"));
        blank.into_iter().chain(config.name_problem()).collect()
    }
}

impl Config {
    /// The box below the content; `None` if there is nothing in it.
    fn embed(&self, event: &Event) -> Option<Value> {
        let mut room = Room::of_an_embed();
        let mut embed = Map::new();
        let title = some(&self.title, event, markdown).and_then(|title| room.take(title, TITLE_MAX));
        put(&mut embed, "title", title);
        // What has a title is worth more than a long text and what is at the end.
        let fields = self.fields(event, &mut room);
        let description = some(&self.description, event, markdown);
        let description = description.and_then(|text| room.take(text, DESCRIPTION_MAX));
        put(&mut embed, "description", description);
        put(&mut embed, "fields", (!fields.is_empty()).then_some(fields));
        if embed.is_empty() {
            return None;
        }
        let footer = some(&self.footer, event, verbatim).and_then(|text| room.take(text, FOOTER_MAX));
        put(&mut embed, "footer", footer.map(|text| json!({ "text": text })));
        put(&mut embed, "url", address(&self.url, event));
        put(
            &mut embed,
            "color",
            Rule::choice(&self.colors, event).or(self.color.as_ref()),
        );
        put(&mut embed, "timestamp", event.time().filter(|_| self.timestamp));
        Some(embed.into())
    }

    fn fields(&self, event: &Event, room: &mut Room) -> Vec<Value> {
        let field = |field: &Field| {
            let value = field.value.render_some(event, markdown)?;
            let (name, value) =
                room.take_both((field.title.clone(), FIELD_TITLE_MAX), (value, FIELD_VALUE_MAX))?;
            Some(json!({ "name": name, "value": value, "inline": self.inline }))
        };
        self.fields.iter().filter_map(field).collect()
    }

    /// The name to post under; `None` leaves it to the webhook's own.
    fn username(&self, event: &Event) -> Option<String> {
        let name = some(&self.username, event, verbatim)?;
        refused(&name).is_none().then(|| cut(name, USERNAME_MAX))
    }

    fn name_problem(&self) -> Option<Problem> {
        let name = self.username.as_ref()?.literal_text();
        let word = refused(&name)?;
        Some(Problem::new(
            "/username",
            format!("contains {word:?}, which Discord refuses"),
        ))
    }
}

/// A template filled in, unless nothing is left of it.
fn some(
    template: &Option<Template>,
    event: &Event,
    escape: impl Fn(&str) -> std::borrow::Cow<'_, str>,
) -> Option<String> {
    template.as_ref()?.render_some(event, escape)
}

/// A web address; Discord refuses the whole message for another one.
fn address(template: &Option<Template>, event: &Event) -> Option<String> {
    some(template, event, verbatim).filter(|url| url.len() <= URL_MAX && is_address(url))
}

/// The word in a name for which Discord would refuse the message.
fn refused(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    NAMES_REFUSED.into_iter().find(|word| name.contains(word))
}

fn put(members: &mut Map<String, Value>, name: &str, value: Option<impl serde::Serialize>) {
    members.extend(value.map(|value| (name.to_owned(), json!(value))));
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<NotifyDiscord>();
    }

    #[test]
    fn whatever_an_event_holds_discord_takes_the_message() {
        let units = |value: &Value| value.as_str().map_or(0, |text| text.encode_utf16().count());
        let fields: Vec<_> = (0..25)
            .map(|n| json!({ "title": format!("{n}{}", "ü".repeat(250)), "value": "{{/long}}" }))
            .collect();
        let config = json!({
            "content": "{{/long}}", "title": "{{/long}}", "description": "{{/long}}", "fields": fields,
            "footer": "{{/long}}", "username": "{{/long}}", "thread": "{{/long}}",
        });
        for piece in ["x", "*", "😀", "ä\n"] {
            let sample = event("a").data(json!({ "long": piece.repeat(10_000) }));
            let sent = Host::new()
                .config(config.clone())
                .transform::<NotifyDiscord>(sample)
                .unwrap()
                .json();
            for (name, max) in [
                ("content", CONTENT_MAX),
                ("username", USERNAME_MAX),
                ("thread_name", THREAD_MAX),
            ] {
                assert!((max - 1..=max).contains(&units(&sent[name])), "{name}");
            }
            let embed = &sent["embeds"][0];
            let mut total =
                units(&embed["title"]) + units(&embed["description"]) + units(&embed["footer"]["text"]);
            for field in embed["fields"].as_array().unwrap() {
                let (name, value) = (units(&field["name"]), units(&field["value"]));
                assert!((1..=FIELD_TITLE_MAX).contains(&name) && (1..=FIELD_VALUE_MAX).contains(&value));
                total += name + value;
            }
            assert!(
                units(&embed["title"]) <= TITLE_MAX && (5_000..=6_000).contains(&total),
                "{total}"
            );
        }
    }
}
