//! What receivers are shown to prove that it is the relay: sent, never told, tried before it counts.

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::receiver::{Receiver, Reply, endpoint};
use serde_json::{Value, json};

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

#[tokio::test]
async fn u18_a_change_counts_only_if_the_receiver_takes_a_sample() {
    let provider = Receiver::answering(|request, _| match request.header("x-token") {
        "right-t0ken" => Reply::Status(204),
        _ => Reply::with_body(401, "no such application"),
    });
    let relay = Relay::start("").await;
    let keys = |token: &str| json!({"name": "crm", "url": provider.url(), "headers": {"x-token": token}});
    let made = relay
        .admin(Method::POST, "/v1/endpoints", Some(keys("right-t0ken")))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let before = relay.read("/v1/endpoints/crm").await;
    let path = "/v1/endpoints/crm?verify=email.bounced";
    let wrong = json!({"headers": {"x-token": "wrong-t0ken"}});
    for (method, body) in [(Method::PUT, keys("wrong-t0ken")), (Method::PATCH, wrong)] {
        let refused = relay.admin(method, path, Some(body)).await;
        let problem = refused.problem();
        assert_eq!((refused.status, &problem["code"]), (422, &json!("not_verified")));
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(
            detail.starts_with("nothing was changed") && detail.contains("no such application"),
            "{detail}"
        );
    }
    assert_eq!(
        relay.read("/v1/endpoints/crm").await["updated_at"],
        before["updated_at"]
    );
    relay.event("a.b", json!(1)).await;
    let sent = provider.received(3).await.remove(2);
    assert_eq!(sent.header("x-token"), "right-t0ken", "nothing was changed");

    let right = json!({"headers": {"x-token": {"sealed": true}}, "timeout": "7s"});
    let changed = relay.admin(Method::PATCH, path, Some(right)).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["timeout"], "7s");
    let sample = provider.received(4).await.remove(3);
    assert_eq!(sample.json()["type"], "email.bounced");
    let replaced = relay.admin(Method::PUT, path, Some(keys("right-t0ken"))).await;
    assert_eq!(
        (replaced.status, &replaced.json()["timeout"]),
        (200, &Value::Null)
    );
    // What would be refused is refused before anything is sent.
    for (body, code) in [
        (json!({"timeout": 5}), "invalid_definition"),
        (json!({"plugins": [{"use": "nonesuch"}]}), "unusable"),
    ] {
        let refused = relay.admin(Method::PATCH, path, Some(body)).await;
        assert_eq!(refused.problem()["code"], code, "{}", refused.text());
    }
    assert_eq!(provider.requests().len(), 5);
}
