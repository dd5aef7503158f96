//! Several events in one request.

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::receiver::{Receiver, Reply};
use serde_json::{Value, json};

/// Posts events of these types at once; their ids.
async fn post(relay: &Relay, types: &[&str]) -> Vec<String> {
    let events = types.iter().enumerate().map(|(number, kind)| {
        json!({
            "specversion": "1.0", "id": format!("{kind}-{number}"), "source": "shop", "type": kind,
            "data": {"n": number},
        })
    });
    let events = Value::Array(events.collect());
    let headers = [("content-type", "application/cloudevents-batch+json")];
    let answer = relay.post_events(&headers, events.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let accepted = answer.json();
    let ids = accepted["data"].as_array().into_iter().flatten();
    ids.map(|one| one["id"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn u12_several_events_go_in_one_request_and_each_has_its_record() {
    let receiver = Receiver::start();
    let batch = "batch = { events_max = 3, wait = \"5m\" }";
    let relay = Relay::start(&receiver.endpoint("bulk", batch)).await;
    let events = post(&relay, &["a.a", "a.b", "a.c"]).await;
    let sent = receiver.received(1).await.remove(0);
    sent.verify(&relay.secret("bulk").await).expect("it is signed");
    assert_eq!(sent.header("content-type"), "application/json");
    let bodies = sent.json();
    let types: Vec<_> = bodies.as_array().into_iter().flatten().collect();
    let types: Vec<_> = types.iter().map(|body| &body["type"]).collect();
    assert_eq!(types, ["a.a", "a.b", "a.c"]);
    assert!(sent.header("webhook-id").starts_with("batch_"));
    let mut ids = Vec::new();
    for event in &events {
        let delivery = relay.delivery(event, "succeeded").await;
        let id = delivery["id"].as_str().unwrap_or_default();
        ids.push(id.replace("dlv_", "msg_"));
        let attempts = relay.attempts(&delivery).await;
        assert_eq!(attempts.len(), 1, "{attempts:?}");
        assert_eq!(attempts[0]["outcome"]["status"], 200);
    }
    assert_eq!(sent.header("relay-message-ids"), ids.join(","));
    // A test is what would be sent of one event.
    let tested = relay
        .admin(
            Method::POST,
            "/v1/endpoints/bulk/test",
            Some(json!({"type": "a.b"})),
        )
        .await;
    assert_eq!(tested.status, 200, "{}", tested.text());
    let sent = receiver.received(2).await.remove(1).json();
    assert_eq!((&sent[0]["type"], &sent[1]), (&json!("a.b"), &Value::Null));
}

#[tokio::test]
async fn u12_what_failed_together_comes_again_together() {
    let receiver = Receiver::script([Reply::Status(500)]);
    let settings =
        "format = \"cloudevents\"\nbatch = { wait = \"300ms\" }\nretry = { schedule = [\"100ms\"] }";
    let relay = Relay::start(&receiver.endpoint("bulk", settings)).await;
    let events = post(&relay, &["a.a", "a.b"]).await;
    let sent = receiver.received(2).await;
    assert_eq!(
        sent[0].header("content-type"),
        "application/cloudevents-batch+json; charset=utf-8"
    );
    assert_eq!(sent[0].json()[1]["id"], "a.b-1");
    assert_eq!(sent[0].body, sent[1].body);
    assert_eq!(sent[0].header("webhook-id"), sent[1].header("webhook-id"));
    for event in &events {
        let delivery = relay.delivery(event, "succeeded").await;
        assert_eq!(delivery["attempts"], 2, "{delivery}");
    }
}

#[tokio::test]
async fn u12_what_waits_for_others_outlasts_a_restart() {
    let receiver = Receiver::start();
    let batch = "batch = { events_max = 2, wait = \"5m\" }";
    let mut relay = Relay::start(&receiver.endpoint("bulk", batch)).await;
    post(&relay, &["a.a"]).await;
    relay.stop().await;
    relay.start_again().await;
    post(&relay, &["a.b"]).await;
    let sent = receiver.received(1).await.remove(0).json();
    assert_eq!(sent.as_array().map(Vec::len), Some(2), "{sent}");
    for (keys, pointer) in [
        (json!({"format": "cloudevents-binary", "batch": {}}), "/batch"),
        (json!({"batch": {"events_max": 1}}), "/batch/events_max"),
        (json!({"batch": {"wait": "1h"}}), "/batch/wait"),
    ] {
        let mut keys = keys;
        keys["name"] = json!("other");
        keys["url"] = json!(receiver.url());
        let refused = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
        let problem = refused.problem();
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test]
async fn c23_events_go_into_databases_by_lines_and_lists() {
    let (search, table) = (Receiver::start(), Receiver::start());
    let lines = "batch = { events_max = 3, wait = \"5m\", body = \"lines\" }\nplugins = [{ use = \"index-documents\", config = { index = \"orders\", fields = { type = \"{{event.type}}\", n = \"{{/n}}\" } } }]";
    let rows = "batch = { events_max = 3, wait = \"5m\" }\nformat = \"raw\"";
    let config = search.endpoint("search", lines) + &table.endpoint("table", rows);
    let relay = Relay::start(&config).await;
    post(&relay, &["a.a", "a.b", "a.c"]).await;
    let sent = search.received(1).await.remove(0);
    sent.verify(&relay.secret("search").await).expect("it is signed");
    assert_eq!(sent.header("content-type"), "application/x-ndjson");
    let document = |number: usize, kind: &str| {
        format!(
            "{{\"create\":{{\"_index\":\"orders\",\"_id\":\"shop:{kind}-{number}\"}}}}\n{{\"n\":{number},\"type\":\"{kind}\"}}\n"
        )
    };
    let documents = document(0, "a.a") + &document(1, "a.b") + &document(2, "a.c");
    assert_eq!(sent.text(), documents);
    // What takes rows takes a list of them as well.
    let sent = table.received(1).await.remove(0);
    assert_eq!(sent.json(), json!([{"n": 0}, {"n": 1}, {"n": 2}]));
    let refused = relay
        .admin(
            Method::POST,
            "/v1/endpoints",
            Some(json!({"name": "x", "url": table.url(), "batch": {"body": "rows"}})),
        )
        .await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("/batch/body"), "{}", refused.text());
}
