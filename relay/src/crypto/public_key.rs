//! Signatures that are checked with a public key.

use std::borrow::Cow;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_FIXED,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};

use crate::model::verify::PublicKeyAlgorithm;

/// What stands before the 32 bytes of an Ed25519 key in a DER `SubjectPublicKeyInfo`.
const ED25519_SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// Largest PEM text that is looked at, in bytes; an RSA key of 8192 bits takes 1,500.
const PEM_BYTES_MAX: usize = 8 << 10;

/// A public key as it was given.
#[derive(Debug, Clone, Copy)]
pub enum PublicKey<'a> {
    /// PEM, `PUBLIC KEY` or `RSA PUBLIC KEY`; or the base64 inside it without the frame, as
    /// SendGrid shows its keys.
    Pem(&'a str),
    /// The key's own bytes: 32 for Ed25519, an uncompressed point for P-256, a DER
    /// `RSAPublicKey` for RSA; or a DER `SubjectPublicKeyInfo` for any.
    Raw(&'a [u8]),
}

/// Whether `signature` is the key owner's over `message`. What cannot be read is false.
pub fn verify(algorithm: PublicKeyAlgorithm, key: PublicKey<'_>, message: &[u8], signature: &[u8]) -> bool {
    let Some(key) = key.bytes() else { return false };
    match library_algorithm(algorithm) {
        None => verify_ed25519(&key, message, signature),
        Some(algorithm) => UnparsedPublicKey::new(algorithm, key)
            .verify(message, signature)
            .is_ok(),
    }
}

/// Whether anything can be verified with a key. An Ed25519 key of small order is no such key:
/// anyone can sign under it.
pub fn is_usable(algorithm: PublicKeyAlgorithm, key: PublicKey<'_>) -> bool {
    let Some(key) = key.bytes() else { return false };
    match library_algorithm(algorithm) {
        None => ed25519_key(&key).is_some_and(|key| !key.is_weak()),
        Some(algorithm) => ParsedPublicKey::new(algorithm, key).is_ok(),
    }
}

/// What the library checks; `None` for Ed25519, which it does not check strictly.
fn library_algorithm(algorithm: PublicKeyAlgorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        PublicKeyAlgorithm::Ed25519 => return None,
        PublicKeyAlgorithm::EcdsaP256Sha256 => &ECDSA_P256_SHA256_ASN1,
        PublicKeyAlgorithm::EcdsaP256Sha256Fixed => &ECDSA_P256_SHA256_FIXED,
        PublicKeyAlgorithm::EcdsaP384Sha384 => &ECDSA_P384_SHA384_ASN1,
        PublicKeyAlgorithm::EcdsaP384Sha384Fixed => &ECDSA_P384_SHA384_FIXED,
        PublicKeyAlgorithm::RsaPkcs1Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        PublicKeyAlgorithm::RsaPkcs1Sha384 => &RSA_PKCS1_2048_8192_SHA384,
        PublicKeyAlgorithm::RsaPkcs1Sha512 => &RSA_PKCS1_2048_8192_SHA512,
    })
}

fn verify_ed25519(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Some(key), Ok(signature)) = (ed25519_key(key), Signature::from_slice(signature)) else {
        return false;
    };
    key.verify_strict(message, &signature).is_ok()
}

fn ed25519_key(bytes: &[u8]) -> Option<VerifyingKey> {
    let bytes = bytes.strip_prefix(&ED25519_SPKI_PREFIX).unwrap_or(bytes);
    VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()
}

impl<'a> PublicKey<'a> {
    fn bytes(self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Raw(bytes) => Some(Cow::Borrowed(bytes)),
            Self::Pem(text) => pem_bytes(text).map(Cow::Owned),
        }
    }
}

