//! SIGHUP: another configuration in force without a request dropped.

use relay_tests::instance::Relay;
use relay_tests::receiver::Receiver;
use serde_json::json;

const RELOADED: &str = "configuration reloaded";
const REFUSED: &str = "the configuration cannot be used";

#[tokio::test]
async fn sources_and_endpoints_come_and_go() {
    let (old, new) = (Receiver::start(), Receiver::start());
    let relay = Relay::start(&old.endpoint("old", "")).await;
    relay.event("a.b", json!(1)).await;
    old.received(1).await;

    let source = "[[source]]\nname = \"shop\"\nverify = { scheme = \"none\" }\n";
    relay.reconfigure(&format!("{source}{}", new.endpoint("new", "")));
    relay.logged(RELOADED).await;
    let post = relay.post_source("shop", &[], "{}").await;
    assert_eq!(post.status, 202, "{post:?}");
    relay.event("a.b", json!(2)).await;
    new.received(2).await;
    assert_eq!(old.requests().len(), 1, "it is no longer asked for");
}

#[tokio::test]
async fn what_cannot_be_used_leaves_the_old_one_in_force() {
    let receiver = Receiver::start();
    let endpoint = receiver.endpoint("crm", "");
    let relay = Relay::start(&endpoint).await;
    for (config, told) in [
        (format!("{endpoint}colour = \"red\"\n"), "endpoint[0].colour"),
        (
            format!("{endpoint}plugins = [{{ use = \"redact-feilds\" }}]\n"),
            "redact-fields",
        ),
        ("[[endpoint".to_owned(), "relay.toml"),
    ] {
        relay.reconfigure(&config);
        relay.logged(REFUSED).await;
        relay.logged(told).await;
        relay.event("a.b", json!(1)).await;
    }
    receiver.received(3).await;
}

#[tokio::test]
async fn no_request_is_dropped_while_it_changes() {
    let receiver = Receiver::start();
    let configs = [1, 2].map(|concurrency| receiver.endpoint("crm", &format!("concurrency = {concurrency}")));
    let relay = Relay::start(&configs[0]).await;
    for round in 0..60 {
        relay.reconfigure(&configs[round % 2]);
        // Panics if it is not accepted.
        relay.event("a.b", json!(round)).await;
    }
    let mut arrived: Vec<u64> = receiver
        .received(60)
        .await
        .iter()
        .filter_map(|request| request.json()["data"].as_u64())
        .collect();
    arrived.sort_unstable();
    assert_eq!(arrived, (0..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_change_that_has_to_wait_for_the_next_start_is_named() {
    let receiver = Receiver::start();
    let endpoint = receiver.endpoint("crm", "");
    let relay = Relay::start(&endpoint).await;
    relay.reconfigure(&format!("[queue]\nconcurrency_max = 7\n{endpoint}"));
    let line = relay.logged("take effect at the next start").await;
    assert!(line.contains("queue"), "{line}");
}
