//! What an endpoint signs with.

use crate::crypto::standard_webhooks::{KeyError, SigningKey};
use crate::model::secret::Secret;
use crate::store::SigningSecrets;

/// The keys of one endpoint, made ready once and used for every message.
#[derive(Debug, Clone)]
pub struct Signer {
    /// Never empty.
    keys: Vec<SigningKey>,
}

impl Signer {
    /// Signs with each of an endpoint's configured secrets, newest first by convention, so
    /// that receivers can move from one to the next. A `whsec_` makes a `v1` signature, a
    /// `whsk_` a `v1a`.
    ///
    /// # Errors
    /// A secret that is no key, or none at all: nothing leaves the relay unsigned.
    pub fn new(secrets: &[Secret]) -> Result<Self, KeyError> {
        if secrets.is_empty() {
            return Err(KeyError::Empty);
        }
        let keys = secrets.iter().map(SigningKey::parse).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// Signs with the secrets that the relay made for an endpoint: `v1`, and with
    /// [`Own::Both`] `v1a` beside it.
    ///
    /// # Errors
    /// A secret that is no key.
    pub fn own(secrets: &SigningSecrets, with: Own) -> Result<Self, KeyError> {
        let symmetric = SigningKey::parse(&secrets.symmetric)?;
        let keys = match with {
            Own::Symmetric => vec![symmetric],
            Own::Both => vec![symmetric, SigningKey::parse(&secrets.asymmetric)?],
        };
        Ok(Self { keys })
    }

    /// The value of `webhook-signature`: one signature per key, separated by spaces.
    /// `timestamp` is in seconds since 1970; `id` contains no full stop.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut signatures = self.keys.iter().map(|key| key.sign(id, timestamp, body));
        let mut header = signatures.next().unwrap_or_default();
        for signature in signatures {
            header.push(' ');
            header.push_str(&signature);
        }
        header
    }
}

/// With which of its own secrets the relay signs.
///
/// `v1` is what receivers expect and costs about a microsecond of CPU. `v1a` costs over
/// twenty, several times what sending the request does, so it is made only where someone
/// verifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Own {
    /// `v1` alone.
    #[default]
    Symmetric,
    /// `v1`, then `v1a`.
    Both,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crypto::standard_webhooks::{VerifyingKey, generate_symmetric, verify};
    use crate::model::time::Timestamp;

    fn check(signer: &Signer, key: &Secret, verifies: bool) {
        let header = signer.sign("msg_1", 1_700_000_000, b"body");
        let keys = [VerifyingKey::parse(key).unwrap()];
        let now = Timestamp::from_millis(1_700_000_000_000);
        let verified = verify(
            &keys,
            "msg_1",
            "1700000000",
            &header,
            b"body",
            now,
            Duration::ZERO,
        );
        assert_eq!(verified.is_ok(), verifies, "{header}");
    }

    #[test]
    fn every_secret_signs_while_secrets_rotate() {
        let (old, new) = (generate_symmetric(), generate_symmetric());
        let signer = Signer::new(&[new.clone(), old.clone()]).unwrap();
        check(&signer, &new, true);
        check(&signer, &old, true);
        check(&signer, &generate_symmetric(), false);
    }

    #[test]
    fn the_relays_own_secrets_make_v1_and_on_request_v1a() {
        let secrets = SigningKey::generate();
        let public = Secret::new(SigningKey::parse(&secrets.asymmetric).unwrap().public().unwrap());
        for (own, asymmetric) in [(Own::Symmetric, false), (Own::Both, true)] {
            let signer = Signer::own(&secrets, own).unwrap();
            check(&signer, &secrets.symmetric, true);
            check(&signer, &public, asymmetric);
        }
    }

    #[test]
    fn nothing_is_signed_without_a_key() {
        assert!(Signer::new(&[]).is_err());
        assert!(Signer::new(&[Secret::default()]).is_err());
        assert!(Signer::new(&[generate_symmetric(), Secret::new("hunter2".to_owned())]).is_err());
    }
}
