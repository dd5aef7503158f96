//! The end of a lane: its endpoint was deleted.

use std::time::Duration;

use super::{Inner, Job, Queue};
use crate::model::id::EndpointId;
use crate::model::time::Timestamp;

/// How long a lane is remembered after its endpoint was deleted: far longer than any event takes
/// from being routed to it until it is durable.
const REMEMBERED: Duration = Duration::from_secs(3600);

impl Queue {
    /// Takes every delivery of an endpoint that waits in memory out of its lane, and lets none
    /// go from now on. Each still has to be settled. Whatever comes to the lane later is too
    /// late: it is told so by [`Queue::push`] and [`Queue::put_back`].
    pub fn retire(&self, endpoint: EndpointId) -> Vec<Job> {
        let now = self.clock.steady();
        let mut inner = self.lock();
        inner.forget_retired(now);
        let lane = inner.lane(endpoint);
        lane.pause();
        lane.retired_at = Some(now);
        lane.stored_due = None;
        let jobs = lane.ready.drain(..).collect();
        inner.update(endpoint);
        jobs
    }

    /// Whether an endpoint was deleted.
    pub fn is_retired(&self, endpoint: EndpointId) -> bool {
        let inner = self.lock();
        inner.lanes.get(&endpoint).is_some_and(|lane| lane.is_retired())
    }
}

impl Inner {
    /// Drops lanes whose endpoints were deleted long ago: whoever makes and deletes endpoints all
    /// day must not fill the memory.
    fn forget_retired(&mut self, now: Timestamp) {
        let is_over = |retired_at: Timestamp| retired_at + REMEMBERED < now;
        let old: Vec<EndpointId> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.retired_at.is_some_and(is_over) && lane.is_empty())
            .map(|(endpoint, _)| *endpoint)
            .collect();
        for endpoint in old {
            self.lanes.remove(&endpoint);
            self.disabled.remove(&endpoint);
            self.ring.retain(|other| *other != endpoint);
            self.alarms.retain(|(_, other)| *other != endpoint);
        }
    }
}
