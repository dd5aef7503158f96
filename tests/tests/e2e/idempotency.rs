//! `Idempotency-Key` on the management API: what was done once is answered again.

use http::Method;
use relay_tests::client::Answer;
use relay_tests::instance::{ADMIN_KEY, Relay};
use relay_tests::receiver::Receiver;
use serde_json::{Value, json};

async fn post(relay: &Relay, path: &str, key: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    relay.send(Method::POST, path, &headers, body.to_string()).await
}

fn code(answer: &Answer) -> (u16, String) {
    let problem = answer.problem();
    (
        answer.status,
        problem["code"].as_str().unwrap_or_default().to_owned(),
    )
}

#[tokio::test]
async fn v1_a_repeated_post_is_answered_again_and_done_once() {
    let receiver = Receiver::start();
    let mut relay = Relay::start("").await;
    let endpoint = json!({"name": "crm", "url": receiver.url()});
    let first = post(&relay, "/v1/endpoints", "order-1", &endpoint).await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.header("idempotent-replayed"), "");

    let repeat = post(&relay, "/v1/endpoints", "order-1", &endpoint).await;
    assert_eq!((repeat.status, &repeat.body), (201, &first.body));
    assert_eq!(repeat.header("idempotent-replayed"), "true");
    assert_eq!(repeat.header("etag"), first.header("etag"));
    assert_eq!(repeat.header("content-type"), "application/json");

    // Also after a restart, and a key that was shown once is shown again to its maker.
    let key = json!({"name": "shop", "role": "send"});
    let made = post(&relay, "/v1/keys", "key-1", &key).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let secret = made.json()["key"].as_str().unwrap_or_default().to_owned();
    relay.setup().secrets().add(&secret, "a key that was made");
    relay.stop().await;
    let store = relay.setup().home().join("relay.db");
    let bytes = std::fs::read(store).expect("the store is a file");
    assert!(
        !bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes())
    );
    relay.start_again().await;
    let again = post(&relay, "/v1/keys", "key-1", &key).await;
    assert_eq!((again.status, &again.body), (201, &made.body));
    let keys = relay.read("/v1/keys").await;
    assert_eq!(keys["data"].as_array().map(Vec::len), Some(1), "{keys}");

    // What was refused is refused again, for the reason that it had.
    let faulty = json!({"name": "other"});
    let refused = post(&relay, "/v1/endpoints", "order-2", &faulty).await;
    assert_eq!(refused.status, 422);
    let again = post(&relay, "/v1/endpoints", "order-2", &faulty).await;
    assert_eq!((again.status, &again.body), (422, &refused.body));
    assert_eq!(again.header("content-type"), "application/problem+json");
}

/// Each is sent twice as nobody would send it: what counts is that the refusal is kept as well.
#[tokio::test]
async fn v1_every_post_of_the_document_is_answered_again() {
    let relay = Relay::start("").await;
    let document = relay.read("/openapi.json").await;
    let paths = document["paths"].as_object().expect("the document has paths");
    let mut tried = 0;
    for (path, operations) in paths {
        // Their key names the event.
        let is_of_events = path == "/v1/events" || path.ends_with("/call");
        let post = &operations["post"];
        if post.is_null() || !path.starts_with("/v1/") || is_of_events {
            continue;
        }
        let named = post["parameters"].as_array().is_some_and(|parameters| {
            let mut names = parameters.iter().map(|parameter| &parameter["name"]);
            names.any(|name| name == "Idempotency-Key")
        });
        assert!(named, "{path}");
        let path = path.replace("{id}", "nonesuch");
        let body = json!({"no such member": true});
        let first = post_with(&relay, &path, &body).await;
        assert_eq!(first.header("idempotent-replayed"), "", "{path}");
        let again = post_with(&relay, &path, &body).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{path}");
        assert_eq!(again.header("idempotent-replayed"), "true", "{path}");
        tried += 1;
    }
    assert!(tried > 25, "{tried}");
}

async fn post_with(relay: &Relay, path: &str, body: &Value) -> Answer {
    post(relay, path, path, body).await
}

/// The key of an event is the event's: it means the same wherever events come in.
#[tokio::test]
async fn v1_the_key_of_an_event_stays_the_events() {
    let relay = Relay::start("").await;
    let event = json!({"type": "a.b", "data": 1});
    let first = post(&relay, "/v1/events", "k", &event).await.json();
    let again = post(&relay, "/v1/events", "k", &event).await;
    assert_eq!(again.header("idempotent-replayed"), "");
    let again = again.json();
    assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)));
    let key = json!({"name": "a", "role": "read"});
    let made = post(&relay, "/v1/keys", "k", &key).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

#[tokio::test]
async fn v1_a_key_names_one_request_of_one_caller() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let endpoint = |name: &str| json!({"name": name, "url": receiver.url()});
    post(&relay, "/v1/endpoints", "k", &endpoint("a")).await;
    for (path, body) in [
        ("/v1/endpoints", endpoint("b")),
        ("/v1/sources", endpoint("a")),
        ("/v1/endpoints?x=1", endpoint("a")),
    ] {
        let other = post(&relay, path, "k", &body).await;
        assert_eq!(code(&other), (422, "idempotency_key_reused".to_owned()), "{path}");
    }
    let manager = json!({"name": "ci", "role": "manage"});
    let made = relay.admin(Method::POST, "/v1/keys", Some(manager)).await.json();
    let bearer = format!("Bearer {}", made["key"].as_str().unwrap_or_default());
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", "k"),
    ];
    let body = endpoint("c").to_string();
    let own = relay.send(Method::POST, "/v1/endpoints", &headers, body).await;
    assert_eq!((own.status, &own.json()["name"]), (201, &json!("c")));
}

#[tokio::test]
async fn v1_of_many_at_once_one_is_done_and_none_is_lied_to() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let endpoint = json!({"name": "crm", "url": receiver.url()});
    let (one, two, three, four) = tokio::join!(
        post(&relay, "/v1/endpoints", "k", &endpoint),
        post(&relay, "/v1/endpoints", "k", &endpoint),
        post(&relay, "/v1/endpoints", "k", &endpoint),
        post(&relay, "/v1/endpoints", "k", &endpoint),
    );
    let answers = [one, two, three, four];
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert!(!made.is_empty());
    assert!(made.iter().all(|answer| answer.body == made[0].body));
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(code(answer), (409, "idempotency_in_progress".to_owned()));
    }
    let listed = relay.read("/v1/endpoints").await;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");
}

#[tokio::test]
async fn v1_keys_that_are_none_are_refused() {
    let relay = Relay::start("").await;
    let long = "k".repeat(256);
    for key in ["", long.as_str(), "a\tb"] {
        let refused = post(&relay, "/v1/keys", key, &json!({"name": "a", "role": "read"})).await;
        assert_eq!(
            code(&refused),
            (400, "invalid_idempotency_key".to_owned()),
            "{key:?}"
        );
    }
    let keys = relay.read("/v1/keys").await;
    assert_eq!(keys["data"], json!([]));
}
