use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::standard_webhooks::{KeyError, SigningKey, VerifyError, VerifyingKey, verify};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIMESTAMP: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SYMMETRIC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const PRIVATE: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
const V1A: &str =
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn check_at(keys: &[&str], id: &str, timestamp: &str, signatures: &str, now: i64) -> Result<(), VerifyError> {
    let keys: Vec<_> = keys
        .iter()
        .map(|key| VerifyingKey::parse(&secret(key)).unwrap())
        .collect();
    let now = Timestamp::from_millis(now * 1000);
    verify(
        &keys,
        id,
        timestamp,
        signatures,
        BODY,
        now,
        Duration::from_secs(300),
    )
}

fn check(keys: &[&str], signatures: &str) -> Result<(), VerifyError> {
    check_at(keys, ID, "1614265330", signatures, TIMESTAMP)
}

#[test]
fn signatures_equal_the_published_ones() {
    for (key, signature, public) in [(SYMMETRIC, V1, None), (PRIVATE, V1A, Some(PUBLIC))] {
        let key = SigningKey::parse(&secret(key)).unwrap();
        assert_eq!(key.sign(ID, TIMESTAMP, BODY), signature);
        assert_eq!(key.public().as_deref(), public);
    }
    assert_eq!(check(&[SYMMETRIC], V1), Ok(()));
    assert_eq!(check(&[PUBLIC], V1A), Ok(()));
}

#[test]
fn the_header_is_a_list_and_one_good_signature_suffices() {
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (keys, header, result) in [
        (&[SYMMETRIC][..], format!("v1,AAAA {V1}"), Ok(())),
        (&[SYMMETRIC], format!("v2,whatever {V1}"), Ok(())),
        (&[SYMMETRIC], format!("  {V1}   {V1A} "), Ok(())),
        (&[SYMMETRIC], format!("junk , {V1A} {V1}"), Ok(())),
        (&[PUBLIC, SYMMETRIC], V1.to_owned(), Ok(())),
        (&[other, SYMMETRIC], V1.to_owned(), Ok(())),
        (&[other], V1.to_owned(), Err(VerifyError::Mismatch)),
        (&[PUBLIC], V1.to_owned(), Err(VerifyError::NoSignature)),
        (&[SYMMETRIC], V1A.to_owned(), Err(VerifyError::NoSignature)),
        (&[SYMMETRIC], String::new(), Err(VerifyError::NoSignature)),
        (&[SYMMETRIC], "v1,".to_owned(), Err(VerifyError::Mismatch)),
        (&[SYMMETRIC], format!("{V1}x"), Err(VerifyError::NoSignature)),
        (&[SYMMETRIC], format!("{V1},{V1}"), Err(VerifyError::NoSignature)),
        (
            &[SYMMETRIC],
            V1.replacen("v1", "V1", 1),
            Err(VerifyError::NoSignature),
        ),
        (
            &[SYMMETRIC],
            V1[..V1.len() - 5].to_owned(),
            Err(VerifyError::NoSignature),
        ),
        (&[SYMMETRIC], "v1,AAAA ".repeat(17), Err(VerifyError::TooMany)),
        (&[], V1.to_owned(), Err(VerifyError::NoKey)),
    ] {
        assert_eq!(check(keys, &header), result, "{keys:?} {header:?}");
    }
}

#[test]
fn the_window_is_inclusive_both_ways() {
    for (offset, result) in [
        (-301, Err(VerifyError::TooNew)),
        (-300, Ok(())),
        (0, Ok(())),
        (300, Ok(())),
        (301, Err(VerifyError::TooOld)),
    ] {
        assert_eq!(
            check_at(&[SYMMETRIC], ID, "1614265330", V1, TIMESTAMP + offset),
            result,
            "{offset}"
        );
    }
}

#[test]
fn malformed_ids_and_timestamps_are_refused() {
    for timestamp in [
        "",
        " 1614265330",
        "1614265330.0",
        "+1614265330",
        "-1",
        "0x1",
        "9999999999999",
        "١",
    ] {
        assert_eq!(
            check_at(&[SYMMETRIC], ID, timestamp, V1, TIMESTAMP),
            Err(VerifyError::Timestamp),
            "{timestamp:?}"
        );
    }
    // Otherwise id and timestamp of one message could be read as those of another.
    for id in ["", "msg.1614265330", "."] {
        assert_eq!(
            check_at(&[SYMMETRIC], id, "1614265330", V1, TIMESTAMP),
            Err(VerifyError::Id),
            "{id:?}"
        );
    }
}

