//! Plugins on the path of an event: what they do to it, and what becomes of it when they break.

use std::path::PathBuf;

use http::Method;
use relay_tests::guests;
use relay_tests::instance::{Relay, Setup, accepted};
use relay_tests::receiver::{Receiver, Reply, endpoint};
use relay_tests::sign::hmac_sha256_hex;
use serde_json::{Value, json};

/// A relay to be started with a folder of plugins.
fn with_plugins(config: &str, plugins: &[(&str, &[u8])]) -> Setup {
    let setup = Setup::new(config);
    for (name, component) in plugins {
        put(&setup, name, component);
    }
    let folder = setup.home().join("plugins").display().to_string();
    setup.variable("RELAY_PLUGINS__FOLDER", &folder)
}

fn put(setup: &Setup, name: &str, component: &[u8]) -> PathBuf {
    setup.file(&format!("plugins/{name}.wasm"), component)
}

fn hostile(action: &str, more: &str) -> String {
    format!("plugins = [{{ use = \"hostile\", config = {{ do = \"{action}\" }}{more} }}]\n")
}

/// The only attempt of a delivery.
async fn only_attempt(relay: &Relay, delivery: &Value) -> Value {
    let mut attempts = relay.attempts(delivery).await;
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    attempts.remove(0)
}

#[tokio::test]
async fn an_event_is_reshaped_and_what_it_cost_is_recorded() {
    let receiver = Receiver::start();
    let config = receiver.endpoint("crm", "format = \"standard\"\nplugins = [{ use = \"edits\" }]");
    let relay = with_plugins(&config, &[("edits", guests::EDITS)]).start().await;
    let event = relay.event("a.b", json!({"n": 1.0, "debug": true})).await;
    let request = receiver.received(1).await.remove(0);
    assert_eq!(request.json()["data"], json!({"n": 1.0, "processed_by": "relay"}));
    assert_eq!(
        request.verify(&relay.secret("crm").await),
        Ok(()),
        "what is sent is what is signed"
    );
    let attempt = only_attempt(&relay, &relay.delivery(&event, "succeeded").await).await;
    assert_eq!(attempt["plugins"][0]["name"], "edits");
    assert!(attempt["plugins"][0]["duration_us"].is_u64(), "{attempt}");
    let stored = relay.read(&format!("/v1/events/{event}")).await;
    assert_eq!(
        stored["data"],
        json!({"n": 1.0, "debug": true}),
        "the event itself is never changed"
    );
}

