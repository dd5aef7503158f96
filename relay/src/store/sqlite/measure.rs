//! Measures what durability costs; run by hand:
//! `cargo test --release -p relay --lib store::sqlite::measure -- --ignored --nocapture`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{Settings, SqliteStore};
use crate::clock::{Clock as _, SystemClock};
use crate::model::attempt::{Attempt, Outcome, Trigger};
use crate::model::delivery::{Progress, State};
use crate::model::event::{Envelope, Event};
use crate::model::id::{AttemptId, EndpointId, EventId, IdMaker, TenantId};
use crate::model::page::Page;
use crate::store::{Begins, DeliveryFilter, DeliveryQueue as _, EventStore as _, NewEvent, Planned, Record};

const EVENTS: usize = 200_000;
const IN_FLIGHT: usize = 64;
const RECORDS_MAX: usize = 256;
/// Of the clock that `/proc` counts in.
const TICKS_PER_SECOND: u64 = 100;

/// Time on the processor so far, of the whole process.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

fn new_event(ids: &IdMaker, data: &Bytes) -> NewEvent {
    let now = SystemClock.now();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let event = Event {
        id: ids.event(now, 1),
        tenant: TenantId::DEFAULT,
        source: None,
        received_at: now,
        envelope: Envelope {
            id: Some("evt-12345678-1234".to_owned()),
            source: "shop".to_owned(),
            kind: "invoice.paid".to_owned(),
            content_type: Some("application/json".to_owned()),
            ..Envelope::default()
        },
        headers: vec![
            header("user-agent", "load/1.0"),
            header("x-request-id", "0123456789abcdef"),
        ],
        data: data.clone(),
    };
    let deliveries = vec![Planned {
        endpoint: EndpointId::from_raw(1 << 50),
        begins: Begins::InMemory,
    }];
    NewEvent {
        event: Arc::new(event),
        deliveries,
        dedupe: None,
        rules: None,
    }
}

fn success(event: &Event) -> Record {
    let attempt = Attempt {
        id: AttemptId::from_raw(event.id.raw() + 1),
        number: 1,
        trigger: Trigger::Scheduled,
        started_at: event.received_at,
        duration_us: 812,
        outcome: Outcome::Responded {
            status: 200,
            excerpt: String::new(),
            retry_after_ms: None,
            declined: false,
            by_mail: false,
        },
        plugins: Vec::new(),
        log: Vec::new(),
    };
    Record {
        delivery: event.id.delivery(0),
        event: event.id,
        endpoint: EndpointId::from_raw(1 << 50),
        tenant: event.tenant,
        attempts: 1,
        progress: Progress {
            state: State::Succeeded,
            due: None,
            reason: None,
            attempt: Some(attempt),
            messages: None,
        },
    }
}

#[ignore = "measures; run by hand in release"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cost_of_one_event() {
    let folder = match std::env::var_os("MEASURE_IN") {
        Some(folder) => TempDir::new_in(folder).unwrap(),
        None => TempDir::new().unwrap(),
    };
    let store = SqliteStore::open(&folder.path().join("relay.db"), Settings::default()).unwrap();
    let store = Arc::new(store);
    let ids = Arc::new(IdMaker::new(0));
    let data = Bytes::from(vec![b'x'; 1024]);
    let (outcomes, mut arriving) = mpsc::channel::<Record>(4096);
    let (began, spent_before) = (Instant::now(), processor_time());

    let recorder = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let mut records = Vec::new();
            while arriving.recv_many(&mut records, RECORDS_MAX).await > 0 {
                store.record(&records).await.unwrap();
                records.clear();
            }
        }
    });
    let senders: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (store, ids, data, outcomes) = (
                Arc::clone(&store),
                Arc::clone(&ids),
                data.clone(),
                outcomes.clone(),
            );
            tokio::spawn(async move {
                for _ in 0..EVENTS / IN_FLIGHT {
                    let new = new_event(&ids, &data);
                    let event = Arc::clone(&new.event);
                    store.accept(vec![new], event.received_at).await.unwrap();
                    outcomes.send(success(&event)).await.unwrap();
                }
            })
        })
        .collect();
    drop(outcomes);
    for sender in senders {
        sender.await.unwrap();
    }
    recorder.await.unwrap();

    let (took, spent) = (began.elapsed(), processor_time() - spent_before);
    let each = spent.as_secs_f64() * 1e6 / EVENTS as f64;
    let rate = EVENTS as f64 / took.as_secs_f64();
    println!("{rate:.0} events/s, {each:.2} µs of processor time each, {took:?} in all");
}

const BACKLOG: usize = 100_000;

#[ignore = "measures; run by hand in release"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_to_read_a_backlog() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(&folder.path().join("relay.db"), Settings::default()).unwrap();
    let ids = IdMaker::new(0);
    let data = Bytes::from(vec![b'x'; 1024]);
    for _ in 0..BACKLOG / 500 {
        let mut done: Vec<_> = (0..1000).map(|_| new_event(&ids, &data)).collect();
        let records = done[..500]
            .iter()
            .map(|new| success(&new.event))
            .collect::<Vec<_>>();
        done[500..]
            .iter_mut()
            .for_each(|new| new.deliveries[0].begins = Begins::Waiting);
        store.accept(done, SystemClock.now()).await.unwrap();
        store.record(&records).await.unwrap();
    }
    let now = SystemClock.now();
    let endpoint = EndpointId::from_raw(1 << 50);

    let began = Instant::now();
    let mut after = EventId::from_raw(0);
    while let Some(next) = store.unfinished(after, 10_000).await.unwrap().next {
        after = next;
    }
    println!(
        "looked for unfinished among {} events in {:?}",
        2 * BACKLOG,
        began.elapsed()
    );
    let began = Instant::now();
    assert_eq!(store.waiting().await.unwrap().len(), 1);
    println!(
        "found who waits among {BACKLOG} deliveries in {:?}",
        began.elapsed()
    );
    let began = Instant::now();
    let batch = store.due(endpoint, now, HashSet::new(), 256).await.unwrap();
    println!("read {} due deliveries in {:?}", batch.due.len(), began.elapsed());
    let began = Instant::now();
    let page = store
        .deliveries(TenantId::DEFAULT, DeliveryFilter::default(), Page::default())
        .await
        .unwrap();
    println!("listed {} deliveries in {:?}", page.items.len(), began.elapsed());
    let began = Instant::now();
    let pruned = store.prune(now, now, now, 1000).await.unwrap();
    println!("pruned {} events in {:?}", pruned.events, began.elapsed());
}
