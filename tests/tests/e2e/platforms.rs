//! The five platforms: what their sample posts become.

use relay_tests::instance::{Relay, accepted};
use relay_tests::sign::{now_secs, standard_webhooks};
use serde_json::Value;

/// Preset, sample, and the event's type, time and subject.
const SAMPLES: [(&str, &str, &str, &str, &str); 14] = [
    (
        "mumble",
        "mumble-message-text",
        "message.received",
        "2026-03-09T08:15:42.000Z",
        "c-90817",
    ),
    (
        "mumble",
        "mumble-message-image",
        "message.received",
        "2026-03-09T08:16:05.000Z",
        "c-90817",
    ),
    (
        "mumble",
        "mumble-status-closed",
        "conversation.closed",
        "2026-03-09T09:02:11.000Z",
        "c-90817",
    ),
    (
        "mumara",
        "mumara-delivered",
        "email.delivered",
        "2026-02-11T06:45:00.000Z",
        "sam@example.org",
    ),
    (
        "mumara",
        "mumara-bounced",
        "email.bounced",
        "2026-02-11T06:45:03.000Z",
        "gone@example.org",
    ),
    (
        "mumara",
        "mumara-newsletter-clicked",
        "email.newsletter_clicked",
        "2026-02-11T07:12:48.000Z",
        "sam@example.org",
    ),
    (
        "whatsable",
        "whatsable-message-text",
        "message.received",
        "2026-04-02T17:20:31.000Z",
        "4915112345678",
    ),
    (
        "whatsable",
        "whatsable-message-document",
        "message.received",
        "2026-04-03T09:01:07.000Z",
        "4915112345678",
    ),
    (
        "calls",
        "calls-call-completed",
        "call.completed",
        "2026-05-18T13:40:22.519Z",
        "call_88213",
    ),
    (
        "calls",
        "calls-call-failed",
        "call.failed",
        "2026-05-18T13:44:02.100Z",
        "call_88214",
    ),
    (
        "calls",
        "calls-contact-created",
        "contact.created",
        "2026-05-18T14:00:00.000Z",
        "con_5504",
    ),
    (
        "vambe",
        "vambe-message-received",
        "message.received",
        "2026-06-30T21:05:10.000Z",
        "0b8f6a52-7c1e-4df0-8a4e-3f8f1d6b2c90",
    ),
    (
        "vambe",
        "vambe-ticket-created",
        "ticket.created",
        "2026-06-30T21:05:12.000Z",
        "0b8f6a52-7c1e-4df0-8a4e-3f8f1d6b2c90",
    ),
    (
        "vambe",
        "vambe-stage-changed",
        "stage.changed",
        "2026-06-30T21:30:00.000Z",
        "0b8f6a52-7c1e-4df0-8a4e-3f8f1d6b2c90",
    ),
];

const PLATFORMS: [&str; 5] = ["mumble", "mumara", "whatsable", "calls", "vambe"];

fn sample(name: &str) -> Vec<u8> {
    let path = format!("{}/../relay/samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn source(preset: &str) -> String {
    format!(
        "[[source]]\nname = \"{preset}\"\npreset = \"{preset}\"\n\
         verify = {{ scheme = \"token\", in = \"header:authorization\", secret = \"{preset}-token\" }}\n"
    )
}

async fn post(relay: &Relay, preset: &str, body: Vec<u8>) -> Value {
    let token = format!("Bearer {preset}-token");
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
    ];
    let answer = relay.post_source(preset, &headers, body).await;
    assert_eq!(answer.status, 202, "{preset}: {}", answer.text());
    answer.json()
}

