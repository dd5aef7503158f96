//! Deliveries that go together: a lane whose endpoint wants several in one request keeps them until
//! there are enough, or the first has waited for long enough, and then gives the first with the
//! others in its train, all by one permit.

use std::collections::VecDeque;

use super::lane::Lane;
use super::{Job, Queue};
use crate::model::endpoint::Batch;
use crate::model::time::Timestamp;

/// Bytes of the events that go together, unless the first alone has more.
pub const TOGETHER_BYTES_MAX: usize = 1 << 20;

impl Queue {
    /// Hands out what goes with a delivery that was [taken](Queue::take), in its order.
    pub fn take_along(&self, first: &Job) -> Vec<Job> {
        let mut inner = self.lock();
        let lane = inner.lanes.get_mut(&first.endpoint);
        lane.map(|lane| lane.train_of(first)).unwrap_or_default()
    }

    /// Puts deliveries back to the front that were taken along and did not go; hands them back if
    /// their endpoint was [retired](Queue::retire) meanwhile.
    pub fn give_back(&self, jobs: Vec<Job>) -> Vec<Job> {
        let Some(endpoint) = jobs.first().map(|job| job.endpoint) else {
            return jobs;
        };
        let mut inner = self.lock();
        let lane = inner.lane(endpoint);
        if lane.is_retired() {
            return jobs;
        }
        for job in jobs.into_iter().rev() {
            lane.ready.push_front(job);
        }
        inner.update(endpoint);
        drop(inner);
        self.ring_both();
        Vec::new()
    }
}

impl Lane {
    /// Sets aside what goes with a delivery that is given now: those that have been tried as often, so
    /// that what failed together goes together again.
    pub(super) fn gather(&mut self, first: &mut Job, batch: Batch, now: Timestamp) {
        let mut bytes = first.event.weight();
        let (mut train, mut left) = (Vec::new(), VecDeque::new());
        let mut is_full = batch.events_max <= 1;
        for job in self.ready.drain(..) {
            let is_alike = !is_full && job.attempts == first.attempts;
            is_full |= is_alike && bytes + job.event.weight() > TOGETHER_BYTES_MAX;
            if is_alike && !is_full {
                bytes += job.event.weight();
                self.held.insert(job.delivery);
                train.push(job);
                is_full = train.len() + 1 >= batch.events_max;
            } else {
                left.push_back(job);
            }
        }
        self.ready = left;
        self.ripen(now);
        first.leads = !train.is_empty();
        if first.leads {
            self.trains.push((first.delivery, train));
        }
    }

    fn train_of(&mut self, first: &Job) -> Vec<Job> {
        let at = self.trains.iter().position(|(lead, _)| *lead == first.delivery);
        at.map(|at| self.trains.swap_remove(at).1).unwrap_or_default()
    }

    /// When the first delivery has waited for others for long enough; `None` if none waits so.
    pub(super) fn ripens_at(&self) -> Option<Timestamp> {
        let batch = self.batch()?;
        Some(self.ready.front()?.since + batch.wait)
    }

    /// Looks whether that is now.
    pub(super) fn ripen(&mut self, now: Timestamp) {
        self.is_ripe = self.ripens_at().is_some_and(|at| at <= now);
    }

    /// Whether what is there may go, as far as that depends on how much it is.
    pub(super) fn is_enough(&self) -> bool {
        self.batch()
            .is_none_or(|batch| self.is_ripe || self.ready.len() >= batch.events_max)
    }
}
