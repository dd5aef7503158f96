//! Senders that do not keep to HTTP, or keep to it in order to do harm: each is told so or cut
//! off, is counted and logged once, and nobody else notices.

mod http1;
mod http2;
mod connections;

use relay_tests::instance::{Relay, Setup};
use relay_tests::wait::eventually;

/// A source that takes everything, so that whatever is refused is refused for its form.
const DOOR: &str = "[[source]]\nname = \"door\"\nverify = { scheme = \"none\" }\n";

fn impatient() -> Setup {
    Setup::new(DOOR)
        .variable("RELAY_SERVER__HEAD_TIMEOUT", "1s")
        .variable("RELAY_SERVER__BODY_TIMEOUT", "1s")
        .variable("RELAY_SERVER__IDLE_TIMEOUT", "1s")
}

/// Events stored so far, up to a page of them.
async fn events(relay: &Relay) -> usize {
    relay.read("/v1/events?limit=250").await["data"]
        .as_array()
        .map_or(0, Vec::len)
}

/// A counter's value; 0 if it was never counted up.
async fn counted(relay: &Relay, name: &str) -> u64 {
    let text = relay.admin(http::Method::GET, "/metrics", None).await.text();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .unwrap_or(0)
}

/// Waits until connections closed for that reason are that many, and as many are logged.
async fn closed(relay: &Relay, reason: &str, wanted: u64) {
    let name = format!("relay_connections_closed_total{{reason=\"{reason}\"}}");
    eventually(&name, || async {
        match counted(relay, &name).await {
            count if count == wanted => Ok(()),
            count => Err(count),
        }
    })
    .await;
    if reason != "idle" {
        relay.logged(&format!("reason=\"{reason}\"")).await;
    }
}

/// Whether the relay does its work as ever.
async fn is_well(relay: &Relay) {
    let before = events(relay).await;
    assert_eq!(relay.post_source("door", &[], "{}").await.status, 202);
    assert_eq!(events(relay).await, before + 1, "this event alone has come");
}
