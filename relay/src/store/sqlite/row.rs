//! An event as a row, and back.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::checksum::Checksum;
use super::failure::Failure;
use super::plan;
use crate::model::event::{Envelope, Event, Header};
use crate::model::id::{EndpointId, EventId, SourceId, TenantId};
use crate::model::time::Timestamp;
use crate::store::Error;

/// The columns that [`event`] reads, in its order, of a table or alias named `e`.
macro_rules! columns {
    () => {
        "e.id, e.tenant, e.source, e.received_at, e.kind, e.endpoints, e.checksum, e.origin, \
         e.sender_id, e.subject, e.time, e.content_type, e.meta, e.data"
    };
}
pub(super) use columns;

/// Which of the columns is the list of endpoints.
pub(super) const ENDPOINTS: usize = 5;

/// An event ready to be bound: encoded by the caller, so that the writer only binds.
pub(super) struct EventRow {
    pub(super) event: Arc<Event>,
    pub(super) endpoints: Vec<u8>,
    pub(super) meta: Option<String>,
    pub(super) checksum: i64,
}

impl EventRow {
    /// Encodes an event that was routed to these endpoints.
    pub(super) fn new(
        event: Arc<Event>,
        endpoints: impl ExactSizeIterator<Item = EndpointId>,
    ) -> Result<Self, Error> {
        let endpoints = plan::encode(endpoints);
        let meta = encode_meta(&event)?;
        let checksum = checksum(&event, &endpoints, meta.as_deref());
        Ok(Self {
            event,
            endpoints,
            meta,
            checksum,
        })
    }
}

fn encode_meta(event: &Event) -> Result<Option<String>, Error> {
    if event.headers.is_empty() && event.envelope.extensions.is_empty() {
        return Ok(None);
    }
    let meta = Meta {
        headers: &event.headers,
        extensions: &event.envelope.extensions,
    };
    serde_json::to_string(&meta)
        .map(Some)
        .map_err(|error| Error::Unavailable(error.to_string()))
}

/// Headers and extensions, as they stand in the column `meta`.
#[derive(serde::Serialize)]
struct Meta<'a> {
    headers: &'a [Header],
    extensions: &'a [Header],
}

#[derive(serde::Deserialize)]
struct OwnedMeta {
    headers: Vec<Header>,
    extensions: Vec<Header>,
}

fn checksum(event: &Event, endpoints: &[u8], meta: Option<&str>) -> i64 {
    let envelope = &event.envelope;
    Checksum::new()
        .number(event.id.raw())
        .number(event.tenant.raw())
        .maybe_number(event.source.map(SourceId::raw))
        .number(event.received_at.as_millis())
        .bytes(envelope.kind.as_bytes())
        .bytes(endpoints)
        .bytes(envelope.source.as_bytes())
        .maybe_text(envelope.id.as_deref())
        .maybe_text(envelope.subject.as_deref())
        .maybe_number(envelope.time.map(Timestamp::as_millis))
        .maybe_text(envelope.content_type.as_deref())
        .maybe_text(meta)
        .bytes(&event.data)
        .finish()
}

/// Reads the event whose [`columns`] begin at column `from`, and checks it.
pub(super) fn event(row: &Row<'_>, from: usize) -> Result<Arc<Event>, Failure> {
    let id = EventId::from_raw(row.get(from)?);
    let meta = match row.get_ref(from + 12)? {
        ValueRef::Null => None,
        value => Some(value.as_str().map_err(rusqlite::Error::from)?),
    };
    let (headers, extensions) = decode_meta(id, meta)?;
    let event = Event {
        id,
        tenant: TenantId::from_raw(row.get(from + 1)?),
        source: row.get::<_, Option<i64>>(from + 2)?.map(SourceId::from_raw),
        received_at: Timestamp::from_millis(row.get(from + 3)?),
        envelope: Envelope {
            id: row.get(from + 8)?,
            source: row.get(from + 7)?,
            kind: row.get(from + 4)?,
            subject: row.get(from + 9)?,
            time: row.get::<_, Option<i64>>(from + 10)?.map(Timestamp::from_millis),
            content_type: row.get(from + 11)?,
            extensions,
        },
        headers,
        data: Bytes::copy_from_slice(blob(row, from + 13)?),
    };
    if checksum(&event, blob(row, from + ENDPOINTS)?, meta) == row.get::<_, i64>(from + 6)? {
        Ok(Arc::new(event))
    } else {
        Err(Failure::Corrupt(format!(
            "event {id} is not what was stored: its checksum differs"
        )))
    }
}

fn decode_meta(id: EventId, meta: Option<&str>) -> Result<(Vec<Header>, Vec<Header>), Failure> {
    let Some(meta) = meta else {
        return Ok((Vec::new(), Vec::new()));
    };
    let meta: OwnedMeta = serde_json::from_str(meta)
        .map_err(|error| Failure::Corrupt(format!("the headers of event {id} do not read: {error}")))?;
    Ok((meta.headers, meta.extensions))
}

/// A column of bytes, borrowed.
pub(super) fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8], Failure> {
    Ok(row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?)
}
