//! Events that are fetched instead of being sent.

use std::time::Duration;

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::receiver::Receiver;
use serde_json::{Value, json};

const POLL: &str = "/v1/endpoints/desk/poll";
const DESK: &str = "[[endpoint]]\nname = \"desk\"\ndelivery = \"poll\"\nevent_types = [\"a.*\"]\n";

async fn acknowledge(relay: &Relay, ids: &[&Value]) -> Value {
    let answer = relay
        .admin(Method::POST, &format!("{POLL}/ack"), Some(json!({"ids": ids})))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["acknowledged"].take()
}

fn data(batch: &Value) -> Vec<&Value> {
    let items = batch["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|one| &one["event"]["data"]).collect()
}

#[tokio::test]
async fn m16_events_are_fetched_again_until_they_are_acknowledged() {
    let mut relay = Relay::start(DESK).await;
    for number in 0..3 {
        let event = relay.event("a.b", json!(number)).await;
        relay.delivery(&event, "pending").await;
    }
    relay.event("x.y", json!("not wanted")).await;
    let first = relay.read(&format!("{POLL}?limit=2")).await;
    assert_eq!(data(&first), [&json!(0), &json!(1)]);
    let event = &first["data"][0]["event"];
    assert_eq!(
        (&event["specversion"], &event["type"]),
        (&json!("1.0"), &json!("a.b"))
    );
    let cursor = first["next_cursor"].as_str().expect("there is a last one");
    assert_eq!(
        data(&relay.read(&format!("{POLL}?cursor={cursor}")).await),
        [&json!(2)]
    );
    relay.stop().await;
    relay.start_again().await;
    let again = relay.read(POLL).await;
    assert_eq!(data(&again), [&json!(0), &json!(1), &json!(2)]);
    let ids: Vec<&Value> = again["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(acknowledge(&relay, &ids[..2]).await, json!(2));
    assert_eq!(acknowledge(&relay, &ids[..2]).await, json!(0));
    assert_eq!(data(&relay.read(POLL).await), [&json!(2)]);
    assert_eq!(relay.count("desk", "succeeded").await, 2);
    let health = relay.read("/v1/endpoints/desk/health").await;
    assert_eq!(
        (&health["delivered"], &health["pending"]["count"]),
        (&json!(2), &json!(1)),
        "{health}"
    );
}

#[tokio::test]
async fn v11_a_call_waits_for_what_comes_next() {
    let relay = Relay::start(DESK).await;
    let path = format!("{POLL}?wait=20s");
    let begun = tokio::time::Instant::now();
    let (batch, ()) = tokio::join!(relay.read(&path), async {
        // Whichever is first: what is there already is found as well.
        relay.event("a.b", json!("fresh")).await;
    });
    assert_eq!(data(&batch), [&json!("fresh")]);
    assert!(begun.elapsed() < Duration::from_secs(15));
    let cursor = batch["next_cursor"].as_str().expect("there is a last one");
    let none = relay.read(&format!("{POLL}?cursor={cursor}")).await;
    assert_eq!(none, json!({"data": [], "next_cursor": null}));
}

#[tokio::test]
async fn v11_what_says_how_to_send_is_refused_where_nothing_is_sent() {
    let receiver = Receiver::start();
    let relay = Relay::start(&format!("{DESK}\n{}", receiver.endpoint("crm", ""))).await;
    let answer = relay.admin(Method::GET, "/v1/endpoints/crm/poll", None).await;
    assert_eq!(
        (answer.status, &answer.problem()["code"]),
        (409, &json!("not_polled"))
    );
    let keys = json!({"name": "two", "delivery": "poll", "url": receiver.url(), "timeout": "5s"});
    let answer = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    let problem = answer.problem();
    let errors = problem["errors"].as_array().map(Vec::len);
    assert_eq!(errors, Some(2), "{problem}");
    for path in ["wait=21s", "cursor=x", "limit=0"] {
        let answer = relay.admin(Method::GET, &format!("{POLL}?{path}"), None).await;
        assert_eq!(answer.status, 400, "{path}");
    }
    let secret = relay.admin(Method::GET, "/v1/endpoints/desk/secret", None).await;
    assert_eq!(
        secret.status,
        200,
        "what is fetched is signed, too: {}",
        secret.text()
    );
    let diagnosis = relay
        .admin(Method::POST, "/v1/endpoints/desk/diagnose", None)
        .await;
    assert_eq!(
        (diagnosis.status, &diagnosis.problem()["detail"]),
        (409, &json!("nothing is sent to it: it is polled"))
    );
    assert_eq!(relay.read("/v1/lints?endpoint=desk").await["data"], json!([]));
}
