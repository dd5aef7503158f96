//! The two doors, with what the five platforms send.

use http::HeaderValue;

use crate::config;
use crate::config::reader::Process;
use crate::model::source::{Dedupe, Mapping, Origin, Template};
use crate::model::verify::Scheme;

use super::*;

fn source(name: &str, mapping: Mapping) -> Source {
    Source {
        id: SourceId::from_raw(7),
        tenant: TenantId::DEFAULT,
        name: name.to_owned(),
        verify: Scheme::None.into(),
        mapping,
        redact: None,
        plugins: Vec::new(),
        body_bytes_max: 1 << 20,
        synchronous: None,
    }
}

fn post(source: &Source, query: &str, headers: &HeaderMap, body: &[u8]) -> Post {
    let body = Bytes::copy_from_slice(body);
    let request = Request {
        method: &Method::POST,
        path: "/in/x",
        query,
        headers,
        body: &body,
    };
    read_source(source, &request)
}

/// A source that is a platform's preset and no more.
fn preset(platform: &str) -> Source {
    let text =
        format!("[[source]]\nname = \"{platform}\"\npreset = \"{platform}\"\nverify.scheme = \"none\"");
    let config = config::load(&text, &Process).expect("a known platform");
    config.sources.into_iter().next().expect("one source").item
}

fn post_sample(platform: &str, body: &str) -> Post {
    post(&preset(platform), "", &HeaderMap::new(), body.as_bytes())
}

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!("../../samples/", $name, ".json"))
    };
}

#[test]
fn every_platforms_posts_get_type_time_and_subject() {
    for (platform, body, kind, time, subject) in [
        (
            "mumble",
            sample!("mumble-message-text"),
            "message.received",
            "2026-03-09T08:15:42.000Z",
            "c-90817",
        ),
        (
            "mumble",
            sample!("mumble-message-image"),
            "message.received",
            "2026-03-09T08:16:05.000Z",
            "c-90817",
        ),
        (
            "mumble",
            sample!("mumble-status-closed"),
            "conversation.closed",
            "2026-03-09T09:02:11.000Z",
            "c-90817",
        ),
        (
            "mumara",
            sample!("mumara-delivered"),
            "email.delivered",
            "2026-02-11T06:45:00.000Z",
            "sam@example.org",
        ),
        (
            "mumara",
            sample!("mumara-bounced"),
            "email.bounced",
            "2026-02-11T06:45:03.000Z",
            "gone@example.org",
        ),
        (
            "mumara",
            sample!("mumara-newsletter-clicked"),
            "email.newsletter_clicked",
            "2026-02-11T07:12:48.000Z",
            "sam@example.org",
        ),
        (
            "whatsable",
            sample!("whatsable-message-text"),
            "message.received",
            "2026-04-02T17:20:31.000Z",
            "4915112345678",
        ),
        (
            "whatsable",
            sample!("whatsable-message-document"),
            "message.received",
            "2026-04-03T09:01:07.000Z",
            "4915112345678",
        ),
        (
            "calls",
            sample!("calls-call-completed"),
            "call.completed",
            "2026-05-18T13:40:22.519Z",
            "call_88213",
        ),
        (
            "calls",
            sample!("calls-call-failed"),
            "call.failed",
            "2026-05-18T13:44:02.100Z",
            "call_88214",
        ),
        (
            "calls",
            sample!("calls-contact-created"),
            "contact.created",
            "2026-05-18T14:00:00.000Z",
            "con_5504",
        ),
        (
            "vambe",
            sample!("vambe-message-received"),
            "message.received",
            "2026-06-30T21:05:10.000Z",
            "0b8f6a52-7c1e-4df0-8a4e-3f8f1d6b2c90",
        ),
        (
            "vambe",
            sample!("vambe-ticket-created"),
            "ticket.created",
            "2026-06-30T21:05:12.000Z",
            "0b8f6a52-7c1e-4df0-8a4e-3f8f1d6b2c90",
        ),
        (
            "vambe",
            sample!("vambe-stage-changed"),
            "stage.changed",
            "2026-06-30T21:30:00.000Z",
            "0b8f6a52-7c1e-4df0-8a4e-3f8f1d6b2c90",
        ),
    ] {
        let post = post_sample(platform, body);
        let envelope = &post.envelope;
        assert_eq!(envelope.kind, kind, "{body}");
        assert_eq!(
            envelope.time.map(|time| time.to_string()).as_deref(),
            Some(time),
            "{body}"
        );
        assert_eq!(envelope.subject.as_deref(), Some(subject), "{body}");
        assert_eq!(envelope.source, platform);
        assert_eq!(post.data, body.as_bytes());
    }
}

