//! `POST /v1/events`: what is accepted, what is the same event, what stays as it was written.

use std::time::{Duration, Instant};

use relay_tests::instance::{Relay, accepted};
use relay_tests::receiver::{Receiver, Reply};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn u3_an_event_is_accepted_and_delivered() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let answer = relay
        .post_events(&[JSON], r#"{"type": "invoice.paid", "data": {"amount": 12}}"#)
        .await;
    let id = accepted(&answer);
    assert_eq!(answer.json(), json!({"id": id, "duplicate": false}));
    let request = receiver.received(1).await.remove(0);
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/hook")
    );
    let body = request.json();
    assert_eq!(
        (&body["type"], &body["data"]),
        (&json!("invoice.paid"), &json!({"amount": 12}))
    );
    relay.delivery(&id, "succeeded").await;
}

#[tokio::test]
async fn m20_the_same_id_is_one_event() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let body = r#"{"type": "a.b", "id": "order-1", "data": 1}"#;
    let first = relay.post_events(&[JSON], body).await;
    let second = relay
        .post_events(&[JSON], r#"{"type": "a.c", "id": "order-1", "data": 2}"#)
        .await;
    assert_eq!(second.status, 202);
    assert_eq!(second.json(), json!({"id": accepted(&first), "duplicate": true}));
    let elsewhere = relay
        .post_events(
            &[JSON],
            r#"{"type": "a.b", "id": "order-1", "source": "/shop", "data": 3}"#,
        )
        .await;
    assert_eq!(
        elsewhere.json()["duplicate"],
        false,
        "an id is unique only within its source"
    );
    let bodies = receiver.received(2).await;
    relay.delivery(&accepted(&elsewhere), "succeeded").await;
    let data: Vec<Value> = bodies
        .iter()
        .map(|request| request.json()["data"].clone())
        .collect();
    assert_eq!(data, [1, 3]);
    assert_eq!(relay.count("crm", "succeeded").await, 2);
}

#[tokio::test]
async fn posts_of_one_id_at_the_same_time_are_one_event() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let post = || relay.post_events(&[JSON], r#"{"type": "a.b", "id": "once", "data": 1}"#);
    let answers = tokio::join!(post(), post(), post(), post(), post(), post(), post(), post());
    let answers: [_; 8] = answers.into();
    let fresh = answers
        .iter()
        .filter(|answer| answer.json()["duplicate"] == false)
        .count();
    assert_eq!(fresh, 1);
    let ids: std::collections::HashSet<String> = answers.iter().map(accepted).collect();
    assert_eq!(ids.len(), 1);
    relay.delivery(&accepted(&answers[0]), "succeeded").await;
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn v10_a_request_repeated_with_its_idempotency_key_does_nothing_twice() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let post = async |key: &str| {
        relay
            .post_events(&[JSON, ("idempotency-key", key)], r#"{"type": "a.b", "data": 1}"#)
            .await
    };
    let (first, again, other) = (post("k1").await, post("k1").await, post("k2").await);
    assert_eq!(again.json(), json!({"id": accepted(&first), "duplicate": true}));
    assert_eq!(other.json()["duplicate"], false);
    assert_ne!(accepted(&other), accepted(&first));
    relay.delivery(&accepted(&first), "succeeded").await;
    relay.delivery(&accepted(&other), "succeeded").await;
    assert_eq!(receiver.requests().len(), 2);
}

#[tokio::test]
async fn data_is_delivered_byte_for_byte() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    // Numbers beyond 64 bits, a zero that matters, escapes, order, doubled keys, white space:
    // whoever parses and writes this anew changes it.
    let data =
        r#"{"z":1.0,"a": 123456789012345678901234567890,"e":1E+2,"s":"caf\u00e9 \/ \ud83d\ude00","z":-0}"#;
    let answer = relay
        .post_events(&[JSON], format!(r#"{{"type":"a.b","data":{data}}}"#))
        .await;
    let request = receiver.received(1).await.remove(0);
    assert!(
        request.text().ends_with(&format!(r#""data":{data}}}"#)),
        "{}",
        request.text()
    );
    let payload = relay
        .admin(
            http::Method::GET,
            &format!("/v1/events/{}/payload", accepted(&answer)),
            None,
        )
        .await;
    assert_eq!(payload.text(), data);
    assert_eq!(payload.header("content-type"), "application/octet-stream");
}

#[tokio::test]
async fn cloudevents_come_structured_binary_and_in_batches() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "format = \"cloudevents\"")).await;
    let event = |id: &str| {
        json!({
            "specversion": "1.0", "id": id, "source": "/shop", "type": "order.placed", "subject": "o1",
            "time": "2026-01-31T15:04:05.250Z", "region": "eu", "datacontenttype": "application/json", "data": {"n": 1},
        })
    };
    let structured = [("content-type", "application/cloudevents+json; charset=utf-8")];
    let batched = [("content-type", "application/cloudevents-batch+json")];
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "b"),
        ("ce-source", "/shop"),
        ("ce-type", "order.placed"),
        ("ce-subject", "o1"),
        ("ce-time", "2026-01-31T15:04:05.250Z"),
        ("ce-region", "eu"),
        JSON,
    ];
    accepted(&relay.post_events(&structured, event("s").to_string()).await);
    accepted(&relay.post_events(&binary, r#"{"n": 1}"#).await);
    let batch = relay
        .post_events(&batched, json!([event("x"), event("y"), event("x")]).to_string())
        .await;
    let list = batch.json()["data"].take();
    assert_eq!(batch.status, 202);
    let duplicates: Vec<&Value> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| &item["duplicate"])
        .collect();
    assert_eq!(duplicates, [false, false, true]);
    assert_eq!(list[0]["id"], list[2]["id"]);
    let mut sent: Vec<Value> = receiver
        .received(4)
        .await
        .iter()
        .map(|request| request.json())
        .collect();
    sent.sort_by_key(|event| event["id"].to_string());
    assert_eq!(sent, ["b", "s", "x", "y"].map(event));
}

