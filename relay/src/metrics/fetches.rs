//! What is counted of plugins' own requests.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the buckets, in seconds: a request takes 30 at most.
const SECONDS: [f64; 9] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFetch {
    outcome: &'static str,
}

/// See the module.
pub(super) struct Fetches {
    requests: Family<OfFetch, Counter>,
    seconds: Histogram,
}

impl Default for Fetches {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Histogram::new(SECONDS),
        }
    }
}

impl Fetches {
    pub(super) fn register(&self, relay: &mut Registry) {
        relay.register(
            "plugin_requests",
            "Requests of plugins, by what came of them",
            self.requests.clone(),
        );
        relay.register_with_unit(
            "plugin_request",
            "Time of a request of a plugin",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }

    pub(super) fn count(&self, outcome: &'static str, took: Duration) {
        self.requests.get_or_create(&OfFetch { outcome }).inc();
        self.seconds.observe(took.as_secs_f64());
    }
}
