//! What a receiver gets: signature, format, headers, pace.

use std::time::Duration;

use relay_tests::instance::{Relay, Setup, accepted};
use relay_tests::receiver::tls::{Authority, Validity};
use relay_tests::receiver::{Receiver, Reply, Request, endpoint};
use relay_tests::sign::standard_webhooks;
use serde_json::{Value, json};

const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_WHSEC: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

#[tokio::test]
async fn c12_v8_both_signatures_verify_with_what_the_api_says() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "signatures = [\"v1\", \"v1a\"]")).await;
    relay.event("a.b", json!({"n": 1})).await;
    let request = receiver.received(1).await.remove(0);
    let (secret, public_key) = relay.secrets("crm").await;
    for key in [
        secret.expect("v1 has a secret"),
        public_key.expect("v1a has a public key"),
    ] {
        assert_eq!(request.verify(&key), Ok(()), "{key:.6}");
        let forged = Request {
            body: "{}".into(),
            ..request.clone()
        };
        assert!(forged.verify(&key).is_err());
    }
    assert!(
        !request.id().contains('.') && request.id().starts_with("msg_"),
        "{}",
        request.id()
    );
}

#[tokio::test]
async fn c12_an_own_secret_signs_and_a_rotating_one_signs_beside_it() {
    let receiver = Receiver::start();
    let one = endpoint("one", &receiver.url(), &format!("secret = \"{WHSEC}\""));
    let two = endpoint(
        "two",
        &receiver.url(),
        &format!("secret = [\"{WHSEC}\", \"{OLD_WHSEC}\"]\nheaders = {{ x-two = \"1\" }}"),
    );
    let relay = Relay::start(&(one + &two)).await;
    relay.event("a.b", json!(1)).await;
    for request in receiver.received(2).await {
        let sign = |secret| {
            standard_webhooks(
                secret,
                request.id(),
                request.header("webhook-timestamp"),
                &request.body,
            )
        };
        let signatures: Vec<&str> = request.header("webhook-signature").split(' ').collect();
        let mut wanted = vec![sign(WHSEC)];
        wanted.extend(request.has_header("x-two").then(|| sign(OLD_WHSEC)));
        assert_eq!(signatures, wanted);
    }
    assert_eq!(relay.secret("one").await, WHSEC);
}

