//! Versions that are tried before they become current.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use relay::plugins::stock;
use relay_tests::guests;
use relay_tests::instance::{ADMIN_KEY, Relay};
use relay_tests::receiver::Receiver;
use relay_tests::wait::eventually;
use serde_json::{Value, json};

use super::{actions, ask, code, deeds, delivered, edited, follow, make, text, uploaded};

/// Both versions, and a roll-out of the second.
async fn rolled_out(relay: &Relay, keys: Value) -> (String, String) {
    let first = uploaded(relay, guests::EDITS).await;
    let second = uploaded(relay, guests::HOSTILE).await;
    let begun = begin(relay, &second, keys).await;
    assert_eq!(begun.0, 201, "{}", begun.1);
    (first, second)
}

async fn begin(relay: &Relay, version: &str, mut keys: Value) -> (u16, Value) {
    keys["version"] = json!(version);
    let answer = ask(relay, Method::POST, "rollout", keys).await;
    (answer.status, answer.json())
}

/// Waits until the roll-out is as wanted.
async fn until(relay: &Relay, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let is_so = &is_so;
    eventually(what, move || async move {
        let shown = relay.read("/v1/plugins/tidy/rollout").await;
        if is_so(&shown) { Ok(shown) } else { Err(shown) }
    })
    .await
}

/// Sends events until the relay has taken the candidate back; how many there were.
async fn fails_until_taken_back(relay: &Relay) -> (usize, Value) {
    for n in 1..=200 {
        let event = relay.event("a.b", json!({"n": n})).await;
        relay
            .delivery_that(&event, "tried", |delivery| delivery["attempts"] != json!(0))
            .await;
        let shown = relay.read("/v1/plugins/tidy").await;
        if shown["rolled_back"].is_object() {
            return (n, shown);
        }
    }
    panic!("it was not taken back: {}", relay.read("/v1/plugins/tidy").await);
}

#[tokio::test]
async fn a_canary_has_its_share_of_the_deliveries_and_says_so() {
    const EVENTS: usize = 400;
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    follow_after_first(&relay, &receiver).await;
    let second = uploaded(&relay, guests::HOSTILE).await;
    let (status, begun) = begin(&relay, &second, json!({"mode": "canary", "percent": 25})).await;
    assert_eq!(status, 201, "{begun}");
    assert_eq!((&begun["percent"], &begun["min_calls"]), (&json!(25), &json!(50)));
    for n in 0..EVENTS {
        relay.event("a.b", json!({"n": n})).await;
    }
    let requests = receiver.received(EVENTS).await;
    let is_candidate = |body: &Value| body["processed_by"].is_null();
    let by_candidate = requests
        .iter()
        .filter(|request| is_candidate(&request.json()))
        .count();
    // Six times as far from a quarter as a binomial distribution is wont to go.
    assert!((48..=152).contains(&by_candidate), "{by_candidate}");
    let counted = until(&relay, "all calls to be counted", |shown| {
        let calls = |side: &str| shown["counted"][side]["calls"].as_u64().unwrap_or_default();
        calls("candidate") + calls("before") == EVENTS as u64
    })
    .await;
    assert_eq!(counted["counted"]["candidate"]["calls"], by_candidate);
    assert_eq!(counted["counted"]["candidate"]["faults"], 0);
    let deliveries = relay.read("/v1/deliveries?endpoint=crm&limit=20").await["data"].take();
    for delivery in deliveries.as_array().into_iter().flatten() {
        let attempts = relay.attempts(delivery).await;
        let log = attempts[0]["log"].to_string();
        assert!(log.contains("tidy info: ran as sha256:"), "{log}");
    }
}

/// An endpoint that follows `edits` as `tidy`.
async fn follow_after_first(relay: &Relay, receiver: &Receiver) -> String {
    let first = uploaded(relay, guests::EDITS).await;
    follow(relay, "crm", receiver, "tidy", "nothing").await;
    first
}

