//! The configuration that an endpoint or source gives the plugin.
//!
//! Most plugins take it as a hook's second argument and need nothing from here.

use std::cell::OnceCell;
use std::thread::LocalKey;

use serde::de::DeserializeOwned;

use crate::{Fault, host};

/// The whole document as JSON text, the schema's defaults filled in.
pub fn document() -> String {
    host::config_document()
}

/// One value as JSON text, by JSON Pointer.
pub fn value(pointer: &str) -> Option<String> {
    host::config_value(pointer)
}

/// One value, by JSON Pointer. `None`: no such value, or one of another type.
pub fn get<T: DeserializeOwned>(pointer: &str) -> Option<T> {
    serde_json::from_str(&value(pointer)?).ok()
}

/// The whole document, as a type.
///
/// # Errors
/// [`Fault::Misconfigured`] with the JSON Pointer of what does not fit.
pub fn typed<T: DeserializeOwned>() -> Result<T, Fault> {
    parse(&document()).map_err(|misfit| {
        let place = if misfit.at.is_empty() { "" } else { " at " };
        Fault::misconfigured(format!(
            "the configuration{place}{}: {}",
            misfit.at, misfit.message
        ))
    })
}

/// The whole document as a type, read once per instance: an instance serves one
/// configuration only.
#[doc(hidden)]
pub fn cached<T: DeserializeOwned>(
    cell: &'static LocalKey<OnceCell<&'static T>>,
) -> Result<&'static T, Fault> {
    // Natively one thread tests many configurations one after the other.
    let known = cell.with(|cell| cell.get().copied());
    match known.filter(|_| cfg!(target_arch = "wasm32")) {
        Some(config) => Ok(config),
        None => {
            let config: &'static T = Box::leak(Box::new(typed()?));
            cell.with(|cell| cell.set(config).ok());
            Ok(config)
        }
    }
}

/// Why a document does not fit a type.
pub(crate) struct Misfit {
    /// A JSON Pointer.
    pub(crate) at: String,
    pub(crate) message: String,
}

pub(crate) fn parse<T: DeserializeOwned>(document: &str) -> Result<T, Misfit> {
    serde_json::from_str(document).map_err(|error| misfit(document, &error))
}

fn misfit(document: &str, error: &serde_json::Error) -> Misfit {
    let text = error.to_string();
    let message = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message)
        .to_owned();
    Misfit {
        at: pointer_at(document, offset(document, error.line(), error.column())),
        message,
    }
}

/// The number of bytes before a line and column, both counted from 1.
fn offset(document: &str, line: usize, column: usize) -> usize {
    let before: usize = document
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    before + column
}

/// The JSON Pointer of the value that the first `end` bytes of a document lead into.
fn pointer_at(document: &str, end: usize) -> String {
    let mut path: Vec<Step> = Vec::new();
    let mut bytes = document.bytes().enumerate().take(end);
    let mut is_key_next = false;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'{' => {
                path.push(Step::Member(None));
                is_key_next = true;
            }
            b'[' => path.push(Step::Element(0)),
            b'}' | b']' => drop(path.pop()),
            b',' => match path.last_mut() {
                Some(Step::Element(index)) => *index += 1,
                Some(Step::Member(_)) => is_key_next = true,
                None => {}
            },
            b'"' => {
                let text = string_at(document, at, &mut bytes);
                if std::mem::take(&mut is_key_next)
                    && let Some(Step::Member(key)) = path.last_mut()
                {
                    *key = serde_json::from_str(text).ok();
                }
            }
            _ => {}
        }
    }
    path.iter().map(Step::text).collect()
}

/// Takes the rest of a string, its quotes included.
fn string_at<'d>(document: &'d str, start: usize, bytes: &mut impl Iterator<Item = (usize, u8)>) -> &'d str {
    let mut is_escaped = false;
    for (at, byte) in bytes {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return document.get(start..=at).unwrap_or_default(),
            _ => {}
        }
    }
    ""
}

enum Step {
    Member(Option<String>),
    Element(usize),
}

impl Step {
    fn text(&self) -> String {
        match self {
            Self::Member(None) => String::new(),
            Self::Member(Some(key)) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Self::Element(index) => format!("/{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what does not fit is looked at")]
    struct Config {
        rows: Vec<Row>,
        #[serde(default, rename = "a/b")]
        number: u8,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only what does not fit is looked at")]
    struct Row {
        key: String,
    }

    #[test]
    fn a_misfit_names_its_place() {
        for (document, at, message) in [
            (
                r#"{"rows":[{"key":"{\"a"},{"key":7}]}"#,
                "/rows/1/key",
                "invalid type: integer `7`, expected a string",
            ),
            (r#"{"rows":[{"key":"x"}, {}]}"#, "/rows/1", "missing field `key`"),
            (
                r#"{"rows":{}}"#,
                "/rows",
                "invalid type: map, expected a sequence",
            ),
            (
                "{\n \"rows\": [],\n \"a/b\": 300}",
                "/a~1b",
                "invalid value: integer `300`, expected u8",
            ),
            (
                r#"{"rows":[],"row":1}"#,
                "/row",
                "unknown field `row`, expected `rows` or `a/b`",
            ),
            ("{}", "", "missing field `rows`"),
            ("[", "/0", "EOF while parsing a list"),
        ] {
            let misfit = parse::<Config>(document).err().unwrap();
            assert_eq!(
                (misfit.at.as_str(), misfit.message.as_str()),
                (at, message),
                "{document}"
            );
        }
    }
}