/// The blocks of code in that language that the page on the API has.
fn documented(language: &str) -> String {
    let page = include_str!("../../../docs/api.md");
    let fence = format!("```{language}\n");
    let blocks = page.split(fence.as_str()).skip(1);
    let code = blocks.filter_map(|rest| Some(rest.split_once("```")?.0));
    code.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn c12_v8_w17_the_documented_receiver_verifies_and_takes_each_message_once() {
    let receiver = Receiver::script([Reply::Status(500)]);
    let settings = "retry = { schedule = [\"10ms\"], jitter = 0 }";
    let relay = Relay::start(&receiver.endpoint("crm", settings)).await;
    relay.event("a.b", json!({"n": 1})).await;
    let (secret, requests) = (relay.secret("crm").await, receiver.received(2).await);
    let line = |request: &Request, body: &str, secret: &str| {
        let headers: serde_json::Map<String, Value> = request
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        json!({"headers": headers, "body": body, "secret": secret}).to_string() + "\n"
    };
    let (first, again) = (&requests[0], &requests[1]);
    let input = [
        line(first, &first.text(), &secret),
        line(again, &again.text(), &secret),
        line(first, "{}", &secret),
        line(first, &first.text(), OLD_WHSEC),
    ];
    relay.setup().file("input", input.concat());
    let code = documented("python")
        + "\nimport json, sys\nfor line in open(\"input\"):\n    m = json.loads(line)\n    \
           genuine = is_genuine(m[\"headers\"], m[\"body\"].encode(), m[\"secret\"])\n    \
           print(genuine, genuine and is_new(m[\"headers\"]))\n";
    let ran = tokio::process::Command::new("python3")
        .args(["-c", &code])
        .current_dir(relay.setup().home())
        .output();
    let ran = relay_tests::wait::within("the receiver's code", ran)
        .await
        .expect("Python can be run");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        ["True True", "True False", "False False", "False False"],
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

#[tokio::test]
async fn a_format_says_what_the_body_looks_like() {
    let receiver = Receiver::start();
    let formats = ["default", "standard", "raw", "cloudevents", "cloudevents-binary"];
    let endpoints = formats.map(|format| {
        let setting = if format == "default" {
            String::new()
        } else {
            format!("format = \"{format}\"")
        };
        endpoint(format, &format!("{}/{format}", receiver.url()), &setting)
    });
    let config = "[[source]]\nname = \"door\"\nverify = { scheme = \"none\" }\nevent = { type = \"thing\", id = \"/id\", time = \"/at\" }\n";
    let relay = Relay::start(&(config.to_owned() + &endpoints.concat())).await;
    let body = r#"{"id": "t1", "at": "2026-01-31T15:04:05Z"}"#;
    accepted(
        &relay
            .post_source("door", &[("content-type", "application/json")], body)
            .await,
    );
    let requests = receiver.received(5).await;
    let by = |format: &str| {
        requests
            .iter()
            .find(|request| request.path.ends_with(&format!("/{format}")))
            .expect("one for each")
    };
    assert_eq!(by("default").text(), body, "from a source: as it came");
    assert_eq!(
        (by("raw").text().as_str(), by("raw").header("content-type")),
        (body, "application/json")
    );
    assert_eq!(
        by("standard").text(),
        format!(r#"{{"type":"thing","timestamp":"2026-01-31T15:04:05.000Z","data":{body}}}"#)
    );
    assert_eq!(by("standard").header("content-type"), "application/json");
    let structured = by("cloudevents");
    assert!(
        structured
            .header("content-type")
            .starts_with("application/cloudevents+json")
    );
    let attributes = json!({
        "specversion": "1.0", "id": "t1", "source": "door", "type": "thing", "time": "2026-01-31T15:04:05.000Z",
        "datacontenttype": "application/json", "data": {"id": "t1", "at": "2026-01-31T15:04:05Z"},
    });
    assert_eq!(structured.json(), attributes);
    let binary = by("cloudevents-binary");
    assert_eq!(binary.text(), body);
    for (name, value) in [
        ("specversion", "1.0"),
        ("id", "t1"),
        ("source", "door"),
        ("type", "thing"),
        ("time", "2026-01-31T15:04:05.000Z"),
    ] {
        assert_eq!(binary.header(&format!("ce-{name}")), value);
    }
}

#[tokio::test]
async fn data_that_is_no_json_is_carried_as_text_or_base64() {
    let receiver = Receiver::start();
    let config = "[[source]]\nname = \"door\"\nverify = { scheme = \"none\" }\n".to_owned()
        + &receiver.endpoint("crm", "format = \"cloudevents\"");
    let relay = Relay::start(&config).await;
    for (content_type, body, member, value) in [
        ("text/plain", &b"hello \"you\""[..], "data", "hello \"you\""),
        ("application/octet-stream", b"\xff\x00", "data_base64", "/wA="),
        // Said to be JSON, but is none: it must not be able to write members around itself.
        (
            "application/json",
            b"1,\"type\":\"forged\"",
            "data_base64",
            "MSwidHlwZSI6ImZvcmdlZCI=",
        ),
    ] {
        let before = receiver.requests().len();
        accepted(
            &relay
                .post_source("door", &[("content-type", content_type)], body)
                .await,
        );
        let sent = receiver.received(before + 1).await[before].json();
        assert_eq!(sent[member], value, "{sent}");
        assert_eq!(sent["type"], "door.event");
    }
}

#[tokio::test]
async fn u13_method_and_headers_are_the_endpoints_own() {
    let receiver = Receiver::start();
    let settings = r#"
        method = "PUT"
        headers = { authorization = { env = "CRM_TOKEN" }, x-tier = "gold", user-agent = "shop/1" }
    "#;
    let setup =
        Setup::new(&receiver.endpoint("crm", settings)).variable("CRM_TOKEN", "Bearer t0ken-of-the-crm");
    let relay = setup.start().await;
    let event = relay.event("a.b", json!(1)).await;
    let request = receiver.received(1).await.remove(0);
    assert_eq!(request.method, "PUT");
    for (name, value) in [
        ("authorization", "Bearer t0ken-of-the-crm"),
        ("x-tier", "gold"),
        ("user-agent", "shop/1"),
    ] {
        assert_eq!(request.header(name), value);
    }
    assert_eq!(request.header("host"), receiver.address().to_string());
    relay.delivery(&event, "succeeded").await;
    let shown = relay.read("/v1/endpoints").await.to_string() + &relay.log();
    assert!(!shown.contains("t0ken-of-the-crm"), "{shown}");
}

#[tokio::test]
async fn c11_a_certificate_of_a_trusted_authority_is_accepted() {
    let authority = Authority::new();
    let receiver = Receiver::behind(&authority.issue("127.0.0.1", Validity::Valid));
    let setup = Setup::new(&receiver.endpoint("crm", ""));
    let file = setup.file("ca.pem", authority.pem());
    let setup = setup
        .variable("RELAY_OUTBOUND__CA_FILES", &format!("[{file:?}]"))
        .variable("RELAY_OUTBOUND__HTTPS_ONLY", "true");
    let relay = setup.start().await;
    let event = relay.event("a.b", json!(1)).await;
    relay.delivery(&event, "succeeded").await;
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn m25_v9_a_rate_limit_spaces_messages() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "rate_limit = \"5/s\"")).await;
    for n in 0..9 {
        relay.event("a.b", json!(n)).await;
    }
    let requests = receiver.received(9).await;
    // Five at once, then one every 200 ms. Only the lower bound is the relay's promise; the
    // upper one says that it does not sleep on it.
    let span = requests[8].at - requests[0].at;
    assert!(span >= Duration::from_millis(4 * 200 - 30), "{span:?}");
    assert!(span <= Duration::from_secs(8), "{span:?}");
    let mut data: Vec<Value> = requests
        .iter()
        .map(|request| request.json()["data"].clone())
        .collect();
    data.sort_by_key(Value::as_u64);
    assert_eq!(Value::from(data), json!([0, 1, 2, 3, 4, 5, 6, 7, 8]));
}

#[tokio::test]
async fn v9_no_more_are_under_way_at_once_than_the_endpoint_allows() {
    let receiver = Receiver::answering(|_, _| Reply::After(Duration::from_millis(20)));
    let relay = Relay::start(&receiver.endpoint("crm", "concurrency = 3")).await;
    for n in 0..24 {
        relay.event("a.b", json!(n)).await;
    }
    receiver.received(24).await;
    assert!(receiver.busy_max() <= 3, "{}", receiver.busy_max());
    let held = Receiver::always(Reply::Held);
    let relay = Relay::start(&held.endpoint("crm", "concurrency = 3")).await;
    for n in 0..6 {
        relay.event("a.b", json!(n)).await;
    }
    held.received(3).await;
    held.release();
    held.received(6).await;
    assert_eq!(held.busy_max(), 3, "as many as allowed go at once");
}

#[tokio::test]
async fn nothing_is_delivered_twice_to_an_endpoint_that_answers() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.endpoint("crm", "")).await;
    let mut events = Vec::new();
    for n in 0..50 {
        events.push(relay.event("a.b", json!(n)).await);
    }
    for event in &events {
        let delivery = relay.delivery(event, "succeeded").await;
        assert_eq!(delivery["attempts"], 1);
    }
    let mut ids: Vec<String> = receiver
        .requests()
        .iter()
        .map(|request| request.id().to_owned())
        .collect();
    assert_eq!(ids.len(), 50);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}
