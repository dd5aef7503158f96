//! Turns events into Pushover notifications, for `https://api.pushover.net/1/messages.json`.

mod sound;

use std::borrow::Cow;

use relay_sdk::prelude::*;
use relay_sdk::template::{Template, cut, replaced, verbatim};
use serde::{Deserialize, Serialize};
use sound::Sound;

/// Pushover's limits, in characters.
const MESSAGE_MAX: usize = 1_024;
const TITLE_MAX: usize = 250;
const URL_MAX: usize = 512;
const URL_TITLE_MAX: usize = 100;
/// The priority that repeats until someone confirms, and the bounds of its seconds.
const EMERGENCY: i8 = 2;
const RETRY_SECONDS_MIN: u32 = 30;
const EXPIRE_SECONDS_MAX: u32 = 10_800;

struct NotifyPushover;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    message: Template,
    title: Option<Template>,
    #[serde(default)]
    sound: Sound,
    #[serde(default)]
    priority: i8,
    retry: Option<u32>,
    expire: Option<u32>,
    url: Option<Template>,
    url_title: Option<Template>,
    #[serde(default)]
    device: Vec<String>,
    #[serde(default)]
    html: bool,
    ttl: Option<u32>,
}

/// The body that Pushover takes.
#[derive(Serialize)]
struct Notification {
    token: String,
    user: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    sound: Sound,
    priority: i8,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u32>,
}

#[plugin]
impl NotifyPushover {
    fn transform(event: &Event, config: &Config) -> Result<Message, Fault> {
        let message = config.message(event);
        if message.trim().is_empty() {
            return Err(Fault::invalid(
                "the message is empty once its variables are filled in: Pushover takes none",
            ));
        }
        let is_emergency = config.priority == EMERGENCY;
        let url = short(&config.url, event, |url| {
            (url.chars().count() <= URL_MAX).then_some(url)
        });
        Ok(Message::json(Notification {
            token: secrets::get("pushover-token")?,
            user: secrets::get("pushover-user")?,
            message,
            title: short(&config.title, event, |title| Some(cut(title, TITLE_MAX))),
            sound: config.sound,
            priority: config.priority,
            retry: config.retry.filter(|_| is_emergency),
            expire: config.expire.filter(|_| is_emergency),
            url_title: short(&config.url_title, event, |title| Some(cut(title, URL_TITLE_MAX)))
                .filter(|_| url.is_some()),
            url,
            device: (!config.device.is_empty()).then(|| config.device.join(",")),
            html: config.html.then_some(1),
            ttl: config.ttl.filter(|_| !is_emergency),
        }))
    }

    fn check(config: Config) -> Vec<Problem> {
        let lengths = [
            ("/message", Some(&config.message), MESSAGE_MAX),
            ("/title", config.title.as_ref(), TITLE_MAX),
            ("/url", config.url.as_ref(), URL_MAX),
            ("/url_title", config.url_title.as_ref(), URL_TITLE_MAX),
        ];
        let too_long = lengths.into_iter().filter_map(|(at, template, max)| {
            let length = template?.literal_characters();
            (length > max).then(|| {
                Problem::new(
                    at,
                    format!("has {length} characters without its variables, Pushover takes {max}"),
                )
            })
        });
        too_long.chain(config.priority_problems()).collect()
    }
}

impl Config {
    fn message(&self, event: &Event) -> String {
        let escape = if self.html { escaped } else { verbatim };
        cut(self.message.render_with(event, escape), MESSAGE_MAX)
    }

    fn priority_problems(&self) -> Vec<Problem> {
        if !(-EMERGENCY..=EMERGENCY).contains(&self.priority) {
            return vec![Problem::new("/priority", "is not one of -2, -1, 0, 1, 2")];
        }
        if self.priority != EMERGENCY {
            return Vec::new();
        }
        let retry = match self.retry {
            Some(retry) if retry >= RETRY_SECONDS_MIN => None,
            _ => Some(Problem::new(
                "/retry",
                format!("an emergency needs a repetition of at least {RETRY_SECONDS_MIN} seconds"),
            )),
        };
        let expire = match self.expire {
            Some(expire) if (RETRY_SECONDS_MIN..=EXPIRE_SECONDS_MAX).contains(&expire) => None,
            _ => Some(Problem::new(
                "/expire",
                format!("an emergency needs an end after at most {EXPIRE_SECONDS_MAX} seconds"),
            )),
        };
        retry.into_iter().chain(expire).collect()
    }
}

/// A template filled in, unless nothing is left of it.
fn short(template: &Option<Template>, event: &Event, fit: fn(String) -> Option<String>) -> Option<String> {
    fit(template.as_ref()?.render(event)).filter(|text| !text.is_empty())
}

/// What HTML reads as markup, so that a value stays text.
fn escaped(value: &str) -> Cow<'_, str> {
    replaced(value, |character| match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<NotifyPushover>();
    }

    fn host(config: serde_json::Value) -> Host {
        Host::new()
            .config(config)
            .secret("pushover-user", "u")
            .secret("pushover-token", "t")
    }

    #[test]
    fn a_message_is_cut_by_characters_and_says_so() {
        let sample = event("a").data(json!({ "text": "ä".repeat(2_000) }));
        let sent = host(json!({ "message": "{{/text}}" }))
            .transform::<NotifyPushover>(sample)
            .unwrap()
            .json();
        let message = sent["message"].as_str().unwrap();
        assert_eq!(message.chars().count(), MESSAGE_MAX);
        assert!(message.ends_with("ä…"));
    }

    #[test]
    fn a_link_that_is_too_long_is_left_out_with_its_text() {
        let sample = event("a").data(json!({ "url": "x".repeat(513) }));
        let config = json!({ "message": "m", "url": "{{/url}}", "url_title": "open" });
        let sent = host(config).transform::<NotifyPushover>(sample).unwrap().json();
        assert_eq!((sent.get("url"), sent.get("url_title")), (None, None));
    }
}
