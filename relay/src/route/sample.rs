//! Whether an endpoint that wants a share of its events gets one of them.
//!
//! Drawn from what the event is, not from chance: asked again, later or by another endpoint with the
//! same share, the answer is the same.

use crate::crypto;
use crate::model::event::Event;
use crate::model::verify::Digest;

/// Whether the event is among that share of all events.
pub(super) fn takes(share: f64, event: &Event) -> bool {
    // The lowest of 2^32 values; a share of 1 takes the highest, too.
    f64::from(draw(event)) < share * (f64::from(u32::MAX) + 1.0)
}

/// A number of the event's own: by its sender's id, else by when it came and what is in it.
fn draw(event: &Event) -> u32 {
    let envelope = &event.envelope;
    let received_at = event.received_at.as_millis().to_be_bytes();
    let parts: [&[u8]; 3] = match &envelope.id {
        Some(id) => [envelope.source.as_bytes(), b"\0", id.as_bytes()],
        None => [&received_at, b"\0", &event.data],
    };
    let digest = crypto::hash(Digest::Sha256, &parts);
    let first = digest.first_chunk().copied().unwrap_or_default();
    u32::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::event::Envelope;
    use crate::model::id::{EventId, TenantId};
    use crate::model::time::Timestamp;

    fn event(id: Option<String>, ms: i64) -> Event {
        Event {
            id: EventId::from_raw(0),
            tenant: TenantId::DEFAULT,
            source: None,
            received_at: Timestamp::from_millis(ms),
            envelope: Envelope {
                id,
                source: "s".to_owned(),
                ..Envelope::default()
            },
            headers: Vec::new(),
            data: Bytes::from_static(b"{}"),
        }
    }

    #[test]
    fn a_share_is_about_that_share() {
        for (share, range) in [
            (0.0, 0..=0),
            (0.1, 150..=250),
            (0.5, 900..=1100),
            (1.0, 2000..=2000),
        ] {
            for events in [
                (0..2000)
                    .map(|n| event(Some(n.to_string()), 0))
                    .collect::<Vec<_>>(),
                (0..2000).map(|n| event(None, n)).collect(),
            ] {
                let taken = events.iter().filter(|event| takes(share, event)).count();
                assert!(range.contains(&taken), "{share}: {taken}");
            }
        }
    }

    #[test]
    fn the_same_event_is_always_decided_alike() {
        let first = event(Some("a".to_owned()), 1);
        let again = event(Some("a".to_owned()), 2);
        assert_eq!(draw(&first), draw(&again));
    }
}
