//! What is counted, for `GET /metrics` in the OpenMetrics text format that Prometheus reads.
//!
//! Labels have few values: names of sources, endpoints and plugins, of which so many count by
//! themselves, and words of the relay's own. Nothing that a stranger sends becomes a label.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use self::bounded::{Bounded, Named};
use self::fetches::Fetches;
use self::owner::OfTenant;
use self::process::Process;
use crate::model::attempt::{Attempt, FaultKind, Outcome, PluginCost};
use crate::model::delivery::State;
use crate::model::id::TenantId;
use crate::record::retain::Removed;
use crate::store::sqlite::Commits;

mod bounded;
mod fetches;
mod judged;
mod observed;
mod owner;
mod process;

pub use judged::Judged;
pub use observed::Observed;
pub use owner::Owned;

/// Upper bounds of the buckets for accepting, in seconds.
const ACCEPT_SECONDS: [f64; 11] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5,
];
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
    events: Bounded<OfSource, Counter>,
    accept_seconds: Histogram,
    refused: Family<OfRefusal, Counter>,
    closed: Family<OfClosing, Counter>,
    misfits: Bounded<OfMisfit, Counter>,
    attempts: Bounded<OfAttempt, Counter>,
    attempt_seconds: Bounded<OfEndpoint, Histogram>,
    deliveries: Bounded<OfEnd, Counter>,
    plugin_seconds: Bounded<OfPlugin, Histogram>,
    plugin_faults: Bounded<OfFault, Counter>,
    fetches: Fetches,
    changes: Bounded<OfChange, Counter>,
    expired: Bounded<OfEndpoint, Counter>,
    rule_events: Bounded<OfRule, Counter>,
    rule_skips: Bounded<OfSkip, Counter>,
    calls: Bounded<OfCall, Counter>,
    telemetry_dropped: Family<OfLoss, Counter>,
    /// What the judge was asked.
    pub judged: Judged,
    /// What was removed for its age.
    pub removed: Removed,
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
    /// It takes messages again, after it was said to fail.
    Recovered,
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
            Self::Recovered => "recovered",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfChange {
    endpoint: String,
    change: &'static str,
    #[prometheus(flatten)]
    tenant: OfTenant,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSource {
    source: String,
    duplicate: &'static str,
    #[prometheus(flatten)]
    tenant: OfTenant,
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
struct OfMisfit {
    event_type: String,
    taken: &'static str,
    #[prometheus(flatten)]
    tenant: OfTenant,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEndpoint {
    endpoint: String,
    #[prometheus(flatten)]
    tenant: OfTenant,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRule {
    rule: String,
    #[prometheus(flatten)]
    tenant: OfTenant,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSkip {
    rule: String,
    reason: &'static str,
    #[prometheus(flatten)]
    tenant: OfTenant,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAttempt {
    endpoint: String,
    outcome: &'static str,
    class: &'static str,
    #[prometheus(flatten)]
    tenant: OfTenant,
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCall {
    endpoint: String,
    answer: &'static str,
    #[prometheus(flatten)]
    tenant: OfTenant,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLoss {
    signal: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEnd {
    endpoint: String,
    state: &'static str,
    #[prometheus(flatten)]
    tenant: OfTenant,
}

/// Which of its labels is a name that people choose, and whether it is one of a tenant.
macro_rules! named {
    ($labels:ident, $name:ident $(, $tenant:ident)?) => {
        impl Named for $labels {
            fn under(mut self, name: &str) -> Self {
                name.clone_into(&mut self.$name);
                $(self.$tenant = OfTenant(TenantId::DEFAULT);)?
                self
            }
        }
    };
}

named!(OfChange, endpoint, tenant);
named!(OfSource, source, tenant);
named!(OfMisfit, event_type, tenant);
named!(OfEndpoint, endpoint, tenant);
named!(OfAttempt, endpoint, tenant);
named!(OfPlugin, plugin);
named!(OfFault, plugin);
named!(OfEnd, endpoint, tenant);
named!(OfCall, endpoint, tenant);
named!(OfRule, rule, tenant);
named!(OfSkip, rule, tenant);

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let relay = registry.sub_registry_with_prefix("relay");
        let metrics = Self {
            events: Bounded::default(),
            accept_seconds: Histogram::new(ACCEPT_SECONDS),
            refused: Family::default(),
            closed: Family::default(),
            misfits: Bounded::default(),
            attempts: Bounded::default(),
            attempt_seconds: Bounded::of(Family::new_with_constructor(|| Histogram::new(ATTEMPT_SECONDS))),
            deliveries: Bounded::default(),
            plugin_seconds: Bounded::of(Family::new_with_constructor(|| Histogram::new(PLUGIN_SECONDS))),
            plugin_faults: Bounded::default(),
            fetches: Fetches::default(),
            changes: Bounded::default(),
            expired: Bounded::default(),
            rule_events: Bounded::default(),
            rule_skips: Bounded::default(),
            calls: Bounded::default(),
            telemetry_dropped: Family::default(),
            judged: Judged::default(),
            removed: Removed::default(),
            registry: Registry::default(),
        };
        metrics.register(relay);
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Counters of a relay, the parts of which are looked at too when someone asks.
    pub fn of(observed: Observed, commits: Option<&Commits>) -> Self {
        let mut metrics = Self::default();
        let relay = metrics.registry.sub_registry_with_prefix("relay");
        relay.register_collector(Box::new(observed));
        if let Some(commits) = commits {
            relay.register_with_unit(
                "store_commit",
                "Time of a transaction of the store, its sync included",
                Unit::Seconds,
                commits.seconds.clone(),
            );
            relay.register(
                "store_commit_calls",
                "Calls that shared a transaction of the store",
                commits.calls.clone(),
            );
            relay.register(
                "store_commit_failures",
                "Transactions of the store that failed",
                commits.failures.clone(),
            );
        }
        metrics
    }

    fn register(&self, relay: &mut Registry) {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        relay.register("build", "The relay that runs", build);
        relay.register("events", "Events taken in", self.events.family.clone());
        relay.register_with_unit(
            "accept",
            "Time from a post that was read and found genuine until its events are durable",
            Unit::Seconds,
            self.accept_seconds.clone(),
        );
        relay.register("refused", "Requests that brought no event", self.refused.clone());
        relay.register(
            "connections_closed",
            "Connections from outside that the relay closed",
            self.closed.clone(),
        );
        relay.register(
            "schema_mismatches",
            "Events that did not satisfy the schema of their type",
            self.misfits.family.clone(),
        );
        relay.register("attempts", "Attempts to deliver", self.attempts.family.clone());
        relay.register_with_unit(
            "attempt",
            "Time of an attempt, plugins included",
            Unit::Seconds,
            self.attempt_seconds.family.clone(),
        );
        relay.register(
            "deliveries",
            "Deliveries that came to an end",
            self.deliveries.family.clone(),
        );
        relay.register_with_unit(
            "plugin",
            "Time of one plugin in an attempt, or in front of the store",
            Unit::Seconds,
            self.plugin_seconds.family.clone(),
        );
        relay.register(
            "plugin_faults",
            "Calls of plugins that broke",
            self.plugin_faults.family.clone(),
        );
        self.fetches.register(relay);
        relay.register(
            "removed_events",
            "Events removed for their age",
            self.removed.events.clone(),
        );
        relay.register(
            "removed_deliveries",
            "Deliveries removed with their events",
            self.removed.deliveries.clone(),
        );
        relay.register(
            "endpoint_changes",
            "Changes in how an endpoint is treated",
            self.changes.family.clone(),
        );
        relay.register(
            "deliveries_expired",
            "Deliveries given up because they were too old",
            self.expired.family.clone(),
        );
        relay.register(
            "rule_events",
            "Events that rules emitted",
            self.rule_events.family.clone(),
        );
        relay.register(
            "rule_skips",
            "Events that a rule wanted and could do nothing with",
            self.rule_skips.family.clone(),
        );
        relay.register(
            "calls",
            "Calls, by what the caller was answered",
            self.calls.family.clone(),
        );
        relay.register(
            "telemetry_dropped",
            "Spans and data points that did not get to the OpenTelemetry collector",
            self.telemetry_dropped.clone(),
        );
        self.judged.register(relay);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// A post was made durable.
    pub fn accepted_in(&self, span: Duration) {
        self.accept_seconds.observe(span.as_secs_f64());
    }

    /// An event of a tenant came in, through this source or the API.
    pub fn accepted(&self, tenant: TenantId, source: Option<&str>, duplicate: bool) {
        let labels = OfSource {
            source: source.unwrap_or(BY_API).to_owned(),
            duplicate: if duplicate { "true" } else { "false" },
            tenant: OfTenant(tenant),
        };
        self.events.with(labels, inc);
    }

    /// A request was refused with this status and problem code.
    pub fn refused(&self, status: u16, code: &'static str) {
        self.refused.get_or_create(&OfRefusal { status, code }).inc();
    }

    /// A connection from outside was closed for this reason.
    pub fn closed(&self, reason: &'static str) {
        self.closed.get_or_create(&OfClosing { reason }).inc();
    }

    /// An event did not satisfy the schema of its type, one that is described.
    pub fn misfit(&self, event_type: Owned<'_>, is_refused: bool) {
        let labels = OfMisfit {
            event_type: event_type.name.to_owned(),
            taken: if is_refused { "no" } else { "yes" },
            tenant: OfTenant(event_type.tenant),
        };
        self.misfits.with(labels, inc);
    }

    /// An attempt is over.
    pub fn attempted(&self, endpoint: Owned<'_>, attempt: &Attempt) {
        let labels = OfAttempt {
            endpoint: endpoint.name.to_owned(),
            tenant: OfTenant(endpoint.tenant),
            outcome: word(&attempt.outcome),
            class: attempt.outcome.class().unwrap_or(NO_FAILURE),
        };
        self.attempts.with(labels, inc);
        let labels = OfEndpoint {
            endpoint: endpoint.name.to_owned(),
            tenant: OfTenant(endpoint.tenant),
        };
        let taken = seconds(attempt.duration_us);
        self.attempt_seconds
            .with(labels, |histogram| histogram.observe(taken));
        self.plugins(&attempt.plugins);
        if let Outcome::PluginFault { plugin, fault, .. } = &attempt.outcome {
            self.plugin_fault(plugin, *fault);
        }
    }

    /// Plugins ran, in an attempt or before an event was stored.
    pub fn plugins(&self, costs: &[PluginCost]) {
        for cost in costs {
            let labels = OfPlugin {
                plugin: cost.name.clone(),
            };
            let taken = seconds(cost.duration_us);
            self.plugin_seconds
                .with(labels, |histogram| histogram.observe(taken));
        }
    }

    /// A plugin broke.
    pub fn plugin_fault(&self, plugin: &str, fault: FaultKind) {
        let labels = OfFault {
            plugin: plugin.to_owned(),
            fault: fault.as_str(),
        };
        self.plugin_faults.with(labels, inc);
    }

    /// A plugin's request came to this.
    pub fn fetched(&self, outcome: &'static str, took: Duration) {
        self.fetches.count(outcome, took);
    }

    /// A delivery came to its end.
    pub fn ended(&self, endpoint: Owned<'_>, state: State) {
        let labels = OfEnd {
            endpoint: endpoint.name.to_owned(),
            tenant: OfTenant(endpoint.tenant),
            state: state.as_str(),
        };
        self.deliveries.with(labels, inc);
    }

    /// How an endpoint is treated has changed.
    pub fn changed(&self, endpoint: Owned<'_>, change: Change) {
        let labels = OfChange {
            endpoint: endpoint.name.to_owned(),
            tenant: OfTenant(endpoint.tenant),
            change: change.as_str(),
        };
        self.changes.with(labels, inc);
    }

    /// A caller was answered: with the receiver's word, or why not.
    pub fn called(&self, endpoint: Owned<'_>, answer: &'static str) {
        let labels = OfCall {
            endpoint: endpoint.name.to_owned(),
            tenant: OfTenant(endpoint.tenant),
            answer,
        };
        self.calls.with(labels, inc);
    }

    /// So many spans or data points did not get to the collector.
    pub fn telemetry_dropped(&self, signal: &'static str, reason: &'static str, count: u64) {
        let labels = OfLoss { signal, reason };
        self.telemetry_dropped.get_or_create(&labels).inc_by(count);
    }

    /// A delivery was too old to be sent.
    pub fn expired(&self, endpoint: Owned<'_>) {
        let labels = OfEndpoint {
            endpoint: endpoint.name.to_owned(),
            tenant: OfTenant(endpoint.tenant),
        };
        self.expired.with(labels, inc);
    }

    /// A rule emitted an event.
    pub fn emitted(&self, rule: Owned<'_>) {
        let labels = OfRule {
            rule: rule.name.to_owned(),
            tenant: OfTenant(rule.tenant),
        };
        self.rule_events.with(labels, inc);
    }

    /// A rule wanted an event and could do nothing with it.
    pub fn rule_skipped(&self, rule: Owned<'_>, reason: &'static str) {
        let labels = OfSkip {
            rule: rule.name.to_owned(),
            tenant: OfTenant(rule.tenant),
            reason,
        };
        self.rule_skips.with(labels, inc);
    }

    /// Everything counted so far, and how things stand.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string fails only if a metric cannot be written at all.
        if let Err(error) = text::encode(&mut text, &self.registry) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }
}

fn inc(counter: &Counter) {
    counter.inc();
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
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
        let (own, other) = (TenantId::DEFAULT, TenantId::from_raw(7));
        let crm = |tenant| Owned { tenant, name: "crm" };
        metrics.accepted(own, None, false);
        metrics.accepted(own, Some("shop"), true);
        metrics.refused(401, "unauthenticated");
        metrics.closed("idle");
        metrics.changed(crm(own), Change::Failing { percent: 50 });
        metrics.expired(crm(own));
        metrics.expired(crm(other));
        let apart = format!(r#"relay_deliveries_expired_total{{endpoint="crm",tenant="{other}"}} 1"#);
        let text = metrics.text();
        for line in [
            r#"relay_events_total{source="api",duplicate="false"} 1"#,
            r#"relay_events_total{source="shop",duplicate="true"} 1"#,
            r#"relay_refused_total{status="401",code="unauthenticated"} 1"#,
            r#"relay_connections_closed_total{reason="idle"} 1"#,
            r#"relay_endpoint_changes_total{endpoint="crm",change="failing_50"} 1"#,
            r#"relay_deliveries_expired_total{endpoint="crm"} 1"#,
            apart.as_str(),
            concat!("relay_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
