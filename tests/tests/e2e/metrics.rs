//! `GET /metrics`: every way that events, attempts and refusals go is counted.

use std::collections::BTreeMap;

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Relay, Setup};
use relay_tests::receiver::tls::{Authority, Validity};
use relay_tests::receiver::{Receiver, Reply};
use relay_tests::tls::TlsClient;
use relay_tests::wait::eventually;
use serde_json::json;

async fn metrics(relay: &Relay) -> String {
    let answer = relay.admin(Method::GET, "/metrics", None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text"),
        "{answer:?}"
    );
    answer.text()
}

/// Waits until a line stands among the metrics.
async fn told(relay: &Relay, line: &str) {
    eventually(line, || async {
        let text = metrics(relay).await;
        if text.lines().any(|found| found == line) {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await;
}

#[tokio::test]
async fn u14_v16_events_attempts_plugins_and_refusals_are_counted() {
    let receiver = Receiver::script([Reply::Status(500)]);
    let settings = r#"plugins = [{ use = "redact-fields", config = { mask = ["/phone"] } }]
           retry = { schedule = ["10ms"], jitter = 0 }"#;
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    relay.event("a.b", json!({"phone": "1"})).await;
    receiver.received(2).await;
    let wrong = [("authorization", "Bearer rk_wrong")];
    assert_eq!(
        relay.send(Method::POST, "/v1/events", &wrong, "{}").await.status,
        401
    );
    for line in [
        r#"relay_events_total{source="api",duplicate="false"} 1"#,
        r#"relay_attempts_total{endpoint="crm",outcome="failed",class="http_5xx"} 1"#,
        r#"relay_attempts_total{endpoint="crm",outcome="succeeded",class="none"} 1"#,
        r#"relay_attempt_seconds_count{endpoint="crm"} 2"#,
        // The second attempt sends what the first has frozen.
        r#"relay_plugin_seconds_count{plugin="redact-fields"} 1"#,
        r#"relay_refused_total{status="401",code="unauthenticated"} 1"#,
        "relay_attempts_in_flight 0",
        "relay_queue_deliveries 0",
        "relay_breakers_open 0",
    ] {
        told(&relay, line).await;
    }
}

#[tokio::test]
async fn u14_w12_what_two_tenants_call_the_same_is_counted_apart() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let tenant = relay
        .admin(Method::POST, "/v1/tenants", Some(json!({"name": "acme"})))
        .await;
    let tenant = tenant.json()["id"].as_str().expect("an id").to_owned();
    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("relay-tenant", "acme"),
    ];
    for (path, body) in [
        ("/v1/endpoints", json!({"name": "crm", "url": receiver.url()})),
        ("/v1/events", json!({"type": "a.b"})),
    ] {
        let answer = relay.send(Method::POST, path, &headers, body.to_string()).await;
        assert!(answer.status < 300, "{}", answer.text());
    }
    relay.event("a.b", json!(1)).await;
    relay.event("a.b", json!(2)).await;
    for line in [
        r#"relay_deliveries_total{endpoint="crm",state="succeeded"} 2"#.to_owned(),
        format!(r#"relay_deliveries_total{{endpoint="crm",state="succeeded",tenant="{tenant}"}} 1"#),
        format!(r#"relay_events_total{{source="api",duplicate="false",tenant="{tenant}"}} 1"#),
        r#"relay_endpoint_enabled{endpoint="crm"} 1.0"#.to_owned(),
        format!(r#"relay_endpoint_enabled{{endpoint="crm",tenant="{tenant}"}} 1.0"#),
    ] {
        told(&relay, &line).await;
    }
}

#[tokio::test]
async fn u14_to_ask_whether_something_is_there_is_no_refusal() {
    let relay = Relay::start("").await;
    assert_eq!(
        relay.admin(Method::GET, "/v1/sources/none", None).await.status,
        404
    );
    // Nor is it when `relay apply` asks; what is to be changed and is not there is one.
    let applied = relay
        .command(ADMIN_KEY, &["apply", "--file", "pack:mumara", "--dry-run"])
        .await;
    assert_eq!(applied.code, Some(0), "{}", applied.stderr);
    assert_eq!(
        relay.admin(Method::DELETE, "/v1/sources/none", None).await.status,
        404
    );
    let line = r#"relay_refused_total{status="404",code="not_found"} 1"#;
    told(&relay, line).await;
    let refused = relay
        .log()
        .lines()
        .filter(|line| line.contains("not_found"))
        .count();
    assert_eq!(refused, 1, "{}", relay.log());
}

#[tokio::test]
async fn only_who_may_read_sees_them() {
    let relay = Relay::start("").await;
    assert_eq!(relay.send(Method::GET, "/metrics", &[], "").await.status, 401);
}

/// The names in a scrape, each with its kind.
fn exposed(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let suffix = if kind == "info" { "_info" } else { suffix };
            (format!("{name}{suffix}"), kind.to_owned())
        })
        .collect()
}

/// The names in the table of the documentation: `| `name` | kind | …`.
fn documented() -> BTreeMap<String, String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md");
    let text = std::fs::read_to_string(page).expect("the page is there");
    text.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let name = cells.next()?.trim_end_matches('`').to_owned();
            let kind = cells.next()?;
            let is_kind = ["counter", "gauge", "histogram", "info"].contains(&kind);
            is_kind.then(|| (name, kind.to_owned()))
        })
        .collect()
}

