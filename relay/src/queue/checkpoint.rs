//! Up to which event every delivery has a row.

use std::collections::BTreeMap;

use crate::model::id::EventId;

/// Follows the events whose deliveries are in memory only. After a crash, the events past
/// the checkpoint are expanded again.
#[derive(Debug)]
pub(super) struct Checkpoint {
    /// Deliveries without a row, by event.
    open: BTreeMap<EventId, usize>,
    /// The largest event seen.
    latest: EventId,
    /// Where the last run had got to, until what it left is known again.
    held_at: Option<EventId>,
}

impl Checkpoint {
    pub(super) const fn at(start: EventId) -> Self {
        Self {
            open: BTreeMap::new(),
            latest: start,
            held_at: Some(start),
        }
    }

    /// `count` deliveries of an event live in memory only.
    pub(super) fn open(&mut self, event: EventId, count: usize) {
        self.latest = self.latest.max(event);
        if count > 0 {
            *self.open.entry(event).or_default() += count;
        }
    }

    /// One of them has a row now, or is not needed any more.
    pub(super) fn settle(&mut self, event: EventId) {
        if let Some(count) = self.open.get_mut(&event) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&event);
            }
        }
    }

    pub(super) const fn recovered(&mut self) {
        self.held_at = None;
    }

    pub(super) fn reached(&self) -> EventId {
        if let Some(held) = self.held_at {
            return held;
        }
        match self.open.first_key_value() {
            Some((first, _)) => EventId::from_raw(first.raw() - 1),
            None => self.latest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn event(raw: i64) -> EventId {
        EventId::from_raw(raw)
    }

    #[test]
    fn stays_below_the_oldest_event_with_an_unwritten_delivery() {
        let mut checkpoint = Checkpoint::at(event(0));
        checkpoint.recovered();
        checkpoint.open(event(10), 2);
        checkpoint.open(event(20), 1);
        checkpoint.open(event(30), 0);
        checkpoint.settle(event(20));
        assert_eq!(checkpoint.reached(), event(9));
        checkpoint.settle(event(10));
        assert_eq!(checkpoint.reached(), event(9));
        checkpoint.settle(event(10));
        assert_eq!(checkpoint.reached(), event(30));
    }

    #[test]
    fn does_not_move_before_recovery_is_over() {
        let mut checkpoint = Checkpoint::at(event(5));
        checkpoint.open(event(10), 0);
        assert_eq!(checkpoint.reached(), event(5));
        checkpoint.recovered();
        assert_eq!(checkpoint.reached(), event(10));
    }
}
