//! What every scheme has to take and to refuse; settings are read as those of a file.

mod handshakes;
mod jwt;
mod vectors;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::config;
use crate::config::reader::Process;
use crate::crypto::{self, standard_webhooks};
use crate::model::secret::Secret;
use crate::model::verify::{
    Algorithm, Digest, Encoding, Handshake, Jwt, Part, Place, Scheme, Signature, TOLERANCE_DEFAULT,
};

use super::*;

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

/// What `verify = { … }` of a source says.
fn settings(verify: &str) -> Verify {
    let text = format!(
        "server.public_url = \"https://hooks.example.com\"\n[[source]]\nname = \"x\"\nverify = {{ {verify} }}"
    );
    let config = config::load(&text, &Process).unwrap_or_else(|faults| panic!("{verify}: {faults:?}"));
    config.sources.into_iter().next().expect("one source").item.verify
}

fn token(at: Vec<Place>, secrets: Vec<Secret>) -> Verify {
    Scheme::Token { at, secrets }.into()
}

fn hmac(digest: Digest, encoding: Encoding, key: &[u8], parts: &[&[u8]]) -> String {
    crypto::encode(encoding, &crypto::hmac(digest, key, parts))
}

fn hmac_hex(key: &[u8], parts: &[&[u8]]) -> String {
    hmac(Digest::Sha256, Encoding::Hex, key, parts)
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn check(verify: &Verify, sent: &Sent, now_secs: i64) -> Verified {
    let request = Request {
        method: &sent.method,
        path: "/in/x",
        query: sent.query,
        headers: &sent.headers,
        body: &sent.body,
    };
    super::verify(verify, &request, Timestamp::from_millis(now_secs * 1000))
}

/// The example of GitHub's documentation.
fn github() -> (Verify, Sent) {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    (
        settings("scheme = \"github\", secret = \"It's a Secret to Everybody\""),
        sent(&[("x-hub-signature-256", signature)], "Hello, World!"),
    )
}

fn stripe_header(key: &str, time: i64, body: &str) -> String {
    let mac = hmac_hex(
        key.as_bytes(),
        &[time.to_string().as_bytes(), b".", body.as_bytes()],
    );
    format!("t={time},v0=00,v1={mac}")
}

#[test]
fn stripe_takes_any_v1_under_any_secret() {
    let scheme = settings("scheme = \"stripe\", secrets = [\"whsec_new\", \"whsec_old\"]");
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
    let scheme = settings(
        "scheme = \"hmac\", header = \"x-signature\", digest = \"sha512\", encoding = \"base64\", \
         secret = \"00ff\", secret_encoding = \"hex\", parts = [\"header:X-Id\", \"literal::\", \"body\"]",
    );
    let signature = hmac(Digest::Sha512, Encoding::Base64, &[0, 255], &[b"7:", b"\xff\x00"]);
    let body = Bytes::from_static(b"\xff\x00");
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
            Scheme::Signature(Signature {
                prefix: "sha256=".to_owned(),
                ..Signature::of_body("x-hub-signature-256", secrets.clone())
            }),
            Scheme::Token {
                at: vec![Place::Header("x-token".to_owned())],
                secrets: secrets.clone(),
            },
            Scheme::Basic {
                user: "u".to_owned(),
                passwords: secrets.clone(),
            },
            Scheme::StandardWebhooks {
                secrets: secrets.clone(),
                tolerance: TOLERANCE_DEFAULT,
            },
            Scheme::Jwt(Jwt {
                at: Place::Header("authorization".to_owned()),
                algorithm: Algorithm::Hmac(Digest::Sha256),
                name: "HS256",
                keys: secrets.clone(),
                key_encoding: None,
                body_claim: None,
                issuer: None,
                audience: None,
                tolerance: TOLERANCE_DEFAULT,
            }),
        ] {
            assert_eq!(
                check(&scheme.clone().into(), &sent, 0),
                Verified::Forged(Forgery::NoSecret),
                "{scheme:?}"
            );
        }
    }
}

#[test]
fn a_scheme_that_leaves_the_body_unsigned_is_refused() {
    let (_, sent) = github();
    let scheme = Signature {
        parts: vec![Part::Literal("fixed".to_owned())],
        ..Signature::of_body("x-hub-signature-256", vec![secret("k")])
    };
    assert_eq!(
        check(&Scheme::Signature(scheme).into(), &sent, 0),
        Verified::Forged(Forgery::BodyNotSigned)
    );
}

