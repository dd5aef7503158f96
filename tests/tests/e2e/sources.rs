//! `/in/{source}`: platforms post in their own format, and prove who they are in their own way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use relay_tests::client::Answer;
use relay_tests::instance::{Relay, accepted};
use relay_tests::receiver::Receiver;
use relay_tests::sign::{hmac_sha256, hmac_sha256_hex, now_secs, standard_webhooks};
use serde_json::json;

const SECRET: &str = "It's a Secret to Everybody";
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn source(settings: &str) -> String {
    format!("[[source]]\nname = \"door\"\n{settings}\n")
}

fn assert_refused(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 401, "{why}: {}", answer.text());
    let problem = answer.problem();
    assert_eq!(problem["code"], "unauthenticated", "{why}");
    assert_eq!(
        problem["detail"], "the request could not be authenticated",
        "a forger learns nothing: {why}"
    );
}

#[tokio::test]
async fn m2_w18_bytes_and_headers_are_delivered_as_they_came() {
    let receiver = Receiver::start();
    let relay =
        Relay::start(&(source("verify = { scheme = \"none\" }") + &receiver.endpoint("crm", ""))).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    for (content_type, body) in [
        (
            "application/json",
            b"{ \"a\" : 1.0, \"a\":\"\\u00e9\" }\r\n".to_vec(),
        ),
        (
            "application/x-www-form-urlencoded",
            b"payload=%7B%7D&x=1+2".to_vec(),
        ),
        ("application/octet-stream", every_byte),
        ("application/json", b"{\"cut\": \"\xff\xfe".to_vec()),
        ("text/plain; charset=latin1", Vec::new()),
    ] {
        let before = receiver.requests().len();
        let headers = [("content-type", content_type), ("x-event-kind", "thing")];
        let event = accepted(&relay.post_source("door", &headers, body.clone()).await);
        let request = receiver.received(before + 1).await.remove(before);
        assert_eq!(request.body, body, "{content_type}");
        assert_eq!(request.header("content-type"), content_type);
        let stored = relay.read(&format!("/v1/events/{event}")).await;
        assert_eq!(stored["source"], "door");
        assert_eq!(stored["bytes"], body.len());
        let kept = stored["headers"].as_array().expect("a list");
        assert!(kept.contains(&json!(["x-event-kind", "thing"])), "{kept:?}");
    }
}

#[tokio::test]
async fn credentials_are_neither_stored_nor_sent_on() {
    let receiver = Receiver::start();
    let settings =
        r#"verify = { scheme = "token", in = "header:x-door-key", secret = "s3cr3t-of-the-door" }"#;
    let relay = Relay::start(&(source(settings) + &receiver.endpoint("crm", ""))).await;
    let headers = [
        ("x-door-key", "s3cr3t-of-the-door"),
        ("authorization", "Bearer of-someone"),
        ("cookie", "session=abc"),
        ("x-api-key", "k-123456"),
        ("x-debug", "key=s3cr3t-of-the-door"),
        ("x-plain", "kept"),
    ];
    let event = accepted(&relay.post_source("door", &headers, "{}").await);
    let request = receiver.received(1).await.remove(0);
    let stored = relay.read(&format!("/v1/events/{event}")).await.to_string();
    let sent = format!("{:?}", request.headers);
    for secret in ["s3cr3t-of-the-door", "of-someone", "session=abc", "k-123456"] {
        assert!(!stored.contains(secret), "{secret} is stored: {stored}");
        assert!(!sent.contains(secret), "{secret} is sent on: {sent}");
        assert!(!relay.log().contains(secret), "{secret} is logged");
    }
    assert!(stored.contains("x-plain"));
}

