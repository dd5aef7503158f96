//! What a delivery sends: the chain's result as frozen bytes and headers.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::IgnoredAny;

use super::{header, mail};
use crate::model::draft::Draft;
use crate::model::endpoint::{Endpoint, Format};
use crate::model::event::{Event, Header, is_json};
use crate::model::hops;
use crate::model::id::DeliveryId;
use crate::model::message::{Message, Messages};
use crate::model::trace;

pub mod batch;

/// What wire ids begin with.
const WIRE_ID_PREFIX: &str = "msg_";
/// Room for what stands around the data in a body, in bytes.
const AROUND_DATA_BYTES: usize = 256;
/// Names that no CloudEvents extension attribute can have.
const ATTRIBUTES: [&str; 9] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "datacontenttype",
    "data",
    "data_base64",
];

/// Freezes the drafts that the chain made of an event into what is sent, in their order.
pub fn build(endpoint: &Endpoint, event: &Event, delivery: DeliveryId, drafts: Vec<Draft>) -> Messages {
    let is_single = drafts.len() == 1;
    let message = |(index, draft): (usize, Draft)| {
        let id = wire_id(delivery, (!is_single).then_some(index + 1));
        if mail::is_mail(&endpoint.url) {
            return mail::text::freeze(id, &endpoint.url, &draft);
        }
        freeze(id, step(delivery, index), format(endpoint, event, &draft), draft)
    };
    Messages {
        list: drafts.into_iter().enumerate().map(message).collect(),
        sent: 0,
    }
}

/// The id by which a receiver knows a delivery's message: what the header `webhook-id` says. A
/// delivery with several messages adds `_` and a number to each.
pub fn webhook_id(delivery: DeliveryId) -> String {
    wire_id(delivery, None)
}

/// An event as one JSON text: CloudEvents, structured mode.
pub fn as_cloudevent(event: &Event) -> Bytes {
    structured(&Draft::of(event))
}

/// `msg_` and the delivery's digits, and a number when the delivery has several messages.
/// Contains no full stop, which would make signed text ambiguous.
fn wire_id(delivery: DeliveryId, number: Option<usize>) -> String {
    let delivery = delivery.to_string();
    let digits = delivery.strip_prefix(DeliveryId::PREFIX).unwrap_or(&delivery);
    match number {
        Some(number) => format!("{WIRE_ID_PREFIX}{digits}_{number}"),
        None => format!("{WIRE_ID_PREFIX}{digits}"),
    }
}

/// The message's step in a trace: the delivery's own number, so that a trace leads back to it,
/// and the message's. Deliveries are 256 apart and have fewer messages.
fn step(delivery: DeliveryId, index: usize) -> u64 {
    delivery.raw().unsigned_abs() + index as u64
}

/// The endpoint's format. Without one, data that a plugin put in place of the event's is sent
/// as the plugin left it (a chat's API wants exactly that body); else events from the API are
/// sent as `standard`, events from a source as they came, edits included.
fn format(endpoint: &Endpoint, event: &Event, draft: &Draft) -> Format {
    let by_default = || {
        if draft.data_replaced || event.source.is_some() {
            Format::Raw
        } else {
            Format::Standard
        }
    };
    endpoint.format.unwrap_or_else(by_default)
}

fn freeze(id: String, step: u64, format: Format, draft: Draft) -> Message {
    let mut headers = Vec::with_capacity(draft.headers_set.len() + 2);
    let body = match format {
        Format::Standard => {
            set(&mut headers, "content-type", "application/json".into());
            standard(&draft)
        }
        Format::CloudEvents => {
            set(
                &mut headers,
                "content-type",
                "application/cloudevents+json; charset=utf-8".into(),
            );
            structured(&draft)
        }
        Format::Raw => {
            set_content_type(&mut headers, &draft);
            draft.data.clone()
        }
        Format::CloudEventsBinary => {
            set_content_type(&mut headers, &draft);
            binary_attributes(&mut headers, &draft);
            draft.data.clone()
        }
    };
    set_trace(&mut headers, step, &draft);
    set_hops(&mut headers, &draft);
    let set_by_plugin: Vec<Header> = draft.headers_set.into_iter().filter(is_sendable).collect();
    headers.retain(|(name, _)| !set_by_plugin.iter().any(|(set, _)| set == name));
    headers.extend(set_by_plugin);
    Message { id, headers, body }
}

fn set(headers: &mut Vec<Header>, name: &str, value: Cow<'_, str>) {
    headers.push((name.to_owned(), value.into_owned()));
}

/// The data's own content type, if it said one.
fn set_content_type(headers: &mut Vec<Header>, draft: &Draft) {
    let content_type = draft.envelope.content_type.clone();
    headers.extend(
        content_type
            .map(|value| ("content-type".to_owned(), value))
            .filter(is_sendable),
    );
}

fn is_sendable((name, value): &Header) -> bool {
    header::check_header(name, value).is_ok()
}

