//! Every way in which receivers are known to misbehave, all at once, beside one that does not.

use std::collections::BTreeMap;
use std::time::Duration;

use relay_tests::instance::Relay;
use relay_tests::receiver::misbehaving::{Expected, Misbehaving, kinds};
use relay_tests::receiver::{Receiver, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// The deadline of an attempt.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How much later its end may be noticed on a machine that has other things to do.
const SLACK: Duration = Duration::from_secs(8);
/// What all of them together may make the relay grow by.
const GROWTH_BYTES_MAX: u64 = 64 << 20;
/// Events for the healthy endpoint alone.
const EVENTS: usize = 40;

fn settings(kind_again: bool) -> String {
    let types = if kind_again {
        r#""bad", "again""#
    } else {
        r#""bad""#
    };
    let timeout = TIMEOUT.as_secs();
    format!("event_types = [{types}]\nretry = {{ schedule = [] }}\ntimeout = \"{timeout}s\"")
}

/// The deliveries of an event by their endpoint, once none is pending.
async fn settled(relay: &Relay, event: &str) -> BTreeMap<String, Value> {
    eventually("every delivery to be settled", || async {
        let mut by_name = BTreeMap::new();
        for delivery in relay.deliveries(event).await {
            if delivery["status"] == "pending" {
                return Err(delivery);
            }
            let name = delivery["endpoint_name"].as_str().unwrap_or_default();
            by_name.insert(name.to_owned(), delivery);
        }
        Ok(by_name)
    })
    .await
}

/// What is wrong with how a delivery to this receiver was recorded.
async fn fault(relay: &Relay, receiver: &Misbehaving, delivery: &Value) -> Option<String> {
    let name = receiver.kind.name;
    let attempts = relay.attempts(delivery).await;
    let [attempt] = attempts.as_slice() else {
        return Some(format!("{name}: not one attempt: {attempts:?}"));
    };
    let class = attempt["error_class"].as_str();
    let is_as_expected = match receiver.kind.expected {
        Expected::Success => class.is_none() && delivery["status"] == "succeeded",
        Expected::Class(classes) => {
            class.is_some_and(|class| classes.contains(&class)) && delivery["status"] == "failed"
        }
    };
    let took = Duration::from_micros(attempt["duration_us"].as_u64().unwrap_or(u64::MAX));
    let is_told = attempt["summary"].as_str().is_some_and(|text| text.len() <= 600);
    (!is_as_expected || !is_told || took > TIMEOUT + SLACK)
        .then(|| format!("{name}: {took:?}, not {:?}: {attempt}", receiver.kind.expected))
}

#[tokio::test]
async fn every_kind_of_misbehaviour_is_recorded_as_what_it_is_and_holds_nobody_up() {
    let receivers: Vec<Misbehaving> = kinds().into_iter().map(Misbehaving::start).collect();
    assert!(receivers.len() >= 30, "{}", receivers.len());
    let healthy = Receiver::start();
    let mut config = healthy.endpoint("healthy", "");
    for receiver in &receivers {
        config += &endpoint(receiver.kind.name, receiver.url(), &settings(receiver.kind.again));
    }
    let relay = Relay::start(&config).await;
    // Whatever grows with use has grown before it is measured.
    for number in 0..EVENTS {
        relay.event("good", json!(number)).await;
    }
    healthy.received(EVENTS).await;
    let before = relay.resident_bytes();

    let bad = relay.event("bad", json!({"pad": "x".repeat(64 << 10)})).await;
    for number in 0..EVENTS {
        relay.event("good", json!(number)).await;
    }
    healthy.received(2 * EVENTS + 1).await;
    let deliveries = settled(&relay, &bad).await;
    assert_eq!(deliveries.len(), receivers.len() + 1);
    let mut faults = Vec::new();
    for receiver in &receivers {
        faults.extend(fault(&relay, receiver, &deliveries[receiver.kind.name]).await);
    }
    let again = relay.event("again", json!(2)).await;
    let deliveries = settled(&relay, &again).await;
    for receiver in receivers.iter().filter(|receiver| receiver.kind.again) {
        faults.extend(fault(&relay, receiver, &deliveries[receiver.kind.name]).await);
    }
    assert!(
        faults.is_empty(),
        "{} of them:\n{}",
        faults.len(),
        faults.join("\n")
    );

    for receiver in &receivers {
        let requests = receiver.requests();
        let most = if receiver.kind.again { 2 } else { 1 };
        assert!(requests.len() <= most, "{}: {requests:?}", receiver.kind.name);
        assert!(
            requests.iter().all(|head| !head.contains("cookie:")),
            "{}: {requests:?}",
            receiver.kind.name
        );
    }
    let grown = relay.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "grown by {} MiB", grown >> 20);
}
