//! One endpoint's trouble is its own, and memory stays bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use relay_tests::instance::{Relay, Setup};
use relay_tests::receiver::{Closed, Receiver, Reply, endpoint};
use serde_json::json;

#[tokio::test]
async fn a_hanging_endpoint_does_not_hold_up_another() {
    let hanging = Receiver::always(Reply::Held);
    let healthy = Receiver::start();
    let relay = Relay::start(&(hanging.endpoint("hanging", "") + &healthy.endpoint("healthy", ""))).await;
    let mut slowest = Duration::ZERO;
    for n in 0..150 {
        relay.event("a.b", json!(n)).await;
        let posted = tokio::time::Instant::now();
        healthy.received(n + 1).await;
        slowest = slowest.max(posted.elapsed());
    }
    // The endpoint's timeout is 15 s: had one waited for the hanging one, it would show.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert!(hanging.busy_max() <= 64, "{}", hanging.busy_max());
    assert_eq!(relay.count("hanging", "succeeded").await, 0);
    hanging.release();
    hanging.received(150).await;
}

#[tokio::test]
async fn a_dead_endpoint_does_not_hold_up_another() {
    let dead = Closed::new();
    let healthy = Receiver::start();
    let config = endpoint(
        "dead",
        &dead.url(),
        "retry = { schedule = [\"20ms\", \"20ms\", \"20ms\", \"1h\"] }",
    );
    let relay = Relay::start(&(config + &healthy.endpoint("healthy", ""))).await;
    for n in 0..150 {
        relay.event("a.b", json!(n)).await;
    }
    healthy.received(150).await;
    assert_eq!(relay.count("dead", "succeeded").await, 0);
}

#[tokio::test]
async fn a_backlog_beyond_memory_waits_in_the_store_and_arrives_once() {
    const EVENTS: usize = 200;
    let closed = Closed::new();
    let delays = vec!["100ms"; 50];
    let config = endpoint(
        "crm",
        &closed.url(),
        &format!("retry = {{ schedule = {delays:?} }}"),
    );
    let setup = Setup::new(&config).variable("RELAY_QUEUE__ENDPOINT_DELIVERIES_MAX", "10");
    let relay = setup.start().await;
    for n in 0..EVENTS {
        relay.event("a.b", json!(n)).await;
    }
    assert_eq!(relay.count("crm", "succeeded").await, 0);
    let receiver = closed.open(|_, _| Reply::Status(200));
    receiver.received(EVENTS).await;
    relay_tests::wait::eventually("every delivery to have succeeded", || async {
        let succeeded = relay.count("crm", "succeeded").await;
        if succeeded == EVENTS {
            Ok(())
        } else {
            Err(succeeded)
        }
    })
    .await;
    let mut seen = BTreeMap::new();
    for request in receiver.requests() {
        *seen.entry(request.json()["data"].as_u64()).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), EVENTS);
    let twice: Vec<_> = seen.into_iter().filter(|(_, count)| *count > 1).collect();
    assert_eq!(twice, []);
}

#[tokio::test]
async fn a_backlog_larger_than_the_memory_limit_is_delivered_whole() {
    let receiver = Receiver::always(Reply::Held);
    let setup = Setup::new(&receiver.endpoint(
        "crm",
        "concurrency = 2\nretry = { schedule = [\"50ms\", \"50ms\"] }",
    ))
    .variable("RELAY_QUEUE__MEMORY_LIMIT", "1MiB");
    let relay = setup.start().await;
    let large = "x".repeat(100 << 10);
    for n in 0..30 {
        relay.event("a.b", json!({"n": n, "large": large})).await;
    }
    receiver.received(2).await;
    receiver.release();
    let requests = receiver.received(30).await;
    let mut numbers: Vec<u64> = requests
        .iter()
        .filter_map(|request| request.json()["data"]["n"].as_u64())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_endpoint_that_fills_the_memory_does_not_hold_up_another() {
    let hanging = Receiver::always(Reply::Held);
    let healthy = Receiver::start();
    let config = hanging.endpoint("hanging", "concurrency = 1\nevent_types = [\"large\"]")
        + &healthy.endpoint("healthy", "event_types = [\"small\"]");
    let relay = Setup::new(&config)
        .variable("RELAY_QUEUE__MEMORY_LIMIT", "1MiB")
        .start()
        .await;
    let large = "x".repeat(200 << 10);
    for n in 0..12 {
        relay.event("large", json!({"n": n, "large": large})).await;
    }
    for n in 0..20 {
        let event = relay.event("small", json!(n)).await;
        healthy.received(n + 1).await;
        relay.delivery(&event, "succeeded").await;
    }
    assert_eq!(relay.count("hanging", "succeeded").await, 0);
    hanging.release();
    hanging.received(12).await;
}

#[tokio::test]
async fn a_batch_for_many_endpoints_reaches_each_of_them_once() {
    const EVENTS: usize = 300;
    let receivers: Vec<Receiver> = (0..6).map(|_| Receiver::start()).collect();
    let config: String = receivers
        .iter()
        .enumerate()
        .map(|(index, receiver)| receiver.endpoint(&format!("e{index}"), ""))
        .collect();
    let relay = Setup::new(&config)
        .variable("RELAY_QUEUE__ENDPOINT_DELIVERIES_MAX", "100")
        .start()
        .await;
    let event = |n: usize| json!({"specversion": "1.0", "id": n.to_string(), "source": "s", "type": "a.b", "data": n});
    let batch: Vec<_> = (0..EVENTS).map(event).collect();
    let answer = relay
        .post_events(
            &[("content-type", "application/cloudevents-batch+json")],
            json!(batch).to_string(),
        )
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    for (index, receiver) in receivers.iter().enumerate() {
        receiver.received(EVENTS).await;
        relay_tests::wait::eventually("nothing to be pending", || async {
            match relay.count(&format!("e{index}"), "pending").await {
                0 => Ok(()),
                pending => Err(pending),
            }
        })
        .await;
        let mut numbers: Vec<u64> = receiver
            .requests()
            .iter()
            .filter_map(|request| request.json()["data"].as_u64())
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..EVENTS as u64).collect::<Vec<_>>());
    }
}