/// The next step of the trace that the event belongs to, if its sender said so.
fn set_trace(headers: &mut Vec<Header>, step: u64, draft: &Draft) {
    let Some((parent, state)) = trace::of(&draft.envelope.extensions, &draft.headers) else {
        return;
    };
    set(headers, trace::TRACEPARENT, parent.child(step).to_string().into());
    if let Some(state) = state {
        set(headers, trace::TRACESTATE, state.into());
    }
}

/// One relay more than the event has gone through; without any the head says so by itself.
fn set_hops(headers: &mut Vec<Header>, draft: &Draft) {
    match hops::of(&draft.envelope.extensions, &[]) {
        0 => {}
        hops => set(headers, hops::HEADER, hops.saturating_add(1).to_string().into()),
    }
}

/// `{"type", "timestamp", "data"}`, as Standard Webhooks recommends.
fn standard(draft: &Draft) -> Bytes {
    let mut body = Vec::with_capacity(draft.data.len() + AROUND_DATA_BYTES);
    body.extend_from_slice(b"{\"type\":");
    push_string(&mut body, &draft.envelope.kind);
    body.extend_from_slice(b",\"timestamp\":");
    push_string(&mut body, &draft.happened_at().to_string());
    match Data::of(draft) {
        Data::None => body.extend_from_slice(b",\"data\":null"),
        data => data.push_member(&mut body),
    }
    body.push(b'}');
    body.into()
}

/// CloudEvents 1.0 in its JSON format.
fn structured(draft: &Draft) -> Bytes {
    let mut body = Vec::with_capacity(draft.data.len() + 2 * AROUND_DATA_BYTES);
    body.extend_from_slice(b"{\"specversion\":\"1.0\"");
    for (name, value) in attributes(draft) {
        push_member(&mut body, name, &value);
    }
    if let Some(content_type) = &draft.envelope.content_type {
        push_member(&mut body, "datacontenttype", content_type);
    }
    // Under a JSON content type a string would be read as JSON's own, so bytes that only
    // claim to be JSON are carried as bytes.
    match Data::of(draft) {
        Data::Text(_) if is_json(draft.envelope.content_type.as_deref()) => {
            Data::Bytes(&draft.data).push_member(&mut body);
        }
        data => data.push_member(&mut body),
    }
    body.push(b'}');
    body.into()
}

/// CloudEvents 1.0 in binary mode: attributes as headers, the data as it is.
fn binary_attributes(headers: &mut Vec<Header>, draft: &Draft) {
    headers.push(("ce-specversion".to_owned(), "1.0".to_owned()));
    for (name, value) in attributes(draft) {
        headers.push((format!("ce-{name}"), percent_encoded(&value)));
    }
}

/// The context attributes, `specversion` and `datacontenttype` left out.
fn attributes(draft: &Draft) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let envelope = &draft.envelope;
    let required = [
        ("id", Cow::Owned(draft.cloudevents_id())),
        ("source", Cow::Borrowed(envelope.source.as_str())),
        ("type", Cow::Borrowed(envelope.kind.as_str())),
        ("time", Cow::Owned(draft.happened_at().to_string())),
    ];
    let subject = envelope
        .subject
        .as_deref()
        .map(|subject| ("subject", Cow::Borrowed(subject)));
    let extensions = envelope
        .extensions
        .iter()
        .filter(|(name, _)| is_extension_name(name));
    let extensions = extensions.map(|(name, value)| (name.as_str(), Cow::Borrowed(value.as_str())));
    required.into_iter().chain(subject).chain(extensions)
}

fn is_extension_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !name.is_empty() && name.bytes().all(is_plain) && !ATTRIBUTES.contains(&name)
}

/// As the HTTP binding of CloudEvents wants values: what is not printable ASCII, spaces,
/// quotes and per cent signs are written as per cent and the bytes of their UTF-8.
fn percent_encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
    }
    encoded
}

/// The data by how it can stand in a JSON document.
enum Data<'a> {
    None,
    /// One JSON value: spliced in byte for byte, so numbers and escapes stay as they came.
    Json(&'a [u8]),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Data<'a> {
    fn of(draft: &'a Draft) -> Self {
        let data = &draft.data[..];
        if data.is_empty() {
            return Self::None;
        }
        // Looked at even if it is said to be JSON: a brace too many would let a sender write
        // the members around it.
        if is_json(draft.envelope.content_type.as_deref())
            && serde_json::from_slice::<IgnoredAny>(data).is_ok()
        {
            return Self::Json(data);
        }
        std::str::from_utf8(data).map_or(Self::Bytes(data), Self::Text)
    }

    fn push_member(&self, body: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Json(data) => {
                body.extend_from_slice(b",\"data\":");
                body.extend_from_slice(data);
            }
            Self::Text(text) => push_member(body, "data", text),
            Self::Bytes(bytes) => push_member(body, "data_base64", &STANDARD.encode(bytes)),
        }
    }
}

/// `name` needs no escapes.
fn push_member(body: &mut Vec<u8>, name: &str, value: &str) {
    body.extend_from_slice(b",\"");
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(b"\":");
    push_string(body, value);
}

fn push_string(body: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(body, text).expect("text can be written as JSON into memory");
}

#[cfg(test)]
mod tests;