#[tokio::test]
async fn samples_get_type_time_and_subject_and_are_known_again() {
    let relay = Relay::start(&PLATFORMS.map(source).concat()).await;
    for (preset, name, kind, time, subject) in SAMPLES {
        let first = post(&relay, preset, sample(name)).await;
        assert_eq!(first["duplicate"], false, "{name}");
        let id = first["id"].as_str().unwrap_or_default();
        let event = relay.read(&format!("/v1/events/{id}")).await;
        let read = ["type", "time", "subject", "source"].map(|key| event[key].as_str().unwrap_or_default());
        assert_eq!(read, [kind, time, subject, preset], "{name}");
        let again = post(&relay, preset, sample(name)).await;
        // Not every event of this platform says what would make it known again.
        if name == "vambe-ticket-created" || name == "vambe-stage-changed" {
            continue;
        }
        assert_eq!(
            (&again["duplicate"], &again["id"]),
            (&Value::Bool(true), &first["id"]),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_signed_post_is_known_again_by_its_webhook_id() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let relay = Relay::start(&format!(
        "[[source]]\nname = \"vambe\"\npreset = \"vambe\"\n\
         verify = {{ scheme = \"standard-webhooks\", secret = \"{secret}\" }}\n"
    ))
    .await;
    // Nothing in its body would make it known again.
    let body = sample("vambe-ticket-created");
    let post = async |id: &str, at: i64| {
        let at = at.to_string();
        let signature = standard_webhooks(secret, id, &at, &body);
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", at.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        let answer = relay.post_source("vambe", &headers, body.clone()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()
    };
    let first = post("msg_1", now_secs(-60)).await;
    let retry = post("msg_1", now_secs(0)).await;
    assert_eq!(
        (&retry["duplicate"], &retry["id"]),
        (&Value::Bool(true), &first["id"])
    );
    assert_eq!(post("msg_2", now_secs(0)).await["duplicate"], false);
}

#[tokio::test]
async fn what_differs_between_two_posts_makes_them_two_events() {
    let relay = Relay::start(&PLATFORMS.map(source).concat()).await;
    for (preset, name, from, to) in [
        (
            "mumble",
            "mumble-message-text",
            "Is the blue one",
            "Is the red one",
        ),
        ("mumara", "mumara-newsletter-clicked", "?ref=letter", "?ref=other"),
        ("whatsable", "whatsable-message-text", "1775150431", "1775150432"),
        ("calls", "calls-call-completed", "cev_41f09", "cev_99999"),
        ("vambe", "vambe-message-received", "77120943", "77120944"),
    ] {
        let original = String::from_utf8(sample(name)).expect("a sample is text");
        assert!(original.contains(from), "{name}");
        let first = post(&relay, preset, original.clone().into_bytes()).await;
        let other = post(&relay, preset, original.replace(from, to).into_bytes()).await;
        assert_eq!(other["duplicate"], false, "{name}");
        assert_ne!(first["id"], other["id"], "{name}");
    }
}

#[tokio::test]
async fn a_post_that_says_nothing_known_is_still_an_event() {
    let relay = Relay::start(&PLATFORMS.map(source).concat()).await;
    for preset in PLATFORMS {
        for body in [
            "",
            "null",
            "[]",
            "{",
            "{\"event\": {\"a\": 1}, \"timestamp\": \"soon\"}",
            "\u{0}",
        ] {
            let first = post(&relay, preset, body.as_bytes().to_vec()).await;
            let again = post(&relay, preset, body.as_bytes().to_vec()).await;
            assert_eq!(
                again["duplicate"], false,
                "{preset} {body:?}: what has no key is never a duplicate"
            );
            let id = first["id"].as_str().unwrap_or_default();
            let event = relay.read(&format!("/v1/events/{id}")).await;
            assert!(
                event["type"].as_str().is_some_and(|kind| !kind.is_empty()),
                "{preset} {body:?}: {event}"
            );
        }
    }
}

#[tokio::test]
async fn m20_u15_w17_a_mapping_of_ones_own_takes_the_place_of_a_preset() {
    let config = r#"
        [[source]]
        name = "shop"
        verify = { scheme = "none" }
        event = { type = "order.changed", id = "/order/id", time = "/at", subject = "/order/id", dedupe = ["/order/id", "/at"] }
    "#;
    let relay = Relay::start(config).await;
    let body = r#"{"order": {"id": 77}, "at": 1749506891}"#;
    let event = accepted(&relay.post_source("shop", &[], body).await);
    let read = relay.read(&format!("/v1/events/{event}")).await;
    assert_eq!(
        (&read["type"], &read["subject"], &read["time"]),
        (
            &"order.changed".into(),
            &"77".into(),
            &"2025-06-09T22:08:11.000Z".into()
        )
    );
    assert_eq!(
        relay.post_source("shop", &[], body).await.json()["duplicate"],
        true
    );
    assert_eq!(
        relay
            .post_source("shop", &[], r#"{"order": {"id": 77}, "at": 1749506892}"#)
            .await
            .json()["duplicate"],
        false
    );
}
