//! What did not arrive is sent again: one, many, all since a time; what should not go is called
//! off.

use http::Method;
use relay_tests::instance::{ADMIN_KEY, Relay};
use relay_tests::receiver::{Closed, Receiver, Reply, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// One attempt, and then the next is far away.
const ONE_ATTEMPT: &str = "retry = { schedule = [], jitter = 0 }";
const LATER: &str = "retry = { schedule = [\"1h\"], jitter = 0 }";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn ask(relay: &Relay, path: &str, body: Value) -> (u16, Value) {
    let answer = relay.admin(Method::POST, path, Some(body)).await;
    (answer.status, answer.json())
}

/// Starts a job and waits for its end.
async fn work(relay: &Relay, path: &str, body: Value) -> Value {
    let (status, job) = ask(relay, path, body).await;
    assert_eq!(status, 202, "{job}");
    let path = format!("/v1/jobs/{}", text(&job["id"]));
    let path = &path;
    eventually("the end of the job", || async move {
        let job = relay.read(path).await;
        if job["state"] == "done" { Ok(job) } else { Err(job) }
    })
    .await
}

/// Posts events and waits until the delivery of each is as wanted.
async fn events(
    relay: &Relay,
    count: usize,
    what: &str,
    is_so: impl Fn(&Value) -> bool + Copy,
) -> Vec<String> {
    let mut events = Vec::new();
    for n in 0..count {
        events.push(relay.event("a.b", json!({"n": n})).await);
    }
    for event in &events {
        relay.delivery_that(event, what, is_so).await;
    }
    events
}

async fn failed(relay: &Relay, count: usize) -> Vec<String> {
    events(relay, count, "failed", |delivery| delivery["status"] == "failed").await
}

/// Fails so often, then takes everything.
fn failing(count: usize) -> Receiver {
    Receiver::script(vec![Reply::Status(500); count])
}

#[tokio::test]
async fn c17_deliveries_are_tried_again_by_their_ids() {
    let receiver = failing(3);
    let relay = Relay::start(&receiver.endpoint("crm", ONE_ATTEMPT)).await;
    let all = failed(&relay, 3).await;
    let mut ids = Vec::new();
    for event in &all[..2] {
        ids.push(relay.deliveries(event).await[0]["id"].clone());
    }
    let path = "/v1/deliveries/retry";
    let (status, counted) = ask(&relay, path, json!({"ids": ids, "dry_run": true})).await;
    assert_eq!(
        (status, &counted["count"], &counted["complete"]),
        (200, &json!(2), &json!(true))
    );
    ids.push(json!("dlv_0000000000000"));
    let job = work(&relay, path, json!({"ids": ids})).await;
    assert_eq!((&job["kind"], &job["total"]), (&json!("retry"), &json!(3)));
    assert_eq!((&job["done"], &job["failed"]), (&json!(2), &json!(1)));
    for event in &all[..2] {
        let delivery = relay.delivery(event, "succeeded").await;
        assert_eq!(relay.attempts(&delivery).await[1]["trigger"], "manual");
    }
    assert_eq!(relay.count("crm", "failed").await, 1);
}

#[tokio::test]
async fn c17_deliveries_are_tried_again_by_a_filter() {
    let (receiver, closed) = (failing(4), Closed::new());
    let config = [
        endpoint(
            "crm",
            &receiver.url(),
            &format!("event_types = [\"a.b\"]\n{ONE_ATTEMPT}"),
        ),
        endpoint(
            "erp",
            &closed.url(),
            &format!("event_types = [\"x.y\"]\n{ONE_ATTEMPT}"),
        ),
    ];
    let relay = Relay::start(&config.concat()).await;
    failed(&relay, 4).await;
    let other = relay.event("x.y", json!({})).await;
    relay.delivery(&other, "failed").await;
    let path = "/v1/deliveries/retry";
    let count = async |body: Value| {
        let mut body = body;
        body["dry_run"] = json!(true);
        let (status, counted) = ask(&relay, path, body).await;
        assert_eq!(status, 200, "{counted}");
        counted["count"].clone()
    };
    assert_eq!(count(json!({"error_class": "connect"})).await, 1);
    assert_eq!(count(json!({"status_code": 500})).await, 4);
    assert_eq!(count(json!({"endpoint": "erp"})).await, 1);
    assert_eq!(count(json!({"status": ["cancelled", "dropped"]})).await, 0);
    assert_eq!(count(json!({"until": "2020-01-01T00:00:00Z"})).await, 0);
    let job = work(
        &relay,
        path,
        json!({"endpoint": "crm", "error_class": "http_5xx", "rate": "1000/s"}),
    )
    .await;
    assert_eq!(
        (&job["total"], &job["done"], &job["failed"]),
        (&json!(4), &json!(4), &json!(0))
    );
    receiver.received(8).await;
    assert_eq!(relay.count("erp", "failed").await, 1);
}

#[tokio::test]
async fn c17_what_cannot_be_asked_for_is_told_by_its_place() {
    let relay = Relay::start("").await;
    for (path, body, pointer) in [
        ("/v1/deliveries/retry", json!({}), "/ids"),
        ("/v1/deliveries/retry", json!({"ids": []}), "/ids"),
        ("/v1/deliveries/retry", json!({"ids": ["x"]}), "/ids"),
        ("/v1/deliveries/retry", json!({"status": "pending"}), "/status"),
        ("/v1/deliveries/retry", json!({"status": "lost"}), "/status"),
        (
            "/v1/deliveries/retry",
            json!({"error_class": "luck"}),
            "/error_class",
        ),
        (
            "/v1/deliveries/retry",
            json!({"status": "failed", "rate": "fast"}),
            "/rate",
        ),
        ("/v1/deliveries/retry", json!({"since": "noon"}), "/since"),
        ("/v1/deliveries/cancel", json!({"status": "failed"}), "/status"),
        ("/v1/erasures", json!({}), "/pointer"),
        ("/v1/erasures", json!({"pointer": "a", "equals": 1}), "/pointer"),
        ("/v1/erasures", json!({"pointer": "/a"}), "/equals"),
    ] {
        let answer = relay.admin(Method::POST, path, Some(body.clone())).await;
        let problem = answer.problem();
        assert_eq!(
            (answer.status, text(&problem["errors"][0]["pointer"])),
            (422, pointer),
            "{body}"
        );
    }
    let body = json!({"idz": []});
    let unknown = relay
        .admin(Method::POST, "/v1/deliveries/retry", Some(body))
        .await;
    assert_eq!(
        (unknown.status, &unknown.problem()["code"]),
        (400, &json!("bad_body"))
    );
    for path in [
        "/v1/endpoints/none/purge",
        "/v1/endpoints/none/recover",
        "/v1/endpoints/none/replay",
        "/v1/events/evt_0000000000000/replay",
        "/v1/deliveries/dlv_0000000000000/cancel",
        "/v1/jobs/job_0000000000000/cancel",
    ] {
        let body = json!({"since": "2026-01-01T00:00:00Z"});
        let body = if path.contains("/events/") {
            json!({})
        } else {
            body
        };
        assert_eq!(
            relay.admin(Method::POST, path, Some(body)).await.status,
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn w22_what_failed_is_the_dead_letter_set_and_nothing_of_it_is_dropped() {
    let receiver = failing(2);
    let relay = Relay::start(&receiver.endpoint("crm", ONE_ATTEMPT)).await;
    let letters = failed(&relay, 2).await;
    let listed = relay.read("/v1/deliveries?status=failed").await;
    let listed: Vec<_> = listed["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|letter| text(&letter["event"]))
        .collect();
    assert_eq!(listed, [letters[1].as_str(), letters[0].as_str()]);
    for (n, letter) in letters.iter().enumerate() {
        assert_eq!(
            relay.read(&format!("/v1/events/{letter}")).await["data"],
            json!({"n": n})
        );
    }
    work(&relay, "/v1/deliveries/retry", json!({"status": "failed"})).await;
    receiver.received(4).await;
    eventually("no dead letter", || async {
        let page = relay.read("/v1/deliveries?status=failed").await;
        if page["data"] == json!([]) {
            Ok(())
        } else {
            Err(page)
        }
    })
    .await;
}

#[tokio::test]
async fn w18_an_endpoint_gets_what_failed_since_a_time_once_it_is_back() {
    let receiver = failing(3);
    let relay = Relay::start(&receiver.endpoint("crm", ONE_ATTEMPT)).await;
    let all = failed(&relay, 3).await;
    let received = async |event: &str| relay.read(&format!("/v1/events/{event}")).await["received_at"].take();
    let (second, third) = (received(&all[1]).await, received(&all[2]).await);
    let since = json!({"since": second});
    let path = "/v1/endpoints/crm/recover";
    let mut dry = since.clone();
    dry["dry_run"] = json!(true);
    let (_, counted) = ask(&relay, path, dry).await;
    // A delivery is as old as its id, which a busy machine makes a moment after the clock was read.
    let oldest = text(&counted["oldest"]);
    assert!(
        (text(&second)..=text(&third)).contains(&oldest),
        "{counted} of {second} and {third}"
    );
    let job = work(&relay, path, since).await;
    assert_eq!(job["done"], counted["count"]);
    let first_ids: Vec<String> = receiver
        .received(3)
        .await
        .iter()
        .map(|request| request.id().to_owned())
        .collect();
    let all_requests = receiver.received(5).await;
    assert!(
        first_ids.contains(&all_requests[4].id().to_owned()),
        "the receiver knows it by the same id"
    );
}

#[tokio::test]
async fn w18_an_endpoint_made_later_gets_the_events_of_before() {
    let (old, new) = (Receiver::start(), Receiver::start());
    let relay = Relay::start(&old.endpoint("crm", "")).await;
    let paid = relay.event("invoice.paid", json!({"n": 1})).await;
    relay.event("invoice.sent", json!({"n": 2})).await;
    old.received(2).await;
    let keys = json!({"name": "late", "url": new.url(), "event_types": ["invoice.paid"]});
    assert_eq!(ask(&relay, "/v1/endpoints", keys).await.0, 201);
    let path = "/v1/endpoints/late/replay";
    let since = "2026-01-01T00:00:00Z";
    let (_, counted) = ask(
        &relay,
        path,
        json!({"since": since, "unfiltered": true, "dry_run": true}),
    )
    .await;
    assert_eq!((&counted["count"], &counted["bytes"]), (&json!(2), &json!(14)));
    let job = work(&relay, path, json!({"since": since, "rate": "50/s"})).await;
    assert_eq!(
        (&job["kind"], &job["done"], &job["total"]),
        (&json!("replay"), &json!(1), &json!(1))
    );
    let request = new.received(1).await.remove(0);
    assert_eq!(request.json()["data"], json!({"n": 1}));
    let deliveries = relay.deliveries(&paid).await;
    assert_eq!(deliveries.len(), 2);
    assert_eq!(deliveries[0]["endpoint_name"], "late");
    eventually("the replay to be recorded", || async {
        let attempts = relay.attempts(&deliveries[0]).await;
        match attempts.first() {
            Some(attempt) if attempt["trigger"] == "replay" => Ok(()),
            _ => Err(attempts),
        }
    })
    .await;
    assert_eq!(old.requests().len(), 2);
}

#[tokio::test]
async fn w18_one_event_is_sent_again_under_an_id_of_its_own() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let event = relay.event("a.b", json!({"n": 1})).await;
    relay.delivery(&event, "succeeded").await;
    let (status, made) = ask(&relay, &format!("/v1/events/{event}/replay"), json!({})).await;
    assert_eq!(
        (status, made["deliveries"].as_array().map(Vec::len)),
        (202, Some(1)),
        "{made}"
    );
    let requests = receiver.received(2).await;
    assert_ne!(
        requests[0].id(),
        requests[1].id(),
        "a receiver that knows the first takes the second"
    );
    assert_eq!(requests[0].json()["data"], requests[1].json()["data"]);
    let known = relay
        .read(&format!("/v1/deliveries/{}", text(&made["deliveries"][0]["id"])))
        .await;
    assert_eq!(known["event"], json!(event));
    let path = format!("/v1/events/{event}/replay");
    assert_eq!(ask(&relay, &path, json!({"endpoint": "crm"})).await.0, 202);
    receiver.received(3).await;
}

#[tokio::test]
async fn c17_what_waits_for_a_disabled_endpoint_is_not_lost() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let keys = json!({"name": "crm", "url": receiver.url(), "enabled": false});
    assert_eq!(ask(&relay, "/v1/endpoints", keys).await.0, 201);
    for n in 0..3 {
        relay.event("a.b", json!({"n": n})).await;
    }
    let (_, counted) = ask(
        &relay,
        "/v1/deliveries/cancel",
        json!({"endpoint": "crm", "dry_run": true}),
    )
    .await;
    assert_eq!(counted["count"], 3);
    let enabled = relay
        .admin(Method::PATCH, "/v1/endpoints/crm", Some(json!({"enabled": true})))
        .await;
    assert_eq!(enabled.status, 200, "{}", enabled.text());
    receiver.received(3).await;
}

#[tokio::test]
async fn c17_a_delivery_is_called_off() {
    let receiver = Receiver::always(Reply::Status(500));
    let relay = Relay::start(&receiver.endpoint("crm", LATER)).await;
    let all = events(&relay, 2, "tried once", |delivery| delivery["attempts"] == 1).await;
    let id = relay.deliveries(&all[0]).await[0]["id"].clone();
    let path = format!("/v1/deliveries/{}/cancel", text(&id));
    let (status, answer) = ask(&relay, &path, json!({})).await;
    assert_eq!((status, &answer["status"]), (200, &json!("cancelled")));
    let delivery = relay.delivery(&all[0], "cancelled").await;
    assert_eq!(delivery["reason"], "it was called off");
    assert_eq!(relay.count("crm", "pending").await, 1);
    let retried = ask(&relay, &format!("/v1/deliveries/{}/retry", text(&id)), json!({})).await;
    assert_eq!(retried.0, 202);
    relay
        .delivery_that(&all[0], "tried again", |delivery| delivery["attempts"] == 2)
        .await;
}

#[tokio::test]
async fn c17_an_attempt_under_way_when_it_is_called_off_is_the_last() {
    let receiver = Receiver::always(Reply::Never);
    let settings = "timeout = \"1s\"\nretry = { schedule = [\"1ms\"], jitter = 0 }";
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    let event = relay.event("a.b", json!({})).await;
    receiver.received(1).await;
    let id = relay.deliveries(&event).await[0]["id"].clone();
    let (status, answer) = ask(&relay, &format!("/v1/deliveries/{}/cancel", text(&id)), json!({})).await;
    assert_eq!((status, &answer["status"]), (200, &json!("cancelled")));
    let delivery = relay
        .delivery_that(&event, "recorded", |delivery| delivery["attempts"] == 1)
        .await;
    assert_eq!(delivery["status"], "cancelled");
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn c17_everything_that_waits_for_an_endpoint_is_called_off() {
    let receiver = Receiver::always(Reply::Status(500));
    let relay = Relay::start(&receiver.endpoint("crm", LATER)).await;
    events(&relay, 3, "tried once", |delivery| delivery["attempts"] == 1).await;
    let (status, purged) = ask(&relay, "/v1/endpoints/crm/purge", json!({})).await;
    assert_eq!((status, &purged["cancelled"]), (200, &json!(3)));
    assert_eq!(
        (
            relay.count("crm", "pending").await,
            relay.count("crm", "cancelled").await
        ),
        (0, 3)
    );
    let since = json!({"since": "2026-01-01T00:00:00Z", "cancelled": true});
    let job = work(&relay, "/v1/endpoints/crm/recover", since).await;
    assert_eq!(job["done"], 3);
    receiver.received(6).await;
}

#[tokio::test]
async fn c17_pending_deliveries_are_called_off_by_a_filter() {
    let receiver = Receiver::always(Reply::Status(500));
    let relay = Relay::start(&receiver.endpoint("crm", LATER)).await;
    let all = events(&relay, 3, "tried once", |delivery| delivery["attempts"] == 1).await;
    let job = work(&relay, "/v1/deliveries/cancel", json!({"event": all[1]})).await;
    assert_eq!((&job["kind"], &job["done"]), (&json!("cancel"), &json!(1)));
    relay.delivery(&all[1], "cancelled").await;
    assert_eq!(relay.count("crm", "pending").await, 2);
}

#[tokio::test]
async fn c17_the_command_line_retries_and_replays() {
    let receiver = failing(2);
    let relay = Relay::start(&receiver.endpoint("crm", ONE_ATTEMPT)).await;
    let all = failed(&relay, 2).await;
    let run = async |arguments: &[&str]| {
        let ended = relay.command(ADMIN_KEY, arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    };
    let counted = run(&["retry", "--endpoint", "crm", "--since", "1h", "--dry-run"]).await;
    assert!(counted.starts_with("2, from 20"), "{counted}");
    let job: Value = serde_json::from_str(&run(&["retry", "--error-class", "http_5xx", "--json"]).await)
        .unwrap_or_default();
    assert_eq!((&job["state"], &job["done"]), (&json!("done"), &json!(2)));
    receiver.received(4).await;
    let told = run(&["replay", "--endpoint", "crm", "--since", "1h", "--rate", "100/s"]).await;
    assert!(told.contains("replay is done: 2 done"), "{told}");
    receiver.received(6).await;
    let told = run(&["replay", &all[0]]).await;
    assert!(told.contains("as 1 new deliveries"), "{told}");
    receiver.received(7).await;
    let unknown = relay.command(ADMIN_KEY, &["retry", "dlv_0000000000000"]).await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(
        unknown
            .stdout
            .contains("retry is done: 0 set off, 1 could not be"),
        "{unknown:?}"
    );
    let refused = relay.command(ADMIN_KEY, &["retry", "--endpoint", "none"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("endpoint"), "{}", refused.stderr);
}
