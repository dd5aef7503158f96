//! The log: what came in, what went out, what did not and why.

use relay_tests::instance::{Relay, accepted};
use relay_tests::receiver::{Receiver, Reply};
use serde_json::{Value, json};

fn ids(page: &Value) -> Vec<String> {
    let list = page["data"].as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|item| item["id"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Every page of a list, in order.
async fn pages(relay: &Relay, path: &str, limit: usize) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = relay.read(&format!("{path}limit={limit}{cursor}")).await;
        pages.push(ids(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn events_are_listed_newest_first_in_pages() {
    let relay = Relay::start("").await;
    let mut events = Vec::new();
    for n in 0..7 {
        events.push(relay.event("a.b", json!(n)).await);
    }
    events.reverse();
    assert_eq!(ids(&relay.read("/v1/events").await), events);
    let paged = pages(&relay, "/v1/events?", 3).await;
    assert_eq!(paged.concat(), events);
    assert_eq!(paged.iter().map(Vec::len).collect::<Vec<_>>()[..2], [3, 3]);
    assert!(
        events.is_sorted_by(|newer, older| newer > older),
        "ids sort as their events came"
    );
}

#[tokio::test]
async fn events_are_found_by_type_source_and_time() {
    let config = "[[source]]\nname = \"door\"\nverify = { scheme = \"none\" }\n";
    let relay = Relay::start(config).await;
    let paid = relay.event("invoice.paid", json!(1)).await;
    let sent = relay.event("invoice.sent", json!(2)).await;
    let posted = accepted(&relay.post_source("door", &[], "{}").await);
    let when = |event: &str| {
        let path = format!("/v1/events/{event}");
        let relay = &relay;
        async move {
            relay.read(&path).await["received_at"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        }
    };
    let (first, last) = (when(&paid).await, when(&posted).await);
    let found = async |query: String| ids(&relay.read(&format!("/v1/events?{query}")).await);
    assert_eq!(
        found("type=invoice.paid".to_owned()).await,
        std::slice::from_ref(&paid)
    );
    assert_eq!(
        found("source=door".to_owned()).await,
        std::slice::from_ref(&posted)
    );
    assert_eq!(
        found(format!("since={first}")).await.len(),
        3,
        "from that moment on"
    );
    assert!(
        !found(format!("until={first}")).await.contains(&paid),
        "up to, but not including"
    );
    assert!(found(format!("since={last}")).await.contains(&posted));
    assert_eq!(
        found("until=2020-01-01T00:00:00Z".to_owned()).await,
        Vec::<String>::new()
    );
    assert_eq!(found(format!("type=invoice.sent&since={first}")).await, [sent]);
}

#[tokio::test]
async fn an_event_is_shown_with_its_data_and_what_became_of_it() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let body = r#"{"type": "a.b", "id": "order-1", "source": "/shop", "subject": "o1", "time": "2026-01-31T15:04:05Z", "data": {"n": 1}}"#;
    let id = accepted(
        &relay
            .post_events(&[("content-type", "application/json")], body)
            .await,
    );
    relay.delivery(&id, "succeeded").await;
    let event = relay.read(&format!("/v1/events/{id}")).await;
    for (key, value) in [
        ("id", json!(id)),
        ("type", json!("a.b")),
        ("source", json!("/shop")),
        ("subject", json!("o1")),
        ("time", json!("2026-01-31T15:04:05.000Z")),
        ("sender_id", json!("order-1")),
        ("data", json!({"n": 1})),
        ("bytes", json!(8)),
    ] {
        assert_eq!(event[key], value, "{key}");
    }
    let delivery = &event["deliveries"][0];
    assert_eq!(
        (&delivery["endpoint_name"], &delivery["event"]),
        (&json!("crm"), &json!(id))
    );
    let alone = relay
        .read(&format!(
            "/v1/deliveries/{}",
            delivery["id"].as_str().unwrap_or_default()
        ))
        .await;
    assert_eq!(alone["id"], delivery["id"]);
}

#[tokio::test]
async fn m18_v4_deliveries_are_found_by_endpoint_status_event_and_type() {
    let good = Receiver::start();
    let bad = Receiver::always(Reply::Status(500));
    let config = good.endpoint("good", "")
        + &bad.endpoint("bad", "retry = { schedule = [] }")
        + &good.endpoint("off", "enabled = false");
    let relay = Relay::start(&config).await;
    let mut events = Vec::new();
    for (kind, n) in [("a.b", 1), ("a.b", 2), ("c.d", 3)] {
        events.push(relay.event(kind, json!(n)).await);
    }
    relay_tests::wait::eventually("every delivery to be settled", || async {
        let counts = (
            relay.count("good", "succeeded").await,
            relay.count("bad", "failed").await,
            relay.count("off", "pending").await,
        );
        if counts == (3, 3, 3) { Ok(()) } else { Err(counts) }
    })
    .await;
    let found = async |query: String| ids(&relay.read(&format!("/v1/deliveries?{query}")).await).len();
    for (query, count) in [
        (String::new(), 9),
        ("endpoint=good".to_owned(), 3),
        ("status=failed".to_owned(), 3),
        ("endpoint=good&status=failed".to_owned(), 0),
        ("type=c.d".to_owned(), 3),
        ("type=a.b&status=succeeded".to_owned(), 2),
        (format!("event={}", events[0]), 3),
        ("since=2020-01-01T00:00:00Z".to_owned(), 9),
        ("until=2020-01-01T00:00:00Z".to_owned(), 0),
    ] {
        assert_eq!(found(query.clone()).await, count, "{query}");
    }
    let all = pages(&relay, "/v1/deliveries?", 4).await;
    let mut seen = all.concat();
    assert!(
        seen.is_sorted_by(|newer, older| newer > older),
        "newest first, none twice: {seen:?}"
    );
    seen.dedup();
    assert_eq!(seen.len(), 9);
}
