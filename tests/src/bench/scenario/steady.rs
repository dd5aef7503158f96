//! One load for a while: throughput in the closed loop, latency in the open one.

use crate::bench::cli::Options;
use crate::bench::load::{Load, Pace};
use crate::bench::measure::measure;
use crate::bench::relay::{Endpoint, To};
use crate::bench::report::{Row, thousands};
use crate::bench::rig::Rig;
use crate::bench::wire;

/// The type of the events that are measured.
pub(super) const PREFIX: &str = "bench.event";
/// Enough to keep two processors busy, few enough for latency to mean something.
const CONNECTIONS: usize = 64;
/// At fixed rates most connections wait; these suffice for a stall of tens of milliseconds.
pub(super) const OPEN_CONNECTIONS: usize = 32;
/// As the first of [`CHAIN`], but no instance serves two calls.
pub(super) const FRESH: &str =
    r#"{ use = "redact-fields", reuse = false, config = { mask = ["/phone_number"] } }"#;
/// Three stock plugins; the first alone for the scenario with one.
pub(super) const CHAIN: [&str; 3] = [
    r#"{ use = "redact-fields", config = { mask = ["/phone_number"] } }"#,
    r#"{ use = "redact-fields", config = { mask = ["/name"] } }"#,
    r#"{ use = "redact-fields", config = { mask = ["/address/street"] } }"#,
];

pub(super) async fn nginx(name: &str, options: &Options) -> anyhow::Result<Row> {
    closed(name, &mut Rig::nginx(options).await?, options, 1).await
}

pub(super) async fn hyper_proxy(name: &str, options: &Options) -> anyhow::Result<Row> {
    closed(name, &mut Rig::proxy(options).await?, options, 1).await
}

/// One endpoint with a chain of `plugins`.
pub(super) async fn chain(name: &str, options: &Options, plugins: &[&'static str]) -> anyhow::Result<Row> {
    let mut rig = Rig::relay(options, &[endpoint("bench", To::Lane(0), PREFIX, plugins)]).await?;
    closed(name, &mut rig, options, 1).await
}

/// Every event goes to `lanes` endpoints.
pub(super) async fn fan_out(name: &str, options: &Options, lanes: usize) -> anyhow::Result<Row> {
    let endpoints: Vec<Endpoint> = (0..lanes)
        .map(|lane| endpoint(&format!("bench-{lane}"), To::Lane(lane), PREFIX, &[]))
        .collect();
    let mut rig = Rig::relay(options, &endpoints).await?;
    let row = closed(name, &mut rig, options, lanes).await?;
    let deliveries = row.events_per_s.unwrap_or(0.0) * lanes as f64;
    Ok(row
        .with("deliveries_per_s", deliveries)
        .noting(format!("{} deliveries/s", thousands(deliveries))))
}

/// One endpoint, events at a fixed rate.
pub(super) async fn open(name: &str, options: &Options, rate: f64) -> anyhow::Result<Row> {
    let mut rig = Rig::relay(options, &[endpoint("bench", To::Lane(0), PREFIX, &[])]).await?;
    let measured = measure(&mut rig, &open_load(options, rate, 0)).await?;
    Ok(Row::of(name, &measured, rig.idle_bytes))
}

async fn closed(name: &str, rig: &mut Rig, options: &Options, lanes: usize) -> anyhow::Result<Row> {
    let measured = measure(rig, &closed_load(options, 0, lanes)).await?;
    Ok(Row::of(name, &measured, rig.idle_bytes))
}

/// As fast as it goes, to the first `lanes` lanes.
pub(super) fn closed_load(options: &Options, first: u64, lanes: usize) -> Load {
    let pace = Pace::Closed {
        warm_up: options.warm_up(),
        duration: options.duration(),
    };
    Load {
        prefix: PREFIX,
        kinds: 1,
        pace,
        connections: CONNECTIONS,
        first,
        lanes: 0..lanes,
    }
}

/// At a fixed rate, to the first lane.
pub(super) fn open_load(options: &Options, rate: f64, first: u64) -> Load {
    let pace = Pace::Open {
        rate,
        warm_up: options.warm_up(),
        duration: options.duration(),
    };
    Load {
        prefix: PREFIX,
        kinds: 1,
        pace,
        connections: OPEN_CONNECTIONS,
        first,
        lanes: 0..1,
    }
}

/// `count` events of `prefix` as fast as they are taken; none of them is expected to arrive.
pub(super) const fn pile(prefix: &'static str, count: u64, first: u64) -> Load {
    Load {
        prefix,
        kinds: 1,
        pace: Pace::Count(count),
        connections: CONNECTIONS,
        first,
        lanes: 0..0,
    }
}

/// An endpoint for the events of `prefix`.
pub(super) fn endpoint(name: &str, to: To, prefix: &str, plugins: &[&'static str]) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        to,
        event_type: wire::event_type(prefix, 0),
        plugins: plugins.iter().copied().map(Into::into).collect(),
    }
}