/// One scheme: its settings, and genuine and forged requests.
struct Scheme {
    settings: String,
    genuine: Vec<Vec<(&'static str, String)>>,
    forged: Vec<Vec<(&'static str, String)>>,
}

const BODY: &str = "Hello, World!";

/// The example of GitHub's documentation.
const GITHUB_DIGEST: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn github() -> Scheme {
    let header = |digest: &str| vec![("x-hub-signature-256", format!("sha256={digest}"))];
    Scheme {
        settings: format!("verify = {{ scheme = \"github\", secret = \"{SECRET}\" }}"),
        genuine: vec![header(GITHUB_DIGEST), header(&GITHUB_DIGEST.to_uppercase())],
        forged: vec![
            vec![],
            header(&GITHUB_DIGEST.replace('7', "8")),
            header(&GITHUB_DIGEST[..62]),
            header(""),
            vec![("x-hub-signature-256", GITHUB_DIGEST.to_owned())],
            header(&hmac_sha256_hex(b"another secret", &[BODY.as_bytes()])),
        ],
    }
}

fn stripe() -> Scheme {
    let digest = |at: i64| {
        hmac_sha256_hex(
            SECRET.as_bytes(),
            &[at.to_string().as_bytes(), b".", BODY.as_bytes()],
        )
    };
    let header = |value: String| vec![("stripe-signature", value)];
    let now = now_secs(0);
    let (good, old, coming) = (digest(now), digest(now - 400), digest(now + 400));
    Scheme {
        settings: format!("verify = {{ scheme = \"stripe\", secret = \"{SECRET}\" }}"),
        genuine: vec![
            header(format!("t={now},v1={good}")),
            header(format!("t={now},v1={},v1={good},v0=00", "0".repeat(64))),
        ],
        forged: vec![
            vec![],
            header(format!("t={},v1={good}", now - 1)),
            header(format!("t={},v1={old}", now - 400)),
            header(format!("t={},v1={coming}", now + 400)),
            header(format!("v1={good}")),
            header(format!("t={now},v0={good}")),
        ],
    }
}

fn slack() -> Scheme {
    let digest = |at: i64| {
        hmac_sha256_hex(
            SECRET.as_bytes(),
            &[format!("v0:{at}:").as_bytes(), BODY.as_bytes()],
        )
    };
    let headers = |at: i64, digest: String| {
        vec![
            ("x-slack-request-timestamp", at.to_string()),
            ("x-slack-signature", format!("v0={digest}")),
        ]
    };
    let now = now_secs(0);
    Scheme {
        settings: format!("verify = {{ scheme = \"slack\", secret = \"{SECRET}\" }}"),
        genuine: vec![headers(now, digest(now))],
        forged: vec![
            vec![],
            headers(now - 1, digest(now)),
            headers(now - 400, digest(now - 400)),
        ],
    }
}

fn standard() -> Scheme {
    let headers = |prefix: [&'static str; 3], id: &str, at: i64, signature: String| {
        vec![
            (prefix[0], id.to_owned()),
            (prefix[1], at.to_string()),
            (prefix[2], signature),
        ]
    };
    let own = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let svix = ["svix-id", "svix-timestamp", "svix-signature"];
    let now = now_secs(0);
    let sign = |id: &str, at: i64| standard_webhooks(WHSEC, id, &at.to_string(), BODY.as_bytes());
    Scheme {
        settings: format!("verify = {{ scheme = \"standard-webhooks\", secret = \"{WHSEC}\" }}"),
        genuine: vec![
            headers(own, "msg_1", now, sign("msg_1", now)),
            headers(own, "msg_2", now, format!("v1,AAAA {}", sign("msg_2", now))),
            headers(svix, "msg_3", now, sign("msg_3", now)),
        ],
        forged: vec![
            vec![],
            headers(own, "msg_2", now, sign("msg_1", now)),
            headers(own, "msg_1", now - 400, sign("msg_1", now - 400)),
            headers(own, "msg_1", now, String::new()),
            headers(own, "msg_1", now, sign("msg_1", now).replace("v1,", "v2,")),
        ],
    }
}

fn token() -> Scheme {
    let header = |value: &str| vec![("authorization", value.to_owned())];
    Scheme {
        settings:
            "verify = { scheme = \"token\", in = \"header:authorization\", secret = \"token-of-the-door\" }"
                .to_owned(),
        genuine: vec![header("Bearer token-of-the-door"), header("token-of-the-door")],
        forged: vec![
            vec![],
            header(""),
            header("Bearer "),
            header("Bearer token-of-the-doo"),
            header("Bearer token-of-the-door2"),
        ],
    }
}

fn basic() -> Scheme {
    let header = |pair: &str| vec![("authorization", format!("Basic {}", STANDARD.encode(pair)))];
    Scheme {
        settings: "verify = { scheme = \"basic\", user = \"platform\", password = \"pass:word\" }".to_owned(),
        genuine: vec![header("platform:pass:word")],
        forged: vec![
            vec![],
            header("platform:"),
            header("platform"),
            header("Platform:pass:word"),
            header("platform:pass:word2"),
        ],
    }
}

/// A scheme that is no preset: as one shop platform signs, with the time signed too.
fn hmac() -> Scheme {
    let sign = |at: i64| {
        STANDARD.encode(hmac_sha256(
            b"\0\xff",
            &[at.to_string().as_bytes(), b"|", BODY.as_bytes()],
        ))
    };
    let headers =
        |at: i64, signature: String| vec![("x-shop-time", at.to_string()), ("x-shop-hmac", signature)];
    let now = now_secs(0);
    Scheme {
        settings: r#"verify = { scheme = "hmac", header = "X-Shop-Hmac", encoding = "base64", secret = "AP8=", secret_encoding = "base64", timestamp = "x-shop-time", tolerance = "10s", parts = ["timestamp", "literal:|", "body"] }"#.to_owned(),
        genuine: vec![headers(now, sign(now))],
        forged: vec![vec![], headers(now - 1, sign(now)), headers(now - 20, sign(now - 20)), headers(now, sign(now).replace('=', ""))],
    }
}

#[tokio::test]
async fn m21_each_scheme_takes_the_genuine_and_refuses_the_forged() {
    for scheme in [github(), stripe(), slack(), standard(), token(), basic(), hmac()] {
        let relay = Relay::start(&source(&scheme.settings)).await;
        let post = async |headers: &[(&'static str, String)]| {
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            relay.post_source("door", &headers, BODY).await
        };
        for headers in &scheme.forged {
            assert_refused(&post(headers).await, &format!("{}: {headers:?}", scheme.settings));
        }
        assert_eq!(
            relay.read("/v1/events").await["data"],
            json!([]),
            "nothing forged is stored"
        );
        for headers in &scheme.genuine {
            let answer = post(headers).await;
            assert_eq!(
                answer.status,
                202,
                "{}: {headers:?}: {}",
                scheme.settings,
                answer.text()
            );
        }
    }
}

#[tokio::test]
async fn m21_either_of_two_secrets_is_good_while_they_rotate() {
    let relay = Relay::start(&source(
        r#"verify = { scheme = "github", secret = ["new secret", "old secret"] }"#,
    ))
    .await;
    for (secret, status) in [("new secret", 202), ("old secret", 202), ("older secret", 401)] {
        let signature = format!("sha256={}", hmac_sha256_hex(secret.as_bytes(), &[b"{}"]));
        let answer = relay
            .post_source("door", &[("x-hub-signature-256", &signature)], "{}")
            .await;
        assert_eq!(answer.status, status, "{secret}");
    }
}

#[tokio::test]
async fn m14_tokens_may_stand_in_the_query_or_in_the_body() {
    let config = [
        "[[source]]\nname = \"query\"\nverify = { scheme = \"token\", in = \"query:key\", secret = \"s3cr3t-key\" }\n",
        "[[source]]\nname = \"body\"\nverify = { scheme = \"token\", in = \"body:/meta/key\", secret = \"s3cr3t-key\" }\n",
    ];
    let relay = Relay::start(&config.concat()).await;
    for (path, body, status) in [
        ("/in/query?key=s3cr3t-key", "{}", 202),
        ("/in/query?key=s3cr3t-kex", "{}", 401),
        ("/in/query?key=s3cr3t-key&key=x", "{}", 401),
        ("/in/query", "{}", 401),
        ("/in/body", r#"{"meta": {"key": "s3cr3t-key"}}"#, 202),
        ("/in/body", r#"{"meta": {"key": ["s3cr3t-key"]}}"#, 401),
        ("/in/body", "s3cr3t-key", 401),
    ] {
        let answer = relay.send(Method::POST, path, &[], body).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
    }
}

#[tokio::test]
async fn metas_handshake_is_answered_only_with_the_right_token() {
    let settings = r#"verify = { scheme = "meta", secret = "app secret", verify_token = "my-token" }"#;
    let relay = Relay::start(&source(settings)).await;
    let get = |query: &'static str| relay.send(Method::GET, query, &[], "");
    let answer = get("/in/door?hub.mode=subscribe&hub.verify_token=my-token&hub.challenge=1158201444").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "1158201444"));
    assert!(
        answer.header("content-type").starts_with("text/plain"),
        "{answer:?}"
    );
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    for query in [
        "/in/door?hub.mode=subscribe&hub.verify_token=other&hub.challenge=1",
        "/in/door?hub.mode=subscribe&hub.verify_token=&hub.challenge=1",
        "/in/door?hub.mode=unsubscribe&hub.verify_token=my-token&hub.challenge=1",
        "/in/door?hub.mode=subscribe&hub.verify_token=my-token&hub.challenge=%3Cscript%3E%20x",
        "/in/door",
    ] {
        assert_refused(&get(query).await, query);
    }
    let signature = format!("sha256={}", hmac_sha256_hex(b"app secret", &[b"{}"]));
    assert_eq!(
        relay
            .post_source("door", &[("x-hub-signature-256", &signature)], "{}")
            .await
            .status,
        202
    );
    assert_eq!(
        relay.read("/v1/events").await["data"].as_array().map(Vec::len),
        Some(1),
        "a handshake is no event"
    );
}

#[tokio::test]
async fn slacks_challenge_is_answered_once_it_is_genuine() {
    let relay = Relay::start(&source(&slack().settings)).await;
    let body =
        r#"{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#;
    let at = now_secs(0).to_string();
    let signature = format!(
        "v0={}",
        hmac_sha256_hex(SECRET.as_bytes(), &[format!("v0:{at}:{body}").as_bytes()])
    );
    let headers = [
        ("x-slack-request-timestamp", at.as_str()),
        ("x-slack-signature", signature.as_str()),
    ];
    let answer = relay.post_source("door", &headers, body).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P")
    );
    assert_refused(&relay.post_source("door", &[], body).await, "unsigned");
    assert_eq!(relay.read("/v1/events").await["data"], json!([]));
}

#[tokio::test]
async fn only_methods_that_bring_an_event_are_taken() {
    let relay = Relay::start(&source("verify = { scheme = \"none\" }")).await;
    for method in [Method::POST, Method::PUT, Method::PATCH] {
        assert_eq!(
            relay.send(method.clone(), "/in/door", &[], "{}").await.status,
            202,
            "{method}"
        );
    }
    for method in [Method::GET, Method::DELETE] {
        let answer = relay.send(method.clone(), "/in/door", &[], "").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, "POST, PUT, PATCH"),
            "{method}"
        );
        assert_eq!(answer.problem()["code"], "method_not_allowed");
    }
}

