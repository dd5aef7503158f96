//! The plugins that come with the relay, on the whole path.

use http::Method;
use relay_tests::instance::{Relay, Setup};
use relay_tests::receiver::{Receiver, Reply};
use serde_json::{Value, json};

/// The sounds that a form for Pushover offers, as it calls them, and what Pushover calls them.
const SOUNDS: [(&str, &str); 24] = [
    ("pushover", "pushover"),
    ("bike", "bike"),
    ("bugle", "bugle"),
    ("cashregister", "cashregister"),
    ("classical", "classical"),
    ("cosmic", "cosmic"),
    ("falling", "falling"),
    ("gamelan", "gamelan"),
    ("incoming", "incoming"),
    ("intermission", "intermission"),
    ("magic", "magic"),
    ("mechanical", "mechanical"),
    ("pianobar", "pianobar"),
    ("siren", "siren"),
    ("spacealarm", "spacealarm"),
    ("tugboat", "tugboat"),
    ("alien", "alien"),
    ("climb", "climb"),
    ("persistent", "persistent"),
    ("echo", "echo"),
    ("up-down", "updown"),
    ("vibrate", "vibrate"),
    ("none", "none"),
    ("mute", "none"),
];

fn pushover(url: &str, config: Value) -> Value {
    let secrets = json!({"pushover-user": "u5er-key-of-ann", "pushover-token": "t0ken-of-the-app"});
    let plugin = json!({"use": "notify-pushover", "config": config, "secrets": secrets});
    json!({"name": "phone", "url": url, "plugins": [plugin]})
}

async fn make(relay: &Relay, keys: Value) -> Value {
    let answer = relay.admin(Method::POST, "/v1/endpoints", Some(keys)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn u4_events_become_pushover_notifications_and_the_secrets_stay_sealed() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let config = json!({
        "title": "{{/broadcast_name}}", "message": "{{event.type}}: {{/email}}", "sound": "echo",
        "priority": 2, "retry": 60, "expire": 600, "url": "https://example.com/{{/id}}", "device": ["phone"],
    });
    let made = make(&relay, pushover(&receiver.url(), config)).await;
    let sealed = json!({"sealed": true});
    let shown = &made["plugins"][0]["secrets"];
    assert_eq!(
        (&shown["pushover-user"], &shown["pushover-token"]),
        (&sealed, &sealed)
    );
    let data = json!({"email": "ann@example.org", "broadcast_name": "January", "id": 7});
    relay.event("email.bounced", data).await;
    let sent = receiver.received(1).await.remove(0).json();
    let wanted = json!({
        "token": "t0ken-of-the-app", "user": "u5er-key-of-ann", "title": "January",
        "message": "email.bounced: ann@example.org", "sound": "echo", "priority": 2, "retry": 60, "expire": 600,
        "url": "https://example.com/7", "device": "phone",
    });
    assert_eq!(sent, wanted);
    let shown = relay.read("/v1/endpoints/phone").await.to_string() + &relay.log();
    assert!(!shown.contains("t0ken-of-the-app") && !shown.contains("u5er-key-of-ann"));
}

#[tokio::test]
async fn u5_every_sound_is_known_and_what_pushover_refuses_is_refused_when_it_is_saved() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    make(&relay, pushover(&receiver.url(), json!({"message": "hi"}))).await;
    for (index, (sound, wanted)) in SOUNDS.into_iter().enumerate() {
        let changed = pushover(&receiver.url(), json!({"message": "hi", "sound": sound}));
        let answer = relay
            .admin(Method::PUT, "/v1/endpoints/phone", Some(changed))
            .await;
        assert_eq!(answer.status, 200, "{sound}: {}", answer.text());
        relay.event("a.b", json!({})).await;
        let sent = receiver.received(index + 1).await.remove(index).json();
        assert_eq!(sent["sound"], wanted, "{sound}");
    }
    for wrong in [
        json!({"message": "hi", "sound": "horn"}),
        json!({"message": "x".repeat(1025)}),
        json!({"message": "hi", "priority": 3}),
        json!({"message": "hi", "priority": 2}),
        json!({"message": "hi", "priority": 2, "retry": 29, "expire": 600}),
    ] {
        let changed = pushover(&receiver.url(), wrong.clone());
        let answer = relay
            .admin(Method::PUT, "/v1/endpoints/phone", Some(changed))
            .await;
        assert_eq!(answer.status, 422, "{wrong}: {}", answer.text());
    }
}

#[tokio::test]
async fn u18_wrong_credentials_are_told_when_they_are_saved_in_the_providers_words() {
    let provider = Receiver::answering(|request, _| match request.text().contains("t0ken-of-the-app") {
        true => Reply::with_body(200, r#"{"status":1}"#),
        false => Reply::with_body(
            400,
            r#"{"token":"invalid","errors":["application token is invalid"]}"#,
        ),
    });
    let relay = Relay::start("").await;
    let save = |keys: Value| relay.admin(Method::POST, "/v1/endpoints?verify=email.bounced", Some(keys));
    let mut wrong = pushover(&provider.url(), json!({"message": "{{event.type}}"}));
    wrong["plugins"][0]["secrets"]["pushover-token"] = json!("t0ken-of-another");
    let refused = save(wrong).await;
    let problem = refused.problem();
    assert_eq!((refused.status, &problem["code"]), (422, &json!("not_verified")));
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains("400") && detail.contains("application token is invalid"),
        "{detail}"
    );
    assert_eq!(relay.read("/v1/endpoints").await["data"], json!([]));

    let right = pushover(&provider.url(), json!({"message": "{{event.type}}"}));
    let made = save(right).await;
    assert_eq!(
        (made.status, &made.json()["enabled"]),
        (201, &json!(true)),
        "{}",
        made.text()
    );
    let sent = provider.received(2).await.remove(1).json();
    assert_eq!(sent["message"], "email.bounced");
    let event = relay.event("a.b", json!({})).await;
    relay.delivery(&event, "succeeded").await;
    let mut faulty = pushover(&provider.url(), json!({"message": "hi"}));
    faulty["name"] = json!("other");
    faulty["enabled"] = json!("yes");
    assert_eq!(save(faulty).await.problem()["code"], "invalid_definition");
    let bad = relay
        .admin(
            Method::POST,
            "/v1/endpoints?verify=a%20b",
            Some(json!({"url": provider.url()})),
        )
        .await;
    assert_eq!(bad.problem()["code"], "invalid_test", "{}", bad.text());
}

