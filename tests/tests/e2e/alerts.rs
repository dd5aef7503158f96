//! Operational events, and alerts that fire and resolve.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use http::Method;
use relay_tests::client::Answer;
use relay_tests::instance::Relay;
use relay_tests::receiver::{Receiver, Reply, Request, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

const OWN: &str = "event_types = [\"relay.*\"]";

/// A receiver whose answer can be changed.
fn changing(status: u16) -> (Receiver, Arc<AtomicU16>) {
    let answer = Arc::new(AtomicU16::new(status));
    let script = Arc::clone(&answer);
    let receiver = Receiver::answering(move |_, _| Reply::Status(script.load(Ordering::SeqCst)));
    (receiver, answer)
}

/// What came of one type.
fn of_type(receiver: &Receiver, kind: &str) -> Vec<Value> {
    let requests = receiver.requests();
    let bodies = requests.iter().map(Request::json);
    bodies.filter(|body| body["type"] == kind).collect()
}

/// Waits until one of a type has come.
async fn told(receiver: &Receiver, kind: &str) -> Value {
    eventually(&format!("{kind} to come"), || async {
        match of_type(receiver, kind).pop() {
            Some(body) => Ok(body),
            None => Err(receiver.requests().iter().map(Request::json).collect::<Vec<_>>()),
        }
    })
    .await
}

async fn alert(relay: &Relay, keys: Value) -> Value {
    let answer = relay.admin(Method::POST, "/v1/alerts", Some(keys)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// Waits until the alert `failing` is in that state.
async fn alert_that(relay: &Relay, state: &str) -> Value {
    eventually(&format!("the alert to be {state}"), || async {
        let shown = relay.read("/v1/alerts/failing").await;
        if shown["state"] == state {
            Ok(shown)
        } else {
            Err(shown)
        }
    })
    .await
}

#[tokio::test]
async fn c16_an_endpoint_that_keeps_failing_fires_an_alert_once_and_resolves_it() {
    let ((crm, answer), pager, all) = (changing(500), Receiver::start(), Receiver::start());
    let config = [
        endpoint(
            "crm",
            &crm.url(),
            "event_types = [\"a.b\"]\nretry = { schedule = [\"1h\"], jitter = 0 }",
        ),
        pager.endpoint("pager", OWN),
        all.endpoint("all", ""),
    ];
    let mut relay = Relay::start(&config.join("\n")).await;
    let made = alert(
        &relay,
        json!({"name": "failing", "when": {"consecutive_failures": 3}}),
    )
    .await;
    assert!(
        made["id"].as_str().is_some_and(|id| id.starts_with("alr_")),
        "{made}"
    );
    assert_eq!((&made["state"], &made["firing"]), (&json!("ok"), &json!([])));
    for number in 0..4 {
        relay.event("a.b", json!(number)).await;
    }
    let firing = told(&pager, "relay.alert.firing").await;
    let facts = &firing["data"];
    assert_eq!(
        (&facts["alert"]["name"], &facts["endpoint"]["name"]),
        (&json!("failing"), &json!("crm"))
    );
    assert_eq!(
        (&facts["condition"], &facts["threshold"]),
        (&json!("consecutive_failures"), &json!(3.0))
    );
    assert!(facts["value"].as_f64() >= Some(3.0), "{facts}");
    let shown = alert_that(&relay, "firing").await;
    assert_eq!(shown["firing"][0]["endpoint"], facts["endpoint"]["id"]);

    // It goes on firing over a restart, and is not told again.
    relay.stop().await;
    relay.start_again().await;
    answer.store(200, Ordering::SeqCst);
    relay.event("a.b", json!(5)).await;
    let resolved = told(&pager, "relay.alert.resolved").await;
    assert_eq!(resolved["data"]["since"], facts["since"]);
    alert_that(&relay, "ok").await;
    assert_eq!(of_type(&pager, "relay.alert.firing").len(), 1);
    let kinds: Vec<Value> = all
        .requests()
        .iter()
        .map(|request| request.json()["type"].take())
        .collect();
    assert!(
        kinds.iter().all(|kind| kind == "a.b"),
        "a catch-all gets no event of the relay's own: {kinds:?}"
    );
}

#[tokio::test]
async fn c16_alerts_watch_the_share_of_successes_and_events_of_given_types() {
    let (crm, pager) = (Receiver::always(Reply::Status(503)), Receiver::start());
    let config = [
        endpoint("crm", &crm.url(), "event_types = [\"pay.*\"]\nretry = { schedule = [\"1h\"], jitter = 0 }"),
        pager.endpoint("pager", OWN),
        "[[alert]]\nname = \"rate\"\nwhen = { success_rate_below = 0.95, window = \"15m\", min_count = 1 }\nendpoints = [\"crm\"]".to_owned(),
        "[[alert]]\nname = \"payments\"\nwhen = { failed_type = \"pay.*\", count = 1, window = \"5m\" }".to_owned(),
        "[[alert]]\nname = \"others\"\nwhen = { failed_type = \"other.*\" }".to_owned(),
    ];
    let relay = Relay::start(&config.join("\n")).await;
    relay.event("pay.made", json!(1)).await;
    let fired = eventually("both alerts to fire", || async {
        let mut names: Vec<String> = of_type(&pager, "relay.alert.firing")
            .iter()
            .map(|body| {
                body["data"]["alert"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect();
        names.sort();
        if names.len() < 2 { Err(names) } else { Ok(names) }
    })
    .await;
    assert_eq!(fired, ["payments", "rate"]);
    assert_eq!(relay.read("/v1/alerts/others").await["state"], "ok");
    let declared = relay.admin(Method::DELETE, "/v1/alerts/rate", None).await;
    assert_eq!(declared.status, 409, "{}", declared.text());
}

#[tokio::test]
async fn v16_an_unusual_volume_of_events_fires_an_alert() {
    let pager = Receiver::start();
    let relay = Relay::start(&pager.endpoint("pager", OWN)).await;
    let when = json!({"volume_above": 2, "window": "5m"});
    alert(
        &relay,
        json!({"name": "many", "when": when, "event_types": ["order.*"]}),
    )
    .await;
    for kind in ["order.a", "order.b", "chat.a", "order.c"] {
        relay.event(kind, json!(1)).await;
    }
    let firing = told(&pager, "relay.alert.firing").await;
    assert_eq!(
        (&firing["data"]["value"], &firing["data"]["endpoint"]),
        (&json!(3.0), &Value::Null)
    );
}

#[tokio::test]
async fn m23_a_slow_receiver_and_what_waits_for_it_fire_alerts() {
    let slow = Receiver::always(Reply::After(std::time::Duration::from_millis(60)));
    let (stuck, pager) = (Receiver::always(Reply::Status(500)), Receiver::start());
    let config = [
        endpoint("slow", &slow.url(), "event_types = [\"a.b\"]"),
        endpoint(
            "stuck",
            &stuck.url(),
            "event_types = [\"a.b\"]\nretry = { schedule = [\"1h\"], jitter = 0 }",
        ),
        pager.endpoint("pager", OWN),
        "[[alert]]\nname = \"slow\"\nwhen = { p95_above = \"50ms\", min_count = 1 }\nendpoints = [\"slow\"]"
            .to_owned(),
        "[[alert]]\nname = \"backlog\"\nwhen = { pending_above = 1 }\nendpoints = [\"stuck\"]".to_owned(),
    ];
    let relay = Relay::start(&config.join("\n")).await;
    for number in 0..2 {
        relay.event("a.b", json!(number)).await;
    }
    let mut fired = eventually("both alerts to fire", || async {
        let bodies = of_type(&pager, "relay.alert.firing");
        if bodies.len() < 2 { Err(bodies) } else { Ok(bodies) }
    })
    .await;
    fired.sort_by_key(|body| body["data"]["alert"]["name"].to_string());
    let about: Vec<&Value> = fired
        .iter()
        .map(|body| &body["data"]["endpoint"]["name"])
        .collect();
    assert_eq!(about, ["stuck", "slow"]);
    assert!(fired[1]["data"]["value"].as_f64() >= Some(0.055), "{fired:?}");
}

#[tokio::test]
async fn v7_disabling_an_endpoint_is_told_before_when_and_after_it_happens() {
    let ((crm, answer), pager) = (changing(500), Receiver::start());
    let settings = format!(
        "disable_after = \"1s\"\nevent_types = [\"a.b\", \"relay.*\"]\nretry = {{ schedule = {:?}, jitter = 0 }}",
        vec!["50ms"; 50]
    );
    let config = [
        endpoint("crm", &crm.url(), &settings),
        pager.endpoint("pager", OWN),
    ];
    let relay = Relay::start(&config.join("\n")).await;
    for number in 0..12 {
        relay.event("a.b", json!(number)).await;
    }
    let failing = told(&pager, "relay.endpoint.failing").await;
    assert!(failing["data"]["percent"].as_u64() >= Some(50), "{failing}");
    let disabled = told(&pager, "relay.endpoint.disabled").await;
    assert_eq!(disabled["data"]["endpoint"]["name"], "crm");
    assert!(
        disabled["data"]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("500")),
        "{disabled}"
    );
    answer.store(200, Ordering::SeqCst);
    relay
        .admin(Method::PATCH, "/v1/endpoints/crm", Some(json!({"enabled": true})))
        .await;
    told(&pager, "relay.endpoint.recovered").await;
    let about_itself = crm
        .requests()
        .iter()
        .filter(|request| request.json()["type"] != "a.b")
        .count();
    assert_eq!(about_itself, 0, "what fails is not told that it fails");
}

#[tokio::test]
async fn c21_deliveries_that_fail_for_good_are_told_together_and_never_of_the_telling() {
    let (crm, broken) = (
        Receiver::always(Reply::Status(400)),
        Receiver::always(Reply::Status(500)),
    );
    let pager = Receiver::start();
    let finite = "retry = { schedule = [], jitter = 0 }";
    let config = [
        endpoint("crm", &crm.url(), &format!("event_types = [\"a.b\"]\n{finite}")),
        endpoint("broken", &broken.url(), &format!("{OWN}\n{finite}")),
        pager.endpoint("pager", OWN),
    ];
    let relay = Relay::start(&config.join("\n")).await;
    let event = relay.event("a.b", json!(0)).await;
    relay.delivery(&event, "failed").await;
    let first = told(&pager, "relay.delivery.exhausted").await;
    assert_eq!(
        (&first["data"]["event"], &first["data"]["count"]),
        (&json!(event), &json!(1))
    );
    for number in 1..5 {
        let event = relay.event("a.b", json!(number)).await;
        relay.delivery(&event, "failed").await;
    }
    broken.received(1).await;
    relay.terminate();
    let mut relay = relay;
    relay.stopped().await;
    relay.start_again().await;
    let both = eventually("the others to be told together", || async {
        let bodies = of_type(&pager, "relay.delivery.exhausted");
        if bodies.len() < 2 { Err(bodies) } else { Ok(bodies) }
    })
    .await;
    assert_eq!(both[1]["data"]["count"], json!(4), "{both:?}");
    let about: Vec<&Value> = both
        .iter()
        .map(|body| &body["data"]["endpoint"]["name"])
        .collect();
    assert_eq!(
        about,
        ["crm", "crm"],
        "an operational event that fails is no news"
    );
}

#[tokio::test]
async fn c21_nobody_else_may_speak_for_the_relay() {
    let relay = Relay::start("").await;
    let json = [("content-type", "application/json")];
    let answer = relay
        .post_events(&json, r#"{"type": "relay.alert.firing", "data": 1}"#)
        .await;
    assert!((400..500).contains(&answer.status), "{}", answer.text());
    assert!(answer.text().contains("only the relay"), "{}", answer.text());
}

#[tokio::test]
async fn c16_a_malformed_alert_is_refused_with_each_fault_in_its_place() {
    let relay = Relay::start("").await;
    let keys = json!({"name": "a", "when": {"success_rate_below": 95, "windw": "5m"}});
    let answer = relay.admin(Method::POST, "/v1/alerts", Some(keys)).await;
    assert_eq!(answer.status, 422);
    let problem = answer.problem();
    let pointers: Vec<&Value> = problem["errors"]
        .as_array()
        .map(|errors| errors.iter().map(|error| &error["pointer"]).collect())
        .unwrap_or_default();
    assert_eq!(pointers, ["/when/success_rate_below", "/when/windw"], "{problem}");
}

#[tokio::test]
async fn c16_an_alert_names_only_what_is_there_or_comes_with_it() {
    let relay = Relay::start("").await;
    let crm = json!({"name": "crm", "url": "https://crm.example.com/hook"});
    let keys = json!({
        "name": "a", "when": {"consecutive_failures": 5}, "endpoints": ["crm", "none"], "source": "shop",
    });
    let pointers = |answer: &Answer| -> Vec<String> {
        let problem = answer.problem();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let pointers = errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap_or_default().to_owned());
        pointers.collect()
    };
    let refused = relay.admin(Method::POST, "/v1/alerts", Some(keys.clone())).await;
    assert_eq!(refused.status, 422);
    assert_eq!(pointers(&refused), ["/endpoints/0", "/endpoints/1", "/source"]);
    // In one document with what it looks at, in any order.
    let known = json!({"name": "a", "when": {"consecutive_failures": 5}, "endpoints": ["crm"]});
    let document = json!({"alert": [known], "endpoint": [crm]});
    let planned = relay
        .admin(Method::POST, "/v1/definitions/plan", Some(document))
        .await;
    assert_eq!(planned.status, 200, "{}", planned.text());
    let document = json!({"alert": [keys], "endpoint": [crm]});
    let planned = relay
        .admin(Method::POST, "/v1/definitions/plan", Some(document))
        .await;
    assert_eq!(pointers(&planned), ["/alert/0/endpoints/1", "/alert/0/source"]);

    let made = relay.admin(Method::POST, "/v1/endpoints", Some(crm)).await.json();
    let mut by_id = known.clone();
    by_id["endpoints"] = json!([made["id"]]);
    alert(&relay, by_id).await;
    let gone = relay.admin(Method::DELETE, "/v1/endpoints/crm", None).await;
    assert_eq!(
        gone.status, 200,
        "an alert keeps nobody from deleting an endpoint"
    );
    // What it has named before it may go on to name.
    let patched = relay
        .admin(Method::PATCH, "/v1/alerts/a", Some(json!({"enabled": false})))
        .await;
    assert_eq!(patched.status, 200, "{}", patched.text());
    let named = json!({"endpoints": [made["id"], "crm"]});
    let patched = relay.admin(Method::PATCH, "/v1/alerts/a", Some(named)).await;
    assert_eq!(
        (patched.status, pointers(&patched)),
        (422, vec!["/endpoints/1".to_owned()])
    );
}

#[tokio::test]
async fn u10_an_alert_tells_that_a_quota_is_nearly_used_up_and_that_there_is_room_again() {
    let pager = Receiver::start();
    let config = [
        "[[plan]]\nname = \"small\"\nendpoints = 5\n[quota]\ndefault_plan = \"small\"".to_owned(),
        pager.endpoint("pager", OWN),
    ];
    let relay = Relay::start(&config.join("\n")).await;
    let nearly = json!({"name": "nearly", "when": {"quota_above": 0.5, "limits": ["endpoints", "keys"]}});
    alert(&relay, nearly).await;
    for name in ["one", "other"] {
        let keys = json!({"name": name, "url": "https://example.com", "event_types": ["a.b"]});
        let made = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let facts = told(&pager, "relay.alert.firing").await["data"].take();
    assert_eq!(
        [
            &facts["condition"],
            &facts["limit"],
            &facts["value"],
            &facts["threshold"],
            &facts["endpoint"]
        ],
        [
            &json!("quota_above"),
            &json!("endpoints"),
            &json!(0.6),
            &json!(0.5),
            &Value::Null
        ]
    );
    let gone = relay.admin(Method::DELETE, "/v1/endpoints/other", None).await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    let resolved = told(&pager, "relay.alert.resolved").await;
    assert_eq!(resolved["data"]["since"], facts["since"]);
    assert_eq!(of_type(&pager, "relay.alert.firing").len(), 1);
}
