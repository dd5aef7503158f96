//! Much of everything: many endpoints, many stored events, a long backlog.

use super::steady::{PREFIX, closed_load, endpoint, open_load, pile};
use crate::bench::cli::Options;
use crate::bench::load::Load;
use crate::bench::measure::measure;
use crate::bench::relay::{Endpoint, To};
use crate::bench::report::{Row, mib, thousands};
use crate::bench::rig::Rig;
use crate::bench::wire;

/// The type of the events that nobody can take.
pub(super) const WAITING: &str = "bench.waiting";

/// Each event matches one of `count` endpoints.
pub(super) async fn endpoints(name: &str, options: &Options, count: u64) -> anyhow::Result<Row> {
    let one = |kind: u64| Endpoint {
        name: format!("bench-{kind}"),
        to: To::Lane(0),
        event_type: wire::event_type(PREFIX, kind),
        plugins: Vec::new(),
    };
    let mut rig = Rig::relay(options, &(0..count).map(one).collect::<Vec<_>>()).await?;
    let load = Load {
        kinds: count,
        ..closed_load(options, 0, 1)
    };
    let measured = measure(&mut rig, &load).await?;
    Ok(Row::of(name, &measured, rig.idle_bytes).noting(format!("{} endpoints", thousands(count as f64))))
}

/// Measures the throughput of an empty store and of one with many events that were delivered.
pub(super) async fn events(name: &str, options: &Options) -> anyhow::Result<Row> {
    let mut rig = Rig::relay(options, &[endpoint("bench", To::Lane(0), PREFIX, &[])]).await?;
    let filled = measure(
        &mut rig,
        &Load {
            lanes: 0..1,
            ..pile(PREFIX, options.stored(), 0)
        },
    )
    .await?;
    let mut after = measure(&mut rig, &closed_load(options, options.stored(), 1)).await?;
    after.faults.extend(filled.faults);
    let count = thousands(options.stored() as f64);
    Ok(Row::of(name, &after, rig.idle_bytes)
        .with("stored", options.stored())
        .noting(format!("{count} events in the store")))
}

/// Lets a backlog pile up before an endpoint that refuses connections.
pub(super) async fn backlog(name: &str, options: &Options) -> anyhow::Result<Row> {
    let endpoints = [
        endpoint("bench", To::Lane(0), PREFIX, &[]),
        endpoint("dead", To::Nobody, WAITING, &[]),
    ];
    let mut rig = Rig::relay(options, &endpoints).await?;
    let piled = measure(&mut rig, &pile(WAITING, options.stored(), 0)).await?;
    let mut beside = measure(&mut rig, &open_load(options, 1000.0, options.stored())).await?;
    beside.faults.extend(piled.faults.iter().cloned());
    let peak = mib(beside.memory.peak);
    let count = thousands(options.stored() as f64);
    let speed = thousands(piled.events_per_s());
    Ok(Row::of(name, &beside, rig.idle_bytes)
        .with("backlog", options.stored())
        .with("backlog_events_per_s", piled.events_per_s())
        .noting(format!(
            "{count} deliveries wait, accepted at {speed}/s; peak {peak:.0} MiB"
        )))
}
