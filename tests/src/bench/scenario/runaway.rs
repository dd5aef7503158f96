//! One endpoint's plugin never ends: how soon it is stopped, and what its neighbour notices.

use anyhow::Context as _;
use serde_json::Value;

use super::neighbour::{BESIDE_FIRST, PILE_FIRST, TROUBLED, p99};
use super::steady::{PREFIX, endpoint, open_load, pile};
use crate::bench::call;
use crate::bench::cli::Options;
use crate::bench::measure::measure;
use crate::bench::relay::{RUNAWAY, To};
use crate::bench::report::Row;
use crate::bench::rig::Rig;

/// What a use of the plugin is allowed, the relay's default.
const DEADLINE_MS: f64 = 50.0;
const RATE: f64 = 200.0;
/// Events for the plugin that never ends: more than it gets through while its neighbour is
/// measured, and no more than a page of the log shows.
const PILE: u64 = 250;

/// A healthy endpoint at a fixed rate, alone and while the neighbour's plugin spins.
pub(super) async fn plugin(name: &str, options: &Options) -> anyhow::Result<Row> {
    let endpoints = [
        endpoint("healthy", To::Lane(0), PREFIX, &[]),
        endpoint("troubled", To::Lane(1), TROUBLED, &[RUNAWAY]),
    ];
    let mut rig = Rig::relay(options, &endpoints).await?;
    let alone = measure(&mut rig, &open_load(options, RATE, 0)).await?;
    let piled = measure(&mut rig, &pile(TROUBLED, PILE, PILE_FIRST)).await?;
    let mut both = measure(&mut rig, &open_load(options, RATE, BESIDE_FIRST)).await?;
    both.faults
        .extend(alone.faults.iter().chain(&piled.faults).cloned());
    let taken = stopped_after_ms(&rig.address).await?;
    let last = taken.last().context("no call was stopped")?;
    let middle = taken[taken.len() / 2];
    let (before, after) = (p99(&alone), p99(&both));
    let ratio = after / before;
    Ok(Row::of(name, &both, rig.idle_bytes)
        .with("p99_ratio", ratio)
        .with("alone_sent_to_receiver_p99_ms", before)
        .with("stopped_calls", taken.len())
        .with("stopped_after_p50_ms", middle)
        .with("stopped_after_max_ms", *last)
        .noting(format!(
            "p99 to receiver {after:.2} ms, alone {before:.2}: {ratio:.2} times; {} calls with {DEADLINE_MS} ms \
             stopped after {middle:.1} ms, at worst {last:.1}",
            taken.len()
        )))
}

/// How long each call ran that was stopped, in milliseconds, shortest first.
async fn stopped_after_ms(address: &str) -> anyhow::Result<Vec<f64>> {
    let page = call::get(address, &format!("/v1/deliveries?endpoint=troubled&limit={PILE}")).await?;
    let mut taken = Vec::new();
    for delivery in entries(&page) {
        let id = delivery["id"].as_str().context("a delivery without id")?;
        let attempts = call::get(address, &format!("/v1/deliveries/{id}/attempts")).await?;
        for attempt in entries(&attempts) {
            if attempt["outcome"]["fault"] == "timed_out" {
                let took = attempt["plugins"][0]["duration_us"].as_f64();
                taken.push(took.context("an attempt without the time of its plugin")? / 1e3);
            }
        }
    }
    taken.sort_by(f64::total_cmp);
    Ok(taken)
}

fn entries(page: &Value) -> impl Iterator<Item = &Value> {
    page["data"].as_array().into_iter().flatten()
}
