//! Two-way calls: a sender that waits for what a receiver says, over the API and at a source.

use std::time::{Duration, Instant};

use http::Method;
use relay_tests::client::Answer;
use relay_tests::guests;
use relay_tests::instance::{ADMIN_KEY, Relay, Setup, accepted};
use relay_tests::receiver::{Closed, Receiver, Reply, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Says where an order is, and knows only one.
fn shop() -> Receiver {
    Receiver::answering(|request, _| {
        let asked = request.json();
        match asked.pointer("/data/order").or_else(|| asked.get("order")) {
            Some(order) if order == "A7" => answered(200, r#"{"state":"on its way","days":2}"#),
            _ => answered(404, r#"{"error":"no such order"}"#),
        }
    })
}

fn answered(status: u16, body: &str) -> Reply {
    Reply::Full {
        status,
        headers: vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-shop".to_owned(), "north".to_owned()),
            ("set-cookie".to_owned(), "session=1".to_owned()),
        ],
        body: body.to_owned(),
    }
}

async fn call(relay: &Relay, name: &str, query: &str, event: Value) -> Answer {
    let path = format!("/v1/endpoints/{name}/call{query}");
    relay.admin(Method::POST, &path, Some(event)).await
}

fn asked(order: &str) -> Value {
    json!({"type": "order.asked", "data": {"order": order}})
}

/// The delivery that an answer names, with its only attempt, if it had one.
async fn recorded(relay: &Relay, answer: &Answer, status: &str) -> (Value, Option<Value>) {
    let id = answer.header("relay-delivery");
    let path = format!("/v1/deliveries/{id}");
    let delivery = eventually(&format!("{id} to be {status}"), || async {
        let delivery = relay.read(&path).await;
        let reason = delivery["reason"].as_str().unwrap_or_default();
        if delivery["status"] == status && !reason.contains("is not recorded") {
            Ok(delivery)
        } else {
            Err(delivery)
        }
    })
    .await;
    let mut attempts = relay.attempts(&delivery).await;
    assert!(attempts.len() <= 1, "{attempts:?}");
    (delivery, attempts.pop())
}

const MAPPED: &str = r#"
timeout = "5s"
[endpoint.reply]
status = 200
headers = { x-order = { from = "/event/data/order" }, cache-control = "no-store" }
body = { text = { from = "/reply/body/state", default = "unknown" }, days = { from = "/reply/body/days" }, asked = [{ from = "/event/type" }] }
fallback = { status = 203, body = { text = "One moment please", order = { from = "/event/data/order" } } }
"#;

#[tokio::test]
async fn m9_a_call_is_answered_with_what_the_receiver_says() {
    let receiver = shop();
    let relay = Relay::start(&receiver.endpoint("orders", "")).await;
    let answer = call(&relay, "orders", "", asked("A7")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let shown = answer.json();
    assert_eq!(shown["status"], 200);
    assert_eq!(shown["body"], json!({"state": "on its way", "days": 2}));
    assert_eq!(shown["headers"]["x-shop"], "north");
    assert_eq!(shown["headers"]["set-cookie"], Value::Null);
    assert_eq!(shown["delivery"], answer.header("relay-delivery"));
    receiver.received(1).await[0]
        .verify(&relay.secret("orders").await)
        .expect("a genuine request");

    let (delivery, attempt) = recorded(&relay, &answer, "succeeded").await;
    assert_eq!(
        (&delivery["attempts"], &delivery["event"]),
        (&json!(1), &shown["event"])
    );
    let attempt = attempt.expect("an attempt");
    assert_eq!(
        (&attempt["trigger"], &attempt["outcome"]["status"]),
        (&json!("call"), &json!(200))
    );

    let unknown = call(&relay, "orders", "", asked("B1")).await;
    assert_eq!((unknown.status, &unknown.json()["status"]), (200, &json!(404)));
    let (failed, _) = recorded(&relay, &unknown, "failed").await;
    assert!(
        failed["reason"].as_str().unwrap_or_default().contains("404"),
        "{failed}"
    );
    assert_eq!(failed["next_attempt_at"], Value::Null);
    assert_eq!(receiver.requests().len(), 2);
}

#[tokio::test]
async fn m9_only_one_event_of_a_known_endpoint_and_a_bounded_time_make_a_call() {
    let receiver = shop();
    let relay = Relay::start(&receiver.endpoint("orders", "")).await;
    for (query, event, status) in [
        ("", json!({"data": 1}), 400),
        ("", json!({"type": "a.b", "data": 1, "timeout": "1s"}), 400),
        ("?timeout=31s", asked("A7"), 400),
        ("?timeout=soon", asked("A7"), 400),
        ("?patience=1s", asked("A7"), 400),
    ] {
        let answer = call(&relay, "orders", query, event.clone()).await;
        assert_eq!(answer.status, status, "{query} {event}: {}", answer.text());
    }
    assert_eq!(call(&relay, "nobody", "", asked("A7")).await.status, 404);
    let bearer = format!("Bearer {ADMIN_KEY}");
    let batch = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/cloudevents-batch+json"),
    ];
    let one = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "order.asked", "data": {"order": "A7"}});
    let path = "/v1/endpoints/orders/call";
    let two = json!([one, one]).to_string();
    assert_eq!(relay.send(Method::POST, path, &batch, two).await.status, 400);
    assert!(receiver.requests().is_empty());
    let structured = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/cloudevents+json"),
    ];
    assert_eq!(
        relay
            .send(Method::POST, path, &structured, one.to_string())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn m9_the_same_event_is_asked_once() {
    let receiver = shop();
    let relay = Relay::start(&receiver.endpoint("orders", "")).await;
    let event = |order: &str| json!({"type": "order.asked", "id": order, "data": {"order": order}});
    let first = call(&relay, "orders", "", event("A7")).await;
    let again = call(&relay, "orders", "", event("A7")).await;
    assert_eq!(
        (first.header("relay-cache"), again.header("relay-cache")),
        ("", "hit")
    );
    assert_eq!(first.json()["body"], again.json()["body"]);
    assert_eq!(first.json()["event"], again.json()["event"]);
    call(&relay, "orders", "", event("B1")).await;
    let refused = call(&relay, "orders", "", event("B1")).await;
    assert_eq!(
        (refused.status, &refused.problem()["code"]),
        (409, &json!("duplicate_event"))
    );
    assert_eq!(receiver.requests().len(), 2);
}

#[tokio::test]
async fn m10_the_order_status_is_mapped_to_what_the_flow_wants() {
    let receiver = shop();
    let relay = Relay::start(&receiver.endpoint("orders", MAPPED)).await;
    let answer = call(&relay, "orders", "", asked("A7")).await;
    assert_eq!(
        (answer.status, answer.header("x-order")),
        (200, "A7"),
        "{}",
        answer.text()
    );
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(!answer.headers.contains_key("relay-fallback"));
    assert_eq!(
        answer.json(),
        json!({"text": "on its way", "days": 2, "asked": ["order.asked"]})
    );
    let fallback = call(&relay, "orders", "", asked("B1")).await;
    assert_eq!(
        (fallback.status, fallback.header("relay-fallback")),
        (203, "failed")
    );
    assert_eq!(
        fallback.json(),
        json!({"text": "One moment please", "order": "B1"})
    );
    let text = relay.admin(Method::GET, "/metrics", None).await.text();
    assert!(
        text.contains(r#"relay_calls_total{endpoint="orders",answer="receiver"} 1"#),
        "{text}"
    );
    assert!(
        text.contains(r#"relay_calls_total{endpoint="orders",answer="fallback"} 1"#),
        "{text}"
    );
}

#[tokio::test]
async fn m10_free_slots_come_from_the_cache_without_asking_the_receiver() {
    let receiver = Receiver::answering(|_, number| {
        answered(200, &json!({"slots": [format!("slot {number}")]}).to_string())
    });
    let settings =
        r#"reply = { body = { from = "/reply/body/slots" }, cache = { for = "5m", key = ["/day"] } }"#;
    let relay = Relay::start(&receiver.endpoint("slots", settings)).await;
    let ask = |day: &str, who: u32| json!({"type": "slots.asked", "data": {"day": day, "who": who}});
    let first = call(&relay, "slots", "", ask("monday", 1)).await;
    assert_eq!(
        (first.json(), first.header("relay-cache")),
        (json!(["slot 0"]), "")
    );
    let again = call(&relay, "slots", "", ask("monday", 2)).await;
    assert_eq!(
        (again.json(), again.header("relay-cache")),
        (json!(["slot 0"]), "hit")
    );
    let (delivery, attempt) = recorded(&relay, &again, "succeeded").await;
    assert_eq!(delivery["reason"], "answered from the cache");
    assert_eq!(attempt, None);
    let other = call(&relay, "slots", "", ask("friday", 1)).await;
    assert_eq!(
        (other.json(), other.header("relay-cache")),
        (json!(["slot 1"]), "")
    );
    assert_eq!(receiver.requests().len(), 2);
}

#[tokio::test]
async fn m10_a_customer_check_is_shaped_by_a_plugin_on_its_way_back() {
    let receiver = Receiver::always(answered(200, "known"));
    let used = r#"plugins = [{ use = "everything", config = { greeting = "hi" }, secrets = { key = "the-key-of-everything" } }]"#;
    let setup =
        Setup::new(&receiver.endpoint("customers", &format!("{used}\nreply = {{ cache = \"30s\" }}")));
    setup.file("plugins/everything.wasm", guests::EVERYTHING);
    let folder = setup.home().join("plugins").display().to_string();
    let relay = setup.variable("RELAY_PLUGINS__FOLDER", &folder).start().await;
    let event = json!({"type": "customer.asked", "data": {"id": 7}});
    let answer = call(&relay, "customers", "", event).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.text(), r#"{"id":7} -> known"#);
    let (_, attempt) = recorded(&relay, &answer, "succeeded").await;
    let plugins = attempt.expect("an attempt")["plugins"].take();
    assert_eq!(
        plugins.as_array().map(Vec::len),
        Some(2),
        "there and back: {plugins}"
    );
}

#[tokio::test]
async fn m9_a_receiver_that_is_too_slow_is_answered_for_within_the_deadline() {
    let receiver = Receiver::always(Reply::Never);
    let relay = Relay::start(&(receiver.endpoint("bare", "") + &receiver.endpoint("orders", MAPPED))).await;
    let began = Instant::now();
    let bare = call(&relay, "bare", "?timeout=300ms", asked("A7")).await;
    let fallback = call(&relay, "orders", "?timeout=300ms", asked("A7")).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(
        (bare.status, &bare.problem()["code"]),
        (504, &json!("call_timeout"))
    );
    let detail = bare.problem()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains(bare.header("relay-delivery")), "{detail}");
    assert_eq!(
        (fallback.status, fallback.header("relay-fallback")),
        (203, "timeout")
    );
    for answer in [&bare, &fallback] {
        let (delivery, attempt) = recorded(&relay, answer, "failed").await;
        assert_eq!(attempt.expect("an attempt")["error_class"], "timeout");
        let reason = delivery["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("a call is not tried again"), "{reason}");
    }
}

#[tokio::test]
async fn m9_what_fails_says_how_and_can_be_retried_by_hand() {
    let down = Closed::new();
    let port = down.url().replace("http://127.0.0.1:", "").replace("/hook", "");
    let inside = Setup::new(&endpoint("orders", &format!("http://localhost:{port}/"), ""))
        .without("RELAY_OUTBOUND__ALLOW_NETWORKS")
        .start()
        .await;
    let relay = Relay::start(&endpoint("orders", &down.url(), "")).await;
    for (relay, class) in [(&relay, "connect"), (&inside, "blocked")] {
        let answer = call(relay, "orders", "", asked("A7")).await;
        assert_eq!(
            (answer.status, &answer.problem()["code"]),
            (502, &json!("call_failed"))
        );
        let (_, attempt) = recorded(relay, &answer, "failed").await;
        assert_eq!(attempt.expect("an attempt")["error_class"], class);
    }
    let answer = call(&relay, "orders", "", asked("A7")).await;
    let receiver = down.open(|_, _| Reply::Status(200));
    let event = answer.header("relay-event").to_owned();
    relay.delivery(&event, "failed").await;
    let retry = format!("/v1/deliveries/{}/retry", answer.header("relay-delivery"));
    assert_eq!(relay.admin(Method::POST, &retry, None).await.status, 202);
    receiver.received(1).await;
    let delivery = relay.delivery(&event, "succeeded").await;
    let triggers: Vec<_> = relay.attempts(&delivery).await;
    assert_eq!(
        (&triggers[0]["trigger"], &triggers[1]["trigger"]),
        (&json!("call"), &json!("manual"))
    );
}

#[tokio::test]
async fn m9_a_call_that_a_plugin_drops_or_breaks_is_told_so() {
    let receiver = shop();
    let filter =
        r#"plugins = [{ use = "filter-expression", config = { expression = "event.data.order == 'A7'" } }]"#;
    let relay = Relay::start(&receiver.endpoint("orders", &format!("{filter}\n{MAPPED}"))).await;
    let dropped = call(&relay, "orders", "", asked("B1")).await;
    assert_eq!(
        (dropped.status, &dropped.problem()["code"]),
        (409, &json!("call_dropped"))
    );
    recorded(&relay, &dropped, "dropped").await;
    let broken = call(&relay, "orders", "", json!({"type": "order.asked", "data": 1})).await;
    assert_eq!((broken.status, broken.header("relay-fallback")), (203, "failed"));
    let (_, attempt) = recorded(&relay, &broken, "failed").await;
    assert_eq!(attempt.expect("an attempt")["error_class"], "plugin");
    assert!(receiver.requests().is_empty());
}

#[tokio::test]
async fn m9_calls_keep_to_the_permits_and_the_pace_of_their_endpoint() {
    let receiver = Receiver::always(Reply::Held);
    let config = receiver.endpoint("narrow", "concurrency = 1")
        + &receiver.endpoint("paced", "rate_limit = \"1/h\"")
        + &receiver.endpoint("closed", "enabled = false");
    let relay = Relay::start(&config).await;
    let event = relay.event("a.b", json!({"n": 1})).await;
    receiver.received(2).await;
    let busy = call(&relay, "narrow", "?timeout=200ms", asked("A7")).await;
    assert_eq!((busy.status, &busy.problem()["code"]), (503, &json!("call_busy")));
    let (_, attempt) = recorded(&relay, &busy, "failed").await;
    assert_eq!(attempt, None, "nothing was sent");
    let first = call(&relay, "paced", "?timeout=200ms", asked("A7")).await;
    let second = call(&relay, "paced", "?timeout=200ms", asked("A7")).await;
    assert_eq!(first.status, 429, "{}", first.text());
    assert_eq!(
        (second.status, &second.problem()["code"]),
        (429, &json!("call_rate_limited"))
    );
    assert!(
        second
            .header("retry-after")
            .parse::<u32>()
            .is_ok_and(|secs| secs > 1000)
    );
    let disabled = call(&relay, "closed", "", asked("A7")).await;
    assert_eq!(
        (disabled.status, &disabled.problem()["code"]),
        (409, &json!("endpoint_disabled"))
    );
    assert_eq!(receiver.requests().len(), 2);
    let (waited, ()) = tokio::join!(call(&relay, "narrow", "?timeout=20s", asked("A7")), async {
        receiver.release();
    });
    assert_eq!(waited.status, 200, "{}", waited.text());
    assert_eq!(relay.deliveries(&event).await.len(), 3);
}

#[tokio::test]
async fn m9_hostile_answers_are_bounded() {
    let scripted = Receiver::answering(|request, _| match request.json()["data"]["order"].as_str() {
        Some("huge") => Reply::EndlessBody,
        Some("head") => Reply::EndlessHead,
        Some("large") => answered(200, &"x".repeat(300 << 10)),
        Some("deep") => answered(200, &"[".repeat(100_000)),
        Some("broken") => answered(200, "{\"state\": "),
        Some("cut") => Reply::ResetInBody,
        _ => Reply::Garbage,
    });
    let relay = Relay::start(&(scripted.endpoint("orders", MAPPED) + &scripted.endpoint("bare", ""))).await;
    for order in ["huge", "head", "large", "cut", "garbage"] {
        let answer = call(&relay, "orders", "", asked(order)).await;
        assert_eq!(
            (answer.status, answer.header("relay-fallback")),
            (203, "failed"),
            "{order}"
        );
        let bare = call(&relay, "bare", "", asked(order)).await;
        assert_eq!(
            (bare.status, &bare.problem()["code"]),
            (502, &json!("call_failed")),
            "{order}"
        );
    }
    for order in ["deep", "broken"] {
        let answer = call(&relay, "orders", "", asked(order)).await;
        assert_eq!(
            answer.json(),
            json!({"text": "unknown", "asked": ["order.asked"]}),
            "{order}"
        );
    }
    let large = call(&relay, "bare", "", asked("large")).await;
    let (delivery, _) = recorded(&relay, &large, "succeeded").await;
    let reason = delivery["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("larger than"),
        "the receiver took it, its caller got nothing: {reason}"
    );
}

#[tokio::test]
async fn m9_a_call_is_recorded_when_its_caller_hangs_up() {
    let receiver = Receiver::always(Reply::Held);
    let relay = Relay::start(&receiver.endpoint("orders", "")).await;
    let body = asked("A7").to_string();
    let request = format!(
        "POST /v1/endpoints/orders/call HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(relay.address())
        .await
        .expect("the relay listens");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    receiver.received(1).await;
    let during = relay.read("/v1/deliveries").await["data"][0].take();
    assert_eq!(during["status"], "pending", "its sender waits: {during}");
    // Nobody sends it a second time meanwhile, neither by hand nor by a job.
    let failed = relay.read("/v1/deliveries?status=failed").await;
    assert_eq!(failed["data"], json!([]));
    let path = format!(
        "/v1/deliveries/{}/retry",
        during["id"].as_str().unwrap_or_default()
    );
    let retried = relay.admin(Method::POST, &path, None).await;
    assert_eq!(
        (retried.status, &retried.problem()["code"]),
        (409, &json!("call_under_way"))
    );
    let all = json!({"endpoint": "orders"});
    let job = relay
        .admin(Method::POST, "/v1/deliveries/retry", Some(all))
        .await
        .json();
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap_or_default());
    let job = eventually("the end of the job", || async {
        let job = relay.read(&path).await;
        if job["state"] == "done" { Ok(job) } else { Err(job) }
    });
    assert_eq!(job.await["done"], 0);
    drop(stream);
    receiver.release();
    let event = during["event"].as_str().expect("an event").to_owned();
    let delivery = relay.delivery(&event, "succeeded").await;
    let attempts = relay.attempts(&delivery).await;
    assert_eq!((attempts.len(), &attempts[0]["trigger"]), (1, &json!("call")));
    assert_eq!(receiver.received(1).await.len(), 1);
}

#[tokio::test]
async fn m9_a_call_broken_off_by_a_crash_is_not_made_later() {
    let receiver = Receiver::always(Reply::Held);
    let mut relay = Relay::start(&receiver.endpoint("orders", "")).await;
    let path = "/v1/endpoints/orders/call";
    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let calling = relay.try_send(Method::POST, path, &headers, asked("A7").to_string());
    tokio::select! {
        answer = calling => panic!("answered: {answer:?}"),
        _ = receiver.received(1) => {}
    }
    relay.kill().await;
    relay.start_again().await;
    let delivery = relay.read("/v1/deliveries").await["data"][0].take();
    assert_eq!(delivery["status"], "failed");
    let reason = delivery["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("stopped in its middle"), "{reason}");
    // What comes now comes alone.
    receiver.release();
    relay.event("a.b", json!(1)).await;
    let requests = receiver.received(2).await;
    assert_eq!(requests[1].json()["type"], "a.b");
}

#[tokio::test]
async fn m9_a_stop_waits_for_the_calls_under_way() {
    let receiver = Receiver::always(Reply::Held);
    let mut relay = Relay::start(&receiver.endpoint("orders", "")).await;
    let answer = {
        let calling = call(&relay, "orders", "", asked("A7"));
        let stopping = async {
            receiver.received(1).await;
            relay.terminate();
            relay.logged("stopping").await;
            receiver.release();
        };
        tokio::join!(calling, stopping).0
    };
    assert_eq!(answer.status, 200, "{}", answer.text());
    relay.stopped().await;
    relay.start_again().await;
    recorded(&relay, &answer, "succeeded").await;
}

fn source(name: &str, settings: &str) -> String {
    format!("[[source]]\nname = \"{name}\"\nverify = {{ scheme = \"none\" }}\n{settings}\n")
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

#[tokio::test]
async fn m12_one_event_goes_to_async_sync_and_filtered_endpoints_each_with_its_own_outcome() {
    let (shop, crm, down) = (shop(), Receiver::start(), Receiver::always(Reply::Status(500)));
    let config = source(
        "bot",
        "event = { type = \"order.asked\", id = \"/id\" }\nsynchronous = { endpoint = \"orders\", timeout = \"5s\" }",
    ) + &shop.endpoint("orders", MAPPED)
        + &crm.endpoint("crm", "")
        + &down.endpoint("down", "retry = { schedule = [\"1h\"] }")
        + &crm.endpoint(
            "vip",
            "plugins = [{ use = \"filter-expression\", config = { expression = \"false\" } }]",
        );
    let relay = Relay::start(&config).await;
    let answer = relay
        .post_source("bot", &JSON, r#"{"id":"1","order":"A7"}"#)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json(),
        json!({"text": "on its way", "days": 2, "asked": ["order.asked"]})
    );
    let event = answer.header("relay-event").to_owned();
    for (name, status) in [
        ("orders", "succeeded"),
        ("crm", "succeeded"),
        ("down", "pending"),
        ("vip", "dropped"),
    ] {
        eventually(&format!("{name} to be {status}"), || async {
            let deliveries = relay.deliveries(&event).await;
            assert_eq!(deliveries.len(), 4, "{deliveries:?}");
            let own = deliveries
                .iter()
                .find(|delivery| delivery["endpoint_name"] == name);
            own.filter(|own| own["status"] == status)
                .map(|_| ())
                .ok_or_else(|| deliveries.clone())
        })
        .await;
    }
    // The platform's own retry gets the first answer, and nobody is asked again.
    let again = relay
        .post_source("bot", &JSON, r#"{"id":"1","order":"A7"}"#)
        .await;
    assert_eq!(
        (again.json(), again.header("relay-cache")),
        (answer.json(), "hit")
    );
    assert_eq!((shop.requests().len(), crm.requests().len()), (1, 1));
}

#[tokio::test]
async fn m9_a_platform_gets_the_fallback_while_the_event_is_kept() {
    let (slow, crm) = (Receiver::always(Reply::Never), Receiver::start());
    let config = source(
        "bot",
        "event = { type = \"order.asked\", id = \"/id\" }\nsynchronous = { endpoint = \"orders\", timeout = \"200ms\" }",
    ) + &source(
        "plain",
        "synchronous = { endpoint = \"bare\", timeout = \"200ms\" }",
    ) + &slow.endpoint("orders", &format!("sources = [\"bot\"]\n{MAPPED}"))
        + &slow.endpoint(
            "bare",
            "sources = [\"plain\"]\nevent_types = [\"order.*\", \"plain.event\"]",
        )
        + &crm.endpoint("crm", "");
    let relay = Relay::start(&config).await;
    let body = r#"{"id":"1","data":{"order":"A7"}}"#;
    let fallback = relay.post_source("bot", &JSON, body).await;
    assert_eq!(
        (fallback.status, fallback.header("relay-fallback")),
        (203, "timeout")
    );
    let again = relay.post_source("bot", &JSON, body).await;
    assert_eq!((again.status, again.header("relay-fallback")), (203, "duplicate"));
    let bare = relay.post_source("plain", &JSON, "{}").await;
    assert_eq!(
        (bare.status, &bare.problem()["code"]),
        (504, &json!("call_timeout"))
    );
    crm.received(2).await;
    assert_eq!(slow.requests().len(), 2);
}

#[tokio::test]
async fn v13_an_auto_reply_is_sent_for_what_is_urgent_and_nothing_else_waits() {
    let agent = Receiver::always(answered(200, r#"{"say":"We are on it"}"#));
    let config = source(
        "tickets",
        "event = { type = \"ticket.created\" }\nsynchronous = { endpoint = \"auto-reply\" }",
    ) + &agent.endpoint(
        "auto-reply",
        "filter = { data = { priority = [\"high\"] } }\nreply = { status = 200, body = { reply = { from = \"/reply/body/say\" }, assign = \"support\" } }",
    );
    let relay = Relay::start(&config).await;
    let urgent = relay
        .post_source("tickets", &JSON, r#"{"priority":"high"}"#)
        .await;
    assert_eq!(
        (urgent.status, urgent.json()),
        (200, json!({"reply": "We are on it", "assign": "support"}))
    );
    let calm = relay.post_source("tickets", &JSON, r#"{"priority":"low"}"#).await;
    let event = accepted(&calm);
    assert!(relay.deliveries(&event).await.is_empty());
    assert_eq!(agent.requests().len(), 1);
}
