//! Reads what is posted to `/v1/events`: a plain body, or CloudEvents 1.0 in structured,
//! binary or batch mode.
//!
//! Strict, and exact: every fault is named with its place, all of them at once, and the data
//! of an event is kept byte for byte as it was sent.

mod attributes;
mod binary;
mod cloudevents;
mod fault;
mod members;
mod plain;
mod schema;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::value::RawValue;

use crate::model::event::Envelope;
use crate::model::json;

use self::fault::Faults;
pub use self::fault::{At, FAULTS_MAX, Fault, FaultKind};
use self::members::Members;
pub use self::schema::{CloudEvent, NewEvent};

/// Most events of one batch.
pub const BATCH_MAX: usize = 1000;
/// Longest id, in bytes.
pub const ID_LEN_MAX: usize = 256;
/// Longest source, subject or dataschema, in bytes.
pub const TEXT_LEN_MAX: usize = 1024;
/// Longest value of an extension attribute, in bytes.
pub const EXTENSION_LEN_MAX: usize = 4096;
/// Most extension attributes of one event.
pub const EXTENSIONS_MAX: usize = 32;

/// What the content type may be; for a message.
pub const MEDIA_TYPES: &str = "send application/json, application/cloudevents+json, \
     application/cloudevents-batch+json, or anything with the headers of a binary CloudEvent, in UTF-8";

/// One event, read but for its id within the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    pub envelope: Envelope,
    pub data: Bytes,
}

/// Why nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the content type {0:?} is not understood")]
    MediaType(String),
    #[error("the event is malformed")]
    Malformed(Vec<Fault>),
}

/// How the events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    Structured,
    Batch,
    Binary,
}

/// Where the data of an event stand in a body that was read: a JSON Pointer.
pub fn place_of_data(headers: &HeaderMap, index: usize) -> String {
    match mode(headers) {
        Ok(Mode::Binary) | Err(_) => String::new(),
        Ok(Mode::Plain | Mode::Structured) => "/data".to_owned(),
        Ok(Mode::Batch) => format!("/{index}/data"),
    }
}

/// Reads the events of a body, in order; all of them or none.
///
/// # Errors
/// The content type, or every fault found.
pub fn decode(headers: &HeaderMap, body: &Bytes) -> Result<Vec<Decoded>, Error> {
    let mode = mode(headers)?;
    let mut faults = Faults::default();
    let events = match mode {
        Mode::Binary => binary::read(headers, body, &mut faults).into_iter().collect(),
        Mode::Plain | Mode::Structured | Mode::Batch => match check_text(body) {
            Ok(text) => read_json(mode, text, body, &mut faults),
            Err(kind) => {
                faults.add(At::Body(String::new()), kind);
                Vec::new()
            }
        },
    };
    faults.none_or(events).map_err(Error::Malformed)
}

/// The text of a body, once it is UTF-8 and not too deep to be parsed.
fn check_text(body: &Bytes) -> Result<&str, FaultKind> {
    let text = std::str::from_utf8(body).map_err(|error| FaultKind::Utf8(error.valid_up_to()))?;
    if json::is_too_deep(body) {
        Err(FaultKind::TooDeep)
    } else {
        Ok(text)
    }
}

fn read_json(mode: Mode, text: &str, body: &Bytes, faults: &mut Faults) -> Vec<Decoded> {
    // One event may share the memory of the request's body. The events of a batch may not:
    // the last one that waits would hold all of it.
    let share = |data: &str| body.slice_ref(data.as_bytes());
    let copy = |data: &str| Bytes::copy_from_slice(data.as_bytes());
    let root = String::new;
    match mode {
        Mode::Batch => read_batch(text, &copy, faults),
        Mode::Structured => Members::parse(text, root(), faults)
            .and_then(|members| cloudevents::read(&members, &share, faults))
            .into_iter()
            .collect(),
        Mode::Plain | Mode::Binary => Members::parse(text, root(), faults)
            .and_then(|members| plain::read(&members, &share, faults))
            .into_iter()
            .collect(),
    }
}

fn read_batch(text: &str, copy: &dyn Fn(&str) -> Bytes, faults: &mut Faults) -> Vec<Decoded> {
    let list: Vec<&RawValue> = match serde_json::from_str(text) {
        Ok(list) => list,
        Err(error) if error.is_data() => {
            faults.add(
                At::Body(String::new()),
                FaultKind::wrong_kind("something else", "a list of events"),
            );
            return Vec::new();
        }
        Err(error) => {
            faults.add(At::Body(String::new()), FaultKind::Json(error.to_string()));
            return Vec::new();
        }
    };
    if list.len() > BATCH_MAX {
        faults.add(
            At::Body(String::new()),
            FaultKind::TooMany {
                what: "events",
                max: BATCH_MAX,
            },
        );
        return Vec::new();
    }
    let mut events = Vec::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        let members = Members::parse(item.get(), format!("/{index}"), faults);
        events.extend(members.and_then(|members| cloudevents::read(&members, copy, faults)));
    }
    events
}

fn mode(headers: &HeaderMap) -> Result<Mode, Error> {
    let content_type = content_type(headers)?;
    let Some(content_type) = content_type else {
        return Ok(if binary::is_meant(headers) {
            Mode::Binary
        } else {
            Mode::Plain
        });
    };
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let mode = match essence.as_str() {
        "application/cloudevents+json" => Mode::Structured,
        "application/cloudevents-batch+json" => Mode::Batch,
        // Another event format, such as Avro or Protobuf.
        other if other.starts_with("application/cloudevents") => return Err(unknown(content_type)),
        _ if binary::is_meant(headers) => return Ok(Mode::Binary),
        "application/json" | "text/json" => Mode::Plain,
        _ => return Err(unknown(content_type)),
    };
    if is_utf8(content_type) {
        Ok(mode)
    } else {
        Err(unknown(content_type))
    }
}

fn content_type(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .map_err(|_| unknown(&super::headers::text(value.as_bytes())))?;
    if values.next().is_some() {
        Err(unknown("more than one"))
    } else {
        Ok(Some(text))
    }
}

/// Whether the parameters name no other charset.
fn is_utf8(content_type: &str) -> bool {
    let parameters = content_type
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='));
    parameters
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .all(|(_, charset)| charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"))
}

fn unknown(content_type: &str) -> Error {
    Error::MediaType(content_type.chars().take(100).collect())
}
