//! CloudEvents 1.0 in binary mode: attributes in `ce-` headers, the body is the data.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::IgnoredAny;

use crate::model::event::{self, Envelope, Header};

use super::fault::{At, FaultKind, Faults};
use super::{Decoded, EXTENSIONS_MAX, attributes, check_text};

const PREFIX: &str = "ce-";

/// Attributes that are no extensions; `datacontenttype` is the header `content-type`.
const KNOWN: [&str; 7] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "dataschema",
];

/// Whether a request carries the headers that only a binary event has.
pub(super) fn is_meant(headers: &HeaderMap) -> bool {
    ["ce-specversion", "ce-id", "ce-type"]
        .iter()
        .any(|name| headers.contains_key(*name))
}

pub(super) fn read(headers: &HeaderMap, body: &Bytes, faults: &mut Faults) -> Option<Decoded> {
    let read = Attributes(headers);
    read.required("specversion", attributes::spec_version, faults);
    let id = read.required("id", attributes::id, faults);
    let source = read.required("source", attributes::uri_reference, faults);
    let kind = read.required("type", attributes::event_type, faults);
    let subject = read.optional("subject", attributes::subject, faults);
    let time = read.optional("time", attributes::time, faults);
    let extensions = read.extensions(faults);
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    check_data(content_type, body, faults);
    let content_type = content_type.map(str::to_owned);
    let envelope = Envelope {
        id,
        source: source?,
        kind: kind?,
        subject,
        time,
        content_type,
        extensions,
    };
    Some(Decoded {
        envelope,
        data: body.clone(),
    })
}

/// Data that is said to be JSON has to be JSON.
fn check_data(content_type: Option<&str>, body: &Bytes, faults: &mut Faults) {
    if content_type.is_none() || !event::is_json(content_type) || body.is_empty() {
        return;
    }
    let checked = check_text(body).and_then(|text| {
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| FaultKind::Json(error.to_string()))
    });
    faults.keep(|| At::Body(String::new()), checked);
}

struct Attributes<'a>(&'a HeaderMap);

impl Attributes<'_> {
    fn optional<T>(
        &self,
        name: &str,
        check: impl Fn(&str) -> Result<T, FaultKind>,
        faults: &mut Faults,
    ) -> Option<T> {
        let header = format!("{PREFIX}{name}");
        let mut values = self.0.get_all(&header).iter();
        let value = values.next()?;
        let checked = match values.next() {
            Some(_) => Err(FaultKind::Duplicate),
            None => unescape(value.as_bytes()).and_then(|text| check(&text)),
        };
        faults.keep(|| At::Header(header), checked)
    }

    fn required<T>(
        &self,
        name: &str,
        check: impl Fn(&str) -> Result<T, FaultKind>,
        faults: &mut Faults,
    ) -> Option<T> {
        let header = format!("{PREFIX}{name}");
        if !self.0.contains_key(&header) {
            faults.add(At::Header(header), FaultKind::Missing);
            return None;
        }
        self.optional(name, check, faults)
    }

    fn extensions(&self, faults: &mut Faults) -> Vec<Header> {
        let schema = self.optional("dataschema", attributes::uri_reference, faults);
        let mut extensions: Vec<Header> = schema
            .into_iter()
            .map(|uri| ("dataschema".to_owned(), uri))
            .collect();
        for header in self.0.keys() {
            let Some(name) = header.as_str().strip_prefix(PREFIX) else {
                continue;
            };
            if KNOWN.contains(&name) {
                continue;
            }
            let checked = match name {
                "datacontenttype" => Err(FaultKind::Unknown("it is the header content-type".to_owned())),
                _ => attributes::extension_name(name),
            };
            if faults.keep(|| At::Header(header.to_string()), checked).is_some() {
                let value = self.optional(name, attributes::extension, faults);
                extensions.extend(value.map(|value| (name.to_owned(), value)));
            }
        }
        if extensions.len() > EXTENSIONS_MAX {
            let kind = FaultKind::TooMany {
                what: "extension attributes",
                max: EXTENSIONS_MAX,
            };
            faults.add(At::Header("ce-*".to_owned()), kind);
        }
        extensions
    }
}

/// A header's value as the HTTP binding of CloudEvents writes it: perhaps a quoted string,
/// and within it UTF-8 bytes as `%xx`.
fn unescape(value: &[u8]) -> Result<String, FaultKind> {
    let mut bytes = Vec::with_capacity(value.len());
    let unquoted = unquote(value);
    let mut rest = unquoted.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.and_then(hex_digit));
                let [Some(high), Some(low)] = digits else {
                    return Err(FaultKind::Escape);
                };
                bytes.push(high << 4 | low);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|error| FaultKind::Utf8(error.utf8_error().valid_up_to()))
}

fn unquote(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
    else {
        return value.to_vec();
    };
    let mut unquoted = Vec::with_capacity(inner.len());
    let mut rest = inner.iter().copied();
    while let Some(byte) = rest.next() {
        unquoted.push(if byte == b'\\' {
            rest.next().unwrap_or(b'\\')
        } else {
            byte
        });
    }
    unquoted
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}
