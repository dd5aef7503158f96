//! Addresses that are not public are refused, however they are written.

use relay_tests::instance::{Relay, Setup};
use relay_tests::receiver::{Receiver, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// However the address is written, it is that of this machine, of a private network or of a
/// cloud's metadata.
const LITERALS: [&str; 14] = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "169.254.169.254",
    "10.0.0.1",
    "[fe80::1]",
    "[fd00:ec2::254]",
];

#[tokio::test]
async fn w15_addresses_that_are_not_public_are_refused_with_the_configuration() {
    for host in LITERALS {
        let config = endpoint("crm", &format!("http://{host}:8080/"), "");
        let ended = Setup::new(&config)
            .without("RELAY_OUTBOUND__ALLOW_NETWORKS")
            .run(&["check"])
            .await;
        assert_eq!(ended.code, Some(78), "{host}: {ended:?}");
        assert!(
            ended.stderr.contains("endpoint[0].url") && ended.stderr.contains("allow_networks"),
            "{host}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn w15_names_that_lead_to_an_address_that_is_not_public_are_blocked() {
    let receiver = Receiver::start();
    let port = receiver.address().port();
    let once = "retry = { schedule = [] }";
    let relay = Setup::new(&endpoint("crm", &format!("http://localhost:{port}/"), once))
        .without("RELAY_OUTBOUND__ALLOW_NETWORKS")
        .start()
        .await;
    let event = relay.event("a.b", json!(1)).await;
    for delivery in settled(&relay, &event).await {
        let attempts = relay.attempts(&delivery).await;
        assert_eq!(delivery["status"], "failed", "{delivery}");
        assert_eq!(attempts[0]["outcome"]["kind"], "refused", "{attempts:?}");
        assert_eq!(attempts[0]["error_class"], "blocked", "{attempts:?}");
        assert!(
            !attempts[0].to_string().contains("127.0.0.1"),
            "nobody can map a network by asking: {attempts:?}"
        );
    }
    assert_eq!(receiver.requests().len(), 0);
}

#[tokio::test]
async fn c5_w15_what_is_allowed_is_only_what_is_listed() {
    let receiver = Receiver::start();
    let port = receiver.address().port();
    let once = "retry = { schedule = [] }";
    // The name stands for 127.0.0.1, and on many machines for ::1 too, which is not listed.
    let config = endpoint("listed", &receiver.url(), once)
        + &endpoint("loopback6", &format!("http://[::1]:{port}/"), once);
    let setup = Setup::new(&config).variable("RELAY_OUTBOUND__ALLOW_NETWORKS", r#"["127.0.0.1"]"#);
    let ended = setup.run(&["check"]).await;
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(
        ended.stderr.contains("endpoint[1].url") && !ended.stderr.contains("endpoint[0].url"),
        "{ended:?}"
    );
}

/// The deliveries of an event, once none is pending.
async fn settled(relay: &Relay, event: &str) -> Vec<Value> {
    eventually("every delivery to be settled", || async {
        let deliveries = relay.deliveries(event).await;
        if deliveries.iter().any(|delivery| delivery["status"] == "pending") {
            Err(deliveries)
        } else {
            Ok(deliveries)
        }
    })
    .await
}

#[tokio::test]
async fn m13_c11_plain_http_is_refused_where_only_https_is_allowed() {
    let setup = Setup::new(&endpoint("crm", "http://example.com/", ""))
        .variable("RELAY_OUTBOUND__HTTPS_ONLY", "true");
    let ended = setup.run(&["check"]).await;
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(
        ended.stderr.contains("endpoint[0].url") && ended.stderr.contains("https"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn c14_m24_where_requests_come_from_is_told_and_pinned() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let relay = Setup::new(&endpoint("crm", &url, "retry = { schedule = [] }"))
        .variable("RELAY_OUTBOUND__BIND", r#"["127.0.0.77"]"#)
        .variable("RELAY_OUTBOUND__EGRESS", r#"["203.0.113.7", "2001:db8::/64"]"#)
        .start()
        .await;
    relay.event("a.b", json!(1)).await;
    let (_, peer) = relay_tests::wait::within("a connection", listener.accept())
        .await
        .expect("a connection can be accepted");
    assert_eq!(peer.ip().to_string(), "127.0.0.77");
    let told = relay.read("/v1/egress").await;
    assert_eq!(
        told,
        json!({"networks": ["203.0.113.7/32", "2001:db8::/64"], "pinned": true})
    );
    for wrong in [r#"["127.0.0.1", "127.0.0.2"]"#, r#"["localhost"]"#] {
        let setup = Setup::new("").variable("RELAY_OUTBOUND__BIND", wrong);
        let ended = setup.run(&["check"]).await;
        assert_eq!(ended.code, Some(78), "{ended:?}");
        assert!(ended.stderr.contains("outbound.bind"), "{ended:?}");
    }
}