#[test]
fn standard_webhooks_are_read_under_both_sets_of_names() {
    let signing = standard_webhooks::SigningKey::parse(&secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        .expect("a valid secret");
    let signature = signing.sign("msg_1", 1000, b"{}");
    let scheme = settings("scheme = \"svix\", secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"");
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
    let scheme = |at| token(vec![at], vec![secret("t0ken"), secret("older")]);
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
fn a_token_stands_at_one_of_several_places() {
    let places = vec![
        Place::Header("authorization".to_owned()),
        Place::Query("access_token".to_owned()),
    ];
    let scheme = token(places, vec![secret("t0ken")]);
    let header = [("authorization", "Bearer t0ken")];
    for (headers, query, is_genuine) in [
        (&header[..], "", true),
        (&[], "access_token=t0ken", true),
        (&header, "access_token=t0ken", false),
        (&[], "access_token=wrong", false),
        (&[], "", false),
    ] {
        let found = check(
            &scheme,
            &Sent {
                query,
                ..sent(headers, "")
            },
            0,
        );
        assert_eq!(found == Verified::Genuine, is_genuine, "{headers:?} {query}");
    }
}

/// As Mailgun does: the signature is a field, and so is all that it covers.
#[test]
fn a_signature_inside_the_body_covers_the_fields_that_are_named() {
    let scheme = settings(
        "scheme = \"hmac\", in = \"body:/signature/signature\", secret = \"k\", \
         timestamp = \"body:/signature/timestamp\", parts = [\"timestamp\", \"body:/signature/token\"]",
    );
    let body = |token: &str| {
        let mac = hmac_hex(b"k", &[b"1000", b"abc"]);
        format!(r#"{{"signature": {{"timestamp": "1000", "token": "{token}", "signature": "{mac}"}}}}"#)
    };
    assert_eq!(check(&scheme, &sent(&[], body("abc")), 1000), Verified::Genuine);
    for (body, now, forgery) in [
        (body("abd"), 1000, Forgery::Mismatch),
        (body("abc"), 1301, Forgery::Stale),
        (
            "{}".to_owned(),
            1000,
            Forgery::Missing("the body's /signature/signature".into()),
        ),
    ] {
        assert_eq!(check(&scheme, &sent(&[], body), now), Verified::Forged(forgery));
    }
}

#[test]
fn a_body_that_twilio_did_not_sign_is_refused() {
    let scheme = settings("scheme = \"twilio\", secret = \"k\"");
    let of_url = hmac(
        Digest::Sha1,
        Encoding::Base64,
        b"k",
        &[b"https://hooks.example.com/in/x"],
    );
    let headers = |kind| [("x-twilio-signature", of_url.as_str()), ("content-type", kind)];
    for (kind, body, verified) in [
        ("application/x-www-form-urlencoded", "", Verified::Genuine),
        ("application/json", "", Verified::Genuine),
        ("application/json", "{}", Verified::Forged(Forgery::BodyNotSigned)),
        (
            "application/x-www-form-urlencoded",
            "a=1",
            Verified::Forged(Forgery::Mismatch),
        ),
    ] {
        assert_eq!(
            check(&scheme, &sent(&headers(kind), body), 0),
            verified,
            "{kind} {body}"
        );
    }
}

#[test]
fn basic_wants_both_user_and_password() {
    let scheme = settings("scheme = \"basic\", user = \"u\", password = \"p:1\"");
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

/// A scheme of every kind, and the headers that it reads.
const KINDS: [(&str, &[&str]); 6] = [
    ("scheme = \"stripe\", secret = \"k\"", &["stripe-signature"]),
    (
        "scheme = \"twilio\", secret = \"k\"",
        &["x-twilio-signature", "content-type"],
    ),
    (
        "scheme = \"zendesk\", secret = \"k\"",
        &[
            "x-zendesk-webhook-signature",
            "x-zendesk-webhook-signature-timestamp",
        ],
    ),
    (
        "scheme = \"fusionauth\", secret = \"k\"",
        &["x-fusionauth-signature-jwt"],
    ),
    (
        "scheme = \"cloudevents\", secret = \"t0ken-of-the-door\", allow_origins = \"sender.example\"",
        &["authorization", "webhook-request-origin"],
    ),
    (
        "scheme = \"basic\", user = \"u\", password = \"p\"",
        &["authorization"],
    ),
];

proptest::proptest! {
    #[test]
    fn no_flipped_bit_of_the_body_is_genuine(
        body in proptest::collection::vec(proptest::num::u8::ANY, 1..200),
        at in proptest::num::usize::ANY,
        bit in 0_u8..8,
    ) {
        let mac = crypto::hmac(Digest::Sha256, b"key", &[&body]);
        let signature = format!("sha256={}", crypto::encode(Encoding::Hex, &mac));
        let scheme = settings("scheme = \"github\", secret = \"key\"");
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
        let scheme = settings("scheme = \"github\", secret = \"key\"");
        let verified = check(&scheme, &sent(&[("x-hub-signature-256", &signature)], "body"), 0);
        proptest::prop_assert_eq!(verified, Verified::Forged(Forgery::Mismatch));
    }

    #[test]
    fn what_nobody_signed_is_refused_whatever_it_is(
        which in 0..KINDS.len(),
        value in "[ -~]{0,40}|(t=|v1=|Basic |Bearer |eyJhbGciOiJIUzI1NiJ9[.])[0-9a-zA-Z+/=.,]{0,60}",
        query in "[!-~]{0,40}|bodySHA256=[0-9a-f]{0,64}",
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..100),
    ) {
        let (scheme, names) = KINDS[which];
        let headers = names.iter().map(|name| {
            let value = HeaderValue::from_str(&value).expect("printable");
            (HeaderName::from_static(name), value)
        });
        let request = Request {
            method: &Method::POST,
            path: "/in/x",
            query: &query,
            headers: &headers.collect(),
            body: &Bytes::from(body),
        };
        let verified = verify(&settings(scheme), &request, Timestamp::from_millis(0));
        proptest::prop_assert!(matches!(verified, Verified::Forged(_)));
    }
}