#[tokio::test]
async fn a_delivery_meets_the_same_version_at_every_attempt() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    // So many calls that nothing is taken back.
    rolled_out(
        &relay,
        json!({"mode": "canary", "percent": 50, "min_calls": 10_000}),
    )
    .await;
    let keys = json!({
        "name": "crm", "url": receiver.url(), "format": "raw", "event_types": ["a.b"],
        "retry": {"schedule": ["10ms", "10ms"], "jitter": 0},
        "plugins": [{"use": "tidy", "config": {"do": "trap"}}],
    });
    make(&relay, "/v1/endpoints", keys).await;
    let mut seen = BTreeMap::new();
    for n in 0..16 {
        let event = relay.event("a.b", json!({"n": n})).await;
        let over = |delivery: &Value| delivery["status"] == "failed" || delivery["status"] == "succeeded";
        let delivery = relay.delivery_that(&event, "over", over).await;
        let attempts = relay.attempts(&delivery).await;
        let failed = delivery["status"] == "failed";
        assert_eq!(attempts.len(), if failed { 3 } else { 1 }, "{attempts:?}");
        for attempt in &attempts {
            let log = attempt["log"].to_string();
            assert_eq!(log.contains(", the candidate"), failed, "{log}");
        }
        *seen.entry(failed).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 2, "both had some: {seen:?}");
}

#[tokio::test]
async fn a_shadow_is_compared_and_harms_nothing() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let (first, second) = rolled_out(&relay, json!({"mode": "shadow"})).await;
    follow(&relay, "crm", &receiver, "tidy", "nothing").await;
    for n in 1..=6 {
        assert_eq!(delivered(&relay, &receiver, n).await, edited(n));
    }
    let sum = |shown: &Value| {
        let compared = &shown["counted"]["compared"];
        compared["changed"].as_u64().unwrap_or_default() + compared["skipped"].as_u64().unwrap_or_default()
    };
    let shown = until(&relay, "all to be compared or skipped", |shown| sum(shown) == 6).await;
    assert_eq!(
        (&shown["version"], &shown["before"]),
        (&json!(second), &json!(first))
    );
    assert_eq!(shown["counted"]["before"]["calls"], 6);
    assert_eq!(shown["counted"]["candidate"]["calls"], 0, "nothing of it is used");
    let difference = &shown["counted"]["differences"][0];
    assert_eq!(difference["verdict"], "changed");
    assert!(text(&difference["delivery"]).starts_with("dlv_"), "{difference}");
    let change = json!({"at": "/emit/0/data/processed_by", "before": "\"relay\"", "after": null});
    assert!(
        difference["changes"]
            .as_array()
            .is_some_and(|all| all.contains(&change)),
        "{difference}"
    );
    // One that breaks is counted, and nobody notices.
    let ended = ask(&relay, Method::DELETE, "rollout", Value::Null).await;
    assert_eq!(ended.status, 204, "{}", ended.text());
    let patch = json!({"plugins": [{"use": "tidy", "config": {"do": "trap"}}]});
    let changed = relay.admin(Method::PATCH, "/v1/endpoints/crm", Some(patch)).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let (status, begun) = begin(&relay, &second, json!({"mode": "shadow", "min_calls": 1})).await;
    assert_eq!(status, 201, "{begun}");
    assert_eq!(delivered(&relay, &receiver, 7).await, edited(7));
    let shown = until(&relay, "the fault to be counted", |shown| {
        shown["counted"]["compared"]["failed"] == 1
    })
    .await;
    assert_eq!(shown["counted"]["differences"][0]["verdict"], "failed");
    let log = relay.read("/v1/deliveries?endpoint=crm&status=failed").await;
    assert_eq!(log["data"], json!([]));
}

#[tokio::test]
async fn what_a_shadow_keeps_is_thrown_away() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    uploaded(&relay, guests::EDITS).await;
    let dedupe: &'static [u8] = stock::find("dedupe").expect("it comes with the relay");
    let second = uploaded(&relay, dedupe).await;
    let keys = json!({
        "name": "crm", "url": receiver.url(), "format": "raw", "event_types": ["a.b"],
        "plugins": [{"use": "tidy", "config": {"key": ["/n"]}, "grants": {"state": true}}],
    });
    make(&relay, "/v1/endpoints", keys).await;
    let (status, begun) = begin(&relay, &second, json!({"mode": "shadow"})).await;
    assert_eq!(status, 201, "{begun}");
    assert_eq!(delivered(&relay, &receiver, 1).await, edited(1));
    until(&relay, "it to be compared", |shown| {
        shown["counted"]["compared"]["changed"] == 1
    })
    .await;
    let promoted = ask(&relay, Method::POST, "promote", json!({"version": second})).await;
    assert_eq!(promoted.status, 200, "{}", promoted.text());
    // Had the shadow kept the key, the event would be known.
    relay.event("a.b", json!({"n": 1})).await;
    assert_eq!(receiver.received(2).await[1].json(), json!({"n": 1}));
}

