//! Text with variables: `Order {{/order/id}} of {{/customer/name|a guest}}`.
//!
//! | variable | is |
//! |---|---|
//! | `/order/id` | the value at a JSON Pointer into the payload |
//! | `event.id`, `event.type`, `event.source`, `event.subject`, `event.time`, `event.content_type` | an attribute of the event |
//! | `event.data` | the whole payload |
//! | `header.NAME` | the first value of a header |
//! | `extension.NAME` | a CloudEvents extension attribute |
//! | `call.tenant`, `call.source`, `call.endpoint`, `call.delivery`, `call.attempt` | why the plugin runs |
//!
//! What follows a `|` stands in for a variable that is absent or null; without it such a
//! variable is empty.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::{Event, call};

/// A variable: something of the event or of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Pointer(String),
    Event(Attribute),
    Header(String),
    Extension(String),
    Call(Fact),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attribute {
    Id,
    Type,
    Source,
    Subject,
    Time,
    ContentType,
    Data,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    Tenant,
    Source,
    Endpoint,
    Delivery,
    Attempt,
}

/// Text with variables, ready to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable { variable: Variable, otherwise: String },
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError(String);

impl Variable {
    /// Reads the name of a variable.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn parse(name: &str) -> Result<Self, TemplateError> {
        let unknown = || {
            TemplateError(format!(
                "there is no variable {name:?}: write a JSON Pointer such as /order/id, or a name such as event.type or header.x-request-id"
            ))
        };
        let kind = match name.split_once('.') {
            _ if name.starts_with('/') => Kind::Pointer(name.to_owned()),
            Some(("header", header)) if !header.is_empty() => Kind::Header(header.to_ascii_lowercase()),
            Some(("extension", extension)) if !extension.is_empty() => Kind::Extension(extension.to_owned()),
            Some(("event", attribute)) => Kind::Event(Attribute::parse(attribute).ok_or_else(unknown)?),
            Some(("call", fact)) => Kind::Call(Fact::parse(fact).ok_or_else(unknown)?),
            _ => return Err(unknown()),
        };
        Ok(Self(kind))
    }

    /// Its value as JSON text, exactly as in the payload; `None` if it is absent.
    pub fn json(&self, event: &Event) -> Option<String> {
        match &self.0 {
            Kind::Pointer(pointer) => event.data().value(pointer),
            Kind::Event(Attribute::Data) => event.data().value("").or_else(|| event.text().map(quoted)),
            _ => self.text(event).map(quoted),
        }
    }

    /// Its value as text: a string without its quotes, anything else as JSON. `None` if it is
    /// absent or null.
    pub fn text(&self, event: &Event) -> Option<String> {
        match &self.0 {
            Kind::Pointer(pointer) => plain(event.data().value(pointer)?),
            Kind::Event(attribute) => attribute.of(event),
            Kind::Header(name) => event.header(name),
            Kind::Extension(name) => event.extension(name),
            Kind::Call(fact) => fact.now(),
        }
    }
}

impl Attribute {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "type" => Self::Type,
            "source" => Self::Source,
            "subject" => Self::Subject,
            "time" => Self::Time,
            "content_type" => Self::ContentType,
            "data" => Self::Data,
            _ => return None,
        })
    }

    fn of(self, event: &Event) -> Option<String> {
        match self {
            Self::Id => Some(event.id().to_owned()),
            Self::Type => Some(event.event_type().to_owned()),
            Self::Source => Some(event.source().to_owned()),
            Self::Subject => event.subject().map(str::to_owned),
            Self::Time => event.time().map(str::to_owned),
            Self::ContentType => event.content_type().map(str::to_owned),
            Self::Data => event.text(),
        }
    }
}

impl Fact {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "tenant" => Self::Tenant,
            "source" => Self::Source,
            "endpoint" => Self::Endpoint,
            "delivery" => Self::Delivery,
            "attempt" => Self::Attempt,
            _ => return None,
        })
    }

    fn now(self) -> Option<String> {
        let context = call::current();
        match self {
            Self::Tenant => Some(context.tenant),
            Self::Source => context.source,
            Self::Endpoint => context.endpoint,
            Self::Delivery => context.delivery,
            Self::Attempt => Some(context.attempt.to_string()),
        }
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// If a `{{` has no `}}`, or names no variable.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (variable, after) = after.split_once("}}").ok_or_else(|| {
                TemplateError(format!("a `{{{{` without `}}}}` before {:?}", beginning(after)))
            })?;
            let (name, otherwise) = variable.split_once('|').unwrap_or((variable, ""));
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Variable {
                variable: Variable::parse(name.trim())?,
                otherwise: otherwise.trim().to_owned(),
            });
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces })
    }

    /// The text with every variable filled in as it is.
    pub fn render(&self, event: &Event) -> String {
        self.render_with(event, verbatim)
    }

    /// The text with every variable filled in after `escape`; the template's own text is left
    /// alone.
    pub fn render_with(&self, event: &Event, escape: impl Fn(&str) -> Cow<'_, str>) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Variable { variable, otherwise } => match variable.text(event) {
                    Some(value) => text.push_str(&escape(&value)),
                    None => text.push_str(otherwise),
                },
            }
        }
        text
    }

    /// As [`render_with`](Self::render_with); `None` if nothing but space comes of it.
    pub fn render_some(&self, event: &Event, escape: impl Fn(&str) -> Cow<'_, str>) -> Option<String> {
        Some(self.render_with(event, escape)).filter(|text| !text.trim().is_empty())
    }

    /// The variable that it consists of, if it is one and nothing else, not even a default.
    pub fn only_variable(&self) -> Option<&Variable> {
        let is_blank = |piece: &Piece| matches!(piece, Piece::Text(text) if text.is_empty());
        match self.pieces.as_slice() {
            [before, Piece::Variable { variable, otherwise }, after]
                if is_blank(before) && is_blank(after) && otherwise.is_empty() =>
            {
                Some(variable)
            }
            _ => None,
        }
    }

    /// Whether it is the same for every event.
    pub fn is_literal(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// The text without its variables.
    pub fn literal_text(&self) -> String {
        let literal = |piece: &'_ Piece| match piece {
            Piece::Text(text) => Some(text.clone()),
            Piece::Variable { .. } => None,
        };
        self.pieces.iter().filter_map(literal).collect()
    }

    /// How many characters it has without its variables.
    pub fn literal_characters(&self) -> usize {
        self.literal_text().chars().count()
    }
}

