//! More connections than anybody needs.

use std::net::SocketAddr;

use relay_tests::instance::Setup;
use relay_tests::wait::eventually;
use relay_tests::wire::Wire;

use super::{DOOR, counted, is_well};

const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: relay\r\n\r\n";

/// A connection on which a request was answered; `None` if it was closed instead.
async fn answered(address: SocketAddr) -> Option<Wire> {
    let mut wire = Wire::open(address).await;
    wire.write(ASK).await;
    wire.answer().await.starts_with("HTTP/1.1 200 ").then_some(wire)
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_no_more() {
    let relay = Setup::new(DOOR)
        .variable("RELAY_SERVER__PROXIES", "[]")
        .start()
        .await;
    let mut held = Vec::new();
    for _ in 0..2_000 {
        held.extend(answered(relay.address()).await);
    }
    assert_eq!(held.len(), 64);
    held.truncate(32);
    eventually("the others have room again", || async {
        answered(relay.address()).await.ok_or(())
    })
    .await;
    let name = "relay_connections_closed_total{reason=\"address_cap\"}";
    assert!(counted(&relay, name).await >= 2_000 - 64);
    let lines = relay.log().matches("reason=\"address_cap\"").count();
    assert!(lines < 1_000, "a flood does not fill the log: {lines} lines");
    is_well(&relay).await;
}

#[tokio::test]
async fn beyond_the_bound_connections_wait_for_a_place() {
    let relay = Setup::new(DOOR)
        .variable("RELAY_SERVER__CONNECTIONS_MAX", "20")
        .start()
        .await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(answered(relay.address()).await.expect("there is a place"));
    }
    let mut waiting = Wire::open(relay.address()).await;
    waiting.write(ASK).await;
    // The others are answered meanwhile.
    for wire in &mut held {
        wire.write(ASK).await;
        assert!(wire.answer().await.starts_with("HTTP/1.1 200 "));
    }
    assert!(waiting.is_quiet());
    held.clear();
    assert!(waiting.answer().await.starts_with("HTTP/1.1 200 "));
    is_well(&relay).await;
}
