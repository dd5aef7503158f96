//! The management API on a store with many deliveries, alone and beside traffic.

use serde_json::json;

use super::steady::{PREFIX, endpoint, open_load, pile};
use crate::bench::answers::{Answers, Asking, Spread};
use crate::bench::ask::{CONSUMER, Mix};
use crate::bench::call;
use crate::bench::cli::Options;
use crate::bench::load::Load;
use crate::bench::measure::measure;
use crate::bench::relay::To;
use crate::bench::report::{Request, Row, thousands};
use crate::bench::rig::Rig;

/// Requests a second, beside so many events.
const REQUEST_RATE: f64 = 200.0;
const EVENT_RATE: f64 = 2000.0;
/// Pages of lists a second: each may take all the time that the relay gives a page.
const PAGE_RATE: f64 = 10.0;
const CONNECTIONS: usize = 16;
/// Endpoints beside the one that gets the events.
const ENDPOINTS: u64 = 200;

/// Requests alone, then beside traffic; then pages of every list beside traffic.
pub(super) async fn beside_traffic(name: &str, options: &Options) -> anyhow::Result<Row> {
    let mut rig = Rig::relay(options, &[endpoint("bench", To::Lane(0), PREFIX, &[])]).await?;
    for number in 0..ENDPOINTS {
        let name = format!("{CONSUMER}-{number}");
        let definition = json!({
            "name": name,
            "url": format!("http://127.0.0.1:9/{name}"),
            "event_types": ["bench.consumer"],
        });
        call::send(&rig.address, "POST", "/v1/endpoints", Some(&definition)).await?;
    }
    let stored = options.stored_before_requests();
    let fill = Load {
        lanes: 0..1,
        ..pile(PREFIX, stored, 0)
    };
    let filled = measure(&mut rig, &fill).await?;

    let everyday = |run| Asking {
        mix: Mix::Everyday,
        rate: REQUEST_RATE,
        connections: CONNECTIONS,
        run,
        endpoints: ENDPOINTS,
    };
    let alone = everyday("alone").begin(&rig, options).await?.finish(&rig).await?;

    let asker = everyday("beside").begin(&rig, options).await?;
    let mut measured = measure(&mut rig, &open_load(options, EVENT_RATE, stored)).await?;
    let beside = asker.finish(&rig).await?;

    let lists = Asking {
        mix: Mix::Lists,
        rate: PAGE_RATE,
        ..everyday("lists")
    };
    let asker = lists.begin(&rig, options).await?;
    // More sequence numbers than the traffic before can have used.
    let after = stored + stored.max(1_000_000);
    let traffic = measure(&mut rig, &open_load(options, EVENT_RATE, after)).await?;
    let lists = asker.finish(&rig).await?;

    measured
        .faults
        .extend(filled.faults.into_iter().chain(traffic.faults));
    for answers in [&alone, &beside, &lists] {
        measured.faults.extend(answers.faults.iter().cloned());
    }
    let row = Row::of(name, &measured, rig.idle_bytes).with("stored", stored);
    Ok(row
        .noting(note(stored, &alone, &beside, &lists))
        .showing(requests(&alone, &beside, &lists)))
}

fn note(stored: u64, alone: &Answers, beside: &Answers, lists: &Answers) -> String {
    let (before, after) = (alone.whole.p99_ms, beside.whole.p99_ms);
    let (slowest, longest) = lists
        .slowest()
        .map_or(("none", 0.0), |(name, spread)| (name.as_str(), spread.max_ms));
    format!(
        "{} requests/s beside the events, {} deliveries in the store: p99 {after:.1} ms, \
         without the events {before:.1}: {:.2} times; longest page of any list {longest:.0} ms ({slowest})",
        thousands(REQUEST_RATE),
        thousands(stored as f64),
        after / before,
    )
}

/// A line for each kind of request.
fn requests(alone: &Answers, beside: &Answers, lists: &Answers) -> Vec<Request> {
    let line = |name: &str, spread: &Spread, alone: Option<&Spread>| Request {
        request: name.to_owned(),
        spread: spread.clone(),
        alone: alone.cloned(),
    };
    let mut lines = vec![line("all requests", &beside.whole, Some(&alone.whole))];
    let kinds = beside.kinds.iter().zip(&alone.kinds);
    lines.extend(kinds.map(|((name, beside), (_, alone))| line(name, beside, Some(alone))));
    lines.push(line("all pages of lists", &lists.whole, None));
    lines.extend(lists.kinds.iter().map(|(name, spread)| line(name, spread, None)));
    lines
}
