//! One endpoint's trouble is its own: a healthy endpoint, alone and beside one in trouble.

use super::steady::{PREFIX, endpoint, open_load, pile};
use crate::bench::cli::Options;
use crate::bench::measure::{Measured, measure};
use crate::bench::relay::To;
use crate::bench::report::{Row, thousands};
use crate::bench::rig::Rig;

/// The type of the events that the endpoint in trouble wants.
pub(super) const TROUBLED: &str = "bench.troubled";
const RATE: f64 = 1000.0;
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
    Ok(row(name, &alone, &both, backlog, rig.idle_bytes))
}

fn row(name: &str, alone: &Measured, both: &Measured, backlog: u64, idle_bytes: u64) -> Row {
    let (before, after) = (p99(alone), p99(both));
    let ratio = after / before;
    let backlog_text = thousands(backlog as f64);
    Row::of(name, both, idle_bytes)
        .with("p99_ratio", ratio)
        .with("alone_sent_to_receiver_p99_ms", before)
        .with("backlog", backlog)
        .noting(format!(
            "p99 to receiver {after:.2} ms, alone {before:.2}: {ratio:.2} times (backlog {backlog_text})"
        ))
}

/// From sending to arrival, in milliseconds.
pub(super) fn p99(measured: &Measured) -> f64 {
    measured
        .sent_to_receiver
        .map_or(f64::NAN, |latency| latency.p99.as_secs_f64() * 1e3)
}
