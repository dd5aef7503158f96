//! What the queue is doing, for whoever looks at it.

use std::time::Duration;

use super::Queue;
use crate::model::id::{DeliveryId, EndpointId};
use crate::model::time::Timestamp;
use crate::store::Failing;

/// How it stands with the receiver of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Condition {
    /// What it has failed at since its last success.
    pub failing: Option<Failing>,
    /// Whether it does not answer, so that deliveries wait for a probe.
    pub is_cut_off: bool,
    /// Attempts per second, while it bears no more.
    pub rate: Option<f64>,
    /// Until when it asked to be left alone.
    pub held_until: Option<Timestamp>,
}

/// What the queue is doing at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Attempts under way.
    pub in_flight: usize,
    /// Deliveries in memory, those under way included.
    pub deliveries: usize,
    /// Bytes of their events.
    pub bytes: usize,
    /// Endpoints whose deliveries wait because the receiver does not answer.
    pub breakers_open: usize,
    /// Endpoints that are sent to more slowly because the receiver asked for it.
    pub slowed: usize,
    /// Endpoints whose receivers have done nothing but fail for a while.
    pub failing: usize,
    /// Fresh deliveries that had to wait in the store, since the start.
    pub parked: u64,
}

/// What one endpoint's lane is doing at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneLoad {
    pub endpoint: EndpointId,
    /// Deliveries in memory that could go.
    pub ready: usize,
    /// Attempts under way.
    pub in_flight: usize,
    pub is_enabled: bool,
    /// Whether the receiver does not answer, so that deliveries wait for a probe.
    pub is_cut_off: bool,
    /// By how much the next delivery that waits in the store is late; none waits without it.
    pub overdue: Option<Duration>,
    /// How often the rate limit had no room for the next delivery, since the start.
    pub rate_limit_waits: u64,
}

/// What an endpoint's lane holds that the store has no row of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Deliveries that wait.
    pub waiting: usize,
    /// The one whose event came first.
    pub oldest: Option<DeliveryId>,
    /// Attempts under way.
    pub in_flight: usize,
}

impl Queue {
    /// What an endpoint's lane holds that the store has no row of.
    pub fn held(&self, endpoint: EndpointId) -> Held {
        let inner = self.lock();
        let Some(lane) = inner.lanes.get(&endpoint) else {
            return Held::default();
        };
        let waiting = || lane.ready.iter().filter(|job| !job.has_row);
        Held {
            waiting: waiting().count(),
            oldest: waiting().map(|job| job.delivery).min(),
            in_flight: lane.in_flight(),
        }
    }

    /// How it stands with the receiver of an endpoint.
    pub fn condition(&self, endpoint: EndpointId) -> Condition {
        let now = self.clock.steady();
        let inner = self.lock();
        let lane = inner.lanes.get(&endpoint);
        lane.map(|lane| lane.condition(now)).unwrap_or_default()
    }

    /// What it is doing now.
    pub fn load(&self) -> Load {
        let inner = self.lock();
        let now = self.clock.steady();
        let ready = inner.lanes.values().map(|lane| lane.ready.len());
        let conditions = || inner.lanes.values().map(|lane| lane.condition(now));
        Load {
            in_flight: inner.in_flight,
            deliveries: ready.sum::<usize>() + inner.in_flight,
            bytes: inner.bytes,
            breakers_open: conditions().filter(|condition| condition.is_cut_off).count(),
            slowed: conditions()
                .filter(|condition| condition.rate.is_some() || condition.held_until.is_some())
                .count(),
            failing: conditions()
                .filter(|condition| condition.failing.is_some())
                .count(),
            parked: inner.parked,
        }
    }

    /// What each lane is doing now.
    pub fn lanes(&self) -> Vec<LaneLoad> {
        let now = self.clock.steady();
        let inner = self.lock();
        let lanes = inner.lanes.iter();
        lanes.map(|(endpoint, lane)| lane.load(*endpoint, now)).collect()
    }
}