/// The escape that changes nothing.
pub fn verbatim(value: &str) -> Cow<'_, str> {
    Cow::Borrowed(value)
}

/// The escape that puts something in place of single characters; nothing is copied if there
/// are none of them.
pub fn replaced(value: &str, in_place_of: impl Fn(char) -> Option<&'static str>) -> Cow<'_, str> {
    if !value.contains(|character| in_place_of(character).is_some()) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len() + value.len() / 4);
    for character in value.chars() {
        match in_place_of(character) {
            Some(replacement) => text.push_str(replacement),
            None => text.push(character),
        }
    }
    Cow::Owned(text)
}

/// Cuts a text to at most `max` characters, the last of which says that it was cut.
pub fn cut(text: String, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text,
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for TemplateError {}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        Self::parse(text)
    }
}

impl FromStr for Variable {
    type Err = TemplateError;

    fn from_str(name: &str) -> Result<Self, TemplateError> {
        Self::parse(name)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed(PhantomData))
    }
}

/// Reads a string and parses it at once: an error made any later would not know its place.
struct Parsed<T>(PhantomData<T>);

impl<T: FromStr<Err = TemplateError>> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// JSON text without the quotes of a string; `None` for null.
fn plain(json: String) -> Option<String> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(&json).ok(),
        b'n' => None,
        _ => Some(json),
    }
}

fn quoted(text: String) -> String {
    serde_json::Value::String(text).to_string()
}

fn beginning(text: &str) -> &str {
    text.char_indices().nth(20).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Host, event};

    fn rendered(text: &str) -> String {
        let sample = event("order.paid")
            .id("evt_1")
            .header("X-Shop", "north")
            .extension("region", "eu")
            .data(json!({ "id": 7, "name": "A<b", "gone": null, "list": [1.50, "x"] }));
        Host::new()
            .endpoint("crm")
            .run(sample, |event| Template::parse(text).unwrap().render(event))
    }

    #[test]
    fn variables_are_filled_in() {
        for (text, expected) in [
            ("no variables }}", "no variables }}"),
            ("{{/id}}: {{/name}}", "7: A<b"),
            ("{{ /list }}", "[1.5,\"x\"]"),
            (
                "{{event.id}} {{event.type}} {{header.X-Shop}} {{extension.region}} {{call.endpoint}}",
                "evt_1 order.paid north eu crm",
            ),
            (
                "[{{/gone}}] [{{/none|somebody}}] [{{event.subject | nobody }}]",
                "[] [somebody] [nobody]",
            ),
        ] {
            assert_eq!(rendered(text), expected, "{text}");
        }
    }

    #[test]
    fn only_values_are_escaped() {
        let text = Host::new().run(event("a").data(json!({ "name": "<x>" })), |event| {
            Template::parse("<b>{{/name}}{{/none|<i>}}</b>")
                .unwrap()
                .render_with(event, |value| value.replace('<', "&lt;").into())
        });
        assert_eq!(text, "<b>&lt;x><i></b>");
    }

    #[test]
    fn what_is_blank_is_nothing() {
        let some = |text: &str| {
            Host::new().run(event("a"), |event| {
                Template::parse(text).unwrap().render_some(event, verbatim)
            })
        };
        assert_eq!(
            (some(" {{/none}} "), some("a {{/none}}")),
            (None, Some("a ".into()))
        );
    }

    #[test]
    fn single_characters_are_replaced() {
        let star = |value| replaced(value, |character| (character == '*').then_some("<star>"));
        assert!(matches!(star("ä b"), Cow::Borrowed("ä b")));
        assert_eq!(star("*ä**"), "<star>ä<star><star>");
    }

    #[test]
    fn faults_say_what_to_write() {
        for (text, expected) in [
            ("a {{/b", "without `}}`"),
            ("{{}}", "no variable \"\""),
            (
                "{{event.colour}}",
                "no variable \"event.colour\": write a JSON Pointer",
            ),
            ("{{header.}}", "no variable"),
        ] {
            let error = Template::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_cut_text_counts_characters_and_says_so() {
        assert_eq!(cut("äöü".into(), 3), "äöü");
        assert_eq!(cut("äöüß".into(), 3), "äö…");
        assert_eq!(cut("ab".into(), 0), "…");
    }
}
