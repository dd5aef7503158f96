//! What a tenant lays down for everything that it has: `https` alone, a timeout, how long is kept.

use http::Method;
use relay_tests::client::Answer;
use relay_tests::instance::{ADMIN_KEY, Relay, Setup, accepted};
use relay_tests::receiver::{Receiver, Reply};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// The admin, for a tenant.
async fn ask(relay: &Relay, tenant: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("relay-tenant", tenant),
    ];
    let body = body.map_or_else(String::new, |body| body.to_string());
    relay.send(method, path, &headers, body).await
}

async fn get(relay: &Relay, tenant: &str, path: &str) -> Value {
    let answer = ask(relay, tenant, Method::GET, path, None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn make(relay: &Relay, tenant: &str, path: &str, keys: Value) {
    let answer = ask(relay, tenant, Method::POST, path, Some(keys)).await;
    assert_eq!(answer.status, 201, "{path}: {}", answer.text());
}

async fn tenant(relay: &Relay, name: &str) {
    make(relay, "default", "/v1/tenants", json!({"name": name})).await;
}

async fn lay_down(relay: &Relay, tenant: &str, policy: Value) {
    let (path, body) = (format!("/v1/tenants/{tenant}"), json!({"policy": policy}));
    let answer = relay.admin(Method::PATCH, &path, Some(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn post(relay: &Relay, tenant: &str) -> String {
    let body = json!({"type": "a.b", "data": {"n": 1}});
    accepted(&ask(relay, tenant, Method::POST, "/v1/events", Some(body)).await)
}

/// An endpoint that gets each event once.
fn once(name: &str, receiver: &Receiver) -> Value {
    json!({"name": name, "url": receiver.url(), "retry": {"schedule": []}})
}

/// How the only attempt at an endpoint went: its class, and what there is to say of it.
async fn attempt(relay: &Relay, tenant: &str, event: &str, endpoint: &str) -> (Value, String) {
    let delivery = eventually("the delivery to have ended", || async {
        let shown = get(relay, tenant, &format!("/v1/events/{event}")).await;
        let deliveries = shown["deliveries"].as_array().into_iter().flatten();
        let mut own = deliveries.filter(|delivery| delivery["endpoint_name"] == endpoint);
        match own.next().filter(|delivery| delivery["status"] != "pending") {
            Some(delivery) => Ok(delivery["id"].as_str().unwrap_or_default().to_owned()),
            None => Err(shown),
        }
    })
    .await;
    let mut attempts = get(relay, tenant, &format!("/v1/deliveries/{delivery}/attempts")).await;
    let attempt = attempts["data"][0].take();
    let summary = attempt["summary"].as_str().unwrap_or_default().to_owned();
    (attempt["error_class"].clone(), summary)
}

fn pointers(answer: &Answer) -> (u16, String, Vec<Value>) {
    let problem = answer.problem();
    let errors = problem["errors"].as_array().into_iter().flatten();
    (
        answer.status,
        problem["code"].as_str().unwrap_or_default().to_owned(),
        errors.map(|error| error["pointer"].clone()).collect(),
    )
}

#[tokio::test]
async fn m13_nothing_of_a_tenant_that_wants_https_alone_is_sent_in_the_clear() {
    let (own, others) = (Receiver::start(), Receiver::start());
    let relay = Relay::start("").await;
    for (name, receiver) in [("acme", &own), ("globex", &others)] {
        tenant(&relay, name).await;
        make(&relay, name, "/v1/endpoints", once("crm", receiver)).await;
        post(&relay, name).await;
        receiver.received(1).await;
    }
    lay_down(&relay, "acme", json!({"https_only": true})).await;
    let event = post(&relay, "acme").await;
    let (class, summary) = attempt(&relay, "acme", &event, "crm").await;
    assert_eq!(class, "blocked", "{summary}");
    assert!(summary.contains("https_only"), "{summary}");
    let sample = json!({"type": "a.b"});
    let test = ask(
        &relay,
        "acme",
        Method::POST,
        "/v1/endpoints/crm/test",
        Some(sample.clone()),
    )
    .await;
    assert_eq!(
        test.json()["attempt"]["error_class"],
        "blocked",
        "{}",
        test.text()
    );
    let call = json!({"type": "a.b", "data": 1});
    let call = ask(&relay, "acme", Method::POST, "/v1/endpoints/crm/call", Some(call)).await;
    assert_eq!(call.status, 502, "{}", call.text());

    // Nor is there a way to another one.
    let refused = |code: &str| (422, code.to_owned(), vec![json!("/url")]);
    let url = json!({"url": others.url()});
    for (method, path, body, code) in [
        (
            Method::POST,
            "/v1/endpoints",
            once("new", &others),
            "invalid_definition",
        ),
        (
            Method::POST,
            "/v1/endpoints?verify=a.b",
            once("new", &others),
            "invalid_definition",
        ),
        (
            Method::PUT,
            "/v1/endpoints/crm",
            once("crm", &own),
            "invalid_definition",
        ),
        (
            Method::PATCH,
            "/v1/endpoints/crm",
            url.clone(),
            "invalid_definition",
        ),
        (Method::POST, "/v1/endpoints/crm/url", url, "invalid_url"),
    ] {
        let answer = ask(&relay, "acme", method.clone(), path, Some(body)).await;
        assert_eq!(
            pointers(&answer),
            refused(code),
            "{method} {path}: {}",
            answer.text()
        );
    }
    let safe = json!({"name": "safe", "url": "https://example.com/", "enabled": false});
    make(&relay, "acme", "/v1/endpoints", safe).await;
    let lints = get(&relay, "acme", "/v1/lints?endpoint=crm&severity=error").await;
    assert_eq!(lints["data"][0]["code"], "plain_http", "{lints}");

    post(&relay, "globex").await;
    others.received(2).await;
    assert_eq!(own.requests().len(), 1, "{:?}", own.requests());
    lay_down(&relay, "acme", json!({"https_only": null})).await;
    post(&relay, "acme").await;
    own.received(2).await;
}

#[tokio::test]
async fn m13_the_policy_of_the_default_tenant_binds_what_the_file_declares() {
    let receiver = Receiver::start();
    let config = receiver.endpoint("crm", "retry = { schedule = [] }");
    let mut relay = Relay::start(&config).await;
    lay_down(&relay, "default", json!({"https_only": true})).await;
    relay.kill().await;
    relay.start_again().await;
    let event = relay.event("a.b", json!(1)).await;
    let (class, _) = attempt(&relay, "default", &event, "crm").await;
    assert_eq!(class, "blocked");
    assert_eq!(receiver.requests().len(), 0);
}

#[tokio::test]
async fn m13_a_tenant_does_not_loosen_what_the_operator_lets_out() {
    let receiver = Receiver::start();
    let relay = Setup::new("")
        .variable("RELAY_OUTBOUND__HTTPS_ONLY", "true")
        .start()
        .await;
    tenant(&relay, "acme").await;
    lay_down(&relay, "acme", json!({"https_only": false})).await;
    let answer = ask(
        &relay,
        "acme",
        Method::POST,
        "/v1/endpoints",
        Some(once("crm", &receiver)),
    )
    .await;
    let refused = (422, "invalid_definition".to_owned(), vec![json!("/url")]);
    assert_eq!(pointers(&answer), refused, "{}", answer.text());
}

#[tokio::test]
async fn v6_a_tenants_timeout_counts_where_its_endpoints_name_none() {
    let silent = Receiver::always(Reply::Never);
    let relay = Relay::start("").await;
    tenant(&relay, "acme").await;
    lay_down(&relay, "acme", json!({"timeout": "100ms"})).await;
    make(&relay, "acme", "/v1/endpoints", once("usual", &silent)).await;
    let mut own = once("own", &silent);
    own["timeout"] = json!("300ms");
    make(&relay, "acme", "/v1/endpoints", own).await;
    for usual in ["100ms", "150ms"] {
        lay_down(&relay, "acme", json!({"timeout": usual})).await;
        let event = post(&relay, "acme").await;
        for (endpoint, timeout) in [("usual", usual), ("own", "300ms")] {
            let (class, summary) = attempt(&relay, "acme", &event, endpoint).await;
            assert_eq!(class, "timeout", "{summary}");
            assert!(
                summary.contains(&format!("within {timeout}")),
                "{endpoint}: {summary}"
            );
        }
    }
    for (policy, pointer) in [
        (json!({"timeout": "2h"}), "/policy/timeout"),
        (json!({"retention": "0s"}), "/policy/retention"),
        (json!({"https": true}), "/policy/https"),
    ] {
        let body = json!({"name": "globex", "policy": policy});
        let answer = relay.admin(Method::POST, "/v1/tenants", Some(body)).await;
        let (status, _, found) = pointers(&answer);
        assert_eq!((status, found), (422, vec![json!(pointer)]), "{}", answer.text());
    }
}

#[tokio::test]
async fn c24_a_tenant_keeps_its_events_for_less_time_than_the_relay() {
    let (sound, broken) = (Receiver::start(), Receiver::always(Reply::Status(500)));
    let mut relay = Relay::start("").await;
    for name in ["acme", "globex"] {
        tenant(&relay, name).await;
        make(&relay, name, "/v1/endpoints", once("crm", &sound)).await;
    }
    for name in ["acme", "globex", "acme"] {
        post(&relay, name).await;
    }
    sound.received(3).await;
    let later = json!({"name": "later", "url": broken.url(), "retry": {"schedule": ["1h"]}});
    make(&relay, "acme", "/v1/endpoints", later).await;
    let waits = post(&relay, "acme").await;
    broken.received(1).await;
    let kept = async |relay: &Relay, tenant: &str| -> Vec<Value> {
        let events = get(relay, tenant, "/v1/events").await;
        let events = events["data"].as_array().cloned().unwrap_or_default();
        events.iter().map(|event| event["id"].clone()).collect()
    };
    assert_eq!(kept(&relay, "acme").await.len(), 3);
    lay_down(&relay, "acme", json!({"retention": "1s"})).await;
    let come_to = async |relay: &Relay, left: &[Value]| {
        eventually("what has had its time to be gone", || async {
            let kept = kept(relay, "acme").await;
            if kept == left { Ok(()) } else { Err(kept) }
        })
        .await;
    };
    // What is still to be delivered stays until it is over, whoever stops meanwhile.
    come_to(&relay, &[json!(waits)]).await;
    relay.kill().await;
    relay.start_again().await;
    let shown = get(&relay, "acme", &format!("/v1/events/{waits}")).await;
    let deliveries = shown["deliveries"].as_array().expect("a list");
    let pending = deliveries.iter().find(|delivery| delivery["status"] == "pending");
    let id = pending.expect("one waits")["id"].as_str().unwrap_or_default();
    let cancel = format!("/v1/deliveries/{id}/cancel");
    let cancelled = ask(&relay, "acme", Method::POST, &cancel, None).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    come_to(&relay, &[]).await;
    let left = get(&relay, "acme", "/v1/deliveries").await;
    assert_eq!(left["data"], json!([]), "the log goes with them");
    assert_eq!(
        kept(&relay, "globex").await.len(),
        1,
        "others keep what they have"
    );
}

#[tokio::test]
async fn requests_of_plugins_keep_to_the_policy_too() {
    let (service, receiver) = (Receiver::start(), Receiver::start());
    let relay = Relay::start("").await;
    tenant(&relay, "acme").await;
    let mut keys = once("crm", &receiver);
    keys["plugins"] = json!([{
        "use": "enrich-http", "config": {"url": format!("http://{}/u/1", service.address()), "at": "/user"},
        "grants": {"http": [service.address().to_string()]},
    }]);
    make(&relay, "acme", "/v1/endpoints", keys).await;
    lay_down(&relay, "acme", json!({"https_only": true})).await;
    let event = post(&relay, "acme").await;
    attempt(&relay, "acme", &event, "crm").await;
    let shown = get(&relay, "acme", &format!("/v1/events/{event}")).await;
    let delivery = shown["deliveries"][0]["id"].as_str().unwrap_or_default();
    let attempts = get(&relay, "acme", &format!("/v1/deliveries/{delivery}/attempts")).await;
    let outcome = attempts["data"][0]["outcome"].to_string();
    assert!(
        outcome.contains("the request was not sent: plain `http` is refused by the policy"),
        "{outcome}"
    );
    assert_eq!((service.requests().len(), receiver.requests().len()), (0, 0));
}
