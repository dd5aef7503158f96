//! The log is searched: by time, endpoint, event, status, what was answered, what was in it.

use relay_tests::instance::Relay;
use relay_tests::receiver::{Closed, Receiver, Reply, endpoint};
use serde_json::{Value, json};

const ONE_ATTEMPT: &str = "retry = { schedule = [], jitter = 0 }";

fn ids(page: &Value, key: &str) -> Vec<String> {
    let list = page["data"].as_array().cloned().unwrap_or_default();
    let texts = list
        .iter()
        .map(|item| item[key].as_str().unwrap_or_default().to_owned());
    texts.collect()
}

#[tokio::test]
async fn m18_events_are_found_by_what_is_in_them() {
    let relay = Relay::start("").await;
    let ada = relay
        .event("a.b", json!({"email": "Ada@example.com", "order": "ORD-1"}))
        .await;
    let bob = relay
        .event("a.b", json!({"email": "bob@example.com", "order": "ORD-2"}))
        .await;
    let body = r#"{"type": "a.b", "id": "own-3", "subject": "order-3", "data": {"n": 3}}"#;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let headers = [
        ("content-type", "application/json"),
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
    ];
    let third = relay_tests::instance::accepted(&relay.post_events(&headers, body).await);
    let found = async |query: &str| ids(&relay.read(&format!("/v1/events?{query}")).await, "id");
    assert_eq!(found("q=ada@EXAMPLE.com").await, [ada.as_str()]);
    assert_eq!(found("q=example.com").await, [bob.as_str(), ada.as_str()]);
    assert_eq!(found("q=ord-2%20bob").await, [bob.as_str()]);
    assert_eq!(found("q=carol").await, Vec::<String>::new());
    assert_eq!(found("subject=order-3").await, [third.as_str()]);
    assert_eq!(found("sender_id=own-3").await, [third.as_str()]);
    assert_eq!(found(&format!("trace_id={trace}")).await, [third.as_str()]);
    for query in ["q=", "q=%20", "subjec=x"] {
        let answer = relay
            .admin(http::Method::GET, &format!("/v1/events?{query}"), None)
            .await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert_eq!(answer.problem()["code"], "bad_parameter");
    }
}

#[tokio::test]
async fn m18_v4_deliveries_are_found_by_how_they_ended_and_what_was_sent() {
    let receiver = Receiver::script([Reply::Status(200), Reply::Status(418)]);
    let closed = Closed::new();
    let door = "[[source]]\nname = \"door\"\nverify = { scheme = \"none\" }\n";
    let config = [
        door.to_owned(),
        endpoint(
            "crm",
            &receiver.url(),
            &format!("event_types = [\"a.b\"]\n{ONE_ATTEMPT}"),
        ),
        endpoint(
            "erp",
            &closed.url(),
            &format!("event_types = [\"x.y\"]\n{ONE_ATTEMPT}"),
        ),
    ];
    let relay = Relay::start(&config.concat()).await;
    let taken = relay.event("a.b", json!({"order": "ORD-1"})).await;
    relay.delivery(&taken, "succeeded").await;
    let refused = relay.event("a.b", json!({"order": "ORD-2"})).await;
    relay.delivery(&refused, "failed").await;
    let unreachable = relay.event("x.y", json!({"order": "ORD-3"})).await;
    relay.delivery(&unreachable, "failed").await;
    let found = async |query: &str| ids(&relay.read(&format!("/v1/deliveries?{query}")).await, "event");
    for (query, wanted) in [
        ("error_class=http_4xx", vec![&refused]),
        ("error_class=connect", vec![&unreachable]),
        ("error_class=tls", vec![]),
        ("status_code=418", vec![&refused]),
        ("status_code=200", vec![&taken]),
        ("status=failed", vec![&unreachable, &refused]),
        ("status=failed,succeeded", vec![&unreachable, &refused, &taken]),
        ("status=pending,dropped", vec![]),
        ("q=ord-2", vec![&refused]),
        ("q=ord&endpoint=crm", vec![&refused, &taken]),
        ("attempts_min=1&type=a.b", vec![&refused, &taken]),
        ("attempts_min=2", vec![]),
        ("source=door", vec![]),
    ] {
        let wanted: Vec<String> = wanted.into_iter().cloned().collect();
        assert_eq!(found(query).await, wanted, "{query}");
    }
    for query in [
        "status=lost",
        "error_class=luck",
        "status_code=99",
        "attempts_min=-1",
        "q=",
    ] {
        let answer = relay
            .admin(http::Method::GET, &format!("/v1/deliveries?{query}"), None)
            .await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn m18_v4_what_is_searched_for_by_type_takes_patterns() {
    let receiver = Receiver::always(Reply::Status(418));
    let relay = Relay::start(&endpoint("crm", &receiver.url(), ONE_ATTEMPT)).await;
    let mut events = Vec::new();
    for kind in ["order.paid", "order.item.added", "invoice.paid"] {
        let event = relay.event(kind, json!({})).await;
        relay.delivery(&event, "failed").await;
        events.push(event);
    }
    for (pattern, wanted) in [
        ("order.*", vec![1, 0]),
        ("*.paid", vec![2, 0]),
        ("order.paid", vec![0]),
        ("*", vec![2, 1, 0]),
        ("order", vec![]),
    ] {
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|index: usize| events[index].clone())
            .collect();
        let list = relay.read(&format!("/v1/events?type={pattern}")).await;
        assert_eq!(ids(&list, "id"), wanted, "{pattern}");
        let list = relay.read(&format!("/v1/deliveries?type={pattern}")).await;
        assert_eq!(ids(&list, "event"), wanted, "{pattern}");
        for path in ["/v1/deliveries/retry", "/v1/endpoints/crm/replay"] {
            let mut body = json!({"type": pattern, "dry_run": true});
            if path.ends_with("replay") {
                body["since"] = json!("2026-01-01T00:00:00Z");
            }
            let counted = relay.admin(http::Method::POST, path, Some(body)).await;
            assert_eq!(counted.json()["count"], wanted.len(), "{path} {pattern}");
        }
    }
    let answer = relay
        .admin(http::Method::GET, "/v1/events?type=order*", None)
        .await;
    assert_eq!(answer.status, 400);
    let detail = answer.problem()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(
        detail.contains("the parameter type is \"order*\", which has `*` inside a segment"),
        "{detail}"
    );
}

#[tokio::test]
async fn c3_attempts_show_what_was_answered() {
    let receiver = Receiver::script([Reply::Status(503)]);
    let relay = Relay::start(&receiver.endpoint("crm", ONE_ATTEMPT)).await;
    let event = relay.event("a.b", json!({})).await;
    let delivery = relay.delivery(&event, "failed").await;
    let attempts = relay.attempts(&delivery).await;
    assert_eq!(
        (&attempts[0]["error_class"], &attempts[0]["outcome"]["status"]),
        (&json!("http_5xx"), &json!(503))
    );
}

#[tokio::test]
async fn m18_a_time_is_searched_page_by_page() {
    let relay = Relay::start("").await;
    let mut all = Vec::new();
    for n in 0..7 {
        all.push(
            relay
                .event("a.b", json!({"order": if n % 2 == 0 { "even" } else { "odd" }}))
                .await,
        );
    }
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = relay.read(&format!("/v1/events?q=even&limit=2{cursor}")).await;
        found.extend(ids(&page, "id"));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let wanted: Vec<String> = all.iter().rev().step_by(2).cloned().collect();
    assert_eq!(found, wanted);
}
