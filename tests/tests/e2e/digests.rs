//! What should have come to an endpoint, and whether it did.

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Relay};
use relay_tests::receiver::{Receiver, Reply, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

async fn expected(relay: &Relay, endpoint: &str) -> Vec<Value> {
    let page = relay
        .read(&format!("/v1/endpoints/{endpoint}/expected?since={LONG_AGO}"))
        .await;
    page["data"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn m17_a_digest_counts_and_digests_what_was_expected_from_the_rows() {
    let receiver = Receiver::start();
    let broken = Receiver::always(Reply::Status(400));
    let config = [
        receiver.endpoint("crm", "event_types = [\"a.*\"]"),
        endpoint("broken", &broken.url(), "retry = { schedule = [], jitter = 0 }"),
    ];
    let mut relay = Relay::start(&config.join("\n")).await;
    for kind in ["a.b", "x.y", "a.c"] {
        relay.event(kind, json!(1)).await;
    }
    receiver.received(2).await;
    eventually("all to have ended", || async {
        match (
            relay.count("crm", "succeeded").await,
            relay.count("broken", "failed").await,
        ) {
            (2, 3) => Ok(()),
            seen => Err(seen),
        }
    })
    .await;
    // Killed, so that whatever is told comes from what is stored.
    relay.kill().await;
    relay.start_again().await;
    // The day may end in between.
    let day_before = "window=1d&since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z";
    let none = relay
        .read(&format!("/v1/digests?endpoint=crm&{day_before}"))
        .await;
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(none["data"][0]["matched_sha256"], empty);
    let all = expected(&relay, "crm").await;
    let received_at = all[0]["received_at"].as_str().expect("a time");
    let digests = relay
        .read(&format!("/v1/digests?endpoint=crm&window=1d&since={received_at}"))
        .await;
    let sum = |key: &str| -> u64 {
        let digests = digests["data"].as_array().expect("digests");
        digests
            .iter()
            .map(|digest| digest[key].as_u64().unwrap_or_default())
            .sum()
    };
    assert_eq!((sum("matched"), sum("delivered"), sum("pending")), (2, 2, 0));
    let mut ids: Vec<String> = receiver
        .requests()
        .iter()
        .map(|request| request.header("webhook-id").to_owned() + "\n")
        .collect();
    ids.sort();
    // What the receiver works out by itself is what the relay says.
    if digests["data"]
        .as_array()
        .is_some_and(|digests| digests.len() == 1)
    {
        let mut own = relay::crypto::Sha256::default();
        own.update(ids.concat().as_bytes());
        let own = own.finish();
        assert_eq!(digests["data"][0]["delivered_sha256"], own);
        assert_eq!(digests["data"][0]["matched_sha256"], own);
    }
    let broken = relay
        .read(&format!(
            "/v1/digests?endpoint=broken&window=1d&since={received_at}"
        ))
        .await;
    assert_eq!(broken["data"][0]["failed"], json!(3), "{broken}");
    assert_ne!(
        broken["data"][0]["matched_sha256"],
        broken["data"][0]["delivered_sha256"]
    );
    for path in [
        "window=1d",
        "endpoint=crm&window=x",
        "endpoint=crm&since=2020-01-01T00:00:00Z",
    ] {
        let answer = relay
            .admin(Method::GET, &format!("/v1/digests?{path}"), None)
            .await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn m17_an_endpoint_that_asks_is_sent_its_digests_signed_like_any_message() {
    let receiver = Receiver::start();
    let settings = "event_types = [\"a.*\"]\ndigest = \"1s\"";
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    relay.event("a.b", json!(1)).await;
    let digest = eventually("a digest that counts the event", || async {
        let requests = receiver.requests();
        let found = requests.into_iter().find(|request| {
            let body = request.json();
            body["type"] == "relay.digest" && body["data"]["matched"] == 1
        });
        found.ok_or_else(|| receiver.requests().len())
    })
    .await;
    let body = digest.json();
    assert_eq!(body["data"]["endpoint_name"], "crm");
    assert!(
        digest.header("webhook-signature").starts_with("v1,"),
        "{digest:?}"
    );
}

#[tokio::test]
async fn m16_a_receiver_finds_out_what_it_lacks_and_has_it_sent_again() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    for number in 0..3 {
        let event = relay.event("a.b", json!(number)).await;
        relay.delivery(&event, "succeeded").await;
    }
    let all = expected(&relay, "crm").await;
    let ids: Vec<&str> = all.iter().filter_map(|one| one["id"].as_str()).collect();
    let sent = receiver.requests();
    assert_eq!(
        ids,
        sent.iter()
            .map(|request| request.header("webhook-id"))
            .collect::<Vec<_>>()
    );
    let page = relay.read("/v1/endpoints/crm/expected?limit=2").await;
    let cursor = page["next_cursor"].as_str().expect("there is more");
    let rest = relay
        .read(&format!("/v1/endpoints/crm/expected?cursor={cursor}"))
        .await;
    assert_eq!(rest["data"], json!([all[2]]));

    let have = relay
        .setup()
        .file("have.txt", format!("{}\n{}\nmsg_0000000000000\n", ids[0], ids[2]));
    let path = have.display().to_string();
    let arguments = [
        "reconcile",
        "--endpoint",
        "crm",
        "--since",
        LONG_AGO,
        "--ids",
        &path,
        "--resend",
    ];
    let ended = relay.command(ADMIN_KEY, &arguments).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains(&format!("missing    {}", ids[1])),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("unexpected msg_0000000000000"), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("2 present, 1 missing, 0 pending, 1 unexpected"),
        "{ended:?}"
    );
    let again = receiver.received(4).await.remove(3);
    assert_eq!(again.header("webhook-id"), ids[1]);

    let have = relay.setup().file("have.txt", ids.join("\n"));
    let path = have.display().to_string();
    let ended = relay
        .command(
            ADMIN_KEY,
            &["reconcile", "--endpoint", "crm", "--since", "1h", "--ids", &path],
        )
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
