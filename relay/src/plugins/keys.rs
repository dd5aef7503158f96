//! Work with secrets, done where they are kept: in the relay's own process, wherever plugins run.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use crate::crypto::{self, PublicKey};
use crate::model::verify::{Digest, PublicKeyAlgorithm};

/// What is done with one secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Work {
    /// Hands it over.
    Reveal,
    Hmac(Digest),
    /// Whether that is the HMAC; what could not be decoded is none.
    HmacIs(Digest, Option<Vec<u8>>),
    /// Whether that is a signature by the public key that the secret is.
    Verify(PublicKeyAlgorithm, Option<Vec<u8>>),
    Equals(String),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Worked {
    Text(String),
    Bytes(Vec<u8>),
    Verdict(bool),
}

/// A piece of a message.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Which payload of the visit it is, if it is one.
    pub(super) held: Option<u32>,
}

impl Work {
    /// Does it. Without a suspension, so that nothing of the secret outlives it.
    pub(super) fn with(&self, secret: &str, message: &[&[u8]]) -> Worked {
        match self {
            Self::Reveal => Worked::Text(secret.to_owned()),
            Self::Hmac(digest) => Worked::Bytes(crypto::hmac(*digest, secret.as_bytes(), message)),
            Self::HmacIs(digest, given) => Worked::Verdict(given.as_ref().is_some_and(|given| {
                crypto::same(&crypto::hmac(*digest, secret.as_bytes(), message), given)
            })),
            Self::Verify(algorithm, given) => Worked::Verdict(given.as_ref().is_some_and(|given| {
                crypto::verify(*algorithm, PublicKey::Pem(secret), &message.concat(), given)
            })),
            Self::Equals(given) => Worked::Verdict(crypto::same(secret.as_bytes(), given.as_bytes())),
        }
    }
}

/// Has the secrets of an owner, in another process.
#[async_trait]
pub(super) trait Keys: Send + Sync {
    /// Has work done with one, in this call; `None`: it is not granted.
    ///
    /// # Errors
    /// Nobody did it.
    async fn work(
        &self,
        call: u64,
        name: String,
        work: Work,
        message: Vec<Piece>,
    ) -> Result<Option<Worked>, Fault>;
}

/// Who has them, if it is not this process.
pub(super) type KeysAway = Option<Arc<dyn Keys>>;
