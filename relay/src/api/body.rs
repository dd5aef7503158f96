//! Bodies of requests: JSON of a certain shape, and what is told of one that is something else.
//!
//! Where the fault stands is known from the path to it; what is wrong there has no form but serde's
//! sentences, which speak of Rust. They are few, and are said here in the words of JSON.

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use super::{Api, Failure};
use crate::http::problem::{Flaw, Problem};

/// Characters of a text of the caller's that are repeated.
const SHOWN_CHARS_MAX: usize = 100;

/// A body of JSON. One that is not there stands for an object without members.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let other = other_type(request.headers());
        let text = bytes(request, api).await?;
        match other {
            Some(other) if !text.is_empty() => Err(unsupported(&other).into()),
            _ => Ok(Self(read(&text)?)),
        }
    }
}

/// The bytes of a body, whatever they are.
pub(super) async fn bytes(request: Request, api: &Api) -> Result<Bytes, Failure> {
    let read: Result<Bytes, BytesRejection> = Bytes::from_request(request, api).await;
    read.map_err(|error| {
        Failure(match error.status().as_u16() {
            413 => Problem::new(413, "body_too_large", "Body too large", error.body_text()),
            _ => bad(error.body_text()),
        })
    })
}

pub(super) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(400, "bad_body", "Bad body", detail)
}

/// The media type of a body, if it is not one of JSON. As in `POST /v1/events`, a body without one is
/// taken for JSON.
fn other_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let is_json = matches!(essence.as_str(), "application/json" | "text/json")
        || essence.starts_with("application/") && essence.ends_with("+json");
    (!is_json).then(|| cut(&text))
}

fn unsupported(content_type: &str) -> Problem {
    let detail = format!("the body is {content_type:?}; send JSON, with `Content-Type: application/json`");
    Problem::new(415, "unsupported_media_type", "Unsupported media type", detail)
}

/// Reads a body of that shape.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Serde would take a list for an object whose members stand in order.
    if body.trim_ascii_start().starts_with(b"[") {
        let flaw = Flaw::new("", "wrong_type", "is a list; use an object");
        return Err(bad("the body is a list; use an object").with_errors([flaw]));
    }
    let text = if body.is_empty() { b"{}" } else { body };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = serde_path_to_error::deserialize(&mut reader);
    let read =
        read.map_err(
            |error: serde_path_to_error::Error<serde_json::Error>| match error.inner().is_data() {
                true => misshaped(error.path(), error.inner(), body.is_empty()),
                false => malformed(error.inner()),
            },
        )?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(read)
}

fn malformed(error: &serde_json::Error) -> Problem {
    let problem = format!("is no JSON: {error}");
    let flaw = Flaw::new("", "invalid_json", problem.clone());
    bad(format!("the body {problem}")).with_errors([flaw])
}

fn misshaped(path: &Path, error: &serde_json::Error, is_empty: bool) -> Problem {
    let said = error.to_string();
    // Where it stands in the text is of less use than the pointer.
    let said = said
        .rsplit_once(" at line ")
        .map_or(said.as_str(), |(said, _)| said);
    let Fault { member, code, words } = Fault::of(said);
    let mut pointer = pointer(path);
    if let Some(member) = member {
        let step = step(member);
        // Of an unknown member the path tells already.
        if !pointer.ends_with(&step) {
            pointer += &step;
        }
    }
    let place = if pointer.is_empty() { "the body" } else { &pointer };
    let detail = match is_empty {
        true => format!("the body is empty, and {place} {words}"),
        false => format!("{place} {words}"),
    };
    bad(detail).with_errors([Flaw::new(pointer, code, words)])
}

fn pointer(path: &Path) -> String {
    let steps = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => step(key),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    });
    steps.collect()
}

/// A step of a JSON Pointer (RFC 6901).
fn step(key: &str) -> String {
    format!("/{}", cut(key).replace('~', "~0").replace('/', "~1"))
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// What is wrong at a place.
#[derive(Debug, PartialEq, Eq)]
struct Fault<'s> {
    /// The member of an object that it is about.
    member: Option<&'s str>,
    code: &'static str,
    words: String,
}

impl<'s> Fault<'s> {
    /// From a sentence of serde's, as in `serde::de::Error`.
    fn of(said: &'s str) -> Self {
        let quoted = |begin: &str| said.strip_prefix(begin)?.split_once('`');
        let about = |member, code, words: String| Self {
            member: Some(member),
            code,
            words,
        };
        if let Some((member, _)) = quoted("missing field `") {
            return about(member, "missing", "is missing".to_owned());
        }
        if let Some((member, _)) = quoted("duplicate field `") {
            return about(member, "duplicate", "stands there more than once".to_owned());
        }
        if let Some((member, known)) = quoted("unknown field `") {
            let words = format!("is not known here; known: {}", listed(known));
            return about(member, "unknown_member", words);
        }
        let (code, words) = match quoted("unknown variant `") {
            Some((word, known)) => (
                "invalid",
                format!("is {:?}; use one of {}", cut(word), listed(known)),
            ),
            None => mistaken(said).unwrap_or_else(|| ("invalid", said.to_owned())),
        };
        Self {
            member: None,
            code,
            words,
        }
    }
}

