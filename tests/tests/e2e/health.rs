//! What becomes of an endpoint whose receiver fails for long, or asks for fewer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::receiver::{Closed, Receiver, Reply, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// How much earlier than asked a request may seem to come, for clocks of two processes.
const SLACK: Duration = Duration::from_millis(20);

/// An endpoint as the API lists it.
async fn listed(relay: &Relay, name: &str) -> Value {
    let list = relay.read("/v1/endpoints").await["data"].take();
    let found = list
        .as_array()
        .and_then(|list| list.iter().find(|one| one["name"] == name));
    found
        .cloned()
        .unwrap_or_else(|| panic!("{name} is not in {list}"))
}

/// Waits until an endpoint is listed as wanted.
async fn listed_that(relay: &Relay, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let is_so = &is_so;
    eventually(&format!("{name} to be: {what}"), || async move {
        let found = listed(relay, name).await;
        if is_so(&found) { Ok(found) } else { Err(found) }
    })
    .await
}

async fn switch(relay: &Relay, name: &str, enabled: bool) {
    let path = format!("/v1/endpoints/{name}");
    let answer = relay
        .admin(Method::PATCH, &path, Some(json!({"enabled": enabled})))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn metrics(relay: &Relay) -> String {
    relay.admin(Method::GET, "/metrics", None).await.text()
}

fn retry(delay: &str) -> String {
    format!("retry = {{ schedule = {:?}, jitter = 0 }}", vec![delay; 50])
}

#[tokio::test]
async fn v7_an_endpoint_that_only_fails_is_disabled_and_gets_everything_once_it_is_back() {
    const EVENTS: usize = 12;
    let is_back = Arc::new(AtomicBool::new(false));
    let script = Arc::clone(&is_back);
    let receiver = Receiver::answering(move |_, _| match script.load(Ordering::SeqCst) {
        true => Reply::After(Duration::from_millis(5)),
        false => Reply::Status(500),
    });
    // Long enough that a machine which stands still for a moment does not miss what is said on the way.
    let settings = format!("disable_after = \"5s\"\nconcurrency = 2\n{}", retry("250ms"));
    let relay = Relay::start(&receiver.endpoint("crm", &settings)).await;
    for number in 0..EVENTS {
        relay.event("a.b", json!(number)).await;
    }
    let disabled = listed_that(&relay, "crm", "disabled", |one| one["enabled"] == false).await;
    let reason = disabled["disabled"]["reason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("nothing but failures since ") && reason.contains("500"),
        "{disabled}"
    );
    assert!(
        disabled["condition"]["failures"].as_u64() >= Some(20),
        "{disabled}"
    );
    relay.logged("percent=50").await;
    relay.logged("percent=80").await;
    let text = metrics(&relay).await;
    for change in ["failing_50", "failing_80", "disabled"] {
        let line = format!(r#"relay_endpoint_changes_total{{endpoint="crm",change="{change}"}} 1"#);
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    eventually("all to wait", || async {
        match relay.count("crm", "pending").await {
            EVENTS => Ok(()),
            pending => Err(pending),
        }
    })
    .await;

    is_back.store(true, Ordering::SeqCst);
    let failed = receiver.requests().len();
    switch(&relay, "crm", true).await;
    let requests = receiver.received(failed + EVENTS).await;
    assert_eq!(requests.len(), failed + EVENTS, "each of them once");
    assert!(receiver.busy_max() <= 2, "{}", receiver.busy_max());
    let well = listed_that(&relay, "crm", "well", |one| one["condition"]["failures"] == 0).await;
    assert_eq!(
        (&well["enabled"], &well["disabled"]),
        (&json!(true), &Value::Null)
    );
}

#[tokio::test]
async fn how_long_a_receiver_has_failed_outlasts_a_restart() {
    let closed = Closed::new();
    let mut relay = Relay::start(&endpoint("crm", &closed.url(), &retry("1h"))).await;
    relay.event("a.b", json!(1)).await;
    let failing = |one: &Value| !one["condition"]["failing_since"].is_null();
    let before = listed_that(&relay, "crm", "failing", failing).await;
    relay.stop().await;
    relay.start_again().await;
    let after = listed(&relay, "crm").await;
    assert_eq!(
        after["condition"]["failing_since"],
        before["condition"]["failing_since"]
    );
    assert_eq!(after["condition"]["failures"], 1, "{after}");
}

#[tokio::test]
async fn what_is_too_old_is_not_sent_unless_someone_asks_for_it() {
    let waiting = Receiver::start();
    let failing = Receiver::always(Reply::Status(500));
    let old = |delay: &str, age: &str| {
        format!(
            "retry = {{ schedule = {:?}, max_age = \"{age}\" }}",
            vec![delay; 50]
        )
    };
    // Once the second gives up, what the first waits with is too old for sure.
    let config =
        waiting.endpoint("waiting", &old("1h", "1s")) + &failing.endpoint("failing", &old("100ms", "2s"));
    let relay = Relay::start(&config).await;
    switch(&relay, "waiting", false).await;
    let event = relay.event("a.b", json!(1)).await;
    let of = |name: &'static str| {
        let (relay, event) = (&relay, &event);
        move || async move {
            let mut deliveries = relay.deliveries(event).await.into_iter();
            let found = deliveries.find(|delivery| delivery["endpoint_name"] == name);
            let found = found.expect("both endpoints want it");
            if found["status"] == "pending" {
                Err(found)
            } else {
                Ok(found)
            }
        }
    };
    let delivery = eventually("the failing one to give up", of("failing")).await;
    assert_eq!(delivery["status"], "failed");
    let reason = delivery["reason"].as_str().unwrap_or_default();
    // It was noticed after an attempt, or before the next one.
    let noticed = reason.contains("500") && reason.contains("too old");
    assert!(noticed || reason.contains("it was older"), "{delivery}");
    assert!(failing.requests().len() < 50, "before its schedule was used up");

    switch(&relay, "waiting", true).await;
    let delivery = eventually("the other one to give up", of("waiting")).await;
    assert_eq!(
        (&delivery["status"], &delivery["attempts"]),
        (&json!("failed"), &json!(0))
    );
    assert!(
        delivery["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("max_age")),
        "{delivery}"
    );
    assert_eq!(waiting.requests().len(), 0);
    let text = metrics(&relay).await;
    assert!(
        text.contains(r#"relay_deliveries_expired_total{endpoint="waiting"} 1"#),
        "{text}"
    );

    let id = delivery["id"].as_str().expect("an id");
    let asked = relay
        .admin(Method::POST, &format!("/v1/deliveries/{id}/retry"), None)
        .await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    waiting.received(1).await;
}

#[tokio::test]
async fn v9_a_receiver_that_asks_for_fewer_gets_nothing_until_then_and_everything_in_the_end() {
    const EVENTS: usize = 5;
    let receiver = Receiver::script([Reply::with_header(429, "retry-after", "2")]);
    let other = Receiver::start();
    let config = receiver.endpoint("crm", &retry("10ms")) + &other.endpoint("other", "");
    let relay = Relay::start(&config).await;
    relay.event("a.b", json!(0)).await;
    let held = listed_that(&relay, "crm", "held", |one| {
        !one["condition"]["held_until"].is_null()
    })
    .await;
    assert!(
        held["condition"]["rate"].as_f64().is_some_and(|rate| rate > 0.0),
        "{held}"
    );
    for number in 1..EVENTS {
        relay.event("a.b", json!(number)).await;
    }
    other.received(EVENTS).await;
    assert_eq!(receiver.requests().len(), 1, "it asked for two seconds");
    let text = metrics(&relay).await;
    assert!(text.contains("relay_endpoints_slowed 1\n"), "{text}");
    let requests = receiver.received(EVENTS + 1).await;
    assert!(requests[1].at - requests[0].at + SLACK >= Duration::from_secs(2));
}
