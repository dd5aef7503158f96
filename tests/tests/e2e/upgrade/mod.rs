//! A relay takes up the store that an older one has left.

use std::collections::BTreeSet;

use http::Method;
use relay_tests::instance::Setup;
use relay_tests::receiver::{Receiver, Request};
use relay_tests::wait::eventually;
use rusqlite::Connection;
use serde_json::json;

/// What a relay of schema 3 left behind, and what it was sealed with.
const STORE: &str = include_str!("schema-3.sql");
const MASTER_KEY: &str = "0z1TIq7AjaHabHzCWV8wZcj/Oj1aEbuXu9onOMminn0=";
/// What it told about that store.
const EVENTS: [&str; 4] = [
    "evt_0sa0s3kx00000",
    "evt_0sa0s3kzm0000",
    "evt_0sa0s3m240000",
    "evt_0sa0s3m6r0000",
];
const SECRET: &str = "whsec_GnSFKCX2y5FUnUrQmx5zAuwHzC593058ms9Y8Z92Kuc=";
const KEY: &str = "rk_c5d408fdbe4275487ef835dd1531cad0f8554a4a9eab171a";

fn ids(requests: &[Request]) -> BTreeSet<String> {
    let ids = requests
        .iter()
        .map(|request| request.header("webhook-id").to_owned());
    ids.collect()
}

#[tokio::test]
async fn what_waited_in_an_older_store_is_delivered_by_a_newer_relay() {
    let receiver = Receiver::start();
    let config = format!("{}{}", receiver.endpoint("crm", ""), receiver.endpoint("off", ""));
    let setup = Setup::new(&config);
    setup.file("relay.db.master-key", MASTER_KEY);
    let store = Connection::open(setup.home().join("relay.db")).expect("a file can be made");
    store.execute_batch(STORE).expect("the store of schema 3");
    store.close().expect("it is written");

    let relay = setup.start().await;
    assert_eq!(relay.secret("crm").await, SECRET);
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", bearer.as_str())];
    let listed = relay.send(Method::GET, "/v1/deliveries", &headers, "").await;
    assert_eq!(listed.status, 200, "a key of the older relay: {}", listed.text());
    assert_eq!(listed.json()["data"].as_array().map(Vec::len), Some(8));
    let off = relay.read("/v1/endpoints/off").await;
    assert_eq!(off["disabled"]["reason"], json!("disabled by hand"), "{off}");
    let on = json!({"enabled": true});
    let on = relay.admin(Method::PATCH, "/v1/endpoints/off", Some(on)).await;
    assert_eq!(on.status, 200, "{}", on.text());
    for event in EVENTS {
        for delivery in relay.deliveries(event).await {
            let path = format!("/v1/deliveries/{}/retry", delivery["id"].as_str().expect("an id"));
            let asked = relay.admin(Method::POST, &path, None).await;
            assert_eq!(asked.status, 202, "{}", asked.text());
        }
    }
    // Some were due as soon as they might go, and came a second time by hand.
    let got = receiver
        .until("every delivery", |requests| ids(requests).len() == 8)
        .await;
    let numbers: BTreeSet<_> = got
        .iter()
        .map(|request| request.json()["data"]["n"].as_u64())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4].map(Some).into());
    eventually("every delivery", || async {
        let listed = relay.read("/v1/deliveries?status=succeeded").await;
        let count = listed["data"].as_array().map_or(0, Vec::len);
        if count == 8 { Ok(()) } else { Err(listed) }
    })
    .await;
}
