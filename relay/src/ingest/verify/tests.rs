//! Published vectors of the senders, and what every scheme has to refuse.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use crate::crypto::{self, standard_webhooks};
use crate::model::secret::Secret;
use crate::model::source::{Digest, Encoding, HmacScheme, Part, Place};

use super::*;

const TOLERANCE: Duration = Duration::from_secs(300);

struct Sent {
    method: Method,
    query: &'static str,
    headers: HeaderMap,
    body: Bytes,
}

fn sent(headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Sent {
    let header = |(name, value): &(&'static str, &str)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_str(value).expect("a header value"),
        )
    };
    Sent {
        method: Method::POST,
        query: "",
        headers: headers.iter().map(header).collect(),
        body: body.into(),
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn check(scheme: &Verify, sent: &Sent, now_secs: i64) -> Verified {
    let request = Request {
        method: &sent.method,
        path: "/in/x",
        query: sent.query,
        headers: &sent.headers,
        body: &sent.body,
    };
    verify(scheme, &request, Timestamp::from_millis(now_secs * 1000))
}

fn github() -> (Verify, Sent) {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let scheme = Verify::github(vec![secret("It's a Secret to Everybody")]);
    (
        scheme,
        sent(&[("x-hub-signature-256", signature)], "Hello, World!"),
    )
}

const SLACK_TIME: i64 = 1_531_420_618;

/// The example of Slack's documentation.
fn slack() -> (Verify, Sent) {
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
        &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let headers = [
        (
            "x-slack-signature",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        ),
        ("x-slack-request-timestamp", "1531420618"),
    ];
    (
        Verify::slack(vec![secret("8f742231b10e8888abcd99yyyzzz85a5")], TOLERANCE),
        sent(&headers, body),
    )
}

fn stripe_header(key: &str, time: i64, body: &str) -> String {
    let mac = crypto::hmac(
        Digest::Sha256,
        key.as_bytes(),
        &[time.to_string().as_bytes(), b".", body.as_bytes()],
    );
    format!("t={time},v0=00,v1={}", crypto::encode(Encoding::Hex, &mac))
}

#[test]
fn githubs_published_example_is_genuine() {
    let (scheme, sent) = github();
    assert_eq!(check(&scheme, &sent, 0), Verified::Genuine);
}

#[test]
fn slacks_published_example_is_genuine_in_its_window_only() {
    let (scheme, sent) = slack();
    for (now, verified) in [
        (SLACK_TIME, Verified::Genuine),
        (SLACK_TIME + 300, Verified::Genuine),
        (SLACK_TIME - 300, Verified::Genuine),
        (SLACK_TIME + 301, Verified::Forged(Forgery::Stale)),
        (SLACK_TIME - 301, Verified::Forged(Forgery::Stale)),
    ] {
        assert_eq!(check(&scheme, &sent, now), verified, "{now}");
    }
}

#[test]
fn stripe_takes_any_v1_under_any_secret() {
    let scheme = Verify::stripe(vec![secret("whsec_new"), secret("whsec_old")], TOLERANCE);
    let header = stripe_header("whsec_old", 1000, "{}");
    assert_eq!(
        check(&scheme, &sent(&[("stripe-signature", &header)], "{}"), 1001),
        Verified::Genuine
    );
    let two = format!("{header},v1={}", "00".repeat(32));
    assert_eq!(
        check(&scheme, &sent(&[("stripe-signature", &two)], "{}"), 1001),
        Verified::Genuine
    );
    for (header, forgery) in [
        (header.replace("v1=", "v2="), Forgery::NoSignature),
        (header.replace("t=1000", "t=1002"), Forgery::Mismatch),
        (header.replace("t=1000", "t=x"), Forgery::NoTime),
        (header.replace("t=1000,", ""), Forgery::NoTime),
        (
            format!("{header},t=1000"),
            Forgery::Repeated("the time of signing".into()),
        ),
        (
            format!("{header}{}", ",v1=00".repeat(40)),
            Forgery::TooManySignatures,
        ),
    ] {
        let verified = check(&scheme, &sent(&[("stripe-signature", &header)], "{}"), 1001);
        assert_eq!(verified, Verified::Forged(forgery), "{header}");
    }
}

#[test]
fn signatures_over_headers_and_in_base64_are_described_as_data() {
    let scheme = HmacScheme {
        digest: Digest::Sha512,
        encoding: Encoding::Base64,
        header: "x-signature".to_owned(),
        parts: vec![
            Part::Header("x-id".to_owned()),
            Part::Literal(":".to_owned()),
            Part::Body,
        ],
        secret_encoding: Some(Encoding::Hex),
        ..HmacScheme::of_body(vec![secret("00ff")])
    };
    let mac = crypto::hmac(Digest::Sha512, &[0, 255], &[b"7:", b"\xff\x00"]);
    let signature = crypto::encode(Encoding::Base64, &mac);
    let body = Bytes::from_static(b"\xff\x00");
    let scheme = Verify::Hmac(scheme);
    let genuine = sent(&[("x-id", "7"), ("x-signature", &signature)], body.clone());
    assert_eq!(check(&scheme, &genuine, 0), Verified::Genuine);
    let other_id = sent(&[("x-id", "8"), ("x-signature", &signature)], body.clone());
    assert_eq!(check(&scheme, &other_id, 0), Verified::Forged(Forgery::Mismatch));
    let no_id = sent(&[("x-signature", &signature)], body);
    assert_eq!(
        check(&scheme, &no_id, 0),
        Verified::Forged(Forgery::Missing("the header x-id".into()))
    );
}

#[test]
fn a_signature_header_that_comes_twice_is_refused() {
    let (scheme, mut sent) = github();
    let value = sent.headers["x-hub-signature-256"].clone();
    sent.headers.append("x-hub-signature-256", value);
    let repeated = Forgery::Repeated("the header x-hub-signature-256".into());
    assert_eq!(check(&scheme, &sent, 0), Verified::Forged(repeated));
}

#[test]
fn without_a_secret_nothing_is_genuine() {
    let empty_mac = crypto::encode(Encoding::Hex, &crypto::hmac(Digest::Sha256, b"", &[b"x"]));
    let headers = [
        ("x-hub-signature-256", format!("sha256={empty_mac}")),
        ("authorization", "Basic dTo=".to_owned()),
        ("x-token", String::new()),
        ("webhook-id", "a".to_owned()),
        ("webhook-timestamp", "0".to_owned()),
        ("webhook-signature", "v1,".to_owned()),
    ];
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let sent = sent(&headers, "x");
    for secrets in [vec![], vec![secret("")], vec![secret(""), secret("")]] {
        for scheme in [
            Verify::github(secrets.clone()),
            Verify::Token {
                at: Place::Header("x-token".to_owned()),
                secrets: secrets.clone(),
            },
            Verify::Basic {
                user: "u".to_owned(),
                passwords: secrets.clone(),
            },
            Verify::StandardWebhooks {
                secrets: secrets.clone(),
                tolerance: TOLERANCE,
            },
        ] {
            assert_eq!(
                check(&scheme, &sent, 0),
                Verified::Forged(Forgery::NoSecret),
                "{scheme:?}"
            );
        }
    }
}

#[test]
fn a_scheme_that_leaves_the_body_unsigned_is_refused() {
    let (_, sent) = github();
    let scheme = HmacScheme {
        header: "x-hub-signature-256".to_owned(),
        parts: vec![Part::Literal("fixed".to_owned())],
        ..HmacScheme::of_body(vec![secret("k")])
    };
    assert_eq!(
        check(&Verify::Hmac(scheme), &sent, 0),
        Verified::Forged(Forgery::BodyNotSigned)
    );
}

#[test]
fn standard_webhooks_are_read_under_both_sets_of_names() {
    let signing = standard_webhooks::SigningKey::parse(&secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        .expect("a valid secret");
    let signature = signing.sign("msg_1", 1000, b"{}");
    let scheme = Verify::StandardWebhooks {
        secrets: vec![secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
        tolerance: TOLERANCE,
    };
    for names in [
        ["webhook-id", "webhook-timestamp", "webhook-signature"],
        ["svix-id", "svix-timestamp", "svix-signature"],
    ] {
        let values = ["msg_1", "1000", &signature];
        let headers: Vec<_> = names.into_iter().zip(values).collect();
        assert_eq!(
            check(&scheme, &sent(&headers, "{}"), 1000),
            Verified::Genuine,
            "{names:?}"
        );
        assert!(
            matches!(check(&scheme, &sent(&headers, "{ }"), 1000), Verified::Forged(_)),
            "{names:?}"
        );
        assert!(
            matches!(
                check(&scheme, &sent(&headers[..2], "{}"), 1000),
                Verified::Forged(_)
            ),
            "{names:?}"
        );
    }
    let mixed = [
        ("svix-id", "msg_1"),
        ("webhook-timestamp", "1000"),
        ("webhook-signature", &*signature),
    ];
    assert!(matches!(
        check(&scheme, &sent(&mixed, "{}"), 1000),
        Verified::Forged(_)
    ));
}

#[test]
fn tokens_are_found_in_header_query_and_body() {
    let scheme = |at| Verify::Token {
        at,
        secrets: vec![secret("t0ken"), secret("older")],
    };
    let header = |name: &str| Place::Header(name.to_owned());
    for (at, request, verified) in [
        (
            header("authorization"),
            sent(&[("authorization", "Bearer t0ken")], ""),
            true,
        ),
        (
            header("authorization"),
            sent(&[("authorization", "bearer  older")], ""),
            true,
        ),
        (
            header("authorization"),
            sent(&[("authorization", "t0ken")], ""),
            true,
        ),
        (
            header("authorization"),
            sent(&[("authorization", "Bearer t0keN")], ""),
            false,
        ),
        (header("x-token"), sent(&[("x-token", "t0ken")], ""), true),
        (header("x-token"), sent(&[("x-token", "Bearer t0ken")], ""), false),
        (
            header("x-token"),
            sent(&[("x-token", "t0ken"), ("x-token", "t0ken")], ""),
            false,
        ),
        (header("x-token"), sent(&[], ""), false),
        (
            Place::Query("k".to_owned()),
            Sent {
                query: "a=1&k=t0%6ben",
                ..sent(&[], "")
            },
            true,
        ),
        (
            Place::Query("k".to_owned()),
            Sent {
                query: "k=t0ken&k=t0ken",
                ..sent(&[], "")
            },
            false,
        ),
        (
            Place::Body("/auth/token".to_owned()),
            sent(&[], r#"{"auth": {"token": "t0ken"}}"#),
            true,
        ),
        (
            Place::Body("/auth/token".to_owned()),
            sent(&[], r#"{"auth": {"token": ""}}"#),
            false,
        ),
        (
            Place::Body("/auth/token".to_owned()),
            sent(&[], "not json"),
            false,
        ),
    ] {
        let found = check(&scheme(at.clone()), &request, 0);
        assert_eq!(
            found == Verified::Genuine,
            verified,
            "{at:?} {:?} {:?}",
            request.headers,
            request.body
        );
    }
}

#[test]
fn basic_wants_both_user_and_password() {
    let scheme = Verify::Basic {
        user: "u".to_owned(),
        passwords: vec![secret("p:1")],
    };
    for (pair, genuine) in [
        ("u:p:1", true),
        ("u:p", false),
        ("x:p:1", false),
        ("u", false),
        (":", false),
    ] {
        let value = format!("Basic {}", crypto::encode(Encoding::Base64, pair.as_bytes()));
        let found = check(&scheme, &sent(&[("authorization", &value)], ""), 0);
        assert_eq!(found == Verified::Genuine, genuine, "{pair}");
    }
    let found = check(&scheme, &sent(&[("authorization", "Bearer dTpwOjE=")], ""), 0);
    assert_eq!(found, Verified::Forged(Forgery::NoSignature));
}

#[test]
fn metas_handshake_is_answered_with_the_challenge_as_text() {
    let scheme = Verify::meta(vec![secret("app")], secret("verify-me"));
    let get = |query| Sent {
        method: Method::GET,
        query,
        ..sent(&[], "")
    };
    let asked = get("hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=1158201444");
    let Verified::Answer(answer) = check(&scheme, &asked, 0) else {
        panic!("a handshake is answered")
    };
    assert_eq!((answer.status, &answer.body[..]), (200, &b"1158201444"[..]));
    assert!(
        answer
            .headers
            .iter()
            .any(|(name, value)| *name == "content-type" && value.starts_with("text/plain"))
    );
    for query in [
        "",
        "hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1",
        "hub.mode=other&hub.verify_token=verify-me&hub.challenge=1",
        "hub.mode=subscribe&hub.verify_token=verify-me",
        "hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=%0d%0a",
        "hub.mode=subscribe&hub.verify_token=verify-me&hub.verify_token=verify-me&hub.challenge=1",
    ] {
        assert!(
            matches!(check(&scheme, &get(query), 0), Verified::Forged(_)),
            "{query}"
        );
    }
    let no_token = Verify::meta(vec![secret("app")], secret(""));
    let empty = get("hub.mode=subscribe&hub.verify_token=&hub.challenge=1");
    assert_eq!(check(&no_token, &empty, 0), Verified::Forged(Forgery::NoSecret));
}

#[test]
fn slacks_challenge_is_answered_only_when_signed() {
    let body = r#"{"type": "url_verification", "challenge": "3eZbrw1a"}"#;
    let scheme = Verify::slack(vec![secret("k")], TOLERANCE);
    let mac = crypto::hmac(Digest::Sha256, b"k", &[b"v0:1000:", body.as_bytes()]);
    let signature = format!("v0={}", crypto::encode(Encoding::Hex, &mac));
    let headers = [
        ("x-slack-signature", &*signature),
        ("x-slack-request-timestamp", "1000"),
    ];
    let Verified::Answer(answer) = check(&scheme, &sent(&headers, body), 1000) else {
        panic!("a signed challenge is answered")
    };
    assert_eq!(&answer.body[..], b"3eZbrw1a");
    assert!(matches!(
        check(&scheme, &sent(&headers[..1], body), 1000),
        Verified::Forged(_)
    ));
}

proptest::proptest! {
    #[test]
    fn no_flipped_bit_of_the_body_is_genuine(
        body in proptest::collection::vec(proptest::num::u8::ANY, 1..200),
        at in proptest::num::usize::ANY,
        bit in 0_u8..8,
    ) {
        let mac = crypto::hmac(Digest::Sha256, b"key", &[&body]);
        let signature = format!("sha256={}", crypto::encode(Encoding::Hex, &mac));
        let scheme = Verify::github(vec![secret("key")]);
        let headers = [("x-hub-signature-256", signature.as_str())];
        proptest::prop_assert_eq!(check(&scheme, &sent(&headers, body.clone()), 0), Verified::Genuine);
        let mut flipped = body;
        let at = at % flipped.len();
        flipped[at] ^= 1 << bit;
        proptest::prop_assert_ne!(check(&scheme, &sent(&headers, flipped), 0), Verified::Genuine);
    }

    #[test]
    fn no_flipped_bit_of_the_signature_is_genuine(at in 0_usize..32, bit in 0_u8..8) {
        let mut mac = crypto::hmac(Digest::Sha256, b"key", &[b"body"]);
        mac[at] ^= 1 << bit;
        let signature = format!("sha256={}", crypto::encode(Encoding::Hex, &mac));
        let scheme = Verify::github(vec![secret("key")]);
        let verified = check(&scheme, &sent(&[("x-hub-signature-256", &signature)], "body"), 0);
        proptest::prop_assert_eq!(verified, Verified::Forged(Forgery::Mismatch));
    }
}