/// What may stand there, from `, expected one of `a`, `b``.
fn listed(known: &str) -> String {
    let known = known
        .trim_start_matches(", expected ")
        .trim_start_matches("one of ");
    match known {
        ", there are no fields" | ", there are no variants" => "nothing".to_owned(),
        known => known.replace('`', ""),
    }
}

/// One kind of value in the place of another.
fn mistaken(said: &str) -> Option<(&'static str, String)> {
    let (code, rest) = [
        ("wrong_type", "invalid type: "),
        ("invalid", "invalid value: "),
        ("invalid", "invalid length "),
    ]
    .into_iter()
    .find_map(|(code, begin)| Some((code, said.strip_prefix(begin)?)))?;
    let (seen, wanted) = rest.rsplit_once(", expected ")?;
    let has = if said.starts_with("invalid length") {
        "has"
    } else {
        "is"
    };
    Some((
        code,
        format!("{has} {}; use {}", seen_as(seen), wanted_as(wanted)),
    ))
}

/// A text is not repeated: it may be a secret at the wrong place.
fn seen_as(seen: &str) -> String {
    let number = seen
        .strip_prefix("integer `")
        .or_else(|| seen.strip_prefix("floating point `"));
    match (seen, number) {
        ("map", _) => "an object".to_owned(),
        ("sequence", _) => "a list".to_owned(),
        (_, Some(number)) => number.trim_end_matches('`').to_owned(),
        _ if seen.starts_with("string ") => "text".to_owned(),
        _ => seen.trim_start_matches("boolean ").replace('`', ""),
    }
}

fn wanted_as(wanted: &str) -> &str {
    match wanted {
        "a string" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "u16" => "a whole number from 0 to 65535",
        "u8" => "a whole number from 0 to 255",
        "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        _ if wanted.starts_with("struct ") => "an object",
        _ => wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "it is read, and no more")]
    struct Shape {
        name: String,
        #[serde(default)]
        ids: Vec<u16>,
        #[serde(default)]
        by_name: std::collections::BTreeMap<String, bool>,
        role: Option<Role>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Role {
        Send,
        Read,
    }

    #[test]
    fn every_fault_has_its_place_and_words_of_json() {
        for (body, pointer, code, words) in [
            ("", "/name", "missing", "is missing"),
            ("{}", "/name", "missing", "is missing"),
            (
                r#"{"nam": 1}"#,
                "/nam",
                "unknown_member",
                "is not known here; known: name, ids, by_name, role",
            ),
            (
                r#"{"a/b": 1}"#,
                "/a~1b",
                "unknown_member",
                "is not known here; known: name, ids, by_name, role",
            ),
            (r#"{"name": 1}"#, "/name", "wrong_type", "is 1; use text"),
            (
                r#"{"name": "a", "name": "b"}"#,
                "/name",
                "duplicate",
                "stands there more than once",
            ),
            (
                r#"{"name": "a", "ids": [1, "whsec_x"]}"#,
                "/ids/1",
                "wrong_type",
                "is text; use a whole number from 0 to 65535",
            ),
            (
                r#"{"name": "a", "ids": [70000]}"#,
                "/ids/0",
                "invalid",
                "is 70000; use a whole number from 0 to 65535",
            ),
            (
                r#"{"name": "a", "ids": {}}"#,
                "/ids",
                "wrong_type",
                "is an object; use a list",
            ),
            (
                r#"{"name": "a", "by_name": {"x": null}}"#,
                "/by_name/x",
                "wrong_type",
                "is null; use true or false",
            ),
            (
                r#"{"name": "a", "role": "king"}"#,
                "/role",
                "invalid",
                "is \"king\"; use one of send or read",
            ),
            (" [\"a\"]", "", "wrong_type", "is a list; use an object"),
            ("7", "", "wrong_type", "is 7; use an object"),
        ] {
            let problem = read::<Shape>(body.as_bytes()).expect_err(body);
            let flaw = &problem.errors[0];
            assert_eq!(
                (flaw.pointer.as_str(), &*flaw.code),
                (pointer, code),
                "{body}: {problem:?}"
            );
            assert_eq!(flaw.message, words, "{body}");
            assert_eq!((problem.status, problem.code), (400, "bad_body"));
        }
        for body in ["{", "{\"name\": \"a\"} x", "\u{7f}"] {
            let problem = read::<Shape>(body.as_bytes()).expect_err(body);
            assert_eq!(&*problem.errors[0].code, "invalid_json", "{body}");
        }
    }

    #[test]
    fn json_has_several_media_types_and_may_have_none() {
        for (content_type, is_taken) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/merge-patch+json", true),
            ("text/json", true),
            ("application/x-www-form-urlencoded", false),
            ("text/plain", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            assert_eq!(other_type(&headers).is_none(), is_taken, "{content_type}");
        }
        assert_eq!(other_type(&HeaderMap::new()), None);
    }
}
