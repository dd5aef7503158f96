//! What is not counted but looked at when someone asks: lanes, store, connections, process.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric as _, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::owner::OfTenant;
use crate::directory::Directories;
use crate::http::server::Connections;
use crate::http::tls::Failure;
use crate::model::endpoint::Endpoint;
use crate::plugins::Plugins;
use crate::queue::{LaneLoad, Queue};
use crate::store::Store;

/// Most endpoints whose lanes are told one by one: those in trouble, then those with the most to
/// do. The totals cover all.
const ENDPOINTS_MAX: usize = 1000;

/// The parts of a relay that are looked at.
pub struct Observed {
    pub store: Arc<dyn Store>,
    pub queue: Arc<Queue>,
    pub directories: Arc<Directories>,
    pub connections: Arc<Connections>,
    pub connections_max: usize,
    pub plugins: Plugins,
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").finish_non_exhaustive()
    }
}

impl Collector for Observed {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.queue(&mut page)?;
        self.lanes(&mut page)?;
        self.plugin_worker(&mut page)?;
        self.connections(&mut page)
    }
}

impl Observed {
    fn queue(&self, page: &mut Page<'_>) -> fmt::Result {
        let (load, settings) = (self.queue.load(), self.queue.settings());
        page.gauge("attempts_in_flight", "Attempts under way", None, load.in_flight)?;
        page.gauge(
            "attempts_in_flight_limit",
            "Attempts that may be under way",
            None,
            settings.concurrency_max,
        )?;
        page.gauge(
            "queue_deliveries",
            "Deliveries held in memory",
            None,
            load.deliveries,
        )?;
        page.gauge(
            "queue_memory",
            "Events held in memory",
            Some(&Unit::Bytes),
            load.bytes,
        )?;
        page.gauge(
            "queue_memory_limit",
            "Events that may be held in memory",
            Some(&Unit::Bytes),
            settings.memory_bytes_max,
        )?;
        page.gauge(
            "breakers_open",
            "Endpoints whose receiver does not answer",
            None,
            load.breakers_open,
        )?;
        page.gauge(
            "endpoints_slowed",
            "Endpoints whose receiver asked for fewer requests",
            None,
            load.slowed,
        )?;
        page.gauge(
            "endpoints_failing",
            "Endpoints whose receiver has done nothing but fail since its last success",
            None,
            load.failing,
        )?;
        page.gauge(
            "store_writable",
            "1 if the store takes events, 0 if they are refused",
            None,
            usize::from(self.store.health().is_ok()),
        )?;
        page.counter(
            "queue_parked",
            "Fresh deliveries that went to the store to wait",
            load.parked,
        )?;
        let losses = self.store.rule_losses();
        page.counter(
            "rule_keys_forgotten",
            "Keys of rules whose last value was forgotten for others",
            losses.keys,
        )?;
        page.counter(
            "rule_timers_refused",
            "Timers of rules that were not armed because a tenant had too many",
            losses.timers,
        )
    }

    fn plugin_worker(&self, page: &mut Page<'_>) -> fmt::Result {
        let Some(worker) = self.plugins.worker() else {
            return Ok(());
        };
        page.gauge(
            "plugin_worker_up",
            "1 if the process that runs plugins is there, 0 if it is being started",
            None,
            usize::from(worker.process.is_some()),
        )?;
        page.counter(
            "plugin_worker_deaths",
            "How often the process that runs plugins ended and was started again",
            worker.deaths,
        )
    }

