//! SIGHUP: another configuration in force without a request dropped.

use relay_tests::instance::{Relay, Setup};
use relay_tests::receiver::Receiver;
use relay_tests::receiver::tls::{Authority, Validity};
use relay_tests::tls::TlsClient;
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

/// Everything that a reload changes, under an open load: events come at their own pace, whatever
/// the relay does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_under_load_while_everything_changes() {
    const EVENTS: u64 = 300;
    const MASTERS: [&str; 2] = [
        "q1w2E3r4T5y6U7i8O9p0A1s2D3f4G5h6J7k8L9z0X1c=",
        "Zx9Cv8Bn7Mq6Lk5Jh4Gf3Ds2Ap1Oi0Uy9Tr8Ew7QaSc=",
    ];
    let receiver = Receiver::start();
    let authority = Authority::new();
    let config = |round: usize| {
        let (first, second) = (MASTERS[round % 2], MASTERS[(round + 1) % 2]);
        format!(
            "[server.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n\
             [store]\nmaster_key = [\"{first}\", \"{second}\"]\n{}",
            receiver.endpoint("crm", &format!("concurrency = {}", 1 + round % 7))
        )
    };
    let setup = Setup::new(&config(0));
    let put = |setup: &Setup| {
        let certificate = authority.issue("localhost", Validity::Valid);
        setup.file("key.pem", certificate.key_pem());
        setup.file("cert.pem", certificate.pem());
    };
    put(&setup);
    let relay = setup.start().await;
    let client = TlsClient::new(&authority, &[], None);
    let address = relay.address();
    let mut sent = tokio::task::JoinSet::new();
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(5));
    for number in 0..EVENTS {
        pace.tick().await;
        let client = client.clone();
        sent.spawn(async move {
            let mut connection = client.open(address).await.expect("a handshake");
            let body = format!(r#"{{"type": "a.b", "data": {number}}}"#);
            let answer = connection.call("POST", "/v1/events", body).await;
            assert_eq!(answer.expect("an answer").status, 202);
        });
        if number % 30 == 29 {
            put(relay.setup());
            relay.reconfigure(&config(usize::try_from(number / 30).expect("a small number") + 1));
        }
    }
    while let Some(one) = sent.join_next().await {
        one.expect("no request failed");
    }
    let count = usize::try_from(EVENTS).expect("a small number");
    let mut arrived: Vec<u64> = receiver
        .received(count)
        .await
        .iter()
        .filter_map(|request| request.json()["data"].as_u64())
        .collect();
    arrived.sort_unstable();
    assert_eq!(arrived, (0..EVENTS).collect::<Vec<_>>());
    relay.logged(RELOADED).await;
}
