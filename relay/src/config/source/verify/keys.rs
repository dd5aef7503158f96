//! Reads the secrets and public keys that posts are checked with.

use crate::config::reader::Section;
use crate::crypto::{self, PublicKey};
use crate::model::secret::Secret;
use crate::model::verify::{Algorithm, Encoding, PublicKeyAlgorithm};

use super::ENCODINGS;

/// Most secrets of one source: each is tried on a post that fits none.
const SECRETS_MAX: usize = 16;

/// What the keys of an algorithm are called, how they are written, and themselves.
pub(super) fn read(section: &Section<'_>, algorithm: Algorithm) -> (Option<Vec<Secret>>, Option<Encoding>) {
    match algorithm {
        Algorithm::Hmac(_) => {
            let encoding = section.choice("secret_encoding", &ENCODINGS);
            let secrets = secrets(section, "secret", "secrets");
            check_encoding(section, encoding, secrets.as_deref().unwrap_or_default());
            (secrets, encoding)
        }
        Algorithm::PublicKey(algorithm) => {
            let encoding = section.choice("public_key_encoding", &ENCODINGS);
            let keys = secrets(section, "public_key", "public_keys");
            check_public_keys(section, algorithm, encoding, keys.as_deref().unwrap_or_default());
            (keys, encoding)
        }
    }
}

/// One secret or several, under either key; never none.
pub(super) fn secrets(section: &Section<'_>, one: &'static str, many: &'static str) -> Option<Vec<Secret>> {
    let is_given = section.has(one) || section.has(many);
    let mut secrets = section.secrets(one).unwrap_or_default();
    secrets.extend(section.secrets(many).unwrap_or_default());
    if !is_given {
        section.fault(
            one,
            "is missing",
            format!("give it, as in {one} = {{ env = \"NAME\" }}"),
        );
    } else if matches!(section.value(many), Some(serde_json::Value::Array(list)) if list.is_empty()) {
        section.fault(
            many,
            "is an empty list",
            "without a secret every post would be refused",
        );
    }
    if secrets.len() > SECRETS_MAX {
        let problem = format!("lists {}", secrets.len());
        section.fault(many, problem, format!("give up to {SECRETS_MAX}"));
    }
    (!secrets.is_empty()).then_some(secrets)
}

fn check_encoding(section: &Section<'_>, encoding: Option<Encoding>, secrets: &[Secret]) {
    let Some(encoding) = encoding else { return };
    let is_readable =
        |secret: &Secret| crypto::decode(encoding, secret.reveal()).is_some_and(|key| !key.is_empty());
    if !secrets.iter().all(is_readable) {
        section.fault(
            "secret_encoding",
            "is not how the secret is written",
            "leave it out to use its text",
        );
    }
}

fn check_public_keys(
    section: &Section<'_>,
    algorithm: PublicKeyAlgorithm,
    encoding: Option<Encoding>,
    keys: &[Secret],
) {
    let is_usable = |key: &Secret| match encoding {
        None => crypto::is_usable(algorithm, PublicKey::Pem(key.reveal())),
        Some(encoding) => crypto::decode(encoding, key.reveal())
            .is_some_and(|key| crypto::is_usable(algorithm, PublicKey::Raw(&key))),
    };
    if !keys.iter().all(is_usable) {
        section.fault(
            "public_key",
            "is no key that signatures of this kind can be checked with",
            "give PEM, its base64 in one line, or bare bytes with their public_key_encoding",
        );
    }
}