#[tokio::test]
async fn what_a_plugin_breaks_by_is_recorded_with_its_cause() {
    let receiver = Receiver::start();
    let misdeeds = [
        ("panic", "trapped"),
        ("trap", "trapped"),
        ("overflow-stack", "trapped"),
        ("exit", "trapped"),
        ("spin", "timed_out"),
        ("sleep", "timed_out"),
        ("flood-host", "over_limit"),
        ("eat-memory", "out_of_memory"),
        ("flood-log", "over_limit"),
        ("huge-text", "over_limit"),
        ("pointer", "bad_answer"),
        ("split-header", "bad_answer"),
        ("invalid", "invalid"),
    ];
    let named = |(action, _): &(&str, &str)| {
        endpoint(
            action,
            &receiver.url(),
            &format!(
                "on_fault = \"dead-letter\"\n{}",
                hostile(action, ", timeout = \"2s\"")
            ),
        )
    };
    let config: String = misdeeds.iter().map(named).collect::<String>() + &receiver.endpoint("healthy", "");
    let relay = with_plugins(&config, &[("hostile", guests::HOSTILE)])
        .start()
        .await;
    let event = relay.event("a.b", json!({"n": 1})).await;
    receiver.received(1).await;
    let deliveries = relay_tests::wait::eventually("every delivery to be settled", || async {
        let deliveries = relay.deliveries(&event).await;
        if deliveries.iter().any(|delivery| delivery["status"] == "pending") {
            Err(deliveries)
        } else {
            Ok(deliveries)
        }
    })
    .await;
    for (action, fault) in misdeeds {
        let delivery = deliveries
            .iter()
            .find(|delivery| delivery["endpoint_name"] == action)
            .expect("one for each");
        assert_eq!(delivery["status"], "failed", "{action}: {delivery}");
        let attempt = only_attempt(&relay, delivery).await;
        let outcome = &attempt["outcome"];
        assert_eq!(
            (&outcome["kind"], &outcome["fault"], &outcome["plugin"]),
            (&json!("plugin_fault"), &json!(fault), &json!("hostile")),
            "{action}: {attempt}"
        );
        assert_eq!(attempt["error_class"], "plugin");
        assert!(
            outcome["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{attempt}"
        );
    }
    let panicked = deliveries
        .iter()
        .find(|delivery| delivery["endpoint_name"] == "panic")
        .expect("one for each");
    let told = only_attempt(&relay, panicked).await["outcome"].to_string();
    assert!(
        told.contains("is not to my taste"),
        "what the guest said is kept: {told}"
    );
    assert_eq!(
        receiver.requests().len(),
        1,
        "only the healthy endpoint got anything"
    );
}

#[tokio::test]
async fn the_endpoints_policy_decides_over_a_broken_plugin() {
    let receiver = Receiver::start();
    let retry = "retry = { schedule = [\"20ms\", \"20ms\"], jitter = 0 }\n";
    for (policy, status, attempts, requests) in [
        ("retry", "failed", 3, 0),
        ("dead-letter", "failed", 1, 0),
        ("pass", "succeeded", 1, 1),
    ] {
        let before = receiver.requests().len();
        let config = receiver.endpoint(
            "crm",
            &format!("on_fault = \"{policy}\"\n{retry}{}", hostile("panic", "")),
        );
        let relay = with_plugins(&config, &[("hostile", guests::HOSTILE)])
            .start()
            .await;
        let event = relay.event("a.b", json!({"n": 1})).await;
        let delivery = relay.delivery(&event, status).await;
        assert_eq!(delivery["attempts"], attempts, "{policy}");
        assert_eq!(receiver.requests().len() - before, requests, "{policy}");
        if policy == "pass" {
            assert_eq!(
                receiver.requests()[before].json()["data"],
                json!({"n": 1}),
                "as if the plugin were not there"
            );
        }
    }
}

#[tokio::test]
async fn what_a_plugin_says_itself_goes_before_the_policy() {
    let receiver = Receiver::start();
    let retry = "on_fault = \"retry\"\nretry = { schedule = [\"20ms\"], jitter = 0 }\n";
    for (action, status, attempts) in [("invalid", "failed", 1), ("misconfigured", "failed", 2)] {
        let config = receiver.endpoint("crm", &format!("{retry}{}", hostile(action, "")));
        let relay = with_plugins(&config, &[("hostile", guests::HOSTILE)])
            .start()
            .await;
        let event = relay.event("a.b", json!(1)).await;
        let delivery = relay.delivery(&event, status).await;
        assert_eq!(delivery["attempts"], attempts, "{action}");
    }
    let config = receiver.endpoint("crm", &format!("{retry}{}", hostile("unavailable", "")));
    let relay = with_plugins(&config, &[("hostile", guests::HOSTILE)])
        .start()
        .await;
    let event = relay.event("a.b", json!(1)).await;
    let delivery = relay
        .delivery_that(&event, "tried once", |delivery| delivery["attempts"] == 1)
        .await;
    let attempt = only_attempt(&relay, &delivery).await;
    assert_eq!(
        attempt["outcome"]["retry_after_ms"], 1500,
        "no sooner than it asked for"
    );
    assert_eq!(delivery["status"], "pending");
}

#[tokio::test]
async fn a_dropped_event_is_shown_with_the_reason() {
    let receiver = Receiver::start();
    let config = receiver.endpoint("crm", &hostile("odd-pointers", ""));
    let relay = with_plugins(&config, &[("hostile", guests::HOSTILE)])
        .start()
        .await;
    let event = relay.event("a.b", json!({"n": 1})).await;
    let delivery = relay.delivery(&event, "dropped").await;
    assert!(
        delivery["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("hostile") && reason.contains("found=")),
        "{delivery}"
    );
    assert_eq!(relay.count("crm", "dropped").await, 1);
    assert_eq!(receiver.requests().len(), 0);
}

#[tokio::test]
async fn several_messages_go_in_order_and_a_retry_goes_on_after_the_last_that_arrived() {
    let receiver = Receiver::script([Reply::Status(200), Reply::Status(500)]);
    let settings = format!(
        "format = \"raw\"\nretry = {{ schedule = [\"20ms\"], jitter = 0 }}\n{}",
        hostile("fan-out", "")
    );
    let relay = with_plugins(
        &receiver.endpoint("crm", &settings),
        &[("hostile", guests::HOSTILE)],
    )
    .start()
    .await;
    let event = relay.event("a.b", json!([10, 20, 30])).await;
    let delivery = relay.delivery(&event, "succeeded").await;
    assert_eq!(delivery["attempts"], 2);
    let requests = receiver.requests();
    let bodies: Vec<String> = requests
        .iter()
        .map(relay_tests::receiver::Request::text)
        .collect();
    assert_eq!(bodies, ["10", "20", "20", "30"]);
    assert_eq!(requests[1].id(), requests[2].id());
    let mut ids: Vec<&str> = requests.iter().map(relay_tests::receiver::Request::id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[tokio::test]
async fn the_chains_result_is_frozen_once_an_attempt_has_failed() {
    let receiver = Receiver::script([Reply::Status(500)]);
    let settings =
        "format = \"raw\"\nretry = { schedule = [\"700ms\"], jitter = 0 }\nplugins = [{ use = \"shape\" }]";
    let relay = with_plugins(&receiver.endpoint("crm", settings), &[("shape", guests::EDITS)])
        .start()
        .await;
    let event = relay.event("a.b", json!({"n": 1})).await;
    relay
        .delivery_that(&event, "tried once", |delivery| delivery["attempts"] == 1)
        .await;
    put(relay.setup(), "shape", guests::HOSTILE);
    let requests = receiver.received(2).await;
    assert_eq!(requests[0].body, requests[1].body);
    let attempts = relay.attempts(&relay.delivery(&event, "succeeded").await).await;
    assert_eq!(
        (
            attempts[0]["plugins"].as_array().map(Vec::len),
            &attempts[1]["plugins"]
        ),
        (Some(1), &Value::Null),
        "frozen bytes cost no plugin"
    );
}

#[tokio::test]
async fn a_changed_file_is_picked_up_and_a_bad_one_is_not() {
    let receiver = Receiver::start();
    let settings = format!(
        "format = \"raw\"\n{}",
        hostile("nothing", "").replace("\"hostile\"", "\"shape\"")
    );
    let relay = with_plugins(&receiver.endpoint("crm", &settings), &[("shape", guests::EDITS)])
        .start()
        .await;
    let sent = async |n: usize| {
        relay.event("a.b", json!({"n": n})).await;
        receiver.received(n).await[n - 1].json()
    };
    assert_eq!(sent(1).await, json!({"n": 1, "processed_by": "relay"}));
    put(relay.setup(), "shape", b"no component at all");
    relay.logged("the old one stays in force").await;
    assert_eq!(sent(2).await, json!({"n": 2, "processed_by": "relay"}));
    put(relay.setup(), "shape", guests::HOSTILE);
    relay.logged("plugins reloaded").await;
    assert_eq!(sent(3).await, json!({"n": 3}));
}

#[tokio::test]
async fn a_plugin_that_cannot_be_used_stops_the_start_and_says_why() {
    let once = |plugins: &str| endpoint("crm", "https://example.com/", &format!("plugins = [{plugins}]"));
    let files: [(&str, &[u8]); 3] = [
        ("everything", guests::EVERYTHING),
        ("text", b"no component at all"),
        ("module", b"\0asm\x01\0\0\0"),
    ];
    for (config, words) in [
        (
            once("{ use = \"everythin\" }"),
            &["crm", "everythin", "everything"][..],
        ),
        (once("{ use = \"../relay\" }"), &["../relay"]),
        (once("{ use = \"text\" }"), &["text", "component"]),
        (once("{ use = \"module\" }"), &["module", "component"]),
        (once("{ use = \"everything\" }"), &["everything", "greeting"]),
        (
            once("{ use = \"everything\", config = { greeting = 5 } }"),
            &["/greeting"],
        ),
        (
            once("{ use = \"everything\", config = { greeting = \"hi\", greting = 1 } }"),
            &["greting"],
        ),
        (
            once("{ use = \"everything\", config = { greeting = \"rude\" } }"),
            &["/greeting", "is rude"],
        ),
    ] {
        let ended = with_plugins(&config, &files).run(&["serve"]).await;
        assert!(ended.code != Some(0), "{config}: {ended:?}");
        for word in words {
            assert!(
                ended.stderr.contains(word),
                "{config}: {word:?} is not in: {}",
                ended.stderr
            );
        }
    }
}

fn checked_by_plugin(more: &str) -> String {
    format!(
        "[[source]]\nname = \"door\"\nverify = {{ scheme = \"none\" }}\n\
         plugins = [{{ use = \"everything\", config = {{ greeting = \"hi\" }}, secrets = {{ key = \"s3cr3t-key\" }}{more} }}]\n"
    )
}

#[tokio::test]
async fn a_plugin_tells_genuine_from_forged() {
    let relay = with_plugins(&checked_by_plugin(""), &[("everything", guests::EVERYTHING)])
        .start()
        .await;
    let body = r#"{"a": [1, 2]}"#;
    let signature = hmac_sha256_hex(b"s3cr3t-key", &[b"/in/door|", body.as_bytes()]);
    for (given, status) in [(signature.as_str(), 202), ("00", 401), ("", 401)] {
        let answer = relay.post_source("door", &[("x-signature", given)], body).await;
        assert_eq!(answer.status, status, "{given}: {}", answer.text());
        if status == 401 {
            assert!(
                !answer.text().contains("bad signature"),
                "the reason is for the log: {}",
                answer.text()
            );
        } else {
            let event = relay.read(&format!("/v1/events/{}", accepted(&answer))).await;
            assert!(
                event.to_string().contains("a1"),
                "attributes of the identity are kept: {event}"
            );
        }
    }
    let challenge = relay
        .send(Method::POST, "/in/door?challenge", &[], "echo me")
        .await;
    assert_eq!((challenge.status, challenge.text().as_str()), (200, "echo me"));
}

#[tokio::test]
async fn a_plugin_that_breaks_lets_nobody_in() {
    let relay = with_plugins(
        &checked_by_plugin(", timeout = \"100ms\""),
        &[("everything", guests::EVERYTHING)],
    )
    .start()
    .await;
    // The last one refuses with the status 200, which is no refusal and so a fault too.
    for query in ["panic", "spin", "tenant", "status"] {
        let answer = relay
            .send(Method::POST, &format!("/in/door?{query}"), &[], "{}")
            .await;
        assert_eq!(
            (answer.status, &answer.problem()["code"]),
            (503, &json!("authentication_unavailable")),
            "{query}"
        );
    }
    assert_eq!(relay.read("/v1/events").await["data"], json!([]));
}

#[tokio::test]
async fn a_plugin_never_sees_what_it_was_not_granted() {
    let receiver = Receiver::start();
    let config = receiver.endpoint(
        "crm",
        "format = \"raw\"\nplugins = [{ use = \"everything\", config = { greeting = \"hi\" } }]",
    );
    let setup = with_plugins(&config, &[("everything", guests::EVERYTHING)])
        .variable("RELAY_TEST_SECRET", "s3cr3t-of-the-machine");
    let relay = setup.start().await;
    relay.event("a.b", json!({"a": [1, 2]})).await;
    let told = receiver.received(1).await.remove(0).text();
    assert!(
        !told.contains("s3cr3t-of-the-machine") && !told.contains("whsec_") && !told.contains("rk_"),
        "{told}"
    );
}

#[tokio::test]
async fn stock_plugins_need_no_file_and_work_as_a_chain() {
    let receiver = Receiver::start();
    let settings = r#"
        format = "raw"
        plugins = [
            { use = "redact-fields", config = { drop = ["/note"], mask = ["/phone"], keep_last = 2, hash = ["/user"] }, secrets = { hash-key = "k-123456" } },
            { use = "build-payload", config = { rows = [{ key = "Phone", from = "/phone" }, { key = "User", from = "/user" }, { key = "Note", from = "/note", default = "none" }] } },
        ]
    "#;
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    let event = relay
        .event(
            "a.b",
            json!({"phone": "14155552671", "user": "u1", "note": "secret"}),
        )
        .await;
    let hash = hmac_sha256_hex(b"k-123456", &[b"u1"]);
    assert_eq!(
        receiver.received(1).await[0].json(),
        json!({"Phone": "*********71", "User": hash, "Note": "none"})
    );
    let attempt = only_attempt(&relay, &relay.delivery(&event, "succeeded").await).await;
    let names: Vec<&Value> = attempt["plugins"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|plugin| &plugin["name"])
        .collect();
    assert_eq!(names, ["redact-fields", "build-payload"]);
}

#[tokio::test]
async fn m14_a_token_within_the_body_is_verified() {
    let config = r#"
        [[source]]
        name = "door"
        verify = { scheme = "none" }
        plugins = [{ use = "verify-token", config = { at = "/auth/token" }, secrets = { token = "t0ken-of-the-door" } }]
    "#;
    let relay = Relay::start(config).await;
    for (body, status) in [
        (json!({"auth": {"token": "t0ken-of-the-door"}}), 202),
        (json!({"auth": {"token": "another"}}), 401),
        (json!({"auth": {"token": ""}}), 401),
        (json!({"auth": {"token": ["t0ken-of-the-door"]}}), 401),
        (json!({"event": "message"}), 401),
        (json!("t0ken-of-the-door"), 401),
    ] {
        let answer = relay
            .post_source("door", &[("content-type", "application/json")], body.to_string())
            .await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    assert!(!relay.log().contains("t0ken-of-the-door"));
}

#[tokio::test]
async fn a_stock_plugins_configuration_is_checked_at_the_start() {
    for (plugin, words) in [
        ("{ use = \"redact-field\" }", "redact-fields"),
        (
            "{ use = \"redact-fields\", config = { mask = [\"phone\"] } }",
            "/mask/0",
        ),
        (
            "{ use = \"redact-fields\", config = { musk = [\"/phone\"] } }",
            "musk",
        ),
        (
            "{ use = \"build-payload\", config = { rows = [{ value = 1 }] } }",
            "/rows/0",
        ),
    ] {
        let config = endpoint("crm", "https://example.com/", &format!("plugins = [{plugin}]"));
        let ended = Setup::new(&config).run(&["serve"]).await;
        assert!(
            ended.code != Some(0) && ended.stderr.contains(words),
            "{plugin}: {words}: {ended:?}"
        );
    }
}