#[tokio::test]
async fn a_batch_is_accepted_whole_or_not_at_all() {
    let relay = Relay::start("").await;
    let good = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "a.b"});
    let bad = json!({"specversion": "1.0", "id": "2", "source": "s"});
    let answer = relay
        .post_events(
            &[("content-type", "application/cloudevents-batch+json")],
            json!([good, bad]).to_string(),
        )
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.problem()["errors"][0]["pointer"], "/1/type");
    assert_eq!(relay.read("/v1/events").await["data"], json!([]));
}

#[tokio::test]
async fn c7_v12_an_event_goes_to_the_endpoints_that_want_it() {
    let receiver = Receiver::start();
    let named = |name: &str, wants: &str| {
        relay_tests::receiver::endpoint(name, &format!("{}/{name}", receiver.url()), wants)
    };
    let config = [
        named("all", ""),
        named("messages", r#"event_types = ["message.*"]"#),
        named("middle", r#"event_types = ["message.*.failed"]"#),
        named(
            "large",
            r#"filter = { data = { amount = [{ numeric = [">", 100] }] } }"#,
        ),
        named("off", "enabled = false"),
    ]
    .concat();
    let relay = Relay::start(&config).await;
    let cases = [
        ("message.received", 5, vec!["all", "messages"]),
        (
            "message.sms.failed",
            500,
            vec!["all", "large", "messages", "middle"],
        ),
        ("invoice.paid", 101, vec!["all", "large"]),
    ];
    for (kind, amount, endpoints) in cases {
        let before = receiver.requests().len();
        let event = relay.event(kind, json!({"amount": amount})).await;
        let requests = receiver.received(before + endpoints.len()).await;
        let mut paths: Vec<&str> = requests[before..]
            .iter()
            .map(|request| request.path.as_str())
            .collect();
        paths.sort_unstable();
        let wanted: Vec<String> = endpoints.iter().map(|name| format!("/hook/{name}")).collect();
        assert_eq!(paths, wanted, "{kind}");
        let mut planned: Vec<String> = relay
            .deliveries(&event)
            .await
            .iter()
            .map(|delivery| text(&delivery["endpoint_name"]))
            .collect();
        planned.sort_unstable();
        let mut all = endpoints;
        all.push("off");
        all.sort_unstable();
        assert_eq!(planned, all, "what a disabled endpoint wants waits for it");
    }
}

#[tokio::test]
async fn w19_m23_a_sender_has_its_answer_long_before_the_receiver_gives_one() {
    let receiver = Receiver::always(Reply::Held);
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let mut fastest = Duration::MAX;
    for n in 0..20 {
        let asked = Instant::now();
        relay.event("a.b", json!(n)).await;
        fastest = fastest.min(asked.elapsed());
    }
    // A tenth of that where nothing else runs; what counts is that nobody waits for the receiver.
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
    receiver.received(20).await;
    assert_eq!(
        relay.count("crm", "succeeded").await,
        0,
        "not one was answered yet"
    );
    receiver.release();
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
