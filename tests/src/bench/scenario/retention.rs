//! The store's size when old events are removed while new ones come as fast as they are taken.

use std::time::Duration;

use anyhow::Context as _;

use super::steady::{PREFIX, closed_load, endpoint};
use crate::bench::cli::Options;
use crate::bench::load::{Load, Pace};
use crate::bench::measure::{Measured, measure};
use crate::bench::relay::To;
use crate::bench::report::{Row, mib, thousands};
use crate::bench::rig::{FOR_LONG, Rig};

/// The shortest time that a relay can be told to keep events for.
const SHORT: &str = "1m";
/// Longer than that, so that as much grows old as comes when the measured time begins.
const FILL: Duration = Duration::from_secs(80);
/// More sequence numbers than the filling can have used beyond what was accepted.
const GAP: u64 = 10_000;

/// One relay at full ingest.
struct Run {
    measured: Measured,
    idle_bytes: u64,
    /// Bytes of the store when the measured time began and when it ended.
    store: (u64, u64),
}

/// Measures a relay that keeps everything, and one that removes as much as comes.
pub(super) async fn level(name: &str, options: &Options) -> anyhow::Result<Row> {
    let keeps = run(options, FOR_LONG).await?;
    let mut removes = run(options, SHORT).await?;
    removes
        .measured
        .faults
        .extend(keeps.measured.faults.iter().cloned());
    let cost = 1.0 - removes.measured.events_per_s() / keeps.measured.events_per_s();
    let growth = removes.grown() / keeps.grown().max(1.0);
    Ok(Row::of(name, &removes.measured, removes.idle_bytes)
        .with("kept_events_per_s", keeps.measured.events_per_s())
        .with("cost", cost)
        .with("growth", growth)
        .with("store_mib", mib(removes.store.1))
        .noting(format!(
            "keeping everything {}/s: removing costs {:.0} %; the store grows by {:.0} % of what it would ({:.0} to {:.0} MiB)",
            thousands(keeps.measured.events_per_s()),
            cost * 100.0,
            growth * 100.0,
            mib(removes.store.0),
            mib(removes.store.1),
        )))
}

async fn run(options: &Options, retention: &str) -> anyhow::Result<Run> {
    let endpoints = [endpoint("bench", To::Lane(0), PREFIX, &[])];
    let mut rig = Rig::relay_that_keeps(options, retention, &endpoints).await?;
    let fill = Load {
        pace: Pace::Closed {
            warm_up: Duration::ZERO,
            duration: FILL,
        },
        ..closed_load(options, 0, 1)
    };
    let filled = measure(&mut rig, &fill).await?;
    let before = bytes(&rig)?;
    let mut measured = measure(&mut rig, &closed_load(options, filled.events + GAP, 1)).await?;
    measured.faults.extend(filled.faults);
    Ok(Run {
        measured,
        idle_bytes: rig.idle_bytes,
        store: (before, bytes(&rig)?),
    })
}

fn bytes(rig: &Rig) -> anyhow::Result<u64> {
    Ok(rig.site.as_ref().context("a relay has a site")?.store_bytes())
}

impl Run {
    /// Bytes that the store grew by for each event of the measured time.
    fn grown(&self) -> f64 {
        self.store.1.saturating_sub(self.store.0) as f64 / self.measured.events.max(1) as f64
    }
}
