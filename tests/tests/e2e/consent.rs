//! Receivers that want to be asked before they get events.

use http::Method;
use relay_tests::instance::{Relay, Setup};
use relay_tests::receiver::{Receiver, Reply, Request};
use relay_tests::wait::eventually;
use serde_json::json;

const SETTINGS: &str = "consent_origin = \"relay.example.com\"\n";

/// Answers `OPTIONS` with these headers, and everything else with 200.
fn consenting(headers: &[(&str, &str)]) -> Receiver {
    let headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Receiver::answering(move |request, _| match request.method.as_str() {
        "OPTIONS" => answer(headers.clone()),
        _ => Reply::Status(200),
    })
}

fn answer(headers: Vec<(String, String)>) -> Reply {
    Reply::Full {
        status: 200,
        headers,
        body: String::new(),
    }
}

fn count(requests: &[Request], method: &str) -> usize {
    requests.iter().filter(|request| request.method == method).count()
}

#[tokio::test]
async fn without_consent_nothing_is_sent_and_the_attempt_says_why() {
    let receiver = Receiver::answering(|_, number| match number {
        0 => Reply::Status(200),
        1 => Reply::with_header(200, "webhook-allowed-origin", "other.example.com"),
        2 => Reply::with_header(405, "webhook-allowed-origin", "Relay.Example.com"),
        _ => Reply::Status(200),
    });
    let settings = format!("{SETTINGS}retry = {{ schedule = [\"1ms\", \"1ms\"], jitter = 0 }}");
    let relay = Relay::start(&receiver.endpoint("crm", &settings)).await;
    let event = relay.event("a.b", json!(1)).await;
    let delivery = relay.delivery(&event, "succeeded").await;
    let attempts = relay.attempts(&delivery).await;
    for (attempt, told) in attempts
        .iter()
        .zip(["has no webhook-allowed-origin", "is another than"])
    {
        assert_eq!(attempt["error_class"], "blocked", "{attempt}");
        let reason = attempt["outcome"]["reason"].as_str().unwrap_or_default();
        assert!(
            reason.contains("did not consent") && reason.contains(told),
            "{attempt}"
        );
    }
    let requests = receiver.requests();
    let methods: Vec<&str> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["OPTIONS", "OPTIONS", "OPTIONS", "POST"]);
}

#[tokio::test]
async fn a_receiver_that_consents_is_asked_once() {
    let receiver = consenting(&[("webhook-allowed-origin", "relay.example.com")]);
    let settings = format!("{SETTINGS}rate_limit = \"100/s\"\nheaders = {{ x-tenant = \"t1\" }}");
    let endpoint = receiver.endpoint("crm", &settings);
    let relay = Relay::start(&endpoint).await;
    for number in 0..10 {
        relay.event("a.b", json!(number)).await;
    }
    let requests = receiver.received(11).await;
    let question = &requests[0];
    assert_eq!((&question.method[..], &question.path[..]), ("OPTIONS", "/hook"));
    assert_eq!(question.header("webhook-request-origin"), "relay.example.com");
    assert_eq!(question.header("webhook-request-rate"), "6000");
    assert_eq!(question.header("x-tenant"), "t1");
    assert!(
        !question.has_header("webhook-signature"),
        "there is nothing to sign"
    );
    assert_eq!(count(&requests, "POST"), 10);
    // Its settings may have changed.
    relay.reconfigure(&endpoint);
    relay.logged("configuration reloaded").await;
    relay.event("a.b", json!(10)).await;
    let requests = receiver.received(13).await;
    assert_eq!(count(&requests, "OPTIONS"), 2);
}

#[tokio::test]
async fn the_pace_that_a_receiver_allows_is_held_to() {
    let receiver = consenting(&[("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "1")]);
    let relay = Relay::start(&receiver.endpoint("crm", SETTINGS)).await;
    for number in 0..5 {
        relay.event("a.b", json!(number)).await;
    }
    eventually("the pace", || async {
        let text = relay.admin(Method::GET, "/metrics", None).await.text();
        let line = r#"relay_endpoint_rate_limit_waits_total{endpoint="crm"} 1"#;
        text.contains(line).then_some(()).ok_or(text)
    })
    .await;
    let requests = receiver.received(2).await;
    assert_eq!((count(&requests, "OPTIONS"), count(&requests, "POST")), (1, 1));
}

#[tokio::test]
async fn a_star_allows_every_origin_and_every_pace() {
    let receiver = consenting(&[("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "*")]);
    let relay = Relay::start(&receiver.endpoint("crm", SETTINGS)).await;
    for number in 0..10 {
        relay.event("a.b", json!(number)).await;
    }
    let requests = receiver.received(11).await;
    assert!(!requests[0].has_header("webhook-request-rate"));
    assert_eq!((count(&requests, "OPTIONS"), count(&requests, "POST")), (1, 10));
}

#[tokio::test]
async fn an_origin_is_the_name_of_a_host() {
    let receiver = Receiver::start();
    for origin in ["https://relay.example.com", "Relay.example.com", "127.0.0.1", ""] {
        let settings = format!("consent_origin = \"{origin}\"");
        let ended = Setup::new(&receiver.endpoint("crm", &settings))
            .run(&["check"])
            .await;
        assert_eq!(ended.code, Some(78), "{origin:?} {ended:?}");
        assert!(ended.stderr.contains("endpoint[0].consent_origin"), "{ended:?}");
    }
}
