//! Reads `reply`: what becomes of a receiver's answer to a call.
//!
//! ```toml
//! [endpoint.reply]
//! status = 200
//! headers = { x-order = { from = "/event/data/order" } }
//! body = { text = { from = "/reply/body/state", default = "unknown" } }
//! fallback = { status = 200, body = { text = "One moment please" } }
//! cache = { for = "30s", key = ["/order"] }
//! ```

use std::time::Duration;

use serde_json::{Map, Value};

use super::reader::{Section, parse_duration};
use super::sketch;
use crate::deliver::header::check_header;
use crate::model::reply::{Caching, Fallback, Mapping, Template};

const STATUS: std::ops::RangeInclusive<u64> = 200..=599;
const FALLBACK_STATUS: u16 = 200;
const HEADERS_MAX: usize = 32;
/// Values of one template, those inside of others included.
const VALUES_MAX: usize = 1000;
/// How deep the values of a template may stand in each other.
const DEPTH_MAX: usize = 32;
const TTL_MAX: Duration = Duration::from_secs(300);
/// Pointers that make a key of the cache.
const KEY_MAX: usize = 16;
/// Longest pointer, in bytes.
const POINTER_BYTES_MAX: usize = 512;
/// What a hole in a template may point into.
const SIDES: [&str; 2] = ["/reply", "/event"];

/// Reads the section; every fault is noted with it.
pub(super) fn read(section: Section<'_>) -> Mapping {
    let mapping = Mapping {
        status: status(&section),
        headers: headers(&section),
        body: section
            .value("body")
            .map(|value| Reader::new(&section, "body").read(value)),
        fallback: section.section("fallback").map(fallback),
        cache: caching(&section),
    };
    section.finish();
    mapping
}

fn status(section: &Section<'_>) -> Option<u16> {
    let status = section.integer("status", STATUS)?;
    u16::try_from(status).ok()
}

fn fallback(section: Section<'_>) -> Fallback {
    let fallback = Fallback {
        status: status(&section).unwrap_or(FALLBACK_STATUS),
        body: section
            .value("body")
            .map(|value| Reader::new(&section, "body").read(value)),
    };
    section.finish();
    fallback
}

fn headers(section: &Section<'_>) -> Vec<(String, Template)> {
    let Some(headers) = section.section("headers") else {
        return Vec::new();
    };
    headers.draw(sketch::ANY_KEY, || Value::Object(Map::new()));
    let mut list = Vec::new();
    for (name, value) in headers.entries() {
        // A value that comes from outside is checked when it is there.
        let fixed = value.as_str().unwrap_or_default();
        match check_header(name, fixed) {
            Ok(_) => list.push((
                name.to_ascii_lowercase(),
                Reader::new(section, "headers").read(value),
            )),
            Err(error) => headers.fault(name, error.to_string(), ""),
        }
    }
    if list.len() > HEADERS_MAX {
        section.fault(
            "headers",
            format!("has {} headers", list.len()),
            format!("use up to {HEADERS_MAX}"),
        );
    }
    list
}

/// `"30s"`, or `{ for = "30s", key = ["/order"] }`.
fn caching(section: &Section<'_>) -> Option<Caching> {
    match section.value("cache")? {
        Value::String(text) => match parse_duration(text) {
            Some(ttl) if (Duration::from_secs(1)..=TTL_MAX).contains(&ttl) => {
                Some(Caching { ttl, key: Vec::new() })
            }
            _ => {
                section.fault("cache", format!("is {text:?}"), "use \"1s\" to \"5m\"");
                None
            }
        },
        _ => {
            let cache = section.section("cache")?;
            cache.required("for", "\"30s\"");
            let ttl = cache.duration("for", Duration::from_secs(1)..=TTL_MAX);
            let key = cache.strings("key").unwrap_or_default();
            if key.len() > KEY_MAX {
                cache.fault(
                    "key",
                    format!("names {} values", key.len()),
                    format!("use up to {KEY_MAX}"),
                );
            }
            for pointer in key.iter().filter(|pointer| !is_pointer(pointer)) {
                cache.fault("key", format!("has {pointer:?}, no JSON Pointer"), POINTER_REMEDY);
            }
            cache.finish();
            Some(Caching {
                ttl: ttl?,
                key: key.into_iter().map(str::to_owned).collect(),
            })
        }
    }
}

const POINTER_REMEDY: &str = "write it as in \"/order/id\", with ~0 for ~ and ~1 for /";

