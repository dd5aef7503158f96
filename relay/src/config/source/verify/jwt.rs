//! Reads how signed tokens (JWT) are checked.

use serde_json::{Value, json};

use crate::config::reader::Section;
use crate::model::verify::{Algorithm, Digest, Jwt, PublicKeyAlgorithm};

use super::super::place::place;
use super::{keys, tolerance};

const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("HS256", Algorithm::Hmac(Digest::Sha256)),
    ("HS384", Algorithm::Hmac(Digest::Sha384)),
    ("HS512", Algorithm::Hmac(Digest::Sha512)),
    ("RS256", Algorithm::PublicKey(PublicKeyAlgorithm::RsaPkcs1Sha256)),
    ("RS384", Algorithm::PublicKey(PublicKeyAlgorithm::RsaPkcs1Sha384)),
    ("RS512", Algorithm::PublicKey(PublicKeyAlgorithm::RsaPkcs1Sha512)),
    (
        "ES256",
        Algorithm::PublicKey(PublicKeyAlgorithm::EcdsaP256Sha256Fixed),
    ),
    (
        "ES384",
        Algorithm::PublicKey(PublicKeyAlgorithm::EcdsaP384Sha384Fixed),
    ),
    ("EdDSA", Algorithm::PublicKey(PublicKeyAlgorithm::Ed25519)),
];

/// Beginnings that lead the reader through every key that it knows.
pub(super) fn openings(scheme: &str) -> Vec<Value> {
    let named = ALGORITHMS.iter();
    named
        .map(|(algorithm, _)| json!({"scheme": scheme, "algorithm": algorithm}))
        .collect()
}

pub(super) fn read(section: &Section<'_>) -> Option<Jwt> {
    let at = place(
        section,
        "in",
        section.string("in").unwrap_or("header:authorization"),
    );
    let named = ALGORITHMS.map(|(name, algorithm)| (name, (name, algorithm)));
    let named = section
        .required("algorithm", "\"RS256\"")
        .and_then(|_| section.choice("algorithm", &named));
    let text = |key| section.string(key).map(str::to_owned);
    let (body_claim, issuer, audience) = (text("body_claim"), text("issuer"), text("audience"));
    let tolerance = tolerance(section);
    let Some((name, algorithm)) = named else {
        // Which keys belong here is not known either, so none is called unknown.
        for key in [
            "secret",
            "secrets",
            "secret_encoding",
            "public_key",
            "public_keys",
            "public_key_encoding",
        ] {
            section.value(key);
        }
        return None;
    };
    let (keys, key_encoding) = keys::read(section, algorithm);
    Some(Jwt {
        at: at?,
        algorithm,
        name,
        keys: keys?,
        key_encoding,
        body_claim,
        issuer,
        audience,
        tolerance,
    })
}
