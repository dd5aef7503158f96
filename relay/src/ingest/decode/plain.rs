//! The relay's own body: `{type, data, id?, source?, subject?, time?}`.

use bytes::Bytes;

use crate::model::event::Envelope;

use super::super::API_SOURCE;
use super::fault::Faults;
use super::members::Members;
use super::{Decoded, attributes};

pub(super) const KNOWN: [&str; 6] = ["type", "data", "id", "source", "subject", "time"];

/// Data that is not given is `null`, so that every event of this kind has JSON data.
const NO_DATA: &[u8] = b"null";

pub(super) fn read(
    members: &Members<'_>,
    take: &dyn Fn(&str) -> Bytes,
    faults: &mut Faults,
) -> Option<Decoded> {
    members.refuse_unknown(&KNOWN, faults);
    let kind = members.required("type", attributes::event_type, faults);
    let id = members.optional("id", attributes::id, faults);
    let source = members.optional("source", attributes::uri_reference, faults);
    let subject = members.optional("subject", attributes::subject, faults);
    let time = members.optional("time", attributes::time, faults);
    let data = members
        .raw("data")
        .map_or(Bytes::from_static(NO_DATA), |raw| take(raw.get()));
    let envelope = Envelope {
        id,
        source: source.unwrap_or_else(|| API_SOURCE.to_owned()),
        kind: kind?,
        subject,
        time,
        content_type: Some("application/json".to_owned()),
        extensions: Vec::new(),
    };
    Some(Decoded { envelope, data })
}
