//! How it went, in numbers: the health of an endpoint, and series for charts.

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::receiver::{Receiver, Reply, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// Waits until the health of an endpoint is as wanted.
async fn health_that(relay: &Relay, path: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let is_so = &is_so;
    eventually(&format!("{path} to tell: {what}"), || async move {
        let found = relay.read(path).await;
        if is_so(&found) { Ok(found) } else { Err(found) }
    })
    .await
}

#[tokio::test]
async fn c18_an_endpoint_shows_success_share_answer_times_and_what_it_did_last() {
    let replies = [200, 500, 200, 200].map(Reply::Status);
    let receiver = Receiver::script(replies);
    let settings = "concurrency = 1\nretry = { schedule = [\"100ms\"], jitter = 0 }";
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    for number in 0..3 {
        let event = relay.event("a.b", json!(number)).await;
        relay.delivery(&event, "succeeded").await;
    }
    let health = relay.read("/v1/endpoints/crm/health").await;
    assert_eq!(health["success_rate"], json!(0.75), "{health}");
    assert_eq!(health["attempts"], json!({"success": 3, "http_5xx": 1}));
    assert_eq!(
        (&health["matched"], &health["delivered"], &health["failed"]),
        (&json!(3), &json!(3), &json!(0))
    );
    let (p50, p95) = (&health["latency_ms"]["p50"], &health["latency_ms"]["p95"]);
    assert!(
        p50.as_f64() > Some(0.0) && p95.as_f64() >= p50.as_f64(),
        "{health}"
    );
    assert!(health["last_success_at"].is_string() && health["last_failure_at"].is_string());
    assert_eq!(health["pending"]["count"], json!(0), "{health}");
    assert_eq!(
        (&health["enabled"], &health["condition"]["breaker_open"]),
        (&json!(true), &json!(false))
    );
    for window in ["24h", "7d"] {
        let same = relay
            .read(&format!("/v1/endpoints/crm/health?window={window}"))
            .await;
        assert_eq!(same["attempts"], health["attempts"], "{window}");
    }
}

#[tokio::test]
async fn m17_counters_tell_matched_delivered_failed_dropped_and_what_waits_with_its_age() {
    let (good, bad) = (Receiver::start(), Receiver::always(Reply::Status(400)));
    let config = [
        good.endpoint("good", "event_types = [\"a.*\"]"),
        bad.endpoint("bad", "retry = { schedule = [], jitter = 0 }"),
        endpoint(
            "waiting",
            &bad.url(),
            "retry = { schedule = [\"1h\"], jitter = 0 }",
        ),
    ];
    let relay = Relay::start(&config.join("\n")).await;
    for kind in ["a.b", "a.b", "x.y"] {
        relay.event(kind, json!(1)).await;
    }
    let of = |name: &str| format!("/v1/endpoints/{name}/health");
    let good = health_that(&relay, &of("good"), "2 delivered", |found| {
        found["delivered"] == 2
    })
    .await;
    assert_eq!(good["matched"], json!(2));
    let bad = health_that(&relay, &of("bad"), "3 failed", |found| found["failed"] == 3).await;
    assert_eq!(
        (&bad["matched"], &bad["attempts"]),
        (&json!(3), &json!({"http_4xx": 3}))
    );
    let is_waiting = |found: &Value| found["pending"]["count"] == 3;
    let waiting = health_that(&relay, &of("waiting"), "3 wait", is_waiting).await;
    assert!(waiting["pending"]["oldest_at"].is_string(), "{waiting}");
    assert!(
        waiting["pending"]["oldest_age_seconds"].as_u64() < Some(30),
        "{waiting}"
    );
}

#[tokio::test]
async fn v16_events_are_counted_by_type_in_series_that_outlast_a_restart() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&receiver.endpoint("crm", "event_types = [\"order.*\"]")).await;
    for kind in ["order.made", "order.paid", "chat.said"] {
        let event = relay.event(kind, json!(1)).await;
        if kind != "chat.said" {
            relay.delivery(&event, "succeeded").await;
        }
    }
    relay.stop().await;
    relay.start_again().await;
    // The minute or the hour may have ended in between.
    let sum = |series: &Value, key: &str| -> u64 {
        let points = series["data"].as_array().expect("a series has points");
        points
            .iter()
            .map(|point| point[key].as_u64().unwrap_or_default())
            .sum()
    };
    let all = relay.read("/v1/stats?step=1m").await;
    assert_eq!(
        (sum(&all, "events"), sum(&all, "matched"), sum(&all, "delivered")),
        (3, 2, 2)
    );
    let orders = relay.read("/v1/stats?type=order.*&step=1h").await;
    assert_eq!((sum(&orders, "events"), sum(&orders, "delivered")), (2, 2));
    let paid = relay.read("/v1/stats?type=order.paid&endpoint=crm&step=1m").await;
    assert_eq!((sum(&paid, "events"), sum(&paid, "matched")), (0, 1), "{paid}");
}

#[tokio::test]
async fn v16_what_makes_no_sense_is_refused_with_what_does() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    for (path, status, says) in [
        ("/v1/stats?step=1s", 400, "1m or 1h"),
        ("/v1/stats?typ=a.b", 400, "typ"),
        ("/v1/stats?type=a*", 400, "whole segments"),
        (
            "/v1/stats?step=1m&since=2020-01-01T00:00:00Z",
            400,
            "too far back",
        ),
        ("/v1/stats?endpoint=nobody", 404, "nobody"),
        ("/v1/endpoints/crm/health?window=2h", 400, "1h, 24h or 7d"),
        ("/v1/endpoints/nobody/health", 404, "nobody"),
    ] {
        let answer = relay.admin(Method::GET, path, None).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        let problem = answer.problem();
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains(says)),
            "{problem}"
        );
    }
}
