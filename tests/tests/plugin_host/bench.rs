//! What a call costs. Printed, not asserted: run with `--release`, `--ignored` and `--nocapture`.

use std::time::{Duration, Instant};

use relay::model::plugin::OnFault;
use relay::plugins::{Bound, Chain, Chained};
use serde_json::json;

use crate::kit::{Kit, call, event, guests, resident_bytes, resident_bytes_of, with_manifest};

const WARM_UP: usize = 2_000;
const ROUNDS: usize = 20_000;

/// A webhook of about 1 KiB.
fn webhook() -> String {
    let items: Vec<_> = (0..9)
        .map(|n| json!({ "id": format!("item_{n:04}"), "amount": 1250 + n, "currency": "eur", "tags": ["a", "b"] }))
        .collect();
    json!({ "id": "in_1", "livemode": false, "debug": { "trace": "0123456789abcdef" }, "customer": { "name": "Jo", "email": "jo@example.com" }, "items": items }).to_string()
}

#[expect(clippy::print_stdout, reason = "measurements are there to be read")]
async fn measure(name: &str, bound: Option<Bound>) {
    let chain = Chain::new(bound.into_iter().collect(), OnFault::Retry);
    let event = event(&webhook());
    let mut spans = Vec::with_capacity(ROUNDS);
    for round in 0..WARM_UP + ROUNDS {
        let started = Instant::now();
        let ran = chain.run(&event, call()).await;
        let span = started.elapsed();
        assert!(matches!(ran.result, Chained::Emit(_)), "{ran:?}");
        if round >= WARM_UP {
            spans.push(span);
        }
    }
    spans.sort();
    let us = |span: Duration| span.as_nanos() as f64 / 1000.0;
    println!(
        "{name:28} median {:6.2} us   p99 {:6.2} us   ({} bytes)",
        us(spans[ROUNDS / 2]),
        us(spans[ROUNDS * 99 / 100]),
        event.data.len()
    );
}

#[tokio::test]
#[ignore = "a measurement"]
async fn what_a_call_costs() {
    let kit = Kit::new();
    kit.install(
        "edits-reused",
        &with_manifest(guests::EDITS, &json!({ "reuse": true })),
    );
    measure("no plugin", None).await;
    measure("edits, fresh", Some(kit.bind("edits", json!({})).await)).await;
    measure("edits, reused", Some(kit.bind("edits-reused", json!({})).await)).await;
    measure("nothing (hostile), fresh", Some(kit.hostile("nothing").await)).await;
}

/// Calls in a second, of so many at once.
#[expect(clippy::print_stdout, reason = "measurements are there to be read")]
async fn flood(name: &str, bound: Bound) {
    const AT_ONCE: usize = 16;
    let chain = Chain::new(vec![bound], OnFault::Retry);
    let event = event(&webhook());
    let started = Instant::now();
    let callers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (chain, event) = (chain.clone(), event.clone());
            tokio::spawn(async move {
                for _ in 0..ROUNDS / AT_ONCE {
                    let ran = chain.run(&event, call()).await;
                    assert!(matches!(ran.result, Chained::Emit(_)), "{ran:?}");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no panic");
    }
    let rate = ROUNDS as f64 / started.elapsed().as_secs_f64();
    println!("{name:42} {rate:8.0} calls/s, {AT_ONCE} at once");
}

/// The same plugins in this process and in one of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn what_a_process_of_its_own_costs() {
    let reused = with_manifest(guests::EDITS, &json!({ "reuse": true }));
    for (place, kit) in [("here", Kit::new()), ("in a worker", Kit::in_worker())] {
        kit.install("edits-reused", &reused);
        for name in ["edits", "edits-reused"] {
            let bound = kit.bind(name, json!({})).await;
            measure(&format!("{name}, {place}"), Some(bound.clone())).await;
            flood(&format!("{name}, {place}"), bound).await;
        }
        let everything = kit.bind("everything", json!({ "greeting": "hi" })).await;
        measure(&format!("everything, {place}"), Some(everything)).await;
        let process = kit.plugins.worker().and_then(|worker| worker.process);
        let resident = process.map(|process| resident_bytes_of(&process.to_string()) >> 10);
        println!(
            "{place}: this process {} KiB, its worker {resident:?} KiB",
            resident_bytes() >> 10
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn what_memory_it_takes() {
    let before = resident_bytes();
    let tell = |what: &str| {
        println!(
            "{what:42} {:6} KiB",
            resident_bytes().saturating_sub(before) / 1024
        )
    };
    let kit = Kit::new();
    tell("a host");
    let bound = kit.bind("edits", json!({})).await;
    let slow = kit.hostile("take-50ms").await;
    tell("and two plugins compiled");
    drop((bound, slow));
    let (bound, slow) = (kit.bind("edits", json!({})).await, kit.hostile("take-50ms").await);
    tell("and loaded from the cache");
    for chain in [bound, slow] {
        let chain = Chain::new(vec![chain], OnFault::Retry);
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let chain = chain.clone();
                tokio::spawn(async move { chain.run(&event("{}"), call()).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        tell("and 64 calls at once");
    }
}
