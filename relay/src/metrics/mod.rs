//! What is counted, for `GET /metrics` in the OpenMetrics text format that Prometheus reads.
//!
//! Labels have few values: names from the configuration, words of the relay's own. Nothing that
//! a stranger sends becomes a label.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::model::attempt::{Attempt, Outcome};
use crate::queue::Load;

/// Upper bounds of the buckets for attempts, in seconds.
const ATTEMPT_SECONDS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];
/// Upper bounds of the buckets for plugins, in seconds.
const PLUGIN_SECONDS: [f64; 9] = [
    0.000_005, 0.000_02, 0.000_05, 0.000_2, 0.001, 0.005, 0.02, 0.1, 1.0,
];
/// What the label `source` says of an event that came by the API.
const BY_API: &str = "api";
/// What the label `class` says of an attempt that succeeded.
const NO_FAILURE: &str = "none";

/// See the module.
pub struct Metrics {
    registry: Registry,
    events: Family<OfSource, Counter>,
    refused: Family<OfRefusal, Counter>,
    closed: Family<OfClosing, Counter>,
    attempts: Family<OfAttempt, Counter>,
    attempt_seconds: Family<OfEndpoint, Histogram>,
    plugin_seconds: Family<OfPlugin, Histogram>,
    plugin_faults: Family<OfFault, Counter>,
    in_flight: Gauge,
    held: Gauge,
    held_bytes: Gauge,
    waiting: Gauge,
    store_writable: Gauge,
    slowed: Gauge,
    failing: Gauge,
    changes: Family<OfChange, Counter>,
    expired: Family<OfEndpoint, Counter>,
}

/// What can change in how an endpoint is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its receiver does not answer; its deliveries wait for a probe.
    BreakerOpened,
    /// It answers again.
    BreakerClosed,
    /// It asked for fewer requests.
    Slowed,
    /// It has done nothing but fail for so much of the time after which it is disabled.
    Failing { percent: u8 },
    /// It is disabled.
    Disabled,
}

