//! The message with a card that Teams takes.
//!
//! An [Adaptive Card](https://adaptivecards.io/explorer/) in the envelope of
//! [incoming webhooks](https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using).

use relay_sdk::json;
use relay_sdk::template::cut;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The newest version of cards that Teams shows on every device.
const VERSION: &str = "1.4";
/// Teams refuses messages of more than 28 KB.
const BYTES_MAX: usize = 28_000;
/// Longest text, and longest value of a fact, in characters: the first pair with which the
/// message is small enough. With the last one every message is.
const CUTS: [(usize, usize); 5] = [
    (16_000, 2_000),
    (8_000, 500),
    (4_000, 200),
    (1_000, 80),
    (200, 30),
];

/// What a card shows. Texts are Markdown; values in them have been escaped.
pub(crate) struct Card {
    pub(crate) title: Option<String>,
    pub(crate) text: Option<String>,
    /// Titles and values.
    pub(crate) facts: Vec<(String, String)>,
    /// Titles and addresses.
    pub(crate) links: Vec<(String, String)>,
    pub(crate) style: Style,
    pub(crate) is_full_width: bool,
}

/// The background of the title, in the colours of the reader's theme.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Style {
    #[default]
    Default,
    Emphasis,
    Good,
    Attention,
    Warning,
    Accent,
}

impl Card {
    pub(crate) fn is_blank(&self) -> bool {
        self.title.is_none() && self.text.is_none() && self.facts.is_empty()
    }

    /// The message as JSON text, cut to what Teams takes.
    pub(crate) fn message(&self) -> String {
        let mut message = String::new();
        for (text_max, value_max) in CUTS {
            message = self.document(text_max, value_max).to_string();
            if message.len() <= BYTES_MAX {
                break;
            }
        }
        message
    }

    fn document(&self, text_max: usize, value_max: usize) -> Value {
        let title = self.title.as_ref().map(|title| self.heading(title));
        let text = self
            .text
            .as_ref()
            .map(|text| json!({ "type": "TextBlock", "text": cut(text.clone(), text_max), "wrap": true }));
        let facts = (!self.facts.is_empty()).then(|| self.fact_set(value_max));
        let body: Vec<Value> = [title, text, facts].into_iter().flatten().collect();
        let mut content = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": VERSION,
            "body": body,
        });
        if !self.links.is_empty() {
            content["actions"] = self.actions();
        }
        if self.is_full_width {
            content["msteams"] = json!({ "width": "Full" });
        }
        json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": content,
            }],
        })
    }

    fn heading(&self, title: &str) -> Value {
        let text = json!({
            "type": "TextBlock", "text": title, "size": "Large", "weight": "Bolder", "wrap": true,
        });
        match self.style {
            Style::Default => text,
            style => json!({ "type": "Container", "style": style, "bleed": true, "items": [text] }),
        }
    }

    fn fact_set(&self, value_max: usize) -> Value {
        let fact = |(title, value): &(String, String)| json!({ "title": title, "value": cut(value.clone(), value_max) });
        json!({ "type": "FactSet", "facts": self.facts.iter().map(fact).collect::<Vec<_>>() })
    }

    fn actions(&self) -> Value {
        let action =
            |(title, url): &(String, String)| json!({ "type": "Action.OpenUrl", "title": title, "url": url });
        self.links.iter().map(action).collect()
    }
}
