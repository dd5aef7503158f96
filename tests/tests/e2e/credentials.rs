//! What receivers are shown to prove that it is the relay: sent, never told, tried before it counts.

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::receiver::{Receiver, endpoint};
use serde_json::json;

const TOKEN: &str = "t0ken&of=the receiver";
/// As it stands in an address.
const SENT: &str = "t0ken%26of%3Dthe+receiver";

#[tokio::test]
async fn m14_a_secret_goes_into_the_query_and_is_shown_nowhere() {
    let receiver = Receiver::start();
    let url = format!("{}?a=1", receiver.url());
    // Whatever the relay says and logs is searched for it by the kit.
    let config = endpoint(
        "crm",
        &url,
        &format!("query = {{ token = \"{TOKEN}\", plain = \"5\" }}"),
    );
    let relay = Relay::start(&config).await;
    let captured = relay
        .admin(
            Method::POST,
            "/v1/endpoints/crm/capture",
            Some(json!({"for": "1m"})),
        )
        .await;
    assert_eq!(captured.status, 200, "{}", captured.text());
    let event = relay.event("a.b", json!(1)).await;
    relay.delivery(&event, "succeeded").await;
    let sent = receiver.received(1).await.remove(0);
    assert_eq!(sent.path, format!("/hook?a=1&plain=5&token={SENT}"));
    let shown = relay.read("/v1/endpoints/crm").await;
    let sealed = json!({"sealed": true});
    assert_eq!(shown["query"], json!({"token": sealed, "plain": sealed}));
    let tested = relay
        .admin(
            Method::POST,
            "/v1/endpoints/crm/test",
            Some(json!({"type": "a.b"})),
        )
        .await;
    let hidden = format!("{url}&plain=(hidden)&token=(hidden)");
    assert_eq!(tested.json()["requests"][0]["url"], hidden, "{}", tested.text());
    let captures = relay.read("/v1/endpoints/crm/capture").await;
    assert_eq!(captures["data"][0]["requests"][0]["url"], hidden, "{captures}");
    let diagnosis = relay
        .admin(Method::POST, "/v1/endpoints/crm/diagnose", None)
        .await;
    assert_eq!(
        (diagnosis.status, diagnosis.json()["url"].clone()),
        (200, json!(url))
    );
    let asked = receiver
        .until("the diagnosis", |requests| requests.len() == 3)
        .await;
    assert_eq!(
        (asked[2].method.as_str(), &asked[2].path),
        ("HEAD", &"/hook?a=1".to_owned())
    );
}

#[tokio::test]
async fn m14_a_parameter_is_kept_while_all_else_changes() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let keys = json!({"name": "crm", "url": receiver.url(), "query": {"token": TOKEN}});
    let made = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(!made.text().contains("t0ken"), "{}", made.text());
    let mut shown = relay.read("/v1/endpoints/crm").await;
    shown["timeout"] = json!("5s");
    let put = relay.admin(Method::PUT, "/v1/endpoints/crm", Some(shown)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    relay.event("a.b", json!(1)).await;
    let sent = receiver.received(1).await.remove(0);
    assert_eq!(sent.path, format!("/hook?token={SENT}"));
    for (change, pointer) in [
        (
            json!({"url": format!("{}?token=1", receiver.url())}),
            "/query/token",
        ),
        (json!({"query": {"": "x"}}), "/query/"),
        (json!({"query": {"other": {"sealed": true}}}), "/query/other"),
        (json!({"query": {"long": "x".repeat(5_000)}}), "/query"),
    ] {
        let refused = relay
            .admin(Method::PATCH, "/v1/endpoints/crm", Some(change))
            .await;
        let problem = refused.problem();
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}
