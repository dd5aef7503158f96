//! From nothing to the first event, and what is held while there is none.

use std::time::Duration;

use super::steady::{CHAIN, PREFIX, endpoint};
use crate::bench::cli::Options;
use crate::bench::relay::{KEY, Site, To};
use crate::bench::report::{Row, mib};
use crate::bench::rig::{FOR_LONG, Rig};
use crate::bench::worker::Worker;
use crate::bench::{call, receiver, system, wire};

/// Starts with a fresh folder, and starts after that with everything in place.
const FRESH: usize = 3;
const AGAIN: usize = 5;
const ARRIVAL_POLL: Duration = Duration::from_millis(2);
const ARRIVAL_MAX: Duration = Duration::from_secs(60);

/// Executes a relay whose one endpoint has a plugin, and posts an event until it is taken.
pub(super) async fn cold_start(name: &str, options: &Options) -> anyhow::Result<Row> {
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    let endpoints = [endpoint("bench", To::Lane(0), PREFIX, &CHAIN[..1])];
    for _ in 0..FRESH {
        let (site, mut receiver, folder) = Rig::site(options, FOR_LONG, &endpoints).await?;
        fresh.push(start(&site, &mut receiver, 0).await?);
        if fresh.len() == FRESH {
            for sequence in 1..=AGAIN as u64 {
                again.push(start(&site, &mut receiver, sequence).await?);
            }
        }
        drop(folder);
    }
    let (fresh, again) = (Start::median(fresh), Start::median(again));
    Ok(Row {
        scenario: name.to_owned(),
        events: (FRESH + AGAIN) as u64,
        ..Row::default()
    }
    .with("start_to_accepted_ms", again.accepted)
    .with("start_to_received_ms", again.received)
    .with("fresh_start_to_accepted_ms", fresh.accepted)
    .with("fresh_start_to_received_ms", fresh.received)
    .noting(format!(
        "first event accepted after {:.0} ms, received after {:.0}; with nothing compiled {:.0} and {:.0}",
        again.accepted, again.received, fresh.accepted, fresh.received
    )))
}

/// Milliseconds after the start of the process.
#[derive(Debug, Clone, Copy)]
struct Start {
    accepted: f64,
    received: f64,
}

impl Start {
    fn median(starts: Vec<Self>) -> Self {
        let middle = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<f64> = starts.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self {
            accepted: middle(|start| start.accepted),
            received: middle(|start| start.received),
        }
    }
}

async fn start(site: &Site, receiver: &mut Worker, sequence: u64) -> anyhow::Result<Start> {
    let mut template = wire::Template::new(&site.address, KEY, PREFIX, 1);
    let begun = system::monotonic();
    let mut process = site.execute()?;
    call::wait_until_accepted(&site.address, template.numbered(sequence), &mut process).await?;
    let accepted = since(begun);
    wait_for_event(receiver, sequence + 1).await?;
    let received = since(begun);
    process.stop();
    Ok(Start { accepted, received })
}

fn since(begun: u64) -> f64 {
    (system::monotonic() - begun) as f64 / 1e6
}

async fn wait_for_event(receiver: &mut Worker, count: u64) -> anyhow::Result<()> {
    wait_until(receiver, |status| status.distinct[0] >= count).await
}

/// Waits until what has arrived at the receiver is enough.
pub(super) async fn wait_until(
    receiver: &mut Worker,
    is_enough: impl Fn(&receiver::Status) -> bool,
) -> anyhow::Result<()> {
    let arrived = async {
        while !is_enough(&receiver.ask::<receiver::Status>("status").await?) {
            tokio::time::sleep(ARRIVAL_POLL).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(ARRIVAL_MAX, arrived).await?
}

/// Starts a relay without endpoints and looks at it after a while.
pub(super) async fn idle_memory(name: &str, options: &Options) -> anyhow::Result<Row> {
    const WHILE: Duration = Duration::from_secs(5);
    let rig = Rig::relay(options, &[]).await?;
    tokio::time::sleep(WHILE).await;
    let memory = rig.process().memory();
    let row = Row {
        scenario: name.to_owned(),
        ..Row::default()
    };
    Ok(Row {
        rss_idle_mib: Some(mib(memory.resident)),
        rss_peak_mib: Some(mib(memory.peak)),
        ..row
    }
    .noting("no endpoint, all stock plugins known"))
}
