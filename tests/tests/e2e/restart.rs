//! Nothing accepted is lost, whatever is killed when.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use relay_tests::instance::{ADMIN_KEY, Relay, Setup};
use relay_tests::receiver::{Receiver, Reply};
use relay_tests::wait::{eventually, within};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn u14_w18_an_event_accepted_right_before_a_kill_is_delivered_after_the_restart() {
    let receiver = Receiver::always(Reply::Held);
    let mut relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let mut events = Vec::new();
    for n in 0..20 {
        events.push(relay.event("a.b", json!(n)).await);
    }
    relay.kill().await;
    receiver.release();
    relay.start_again().await;
    for event in &events {
        relay.delivery(event, "succeeded").await;
    }
    let seen: HashSet<Option<u64>> = receiver
        .requests()
        .iter()
        .map(|request| request.json()["data"].as_u64())
        .collect();
    assert_eq!(seen.len(), 20);
}

/// Posts until the relay goes away; returns the marks of what was accepted.
async fn post_until_gone(relay: &Relay, round: usize) -> Vec<u64> {
    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let mut accepted = Vec::new();
    for n in 0.. {
        let mark = round as u64 * 1_000_000 + n;
        let body = json!({"type": "a.b", "data": mark}).to_string();
        match relay
            .try_send(http::Method::POST, "/v1/events", &headers, body)
            .await
        {
            Ok(answer) if answer.status == 202 => accepted.push(mark),
            Ok(_) | Err(_) => break,
        }
    }
    accepted
}

#[tokio::test]
async fn nothing_accepted_is_lost_over_kills_at_any_moment() {
    let receiver = Receiver::start();
    let settings = "retry = { schedule = [\"50ms\", \"50ms\", \"50ms\", \"50ms\"] }";
    let mut relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    let mut accepted = Vec::new();
    for round in 0..4 {
        let before = receiver.requests().len();
        let posting = async {
            tokio::join!(
                post_until_gone(&relay, 2 * round),
                post_until_gone(&relay, 2 * round + 1)
            )
        };
        // In the midst of it: some are committed, some delivered, some recorded.
        let killing = async {
            receiver.received(before + 25 * (round + 1)).await;
            relay.kill_now();
        };
        let ((one, other), ()) = tokio::join!(posting, killing);
        accepted.extend(one);
        accepted.extend(other);
        relay.kill().await;
        relay.start_again().await;
    }
    let wanted: HashSet<u64> = accepted.into_iter().collect();
    assert!(wanted.len() >= 100, "{}", wanted.len());
    let requests = receiver
        .until("every accepted event", |requests| {
            let seen: HashSet<u64> = requests
                .iter()
                .filter_map(|request| request.json()["data"].as_u64())
                .collect();
            wanted.is_subset(&seen)
        })
        .await;
    // At least once, and recognisable: the same event always under the same id.
    let mut ids = HashMap::new();
    for request in &requests {
        let first = ids
            .entry(request.json()["data"].as_u64())
            .or_insert_with(|| request.id().to_owned());
        assert_eq!(first, request.id());
    }
}

