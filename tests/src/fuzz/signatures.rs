//! Signatures: a post that counts as genuine has a body that the sender signed, byte for byte.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use relay::config;
use relay::ingest::verify::{Verified, verify};
use relay::model::source::Source;

use crate::sign::{hmac_sha256, hmac_sha256_hex, standard_webhooks};

use super::{NOW, Nowhere, Post, Target};

pub(super) const TARGET: Target = Target {
    name: "signatures",
    seeds: || GENUINE.values().cloned().collect(),
    words: &[
        "v1,",
        "v1a,",
        "v0=",
        "t=",
        ",",
        " ",
        "=",
        "sha256=",
        "Bearer ",
        "Basic ",
        "webhook-id: ",
        "webhook-signature: ",
        "webhook-timestamp: ",
        "svix-signature: ",
        "x-sig: ",
        "authorization: ",
        "x-token: ",
        "1700000000",
        "bm9uZQ",
        "{\"alg\":\"none\"}",
        "eyJhbGciOiJub25lIn0",
        "..",
        "?token=",
        "\u{0}",
    ],
    run,
};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const WHSEC: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const BODY: &str = "{\"type\": \"a.b\", \"total\": 5}";
const TIME: &str = "1700000000";

/// The doors: one for each way to prove who posts.
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let schemes = [
        (
            "standard",
            format!(r#"scheme = "standard-webhooks", secret = "{WHSEC}""#),
        ),
        (
            "github",
            format!(r#"scheme = "hmac", header = "x-sig", prefix = "sha256=", secret = "{KEY}""#),
        ),
        (
            "base64",
            format!(r#"scheme = "hmac", header = "x-sig", encoding = "base64", secret = "{KEY}""#),
        ),
        (
            "stripe",
            format!(
                r#"scheme = "hmac", header = "x-sig", separator = ",", prefix = "v1=", timestamp = "x-sig", timestamp_prefix = "t=", parts = ["timestamp", "literal:.", "body"], secret = "{KEY}""#
            ),
        ),
        (
            "slack",
            format!(
                r#"scheme = "hmac", header = "x-sig", prefix = "v0=", timestamp = "x-time", parts = ["literal:v0:", "timestamp", "literal::", "body"], secret = "{KEY}""#
            ),
        ),
        (
            "jwt",
            format!(r#"scheme = "jwt", algorithm = "HS256", body_claim = "h", secret = "{KEY}""#),
        ),
        (
            "token",
            format!(r#"scheme = "token", in = ["header:x-token", "query:token"], secret = "{KEY}""#),
        ),
        (
            "basic",
            format!(r#"scheme = "basic", user = "u", password = "{KEY}""#),
        ),
    ];
    let source =
        |(name, verify): &(&str, String)| format!("[[source]]\nname = \"{name}\"\nverify = {{ {verify} }}\n");
    let text: String = schemes.iter().map(source).collect();
    config::load(&text, &Nowhere)
        .expect("the sources are valid")
        .sources
        .into_iter()
        .map(|declared| declared.item)
        .collect()
});

/// A genuine post to each door.
static GENUINE: LazyLock<BTreeMap<&str, Vec<u8>>> = LazyLock::new(|| {
    let body = BODY.as_bytes();
    let hex = |parts: &[&[u8]]| hmac_sha256_hex(KEY.as_bytes(), parts);
    let claims = {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
        let digest = STANDARD.encode(digest);
        let piece = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!(
            "{}.{}",
            piece(r#"{"alg":"HS256"}"#),
            piece(&format!(r#"{{"iat":{TIME},"h":"{digest}"}}"#))
        )
    };
    let token = URL_SAFE_NO_PAD.encode(hmac_sha256(KEY.as_bytes(), &[claims.as_bytes()]));
    let stripe = hex(&[TIME.as_bytes(), b".", body]);
    let slack = hex(&[b"v0:", TIME.as_bytes(), b":", body]);
    let standard = standard_webhooks(WHSEC, "msg_1", TIME, body);
    let basic = STANDARD.encode(format!("u:{KEY}"));
    [
        (
            "standard",
            format!("webhook-id: msg_1\nwebhook-timestamp: {TIME}\nwebhook-signature: {standard}"),
        ),
        ("github", format!("x-sig: sha256={}", hex(&[body]))),
        (
            "base64",
            format!("x-sig: {}", STANDARD.encode(hmac_sha256(KEY.as_bytes(), &[body]))),
        ),
        ("stripe", format!("x-sig: t={TIME},v1={stripe}")),
        ("slack", format!("x-time: {TIME}\nx-sig: v0={slack}")),
        ("jwt", format!("authorization: Bearer {claims}.{token}")),
        ("token", format!("x-token: {KEY}")),
        ("basic", format!("authorization: Basic {basic}")),
    ]
    .map(|(door, headers)| {
        (
            door,
            format!("{door}\n/in/{door}\n{headers}\n\n{BODY}").into_bytes(),
        )
    })
    .into()
});

fn run(input: &[u8]) {
    let Some(post) = Post::read(input) else { return };
    let Some(source) = SOURCES.iter().find(|source| source.name == post.door) else {
        return;
    };
    let verified = verify(&source.verify, &post.request(), NOW);
    let is_untouched = GENUINE.values().any(|genuine| genuine == input);
    match verified {
        Verified::Genuine if post.door == "token" => {
            let is_there =
                post.query.contains(KEY) || post.headers.get("x-token").is_some_and(|token| token == KEY);
            assert!(
                is_there || url_decoded(post.query).contains(KEY),
                "{:?}",
                post.headers
            );
        }
        Verified::Genuine if post.door == "basic" => {
            assert!(post.headers.contains_key("authorization"));
        }
        Verified::Genuine => assert_eq!(post.body, BODY, "{}: only this was signed", post.door),
        Verified::Answer(answer) => panic!("nobody asked: {answer:?}"),
        Verified::Forged(forgery) => assert!(!is_untouched, "{}: {forgery}", post.door),
    }
}

fn url_decoded(query: &str) -> String {
    percent_encoding::percent_decode_str(query)
        .decode_utf8_lossy()
        .into_owned()
}