#[tokio::test]
async fn a_canary_that_breaks_is_taken_back_by_itself() {
    let (receiver, pager) = (Receiver::start(), Receiver::start());
    let relay = Relay::start("").await;
    let keys = json!({"mode": "canary", "percent": 50, "min_calls": 5});
    let (first, second) = rolled_out(&relay, keys).await;
    follow(&relay, "crm", &receiver, "tidy", "trap").await;
    let pages =
        json!({"name": "pager", "url": pager.url(), "event_types": ["relay.plugin.*"], "format": "raw"});
    make(&relay, "/v1/endpoints", pages).await;
    let (events, shown) = fails_until_taken_back(&relay).await;
    // Attempts count, and one delivery may have several.
    assert!(events >= 1, "{events}");
    let rolled_back = &shown["rolled_back"];
    assert_eq!(
        (&rolled_back["version"], &rolled_back["to"]),
        (&json!(second), &json!(first))
    );
    assert_eq!(
        (&rolled_back["calls"], &rolled_back["faults"]),
        (&json!(5), &json!(5))
    );
    assert_eq!(
        (&shown["rollout"], &shown["version"]),
        (&Value::Null, &json!(first))
    );
    // Those that failed go out with the version before.
    receiver.received(events).await;
    let told = pager.received(1).await[0].json();
    assert_eq!((&told["plugin"], &told["to"]), (&json!("tidy"), &json!(first)));
    assert_eq!(
        (&told["was_current"], &told["fault_rate"]),
        (&json!(false), &json!(1.0))
    );
    let deed = deeds(&relay).await.remove(0);
    assert_eq!(deed["action"], "plugin.rolled_back");
    assert_eq!(
        (&deed["actor"], &deed["after"]["automatic"]),
        (&Value::Null, &json!(true))
    );
}

#[tokio::test]
async fn a_promoted_version_that_breaks_is_taken_back_by_itself() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let keys = json!({"mode": "canary", "percent": 1, "min_calls": 5, "window": "1h"});
    let (first, second) = rolled_out(&relay, keys).await;
    follow(&relay, "crm", &receiver, "tidy", "trap").await;
    let promoted = ask(&relay, Method::POST, "rollout/promote", Value::Null).await;
    assert_eq!(promoted.status, 200, "{}", promoted.text());
    assert_eq!(promoted.json()["current"], true);
    let shown = relay.read("/v1/plugins/tidy/rollout").await;
    assert!(shown["watched_until"].is_string(), "{shown}");
    let (events, shown) = fails_until_taken_back(&relay).await;
    assert_eq!(shown["version"], json!(first));
    assert_eq!(shown["rolled_back"]["version"], json!(second));
    receiver.received(events).await;
    let turned = ask(&relay, Method::POST, "rollback", Value::Null).await;
    assert_eq!((turned.status, code(&turned).as_str()), (409, "nothing_before"));
}

#[tokio::test]
async fn what_a_plugin_says_of_events_and_what_breaks_both_take_nothing_back() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let keys = json!({"mode": "canary", "percent": 100, "min_calls": 3});
    rolled_out(&relay, keys).await;
    follow(&relay, "crm", &receiver, "tidy", "invalid").await;
    for n in 0..8 {
        let event = relay.event("a.b", json!({"n": n})).await;
        relay.delivery(&event, "failed").await;
    }
    let shown = relay.read("/v1/plugins/tidy/rollout").await;
    let candidate = &shown["counted"]["candidate"];
    assert_eq!(
        (&candidate["calls"], &candidate["faults"]),
        (&json!(8), &json!(0))
    );
}

#[tokio::test]
async fn a_roll_back_by_hand_ends_what_is_under_way_at_once() {
    let receiver = Receiver::start();
    let mut relay = Relay::start("").await;
    let keys = json!({"mode": "canary", "percent": 100, "window": "1h"});
    let (first, second) = rolled_out(&relay, keys).await;
    follow(&relay, "crm", &receiver, "tidy", "nothing").await;
    assert_eq!(delivered(&relay, &receiver, 1).await, json!({"n": 1}));
    // A restart keeps it, before it is promoted and after.
    relay.stop().await;
    relay.start_again().await;
    let shown = relay.read("/v1/plugins/tidy/rollout").await;
    assert_eq!(
        (&shown["version"], &shown["before"]),
        (&json!(second), &json!(first))
    );
    assert_eq!(
        (&shown["mode"], &shown["promoted_at"]),
        (&json!("canary"), &Value::Null)
    );
    assert_eq!(delivered(&relay, &receiver, 2).await, json!({"n": 2}));
    let promoted = ask(&relay, Method::POST, "rollout/promote", Value::Null).await;
    assert_eq!(promoted.status, 200, "{}", promoted.text());
    relay.stop().await;
    relay.start_again().await;
    let shown = relay.read("/v1/plugins/tidy/rollout").await;
    assert_eq!(
        (&shown["before"], &shown["window"]),
        (&json!(first), &json!("3600s"))
    );
    let refused = ask(&relay, Method::DELETE, &format!("versions/{first}"), Value::Null).await;
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (409, "rollout_under_way")
    );
    let back = ask(&relay, Method::POST, "rollback", Value::Null).await;
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!(delivered(&relay, &receiver, 3).await, edited(3));
    let gone = ask(&relay, Method::GET, "rollout", Value::Null).await;
    assert_eq!(gone.status, 404, "{}", gone.text());
    assert_eq!(
        actions(&relay).await[..3],
        [
            "plugin.rolled_back",
            "plugin.rollout_promoted",
            "plugin.rollout_begun"
        ]
    );
}

