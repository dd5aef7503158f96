//! Ten thousand endpoints of one tenant: how fast they are made, what routing an event among them
//! costs, how soon a change is in force, and how long a start takes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use relay::config::reader::Process as Environment;
use relay::model::endpoint::Endpoint;
use relay::model::event::{Envelope, Event};
use relay::model::id::{EndpointId, EventId, TenantId};
use relay::model::time::Timestamp;
use relay::route::table::Table;
use serde_json::json;

use super::steady::{PREFIX, closed_load, endpoint};
use crate::bench::answers::Spread;
use crate::bench::cli::Options;
use crate::bench::measure::measure;
use crate::bench::receiver::Ready;
use crate::bench::relay::{Endpoint as Declared, KEY, To};
use crate::bench::report::{Request, Row, ms, thousands};
use crate::bench::rig::{FOR_LONG, Rig, Target};
use crate::bench::{call, signature, wire};

const COUNT: u64 = 10_000;
/// Endpoints made first and last, whose times are compared.
const EDGE: usize = 1_000;
const CHANGES: u64 = 50;
/// The type of the events that the endpoint wants which is changed.
const CHANGED: &str = "bench.changed";
/// An event that a change should have led somewhere else is lost after that.
const ARRIVAL_MAX: Duration = Duration::from_secs(5);
/// Sequence numbers between two loads.
const GAP: u64 = 1_000_000;
const ROUTED: u32 = 20_000;

/// All of it, on one relay but for the start from a file.
pub(super) async fn endpoints(name: &str, options: &Options) -> anyhow::Result<Row> {
    let mut rig = Rig::relay(options, &[endpoint("bench", To::Lane(0), PREFIX, &[])]).await?;
    let one = measure(&mut rig, &closed_load(options, 0, 1)).await?;
    let port = receiver_port(&rig.address).await?;
    let made = make(&rig.address, port).await?;
    let mut many = measure(&mut rig, &closed_load(options, one.events + GAP, 1)).await?;
    let (answered, in_force) = change(&mut rig).await?;
    let restart = restart(&mut rig).await?;
    let idle_bytes = rig.idle_bytes;
    drop(rig);
    let from_file = start_from_file(options).await?;
    let (by_type, by_filter) = (routing_us(&by_type())?, routing_us(&by_filter())?);

    many.faults.extend(one.faults.iter().cloned());
    let created = Spread::of(made.iter().copied());
    let (first, last) = (mean_ms(&made[..EDGE]), mean_ms(&made[made.len() - EDGE..]));
    let per_s = made.len() as f64 / (made.iter().sum::<u64>() as f64 / 1e9);
    let ratio = many.events_per_s() / one.events_per_s();
    let extra_us = many.cpu_us() - one.cpu_us();
    let request = |request: &str, spread: &Spread| Request {
        request: request.to_owned(),
        spread: spread.clone(),
        alone: None,
    };
    let requests = vec![
        request("create an endpoint", &created),
        request("change one: answered", &answered),
        request("the next event has arrived where the change says", &in_force),
    ];
    let note = format!(
        "{} endpoints, made over the API at {}/s (the first {EDGE} in {first:.2} ms each, the last in {last:.2}); \
         events/s {ratio:.2} times those with one endpoint, {extra_us:+.1} µs of CPU each; routing {by_type:.1} µs by type, \
         {by_filter:.1} by filter; a change answered after {:.1} ms, at worst {:.1}, and in force; \
         ready {restart:.0} ms after a start from the store, {from_file:.0} from a file",
        thousands(COUNT as f64),
        thousands(per_s),
        answered.p50_ms,
        answered.max_ms,
    );
    Ok(Row::of(name, &many, idle_bytes)
        .with("endpoints", COUNT)
        .with("created_per_s", per_s)
        .with("create_first_ms", first)
        .with("create_last_ms", last)
        .with("one_endpoint_events_per_s", one.events_per_s())
        .with("throughput_ratio", ratio)
        .with("route_by_type_us", by_type)
        .with("route_by_filter_us", by_filter)
        .with("start_from_store_ms", restart)
        .with("start_from_file_ms", from_file)
        .noting(note)
        .showing(requests))
}

/// The type that the endpoint with that number wants. That of number 0 is the only one sent.
fn kind(number: u64) -> String {
    wire::event_type(PREFIX, number)
}

/// Where the endpoint that the configuration declares leads to.
async fn receiver_port(address: &str) -> anyhow::Result<Ready> {
    let bench = call::get(address, "/v1/endpoints/bench").await?;
    let url = bench["url"].as_str().and_then(|url| url::Url::parse(url).ok());
    let port = url
        .and_then(|url| url.port())
        .context("the endpoint has no port")?;
    Ok(Ready { port })
}

/// Makes all but the one that is declared, and one to be changed; nanoseconds that each took.
async fn make(address: &str, receiver: Ready) -> anyhow::Result<Vec<u64>> {
    let mut took = Vec::new();
    for number in 1..COUNT {
        let (lane, kind) = if number == 1 {
            (1, CHANGED.to_owned())
        } else {
            (0, kind(number))
        };
        let name = format!("bench-{number}");
        let definition = json!({
            "name": name,
            "url": format!("http://127.0.0.1:{}/{lane:02}/{name}", receiver.port),
            "event_types": [kind],
            "secret": signature::SECRET,
        });
        let begun = Instant::now();
        call::send(address, "POST", "/v1/endpoints", Some(&definition)).await?;
        took.push(nanos(begun.elapsed()));
    }
    Ok(took)
}

