//! The real program where files may not grow, and where no more may be opened.

use std::time::Duration;

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Limit, Relay};
use relay_tests::receiver::Receiver;
use relay_tests::wait::eventually;
use serde_json::json;
use tokio::time::timeout;

/// An answer takes no longer: the promise is a second, a busy machine gets three.
const PROMPT: Duration = Duration::from_secs(3);
/// Connections that use up what descriptors have become free meanwhile.
const CONNECTIONS: usize = 16;

async fn post(relay: &Relay, number: usize) -> relay_tests::client::Answer {
    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let body = json!({"type": "a.b", "data": {"number": number, "filler": "x".repeat(20_000)}});
    let answer = relay.try_send(Method::POST, "/v1/events", &headers, body.to_string());
    timeout(PROMPT, answer)
        .await
        .expect("an answer comes at once")
        .expect("the relay answers")
}

async fn ready(relay: &Relay) -> u16 {
    relay.send(Method::GET, "/readyz", &[], "").await.status
}

async fn is_ready(relay: &Relay) {
    eventually("the relay to be ready", || async {
        match ready(relay).await {
            200 => Ok(()),
            status => Err(status),
        }
    })
    .await;
}

fn count(relay: &Relay, text: &str) -> usize {
    relay.log().lines().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn w11_when_files_cannot_grow_events_are_refused_until_they_can() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let before = relay.event("a.b", json!(0)).await;
    relay.delivery(&before, "succeeded").await;
    // Less than the files have already: neither the log nor the database takes another event.
    relay.limit(Limit::FileSize, Some(16 * 1024));
    let refused = post(&relay, 0).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    refused.problem();
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    assert_eq!(ready(&relay).await, 503);
    let metrics = relay.admin(Method::GET, "/metrics", None).await.text();
    assert!(metrics.contains("relay_store_writable 0"), "{metrics}");
    for number in 1..20 {
        assert_eq!(post(&relay, number).await.status, 503);
    }
    relay.limit(Limit::FileSize, None);
    is_ready(&relay).await;
    let after = relay.event("a.b", json!(1)).await;
    relay.delivery(&after, "succeeded").await;
    assert_eq!(receiver.requests().len(), 2, "what was refused is not delivered");
    assert_eq!(count(&relay, "the store takes no writes"), 1);
    assert_eq!(count(&relay, "the store takes writes again"), 1);
}

#[tokio::test]
async fn w11_without_file_descriptors_senders_are_told_to_come_back() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let before = relay.event("a.b", json!(0)).await;
    relay.delivery(&before, "succeeded").await;
    relay.limit(Limit::OpenFiles, Some(relay.lowest_free_descriptor()));
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        let connected = tokio::net::TcpStream::connect(relay.address()).await;
        idle.push(connected.expect("the system takes connections for the relay"));
    }
    let refused = post(&relay, 0).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    refused.problem();
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    relay.limit(Limit::OpenFiles, None);
    drop(idle);
    is_ready(&relay).await;
    let after = relay.event("a.b", json!(1)).await;
    relay.delivery(&after, "succeeded").await;
    assert_eq!(count(&relay, "no file descriptor is left"), 1);
}

#[tokio::test]
async fn a_damaged_event_is_named_and_failed_and_the_others_go_on() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&receiver.endpoint("crm", "enabled = false")).await;
    let mut events = Vec::new();
    for number in 0..5 {
        events.push(relay.event("a.b", json!(number)).await);
    }
    let mut deliveries = relay.deliveries(&events[2]).await;
    let bad = deliveries.remove(0)["id"]
        .as_str()
        .expect("a delivery has an id")
        .to_owned();
    relay.stop().await;
    let database = rusqlite::Connection::open(relay.setup().home().join("relay.db")).expect("the database");
    let changed = database.execute(
        "UPDATE events SET data = X'39' WHERE id = (SELECT id FROM events ORDER BY id LIMIT 1 OFFSET 2)",
        [],
    );
    assert_eq!(changed, Ok(1));
    drop(database);
    relay.setup().file("relay.toml", receiver.endpoint("crm", ""));
    relay.start_again().await;
    for number in [0, 1, 3, 4] {
        relay.delivery(&events[number], "succeeded").await;
    }
    let failed = eventually("the damaged delivery to fail", || async {
        let delivery = relay.read(&format!("/v1/deliveries/{bad}")).await;
        if delivery["status"] == "failed" {
            Ok(delivery)
        } else {
            Err(delivery)
        }
    })
    .await;
    assert!(
        failed["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("damaged")),
        "{failed}"
    );
    assert_eq!(receiver.requests().len(), 4, "no wrong bytes went out");
    let named = relay
        .log()
        .lines()
        .any(|line| line.contains("ERROR") && line.contains(&bad));
    assert!(named, "the log names {bad}");
}
