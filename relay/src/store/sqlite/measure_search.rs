//! Measures how long a page of each filter takes in a large store; run by hand:
//! `MEASURE_IN=/var/tmp cargo test --release -p relay --lib store::sqlite::measure_search -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;

use super::{Settings, SqliteStore};
use crate::model::attempt::{Attempt, Cause, Outcome, Trigger};
use crate::model::delivery::{Progress, State};
use crate::model::event::{Envelope, Event};
use crate::model::id::{AttemptId, EndpointId, IdMaker, SourceId, TenantId};
use crate::model::page::Page;
use crate::model::time::Timestamp;
use crate::store::{
    Begins, DeliveryFilter, DeliveryQueue as _, EventFilter, EventStore as _, NewEvent, Planned, Record,
};

const EVENTS: usize = 1_000_000;
const ENDPOINTS: i64 = 100;
/// One delivery in so many has failed for good, and one in twice as many waits for a retry.
const FAILED_EVERY: usize = 200;
const BEGIN: Timestamp = Timestamp::from_millis(1_770_000_000_000);

/// Payloads of some 500 bytes, all different.
fn data(number: usize) -> Bytes {
    let items: Vec<String> = (0..5)
        .map(|item| {
            let seed = (number * 31 + item * 17) % 99_991;
            format!(r#"{{"sku":"SKU-{seed:05}","title":"a thing of the kind {seed}","price":{item}99}}"#)
        })
        .collect();
    Bytes::from(format!(
        r#"{{"order":"ORD-{number:08}","customer":{{"email":"customer{}@example.com"}},"items":[{}],"note":"as usual"}}"#,
        number % 70_001,
        items.join(",")
    ))
}

fn event(ids: &IdMaker, number: usize) -> NewEvent {
    let now = BEGIN + Duration::from_millis(number as u64);
    let event = Event {
        id: ids.event(now, 1),
        tenant: TenantId::DEFAULT,
        source: Some(SourceId::from_raw(1 + (number % 20) as i64)),
        received_at: now,
        envelope: Envelope {
            id: Some(format!("own-{number}")),
            source: "shop".to_owned(),
            kind: format!("order.kind{}", number % 50),
            subject: Some(format!("order-{}", number % 1000)),
            content_type: Some("application/json".to_owned()),
            ..Envelope::default()
        },
        headers: vec![("user-agent".to_owned(), "load/1.0".to_owned())],
        data: data(number),
    };
    let deliveries = vec![Planned {
        endpoint: EndpointId::from_raw(1 + number as i64 % ENDPOINTS),
        begins: Begins::InMemory,
    }];
    NewEvent {
        event: event.into(),
        deliveries,
        dedupe: None,
        rules: None,
    }
}

fn record(new: &NewEvent, number: usize) -> Record {
    let (state, outcome) = match number % FAILED_EVERY {
        0 => (
            if number.is_multiple_of(2 * FAILED_EVERY) {
                State::Pending
            } else {
                State::Failed
            },
            Outcome::Responded {
                status: 503,
                excerpt: "busy".to_owned(),
                retry_after_ms: None,
                declined: false,
                by_mail: false,
            },
        ),
        1 => (
            State::Failed,
            Outcome::Unreachable {
                cause: Cause::Timeout,
                detail: "no answer within 15s".to_owned(),
            },
        ),
        _ => (
            State::Succeeded,
            Outcome::Responded {
                status: 200,
                excerpt: String::new(),
                retry_after_ms: None,
                declined: false,
                by_mail: false,
            },
        ),
    };
    let attempt = Attempt {
        id: AttemptId::from_raw(new.event.id.raw() + 1),
        number: 1,
        trigger: Trigger::Scheduled,
        started_at: new.event.received_at,
        duration_us: 812,
        outcome,
        plugins: Vec::new(),
        log: Vec::new(),
    };
    Record {
        delivery: new.event.id.delivery(0),
        event: new.event.id,
        endpoint: new.deliveries[0].endpoint,
        tenant: new.event.tenant,
        attempts: 1,
        progress: Progress {
            state,
            due: (state == State::Pending).then(|| BEGIN + Duration::from_secs(1 << 40)),
            reason: None,
            attempt: Some(attempt),
            messages: None,
        },
    }
}

async fn filled(folder: &TempDir) -> SqliteStore {
    let store = SqliteStore::open(&folder.path().join("relay.db"), Settings::default()).unwrap();
    let ids = IdMaker::new(0);
    for first in (0..EVENTS).step_by(1000) {
        let new: Vec<_> = (first..first + 1000).map(|number| event(&ids, number)).collect();
        let records: Vec<_> = new
            .iter()
            .zip(first..)
            .map(|(new, number)| record(new, number))
            .collect();
        store.accept(new, BEGIN).await.unwrap();
        store.record(&records).await.unwrap();
    }
    store
}

/// Pages to the end or to a full one, the longest and all of them, and what was found.
struct Walked {
    pages: usize,
    longest: Duration,
    all: Duration,
    found: usize,
}

impl Walked {
    fn show(&self, what: &str) {
        let Self {
            pages,
            longest,
            all,
            found,
        } = self;
        println!(
            "{what:44} {found:4} found, {pages:3} pages, longest {:6.1} ms, all {:7.1} ms",
            longest.as_secs_f64() * 1e3,
            all.as_secs_f64() * 1e3
        );
    }
}

async fn walk<T>(mut page: impl AsyncFnMut(Page) -> crate::model::page::Listed<T>) -> Walked {
    let mut walked = Walked {
        pages: 0,
        longest: Duration::ZERO,
        all: Duration::ZERO,
        found: 0,
    };
    let mut before = None;
    loop {
        let began = Instant::now();
        let listed = page(Page { limit: 50, before }).await;
        let took = began.elapsed();
        walked.pages += 1;
        walked.longest = walked.longest.max(took);
        walked.all += took;
        walked.found += listed.items.len();
        before = listed.next;
        if before.is_none() || walked.found >= 50 {
            return walked;
        }
    }
}

#[ignore = "measures; run by hand in release"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_a_page_of_each_filter() {
    let folder = match std::env::var_os("MEASURE_IN") {
        Some(folder) => TempDir::new_in(folder).unwrap(),
        None => TempDir::new().unwrap(),
    };
    let began = Instant::now();
    let store = filled(&folder).await;
    let bytes = std::fs::metadata(folder.path().join("relay.db")).unwrap().len();
    println!("{EVENTS} events, {bytes} bytes, filled in {:?}", began.elapsed());

    let any = DeliveryFilter::default();
    let state = |state| DeliveryFilter {
        states: vec![state],
        ..any.clone()
    };
    let class = |class: &str| DeliveryFilter {
        error_class: Some(class.to_owned()),
        ..any.clone()
    };
    let endpoint = |raw| DeliveryFilter {
        endpoint: Some(EndpointId::from_raw(raw)),
        ..any.clone()
    };
    for (what, filter) in [
        ("deliveries", any.clone()),
        ("deliveries, endpoint", endpoint(7)),
        ("deliveries, endpoint without any", endpoint(1 << 40)),
        ("deliveries, failed", state(State::Failed)),
        (
            "deliveries, failed, endpoint",
            DeliveryFilter {
                states: vec![State::Failed],
                ..endpoint(2)
            },
        ),
        (
            "deliveries, failed, endpoint without any",
            DeliveryFilter {
                states: vec![State::Failed],
                ..endpoint(3)
            },
        ),
        ("deliveries, cancelled: none", state(State::Cancelled)),
        ("deliveries, pending", state(State::Pending)),
        ("deliveries, timeout", class("timeout")),
        ("deliveries, tls: none", class("tls")),
        (
            "deliveries, status 503",
            DeliveryFilter {
                status_code: Some(503),
                ..any.clone()
            },
        ),
        (
            "deliveries, status 204: none",
            DeliveryFilter {
                status_code: Some(204),
                ..any.clone()
            },
        ),
        (
            "deliveries, type without any",
            DeliveryFilter {
                kind: "none".parse().ok(),
                ..any.clone()
            },
        ),
        (
            "deliveries, source without any",
            DeliveryFilter {
                source: Some(SourceId::from_raw(99)),
                ..any.clone()
            },
        ),
        (
            "deliveries, attempts_min 2: none",
            DeliveryFilter {
                attempts_min: Some(2),
                ..any.clone()
            },
        ),
        (
            "deliveries, q of the oldest",
            DeliveryFilter {
                text: "ORD-00000001".parse().ok(),
                ..any.clone()
            },
        ),
        (
            "deliveries, failed, q without any",
            DeliveryFilter {
                text: "zzzqqqx".parse().ok(),
                ..state(State::Failed)
            },
        ),
    ] {
        walk(async |page| {
            store
                .deliveries(TenantId::DEFAULT, filter.clone(), page)
                .await
                .unwrap()
        })
        .await
        .show(what);
    }
    let any = EventFilter::default();
    for (what, filter) in [
        ("events", any.clone()),
        (
            "events, type",
            EventFilter {
                kind: "order.kind7".parse().ok(),
                ..any.clone()
            },
        ),
        (
            "events, type without any",
            EventFilter {
                kind: "none".parse().ok(),
                ..any.clone()
            },
        ),
        (
            "events, subject",
            EventFilter {
                subject: Some("order-7".to_owned()),
                ..any.clone()
            },
        ),
        (
            "events, sender_id of the oldest",
            EventFilter {
                sender_id: Some("own-1".to_owned()),
                ..any.clone()
            },
        ),
        (
            "events, trace_id without any",
            EventFilter {
                trace_id: Some("0".repeat(32)),
                ..any.clone()
            },
        ),
        (
            "events, q in most",
            EventFilter {
                text: "usual".parse().ok(),
                ..any.clone()
            },
        ),
        (
            "events, q of a customer",
            EventFilter {
                text: "customer4711@".parse().ok(),
                ..any.clone()
            },
        ),
        (
            "events, q of the oldest",
            EventFilter {
                text: "ORD-00000001".parse().ok(),
                ..any.clone()
            },
        ),
        (
            "events, q without any",
            EventFilter {
                text: "zzzqqqx".parse().ok(),
                ..any.clone()
            },
        ),
    ] {
        walk(async |page| {
            store
                .events(TenantId::DEFAULT, filter.clone(), page)
                .await
                .unwrap()
        })
        .await
        .show(what);
    }
    store.close().await;
}