    fn lanes(&self, page: &mut Page<'_>) -> fmt::Result {
        let directory = self.directories.current();
        let mut lanes = self.queue.lanes();
        lanes.sort_unstable_by_key(|lane| std::cmp::Reverse(urgency(lane)));
        let named: Vec<(Labels<'_>, LaneLoad)> = lanes
            .into_iter()
            .filter_map(|lane| {
                let target = directory.target(lane.endpoint)?;
                Some((labels(&target.endpoint), lane))
            })
            .take(ENDPOINTS_MAX)
            .collect();
        let of = |value: fn(&LaneLoad) -> Option<f64>| {
            named
                .iter()
                .filter_map(move |(labels, lane)| Some((labels, value(lane)?)))
        };
        page.gauges(
            "endpoint_deliveries",
            "Deliveries of an endpoint that are ready in memory",
            None,
            of(|lane| Some(lane.ready as f64)),
        )?;
        page.gauges(
            "endpoint_attempts_in_flight",
            "Attempts of an endpoint under way",
            None,
            of(|lane| Some(lane.in_flight as f64)),
        )?;
        page.gauges(
            "endpoint_enabled",
            "Whether an endpoint gets deliveries",
            None,
            of(|lane| Some(f64::from(u8::from(lane.is_enabled)))),
        )?;
        page.gauges(
            "endpoint_breaker_open",
            "Whether an endpoint's receiver does not answer, so that one delivery at a time probes it",
            None,
            of(|lane| Some(f64::from(u8::from(lane.is_cut_off)))),
        )?;
        page.gauges(
            "endpoint_overdue",
            "By how much the next delivery that waits in the store is late, where one waits",
            Some(&Unit::Seconds),
            of(|lane| lane.overdue.map(|late| late.as_secs_f64())),
        )?;
        let waits = named.iter().map(|(labels, lane)| (labels, lane.rate_limit_waits));
        page.counters(
            "endpoint_rate_limit_waits",
            "Times that an endpoint's rate limit made deliveries wait",
            waits,
        )
    }

    fn connections(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "connections_open",
            "Connections from outside",
            None,
            self.connections.open(),
        )?;
        page.gauge(
            "connections_limit",
            "Connections from outside that each listener may have",
            None,
            self.connections_max,
        )?;
        let Some(tls) = &self.connections.tls else {
            return Ok(());
        };
        page.counter(
            "tls_handshakes",
            "TLS handshakes that led to a connection",
            tls.handshakes(),
        )?;
        let failures = Failure::ALL.map(|why| ([("reason", why.as_str())], tls.failures(why)));
        let failures = failures.iter().map(|(labels, count)| (labels, *count));
        page.counters("tls_handshake_failures", "TLS handshakes that failed", failures)?;
        let ends = tls.identity().ends.as_millis() as f64 / 1000.0;
        page.gauge(
            "tls_certificate_expiry_timestamp",
            "When the certificate ends",
            Some(&Unit::Seconds),
            ends,
        )
    }
}

/// The labels of what is told of an endpoint.
type Labels<'n> = ([(&'static str, &'n str); 1], OfTenant);

fn labels(endpoint: &Endpoint) -> Labels<'_> {
    ([("endpoint", &endpoint.name)], OfTenant(endpoint.tenant))
}

/// What is worth a series, the largest most: an alert that loses its series is taken for resolved.
/// A lane in trouble may hold nothing in memory.
fn urgency(lane: &LaneLoad) -> impl Ord + use<> {
    let is_stopped = lane.is_cut_off || !lane.is_enabled;
    (
        is_stopped,
        lane.overdue.unwrap_or_default(),
        lane.ready + lane.in_flight,
    )
}

/// What a scrape is written to.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: impl Number,
    ) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        ConstGauge::new(value.number()).encode(encoder)
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    pub(super) fn seconds(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Counter)?;
        encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    fn gauges<'l, L: EncodeLabelSet + 'l>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl Iterator<Item = (&'l L, f64)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn counters<'l, L: EncodeLabelSet + 'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (&'l L, u64)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, count) in values {
            ConstCounter::new(count).encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }
}

/// What a gauge can say: counts, and figures with a fraction.
pub(super) trait Number {
    type Value: EncodeGaugeValue;
    fn number(self) -> Self::Value;
}

impl Number for usize {
    type Value = i64;
    fn number(self) -> i64 {
        i64::try_from(self).unwrap_or(i64::MAX)
    }
}

impl Number for f64 {
    type Value = Self;
    fn number(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::id::EndpointId;

    #[test]
    fn lanes_in_trouble_come_before_busy_ones() {
        let busy = LaneLoad {
            endpoint: EndpointId::from_raw(1),
            ready: 1000,
            in_flight: 64,
            is_enabled: true,
            is_cut_off: false,
            overdue: None,
            rate_limit_waits: 0,
        };
        let idle = LaneLoad {
            ready: 0,
            in_flight: 0,
            ..busy
        };
        let late = |seconds| LaneLoad {
            overdue: Some(Duration::from_secs(seconds)),
            ..idle
        };
        let cut_off = LaneLoad {
            is_cut_off: true,
            ..idle
        };
        let disabled = LaneLoad {
            is_enabled: false,
            ..idle
        };
        let order = [late(600), late(1), busy, idle];
        assert!(order.is_sorted_by(|a, b| urgency(a) > urgency(b)));
        assert!(urgency(&busy) > urgency(&late(0)), "nothing is late");
        for stopped in [cut_off, disabled] {
            assert!(urgency(&stopped) > urgency(&late(600)));
        }
    }
}