/// Changes which events an endpoint wants and posts one; how long until the change was answered,
/// and until the event was there.
async fn change(rig: &mut Rig) -> anyhow::Result<(Spread, Spread)> {
    let mut event = wire::Template::new(&rig.address, KEY, CHANGED, CHANGES);
    let (mut answered, mut arrived) = (Vec::new(), Vec::new());
    for number in 0..CHANGES {
        let patch = json!({"event_types": [wire::event_type(CHANGED, number)]});
        let begun = Instant::now();
        call::send(&rig.address, "PATCH", "/v1/endpoints/bench-1", Some(&patch)).await?;
        answered.push(nanos(begun.elapsed()));
        call::accepted(&rig.address, event.numbered(number)).await?;
        while rig.received().await?.distinct[1] <= number {
            if begun.elapsed() > ARRIVAL_MAX {
                bail!("change {number} was answered, but the next event did not go where it says");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        arrived.push(nanos(begun.elapsed()));
    }
    Ok((Spread::of(answered.into_iter()), Spread::of(arrived.into_iter())))
}

/// Milliseconds from a start of the same relay until it is ready.
async fn restart(rig: &mut Rig) -> anyhow::Result<f64> {
    let Target::Program(process) = &mut rig.target else {
        bail!("the relay is no worker")
    };
    process.end_gently();
    let site = rig.site.as_ref().context("a relay has a site")?;
    let begun = Instant::now();
    let process = site.start().await?;
    let took = ms(begun.elapsed());
    rig.target = Target::Program(process);
    Ok(took)
}

/// Milliseconds until a relay is ready for the first time, whose file declares all of them.
async fn start_from_file(options: &Options) -> anyhow::Result<f64> {
    let one = |number: u64| Declared {
        name: format!("bench-{number}"),
        to: To::Lane(0),
        event_type: kind(number),
        plugins: Vec::new(),
    };
    let endpoints: Vec<Declared> = (0..COUNT).map(one).collect();
    let (site, receiver, folder) = Rig::site(options, FOR_LONG, &endpoints).await?;
    let begun = Instant::now();
    let process = site.start().await?;
    let took = ms(begun.elapsed());
    drop((process, receiver, folder));
    Ok(took)
}

/// Endpoints that each want a type of their own.
fn by_type() -> String {
    let one = |number: u64| {
        let kind = kind(number);
        format!(
            "[[endpoint]]\nname = \"e{number}\"\nurl = \"https://a.example/{number}\"\nevent_types = [\"{kind}\"]\n"
        )
    };
    (0..COUNT).map(one).collect()
}

/// Endpoints that want the same type, each of a customer of its own.
fn by_filter() -> String {
    let one = |number: u64| {
        let kind = kind(0);
        format!(
            "[[endpoint]]\nname = \"e{number}\"\nurl = \"https://a.example/{number}\"\nevent_types = [\"{kind}\"]\n\
             filter = {{ data = {{ customer = [\"c{number}\"] }} }}\n"
        )
    };
    (0..COUNT).map(one).collect()
}

/// Microseconds that finding one event's endpoint among those of a configuration takes.
fn routing_us(endpoints: &str) -> anyhow::Result<f64> {
    let config = format!("[store]\nurl = \"memory:\"\n{endpoints}");
    let config = relay::config::load(&config, &Environment).map_err(|faults| {
        anyhow::anyhow!("{}", faults.iter().map(ToString::to_string).collect::<String>())
    })?;
    let endpoints = (1..).zip(config.endpoints).map(|(id, declared)| {
        Arc::new(Endpoint {
            id: EndpointId::from_raw(id),
            tenant: TenantId::DEFAULT,
            ..declared.item
        })
    });
    let table = Table::build(endpoints.collect())
        .map_err(|malformed| anyhow::anyhow!("{} endpoints cannot be routed to", malformed.len()))?;
    let event = event();
    let routed = |times: u32| -> anyhow::Result<Duration> {
        let begun = Instant::now();
        for _ in 0..times {
            let found = table.route(black_box(&event), None).len();
            if found != 1 {
                bail!("the event was routed to {found} endpoints");
            }
        }
        Ok(begun.elapsed())
    };
    // As many as are done in about a tenth of a second, so that neither is drowned in noise.
    let once = routed(1)?;
    let tenth = Duration::from_millis(100).as_nanos() / once.as_nanos().max(1);
    let times = u32::try_from(tenth).unwrap_or(ROUTED).clamp(10, ROUTED);
    Ok(routed(times)?.as_secs_f64() * 1e6 / f64::from(times))
}

/// An event that one endpoint wants.
fn event() -> Event {
    Event {
        id: EventId::from_raw(1),
        tenant: TenantId::DEFAULT,
        source: None,
        received_at: Timestamp::from_millis(1_767_225_600_000),
        envelope: Envelope {
            source: "bench".to_owned(),
            kind: kind(0),
            content_type: Some("application/json".to_owned()),
            ..Envelope::default()
        },
        headers: Vec::new(),
        data: r#"{"customer":"c0","total":1250,"lines":[{"sku":"a","count":1},{"sku":"b","count":2}]}"#
            .into(),
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn mean_ms(nanos: &[u64]) -> f64 {
    nanos.iter().sum::<u64>() as f64 / nanos.len().max(1) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_finds_its_endpoint_by_type_and_by_filter() {
        for endpoints in [by_type(), by_filter()] {
            assert!(routing_us(&endpoints).expect("one endpoint wants it") > 0.0);
        }
    }
}
