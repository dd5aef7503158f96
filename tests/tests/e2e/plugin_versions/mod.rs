//! Which version of an uploaded plugin runs: tags, roll-outs, signatures.

mod bomb;
mod commands;
mod rollouts;
mod signatures;
mod tags;

use http::Method;
use relay_tests::client::Answer;
use relay_tests::instance::{ADMIN_KEY, Relay};
use relay_tests::receiver::Receiver;
use serde_json::{Value, json};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn code(answer: &Answer) -> String {
    text(&answer.problem()["code"]).to_owned()
}

/// Uploads a component, with whoever vouches for it.
async fn upload(relay: &Relay, name: &str, component: &'static [u8], signature: Option<&str>) -> Answer {
    let bearer = format!("Bearer {ADMIN_KEY}");
    let mut headers = vec![
        ("authorization", bearer.as_str()),
        ("content-type", "application/wasm"),
    ];
    headers.extend(signature.map(|signature| ("relay-signature", signature)));
    let path = format!("/v1/plugins/{name}/versions");
    relay.send(Method::POST, &path, &headers, component).await
}

/// Uploads a version that has to be taken.
async fn uploaded(relay: &Relay, component: &'static [u8]) -> String {
    let answer = upload(relay, "tidy", component, None).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    text(&answer.json()["version"]).to_owned()
}

/// Asks for something of the plugin `tidy`.
async fn ask(relay: &Relay, method: Method, what: &str, body: Value) -> Answer {
    let body = Some(body).filter(|body| !body.is_null());
    relay
        .admin(method, &format!("/v1/plugins/tidy/{what}"), body)
        .await
}

async fn make(relay: &Relay, path: &str, keys: Value) {
    let made = relay.admin(Method::POST, path, Some(keys)).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

/// An endpoint that sends events of type `a.b` as its plugin leaves them. `hostile` does as it is told,
/// and `edits` takes any configuration.
async fn follow(relay: &Relay, name: &str, receiver: &Receiver, used: &str, misdeed: &str) {
    let keys = json!({
        "name": name, "url": receiver.url(), "format": "raw", "event_types": ["a.b"],
        "retry": {"schedule": ["50ms", "50ms", "200ms", "1s", "1s", "1s"], "jitter": 0},
        "plugins": [{"use": used, "config": {"do": misdeed}}],
    });
    make(relay, "/v1/endpoints", keys).await;
}

/// What `edits` makes of the `n`th event; `hostile` leaves it as it is.
fn edited(n: usize) -> Value {
    json!({"n": n, "processed_by": "relay"})
}

/// What the receiver gets of the event that is its `n`th.
async fn delivered(relay: &Relay, receiver: &Receiver, n: usize) -> Value {
    relay.event("a.b", json!({"n": n})).await;
    receiver.received(n).await[n - 1].json()
}

/// What was done to the plugin, latest first.
async fn deeds(relay: &Relay) -> Vec<Value> {
    let entries = relay.read("/v1/audit?resource=tidy").await["data"].take();
    entries.as_array().cloned().unwrap_or_default()
}

async fn actions(relay: &Relay) -> Vec<String> {
    let deeds = deeds(relay).await;
    deeds
        .iter()
        .map(|deed| text(&deed["action"]).to_owned())
        .collect()
}
