//! Changes to the envelope of an event, checked before they count.

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::model::draft::Draft;
use crate::model::event::Header;
use crate::model::event_type;

/// Headers that belong to the relay or to the connection.
const RESERVED: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What the names of the relay's own headers begin with.
const RESERVED_PREFIX: &str = "webhook-";
/// Most headers an event may have after changes.
const HEADERS_MAX: usize = 100;
/// Longest value of a header or attribute, in bytes.
const VALUE_BYTES_MAX: usize = 8 << 10;
/// Longest name of an extension attribute, in bytes.
const EXTENSION_NAME_MAX: usize = 20;
/// Most extension attributes an event may have after changes.
const EXTENSIONS_MAX: usize = 50;

/// A change to the envelope; what is not named stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    SetAttribute(String, String),
    RemoveAttribute(String),
    SetHeader(String, String),
    AddHeader(String, String),
    RemoveHeader(String),
}

/// Why a change cannot be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("`{0}` is not the name of a header")]
    HeaderName(String),
    #[error("the header `{0}` belongs to the relay; choose another name")]
    Reserved(String),
    #[error(
        "the value of `{0}` has characters that a header may not have, or is longer than {VALUE_BYTES_MAX} bytes"
    )]
    Value(String),
    #[error("an event may have {HEADERS_MAX} headers and {EXTENSIONS_MAX} extension attributes")]
    TooMany,
    #[error(
        "`{0}` is not an attribute: extensions have 1 to {EXTENSION_NAME_MAX} lower-case letters and digits"
    )]
    AttributeName(String),
    #[error("the attribute `{0}` is required and cannot be removed")]
    Required(String),
    #[error("the attribute `{name}` cannot be {value:?}: {reason}")]
    Attribute {
        name: String,
        value: String,
        reason: String,
    },
    #[error("only headers can be changed here, not the attribute `{0}`")]
    HeadersOnly(String),
}

impl Change {
    /// Bytes that the plugin gave.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::SetAttribute(name, value) | Self::SetHeader(name, value) | Self::AddHeader(name, value) => {
                name.len() + value.len()
            }
            Self::RemoveAttribute(name) | Self::RemoveHeader(name) => name.len(),
        }
    }

    /// Makes the change to an event.
    pub(super) fn apply(self, draft: &mut Draft) -> Result<(), Error> {
        match self {
            Self::SetAttribute(name, value) => set_attribute(draft, name, value),
            Self::RemoveAttribute(name) => remove_attribute(draft, name),
            Self::SetHeader(..) | Self::AddHeader(..) | Self::RemoveHeader(_) => {
                self.clone().apply_to_headers(&mut draft.headers)?;
                self.apply_to_headers(&mut draft.headers_set)
            }
        }
    }

    /// Makes the change to a list of headers alone.
    pub(super) fn apply_to_headers(self, headers: &mut Vec<Header>) -> Result<(), Error> {
        match self {
            Self::SetHeader(name, value) => {
                let header = check_header(&name, value)?;
                headers.retain(|(known, _)| *known != header.0);
                headers.push(header);
            }
            Self::AddHeader(name, value) => headers.push(check_header(&name, value)?),
            Self::RemoveHeader(name) => {
                let name = check_header_name(&name)?;
                headers.retain(|(known, _)| *known != name);
            }
            Self::SetAttribute(name, _) | Self::RemoveAttribute(name) => {
                return Err(Error::HeadersOnly(excerpt(&name)));
            }
        }
        if headers.len() > HEADERS_MAX {
            Err(Error::TooMany)
        } else {
            Ok(())
        }
    }
}

/// A header that a plugin may set, its name in lower case.
pub(super) fn check_header(name: &str, value: String) -> Result<Header, Error> {
    let name = check_header_name(name)?;
    if value.len() > VALUE_BYTES_MAX || HeaderValue::from_bytes(value.as_bytes()).is_err() {
        return Err(Error::Value(name));
    }
    Ok((name, value))
}

fn check_header_name(name: &str) -> Result<String, Error> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Error::HeaderName(excerpt(name)))?;
    let name = parsed.as_str();
    if RESERVED.contains(&name) || name.starts_with(RESERVED_PREFIX) {
        return Err(Error::Reserved(name.to_owned()));
    }
    Ok(name.to_owned())
}

fn set_attribute(draft: &mut Draft, name: String, value: String) -> Result<(), Error> {
    check_attribute_value(&name, &value)?;
    let envelope = &mut draft.envelope;
    match name.as_str() {
        "id" => envelope.id = Some(value),
        "source" => envelope.source = value,
        "type" => envelope.kind = value,
        "subject" => envelope.subject = Some(value),
        "datacontenttype" => envelope.content_type = Some(value),
        "time" => match value.parse() {
            Ok(time) => envelope.time = Some(time),
            Err(reason) => return Err(unusable(&name, &value, reason)),
        },
        _ => {
            envelope.extensions.retain(|(known, _)| *known != name);
            envelope.extensions.push((name, value));
            if envelope.extensions.len() > EXTENSIONS_MAX {
                return Err(Error::TooMany);
            }
        }
    }
    Ok(())
}

