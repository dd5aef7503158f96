//! One endpoint's trouble is its own: a healthy endpoint, alone and beside one in trouble.

use std::time::Duration;

use super::steady::{OPEN_CONNECTIONS, PREFIX, endpoint, open_load, pile};
use crate::bench::cli::Options;
use crate::bench::generate::{Finished, Started};
use crate::bench::load::{Load, Pace};
use crate::bench::measure::{Measured, measure};
use crate::bench::relay::To;
use crate::bench::report::{Row, thousands};
use crate::bench::rig::Rig;
use crate::bench::worker::Worker;

/// The type of the events that the endpoint in trouble wants.
pub(super) const TROUBLED: &str = "bench.troubled";
const RATE: f64 = 1000.0;
/// The healthy endpoint's events a second beside one that is flooded with [`FLOOD`] times that.
const FLOODED_RATE: f64 = 20.0;
const FLOOD: f64 = 100.0;
/// Deliveries that wait for the dead endpoint.
const BACKLOG: u64 = 200_000;
const QUICK_BACKLOG: u64 = 50_000;
/// Where the sequence numbers of the parts begin.
pub(super) const PILE_FIRST: u64 = 1_000_000;
pub(super) const BESIDE_FIRST: u64 = 2_000_000;

/// The neighbour refuses connections.
pub(super) async fn dead(name: &str, options: &Options) -> anyhow::Result<Row> {
    beside(name, options, To::Nobody).await
}

/// The neighbour takes a request and never answers it.
pub(super) async fn hanging(name: &str, options: &Options) -> anyhow::Result<Row> {
    beside(name, options, To::Hanging).await
}

async fn beside(name: &str, options: &Options, neighbour: To) -> anyhow::Result<Row> {
    let endpoints = [
        endpoint("healthy", To::Lane(0), PREFIX, &[]),
        endpoint("troubled", neighbour, TROUBLED, &[]),
    ];
    let mut rig = Rig::relay(options, &endpoints).await?;
    let alone = measure(&mut rig, &open_load(options, RATE, 0)).await?;
    let backlog = if options.quick { QUICK_BACKLOG } else { BACKLOG };
    let piled = measure(&mut rig, &pile(TROUBLED, backlog, PILE_FIRST)).await?;
    let mut both = measure(&mut rig, &open_load(options, RATE, BESIDE_FIRST)).await?;
    both.faults
        .extend(alone.faults.iter().chain(&piled.faults).cloned());
    let neighbour = format!("backlog {}", thousands(backlog as f64));
    Ok(row(name, &alone, &both, &neighbour, &rig).with("backlog", backlog))
}

/// The neighbour gets a hundred times as much, and takes it.
pub(super) async fn flooding(name: &str, options: &Options) -> anyhow::Result<Row> {
    let endpoints = [
        endpoint("healthy", To::Lane(0), PREFIX, &[]),
        endpoint("troubled", To::Lane(1), TROUBLED, &[]),
    ];
    let mut rig = Rig::relay(options, &endpoints).await?;
    let alone = measure(&mut rig, &open_load(options, FLOODED_RATE, 0)).await?;
    let arguments = flood(options).arguments(&rig.address, &rig.trace("flood"));
    let mut generator = Worker::start("flood", &arguments)?;
    generator.hear::<Started>().await?;
    let mut both = measure(&mut rig, &open_load(options, FLOODED_RATE, BESIDE_FIRST)).await?;
    let flooded: Finished = generator.hear().await?;
    both.faults
        .extend(alone.faults.iter().cloned().chain(flooded.fault));
    let neighbour = format!("beside {} events/s", thousands(FLOODED_RATE * FLOOD));
    Ok(row(name, &alone, &both, &neighbour, &rig).with("flood_events", flooded.accepted))
}

/// Longer than what is measured beside it.
fn flood(options: &Options) -> Load {
    let pace = Pace::Open {
        rate: FLOODED_RATE * FLOOD,
        warm_up: Duration::ZERO,
        duration: options.warm_up() + options.duration() + Duration::from_secs(1),
    };
    Load {
        prefix: TROUBLED,
        kinds: 1,
        pace,
        connections: OPEN_CONNECTIONS,
        first: PILE_FIRST,
        lanes: 1..2,
    }
}

fn row(name: &str, alone: &Measured, both: &Measured, neighbour: &str, rig: &Rig) -> Row {
    let (before, after) = (p99(alone), p99(both));
    let ratio = after / before;
    Row::of(name, both, rig.idle_bytes)
        .with("p99_ratio", ratio)
        .with("alone_sent_to_receiver_p99_ms", before)
        .noting(format!(
            "p99 to receiver {after:.2} ms, alone {before:.2}: {ratio:.2} times ({neighbour})"
        ))
}

/// From sending to arrival, in milliseconds.
pub(super) fn p99(measured: &Measured) -> f64 {
    measured
        .sent_to_receiver
        .map_or(f64::NAN, |latency| latency.p99.as_secs_f64() * 1e3)
}
