//! What the queue is told of endpoints: their terms, and which of them are disabled.

use std::collections::HashSet;
use std::time::Duration;

use super::health::Health;
use super::{Inner, Queue};
use crate::model::endpoint::{Batch, Endpoint, RateLimit};
use crate::model::id::EndpointId;
use crate::store::{Disabled, Failing};

/// What the queue needs to know of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    pub concurrency: usize,
    pub rate_limit: Option<RateLimit>,
    /// While false, deliveries wait.
    pub enabled: bool,
    /// Whether its receiver has to consent before more than one delivery is under way.
    pub asks_consent: bool,
    /// How long its receiver may do nothing but fail.
    pub disable_after: Duration,
    /// How many deliveries go in one request, if several may.
    pub batch: Option<Batch>,
}

impl Terms {
    /// The terms that an endpoint asks for.
    pub fn of(endpoint: &Endpoint) -> Self {
        Self {
            concurrency: endpoint.concurrency.get() as usize,
            rate_limit: endpoint.rate_limit,
            enabled: endpoint.enabled,
            asks_consent: endpoint.consent_origin.is_some(),
            disable_after: endpoint.disable_after,
            batch: endpoint.batch,
        }
    }
}

impl Queue {
    /// Sets the terms of these endpoints and stops giving out deliveries of all others.
    pub fn configure(&self, terms: impl IntoIterator<Item = (EndpointId, Terms)>) {
        let mut inner = self.lock();
        let mut seen = HashSet::new();
        for (endpoint, terms) in terms {
            seen.insert(endpoint);
            inner.set_terms(endpoint, terms);
        }
        let known: Vec<EndpointId> = inner.lanes.keys().copied().collect();
        for endpoint in known.into_iter().filter(|endpoint| !seen.contains(endpoint)) {
            inner.pause(endpoint);
        }
        drop(inner);
        self.ring_both();
    }

    /// Sets the terms of one endpoint; with `None` its deliveries wait until it has some again.
    pub fn set_terms(&self, endpoint: EndpointId, terms: Option<Terms>) {
        let mut inner = self.lock();
        match terms {
            Some(terms) => inner.set_terms(endpoint, terms),
            None => inner.pause(endpoint),
        }
        drop(inner);
        self.ring_both();
    }

    /// Takes up how it stood with the receivers when the relay stopped: which endpoints were
    /// disabled, and what the others had failed at.
    pub fn restore(
        &self,
        disabled: impl IntoIterator<Item = (EndpointId, Disabled)>,
        failing: impl IntoIterator<Item = (EndpointId, Failing)>,
    ) {
        let mut inner = self.lock();
        for (endpoint, why) in disabled {
            inner.disabled.insert(endpoint, why);
            if let Some(lane) = inner.lanes.get_mut(&endpoint) {
                lane.is_disabled = true;
            }
            inner.update(endpoint);
        }
        for (endpoint, failing) in failing {
            if let Some(lane) = inner.lanes.get_mut(&endpoint) {
                lane.health = Health::restored(failing);
            }
        }
    }

    /// Disables an endpoint, whatever its terms say, or with `None` takes that back.
    pub fn set_disabled(&self, endpoint: EndpointId, why: Option<Disabled>) {
        let mut inner = self.lock();
        if let Some(lane) = inner.lanes.get_mut(&endpoint) {
            lane.set_disabled(why.is_some());
        }
        match why {
            Some(why) => inner.disabled.insert(endpoint, why),
            None => inner.disabled.remove(&endpoint),
        };
        inner.update(endpoint);
        drop(inner);
        self.ring_both();
    }

    /// Why an endpoint is disabled, if it is.
    pub fn disabled(&self, endpoint: EndpointId) -> Option<Disabled> {
        self.lock().disabled.get(&endpoint).cloned()
    }
}

impl Inner {
    fn set_terms(&mut self, endpoint: EndpointId, terms: Terms) {
        let is_disabled = self.disabled.contains_key(&endpoint);
        let lane = self.lane(endpoint);
        lane.set_terms(terms);
        lane.is_disabled = is_disabled;
        self.update(endpoint);
    }

    fn pause(&mut self, endpoint: EndpointId) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.pause();
        }
        self.update(endpoint);
    }
}