/// The DER inside a PEM text, or inside its bare base64.
fn pem_bytes(text: &str) -> Option<Vec<u8>> {
    if text.len() > PEM_BYTES_MAX {
        return None;
    }
    let framed = ["PUBLIC KEY", "RSA PUBLIC KEY"].into_iter().find_map(|label| {
        let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
        Some(rest.split_once(&format!("-----END {label}-----"))?.0)
    });
    let base64: String = framed.unwrap_or(text).split_ascii_whitespace().collect();
    STANDARD.decode(base64).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    };
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    fn spki_pem(der: &[u8]) -> String {
        let base64 = STANDARD.encode(der);
        let lines: Vec<_> = base64
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        )
    }

    /// The right signature passes; changed ones, over changed messages, do not.
    fn check(algorithm: PublicKeyAlgorithm, key: PublicKey<'_>, message: &[u8], signature: &[u8]) {
        assert!(is_usable(algorithm, key));
        assert!(verify(algorithm, key, message, signature));
        assert!(!verify(algorithm, key, b"another message", signature));
        assert!(!verify(
            algorithm,
            key,
            message,
            &signature[..signature.len() - 1]
        ));
        assert!(!verify(algorithm, key, message, &[signature, b"x"].concat()));
        assert!(!verify(algorithm, key, message, b""));
    }

    #[test]
    fn ed25519_keys_are_read_raw_and_as_pem() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let signature = key.sign(b"message").to_bytes();
        let spki = [&ED25519_SPKI_PREFIX[..], &public].concat();
        check(
            PublicKeyAlgorithm::Ed25519,
            PublicKey::Raw(&public),
            b"message",
            &signature,
        );
        check(
            PublicKeyAlgorithm::Ed25519,
            PublicKey::Pem(&spki_pem(&spki)),
            b"message",
            &signature,
        );
        check(
            PublicKeyAlgorithm::Ed25519,
            PublicKey::Pem(&STANDARD.encode(&spki)),
            b"message",
            &signature,
        );
    }

    #[test]
    fn the_all_zero_ed25519_key_signs_nothing() {
        assert!(!verify(
            PublicKeyAlgorithm::Ed25519,
            PublicKey::Raw(&[0; 32]),
            b"message",
            &[0; 64]
        ));
        assert!(!is_usable(PublicKeyAlgorithm::Ed25519, PublicKey::Raw(&[0; 32])));
        let mut identity = [0; 32];
        identity[0] = 1;
        let signature = [&identity[..], &[0; 32]].concat();
        assert!(!verify(
            PublicKeyAlgorithm::Ed25519,
            PublicKey::Raw(&identity),
            b"message",
            &signature
        ));
    }

    #[test]
    fn p256_keys_are_read_as_a_point_and_as_der() {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let signature = pair.sign(&random, b"message").unwrap();
        check(
            PublicKeyAlgorithm::EcdsaP256Sha256,
            PublicKey::Raw(pair.public_key().as_ref()),
            b"message",
            signature.as_ref(),
        );
        let prefix = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
        let spki = [&prefix, pair.public_key().as_ref()].concat();
        check(
            PublicKeyAlgorithm::EcdsaP256Sha256,
            PublicKey::Pem(&spki_pem(&spki)),
            b"message",
            signature.as_ref(),
        );
        check(
            PublicKeyAlgorithm::EcdsaP256Sha256,
            PublicKey::Pem(&STANDARD.encode(spki)),
            b"message",
            signature.as_ref(),
        );
    }

    #[test]
    fn rsa_keys_are_read_as_pkcs1() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            b"message",
            &mut signature,
        )
        .unwrap();
        let key = pair.public_key().as_ref();
        check(
            PublicKeyAlgorithm::RsaPkcs1Sha256,
            PublicKey::Raw(key),
            b"message",
            &signature,
        );
        let pem = spki_pem(key).replace("PUBLIC KEY", "RSA PUBLIC KEY");
        check(
            PublicKeyAlgorithm::RsaPkcs1Sha256,
            PublicKey::Pem(&pem),
            b"message",
            &signature,
        );
    }

    #[test]
    fn what_is_no_key_verifies_nothing() {
        for algorithm in [
            PublicKeyAlgorithm::Ed25519,
            PublicKeyAlgorithm::EcdsaP256Sha256,
            PublicKeyAlgorithm::RsaPkcs1Sha256,
        ] {
            for key in [
                PublicKey::Raw(b""),
                PublicKey::Raw(b"x"),
                PublicKey::Pem(""),
                PublicKey::Pem("-----BEGIN"),
            ] {
                assert!(!verify(algorithm, key, b"", b""), "{algorithm:?} {key:?}");
                assert!(!is_usable(algorithm, key), "{algorithm:?} {key:?}");
            }
        }
    }
}
