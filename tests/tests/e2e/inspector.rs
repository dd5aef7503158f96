//! Receivers within the relay, and what one does with them: try an endpoint out, then have it
//! lead somewhere else, or copy it.

use http::Method;
use relay_tests::client::Answer;
use relay_tests::instance::Relay;
use relay_tests::receiver::{Receiver, Reply};
use serde_json::{Value, json};

async fn post(relay: &Relay, path: &str, body: Value) -> Answer {
    relay.admin(Method::POST, path, Some(body)).await
}

async fn made(relay: &Relay, path: &str, body: Value) -> Value {
    let answer = post(relay, path, body).await;
    assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    answer.json()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What an inspector was sent, newest first.
async fn requests(relay: &Relay, inspector: &Value) -> Vec<Value> {
    let path = format!("/v1/inspectors/{}/requests", text(&inspector["id"]));
    relay.read(&path).await["data"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

#[tokio::test]
async fn m19_an_endpoint_leads_to_an_inspector_of_the_relay_itself() {
    let relay = Relay::start("").await;
    let inspector = made(&relay, "/v1/inspectors", json!({"name": "try"})).await;
    let headers = json!({"authorization": "Bearer s3cr3t-of-the-crm"});
    let keys = json!({"name": "crm", "url": inspector["url"], "headers": headers});
    made(&relay, "/v1/endpoints", keys).await;
    let event = relay.event("a.b", json!({"n": 1})).await;
    let delivery = relay.delivery(&event, "succeeded").await;
    assert_eq!(delivery["attempts"], 1);
    let caught = requests(&relay, &inspector).await;
    assert_eq!(caught.len(), 1);
    let (request, body) = (&caught[0], text(&caught[0]["body"]));
    assert_eq!(
        (&request["from"], &request["method"]),
        (&json!("endpoint"), &json!("POST"))
    );
    assert_eq!(
        serde_json::from_str::<Value>(body).expect("JSON")["data"],
        json!({"n": 1})
    );
    let header = |name: &str| {
        let headers = request["headers"].as_array().expect("headers");
        headers
            .iter()
            .find(|header| header[0] == name)
            .map_or(Value::Null, |header| header[1].clone())
    };
    assert_eq!(header("authorization"), "(hidden)");
    assert!(text(&header("webhook-signature")).starts_with("v1,"), "{request}");
    let diagnosis = post(&relay, "/v1/endpoints/crm/diagnose", json!({})).await.json();
    assert_eq!(diagnosis["ok"], true, "{diagnosis}");
}

#[tokio::test]
async fn m19_anybody_with_the_token_can_send_to_an_inspector() {
    let relay = Relay::start("").await;
    let inspector = made(&relay, "/v1/inspectors", json!({"status": 418})).await;
    let path = text(&inspector["path"]);
    let answer = relay
        .send(Method::PUT, &format!("{path}/deep?x=1"), &[("x-note", "hi")], "")
        .await;
    assert_eq!(answer.status, 404, "nothing stands below the token");
    let answer = relay
        .send(Method::PUT, &format!("{path}?x=1"), &[("x-note", "hi")], "body")
        .await;
    assert_eq!(answer.status, 418, "it answers as it was told");
    let caught = requests(&relay, &inspector).await;
    assert_eq!(caught.len(), 1);
    assert_eq!(
        (
            &caught[0]["from"],
            &caught[0]["method"],
            &caught[0]["path"],
            &caught[0]["body"]
        ),
        (&json!("network"), &json!("PUT"), &json!("?x=1"), &json!("body"))
    );
    let unknown = relay.send(Method::POST, "/bin/0123456789", &[], "").await;
    assert_eq!(
        (unknown.status, &unknown.problem()["code"]),
        (404, &json!("not_found"))
    );
    let id = format!("/v1/inspectors/{}", text(&inspector["id"]));
    assert_eq!(relay.admin(Method::DELETE, &id, None).await.status, 204);
    assert_eq!(relay.send(Method::POST, path, &[], "").await.status, 404);
    assert_eq!(relay.admin(Method::GET, &id, None).await.status, 404);
}

#[tokio::test]
async fn m19_an_inspector_outlasts_a_restart_and_its_requests_do_not() {
    let mut relay = Relay::start("").await;
    let inspector = made(&relay, "/v1/inspectors", json!({"status": 500})).await;
    let retry = json!({"schedule": []});
    let keys = json!({"name": "crm", "url": inspector["url"], "retry": retry});
    made(&relay, "/v1/endpoints", keys).await;
    let event = relay.event("a.b", json!(1)).await;
    relay.delivery(&event, "failed").await;
    assert_eq!(requests(&relay, &inspector).await.len(), 1);
    relay.stop().await;
    relay.start_again().await;
    assert_eq!(requests(&relay, &inspector).await.len(), 0);
    let event = relay.event("a.b", json!(2)).await;
    relay.delivery(&event, "failed").await;
    assert_eq!(requests(&relay, &inspector).await.len(), 1);
    let bad = post(&relay, "/v1/inspectors", json!({"status": 99})).await;
    assert_eq!(
        (bad.status, &bad.problem()["errors"][0]["pointer"]),
        (422, &json!("/status"))
    );
    for url in [
        "inspector://",
        "inspector://a/b",
        "inspector://user@abc",
        "inspector://abc:80",
    ] {
        let refused = post(&relay, "/v1/endpoints", json!({"name": "x", "url": url})).await;
        assert_eq!(refused.status, 422, "{url}: {}", refused.text());
    }
}

#[tokio::test]
async fn m19_a_url_is_tried_then_switched_and_rolled_back() {
    let (good, bad) = (Receiver::start(), Receiver::always(Reply::Status(500)));
    let relay = Relay::start("").await;
    let inspector = made(&relay, "/v1/inspectors", json!({})).await;
    made(
        &relay,
        "/v1/endpoints",
        json!({"name": "crm", "url": inspector["url"]}),
    )
    .await;
    let early = post(&relay, "/v1/endpoints/crm/url/rollback", json!({})).await;
    assert_eq!(
        (early.status, &early.problem()["code"]),
        (409, &json!("no_previous_url"))
    );

    let refused = post(&relay, "/v1/endpoints/crm/url", json!({"url": bad.url()})).await;
    assert_eq!(
        (refused.status, &refused.problem()["code"]),
        (422, &json!("not_verified"))
    );
    assert_eq!(relay.read("/v1/endpoints/crm").await["url"], inspector["url"]);

    let changed = post(&relay, "/v1/endpoints/crm/url", json!({"url": good.url()})).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let changed = changed.json();
    assert_eq!(
        (&changed["test"]["status"], &changed["endpoint"]["url"]),
        (&json!("succeeded"), &json!(good.url()))
    );
    assert_eq!(changed["endpoint"]["previous_url"], inspector["url"]);
    let probe = good.received(1).await.remove(0);
    assert_eq!(
        probe.verify(&relay.secret("crm").await),
        Ok(()),
        "the test is signed as events are"
    );
    relay.event("a.b", json!(1)).await;
    good.received(2).await;

    let back = post(&relay, "/v1/endpoints/crm/url/rollback", json!({}))
        .await
        .json();
    assert_eq!(
        (&back["endpoint"]["url"], &back["endpoint"]["previous_url"]),
        (&inspector["url"], &json!(good.url()))
    );
    let event = relay.event("a.b", json!(2)).await;
    relay.delivery(&event, "succeeded").await;
    assert_eq!(
        (requests(&relay, &inspector).await.len(), good.requests().len()),
        (1, 2)
    );

    let unverified = post(
        &relay,
        "/v1/endpoints/crm/url",
        json!({"url": bad.url(), "verify": false}),
    )
    .await;
    assert_eq!(
        (unverified.status, &unverified.json()["test"]),
        (200, &Value::Null)
    );
}

#[tokio::test]
async fn w13_a_copy_shares_nothing_and_is_disabled_until_it_is_enabled() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let headers = json!({"authorization": "Bearer s3cr3t-of-the-crm"});
    let keys = json!({"name": "test", "url": receiver.url(), "event_types": ["a.*"], "headers": headers});
    let original = made(&relay, "/v1/endpoints", keys).await;
    let copy = made(&relay, "/v1/endpoints/test/clone", json!({"name": "prod"})).await;
    assert_ne!(copy["id"], original["id"]);
    assert_eq!(
        (&copy["event_types"], &copy["enabled"]),
        (&json!(["a.*"]), &json!(false))
    );
    assert_ne!(relay.secret("prod").await, relay.secret("test").await);
    relay.event("a.b", json!(1)).await;
    receiver.received(1).await;
    let same = json!({"name": "twin", "copy_secret": true, "enabled": true});
    made(&relay, "/v1/endpoints/test/clone", same).await;
    assert_eq!(relay.secret("twin").await, relay.secret("test").await);
    relay.event("a.b", json!(2)).await;
    let sent = receiver.received(3).await;
    assert!(
        sent.iter()
            .all(|request| request.header("authorization") == "Bearer s3cr3t-of-the-crm")
    );
    let taken = post(&relay, "/v1/endpoints/test/clone", json!({"name": "prod"})).await;
    assert_eq!(
        (taken.status, &taken.problem()["code"]),
        (409, &json!("name_taken"))
    );

    let verify = json!({"scheme": "token", "in": "header:x-door-key", "secret": "s3cr3t-of-the-door"});
    made(&relay, "/v1/sources", json!({"name": "shop", "verify": verify})).await;
    let door = made(&relay, "/v1/sources/shop/clone", json!({"name": "shop-2"})).await;
    let key = [
        ("x-door-key", "s3cr3t-of-the-door"),
        ("content-type", "application/json"),
    ];
    let path = text(&door["path"]).to_owned();
    let answer = relay.send(Method::POST, &path, &key, "{}").await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}