/// Whether a text is a JSON Pointer (RFC 6901) to something inside of a document.
fn is_pointer(text: &str) -> bool {
    let mut escapes = text.match_indices('~');
    text.starts_with('/')
        && text.len() <= POINTER_BYTES_MAX
        && escapes.all(|(at, _)| matches!(text.as_bytes().get(at + 1), Some(b'0' | b'1')))
}

/// Reads one template.
struct Reader<'s, 'a> {
    section: &'s Section<'a>,
    key: &'static str,
    values: usize,
}

impl<'s, 'a> Reader<'s, 'a> {
    const fn new(section: &'s Section<'a>, key: &'static str) -> Self {
        Self {
            section,
            key,
            values: 0,
        }
    }

    fn read(mut self, value: &Value) -> Template {
        let template = self.template(value, 0);
        if self.values > VALUES_MAX {
            self.fault(format!("has more than {VALUES_MAX} values"), "");
        }
        template
    }

    fn template(&mut self, value: &Value, depth: usize) -> Template {
        self.values += 1;
        if depth > DEPTH_MAX {
            self.fault(format!("is nested more than {DEPTH_MAX} deep"), "");
            return Template::Literal(Value::Null);
        }
        match value {
            Value::Object(members) if members.contains_key("from") => self.hole(members),
            Value::Object(members) => {
                let read =
                    |(name, member): (&String, &Value)| (name.clone(), self.template(member, depth + 1));
                Template::Object(members.iter().map(read).collect())
            }
            Value::Array(items) => {
                Template::List(items.iter().map(|item| self.template(item, depth + 1)).collect())
            }
            other => Template::Literal(other.clone()),
        }
    }

    fn hole(&self, members: &Map<String, Value>) -> Template {
        if let Some(other) = members
            .keys()
            .find(|key| !["from", "default"].contains(&key.as_str()))
        {
            self.fault(
                format!("has {other:?} beside \"from\""),
                "use from and default alone",
            );
        }
        let pointer = members.get("from").and_then(Value::as_str).unwrap_or_default();
        let begins = |side: &&str| {
            let rest = pointer.strip_prefix(*side);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !is_pointer(pointer) || !SIDES.iter().any(begins) {
            self.fault(
                format!("takes a value from {pointer:?}"),
                "use a JSON Pointer as in \"/reply/body/state\" or \"/event/data/order\"",
            );
        }
        Template::From {
            pointer: pointer.to_owned(),
            default: members.get("default").cloned(),
        }
    }

    fn fault(&self, problem: String, remedy: &str) {
        self.section.fault(self.key, problem, remedy);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::reader::{Findings, Process};

    fn faults(definition: Value) -> Vec<String> {
        let findings = Findings::default();
        let table = definition.as_object().expect("an object");
        read(Section::root(table, &findings, &Process));
        findings.into_faults().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_fits_is_taken() {
        for good in [
            json!({}),
            json!({"status": 200, "body": {"a": [{"from": "/reply/body"}, 1, null, "x"]}}),
            json!({"headers": {"X-A": "b", "x-c": {"from": "/reply/headers/etag", "default": "none"}}}),
            json!({"fallback": {"body": {"text": {"from": "/event/data/a~1b"}}}, "cache": "30s"}),
            json!({"cache": {"for": "5m", "key": ["/a", "/b/0"]}}),
        ] {
            assert_eq!(faults(good.clone()), [""; 0], "{good}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        for (bad, place) in [
            (json!({"status": 100}), "status"),
            (json!({"statu": 200}), "statu"),
            (json!({"body": {"a": {"from": "reply/body"}}}), "body"),
            (json!({"body": {"from": "/replyx"}}), "body"),
            (json!({"body": {"from": "/reply/~2"}}), "body"),
            (json!({"body": {"from": "/reply", "else": 1}}), "body"),
            (json!({"body": deep}), "body"),
            (json!({"body": vec![0; 2000]}), "body"),
            (json!({"headers": {"content-length": "1"}}), "headers"),
            (json!({"headers": {"x-a": "b\r\nc"}}), "headers"),
            (json!({"fallback": {"status": "ok"}}), "fallback.status"),
            (json!({"cache": "6m"}), "cache"),
            (json!({"cache": {"key": ["/a"]}}), "cache.for"),
            (json!({"cache": {"for": "1s", "key": ["a"]}}), "cache.key"),
        ] {
            let found = faults(bad.clone());
            assert!(
                found.iter().any(|fault| fault.starts_with(place)),
                "{bad}: {found:?}"
            );
        }
    }
}
