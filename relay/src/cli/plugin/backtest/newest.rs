//! The newest of many events, which come oldest first.

use std::collections::VecDeque;

use bytes::Bytes;

use super::lines::Bite;
use crate::model::event::Event;

/// Events that are handed on at once.
const EVENTS: usize = 64;

/// Keeps the last of those that it is given.
#[derive(Debug)]
pub(super) struct Newest {
    events: VecDeque<Event>,
    limit: usize,
}

impl Newest {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            events: VecDeque::new(),
            limit,
        }
    }

    pub(super) fn add(&mut self, mut event: Event) {
        if self.limit == 0 {
            return;
        }
        if self.events.len() == self.limit {
            self.events.pop_front();
        }
        // Not to keep everything that was read along with it.
        event.data = Bytes::copy_from_slice(&event.data);
        self.events.push_back(event);
    }

    /// What is left, oldest first.
    pub(super) fn bites(mut self) -> impl Iterator<Item = Bite> {
        std::iter::from_fn(move || {
            let count = self.events.len().min(EVENTS);
            (count > 0).then(|| Bite::Events(self.events.drain(..count).collect()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Envelope;
    use crate::model::id::{EventId, TenantId};
    use crate::model::time::Timestamp;

    fn event(number: i64) -> Event {
        Event {
            id: EventId::from_raw(number),
            tenant: TenantId::DEFAULT,
            source: None,
            received_at: Timestamp::from_millis(number),
            envelope: Envelope {
                id: None,
                source: "shop".to_owned(),
                kind: "a.b".to_owned(),
                subject: None,
                time: None,
                content_type: None,
                extensions: Vec::new(),
            },
            headers: Vec::new(),
            data: Bytes::new(),
        }
    }

    #[test]
    fn the_last_ones_stay_in_their_order() {
        for (limit, first) in [(0, 300), (1, 299), (130, 170), (1_000, 0)] {
            let mut newest = Newest::new(limit);
            (0..300).for_each(|number| newest.add(event(number)));
            let mut found = Vec::new();
            for bite in newest.bites() {
                let events = bite.events().expect("events");
                assert!(events.len() <= EVENTS);
                found.extend(events.into_iter().map(|event| event.id.raw()));
            }
            assert_eq!(found, (first..300).collect::<Vec<_>>(), "{limit}");
        }
    }
}