#[tokio::test]
async fn pending_retries_go_on_after_a_restart_with_the_same_bytes() {
    let receiver = Receiver::script([Reply::Status(500)]);
    let mut relay =
        Relay::start(&receiver.endpoint("crm", "retry = { schedule = [\"1s\", \"1s\"], jitter = 0 }")).await;
    let event = relay.event("a.b", json!({"n": 1})).await;
    let delivery = relay
        .delivery_that(&event, "tried once", |delivery| delivery["attempts"] == 1)
        .await;
    assert!(delivery["next_attempt_at"].is_string(), "{delivery}");
    relay.stop().await;
    relay.start_again().await;
    let requests = receiver.received(2).await;
    assert_eq!(
        (requests[1].id(), &requests[1].body),
        (requests[0].id(), &requests[0].body)
    );
    let delivery = relay.delivery(&event, "succeeded").await;
    assert_eq!(delivery["attempts"], 2);
    let secret = relay.secret("crm").await;
    for request in requests {
        assert_eq!(
            request.verify(&secret),
            Ok(()),
            "the secret is the same after a restart"
        );
    }
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_takes_nothing_new() {
    let receiver = Receiver::always(Reply::Held);
    let mut relay = Relay::start(&receiver.endpoint("crm", "concurrency = 3")).await;
    let mut events = Vec::new();
    for n in 0..5 {
        events.push(relay.event("a.b", json!(n)).await);
    }
    receiver.received(3).await;
    relay.terminate();
    // Once nobody listens any more, nothing new is taken up either.
    nobody_listens(&relay).await;
    receiver.release();
    relay.stopped().await;
    let before = receiver.requests();
    assert_eq!(
        before.len(),
        3,
        "what was waiting for its turn waits for the next start"
    );
    relay.start_again().await;
    for event in &events {
        let delivery = relay.delivery(event, "succeeded").await;
        assert_eq!(delivery["attempts"], 1);
    }
    assert_eq!(
        receiver.requests().len(),
        5,
        "what was finished is not sent again"
    );
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_told() {
    let receiver = Receiver::script([Reply::Never]);
    let config = receiver.endpoint("crm", "timeout = \"60s\"");
    let mut relay = Setup::new(&config)
        .variable("RELAY_SERVER__DRAIN_TIMEOUT", "200ms")
        .start()
        .await;
    let event = relay.event("a.b", json!(1)).await;
    receiver.received(1).await;
    let asked = tokio::time::Instant::now();
    relay.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    relay.start_again().await;
    relay.delivery(&event, "succeeded").await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].id(), requests[1].id());
}

#[tokio::test]
async fn an_idle_relay_stops_at_once() {
    let mut relay = Relay::start("").await;
    let asked = tokio::time::Instant::now();
    relay.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn duplicates_are_known_after_a_restart() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let body = r#"{"type": "a.b", "id": "order-1"}"#;
    let first = relay
        .post_events(&[("content-type", "application/json")], body)
        .await
        .json();
    relay.kill().await;
    relay.start_again().await;
    let second = relay
        .post_events(&[("content-type", "application/json")], body)
        .await
        .json();
    assert_eq!(second, json!({"id": first["id"], "duplicate": true}));
}

#[tokio::test]
async fn a_post_that_has_begun_is_taken_in_while_the_relay_stops() {
    let mut relay = Relay::start("").await;
    let body = r#"{"type": "a.b", "data": 1}"#;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(relay.address())
        .await
        .expect("the relay listens");
    stream
        .write_all(head.as_bytes())
        .await
        .expect("the head is taken");
    stream
        .write_all(&body.as_bytes()[..5])
        .await
        .expect("a part of the body is taken");
    // Answered after the head of the first connection was: the relay has begun to read that.
    assert_eq!(
        relay.send(http::Method::GET, "/healthz", &[], "").await.status,
        200
    );
    relay.terminate();
    nobody_listens(&relay).await;
    stream
        .write_all(&body.as_bytes()[5..])
        .await
        .expect("the rest is taken");
    let mut answer = String::new();
    within("the answer", stream.read_to_string(&mut answer))
        .await
        .expect("an answer and the end");
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    relay.stopped().await;
    relay.start_again().await;
    assert_eq!(
        relay.read("/v1/events").await["data"].as_array().map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_hold_up_a_stop() {
    let mut relay = Relay::start("").await;
    let mut idle = TcpStream::connect(relay.address())
        .await
        .expect("the relay listens");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: relay\r\n\r\n")
        .await
        .expect("a request is taken");
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.expect("an answer");
    let silent = TcpStream::connect(relay.address())
        .await
        .expect("the relay listens");
    let asked = tokio::time::Instant::now();
    relay.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    drop((idle, silent));
}

#[tokio::test]
async fn a_store_belongs_to_one_relay_at_a_time() {
    let relay = Relay::start("").await;
    let second = relay.setup().run(&["serve"]).await;
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("in use by another relay"), "{second:?}");
    relay.event("a.b", json!(1)).await;
}

/// Waits until a relay that stops has closed its listener.
async fn nobody_listens(relay: &Relay) {
    eventually("the listener to be closed", || async {
        match TcpStream::connect(relay.address()).await {
            Ok(_) => Err("connected"),
            Err(_) => Ok(()),
        }
    })
    .await;
}
