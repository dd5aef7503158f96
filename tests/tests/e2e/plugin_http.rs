//! Requests of plugins: to whom they get, to whom not, and that they hold up nobody.

use http::Method;
use relay_tests::guests;
use relay_tests::instance::{Relay, Setup};
use relay_tests::receiver::{Receiver, Reply, Request};
use serde_json::{Value, json};

const KEY: &str = "s3cret-key-of-the-api";

/// A service that plugins ask.
fn service() -> Receiver {
    Receiver::answering(|request: &Request, _| match request.path.split('?').next() {
        Some("/moved") => Reply::with_header(302, "location", "/user"),
        Some("/large") => Reply::with_body(200, &"x".repeat(5_000)),
        Some("/endless") => Reply::EndlessBody,
        Some("/never") => Reply::Never,
        Some("/held") => Reply::Held,
        Some("/reset") => Reply::ResetInBody,
        _ => Reply::with_body(200, r#"{"name": "Zoë"}"#),
    })
}

fn at(service: &Receiver, path: &str) -> String {
    format!("http://{}{path}", service.address())
}

/// An endpoint whose plugin asks whatever an event says, granted these hosts.
fn asking(name: &str, receiver: &Receiver, hosts: &[String], more: &str) -> String {
    let used = format!(
        "format = \"raw\"\nretry = {{ schedule = [] }}\nplugins = [{{ use = \"asks\", grants = {{ http = {hosts:?} }}, secrets = {{ key = \"{KEY}\" }}{more} }}]"
    );
    receiver.endpoint(name, &used)
}

fn setup(config: &str) -> Setup {
    let setup = Setup::new(config);
    setup.file("plugins/asks.wasm", guests::ASKS);
    setup.file("plugins/everything.wasm", guests::EVERYTHING);
    let folder = setup.home().join("plugins").display().to_string();
    setup.variable("RELAY_PLUGINS__FOLDER", &folder)
}

/// What the plugin tells of its requests, and the log of the attempt.
async fn told(relay: &Relay, receiver: &Receiver, asks: Value) -> (Value, String) {
    let before = receiver.requests().len();
    let event = relay.event("a.b", json!({ "asks": asks })).await;
    let delivery = relay.delivery(&event, "succeeded").await;
    let log = relay.attempts(&delivery).await[0]["log"].to_string();
    (receiver.received(before + 1).await[before].json(), log)
}

/// The error that each request came to.
async fn errors(relay: &Relay, receiver: &Receiver, asks: Value) -> Vec<String> {
    let (told, _) = told(relay, receiver, asks).await;
    let errors = told.as_array().expect("a list").iter();
    errors.map(|told| told["error"].to_string()).collect()
}

#[tokio::test]
async fn what_is_granted_is_asked_and_the_secret_is_nowhere_else() {
    for has_worker in ["false", "true"] {
        what_is_granted_is_asked(has_worker).await;
    }
}

async fn what_is_granted_is_asked(has_worker: &str) {
    let (service, receiver) = (service(), Receiver::start());
    let hosts = [service.address().to_string()];
    let relay = setup(&asking("crm", &receiver, &hosts, ""))
        .variable("RELAY_PLUGINS__WORKER", has_worker)
        .start()
        .await;
    let asks = json!([
        {"url": at(&service, "/user?token=q-of-the-event"), "bearer": "key", "headers": [["X-Mine", "1"]]},
        {"url": at(&service, "/user"), "method": "POST", "same": true},
    ]);
    let (answers, log) = told(&relay, &receiver, asks.clone()).await;
    assert_eq!(answers[0]["status"], 200, "{answers}");
    assert_eq!(answers[0]["body"], r#"{"name": "Zoë"}"#);
    let asked = service.requests();
    assert_eq!(asked[0].header("authorization"), format!("Bearer {KEY}"));
    assert_eq!(
        (asked[0].header("x-mine"), asked[0].header("relay-hops")),
        ("1", "1")
    );
    assert!(!asked[1].has_header("authorization"), "{:?}", asked[1]);
    assert_eq!(asked[1].json(), json!({ "asks": asks }));
    let line = format!("asks info: GET {}: 200 in ", service.address());
    assert!(log.contains(&line) && !log.contains("q-of-the-event"), "{log}");
    // Whatever was said so far is searched for the secret by the kit too.
    assert!(!relay.log().contains(KEY) && !log.contains(KEY));
    let held = json!([{"url": at(&service, "/user"), "pass_on": true}]);
    assert_eq!(told(&relay, &receiver, held).await.0, json!({"name": "Zoë"}));
    let metrics = relay.admin(Method::GET, "/metrics", None).await.text();
    let counted = r#"relay_plugin_requests_total{outcome="answered"} 3"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn what_is_not_granted_is_refused_when_it_is_saved_and_when_it_is_called() {
    let (service, receiver) = (service(), Receiver::start());
    let other = Receiver::start();
    let relay = setup(&receiver.endpoint("other", "event_types = [\"other.*\"]"))
        .start()
        .await;
    let make = async |name: &str, used: Value| {
        let keys = json!({
            "name": name, "url": receiver.url(), "format": "raw", "retry": {"schedule": []}, "plugins": [used],
        });
        relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await
    };
    for (used, line) in [
        (
            json!({"use": "asks"}),
            r#"plugins[0].grants: the plugin asks needs the power http, which is not granted: add grants = { http = [\"api.example.com\"] } to its entry"#,
        ),
        (
            json!({"use": "asks", "grants": {"state": true}}),
            r#"add grants = { http = [\"api.example.com\"], state = true }"#,
        ),
        (
            json!({"use": "dedupe", "config": {"key": ["/id"]}}),
            "the plugin dedupe needs the power state, which is not granted: add grants = { state = true } to its entry",
        ),
        (
            json!({"use": "verify-token", "config": {"at": "/token"}}),
            "plugins[0].secrets: the plugin verify-token needs the secret token",
        ),
        (
            json!({"use": "asks", "grants": {"http": ["https://a.example/b"]}}),
            "which is no host",
        ),
        (json!({"use": "asks", "grants": {"files": true}}), "files"),
    ] {
        let refused = make("refused", used).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert!(
            refused.text().contains(line),
            "{line} is not in {}",
            refused.text()
        );
    }
    // All at once: nobody mends one thing to learn of the next.
    for (used, lines) in [
        (
            json!({"use": "dedupe"}),
            [
                "plugins[0].grants: the plugin dedupe needs the power state",
                "plugins[0].config: the configuration of the plugin dedupe",
            ],
        ),
        (
            json!({"use": "encrypt-fields"}),
            [
                "plugins[0].secrets: the plugin encrypt-fields needs the secret encryption-key",
                "plugins[0].config: the configuration of the plugin encrypt-fields",
            ],
        ),
    ] {
        let refused = make("refused", used).await;
        for line in lines {
            assert!(
                refused.text().contains(line),
                "{line} is not in {}",
                refused.text()
            );
        }
    }
    let grants = json!({"http": [other.address().to_string()]});
    let made = make("granted", json!({"use": "asks", "grants": grants})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let shown = relay
        .read(&format!(
            "/v1/endpoints/{}",
            made.json()["id"].as_str().expect("an id")
        ))
        .await;
    assert_eq!(shown["plugins"][0]["grants"], grants, "{shown}");
    let asks = json!([{"url": at(&service, "/user")}]);
    let found = errors(&relay, &receiver, asks).await;
    let why = format!("Denied(\\\"the host {} is not granted", service.address());
    assert!(found[0].contains(&why), "{found:?}");
    assert_eq!(service.requests().len(), 0);
}

#[tokio::test]
async fn a_power_that_the_manifest_does_not_name_is_denied_when_it_is_called() {
    let receiver = Receiver::start();
    let used = "format = \"raw\"\nplugins = [{ use = \"everything\", config = { greeting = \"hi\" } }]";
    let relay = setup(&receiver.endpoint("crm", used)).start().await;
    relay.event("a.b", json!({"a": [1, 2]})).await;
    let state = receiver.received(1).await.remove(0).json()["state"].to_string();
    assert_eq!(state.matches("StateError::Denied(").count(), 9, "{state}");
    assert!(state.contains("add grants = { state = true }"), "{state}");
    let plugin = relay.read("/v1/plugins/dedupe").await;
    let need = json!([{"power": "state", "optional": false}]);
    assert_eq!(plugin["needs"], need, "{plugin}");
}

#[tokio::test]
async fn a_check_names_the_key_that_is_missing() {
    let config = "[[endpoint]]\nname = \"crm\"\nurl = \"https://example.com/\"\n\
                  plugins = [{ use = \"split-array\", config = { at = \"/a\" } }, { use = \"asks\" }]\n";
    let ended = setup(config).run(&["check"]).await;
    assert_ne!(ended.code, Some(0), "{ended:?}");
    let words = "endpoint crm: plugins[1].grants: the plugin asks needs the power http";
    assert!(ended.stderr.contains(words), "{ended:?}");
}

#[tokio::test]
async fn no_grant_opens_an_address_that_nobody_may_reach() {
    let (service, receiver) = (service(), Receiver::start());
    let port = service.address().port();
    // Only the address of the receiver is allowed; everything else on this machine is not.
    let names = [
        "localhost.localdomain",
        "127.0.0.2",
        "2130706434",
        "0x7f000002",
        "0177.0.0.2",
        "127.2",
        "[::1]",
        "[::ffff:127.0.0.2]",
        "[::ffff:7f00:2]",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "[fd00:ec2::254]",
    ];
    let hosts: Vec<String> = [
        "127.0.0.2",
        "[::1]",
        "[::ffff:7f00:2]",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "[fd00:ec2::254]",
    ]
    .iter()
    .map(|host| format!("{host}:{port}"))
    .collect();
    let relay = setup(&asking("crm", &receiver, &hosts, ", http_calls = 16"))
        .variable("RELAY_OUTBOUND__ALLOW_NETWORKS", r#"["127.0.0.1/32"]"#)
        .start()
        .await;
    let asks = names.map(|name| json!({"url": format!("http://{name}:{port}/user")}));
    let (told, log) = told(&relay, &receiver, json!(asks)).await;
    let told = told.to_string();
    assert!(!told.contains("\"status\""), "{told}");
    assert!(told.contains("is not public"), "{told}");
    assert!(told.contains("the host localhost.localdomain"), "{told}");
    assert!(log.contains("is not public"), "{log}");
    assert_eq!(service.requests().len(), 0);
}

#[tokio::test]
async fn an_answer_is_taken_as_it_is_or_not_at_all() {
    let (service, receiver) = (service(), Receiver::start());
    let hosts = [service.address().to_string()];
    let more = ", http_bytes = 4000, http_calls = 16, http_timeout = \"300ms\"";
    let relay = setup(&asking("crm", &receiver, &hosts, more)).start().await;
    let moved = json!([{"url": at(&service, "/moved")}]);
    let (answers, _) = told(&relay, &receiver, moved).await;
    assert_eq!(answers[0]["status"], 302, "{answers}");
    assert_eq!(service.requests().len(), 1, "nothing is followed");
    let asks = json!([
        {"url": at(&service, "/large")},
        {"url": at(&service, "/user"), "max_bytes": 3},
        {"url": at(&service, "/endless")},
        {"url": at(&service, "/never"), "timeout_ms": 60_000},
        {"url": at(&service, "/never"), "timeout_ms": 0},
        {"url": at(&service, "/reset")},
    ]);
    let found = errors(&relay, &receiver, asks).await;
    let wanted = [
        "TooLarge(4000)",
        "TooLarge(3)",
        "TooLarge(4000)",
        // Equal neighbours are told once.
        "Timeout",
        "Failed(",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
}

#[tokio::test]
async fn while_one_waits_the_others_go_on() {
    let (service, slow, quick) = (service(), Receiver::start(), Receiver::start());
    let hosts = [service.address().to_string()];
    let more = ", http_timeout = \"30s\", timeout = \"500ms\"";
    let quick_too = quick.endpoint("quick", "event_types = [\"quick.*\"]");
    let slow_one = asking("slow", &slow, &hosts, more) + "event_types = [\"slow.*\"]\nconcurrency = 50\n";
    let relay = setup(&(slow_one + &quick_too)).start().await;
    let asks = json!({ "asks": [{"url": at(&service, "/held")}] });
    let mut waiting = Vec::new();
    for _ in 0..40 {
        waiting.push(relay.event("slow.a", asks.clone()).await);
    }
    // More do not ask at once than one use has room for.
    service.received(30).await;
    for n in 0..20 {
        relay.event("quick.a", json!({ "n": n })).await;
    }
    quick.received(20).await;
    assert_eq!(slow.requests().len(), 0);
    assert!(service.busy_max() <= 32, "{}", service.busy_max());
    service.release();
    slow.received(40).await;
    for event in &waiting {
        relay.delivery(event, "succeeded").await;
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_before_anything_is_looked_up() {
    let (service, receiver) = (service(), Receiver::start());
    let address = service.address();
    let hosts = [address.to_string(), "api.example.com".to_owned()];
    let relay = setup(&asking("crm", &receiver, &hosts, ", http_calls = 16"))
        .start()
        .await;
    let url = at(&service, "/user");
    let long = "x".repeat(5_000);
    let header = |name: &str, value: &str| json!([{"url": url, "headers": [[name, value]]}]);
    let method = |method: &str| json!([{"url": url, "method": method}]);
    let get = |url: &str| json!([{"url": url}]);
    for (asks, wanted) in [
        (header("x-a", "1\r\nx-b: 2"), "Invalid("),
        (header("x-a\r\nx-b", "2"), "Invalid("),
        (header("x-a", "a\0b"), "Invalid("),
        (header("host", "evil.example"), "belongs to the relay"),
        (header("Content-Length", "0"), "belongs to the relay"),
        (header("transfer-encoding", "chunked"), "belongs to the relay"),
        (header("connection", "x-a"), "belongs to the relay"),
        (header("x-a", &"v".repeat(20_000)), "at most 64 headers"),
        (method("CONNECT"), "CONNECT or TRACE"),
        (method("TRACE"), "CONNECT or TRACE"),
        (method("get"), "in capitals"),
        (method("GET /x HTTP/1.1\r\nx: y"), "in capitals"),
        (
            get(&format!("http://user:pw@{address}/user")),
            "a user or a password",
        ),
        (
            get(&format!("http://{address}@evil.example/")),
            "a user or a password",
        ),
        (get(&format!("http://{address}/a b")), "percent-encoded"),
        (get(&format!("http://{address}/\r\nx: y")), "percent-encoded"),
        (get(&format!("http:\\\\{address}\\user")), "percent-encoded"),
        (get(&format!("http://{address}/{long}")), "longer than"),
        (get("user"), "the URL is none"),
        (get("file:///etc/passwd"), "has to be https"),
        (get("ftp://api.example.com/"), "has to be https"),
        (get("inspector://abc"), "has to be https"),
        (get("mailto:a@example.com"), "has to be https"),
        (get("javascript:alert(1)"), "has to be https"),
        (get("https://api.example.com.evil.example/"), "is not granted"),
        (get("https://api.example.com:8443/"), "is not granted"),
        (get("https://api.example.com./"), "is not granted"),
        (
            json!([{"url": url, "bearer": "other"}]),
            "the secret other is not granted",
        ),
        (
            json!([{"url": url, "bearer": "key", "headers": [["authorization", "x"]]}]),
            "beside the bearer",
        ),
    ] {
        let found = errors(&relay, &receiver, asks.clone()).await;
        assert!(found[0].contains(wanted), "{asks}: {wanted}: {found:?}");
    }
    assert_eq!(service.requests().len(), 0);
    let often = json!([{"url": url, "times": 5_000}]);
    let (answers, _) = told(&relay, &receiver, often).await;
    let last = answers
        .as_array()
        .and_then(|told| told.last())
        .expect("an answer")
        .to_string();
    assert!(last.contains("one call may send 16 requests"), "{last}");
    assert_eq!(service.requests().len(), 16);
    // Nothing like this gets across at all.
    let huge = json!({ "asks": [{"url": url, "method": "POST", "long": 3 << 20}] });
    let event = relay.event("a.b", huge).await;
    let failed = relay.delivery(&event, "failed").await;
    let attempt = relay.attempts(&failed).await[0]["outcome"].to_string();
    assert!(attempt.contains("over_limit"), "{attempt}");
    assert_eq!(service.requests().len(), 16);
}

#[tokio::test]
async fn an_order_is_enriched_by_what_the_crm_knows() {
    let (service, receiver) = (service(), Receiver::start());
    let relay = Relay::start("").await;
    let keys = json!({
        "name": "crm", "url": receiver.url(), "format": "raw",
        "plugins": [{
            "use": "enrich-http",
            "config": {
                "url": format!("http://{}/users/{{{{/user/id}}}}", service.address()), "at": "/user", "how": "merge",
                "bearer": true, "cache_seconds": 60,
            },
            "secrets": {"bearer-token": KEY},
            "grants": {"http": [service.address().to_string()], "state": true},
        }],
    });
    let made = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    for n in 1..=2 {
        relay
            .event("order.paid", json!({"n": n, "user": {"id": "a/b"}}))
            .await;
        let sent = receiver.received(n).await[n - 1].json();
        assert_eq!(sent, json!({"n": n, "user": {"id": "a/b", "name": "Zoë"}}));
    }
    let asked = service.requests();
    assert_eq!(asked.len(), 1, "the second is answered from memory");
    assert_eq!(
        (asked[0].path.as_str(), asked[0].header("authorization")),
        ("/users/a%2Fb", format!("Bearer {KEY}").as_str())
    );
}