#[test]
fn malformed_keys_say_what_is_wrong() {
    let whsec = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
    let length = |found, wanted| Some(KeyError::Length { found, wanted });
    for (text, error) in [
        (String::new(), Some(KeyError::Empty)),
        (
            SYMMETRIC[6..].to_owned(),
            Some(KeyError::Prefix("`whsec_`, `whsk_`")),
        ),
        ("whsec_".to_owned(), length(0, "24 to 64")),
        ("whsec_?".to_owned(), Some(KeyError::Base64)),
        (whsec(23), length(23, "24 to 64")),
        (whsec(24), None),
        (whsec(32).trim_end_matches('=').to_owned(), None),
        (whsec(64), None),
        (whsec(65), length(65, "24 to 64")),
        (
            format!("whsk_{}", STANDARD.encode([7; 32])),
            length(32, "64, seed and public key,"),
        ),
        (
            format!("whsk_{}", STANDARD.encode([7; 64])),
            Some(KeyError::Mismatch),
        ),
        (PRIVATE.to_owned(), None),
    ] {
        assert_eq!(SigningKey::parse(&secret(&text)).err(), error, "{text:?}");
    }
    for (text, error) in [
        (PRIVATE.to_owned(), KeyError::Prefix("`whsec_`, `whpk_`")),
        (format!("whpk_{}", STANDARD.encode([0; 32])), KeyError::WeakKey),
        (
            format!("whpk_{}", STANDARD.encode([2; 31])),
            KeyError::Length {
                found: 31,
                wanted: "32",
            },
        ),
    ] {
        assert_eq!(VerifyingKey::parse(&secret(&text)).err(), Some(error), "{text:?}");
    }
}

#[test]
fn keys_are_not_shown() {
    for text in [SYMMETRIC, PRIVATE] {
        let shown = format!("{:?}", SigningKey::parse(&secret(text)).unwrap());
        assert!(shown.contains("***") && shown.len() < 24, "{shown}");
    }
}

#[test]
fn generated_secrets_sign_and_verify() {
    let made = SigningKey::generate();
    let other = SigningKey::generate();
    assert_ne!(made.symmetric, other.symmetric);
    for signs in [&made.symmetric, &made.asymmetric] {
        let key = SigningKey::parse(signs).unwrap();
        let verifies = key.public().map_or_else(|| signs.clone(), Secret::new);
        let signature = key.sign(ID, TIMESTAMP, BODY);
        assert_eq!(check(&[verifies.reveal()], &signature), Ok(()));
    }
}

proptest! {
    #[test]
    fn any_body_round_trips_and_no_changed_one_does(
        body in proptest::collection::vec(any::<u8>(), 0..256),
        flipped in any::<u8>(),
    ) {
        for text in [SYMMETRIC, PRIVATE] {
            let key = SigningKey::parse(&secret(text)).unwrap();
            let verifies = VerifyingKey::parse(&secret(if text == SYMMETRIC { SYMMETRIC } else { PUBLIC })).unwrap();
            let signature = key.sign(ID, TIMESTAMP, &body);
            let check = |body: &[u8]| verify(
                std::slice::from_ref(&verifies), ID, "1614265330", &signature, body,
                Timestamp::from_millis(TIMESTAMP * 1000), Duration::ZERO,
            );
            prop_assert_eq!(check(&body), Ok(()));
            let mut changed = body.clone();
            changed.push(flipped);
            prop_assert_eq!(check(&changed), Err(VerifyError::Mismatch));
        }
    }

    #[test]
    fn no_header_makes_verification_panic(id in ".*", timestamp in ".*", signatures in ".*") {
        let key = VerifyingKey::parse(&secret(SYMMETRIC)).unwrap();
        let verified = verify(&[key], &id, &timestamp, &signatures, BODY, Timestamp::from_millis(0), Duration::MAX);
        prop_assert!(verified.is_err());
    }
}
