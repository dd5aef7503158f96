//! The keys of a scheme, and what was signed with them.

use crate::crypto::{self, PublicKey};
use crate::model::secret::Secret;
use crate::model::verify::{Algorithm, Encoding};

use super::Forgery;

/// A secret of an HMAC or a public key.
pub(super) enum Key<'s> {
    /// As it was given: the bytes of a secret, or PEM or its bare base64.
    Text(&'s str),
    /// Decoded.
    Bytes(Vec<u8>),
}

/// The keys of all secrets that are not empty.
pub(super) fn keys(secrets: &[Secret], encoding: Option<Encoding>) -> Result<Vec<Key<'_>>, Forgery> {
    let secrets = || secrets.iter().filter(|secret| !secret.is_empty());
    if secrets().next().is_none() {
        return Err(Forgery::NoSecret);
    }
    let keys: Vec<_> = secrets()
        .filter_map(|secret| Key::read(secret, encoding))
        .collect();
    if keys.is_empty() {
        Err(Forgery::UnusableSecret)
    } else {
        Ok(keys)
    }
}

impl<'s> Key<'s> {
    fn read(secret: &'s Secret, encoding: Option<Encoding>) -> Option<Self> {
        match encoding {
            None => Some(Self::Text(secret.reveal())),
            Some(encoding) => crypto::decode(encoding, secret.reveal())
                .filter(|key| !key.is_empty())
                .map(Self::Bytes),
        }
    }

    /// The bytes of a secret.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Whether one of the signatures is over these parts and by the owner of this key.
    pub(super) fn made(&self, algorithm: Algorithm, parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
        match algorithm {
            Algorithm::Hmac(digest) => {
                let right = crypto::hmac(digest, self.bytes(), parts);
                signatures.iter().any(|given| crypto::same(&right, given))
            }
            Algorithm::PublicKey(algorithm) => {
                let message = parts.concat();
                signatures
                    .iter()
                    .any(|given| crypto::verify(algorithm, self.public(), &message, given))
            }
        }
    }

    const fn public(&self) -> PublicKey<'_> {
        match self {
            Self::Text(text) => PublicKey::Pem(text),
            Self::Bytes(bytes) => PublicKey::Raw(bytes.as_slice()),
        }
    }
}
