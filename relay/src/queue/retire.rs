//! The end of a lane: its endpoint was deleted.

use super::{Job, Queue};
use crate::model::id::EndpointId;

impl Queue {
    /// Takes every delivery of an endpoint that waits in memory out of its lane, and lets none
    /// go from now on. Each still has to be settled. Whatever comes to the lane later is too
    /// late: it is told so by [`Queue::push`] and [`Queue::put_back`].
    pub fn retire(&self, endpoint: EndpointId) -> Vec<Job> {
        let mut inner = self.lock();
        let lane = inner.lane(endpoint);
        lane.pause();
        lane.is_retired = true;
        lane.stored_due = None;
        let jobs = lane.ready.drain(..).collect();
        inner.update(endpoint);
        jobs
    }

    /// Whether an endpoint was deleted.
    pub fn is_retired(&self, endpoint: EndpointId) -> bool {
        self.lock()
            .lanes
            .get(&endpoint)
            .is_some_and(|lane| lane.is_retired)
    }
}
