//! From `[telemetry]` to what sends to a collector.

use std::sync::Arc;

use anyhow::Context as _;
use rand::rngs::StdRng;

use super::outbound::extra_roots;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::otlp::{Exporter, Settings, Traces};

/// Starts to send, if the configuration names a collector.
pub(super) fn start(
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
    random: &mut StdRng,
) -> anyhow::Result<Option<(Exporter, Option<Traces>)>> {
    let telemetry = &config.telemetry;
    let Some(url) = &telemetry.otlp_url else {
        return Ok(None);
    };
    let settings = Settings {
        url: url.clone(),
        headers: telemetry.otlp_headers.clone(),
        extra_roots: extra_roots(&config.outbound)?,
        service_name: telemetry.service_name.clone(),
        trace_share: telemetry.traces.then_some(telemetry.trace_share),
        metrics_every: telemetry.metrics.then_some(telemetry.metrics_every),
    };
    let started = Exporter::start(&settings, metrics, clock, random);
    Ok(Some(
        started.context("the OpenTelemetry collector cannot be used")?,
    ))
}
