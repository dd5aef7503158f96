//! The crypto that the relay does for a plugin.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use crate::crypto::{Digest, Encoding, Key, Scheme};
use crate::secrets::SecretError;

/// Bytes of an Ed25519 public key, and of the same with its DER header.
const KEY_BYTES: usize = 32;
const KEY_DER_BYTES: usize = 44;

pub(crate) fn hmac(digest: Digest, key: &[u8], message: &[u8]) -> Vec<u8> {
    match digest {
        Digest::Sha1 => mac::<Hmac<Sha1>>(key, message),
        Digest::Sha256 => mac::<Hmac<Sha256>>(key, message),
        Digest::Sha512 => mac::<Hmac<Sha512>>(key, message),
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn hash(digest: Digest, message: &[u8]) -> Vec<u8> {
    match digest {
        Digest::Sha1 => Sha1::digest(message).to_vec(),
        Digest::Sha256 => Sha256::digest(message).to_vec(),
        Digest::Sha512 => Sha512::digest(message).to_vec(),
    }
}

pub(crate) fn encode(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        Encoding::Hex => hex::encode(bytes),
        Encoding::Base64 => STANDARD.encode(bytes),
        Encoding::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
    }
}

pub(crate) fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(text).ok(),
        Encoding::Base64 => STANDARD.decode(text).ok(),
        Encoding::Base64Url => URL_SAFE_NO_PAD.decode(text).ok(),
    }
}

/// Ed25519 only: the other schemes would bring a test many crates to build.
pub(crate) fn verify(
    key: Key<'_>,
    scheme: Scheme,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, SecretError> {
    if scheme != Scheme::Ed25519 {
        return Err(SecretError::Unavailable(
            "the testing host verifies Ed25519 only".into(),
        ));
    }
    let bytes = match key {
        Key::Raw(bytes) => Some(bytes.to_vec()),
        Key::Pem(pem) | Key::Secret(pem) => key_of_pem(pem),
    };
    let key = bytes.and_then(|bytes| VerifyingKey::try_from(bytes.as_slice()).ok());
    let signature = Signature::from_slice(signature).ok();
    Ok(key
        .zip(signature)
        .is_some_and(|(key, signature)| key.verify_strict(message, &signature).is_ok()))
}

fn key_of_pem(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = STANDARD
        .decode(body)
        .ok()
        .filter(|der| der.len() == KEY_DER_BYTES)?;
    Some(der[KEY_DER_BYTES - KEY_BYTES..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2, and FIPS 180 for "abc".
    #[test]
    fn digests_match_their_standards() {
        let mac = hmac(Digest::Sha256, b"Jefe", b"what do ya want for nothing?");
        assert_eq!(
            encode(Encoding::Hex, &mac),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            encode(Encoding::Base64, &hash(Digest::Sha1, b"abc")),
            "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="
        );
        assert_eq!(hmac(Digest::Sha512, b"k", b"m").len(), 64);
        assert_eq!(
            decode(Encoding::Base64Url, &encode(Encoding::Base64Url, b"\xff\xfe")),
            Some(b"\xff\xfe".to_vec())
        );
    }

    /// RFC 8032, test 2.
    #[test]
    fn ed25519_is_checked() {
        let key = hex::decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").unwrap();
        let signature = hex::decode(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        )
        .unwrap();
        let verified = |message: &[u8]| verify(Key::Raw(&key), Scheme::Ed25519, message, &signature);
        assert_eq!(verified(&[0x72]), Ok(true));
        assert_eq!(verified(&[0x73]), Ok(false));
        assert!(verify(Key::Raw(&key), Scheme::RsaPkcs1Sha256, b"", b"").is_err());
    }
}
