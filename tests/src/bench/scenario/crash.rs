//! The end of the process: asked for when idle, and without warning under load.

use std::time::Duration;

use anyhow::Context as _;

use super::steady::{PREFIX, closed_load, endpoint, open_load, pile};
use super::stored::WAITING;
use crate::bench::cli::Options;
use crate::bench::load::Load;
use crate::bench::measure;
use crate::bench::receiver::Status;
use crate::bench::relay::{KEY, To};
use crate::bench::report::{Row, ms, thousands};
use crate::bench::rig::{Rig, Target};
use crate::bench::{call, system, wire};

/// How far the load is let go before the process is killed.
const UNDER_LOAD: Duration = Duration::from_secs(2);

/// Asks an idle relay to end.
pub(super) async fn sigterm(name: &str, options: &Options) -> anyhow::Result<Row> {
    let rig = Rig::relay(options, &[endpoint("bench", To::Lane(0), PREFIX, &[])]).await?;
    let Target::Program(process) = rig.target else {
        anyhow::bail!("the relay is no worker")
    };
    let took = ms(process.stop());
    let row = Row {
        scenario: name.to_owned(),
        ..Row::default()
    };
    Ok(row
        .with("sigterm_ms", took)
        .noting(format!("ended {took:.0} ms after SIGTERM")))
}

/// Kills a relay under load, starts it again, and holds it to every event it accepted.
pub(super) async fn kill_9(name: &str, options: &Options) -> anyhow::Result<Row> {
    let mut rig = Rig::relay(options, &[endpoint("bench", To::Lane(0), PREFIX, &[])]).await?;
    let load = closed_load(options, 0, 1);
    let before = rig.received().await?;
    let running = measure::begin(&mut rig, &load).await?;
    tokio::time::sleep(UNDER_LOAD).await;
    let Target::Program(process) = &mut rig.target else {
        anyhow::bail!("the relay is no worker")
    };
    process.kill();
    let restart = system::monotonic();
    rig.target = Target::Program(rig.site.as_ref().context("a relay has a site")?.execute()?);
    let finished = running.finish().await?;
    let status = measure::drain(&mut rig, &load, &before, finished.accepted).await?;
    Restart { at: restart, status }.row(name, &mut rig, &load).await
}

/// Kills a relay whose store holds a long backlog, and starts it again.
pub(super) async fn recovery(name: &str, options: &Options) -> anyhow::Result<Row> {
    let endpoints = [
        endpoint("bench", To::Lane(0), PREFIX, &[]),
        endpoint("dead", To::Nobody, WAITING, &[]),
    ];
    let mut rig = Rig::relay(options, &endpoints).await?;
    let piled = measure::measure(&mut rig, &pile(WAITING, options.stored(), 0)).await?;
    let Target::Program(process) = &mut rig.target else {
        anyhow::bail!("the relay is no worker")
    };
    process.kill();
    let site = rig.site.as_ref().context("a relay has a site")?;
    let mut template = wire::Template::new(&site.address, KEY, PREFIX, 1);
    let restart = system::monotonic();
    let mut process = site.execute()?;
    call::wait_until_accepted(&site.address, template.numbered(options.stored()), &mut process).await?;
    let ready = (system::monotonic() - restart) as f64 / 1e6;
    rig.target = Target::Program(process);
    let mut beside = measure::measure(&mut rig, &open_load(options, 1000.0, options.stored() + 1)).await?;
    beside.faults.extend(piled.faults);
    let count = thousands(options.stored() as f64);
    Ok(Row::of(name, &beside, rig.idle_bytes)
        .with("backlog", options.stored())
        .with("start_to_accepted_ms", ready)
        .noting(format!(
            "first event accepted {ready:.0} ms after the start, with {count} deliveries pending"
        )))
}

/// What there was to see after the restart.
struct Restart {
    /// When the second process was started.
    at: u64,
    status: Status,
}

impl Restart {
    async fn row(self, name: &str, rig: &mut Rig, load: &Load) -> anyhow::Result<Row> {
        let exchanges = measure::exchanges(rig)?;
        let lanes = measure::arrivals(rig, load).await?;
        let accepted = exchanges.iter().filter(|exchange| exchange.accepted).count() as u64;
        let lost = measure::missing(&exchanges, &lanes);
        let first = self
            .first_arrival(&lanes)
            .map_or(f64::NAN, |span| span.as_secs_f64() * 1e3);
        let mut row = Row {
            scenario: name.to_owned(),
            events: accepted,
            ..Row::default()
        };
        row.repeated = self
            .status
            .requests
            .saturating_sub(self.status.distinct.iter().sum());
        if lost > 0 {
            row.faults
                .push(format!("{lost} of {accepted} accepted events were lost"));
        }
        if let Some(fault) = self.status.fault {
            row.faults
                .push(format!("{} faulty deliveries; {fault}", self.status.faulty));
        }
        let repeated = row.repeated;
        Ok(row.with("lost", lost).with("start_to_redelivery_ms", first).noting(format!(
            "{accepted} accepted, {lost} lost, {repeated} repeated; first redelivery {first:.0} ms after the start"
        )))
    }

    /// How long after the restart the first delivery came.
    fn first_arrival(&self, lanes: &[Vec<u64>]) -> Option<Duration> {
        let first = lanes
            .iter()
            .flatten()
            .copied()
            .filter(|moment| *moment > self.at)
            .min()?;
        Some(Duration::from_nanos(first - self.at))
    }
}
