//! What plugins that write to people share: titled values, choices by the event, Markdown.

use std::borrow::Cow;

use serde::Deserialize;

use crate::Event;
use crate::template::{Template, Variable, replaced};

/// A value with a title, as most chats can show them in columns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// What it is called; shown as it is written.
    pub title: String,
    /// What it is.
    pub value: Template,
}

/// One of several looks, chosen by a value of the event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule<T> {
    /// The variable that is looked at.
    of: Variable,
    /// Its values, as text, for which the rule holds.
    is: Vec<String>,
    /// What is chosen then.
    then: T,
}

impl<T> Rule<T> {
    /// What the first rule that holds for this event chooses.
    pub fn choice<'r>(rules: &'r [Self], event: &Event) -> Option<&'r T> {
        let holds = |rule: &&Self| rule.of.text(event).is_some_and(|value| rule.is.contains(&value));
        rules.iter().find(holds).map(|rule| &rule.then)
    }

    /// What it chooses if it holds.
    pub fn then(&self) -> &T {
        &self.then
    }
}

/// Escapes what Markdown reads as markup, so that a value stays text: it cannot hide where a
/// link leads. A value that is a plain web address is left alone, because backslashes would be
/// part of where it leads.
pub fn markdown(value: &str) -> Cow<'_, str> {
    if is_address(value) {
        return value.into();
    }
    replaced(value, |character| {
        Some(match character {
            '\\' => r"\\",
            '*' => r"\*",
            '_' => r"\_",
            '~' => r"\~",
            '`' => r"\`",
            '|' => r"\|",
            '#' => r"\#",
            '<' => r"\<",
            '>' => r"\>",
            '[' => r"\[",
            ']' => r"\]",
            _ => return None,
        })
    })
}

/// Whether a text is one web address and nothing else, without characters that end one or that
/// Markdown could take for its own.
pub fn is_address(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"<>()[]{}|\\^`\"'*~".contains(&byte);
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_plain))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Host, event};

    #[test]
    fn the_first_rule_that_holds_chooses() {
        let rules: Vec<Rule<u8>> = serde_json::from_value(json!([
            { "of": "/level", "is": ["error", "7"], "then": 1 },
            { "of": "event.type", "is": ["order.paid"], "then": 2 },
        ]))
        .unwrap();
        for (kind, level, expected) in [
            ("order.paid", json!("error"), Some(1)),
            ("order.paid", json!(7), Some(1)),
            ("order.paid", json!(null), Some(2)),
            ("order.lost", json!("errors"), None),
        ] {
            let sample = event(kind).data(json!({ "level": level }));
            let chosen = Host::new().run(sample, |event| Rule::choice(&rules, event).copied());
            assert_eq!(chosen, expected, "{kind} {level}");
        }
    }

    #[test]
    fn values_stay_text_in_markdown() {
        for (value, expected) in [
            ("plain, 5 EUR!", "plain, 5 EUR!"),
            ("[open](https://evil.example)", r"\[open\](https://evil.example)"),
            (
                "**a** _b_ ~c~ `d` ||e|| # f",
                r"\*\*a\*\* \_b\_ \~c\~ \`d\` \|\|e\|\| \# f",
            ),
            (r"\[x](y)", r"\\\[x\](y)"),
            ("<@1> <https://x>", r"\<@1\> \<https://x\>"),
            ("https://x.example/a_b#c", "https://x.example/a_b#c"),
            ("https://x.example/a_b c", r"https://x.example/a\_b c"),
            ("https://x.example/)[y](z", r"https://x.example/)\[y\](z"),
            ("javascript://a_b", r"javascript://a\_b"),
        ] {
            assert_eq!(markdown(value), expected);
        }
    }
}