#[tokio::test]
async fn a_window_that_is_over_is_the_end_of_a_roll_out() {
    let relay = Relay::start("").await;
    rolled_out(&relay, json!({"mode": "canary", "window": "1s"})).await;
    let promoted = ask(&relay, Method::POST, "rollout/promote", Value::Null).await;
    assert_eq!(promoted.status, 200, "{}", promoted.text());
    eventually("the roll-out to be over", || async {
        let answer = ask(&relay, Method::GET, "rollout", Value::Null).await;
        if answer.status == 404 {
            Ok(())
        } else {
            Err(answer.text())
        }
    })
    .await;
    assert_eq!(actions(&relay).await[0], "plugin.rollout_ended");
}

#[tokio::test]
async fn what_cannot_be_rolled_out_is_refused() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let first = follow_after_first(&relay, &receiver).await;
    let second = uploaded(&relay, guests::HOSTILE).await;
    let strict = uploaded(&relay, guests::EVERYTHING).await;
    let unknown = format!("sha256:{}", "0".repeat(64));
    let canary = |more: Value| {
        let mut keys = json!({"mode": "canary"});
        keys.as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().unwrap_or_default());
        keys
    };
    for (version, keys, status, wanted) in [
        (&first, canary(json!({})), 409, "same_version"),
        (&unknown, canary(json!({})), 422, "unknown_version"),
        (&strict, canary(json!({})), 422, "unusable"),
        (&second, canary(json!({"percent": 0})), 422, "invalid_rollout"),
        (&second, canary(json!({"percent": 101})), 422, "invalid_rollout"),
        (&second, canary(json!({"percent": 1000})), 400, "bad_body"),
        (
            &second,
            canary(json!({"fault_rate_max": 1.5})),
            422,
            "invalid_rollout",
        ),
        (
            &second,
            canary(json!({"fault_rate_max": -0.1})),
            422,
            "invalid_rollout",
        ),
        (&second, canary(json!({"min_calls": 0})), 422, "invalid_rollout"),
        (&second, canary(json!({"window": "8d"})), 422, "invalid_rollout"),
        (&second, canary(json!({"window": "soon"})), 422, "invalid_rollout"),
        (&second, json!({"mode": "blue-green"}), 400, "bad_body"),
        (&second, json!({}), 400, "bad_body"),
        (&second, canary(json!({"share": 1})), 400, "bad_body"),
    ] {
        let (found, problem) = begin(&relay, version, keys.clone()).await;
        assert_eq!(
            (found, text(&problem["code"])),
            (status, wanted),
            "{keys}: {problem}"
        );
    }
    for (method, what) in [
        (Method::GET, "rollout"),
        (Method::DELETE, "rollout"),
        (Method::POST, "rollout/promote"),
    ] {
        assert_eq!(ask(&relay, method, what, Value::Null).await.status, 404, "{what}");
    }
    assert_eq!(begin(&relay, &second, canary(json!({}))).await.0, 201);
    let (status, problem) = begin(&relay, &second, canary(json!({}))).await;
    assert_eq!((status, text(&problem["code"])), (409, "rollout_under_way"));
    assert_eq!(
        relay.read("/v1/plugins/tidy").await["rollout"]["version"],
        second.as_str()
    );
    // Another tenant has no such plugin.
    make(&relay, "/v1/tenants", json!({"name": "acme"})).await;
    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("relay-tenant", "acme"),
    ];
    for method in [Method::GET, Method::DELETE] {
        let path = "/v1/plugins/tidy/rollout";
        let answer = relay.send(method, path, &headers, Bytes::new()).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
}
