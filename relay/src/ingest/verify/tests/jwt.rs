//! Signed tokens: what they bind, how long they hold, and whose choice the algorithm is.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;

fn base64url(bytes: &[u8]) -> String {
    crypto::encode(Encoding::Base64Url, bytes)
}

fn signed(head: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let text = format!(
        "{}.{}",
        base64url(head.to_string().as_bytes()),
        base64url(claims.to_string().as_bytes())
    );
    format!("{text}.{}", base64url(&sign(text.as_bytes())))
}

fn hs256(claims: &Value) -> String {
    signed(&json!({"alg": "HS256"}), claims, |text| {
        crypto::hmac(Digest::Sha256, b"k", &[text])
    })
}

fn checked(verify: &str, token: &str, body: &str, now: i64) -> Verified {
    let bearer = format!("Bearer {token}");
    check(
        &settings(verify),
        &sent(&[("authorization", &bearer)], body.to_owned()),
        now,
    )
}

/// The example of RFC 7515, appendix A.1.
#[test]
fn the_standards_example_is_genuine() {
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
        .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
        .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let verify = "scheme = \"jwt\", algorithm = \"HS256\", issuer = \"joe\", secret_encoding = \"base64url\", \
        secret = \"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"";
    assert_eq!(checked(verify, token, "", 1_300_819_380), Verified::Genuine);
    let changed = token.replace(".eyJpc3Mi", ".eyJpc3Nj");
    assert_eq!(
        checked(verify, &changed, "", 1_300_819_380),
        Verified::Forged(Forgery::Mismatch)
    );
}

#[test]
fn the_body_is_bound_by_its_digest() {
    let body = r#"{"event":{"type":"user.create"}}"#;
    let digest = crypto::hash(Digest::Sha256, &[body.as_bytes()]);
    let scheme = settings("scheme = \"fusionauth\", secret = \"k\"");
    for (claims, verified) in [
        (
            json!({"request_body_sha256": crypto::encode(Encoding::Base64, &digest)}),
            Verified::Genuine,
        ),
        (
            json!({"request_body_sha256": crypto::encode(Encoding::Hex, &digest), "exp": 1100}),
            Verified::Genuine,
        ),
        (
            json!({"request_body_sha256": crypto::encode(Encoding::Base64, b"other")}),
            Verified::Forged(Forgery::Mismatch),
        ),
        (
            json!({"request_body_sha256": ""}),
            Verified::Forged(Forgery::Mismatch),
        ),
        (json!({"exp": 1100}), Verified::Forged(Forgery::BodyNotSigned)),
        (
            json!({"request_body_sha256": crypto::encode(Encoding::Base64, &digest), "exp": 600}),
            Verified::Forged(Forgery::Stale),
        ),
    ] {
        let token = hs256(&claims);
        let sent = sent(&[("x-fusionauth-signature-jwt", &token)], body);
        assert_eq!(check(&scheme, &sent, 1000), verified, "{claims}");
    }
}

#[test]
fn a_token_that_binds_no_body_has_to_end() {
    let verify = "scheme = \"jwt\", algorithm = \"HS256\", secret = \"k\", tolerance = \"1m\"";
    for (claims, verified) in [
        (json!({"exp": 1000}), Verified::Genuine),
        (json!({"exp": 940}), Verified::Genuine),
        (json!({"exp": 939}), Verified::Forged(Forgery::Stale)),
        (
            json!({"exp": 99999, "nbf": 1061}),
            Verified::Forged(Forgery::Stale),
        ),
        (
            json!({"exp": 99999, "iat": 1061}),
            Verified::Forged(Forgery::Stale),
        ),
        (json!({"iat": 940}), Verified::Genuine),
        (json!({"iat": 939}), Verified::Forged(Forgery::Stale)),
        (json!({"exp": "never"}), Verified::Forged(Forgery::NoTime)),
        (json!({}), Verified::Forged(Forgery::NoTime)),
    ] {
        assert_eq!(checked(verify, &hs256(&claims), "{}", 1000), verified, "{claims}");
    }
}

#[test]
fn issuer_and_audience_count_where_they_are_named() {
    let verify = "scheme = \"jwt\", algorithm = \"HS256\", secret = \"k\", issuer = \"i\", audience = \"a\"";
    for (claims, is_genuine) in [
        (json!({"exp": 1000, "iss": "i", "aud": "a"}), true),
        (json!({"exp": 1000, "iss": "i", "aud": ["b", "a"]}), true),
        (json!({"exp": 1000, "iss": "i", "aud": ["b"]}), false),
        (json!({"exp": 1000, "iss": "j", "aud": "a"}), false),
        (json!({"exp": 1000}), false),
    ] {
        let found = checked(verify, &hs256(&claims), "", 1000);
        assert_eq!(found == Verified::Genuine, is_genuine, "{claims}");
    }
}

#[test]
fn the_token_does_not_choose_its_algorithm() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key pair");
    let point = pair.public_key().as_ref();
    let prefix = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").expect("hex");
    let key = crypto::encode(Encoding::Base64, &[&prefix, point].concat());
    let verify = format!("scheme = \"jwt\", algorithm = \"ES256\", public_key = \"{key}\"");
    let claims = json!({"exp": 1000});
    let es256 = |text: &[u8]| {
        pair.sign(&SystemRandom::new(), text)
            .expect("a signature")
            .as_ref()
            .to_vec()
    };
    let right = signed(&json!({"alg": "ES256"}), &claims, es256);
    assert_eq!(checked(&verify, &right, "", 1000), Verified::Genuine);
    let with_public_key = |text: &[u8]| crypto::hmac(Digest::Sha256, key.as_bytes(), &[text]);
    let other = Forgery::Jwt("is signed with another algorithm");
    for (token, forgery) in [
        (
            signed(&json!({"alg": "HS256"}), &claims, with_public_key),
            other.clone(),
        ),
        (
            signed(&json!({"alg": "none"}), &claims, |_| vec![0]),
            other.clone(),
        ),
        (signed(&json!({}), &claims, es256), other),
        (
            signed(&json!({"alg": "ES256"}), &claims, |_| vec![0; 64]),
            Forgery::Mismatch,
        ),
        (
            signed(&json!({"alg": "ES256", "crit": ["b64"]}), &claims, es256),
            Forgery::Jwt("asks for an extension"),
        ),
        (right.replacen('.', "..", 1), Forgery::Mismatch),
        (
            right[..right.rfind('.').expect("three pieces") + 1].to_owned(),
            Forgery::NoSignature,
        ),
        ("a.b".to_owned(), Forgery::Jwt("has not three pieces")),
        ("a".repeat(9000), Forgery::Jwt("is too long")),
        (".a.AA".to_owned(), Forgery::Jwt("is not readable")),
    ] {
        assert_eq!(
            checked(&verify, &token, "", 1000),
            Verified::Forged(forgery),
            "{token}"
        );
    }
}
