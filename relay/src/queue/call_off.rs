//! Takes deliveries that were called off out of memory.

use std::collections::HashSet;

use super::{Job, Queue};
use crate::model::id::{DeliveryId, EndpointId};
use crate::model::time::Timestamp;

/// How full a lane is, for whoever adds to it what is not urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// What comes now goes soon.
    Short,
    /// What comes now has to queue.
    Long,
    /// Nothing goes at present, whatever comes: the endpoint is disabled, or its receiver does
    /// not answer.
    Stands,
}

/// A lane with more than this in memory is busy with what it has.
const SHORT_MAX: usize = 64;

impl Queue {
    /// Takes those of these deliveries that wait in memory out of an endpoint's lane. Each still
    /// has to be settled. What is under way goes on.
    pub fn call_off(&self, endpoint: EndpointId, wanted: &HashSet<DeliveryId>) -> Vec<Job> {
        let mut inner = self.lock();
        let lane = inner.lane(endpoint);
        let (called_off, ready) = lane
            .ready
            .drain(..)
            .partition::<Vec<_>, _>(|job| wanted.contains(&job.delivery));
        lane.ready = ready.into();
        // Held until it is settled, like what is under way.
        lane.held.extend(called_off.iter().map(|job| job.delivery));
        inner.update(endpoint);
        called_off
    }

    /// Takes everything with an id below `before` that waits in memory out of an endpoint's lane;
    /// each still has to be settled. Also the ids of what is under way.
    pub fn call_all_off(&self, endpoint: EndpointId, before: DeliveryId) -> (Vec<Job>, Vec<DeliveryId>) {
        let mut inner = self.lock();
        let lane = inner.lane(endpoint);
        let (called_off, ready) = lane
            .ready
            .drain(..)
            .partition::<Vec<_>, _>(|job| job.delivery < before);
        lane.ready = ready.into();
        let ids: HashSet<_> = called_off.iter().map(|job| job.delivery).collect();
        let under_way = lane.held.difference(&ids).copied();
        let under_way = under_way.filter(|delivery| *delivery < before).collect();
        lane.held.extend(ids);
        inner.update(endpoint);
        (called_off, under_way)
    }

    /// Whether one of these deliveries of an endpoint is in memory: waiting, under way or about to
    /// be recorded.
    pub fn holds(&self, endpoint: EndpointId, wanted: &HashSet<DeliveryId>) -> bool {
        let inner = self.lock();
        inner.lanes.get(&endpoint).is_some_and(|lane| {
            wanted.iter().any(|id| lane.held.contains(id))
                || lane.ready.iter().any(|job| wanted.contains(&job.delivery))
        })
    }

    /// How full the lane of an endpoint is.
    pub fn backlog(&self, endpoint: EndpointId, now: Timestamp) -> Backlog {
        let inner = self.lock();
        let Some(lane) = inner.lanes.get(&endpoint) else {
            return Backlog::Stands;
        };
        let load = lane.load(endpoint, now);
        if !load.is_enabled || load.is_cut_off {
            Backlog::Stands
        } else if load.ready >= SHORT_MAX || lane.stored_due.is_some_and(|due| due <= now) || lane.refilling {
            Backlog::Long
        } else {
            Backlog::Short
        }
    }
}