/// Told once there is something to tell; other tests see to that.
const RARE: [&str; 10] = [
    "relay_plugin_faults_total",
    "relay_connections_closed_total",
    "relay_endpoint_changes_total",
    "relay_deliveries_expired_total",
    "relay_calls_total",
    "relay_schema_mismatches_total",
    "relay_telemetry_dropped_total",
    "relay_plugin_requests_total",
    "relay_judge_questions_total",
    "relay_judge_tokens_total",
];
const RARE_TIME: &str = "relay_judge_request_seconds";

#[tokio::test]
async fn what_is_documented_is_exposed_and_nothing_else() {
    let authority = Authority::new();
    let receiver = Receiver::start();
    let plugin = "plugins = [{ use = \"redact-fields\", config = { mask = [\"/phone\"] } }]";
    // One emits, the other finds no key.
    let rules = "[[rule]]\nname = \"again\"\nevent_types = [\"a.b\"]\ndelay = \"10ms\"\n\
                 emit = { type = \"a.c\" }\n\
                 [[rule]]\nname = \"keyed\"\nkey = \"/nowhere\"\ndelay = \"10ms\"\n\
                 emit = { type = \"a.d\" }\n";
    let setup = Setup::new(&format!(
        "[server.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n{}{}{rules}",
        receiver.endpoint("crm", plugin),
        // Its deliveries wait in the store.
        receiver.endpoint("off", "enabled = false")
    ))
    .variable("RELAY_PLUGINS__WORKER", "true");
    let certificate = authority.issue("localhost", Validity::Valid);
    setup.file("key.pem", certificate.key_pem());
    setup.file("cert.pem", certificate.pem());
    let relay = setup.start().await;
    let client = TlsClient::new(&authority, &[], None);
    let mut connection = client.open(relay.address()).await.expect("a handshake");
    for (body, status) in [(r#"{"type": "a.b", "data": {"phone": "1"}}"#, 202), ("{", 400)] {
        let answer = connection.call("POST", "/v1/events", body).await;
        assert_eq!(answer.expect("an answer").status, status);
    }
    receiver.received(1).await;
    eventually("every metric", || async {
        let mut connection = client.open(relay.address()).await.expect("a handshake");
        let answer = connection.call("GET", "/metrics", "").await.expect("an answer");
        let mut told = exposed(&answer.text());
        let documented = documented();
        for rare in RARE {
            assert!(documented.contains_key(rare), "{rare} is documented");
            told.insert(rare.to_owned(), "counter".to_owned());
        }
        told.insert(RARE_TIME.to_owned(), "histogram".to_owned());
        (told == documented).then_some(()).ok_or((told, documented))
    })
    .await;
}

#[tokio::test]
async fn lanes_limits_and_ends_are_told() {
    let receiver = Receiver::script([Reply::Status(500), Reply::Status(204)]);
    let settings = "retry = { schedule = [] }\nrate_limit = \"1/h\"";
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    for number in 0..3 {
        relay.event("a.b", json!(number)).await;
    }
    for line in [
        r#"relay_deliveries_total{endpoint="crm",state="failed"} 1"#,
        r#"relay_endpoint_enabled{endpoint="crm"} 1.0"#,
        r#"relay_endpoint_breaker_open{endpoint="crm"} 0.0"#,
        r#"relay_endpoint_deliveries{endpoint="crm"} 2.0"#,
        r#"relay_endpoint_rate_limit_waits_total{endpoint="crm"} 1"#,
        // What was posted, and what the relay tells of the delivery that failed.
        "relay_accept_seconds_count 4",
        "relay_queue_memory_limit_bytes 67108864",
        "relay_connections_limit 1024",
    ] {
        told(&relay, line).await;
    }
    let text = metrics(&relay).await;
    let commits: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("relay_store_commit_seconds_count "))
        .and_then(|count| count.parse().ok())
        .expect("commits are counted");
    assert!(commits >= 3, "{text}");
}
