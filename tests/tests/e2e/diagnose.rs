//! Trying endpoints out, and finding out why one cannot be reached.

use std::process::Stdio;

use http::Method;
use relay_tests::client::Answer;
use relay_tests::instance::{Relay, Setup};
use relay_tests::receiver::tls::{Authority, Certificate, Validity};
use relay_tests::receiver::{Closed, Receiver, Reply, endpoint};
use relay_tests::wait::eventually;
use serde_json::{Value, json};

async fn post(relay: &Relay, path: &str, body: Option<Value>) -> Answer {
    relay.admin(Method::POST, path, body).await
}

async fn done(relay: &Relay, path: &str, body: Option<Value>) -> Value {
    let answer = post(relay, path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn test(relay: &Relay, name: &str, body: Value) -> Value {
    done(relay, &format!("/v1/endpoints/{name}/test"), Some(body)).await
}

/// What each step came to.
fn steps(diagnosis: &Value) -> Vec<(&str, &str)> {
    let steps = diagnosis["steps"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    assert!(
        steps
            .iter()
            .all(|step| step["detail"].is_string() && step["duration_us"].is_u64())
    );
    steps
        .iter()
        .map(|step| {
            (
                step["step"].as_str().unwrap_or_default(),
                step["outcome"].as_str().unwrap_or_default(),
            )
        })
        .collect()
}

#[tokio::test]
async fn u8_a_disabled_endpoint_takes_a_test_and_no_event() {
    let receiver = Receiver::always(Reply::with_body(201, "thanks"));
    let relay = Relay::start(&receiver.endpoint("crm", "enabled = false")).await;
    let event = relay.event("a.b", json!(1)).await;
    let tested = test(
        &relay,
        "crm",
        json!({"type": "message.received", "data": {"text": "hi"}}),
    )
    .await;
    assert_eq!(tested["status"], "succeeded", "{tested}");
    assert_eq!(tested["attempt"]["outcome"]["excerpt"], "thanks");
    assert_eq!(tested["attempt"]["outcome"]["status"], 201);
    let requests = receiver.received(1).await;
    assert_eq!(requests.len(), 1);
    let body: Value = serde_json::from_slice(&requests[0].body).expect("JSON");
    assert_eq!(
        (&body["type"], &body["data"]),
        (&json!("message.received"), &json!({"text": "hi"}))
    );
    assert_eq!(requests[0].verify(&relay.secret("crm").await), Ok(()));
    assert_eq!(relay.delivery(&event, "pending").await["attempts"], 0);
}

#[tokio::test]
async fn u8_a_test_is_marked_filtered_by_and_never_sent_again() {
    let receiver = Receiver::script([Reply::Status(500)]);
    let config = receiver.endpoint("crm", "disable_after = \"1s\"")
        + &receiver.endpoint("other", "event_types = [\"x\"]");
    let relay = Relay::start(&config).await;
    let tested = test(&relay, "crm", json!({"type": "a.b"})).await;
    assert_eq!(
        (&tested["status"], &tested["attempt"]["error_class"]),
        (&json!("failed"), &json!("http_5xx"))
    );
    let id = tested["delivery"].as_str().expect("an id");
    let event = relay.event("a.b", json!(1)).await;
    let real = relay.delivery(&event, "succeeded").await;
    for (test, wanted) in [(true, id), (false, real["id"].as_str().expect("an id"))] {
        let listed = relay.read(&format!("/v1/deliveries?test={test}")).await;
        let ids: Vec<_> = listed["data"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| &one["id"])
            .collect();
        assert_eq!(ids, [wanted], "{listed}");
        assert_eq!(listed["data"][0]["test"], test);
    }
    let delivery = relay.read(&format!("/v1/deliveries/{id}")).await;
    assert_eq!(
        (&delivery["status"], &delivery["next_attempt_at"]),
        (&json!("failed"), &Value::Null)
    );
    let again = post(&relay, &format!("/v1/deliveries/{id}/retry"), None).await;
    assert_eq!(
        (again.status, &again.problem()["code"]),
        (409, &json!("test_delivery"))
    );
    let condition = &relay.read("/v1/endpoints/crm").await["condition"];
    assert_eq!(
        condition["failures"], 0,
        "a test says nothing of the receiver's health"
    );
    assert_eq!(receiver.requests().len(), 2, "no other endpoint got the sample");
}

#[tokio::test]
async fn c9_a_test_shows_the_request_as_sent_without_secrets() {
    let receiver = Receiver::start();
    let settings = "headers = { authorization = \"Bearer s3cr3t-of-the-crm\", x-plain = \"plain-but-own\" }";
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    let tested = test(&relay, "crm", json!({"type": "a.b"})).await;
    let request = &tested["requests"][0];
    assert_eq!(
        (&request["method"], &request["url"]),
        (&json!("POST"), &json!(receiver.url()))
    );
    let headers = request["headers"].as_array().expect("headers");
    let shown = |name: &str| {
        let found = headers.iter().find(|header| header[0] == name);
        found.unwrap_or_else(|| panic!("{name}: {request}"))[1].clone()
    };
    assert_eq!(shown("authorization"), "(hidden)");
    let sent = receiver.received(1).await.remove(0);
    assert_eq!(shown("webhook-signature"), sent.header("webhook-signature"));
    assert_eq!(sent.header("authorization"), "Bearer s3cr3t-of-the-crm");
    let body: Value = serde_json::from_str(request["body"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        body["data"]["test"], true,
        "without data, a sample says what it is"
    );
}

#[tokio::test]
async fn c9_a_test_runs_the_chain_and_tells_its_cost() {
    let receiver = Receiver::start();
    let settings = "[[endpoint.plugins]]\nuse = \"redact-fields\"\nconfig = { drop = [\"/phone\"] }";
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    let tested = test(
        &relay,
        "crm",
        json!({"type": "a.b", "data": {"phone": "15551234567", "n": 1}}),
    )
    .await;
    assert_eq!(
        tested["attempt"]["plugins"][0]["name"], "redact-fields",
        "{tested}"
    );
    let body = String::from_utf8(receiver.received(1).await.remove(0).body.to_vec()).expect("text");
    assert!(!body.contains("15551234567"), "{body}");
}

#[tokio::test]
async fn c9_what_cannot_be_tested_is_refused_with_its_place() {
    let relay = Relay::start(&endpoint("crm", "http://127.0.0.1:1/", "")).await;
    for (body, status, code) in [
        (json!({"type": "a b"}), 422, "invalid_test"),
        (json!({}), 400, "bad_body"),
        (json!({"type": "a", "tpye": 1}), 400, "bad_body"),
    ] {
        let answer = post(&relay, "/v1/endpoints/crm/test", Some(body)).await;
        assert_eq!((answer.status, &answer.problem()["code"]), (status, &json!(code)));
    }
    let unknown = post(&relay, "/v1/endpoints/other/test", Some(json!({"type": "a"}))).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn u17_c19_each_failure_has_its_class_and_its_step() {
    let closed = Closed::new();
    let authority = Authority::new();
    let receivers = [
        (
            "expired",
            Receiver::behind(&authority.issue("127.0.0.1", Validity::Expired)),
        ),
        (
            "unknown",
            Receiver::behind(&Certificate::self_signed("127.0.0.1")),
        ),
        (
            "misnamed",
            Receiver::behind(&authority.issue("example.com", Validity::Valid)),
        ),
    ];
    let garbage = Receiver::always(Reply::Garbage);
    let setup = Setup::new("");
    let file = setup.file("ca.pem", authority.pem());
    let relay = setup
        .variable("RELAY_OUTBOUND__CA_FILES", &format!("[{file:?}]"))
        .start()
        .await;
    let mut cases = vec![
        (closed.url(), "connect", vec!["connect"]),
        (
            "http://nowhere.invalid/".to_owned(),
            "dns",
            vec!["dns", "timeout"],
        ),
        ("http://10.0.0.1/".to_owned(), "url", vec!["blocked"]),
        ("ftp://example.com/".to_owned(), "url", vec!["blocked"]),
        (garbage.url(), "http", vec!["protocol"]),
    ];
    cases.extend(
        receivers
            .iter()
            .map(|(_, receiver)| (receiver.url(), "tls", vec!["tls"])),
    );
    for (url, step, classes) in cases {
        let diagnosis = done(&relay, "/v1/diagnose", Some(json!({"url": url}))).await;
        let class = diagnosis["error_class"].as_str().unwrap_or_default();
        assert!(classes.contains(&class), "{url}: {diagnosis}");
        assert_eq!(diagnosis["ok"], false);
        let failed = steps(&diagnosis)
            .into_iter()
            .find(|(_, outcome)| *outcome == "failed");
        assert_eq!(failed, Some((step, "failed")), "{url}: {diagnosis}");
        assert_eq!(diagnosis["steps"].as_array().map(Vec::len), Some(6));
    }
    for ((name, receiver), told) in
        receivers
            .iter()
            .zip(["xpired", "invalid peer certificate", "not valid for name"])
    {
        let diagnosis = done(&relay, "/v1/diagnose", Some(json!({"url": receiver.url()}))).await;
        let fault = diagnosis["certificate"]["fault"].as_str().unwrap_or_default();
        assert!(fault.contains(told), "{name}: {diagnosis}");
        assert_eq!(
            receiver.requests().len(),
            0,
            "nothing is sent to whom the relay does not trust"
        );
    }
}

#[tokio::test]
async fn c6_a_url_is_tried_before_it_is_saved() {
    let authority = Authority::new();
    let receiver = Receiver::behind(&authority.issue("127.0.0.1", Validity::Valid));
    let setup = Setup::new("");
    let file = setup.file("ca.pem", authority.pem());
    let relay = setup
        .variable("RELAY_OUTBOUND__CA_FILES", &format!("[{file:?}]"))
        .start()
        .await;
    let diagnosis = done(&relay, "/v1/diagnose", Some(json!({"url": receiver.url()}))).await;
    assert_eq!(
        (&diagnosis["ok"], &diagnosis["status"]),
        (&json!(true), &json!(200)),
        "{diagnosis}"
    );
    assert_eq!(
        steps(&diagnosis),
        [
            ("url", "ok"),
            ("dns", "skipped"),
            ("guard", "ok"),
            ("connect", "ok"),
            ("tls", "ok"),
            ("http", "ok")
        ]
    );
    assert_eq!(diagnosis["addresses"], json!(["127.0.0.1"]));
    let certificate = &diagnosis["certificate"];
    assert_eq!(
        (&certificate["fault"], &certificate["names"]),
        (&Value::Null, &json!(["127.0.0.1"]))
    );
    assert!(
        certificate["days_left"].as_i64().is_some_and(|days| days > 0),
        "{certificate}"
    );
    let request = receiver.received(1).await.remove(0);
    assert_eq!(
        (request.method.as_str(), request.body.len()),
        ("HEAD", 0),
        "a probe does no harm"
    );
    assert_eq!(request.header("webhook-signature"), "");
    let bad = post(&relay, "/v1/diagnose", Some(json!({"url": "nonsense"}))).await;
    assert_eq!(
        (bad.status, &bad.problem()["errors"][0]["pointer"]),
        (422, &json!("/url"))
    );
}

#[tokio::test]
async fn m24_a_diagnosis_says_what_of_the_relay_itself_stands_in_the_way() {
    let receiver = Receiver::answering(|request, _| match request.method.as_str() {
        "HEAD" => Reply::Status(204),
        _ => Reply::Status(410),
    });
    let config = receiver.endpoint("crm", "retry = { schedule = [\"1ms\"], jitter = 0 }");
    let relay = Relay::start(&config).await;
    let fresh = done(&relay, "/v1/endpoints/crm/diagnose", None).await;
    assert_eq!(fresh["ok"], true, "{fresh}");
    relay.event("a.b", json!(1)).await;
    let diagnosis = eventually("the endpoint to be disabled", || async {
        let diagnosis = done(&relay, "/v1/endpoints/crm/diagnose", None).await;
        if diagnosis["ok"] == false {
            Ok(diagnosis)
        } else {
            Err(diagnosis)
        }
    })
    .await;
    assert_eq!(diagnosis["error_class"], Value::Null);
    let policy = diagnosis["policy"].as_array().expect("checks");
    let check = |name: &str| policy.iter().find(|check| check["check"] == name).expect(name);
    assert_eq!(check("disabled")["outcome"], "holds", "{diagnosis}");
    assert!(
        check("disabled")["detail"]
            .as_str()
            .is_some_and(|why| why.contains("410"))
    );
    assert_eq!(
        (&check("enabled")["outcome"], &check("breaker")["outcome"]),
        (&json!("ok"), &json!("ok"))
    );
    assert_eq!(check("last_success")["outcome"], "warning");
}

#[tokio::test]
async fn w15_a_name_that_leads_inside_is_refused_and_told_to_admins_alone() {
    let receiver = Receiver::start();
    let port = receiver.address().port();
    let relay = Setup::new("")
        .without("RELAY_OUTBOUND__ALLOW_NETWORKS")
        .start()
        .await;
    let asked = json!({"url": format!("http://localhost:{port}/")});
    let told = done(&relay, "/v1/diagnose", Some(asked.clone())).await;
    assert_eq!(told["error_class"], "blocked", "{told}");
    assert!(steps(&told).contains(&("guard", "failed")), "{told}");
    assert!(
        told["refused_addresses"].to_string().contains("127.0.0.1"),
        "{told}"
    );
    let made = post(&relay, "/v1/keys", Some(json!({"name": "ops", "role": "manage"}))).await;
    let key = format!("Bearer {}", made.json()["key"].as_str().expect("a key"));
    let headers = [
        ("authorization", key.as_str()),
        ("content-type", "application/json"),
    ];
    let answer = relay
        .send(Method::POST, "/v1/diagnose", &headers, asked.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
    assert_eq!(receiver.requests().len(), 0);
}

#[tokio::test]
async fn c10_a_receiver_answers_as_it_is_told_to() {
    for (respond, scheme, class) in [
        ("500", "http", "http_5xx"),
        ("redirect:http://127.0.0.1:1/elsewhere", "http", "http_3xx"),
        ("reset", "http", "reset"),
        ("slow:30s", "http", "timeout"),
        ("bad-tls", "https", "tls"),
    ] {
        let setup = Setup::new("");
        let mut command = setup.process(&["listen", "--port", "0", "--respond", respond]);
        let mut listener = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the relay can be run");
        let output = relay_tests::output::Output::of(listener.stdout.take().expect("it is piped"));
        let port: u16 = output
            .find(|line| line.strip_prefix("listening on http://127.0.0.1:")?.parse().ok())
            .await
            .expect("it says where");
        let url = format!("{scheme}://127.0.0.1:{port}/hook");
        let relay = Relay::start(&endpoint("crm", &url, "timeout = \"300ms\"")).await;
        let tested = test(&relay, "crm", json!({"type": "a.b"})).await;
        assert_eq!(tested["attempt"]["error_class"], class, "{respond}: {tested}");
        listener.kill().await.expect("a child can be killed");
    }
}

#[tokio::test]
async fn v15_whole_exchanges_are_kept_for_a_while() {
    let receiver = Receiver::script([Reply::with_body(500, "no room")]);
    let settings = "headers = { authorization = \"Bearer s3cr3t-of-the-crm\" }\n\
                    retry = { schedule = [\"10ms\"], jitter = 0 }";
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    let path = "/v1/endpoints/crm/capture";
    assert_eq!(relay.admin(Method::GET, path, None).await.status, 404);
    for wrong in ["", "0s", "2h", "soon"] {
        let refused = post(&relay, path, Some(json!({"for": wrong}))).await;
        assert_eq!(
            (refused.status, &refused.problem()["errors"][0]["pointer"]),
            (422, &json!("/for"))
        );
    }
    done(&relay, path, Some(json!({"for": "10m"}))).await;
    let event = relay.event("a.b", json!({"n": 1})).await;
    let delivery = relay.delivery(&event, "succeeded").await;
    let kept = relay.read(path).await;
    let kept = kept["data"].as_array().expect("a list");
    let told: Vec<_> = kept
        .iter()
        .map(|one| (&one["attempt"], &one["outcome"]["status"], &one["delivery"]))
        .collect();
    let id = &delivery["id"];
    assert_eq!(told, [(&json!(2), &json!(200), id), (&json!(1), &json!(500), id)]);
    assert_eq!(kept[1]["outcome"]["excerpt"], "no room");
    let sent = receiver.received(2).await;
    let request = &kept[1]["requests"][0];
    assert_eq!(request["body"], sent[0].text());
    let headers = request["headers"].as_array().expect("headers");
    let shown = |name: &str| {
        headers
            .iter()
            .find(|header| header[0] == name)
            .map(|header| header[1].clone())
    };
    assert_eq!(
        shown("webhook-signature"),
        Some(json!(sent[0].header("webhook-signature")))
    );
    assert_eq!(shown("authorization"), Some(json!("(hidden)")));
    assert_eq!(relay.admin(Method::DELETE, path, None).await.status, 204);
    let event = relay.event("a.b", json!({"n": 2})).await;
    relay.delivery(&event, "succeeded").await;
    assert_eq!(relay.admin(Method::GET, path, None).await.status, 404);
}
