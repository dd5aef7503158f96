//! The lines of an export, and the events in them.

use std::borrow::Cow;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::event::{Envelope, Event};
use crate::model::id::{EventId, TenantId};
use crate::model::time::Timestamp;

/// Bytes of whole lines that are handed on at once.
const BITE_BYTES: usize = 256 << 10;
/// Longest line: an event of the largest size that a relay takes, as base64.
const LINE_BYTES_MAX: usize = 256 << 20;

/// Puts pieces of an export together to whole lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: BytesMut,
}

impl Lines {
    /// Adds a piece; whole lines, if there are enough of them.
    pub(super) fn add(&mut self, piece: &[u8]) -> anyhow::Result<Option<Bytes>> {
        self.rest.extend_from_slice(piece);
        if self.rest.len() < BITE_BYTES {
            return Ok(None);
        }
        match memchr::memrchr(b'\n', &self.rest) {
            Some(end) => Ok(Some(self.rest.split_to(end + 1).freeze())),
            None if self.rest.len() > LINE_BYTES_MAX => bail!("the relay sent a line without an end"),
            None => Ok(None),
        }
    }

    /// What is left at the end.
    pub(super) fn end(&mut self) -> anyhow::Result<Option<Bytes>> {
        match self.rest.last() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(self.rest.split().freeze())),
            Some(_) => bail!("the export broke off in the middle of a line"),
        }
    }
}

/// What is run by one worker at once.
#[derive(Debug)]
pub(super) enum Bite {
    /// Whole lines of an export.
    Lines(Bytes),
    Events(Vec<Event>),
}

impl Bite {
    pub(super) fn events(self) -> anyhow::Result<Vec<Event>> {
        match self {
            Self::Lines(lines) => events(&lines),
            Self::Events(events) => Ok(events),
        }
    }
}

#[derive(Deserialize)]
struct Line<'l> {
    id: EventId,
    r#type: String,
    source: String,
    subject: Option<String>,
    time: Timestamp,
    received_at: Timestamp,
    sender_id: Option<String>,
    content_type: Option<String>,
    headers: Vec<(String, String)>,
    extensions: Vec<(String, String)>,
    #[serde(borrow)]
    data: Option<&'l RawValue>,
    #[serde(borrow)]
    data_base64: Option<Cow<'l, str>>,
}

/// The events of whole lines. Payloads stay where they are.
pub(super) fn events(lines: &Bytes) -> anyhow::Result<Vec<Event>> {
    let lines_of = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines_of.map(|line| event(lines, line)).collect()
}

fn event(all: &Bytes, line: &[u8]) -> anyhow::Result<Event> {
    let line: Line<'_> = serde_json::from_slice(line).context("the relay exported what is no event")?;
    let data = match (line.data, line.data_base64) {
        (Some(data), _) => all.slice_ref(data.get().as_bytes()),
        (None, Some(text)) => BASE64_STANDARD
            .decode(text.as_bytes())
            .context("the relay exported a payload that is no base64")?
            .into(),
        (None, None) => Bytes::new(),
    };
    Ok(Event {
        id: line.id,
        tenant: TenantId::DEFAULT,
        source: None,
        received_at: line.received_at,
        envelope: Envelope {
            id: line.sender_id,
            source: line.source,
            kind: line.r#type,
            subject: line.subject,
            time: (line.time != line.received_at).then_some(line.time),
            content_type: line.content_type,
            extensions: line.extensions,
        },
        headers: line.headers,
        data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_whole_lines() {
        let mut lines = Lines::default();
        assert_eq!(lines.add(b"one\ntw").expect("lines"), None);
        let much = vec![b'x'; BITE_BYTES];
        let bite = lines.add(&much).expect("lines").expect("enough");
        assert_eq!(bite, "one\n");
        assert_eq!(
            lines.add(b"\n").expect("lines").map(|bite| bite.len()),
            Some(BITE_BYTES + 3)
        );
        assert_eq!(lines.end().expect("nothing is left"), None);
        let mut broken = Lines::default();
        broken.add(b"on").expect("a piece");
        assert!(broken.end().is_err());
    }

    #[test]
    fn events_are_what_they_were() {
        let id = EventId::from_raw(1 << 40);
        let at = "2026-01-31T15:00:00.000Z";
        let head = format!(
            r#""id":"{id}","type":"a.b","source":"shop","subject":null,"time":"{at}","received_at":"{at}","sender_id":"s1","content_type":"application/json","bytes":3,"headers":[["x-a","1"]],"extensions":[]"#
        );
        let lines = Bytes::from(format!(
            "{{{head},\"data\":{{\"n\": 1.0}}}}\n{{{head},\"data_base64\":\"aGk=\"}}\n"
        ));
        let events = events(&lines).expect("events");
        assert_eq!(events.len(), 2);
        assert_eq!((events[0].id, &events[0].data[..]), (id, &br#"{"n": 1.0}"#[..]));
        assert_eq!(events[0].envelope.id.as_deref(), Some("s1"));
        assert_eq!(events[0].envelope.time, None);
        assert_eq!(&events[1].data[..], b"hi");
    }
}