#[test]
fn a_repeated_post_is_a_duplicate_and_a_similar_one_is_not() {
    for (platform, body, from, to) in [
        ("mumble", sample!("mumble-message-text"), "blue one", "red one"),
        (
            "mumara",
            sample!("mumara-newsletter-clicked"),
            "ref=letter",
            "ref=footer",
        ),
        ("mumara", sample!("mumara-delivered"), "06:45:00", "06:45:01"),
        (
            "whatsable",
            sample!("whatsable-message-text"),
            "1775150431",
            "1775150432",
        ),
        ("calls", sample!("calls-call-completed"), "cev_41f09", "cev_41f10"),
        ("vambe", sample!("vambe-message-received"), "77120943", "77120944"),
    ] {
        let first = post_sample(platform, body).dedupe;
        assert!(first.is_some(), "{platform}");
        assert_eq!(post_sample(platform, body).dedupe, first, "{platform}");
        let similar = body.replace(from, to);
        assert_ne!(similar, body);
        assert_ne!(post_sample(platform, &similar).dedupe, first, "{platform}");
    }
}

#[test]
fn without_a_required_part_nothing_is_a_duplicate() {
    let body = sample!("whatsable-message-text").replace("user_last_message_time", "x");
    assert_eq!(post_sample("whatsable", &body).dedupe, None);
    assert_eq!(post_sample("vambe", sample!("vambe-stage-changed")).dedupe, None);
}

#[test]
fn whatever_a_genuine_post_lacks_falls_back() {
    for body in [
        "",
        "null",
        "[]",
        "{",
        "{\"event\": {}}",
        "{\"event\": \"\"}",
        "payload=%7B%7D",
        "\u{1}\u{2}",
    ] {
        for (platform, kind) in [
            ("calls", "calls.event"),
            ("mumara", "email.event"),
            ("mumble", "message.received"),
        ] {
            let post = post_sample(platform, body);
            assert_eq!(post.envelope.kind, kind, "{body:?}");
            assert_eq!((post.envelope.time, post.dedupe), (None, None), "{body:?}");
            assert_eq!(post.data, body.as_bytes());
        }
    }
}

#[test]
fn values_come_from_headers_query_and_literals_too() {
    let mapping = Mapping {
        kind: Template {
            prefix: "git.".to_owned(),
            origins: vec![Origin::Header("x-event".to_owned())],
            words: vec![("PushEvent".to_owned(), "push".to_owned())],
            fallback: String::new(),
        },
        id: vec![
            Origin::Header("x-none".to_owned()),
            Origin::Query("id".to_owned()),
        ],
        subject: vec![Origin::Literal("fixed".to_owned())],
        time: vec![Origin::Query("at".to_owned())],
        dedupe: Dedupe::default(),
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-event", HeaderValue::from_static("PushEvent"));
    headers.insert(
        "content-type",
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    let post = post(
        &source("s", mapping),
        "id=a%20b&at=1749506891",
        &headers,
        b"payload=%7B%7D",
    );
    let envelope = post.envelope;
    assert_eq!(
        (envelope.kind.as_str(), envelope.id.as_deref()),
        ("git.push", Some("a b"))
    );
    assert_eq!(envelope.subject.as_deref(), Some("fixed"));
    assert_eq!(envelope.time, Some(Timestamp::from_millis(1_749_506_891_000)));
    assert_eq!(
        envelope.content_type.as_deref(),
        Some("application/x-www-form-urlencoded")
    );
    assert!(
        post.dedupe.is_some(),
        "the id stands in for a missing dedupe mapping"
    );
}

#[test]
fn ids_that_are_no_short_line_are_left_out() {
    let mapping = Mapping {
        id: vec![Origin::Body("/id".to_owned())],
        ..Mapping::default()
    };
    let id = |body: &str| {
        post(
            &source("s", mapping.clone()),
            "",
            &HeaderMap::new(),
            body.as_bytes(),
        )
        .envelope
        .id
    };
    assert_eq!(id(r#"{"id": 12}"#).as_deref(), Some("12"));
    assert_eq!(id(r#"{"id": "a\nb: c"}"#), None);
    assert_eq!(
        id(&format!(r#"{{"id": "{}"}}"#, "x".repeat(map::VALUE_LEN_MAX + 1))),
        None
    );
}

#[test]
fn events_of_the_api_share_nothing_but_their_idempotency_key() {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("idempotency-key", HeaderValue::from_static("k1"));
    let body = Bytes::from_static(br#"{"type": "a.b", "data": {"n":  1.0}}"#);
    let posts = read_api(TenantId::DEFAULT, &headers, &body).expect("a valid event");
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].data, r#"{"n":  1.0}"#);
    assert!(posts[0].dedupe.is_some() && posts[0].headers.is_empty());
    let event = posts[0].clone().into_event(
        EventId::from_raw(9),
        TenantId::DEFAULT,
        None,
        Timestamp::from_millis(5),
    );
    assert_eq!(
        (event.envelope.source.as_str(), event.envelope.kind.as_str()),
        (API_SOURCE, "a.b")
    );
}

#[test]
fn methods_without_a_body_bring_no_event() {
    assert!(check_method(&Method::POST).is_ok());
    let refused = check_method(&Method::GET).expect_err("GET brings no event");
    assert_eq!(
        (refused.problem().status, refused.allow()),
        (405, Some("POST, PUT, PATCH"))
    );
}
