//! Work over many, in bites that outlast the relay; erasing, and taking everything along.

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::receiver::{Receiver, Reply};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

const SINCE: &str = "2026-01-01T00:00:00Z";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn start(relay: &Relay, path: &str, body: Value) -> String {
    let answer = relay.admin(Method::POST, path, Some(body)).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let job = answer.json();
    assert_eq!(
        answer.header("location"),
        format!("/v1/jobs/{}", text(&job["id"]))
    );
    text(&job["id"]).to_owned()
}

async fn job_that(relay: &Relay, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let is_so = &is_so;
    eventually(&format!("the job to be: {what}"), move || async move {
        let job = relay.read(&format!("/v1/jobs/{id}")).await;
        if is_so(&job) { Ok(job) } else { Err(job) }
    })
    .await
}

async fn ended(relay: &Relay, id: &str) -> Value {
    job_that(relay, id, "done", |job| job["state"] == "done").await
}

#[tokio::test]
async fn w18_a_replay_goes_on_after_a_kill_and_sends_nothing_twice() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&receiver.endpoint("crm", "")).await;
    for n in 0..30 {
        relay.event("a.b", json!({"n": n})).await;
    }
    receiver.received(30).await;
    let id = start(
        &relay,
        "/v1/endpoints/crm/replay",
        json!({"since": SINCE, "rate": "20/s"}),
    )
    .await;
    job_that(&relay, &id, "under way", |job| job["done"].as_u64() > Some(2)).await;
    relay.kill().await;
    relay.start_again().await;
    let job = ended(&relay, &id).await;
    assert_eq!(
        (&job["total"], &job["done"], &job["failed"]),
        (&json!(30), &json!(30), &json!(0))
    );
    // A delivery that was under way at the kill may be sent again, under the id that it had.
    eventually("all to arrive", || async {
        let mut ids: Vec<String> = receiver
            .requests()
            .iter()
            .map(|request| request.id().to_owned())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() == 60 { Ok(()) } else { Err(ids.len()) }
    })
    .await;
}

#[tokio::test]
async fn w18_a_new_event_does_not_wait_for_a_replay() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "rate_limit = \"20/s\"")).await;
    for n in 0..15 {
        relay.event("a.b", json!({"n": n})).await;
    }
    receiver.received(15).await;
    for _ in 0..8 {
        start(
            &relay,
            "/v1/endpoints/crm/replay",
            json!({"since": SINCE, "rate": "1000/s"}),
        )
        .await;
    }
    let before = receiver.requests().len();
    relay.event("a.b", json!({"n": "fresh"})).await;
    let all = receiver
        .until("the new event", |requests| {
            requests
                .iter()
                .any(|request| request.json()["data"]["n"] == "fresh")
        })
        .await;
    assert!(all.len() < before + 125, "{before} before, {} with it", all.len());
}

#[tokio::test]
async fn c17_a_job_is_called_off_and_a_tenant_has_no_more_than_ten() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    for n in 0..5 {
        relay.event("a.b", json!({"n": n})).await;
    }
    receiver.received(5).await;
    let slow = || json!({"since": SINCE, "rate": "1/h"});
    let path = "/v1/endpoints/crm/replay";
    let mut jobs = Vec::new();
    for _ in 0..10 {
        jobs.push(start(&relay, path, slow()).await);
    }
    let refused = relay.admin(Method::POST, path, Some(slow())).await;
    assert_eq!(
        (refused.status, refused.problem()["code"].clone()),
        (409, json!("too_many_jobs"))
    );
    let cancel = format!("/v1/jobs/{}/cancel", jobs[3]);
    let cancelled = relay.admin(Method::POST, &cancel, None).await.json();
    assert_eq!(cancelled["state"], "cancelled");
    assert!(cancelled["ended_at"].is_string());
    jobs.push(start(&relay, path, slow()).await);
    let listed = relay.read("/v1/jobs?limit=250").await;
    let listed: Vec<&str> = listed["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|job| text(&job["id"]))
        .collect();
    jobs.reverse();
    assert_eq!(listed, jobs);
}

#[tokio::test]
async fn c24_what_was_stored_of_somebody_is_erased() {
    let receiver = Receiver::always(Reply::Status(500));
    let mut relay =
        Relay::start(&receiver.endpoint("crm", "retry = { schedule = [\"1h\"], jitter = 0 }")).await;
    let ada = relay
        .event("a.b", json!({"customer": {"email": "ada.private@example.com"}}))
        .await;
    let bob = relay
        .event(
            "a.b",
            json!({"customer": {"email": "bob@example.com"}, "to": "ada.private@example.com"}),
        )
        .await;
    for event in [&ada, &bob] {
        relay
            .delivery_that(event, "tried", |delivery| delivery["attempts"] == 1)
            .await;
    }
    let what = json!({"pointer": "/customer/email", "equals": "ada.private@example.com"});
    let mut dry = what.clone();
    dry["dry_run"] = json!(true);
    let counted = relay.admin(Method::POST, "/v1/erasures", Some(dry)).await.json();
    assert_eq!(counted["count"], 1);
    let id = start(&relay, "/v1/erasures", what).await;
    let job = ended(&relay, &id).await;
    assert_eq!(
        (&job["kind"], &job["done"], &job["total"]),
        (&json!("erase"), &json!(1), &json!(1))
    );
    let left = relay.read(&format!("/v1/events/{ada}")).await;
    assert_eq!(
        (&left["data"]["erased"], &left["id"]),
        (&json!(true), &json!(ada))
    );
    let delivery = &left["deliveries"][0];
    assert_eq!(
        (&delivery["status"], &delivery["attempts"]),
        (&json!("cancelled"), &json!(1))
    );
    assert_eq!(
        relay.read(&format!("/v1/events/{bob}")).await["data"]["customer"]["email"],
        "bob@example.com"
    );
    let found = relay.read("/v1/events?q=ada.private").await;
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1));

    // By words: whatever mentions it.
    let id = start(&relay, "/v1/erasures", json!({"q": "ada.private@example.com"})).await;
    ended(&relay, &id).await;
    assert_eq!(relay.read("/v1/events?q=ada.private").await["data"], json!([]));
    relay.stop().await;
    for entry in std::fs::read_dir(relay.setup().home())
        .into_iter()
        .flatten()
        .flatten()
    {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let is_there = bytes.windows(11).any(|bytes| bytes == b"ada.private");
        assert!(!is_there, "{} still has it", entry.path().display());
    }
}

#[tokio::test]
async fn c24_events_and_deliveries_are_exported_as_lines_of_json() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let mut events = Vec::new();
    for n in 0..300 {
        events.push(relay.event("a.b", json!({"n": n})).await);
    }
    receiver.received(300).await;
    for event in &events {
        relay.delivery(event, "succeeded").await;
    }
    let export = async |what: &str| {
        let answer = relay
            .admin(Method::GET, &format!("/v1/export/{what}"), None)
            .await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "application/x-ndjson")
        );
        let lines = answer.text();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_default());
        lines.collect::<Vec<Value>>()
    };
    let lines = export("events").await;
    assert_eq!(
        lines.iter().map(|line| text(&line["id"])).collect::<Vec<_>>(),
        events
    );
    assert_eq!(lines[7]["data"], json!({"n": 7}));
    let lines = export("deliveries").await;
    assert_eq!(
        lines.iter().map(|line| text(&line["event"])).collect::<Vec<_>>(),
        events
    );
    assert_eq!(lines[7]["attempts_made"][0]["outcome"]["status"], 200);
    assert_eq!(
        export("events?until=2020-01-01T00:00:00Z").await,
        Vec::<Value>::new()
    );
}