#[tokio::test]
async fn w1_an_endpoint_may_want_only_one_source() {
    let receiver = Receiver::start();
    let config = [
        "[[source]]\nname = \"a\"\nverify = { scheme = \"none\" }\n",
        "[[source]]\nname = \"b\"\nverify = { scheme = \"none\" }\n",
        &receiver.endpoint("crm", "sources = [\"a\"]"),
    ];
    let relay = Relay::start(&config.concat()).await;
    let wanted = accepted(&relay.post_source("a", &[], "1").await);
    let unwanted = accepted(&relay.post_source("b", &[], "2").await);
    let from_api = relay.event("a.b", json!(3)).await;
    relay.delivery(&wanted, "succeeded").await;
    for event in [unwanted, from_api] {
        assert_eq!(relay.deliveries(&event).await, Vec::<serde_json::Value>::new());
    }
}

#[tokio::test]
async fn m15_what_a_source_redacts_is_in_no_log_and_no_store() {
    const PHONE: &str = "972501234567";
    const NOTE: &str = "allergic to penicillin";
    let receiver = Receiver::start();
    let source = "[[source]]\nname = \"bot\"\npreset = \"whatsable\"\nverify = { scheme = \"none\" }\n\
         redact = { mask = [\"/phone_number\"], keep_last = 2, drop = [\"/note\"], hash = [\"/user_id\"], \
         hash_key = \"k3y-of-the-hashes\" }\n";
    let mut relay = Relay::start(&format!("{source}{}", receiver.endpoint("all", ""))).await;
    let post = json!({
        "phone_number": PHONE, "note": NOTE, "user_id": "u-1", "text": "hi", "user_last_message_time": 1_775_150_431,
    });
    let headers = [("content-type", "application/json")];
    let id = accepted(&relay.post_source("bot", &headers, post.to_string()).await);
    let event = relay.read(&format!("/v1/events/{id}")).await;
    assert_eq!(event["data"]["phone_number"], "**********67", "{event}");
    assert_eq!(
        (event["data"].get("note"), &event["data"]["text"]),
        (None, &json!("hi"))
    );
    assert_eq!(
        event["data"]["user_id"].as_str().map(str::len),
        Some(64),
        "{event}"
    );
    let again = relay.post_source("bot", &headers, post.to_string()).await;
    assert_eq!(
        (again.json()["id"].clone(), &again.json()["duplicate"]),
        (json!(id), &json!(true))
    );
    let delivered = receiver.received(1).await.remove(0).text();
    relay.delivery(&id, "succeeded").await;
    relay.stop().await;
    let mut everything = format!("{delivered}{event}{}", relay.log()).into_bytes();
    for file in std::fs::read_dir(relay.setup().home()).expect("the relay's folder") {
        let path = file.expect("a file").path();
        if path.is_file()
            && path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().contains("relay.db"))
        {
            everything.extend(std::fs::read(path).expect("the store can be read"));
        }
    }
    assert!(everything.len() > 10_000, "the store was looked at");
    let everything = String::from_utf8_lossy(&everything);
    assert!(!everything.contains(NOTE), "what is dropped is nowhere");
    assert_eq!(event["subject"], "**********67", "{event}");
    assert!(!everything.contains(PHONE), "what is masked is nowhere");
}
