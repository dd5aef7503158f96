//! A URL with variables behind its host.

use std::fmt;

use relay_sdk::prelude::*;
use relay_sdk::template::Variable;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The literal parts, each but the last with the variable behind it.
pub(crate) struct Url {
    pieces: Vec<Piece>,
    end: String,
}

struct Piece {
    literal: String,
    variable: Variable,
    otherwise: Option<String>,
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        let (scheme, behind) = text
            .split_once("://")
            .ok_or("is no URL: write one such as https://api.example.com/users/{{/user/id}}")?;
        let host = behind.split(['/', '?', '#']).next().unwrap_or_default();
        if scheme.contains("{{") || host.contains("{{") {
            return Err("has a variable before its path: an event may not say whom is asked".to_owned());
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (variable, after) = after.split_once("}}").ok_or("has a `{{` without `}}`")?;
            let (name, otherwise) = match variable.split_once('|') {
                Some((name, otherwise)) => (name, Some(otherwise.trim().to_owned())),
                None => (variable, None),
            };
            pieces.push(Piece {
                literal: literal.to_owned(),
                variable: Variable::parse(name.trim()).map_err(|error| error.to_string())?,
                otherwise,
            });
            rest = after;
        }
        Ok(Self {
            pieces,
            end: rest.to_owned(),
        })
    }

    /// The URL for an event; `None` if it lacks a value.
    pub(crate) fn fill(&self, event: &Event) -> Result<Option<String>, Fault> {
        let mut url = String::new();
        for piece in &self.pieces {
            let value = piece.variable.text(event).or_else(|| piece.otherwise.clone());
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                return Ok(None);
            };
            // As a step of the path these lead elsewhere, also when they are encoded.
            if value.bytes().all(|byte| byte == b'.') {
                return Err(Fault::invalid(
                    "a variable of /url is nothing but dots for this event",
                ));
            }
            url.push_str(&piece.literal);
            encode(&value, &mut url);
        }
        url.push_str(&self.end);
        Ok(Some(url))
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed)
    }
}

/// Reads a string and parses it at once: an error made any later would not know its place.
struct Parsed;

impl Visitor<'_> for Parsed {
    type Value = Url;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a URL")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Url, E> {
        Url::parse(text).map_err(E::custom)
    }
}

/// Percent-encodes all but what RFC 3986 reserves for nothing.
fn encode(value: &str, url: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
            _ => {
                let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
                url.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}