/// Checks a name and value that are to become an attribute of an event.
pub(super) fn check_attribute_value(name: &str, value: &str) -> Result<(), Error> {
    check_attribute_name(name)?;
    if value.len() > VALUE_BYTES_MAX || value.contains(|c: char| c.is_control()) {
        return Err(unusable(name, value, "it is too long or has control characters"));
    }
    match name {
        "type" => event_type::check(value).map_err(|reason| unusable(name, value, reason)),
        "id" | "source" if value.is_empty() => Err(unusable(name, value, "it is empty")),
        "datacontenttype" if HeaderValue::from_str(value).is_err() => {
            Err(unusable(name, value, "it is no content type"))
        }
        _ => Ok(()),
    }
}

fn remove_attribute(draft: &mut Draft, name: String) -> Result<(), Error> {
    check_attribute_name(&name)?;
    let envelope = &mut draft.envelope;
    match name.as_str() {
        "id" | "source" | "type" => return Err(Error::Required(name)),
        "subject" => envelope.subject = None,
        "time" => envelope.time = None,
        "datacontenttype" => envelope.content_type = None,
        _ => envelope.extensions.retain(|(known, _)| *known != name),
    }
    Ok(())
}

fn check_attribute_name(name: &str) -> Result<(), Error> {
    let is_word = !name.is_empty()
        && name.len() <= EXTENSION_NAME_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if is_word && !matches!(name, "data" | "specversion") {
        Ok(())
    } else {
        Err(Error::AttributeName(excerpt(name)))
    }
}

fn unusable(name: &str, value: &str, reason: impl ToString) -> Error {
    Error::Attribute {
        name: name.to_owned(),
        value: excerpt(value),
        reason: reason.to_string(),
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::event::Envelope;
    use crate::model::id::EventId;
    use crate::model::time::Timestamp;

    fn draft() -> Draft {
        Draft {
            event: EventId::from_raw(1),
            received_at: Timestamp::from_millis(0),
            envelope: Envelope {
                kind: "a.b".into(),
                source: "src".into(),
                ..Envelope::default()
            },
            headers: vec![("x-one".into(), "1".into()), ("x-two".into(), "2".into())],
            data: Bytes::new(),
            data_replaced: false,
            headers_set: Vec::new(),
        }
    }

    fn owned(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn attributes_are_set_and_removed() {
        let mut draft = draft();
        for (name, value) in [
            ("id", "x1"),
            ("type", "c.d"),
            ("subject", "s"),
            ("time", "2026-01-31T15:04:05Z"),
            ("datacontenttype", "text/plain"),
            ("dataschema", "https://example.com"),
            ("myext", "é"),
            ("myext", "v"),
        ] {
            Change::SetAttribute(name.into(), value.into())
                .apply(&mut draft)
                .expect(name);
        }
        Change::RemoveAttribute("subject".into())
            .apply(&mut draft)
            .expect("subject is optional");
        assert_eq!(draft.envelope.id.as_deref(), Some("x1"));
        assert_eq!(draft.envelope.kind, "c.d");
        assert_eq!(draft.envelope.subject, None);
        assert_eq!(
            draft.envelope.extensions,
            [owned("dataschema", "https://example.com"), owned("myext", "v")]
        );
    }

    #[test]
    fn headers_a_plugin_sets_are_remembered_as_such() {
        let mut draft = draft();
        for change in [
            Change::SetHeader("X-One".into(), "new".into()),
            Change::AddHeader("x-one".into(), "more".into()),
            Change::RemoveHeader("x-two".into()),
            Change::RemoveHeader("x-absent".into()),
        ] {
            change.apply(&mut draft).expect("a valid change");
        }
        let expected = [owned("x-one", "new"), owned("x-one", "more")];
        assert_eq!(
            (&draft.headers[..], &draft.headers_set[..]),
            (&expected[..], &expected[..])
        );
    }

    #[test]
    fn what_belongs_to_the_relay_cannot_be_set() {
        for name in [
            "host",
            "Content-Length",
            "transfer-encoding",
            "connection",
            "webhook-id",
            "Webhook-Signature",
        ] {
            let error = Change::SetHeader(name.into(), "x".into())
                .apply(&mut draft())
                .expect_err(name);
            assert!(matches!(error, Error::Reserved(_)), "{name}: {error}");
        }
    }

    #[test]
    fn malformed_names_and_values_are_refused() {
        for change in [
            Change::SetHeader("a b".into(), "x".into()),
            Change::SetHeader(String::new(), "x".into()),
            Change::AddHeader("x-a".into(), "line\r\nbreak".into()),
            Change::SetHeader("x-a".into(), "x".repeat(VALUE_BYTES_MAX + 1)),
            Change::SetAttribute("Upper".into(), "x".into()),
            Change::SetAttribute("data".into(), "x".into()),
            Change::SetAttribute(String::new(), "x".into()),
            Change::SetAttribute("type".into(), "not ok".into()),
            Change::SetAttribute("time".into(), "yesterday".into()),
            Change::SetAttribute("id".into(), String::new()),
            Change::SetAttribute("subject".into(), "a\u{0}b".into()),
            Change::RemoveAttribute("type".into()),
        ] {
            assert!(change.clone().apply(&mut draft()).is_err(), "{change:?}");
        }
    }

    #[test]
    fn the_number_of_headers_is_bounded() {
        let mut draft = draft();
        let result =
            (0..=HEADERS_MAX).try_for_each(|_| Change::AddHeader("x".into(), "y".into()).apply(&mut draft));
        assert_eq!(result, Err(Error::TooMany));
    }
}
