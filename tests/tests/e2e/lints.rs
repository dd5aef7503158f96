//! What is found before somebody misses an event.

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::receiver::{Receiver, Reply, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// The codes of what is found of an endpoint, beside what is found of every fresh one here.
async fn codes(relay: &Relay, name: &str) -> Vec<String> {
    let found = relay.read(&format!("/v1/lints?endpoint={name}")).await;
    let findings = found["data"].as_array().expect("a list");
    for finding in findings {
        assert_eq!(finding["endpoint_name"], name, "{finding}");
        for member in ["text", "remedy"] {
            assert!(
                finding[member].as_str().is_some_and(|text| !text.is_empty()),
                "{finding}"
            );
        }
    }
    let codes = findings
        .iter()
        .map(|finding| finding["code"].as_str().unwrap_or_default().to_owned());
    codes
        .filter(|code| code != "plain_http" && code != "signature_unchecked")
        .collect()
}

#[tokio::test]
async fn u19_w21_endpoints_that_get_the_same_events_at_one_url_are_found() {
    let receiver = Receiver::start();
    let config = receiver.endpoint("orders", "event_types = [\"order.*\"]")
        + &receiver.endpoint("paid", "event_types = [\"order.paid\"]")
        + &endpoint("lone", "http://127.0.0.1:1/", "");
    let relay = Relay::start(&config).await;
    assert_eq!(codes(&relay, "orders").await, ["overlap"]);
    assert_eq!(codes(&relay, "paid").await, ["overlap"]);
    assert_eq!(codes(&relay, "lone").await, [""; 0]);
    let config = config.replace("\"order.paid\"", "\"invoice.paid\"");
    relay.reconfigure(&config);
    eventually("no overlap", || async {
        let codes = codes(&relay, "paid").await;
        if codes == ["duplicate_url"] {
            Ok(())
        } else {
            Err(codes)
        }
    })
    .await;
}

#[tokio::test]
async fn w20_subscriptions_that_match_nothing_are_found() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("typo", "event_types = [\"ordre.*\"]")).await;
    let keys = json!({"name": "nowhere", "url": "http://127.0.0.1:1/", "sources": ["shpo"]});
    let made = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(codes(&relay, "nowhere").await, ["unknown_source"]);
    assert_eq!(codes(&relay, "typo").await, [""; 0], "nothing is known yet");
    relay.event("order.paid", json!(1)).await;
    assert_eq!(codes(&relay, "typo").await, ["unseen_types"]);
}

#[tokio::test]
async fn w21_an_endpoint_that_never_takes_anything_is_found() {
    let receiver = Receiver::always(Reply::Status(500));
    let relay = Relay::start(&receiver.endpoint("dead", "retry = { schedule = [] }")).await;
    let event = relay.event("a.b", json!(1)).await;
    relay.delivery(&event, "failed").await;
    assert_eq!(codes(&relay, "dead").await, ["no_success"]);
}

#[tokio::test]
async fn m13_plain_http_is_found_and_told_with_the_endpoint() {
    let relay = Relay::start(&endpoint("crm", "http://127.0.0.1:1/", "")).await;
    let lints = relay.read("/v1/endpoints/crm").await["lints"].take();
    let found: Vec<_> = lints
        .as_array()
        .into_iter()
        .flatten()
        .map(|finding| &finding["code"])
        .collect();
    assert!(found.contains(&&json!("plain_http")), "{lints}");
    let warnings = relay.read("/v1/lints?severity=warning").await;
    let severities = warnings["data"].as_array().expect("a list");
    assert!(
        severities.iter().all(|finding| finding["severity"] != "notice"),
        "{warnings}"
    );
    let bad = relay.admin(Method::GET, "/v1/lints?severity=awful", None).await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn w16_a_receiver_that_takes_forged_signatures_is_found() {
    let careless = Receiver::start();
    let careful = Receiver::always(Reply::Status(401));
    let config = careless.endpoint("careless", "") + &careful.endpoint("careful", "");
    let relay = Relay::start(&config).await;
    let all = async |name: &str| {
        let found = relay.read(&format!("/v1/lints?endpoint={name}")).await;
        let codes = found["data"].as_array().into_iter().flatten();
        codes
            .map(|finding| finding["code"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(all("careless").await.contains(&"signature_unchecked".to_owned()));
    for name in ["careless", "careful"] {
        let asked: Value = json!({"type": "a.b", "forge": true});
        let answer = relay
            .admin(Method::POST, &format!("/v1/endpoints/{name}/test"), Some(asked))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let forged = careless.received(1).await.remove(0);
    let secret = relay.secret("careless").await;
    assert!(forged.verify(&secret).is_err(), "the signature is wrong");
    assert_eq!(all("careless").await, ["plain_http", "signature_not_verified"]);
    assert_eq!(all("careful").await, ["plain_http"]);
}

#[tokio::test]
async fn u19_findings_come_in_pages() {
    let receiver = Receiver::start();
    let config: String = (0..4).map(|n| receiver.endpoint(&format!("e{n}"), "")).collect();
    let relay = Relay::start(&config).await;
    let first = relay.read("/v1/lints?limit=4").await;
    let rest = relay
        .read(&format!(
            "/v1/lints?limit=250&cursor={}",
            first["next_cursor"].as_str().expect("more")
        ))
        .await;
    let whole = relay.read("/v1/lints?limit=250").await;
    let list = |page: &Value| page["data"].as_array().cloned().unwrap_or_default();
    let joined: Vec<Value> = list(&first).into_iter().chain(list(&rest)).collect();
    assert_eq!(joined, list(&whole));
}
