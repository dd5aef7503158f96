//! What happens after an attempt that did not succeed.

use std::collections::HashSet;
use std::time::Duration;

use http::Method;
use relay_tests::instance::Relay;
use relay_tests::receiver::{Closed, Receiver, Reply, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

/// How much earlier than asked a request may seem to come, for clocks of two processes.
const SLACK: Duration = Duration::from_millis(20);

fn retry(schedule: &[&str]) -> String {
    format!("retry = {{ schedule = {schedule:?}, jitter = 0 }}")
}

#[tokio::test]
async fn c15_the_schedule_is_followed_and_every_attempt_recorded() {
    let receiver = Receiver::script([Reply::with_body(500, "no room"), Reply::Status(404)]);
    let relay = Relay::start(&receiver.endpoint("crm", &retry(&["100ms", "400ms", "1h"]))).await;
    let event = relay.event("a.b", json!(1)).await;
    let requests = receiver.received(3).await;
    let gaps: Vec<Duration> = requests.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    for (gap, wanted) in gaps.iter().zip([100, 400]) {
        let wanted = Duration::from_millis(wanted);
        assert!(
            *gap + SLACK >= wanted && *gap <= wanted + Duration::from_secs(5),
            "{gaps:?}"
        );
    }
    let delivery = relay.delivery(&event, "succeeded").await;
    assert_eq!(
        (&delivery["attempts"], &delivery["next_attempt_at"]),
        (&json!(3), &Value::Null)
    );
    let attempts = relay.attempts(&delivery).await;
    let read = |key: &str| {
        attempts
            .iter()
            .map(|attempt| attempt[key].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(read("number"), [1, 2, 3]);
    assert_eq!(read("trigger"), ["scheduled"; 3]);
    assert_eq!(
        read("error_class"),
        [json!("http_5xx"), json!("http_4xx"), Value::Null]
    );
    assert_eq!(attempts[0]["outcome"]["status"], 500);
    assert_eq!(attempts[0]["outcome"]["excerpt"], "no room");
    assert!(
        attempts
            .iter()
            .all(|attempt| attempt["duration_us"].as_u64().is_some_and(|us| us > 0)),
        "{attempts:?}"
    );
    assert!(read("started_at").is_sorted_by_key(ToString::to_string));
}

#[tokio::test]
async fn m20_u19_v10_every_attempt_bears_the_same_id_and_bytes_and_a_time_of_its_own() {
    let receiver = Receiver::script([Reply::Status(500), Reply::Close]);
    let relay = Relay::start(&receiver.endpoint("crm", &retry(&["1100ms", "20ms"]))).await;
    relay.event("a.b", json!({"n": 1.0})).await;
    let requests = receiver.received(3).await;
    let secret = relay.secret("crm").await;
    for request in &requests {
        assert_eq!(
            (request.id(), &request.body),
            (requests[0].id(), &requests[0].body)
        );
        assert_eq!(request.verify(&secret), Ok(()));
    }
    let times: Vec<i64> = requests
        .iter()
        .map(|request| request.header("webhook-timestamp").parse().expect("a number"))
        .collect();
    assert!(times[1] > times[0], "{times:?}");
}

#[tokio::test]
async fn v9_retry_after_is_obeyed() {
    let receiver = Receiver::script([
        Reply::with_header(429, "retry-after", "1"),
        Reply::with_header(503, "retry-after", "soon"),
    ]);
    let relay = Relay::start(&receiver.endpoint("crm", &retry(&["400ms", "50ms"]))).await;
    let event = relay.event("a.b", json!(1)).await;
    let requests = receiver.received(3).await;
    assert!(
        requests[1].at - requests[0].at + SLACK >= Duration::from_secs(1),
        "asked for a second"
    );
    let delivery = relay.delivery(&event, "succeeded").await;
    let attempts = relay.attempts(&delivery).await;
    assert_eq!(attempts[0]["outcome"]["retry_after_ms"], 1000);
    assert_eq!(attempts[1]["outcome"]["retry_after_ms"], Value::Null);
}

#[tokio::test]
async fn c15_c17_an_exhausted_delivery_is_kept_and_can_be_retried_by_hand() {
    let receiver = Receiver::script([Reply::Status(500), Reply::Status(502)]);
    let relay = Relay::start(&receiver.endpoint("crm", &retry(&["10ms"]))).await;
    let event = relay.event("a.b", json!(1)).await;
    let delivery = relay.delivery(&event, "failed").await;
    assert_eq!(
        (&delivery["attempts"], &delivery["next_attempt_at"]),
        (&json!(2), &Value::Null)
    );
    assert!(
        delivery["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("502")),
        "{delivery}"
    );
    let answer = relay
        .admin(
            Method::POST,
            &format!("/v1/deliveries/{}/retry", text(&delivery["id"])),
            None,
        )
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let delivery = relay.delivery(&event, "succeeded").await;
    let attempts = relay.attempts(&delivery).await;
    let triggers: Vec<&Value> = attempts.iter().map(|attempt| &attempt["trigger"]).collect();
    assert_eq!(triggers, ["scheduled", "scheduled", "manual"]);
    let requests = receiver.requests();
    assert_eq!(
        (requests[2].id(), &requests[2].body),
        (requests[0].id(), &requests[0].body)
    );
}

#[tokio::test]
async fn a_delivery_that_succeeded_can_be_sent_again_by_hand() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let event = relay.event("a.b", json!(1)).await;
    let delivery = relay.delivery(&event, "succeeded").await;
    let path = format!("/v1/deliveries/{}/retry", text(&delivery["id"]));
    assert_eq!(relay.admin(Method::POST, &path, None).await.status, 202);
    let requests = receiver.received(2).await;
    assert_eq!(
        (requests[1].id(), &requests[1].body),
        (requests[0].id(), &requests[0].body)
    );
    relay
        .delivery_that(&event, "succeeded twice", |delivery| {
            delivery["status"] == "succeeded" && delivery["attempts"] == 2
        })
        .await;
}

#[tokio::test]
async fn only_the_endpoint_that_failed_is_tried_again() {
    let good = Receiver::start();
    let bad = Receiver::script([Reply::Status(500)]);
    let config = good.endpoint("good", "") + &bad.endpoint("bad", &retry(&["20ms"]));
    let relay = Relay::start(&config).await;
    let event = relay.event("a.b", json!(1)).await;
    bad.received(2).await;
    eventually("both deliveries to succeed", || async {
        let deliveries = relay.deliveries(&event).await;
        let done = deliveries
            .iter()
            .all(|delivery| delivery["status"] == "succeeded");
        if done && deliveries.len() == 2 {
            Ok(())
        } else {
            Err(deliveries)
        }
    })
    .await;
    assert_eq!(good.requests().len(), 1);
}

#[tokio::test]
async fn v7_a_receiver_that_is_gone_disables_its_endpoint_and_loses_nothing() {
    let receiver = Receiver::script([Reply::Status(410), Reply::Status(410)]);
    let mut relay = Relay::start(&receiver.endpoint("crm", &retry(&["10ms"]))).await;
    let first = relay.event("a.b", json!(1)).await;
    let disabled = eventually("the endpoint to be disabled", || async {
        let endpoint = relay.read("/v1/endpoints").await["data"][0].take();
        if endpoint["enabled"] == false {
            Ok(endpoint)
        } else {
            Err(endpoint)
        }
    })
    .await;
    assert!(
        text(&disabled["disabled"]["reason"]).contains("410"),
        "{disabled}"
    );
    let second = relay.event("a.b", json!(2)).await;
    for event in [&first, &second] {
        relay.delivery(event, "pending").await;
    }
    relay.stop().await;
    relay.start_again().await;
    let third = relay.event("a.b", json!(3)).await;
    relay.delivery(&third, "pending").await;
    assert_eq!(
        receiver.requests().len(),
        2,
        "a disabled endpoint is left alone, after a restart too"
    );
    let answer = relay
        .admin(Method::PATCH, "/v1/endpoints/crm", Some(json!({"enabled": true})))
        .await;
    assert_eq!((answer.status, &answer.json()["enabled"]), (200, &json!(true)));
    for event in [first, second, third] {
        relay.delivery(&event, "succeeded").await;
    }
    assert_eq!(receiver.requests().len(), 5);
}

#[tokio::test]
async fn what_an_endpoint_disabled_by_hand_wants_waits() {
    let receiver = Receiver::start();
    let other = Receiver::start();
    let relay = Relay::start(&(receiver.endpoint("crm", "") + &endpoint("other", &other.url(), ""))).await;
    let switch = |enabled: bool| {
        relay.admin(
            Method::PATCH,
            "/v1/endpoints/crm",
            Some(json!({"enabled": enabled})),
        )
    };
    assert_eq!(switch(false).await.status, 200);
    for n in 0..5 {
        relay.event("a.b", json!(n)).await;
    }
    other.received(5).await;
    assert_eq!(
        (receiver.requests().len(), relay.count("crm", "pending").await),
        (0, 5)
    );
    assert_eq!(switch(true).await.status, 200);
    receiver.received(5).await;
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_retry_that_is_far_off_can_be_brought_forward_by_hand() {
    let receiver = Receiver::script([Reply::Status(500)]);
    let relay = Relay::start(&receiver.endpoint("crm", &retry(&["24h"]))).await;
    let event = relay.event("a.b", json!(1)).await;
    let delivery = relay
        .delivery_that(&event, "tried once", |delivery| delivery["attempts"] == 1)
        .await;
    let answer = relay
        .admin(
            Method::POST,
            &format!("/v1/deliveries/{}/retry", text(&delivery["id"])),
            None,
        )
        .await;
    assert_eq!(answer.status, 202);
    let attempts = relay.attempts(&relay.delivery(&event, "succeeded").await).await;
    assert_eq!(attempts[1]["trigger"], "manual");
}

#[tokio::test]
async fn v7_a_receiver_that_does_not_answer_is_probed_and_gets_everything_once_it_is_back() {
    const EVENTS: usize = 60;
    let closed = Closed::new();
    let settings = format!("concurrency = 2\n{}", retry(&["50ms"; 50]));
    let relay = Relay::start(&endpoint("crm", &closed.url(), &settings)).await;
    for number in 0..EVENTS {
        relay.event("a.b", json!(number)).await;
    }
    relay.logged("the receiver does not answer").await;
    let waiting = relay.read("/v1/deliveries?endpoint=crm&limit=100").await;
    let attempts = waiting["data"].as_array().map(|deliveries| {
        let each = deliveries
            .iter()
            .map(|delivery| delivery["attempts"].as_u64().unwrap_or(0));
        each.sum::<u64>()
    });
    assert!(
        attempts.is_some_and(|attempts| attempts <= 30),
        "{attempts:?} attempts for {EVENTS} deliveries"
    );

    let receiver = closed.open(|_, _| Reply::Status(204));
    let arrived = receiver.received(EVENTS).await;
    let ids: HashSet<&str> = arrived.iter().map(|request| request.id()).collect();
    assert_eq!(ids.len(), EVENTS);
    relay.logged("the receiver answers again").await;
}

#[tokio::test]
async fn a_retry_by_hand_does_not_wait_for_the_next_probe() {
    let closed = Closed::new();
    let settings = format!("concurrency = 1\n{}", retry(&["10ms"; 50]));
    let relay = Relay::start(&endpoint("crm", &closed.url(), &settings)).await;
    let event = relay.event("a.b", json!(1)).await;
    // By its third probe the pause is far longer than this test waits.
    let delivery = relay
        .delivery_that(&event, "23 attempts", |delivery| {
            delivery["attempts"]
                .as_u64()
                .is_some_and(|attempts| attempts >= 23)
        })
        .await;
    let receiver = closed.open(|_, _| Reply::Status(204));
    let id = delivery["id"].as_str().expect("an id");
    let asked = relay
        .admin(Method::POST, &format!("/v1/deliveries/{id}/retry"), None)
        .await;
    assert_eq!(asked.status, 202, "{asked:?}");
    receiver.received(1).await;
}

#[tokio::test]
async fn c4_subscriptions_security_and_retries_are_each_endpoints_own() {
    let receiver = Receiver::answering(|request, _| match request.path.as_str() {
        "/hook/once" | "/hook/thrice" => Reply::Status(500),
        _ => Reply::Status(200),
    });
    let relay = Relay::start("").await;
    for (name, schedule) in [("once", json!([])), ("thrice", json!(["10ms", "10ms"]))] {
        let keys = json!({
            "name": name, "url": format!("{}/{name}", receiver.url()), "event_types": [format!("{name}.*")],
            "retry": {"schedule": schedule, "jitter": 0}, "signatures": ["v1", "v1a"],
        });
        let made = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    for (name, attempts) in [("once", 1), ("thrice", 3)] {
        let event = relay.event(&format!("{name}.x"), json!(1)).await;
        assert_eq!(relay.delivery(&event, "failed").await["attempts"], attempts);
    }
    let patch = json!({"retry": {"schedule": ["10ms"]}});
    let changed = relay
        .admin(Method::PATCH, "/v1/endpoints/once", Some(patch))
        .await;
    assert_eq!(
        changed.json()["retry"]["schedule"],
        json!(["10ms"]),
        "{}",
        changed.text()
    );
    let event = relay.event("once.x", json!(2)).await;
    assert_eq!(relay.delivery(&event, "failed").await["attempts"], 2);
    let signed = receiver.requests();
    assert!(
        signed.iter().all(|request| {
            let signatures = request.header("webhook-signature");
            signatures.contains("v1,") && signatures.contains("v1a,")
        }),
        "{signed:?}"
    );
}

#[tokio::test]
async fn w14_v6_an_answer_has_to_come_in_time_and_be_one_that_counts() {
    let silent = Receiver::always(Reply::Never);
    let lax = Receiver::always(Reply::Status(202));
    let once = "retry = { schedule = [] }";
    let config = [
        silent.endpoint("hasty", &format!("timeout = \"100ms\"\n{once}")),
        lax.endpoint("any", once),
        endpoint(
            "strict",
            &lax.url(),
            &format!("success_statuses = [200, 201]\n{once}"),
        ),
    ];
    let relay = Relay::start(&config.concat()).await;
    let event = relay.event("a.b", json!(1)).await;
    let deliveries = eventually("every delivery to have ended", || async {
        let deliveries = relay.deliveries(&event).await;
        match deliveries.iter().any(|delivery| delivery["status"] == "pending") {
            true => Err(deliveries),
            false => Ok(deliveries),
        }
    })
    .await;
    for (name, status, class) in [
        ("hasty", "failed", json!("timeout")),
        ("any", "succeeded", Value::Null),
        ("strict", "failed", json!("http_2xx")),
    ] {
        let found = deliveries
            .iter()
            .find(|delivery| delivery["endpoint_name"] == name);
        let delivery = found.expect("each endpoint wants it");
        assert_eq!(delivery["status"], status, "{delivery}");
        assert_eq!(relay.attempts(delivery).await[0]["error_class"], class, "{name}");
    }
    let found = relay
        .read("/v1/deliveries?error_class=http_2xx&status_code=202")
        .await;
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "{found}");
    let taken = relay.read("/v1/deliveries?status_code=202").await;
    assert_eq!(taken["data"].as_array().map(Vec::len), Some(2), "{taken}");
    for wrong in [json!([]), json!([302]), json!(["200"])] {
        let patch = json!({"name": "x", "url": lax.url(), "success_statuses": wrong});
        let refused = relay.admin(Method::POST, "/v1/endpoints", Some(patch)).await;
        assert_eq!(
            (refused.status, &refused.problem()["errors"][0]["pointer"]),
            (422, &json!("/success_statuses"))
        );
    }
}
