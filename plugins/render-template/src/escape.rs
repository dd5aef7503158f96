//! Escapes values for what they are put into, so that no event can change its structure.

use std::borrow::Cow;

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, Value, escape_formatter};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::output::Place;

/// How values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Escape {
    /// Between quotes as part of that string, elsewhere as a JSON value of their own.
    Json,
    /// For text and attributes of HTML and XML, by the engine itself.
    Html,
    /// Percent-encoded, for addresses and forms.
    Url,
    None,
}

impl Escape {
    /// The one for a content type.
    pub(crate) fn of(content_type: &str) -> Self {
        let media = content_type.split(';').next().unwrap_or_default();
        let media = media.trim().to_ascii_lowercase();
        match media.as_str() {
            "application/json" | "text/json" => Self::Json,
            "text/html" | "text/xml" | "application/xml" => Self::Html,
            "application/x-www-form-urlencoded" => Self::Url,
            _ if media.ends_with("+json") => Self::Json,
            _ if media.ends_with("+xml") => Self::Html,
            _ => Self::None,
        }
    }

    /// Has the values of one template escaped; those of the others are written as they are.
    pub(crate) fn set_up(self, environment: &mut Environment<'_>, place: Place, escaped: &'static str) {
        environment.set_auto_escape_callback(move |name| {
            let is_html = self == Self::Html && name == escaped;
            if is_html {
                AutoEscape::Html
            } else {
                AutoEscape::None
            }
        });
        environment.set_formatter(move |output, state, value| {
            if self == Self::Html && !value.is_none() {
                return escape_formatter(output, state, value);
            }
            let escape = if state.name() == escaped { self } else { Self::None };
            let text = escape.escaped(output, &place, value)?;
            Ok(output.write_str(&text)?)
        });
    }

    fn escaped<'v>(
        self,
        output: &mut Output<'_>,
        place: &Place,
        value: &'v Value,
    ) -> Result<Cow<'v, str>, Error> {
        let before = place.writes();
        output.write_str("")?;
        let is_captured = place.writes() == before;
        Ok(match self {
            _ if is_captured => plain(value)?,
            Self::Json if place.is_in_string() => inside(&plain(value)?)?.into(),
            Self::Json if !value.is_safe() => json(value)?.into(),
            Self::Url if !value.is_safe() => url(&plain(value)?).into(),
            _ => plain(value)?,
        })
    }
}

/// A value as text: a string as it is, nothing for what is null or missing, else JSON.
fn plain(value: &Value) -> Result<Cow<'_, str>, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => "".into(),
        ValueKind::String => value.as_str().unwrap_or_default().into(),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => json(value)?.into(),
        _ => value.to_string().into(),
    })
}

fn json(value: &Value) -> Result<String, Error> {
    let written = serde_json::to_string(value);
    written.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// A text as part of a JSON string.
fn inside(text: &str) -> Result<String, Error> {
    let quoted = json(&Value::from(text))?;
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Ok(inner.unwrap_or(&quoted).to_owned())
}

fn url(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
