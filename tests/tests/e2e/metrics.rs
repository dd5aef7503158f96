//! `GET /metrics`: every way that events, attempts and refusals go is counted.

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::receiver::{Receiver, Reply};
use relay_tests::wait::eventually;
use serde_json::json;

async fn metrics(relay: &Relay) -> String {
    let answer = relay.admin(Method::GET, "/metrics", None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text"),
        "{answer:?}"
    );
    answer.text()
}

#[tokio::test]
async fn events_attempts_plugins_and_refusals_are_counted() {
    let receiver = Receiver::script([Reply::Status(500)]);
    let settings = r#"plugins = [{ use = "redact-fields", config = { mask = ["/phone"] } }]
           retry = { schedule = ["10ms"], jitter = 0 }"#;
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    relay.event("a.b", json!({"phone": "1"})).await;
    receiver.received(2).await;
    let wrong = [("authorization", "Bearer rk_wrong")];
    assert_eq!(
        relay.send(Method::POST, "/v1/events", &wrong, "{}").await.status,
        401
    );
    for line in [
        r#"relay_events_total{source="api",duplicate="false"} 1"#,
        r#"relay_attempts_total{endpoint="crm",outcome="failed",class="http_5xx"} 1"#,
        r#"relay_attempts_total{endpoint="crm",outcome="succeeded",class="none"} 1"#,
        r#"relay_attempt_seconds_count{endpoint="crm"} 2"#,
        // The second attempt sends what the first has frozen.
        r#"relay_plugin_seconds_count{plugin="redact-fields"} 1"#,
        r#"relay_refused_total{status="401",code="unauthenticated"} 1"#,
        "relay_attempts_in_flight 0",
        "relay_queue_deliveries 0",
        "relay_breakers_open 0",
    ] {
        eventually(line, || async {
            let text = metrics(&relay).await;
            if text.lines().any(|found| found == line) {
                Ok(())
            } else {
                Err(text)
            }
        })
        .await;
    }
}

#[tokio::test]
async fn only_who_may_read_sees_them() {
    let relay = Relay::start("").await;
    assert_eq!(relay.send(Method::GET, "/metrics", &[], "").await.status, 401);
}
