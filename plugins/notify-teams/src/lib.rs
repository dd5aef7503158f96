//! Turns events into cards for a Microsoft Teams workflow.

mod card;

use card::{Card, Style};
use relay_sdk::notify::{Field, Rule, is_address, markdown};
use relay_sdk::prelude::*;
use relay_sdk::template::{Template, cut, verbatim};
use serde::Deserialize;

/// Longest parts of a card that can still be read, in characters.
const TITLE_MAX: usize = 256;
const LINK_TITLE_MAX: usize = 50;
/// Longest address that is passed on, in bytes.
const URL_BYTES_MAX: usize = 1_024;

struct NotifyTeams;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    title: Option<Template>,
    text: Option<Template>,
    #[serde(default)]
    facts: Vec<Field>,
    #[serde(default)]
    links: Vec<Link>,
    #[serde(default)]
    style: Style,
    #[serde(default)]
    styles: Vec<Rule<Style>>,
    #[serde(default)]
    full_width: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    title: Template,
    url: Template,
}

#[plugin]
impl NotifyTeams {
    fn transform(event: &Event, config: &Config) -> Result<Message, Fault> {
        let card = config.card(event);
        if card.is_blank() {
            return Err(Fault::invalid(
                "title, text and facts are empty once their variables are filled in: the card would be blank",
            ));
        }
        Ok(Message::text(card.message()).set_attribute("datacontenttype", "application/json"))
    }

    fn check(config: Config) -> Vec<Problem> {
        if config.title.is_some() || config.text.is_some() || !config.facts.is_empty() {
            return Vec::new();
        }
        vec![Problem::new("", "has neither a title, a text nor facts")]
    }
}

impl Config {
    fn card(&self, event: &Event) -> Card {
        let some = |template: &Option<Template>| template.as_ref()?.render_some(event, markdown);
        let fact = |fact: &Field| Some((fact.title.clone(), fact.value.render_some(event, markdown)?));
        Card {
            title: some(&self.title).map(|title| cut(title, TITLE_MAX)),
            text: some(&self.text),
            facts: self.facts.iter().filter_map(fact).collect(),
            links: self
                .links
                .iter()
                .filter_map(|link| link.filled_in(event))
                .collect(),
            style: *Rule::choice(&self.styles, event).unwrap_or(&self.style),
            is_full_width: self.full_width,
        }
    }
}

impl Link {
    /// Its text and address; `None` if that is no web address, which Teams refuses.
    fn filled_in(&self, event: &Event) -> Option<(String, String)> {
        let url = self.url.render_some(event, verbatim)?;
        let is_usable = url.len() <= URL_BYTES_MAX && is_address(&url);
        // A button's title is shown as it is, without Markdown.
        is_usable.then(|| (cut(self.title.render(event), LINK_TITLE_MAX), url))
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<NotifyTeams>();
    }

    #[test]
    fn whatever_an_event_holds_teams_takes_the_card() {
        let facts: Vec<_> = (0..25)
            .map(|n| json!({ "title": format!("{n}{}", "😀".repeat(98)), "value": "{{/long}}" }))
            .collect();
        let links: Vec<_> = (0..6)
            .map(|_| json!({ "title": "{{/long}}", "url": "https://shop.example/{{/path}}" }))
            .collect();
        let config = json!({ "title": "{{/long}}", "text": "{{/long}}", "facts": facts, "links": links });
        for piece in ["x", "*", "😀", "\u{1}", "\"", "ä\n"] {
            let long = json!({ "long": piece.repeat(40_000), "path": "p".repeat(1_000) });
            let sample = event("a").data(long);
            let sent = Host::new()
                .config(config.clone())
                .transform::<NotifyTeams>(sample)
                .unwrap();
            let (bytes, card) = (sent.message().body.len(), sent.json());
            assert!((2_000..=28_000).contains(&bytes), "{piece:?}: {bytes} bytes");
            let facts = card.pointer("/attachments/0/content/body/2/facts");
            assert_eq!(facts.and_then(|facts| facts.as_array()).map(Vec::len), Some(25));
        }
    }
}
