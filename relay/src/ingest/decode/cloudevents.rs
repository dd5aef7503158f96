//! CloudEvents 1.0 in the JSON format, structured or one of a batch.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::model::event::{self, Envelope, Header};

use super::fault::{FaultKind, Faults};
use super::members::{Members, is_null, kind_of, text_of};
use super::{Decoded, EXTENSIONS_MAX, attributes};

/// Members that are no extension attributes.
pub(super) const KNOWN: [&str; 10] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "data_base64",
];

pub(super) fn read(
    members: &Members<'_>,
    take: &dyn Fn(&str) -> Bytes,
    faults: &mut Faults,
) -> Option<Decoded> {
    members.required("specversion", attributes::spec_version, faults);
    let id = members.required("id", attributes::id, faults);
    let source = members.required("source", attributes::uri_reference, faults);
    let kind = members.required("type", attributes::event_type, faults);
    let subject = members.optional("subject", attributes::subject, faults);
    let time = members.optional("time", attributes::time, faults);
    let content_type = members.optional("datacontenttype", attributes::content_type, faults);
    let extensions = extensions(members, faults);
    let data = data(members, content_type.as_deref(), take, faults);
    let envelope = Envelope {
        id,
        source: source?,
        kind: kind?,
        subject,
        time,
        content_type,
        extensions,
    };
    Some(Decoded { envelope, data })
}

/// The extension attributes, `dataschema` among them, in order.
fn extensions(members: &Members<'_>, faults: &mut Faults) -> Vec<Header> {
    let schema = members.optional("dataschema", attributes::uri_reference, faults);
    let mut extensions: Vec<Header> = schema
        .into_iter()
        .map(|uri| ("dataschema".to_owned(), uri))
        .collect();
    for (name, raw) in members.iter() {
        if KNOWN.contains(&name) || is_null(raw) {
            continue;
        }
        let value = attributes::extension_name(name)
            .and_then(|()| scalar(raw))
            .and_then(|text| attributes::extension(&text));
        extensions.extend(
            faults
                .keep(|| members.at(name), value)
                .map(|value| (name.to_owned(), value)),
        );
    }
    if extensions.len() > EXTENSIONS_MAX {
        let kind = FaultKind::TooMany {
            what: "extension attributes",
            max: EXTENSIONS_MAX,
        };
        faults.add(members.root(), kind);
    }
    extensions
}

/// A string, a boolean or a whole number, in its canonical text.
fn scalar(raw: &RawValue) -> Result<Cow<'_, str>, FaultKind> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b't' | b'f') => Ok(Cow::Borrowed(text)),
        Some(b'-' | b'0'..=b'9') if !text.contains(['.', 'e', 'E']) => Ok(Cow::Borrowed(text)),
        Some(b'"') => text_of(raw),
        _ => Err(FaultKind::wrong_kind(
            kind_of(text),
            "a string, a whole number or a boolean",
        )),
    }
}

/// The payload. JSON is kept as it was written, a string that is said to be something else
/// is unquoted. Without a payload JSON data is `null`, any other is empty.
fn data(
    members: &Members<'_>,
    content_type: Option<&str>,
    take: &dyn Fn(&str) -> Bytes,
    faults: &mut Faults,
) -> Bytes {
    let is_json = event::is_json(content_type);
    let encoded = members.raw("data_base64").filter(|raw| !is_null(raw));
    match (members.raw("data"), encoded) {
        (Some(_), Some(_)) => {
            faults.add(members.at("data_base64"), FaultKind::TwoPayloads);
            Bytes::new()
        }
        (None, Some(raw)) => {
            let bytes = text_of(raw).and_then(|text| STANDARD.decode(&*text).map_err(|_| FaultKind::Base64));
            faults
                .keep(|| members.at("data_base64"), bytes)
                .map(Bytes::from)
                .unwrap_or_default()
        }
        (Some(raw), None) if !is_json && raw.get().starts_with('"') => {
            let text = faults.keep(|| members.at("data"), text_of(raw));
            text.map(|text| Bytes::from(text.into_owned()))
                .unwrap_or_default()
        }
        (Some(raw), None) => take(raw.get()),
        (None, None) if is_json => Bytes::from_static(b"null"),
        (None, None) => Bytes::new(),
    }
}