impl Change {
    const fn as_str(self) -> &'static str {
        match self {
            Self::BreakerOpened => "breaker_opened",
            Self::BreakerClosed => "breaker_closed",
            Self::Slowed => "slowed",
            Self::Failing { percent: 0..80 } => "failing_50",
            Self::Failing { .. } => "failing_80",
            Self::Disabled => "disabled",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfChange {
    endpoint: String,
    change: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSource {
    source: String,
    duplicate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRefusal {
    status: u16,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfClosing {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEndpoint {
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAttempt {
    endpoint: String,
    outcome: &'static str,
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPlugin {
    plugin: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFault {
    plugin: String,
    fault: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("relay");
        let metrics = Self {
            events: Family::default(),
            refused: Family::default(),
            closed: Family::default(),
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(|| Histogram::new(ATTEMPT_SECONDS)),
            plugin_seconds: Family::new_with_constructor(|| Histogram::new(PLUGIN_SECONDS)),
            plugin_faults: Family::default(),
            in_flight: Gauge::default(),
            held: Gauge::default(),
            held_bytes: Gauge::default(),
            waiting: Gauge::default(),
            store_writable: Gauge::default(),
            slowed: Gauge::default(),
            failing: Gauge::default(),
            changes: Family::default(),
            expired: Family::default(),
            registry: Registry::default(),
        };
        let of = &metrics;
        registry.register("events", "Events taken in", of.events.clone());
        registry.register("refused", "Requests that brought no event", of.refused.clone());
        registry.register(
            "connections_closed",
            "Connections from outside that the relay closed",
            of.closed.clone(),
        );
        registry.register("attempts", "Attempts to deliver", of.attempts.clone());
        registry.register_with_unit(
            "attempt",
            "Time of an attempt, plugins included",
            Unit::Seconds,
            of.attempt_seconds.clone(),
        );
        registry.register_with_unit(
            "plugin",
            "Time of one plugin in an attempt",
            Unit::Seconds,
            of.plugin_seconds.clone(),
        );
        registry.register(
            "plugin_faults",
            "Attempts that a plugin ended",
            of.plugin_faults.clone(),
        );
        registry.register("attempts_in_flight", "Attempts under way", of.in_flight.clone());
        registry.register("queue_deliveries", "Deliveries held in memory", of.held.clone());
        registry.register_with_unit(
            "queue_memory",
            "Events held in memory",
            Unit::Bytes,
            of.held_bytes.clone(),
        );
        registry.register(
            "breakers_open",
            "Endpoints whose receiver does not answer",
            of.waiting.clone(),
        );
        registry.register(
            "store_writable",
            "1 if the store takes events, 0 if they are refused",
            of.store_writable.clone(),
        );
        registry.register(
            "endpoints_slowed",
            "Endpoints whose receiver asked for fewer requests",
            of.slowed.clone(),
        );
        registry.register(
            "endpoints_failing",
            "Endpoints whose receiver has done nothing but fail since its last success",
            of.failing.clone(),
        );
        registry.register(
            "endpoint_changes",
            "Changes in how an endpoint is treated",
            of.changes.clone(),
        );
        registry.register(
            "deliveries_expired",
            "Deliveries given up because they were too old",
            of.expired.clone(),
        );
        Self { registry, ..metrics }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// An event came in, through this source or the API.
    pub fn accepted(&self, source: Option<&str>, duplicate: bool) {
        let labels = OfSource {
            source: source.unwrap_or(BY_API).to_owned(),
            duplicate: if duplicate { "true" } else { "false" },
        };
        self.events.get_or_create(&labels).inc();
    }

    /// A request was refused with this status and problem code.
    pub fn refused(&self, status: u16, code: &'static str) {
        self.refused.get_or_create(&OfRefusal { status, code }).inc();
    }

    /// A connection from outside was closed for this reason.
    pub fn closed(&self, reason: &'static str) {
        self.closed.get_or_create(&OfClosing { reason }).inc();
    }

    /// An attempt is over.
    pub fn attempted(&self, endpoint: &str, attempt: &Attempt) {
        let labels = OfAttempt {
            endpoint: endpoint.to_owned(),
            outcome: word(&attempt.outcome),
            class: attempt.outcome.class().unwrap_or(NO_FAILURE),
        };
        self.attempts.get_or_create(&labels).inc();
        let labels = OfEndpoint {
            endpoint: labels.endpoint,
        };
        let seconds = |us| Duration::from_micros(us).as_secs_f64();
        self.attempt_seconds
            .get_or_create(&labels)
            .observe(seconds(attempt.duration_us));
        for cost in &attempt.plugins {
            let labels = OfPlugin {
                plugin: cost.name.clone(),
            };
            self.plugin_seconds
                .get_or_create(&labels)
                .observe(seconds(cost.duration_us));
        }
        if let Outcome::PluginFault { plugin, fault, .. } = &attempt.outcome {
            let labels = OfFault {
                plugin: plugin.clone(),
                fault: fault.as_str(),
            };
            self.plugin_faults.get_or_create(&labels).inc();
        }
    }

    /// How an endpoint is treated has changed.
    pub fn changed(&self, endpoint: &str, change: Change) {
        let labels = OfChange {
            endpoint: endpoint.to_owned(),
            change: change.as_str(),
        };
        self.changes.get_or_create(&labels).inc();
    }

    /// A delivery was too old to be sent.
    pub fn expired(&self, endpoint: &str) {
        let labels = OfEndpoint {
            endpoint: endpoint.to_owned(),
        };
        self.expired.get_or_create(&labels).inc();
    }

    /// Everything counted so far, the load of this moment, and whether the store takes events.
    pub fn text(&self, load: Load, is_store_writable: bool) -> String {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.in_flight.set(number(load.in_flight));
        self.held.set(number(load.deliveries));
        self.held_bytes.set(number(load.bytes));
        self.waiting.set(number(load.breakers_open));
        self.store_writable.set(i64::from(is_store_writable));
        self.slowed.set(number(load.slowed));
        self.failing.set(number(load.failing));
        let mut text = String::new();
        // Writing into a string fails only if a metric cannot be written at all.
        if let Err(error) = text::encode(&mut text, &self.registry) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }
}

const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        outcome if outcome.is_success() => "succeeded",
        Outcome::Dropped { .. } => "dropped",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told() {
        let metrics = Metrics::default();
        metrics.accepted(None, false);
        metrics.accepted(Some("shop"), true);
        metrics.refused(401, "unauthenticated");
        metrics.closed("idle");
        let load = Load {
            in_flight: 1,
            deliveries: 2,
            bytes: 3,
            breakers_open: 4,
            slowed: 5,
            failing: 6,
        };
        metrics.changed("crm", Change::Failing { percent: 50 });
        metrics.expired("crm");
        let text = metrics.text(load, true);
        for line in [
            r#"relay_events_total{source="api",duplicate="false"} 1"#,
            r#"relay_events_total{source="shop",duplicate="true"} 1"#,
            r#"relay_refused_total{status="401",code="unauthenticated"} 1"#,
            r#"relay_connections_closed_total{reason="idle"} 1"#,
            "relay_attempts_in_flight 1",
            "relay_queue_deliveries 2",
            "relay_queue_memory_bytes 3",
            "relay_breakers_open 4",
            "relay_store_writable 1",
            "relay_endpoints_slowed 5",
            "relay_endpoints_failing 6",
            r#"relay_endpoint_changes_total{endpoint="crm",change="failing_50"} 1"#,
            r#"relay_deliveries_expired_total{endpoint="crm"} 1"#,
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