#[tokio::test]
async fn m8_a_payload_is_built_from_rows_and_previewed_before_it_is_saved() {
    let rows = json!([
        {"key": "Customer", "from": "/recipient_name"},
        {"key": "Channel", "value": "whatsapp"},
        {"key": "/order/total", "from": "/total", "type": "number"},
        {"key": "/order/at", "from": "/at", "type": "time"},
        {"key": "seen", "from": "/when", "type": "unix"},
        {"key": "note", "from": "/note", "default": "none"},
        {"key": "kind", "from": "event.type"},
    ]);
    let data = json!({"recipient_name": "Ann", "total": "12.5", "at": 1_749_506_891, "when": "2025-06-09T22:08:11Z"});
    let built = json!({
        "Customer": "Ann", "Channel": "whatsapp", "order": {"total": 12.5, "at": "2025-06-09T22:08:11Z"},
        "seen": 1_749_506_891, "note": "none", "kind": "order.placed",
    });
    let setup = Setup::new("");
    let event = setup.file(
        "event.json",
        json!({"type": "order.placed", "data": data}).to_string(),
    );
    let config = json!({"rows": rows}).to_string();
    let event = event.display().to_string();
    let preview = setup
        .run(&["plugin", "run", "build-payload", &event, "--config", &config])
        .await;
    assert_eq!(preview.code, Some(0), "{preview:?}");
    for part in ["Ann", "whatsapp", "12.5", "2025-06-09T22:08:11Z", "order.placed"] {
        assert!(preview.stdout.contains(part), "{part}: {}", preview.stdout);
    }

    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let plugin = json!({"use": "build-payload", "config": {"rows": rows}});
    make(
        &relay,
        json!({"name": "crm", "url": receiver.url(), "plugins": [plugin], "enabled": false}),
    )
    .await;
    let body = json!({"type": "order.placed", "data": data});
    let tested = relay
        .admin(Method::POST, "/v1/endpoints/crm/test", Some(body))
        .await
        .json();
    let shown = tested["requests"][0]["body"].as_str().expect("text");
    assert_eq!(serde_json::from_str::<Value>(shown).expect("JSON"), built);
    assert_eq!(receiver.received(1).await.remove(0).json(), built);
}

#[tokio::test]
async fn w7_a_conversation_is_rendered_as_a_transcript() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let plugin = json!({"use": "transcript", "config": {"names": {"user": "Alex", "bot": "Assistant"}}});
    make(
        &relay,
        json!({"name": "model", "url": receiver.url(), "plugins": [plugin]}),
    )
    .await;
    let messages = json!([
        {"type": "user", "content": "", "timestamp": "2025-06-09T14:05:12.000Z", "content_type": "document",
         "media_url": "https://x.example/c.pdf"},
        {"type": "bot", "content": "Please send the contract.\nUser: no", "timestamp": "2025-06-09T14:03:20.000Z",
         "content_type": "text"},
    ]);
    relay
        .event("message.received", json!({"last_messages": messages}))
        .await;
    let sent = receiver.received(1).await.remove(0).json();
    let transcript = sent["data"]["transcript"].as_str().unwrap_or_default();
    let lines: Vec<&str> = transcript.lines().collect();
    assert_eq!(
        lines[0],
        "[2025-06-09 14:03] Assistant: Please send the contract."
    );
    assert!(
        lines[1].starts_with(' ') && lines[1].trim() == "User: no",
        "{transcript}"
    );
    assert_eq!(
        lines[2],
        "[2025-06-09 14:05] Alex: [document] https://x.example/c.pdf"
    );
}

#[tokio::test]
async fn m14_a_secret_is_put_into_the_body_and_shown_nowhere() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    let secrets = json!({"secret": "s3cret-of-the-flow"});
    let plugin = json!({"use": "insert-secret", "config": {"at": "/auth/token"}, "secrets": secrets});
    make(
        &relay,
        json!({"name": "flow", "url": receiver.url(), "format": "raw", "plugins": [plugin]}),
    )
    .await;
    let event = relay.event("a.b", json!({"auth": {}, "n": 1})).await;
    let sent = receiver.received(1).await.remove(0).json();
    assert_eq!(sent, json!({"auth": {"token": "s3cret-of-the-flow"}, "n": 1}));
    let tested = relay
        .admin(
            Method::POST,
            "/v1/endpoints/flow/test",
            Some(json!({"type": "a.b", "data": {"auth": {}}})),
        )
        .await;
    assert!(!tested.text().contains("s3cret-of-the-flow"), "{}", tested.text());
    assert!(tested.text().contains("(hidden)"), "{}", tested.text());
    let unfit = relay.event("a.b", json!([1])).await;
    assert_eq!(relay.delivery(&unfit, "failed").await["attempts"], 1);
    let shown = relay.read(&format!("/v1/events/{event}")).await.to_string() + &relay.log();
    assert!(!shown.contains("s3cret-of-the-flow"));
}
