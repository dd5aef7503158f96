//! Reads where a value stands in a request.

use crate::config::reader::Section;
use crate::model::json;
use crate::model::source::Origin;
use crate::model::verify::Place;

const ORIGIN_REMEDY: &str =
    "write \"/pointer/into/body\", \"header:name\", \"query:name\", \"form:name\" or a fixed text";

/// Reads where a value of the envelope comes from: `/pointer`, `header:name`, `query:name`,
/// `form:name`, `body-sha256`, `literal:text`, or else a text that is the value itself.
pub(super) fn origin(section: &Section<'_>, key: &str, text: &str) -> Option<Origin> {
    if text.starts_with('/') {
        return pointer(section, key, text).map(Origin::Body);
    }
    if text == "body-sha256" {
        return Some(Origin::BodyDigest);
    }
    let (found, text): (fn(String) -> Origin, _) = match text.split_once(':') {
        Some(("header", name)) => return header_name(section, key, name).map(Origin::Header),
        Some(("query", name)) => (Origin::Query, name),
        Some(("form", name)) => (Origin::Form, name),
        Some(("literal", text)) => (Origin::Literal, text),
        _ => (Origin::Literal, text),
    };
    if text.is_empty() {
        section.fault(key, "names nothing", ORIGIN_REMEDY);
        return None;
    }
    Some(found(text.to_owned()))
}

/// Reads where a proof stands: `header:name`, `query:name` or `body:/pointer`.
pub(super) fn place(section: &Section<'_>, key: &str, text: &str) -> Option<Place> {
    match text.split_once(':') {
        Some(("header", name)) => header_name(section, key, name).map(Place::Header),
        Some(("body", at)) => pointer(section, key, at).map(Place::Body),
        Some(("query", name)) if !name.is_empty() => Some(Place::Query(name.to_owned())),
        _ => {
            let remedy = "write \"header:name\", \"query:name\" or \"body:/pointer\"";
            section.fault(key, format!("is {text:?}"), remedy);
            None
        }
    }
}

fn pointer(section: &Section<'_>, key: &str, text: &str) -> Option<String> {
    if json::is_pointer(text) {
        return Some(text.to_owned());
    }
    section.fault(
        key,
        format!("is {text:?}, which is no JSON Pointer"),
        "write ~ as ~0 and / in a name as ~1",
    );
    None
}

pub(super) fn header_name(section: &Section<'_>, key: &str, name: &str) -> Option<String> {
    let parsed = http::HeaderName::from_bytes(name.as_bytes());
    if parsed.is_err() {
        section.fault(
            key,
            format!("is {name:?}, which is no name of a header"),
            "write it as in \"x-signature\"",
        );
    }
    parsed.ok().map(|name| name.as_str().to_owned())
}
