//! Why an event went to an endpoint, or did not.

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::receiver::{Receiver, Reply};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

const SHOP: &str = "[[source]]\nname = \"shop\"\nverify = { scheme = \"none\" }\n";

/// What is told of an event at one endpoint.
async fn explained(relay: &Relay, event: &str, endpoint: &str) -> Value {
    let told = relay
        .read(&format!("/v1/events/{event}/explain?endpoint={endpoint}"))
        .await;
    assert_eq!(told["data"].as_array().map(Vec::len), Some(1), "{told}");
    told["data"][0].clone()
}

fn answers(told: &Value) -> Vec<(&str, &str)> {
    let steps = told["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    steps
        .iter()
        .map(|step| {
            (
                step["check"].as_str().unwrap_or_default(),
                step["answer"].as_str().unwrap_or_default(),
            )
        })
        .collect()
}

async fn make(relay: &Relay, keys: Value) {
    let answer = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[tokio::test]
async fn u16_the_failing_clause_is_named_for_each_endpoint() {
    let receiver = Receiver::start();
    let config = receiver.endpoint("taken", "event_types = [\"order.*\"]")
        + &receiver.endpoint("typed", "event_types = [\"invoice.*\"]")
        + &receiver.endpoint("sourced", "sources = [\"shop\"]")
        + SHOP
        + &receiver.endpoint(
            "filtered",
            "filter = { data = { total = [{ numeric = [\">\", 100] }] } }",
        );
    let relay = Relay::start(&config).await;
    let event = relay.event("order.paid", json!({"total": 7})).await;
    relay.delivery(&event, "succeeded").await;
    let all = relay.read(&format!("/v1/events/{event}/explain")).await;
    assert_eq!(all["data"].as_array().map(Vec::len), Some(4), "{all}");

    let taken = explained(&relay, &event, "taken").await;
    assert_eq!(
        (&taken["matched"], &taken["summary"]),
        (&json!(true), &json!("delivered"))
    );
    assert_eq!(
        (&taken["delivery"]["status"], &taken["attempts"][0]["number"]),
        (&json!("succeeded"), &json!(1))
    );
    let typed = explained(&relay, &event, "typed").await;
    assert_eq!(
        answers(&typed),
        [
            ("existed", "yes"),
            ("source", "yes"),
            ("event_type", "no"),
            ("filter", "not_asked")
        ]
    );
    let sourced = explained(&relay, &event, "sourced").await;
    assert_eq!(answers(&sourced)[1], ("source", "no"));
    let filtered = explained(&relay, &event, "filtered").await;
    assert_eq!(answers(&filtered)[3], ("filter", "no"), "{filtered}");
    let clause = json!({
        "field": "/data/total", "operators": ["numeric"], "wanted": "[{\"numeric\":[\">\",100]}]", "found": "7",
    });
    assert_eq!(filtered["steps"][3]["clause"], clause);
    assert!(
        filtered["summary"]
            .as_str()
            .is_some_and(|text| text.contains("/data/total"))
    );
}

#[tokio::test]
async fn u16_then_and_now_are_told_apart() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    make(
        &relay,
        json!({"name": "old", "url": receiver.url(), "event_types": ["a.b"]}),
    )
    .await;
    let event = relay.event("a.b", json!(1)).await;
    relay.delivery(&event, "succeeded").await;
    let narrowed = json!({"event_types": ["x.y"]});
    relay
        .admin(Method::PATCH, "/v1/endpoints/old", Some(narrowed))
        .await;
    make(&relay, json!({"name": "new", "url": receiver.url()})).await;
    let old = explained(&relay, &event, "old").await;
    assert_eq!(
        (&old["matched"], &old["matches_now"]),
        (&json!(true), &json!(false))
    );
    let summary = old["summary"].as_str().unwrap_or_default();
    assert!(
        summary.starts_with("delivered") && summary.contains("would not want it"),
        "{old}"
    );
    let new = explained(&relay, &event, "new").await;
    assert_eq!(
        (&new["matched"], &new["matches_now"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(answers(&new)[0], ("existed", "no"));
    assert!(
        new["summary"]
            .as_str()
            .is_some_and(|text| text.contains("did not exist")),
        "{new}"
    );

    relay.admin(Method::DELETE, "/v1/endpoints/old", None).await;
    let all = relay.read(&format!("/v1/events/{event}/explain")).await;
    let gone = &all["data"][1];
    assert_eq!(
        (&gone["endpoint_name"], &gone["delivery"]["status"]),
        (&Value::Null, &json!("succeeded")),
        "{all}"
    );
}

#[tokio::test]
async fn m24_a_delivery_that_waits_says_what_for() {
    let failing = Receiver::always(Reply::Status(500));
    let config = failing.endpoint("failing", "retry = { schedule = [\"1h\"], jitter = 0 }")
        + &failing.endpoint("off", "enabled = false");
    let relay = Relay::start(&config).await;
    let event = relay.event("a.b", json!(1)).await;
    let failing = eventually("the first attempt", || async {
        let told = explained(&relay, &event, "failing").await;
        if told["waits"]["reason"] == "retry" {
            Ok(told)
        } else {
            Err(told)
        }
    })
    .await;
    assert!(failing["waits"]["until"].is_string(), "{failing}");
    assert_eq!(failing["attempts"][0]["error_class"], "http_5xx");
    let off = explained(&relay, &event, "off").await;
    assert_eq!(off["waits"]["reason"], "disabled", "{off}");
    assert!(
        off["summary"]
            .as_str()
            .is_some_and(|text| text.contains("disabled")),
        "{off}"
    );
}

#[tokio::test]
async fn u16_a_drop_names_the_plugin() {
    let receiver = Receiver::start();
    let settings =
        "[[endpoint.plugins]]\nuse = \"filter-expression\"\nconfig = { expression = \"event.data.n > 5\" }";
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    let event = relay.event("a.b", json!({"n": 1})).await;
    relay.delivery(&event, "dropped").await;
    let told = explained(&relay, &event, "crm").await;
    assert!(
        told["summary"]
            .as_str()
            .is_some_and(|text| text.contains("dropped by filter-expression")),
        "{told}"
    );
}

#[tokio::test]
async fn u16_many_endpoints_come_in_pages() {
    let receiver = Receiver::start();
    let config: String = (0..5).map(|n| receiver.endpoint(&format!("e{n}"), "")).collect();
    let relay = Relay::start(&config).await;
    let event = relay.event("a.b", json!(1)).await;
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = relay
            .read(&format!("/v1/events/{event}/explain?limit=2{cursor}"))
            .await;
        let told = page["data"].as_array().expect("a list");
        assert!(told.len() <= 2);
        names.extend(
            told.iter()
                .map(|one| one["endpoint_name"].as_str().unwrap_or_default().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    names.sort();
    assert_eq!(names, ["e0", "e1", "e2", "e3", "e4"]);
    let unknown = relay
        .admin(Method::GET, "/v1/events/evt_0000000000000/explain", None)
        .await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn u16_a_filter_is_tried_on_an_event_that_came_or_is_made_up() {
    let relay = Relay::start("").await;
    let event = relay.event("a.b", json!({"total": 7})).await;
    let filter = json!({"data": {"total": [{"numeric": [">", 100]}]}});
    let try_on = async |event: Value| {
        let asked = json!({"filter": filter, "event": event});
        relay.admin(Method::POST, "/v1/filters/test", Some(asked)).await
    };
    let known = try_on(json!(event)).await.json();
    assert_eq!(
        (&known["matches"], &known["clause"]["found"]),
        (&json!(false), &json!("7")),
        "{known}"
    );
    let made_up = try_on(json!({"type": "a.b", "data": {"total": 101}}))
        .await
        .json();
    assert_eq!(
        (&made_up["matches"], &made_up["clause"]),
        (&json!(true), &Value::Null)
    );
    let bad = json!({"filter": {"data": {"total": 7}}, "event": {"type": "a.b"}});
    let refused = relay.admin(Method::POST, "/v1/filters/test", Some(bad)).await;
    assert_eq!(
        (refused.status, &refused.problem()["errors"][0]["pointer"]),
        (422, &json!("/filter/data/total"))
    );
}
