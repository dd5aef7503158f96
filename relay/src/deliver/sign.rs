//! What an endpoint signs with.

use crate::crypto::standard_webhooks::{KeyError, SigningKey};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::store::Retiring;

/// The keys of one endpoint, made ready once and used for every message.
#[derive(Debug, Clone)]
pub struct Signer {
    /// Never empty.
    keys: Vec<SigningKey>,
    /// What was replaced, and until when it still signs.
    retiring: Vec<(SigningKey, Timestamp)>,
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
        Ok(Self {
            keys,
            retiring: Vec::new(),
        })
    }

    /// Signs with what was replaced, too, until its time is over.
    ///
    /// # Errors
    /// A secret that is no key.
    pub fn beside(self, retiring: &[Retiring]) -> Result<Self, KeyError> {
        let key = |retiring: &Retiring| Ok((SigningKey::parse(&retiring.secret)?, retiring.until));
        Ok(Self {
            retiring: retiring.iter().map(key).collect::<Result<_, _>>()?,
            ..self
        })
    }

    /// The value of `webhook-signature`: one signature per key, separated by spaces.
    /// `timestamp` is in seconds since 1970; `id` contains no full stop.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let now = Timestamp::from_millis(timestamp.saturating_mul(1000));
        let retiring = self.retiring.iter().filter(|(_, until)| now < *until);
        let keys = self.keys.iter().chain(retiring.map(|(key, _)| key));
        let mut signatures = keys.map(|key| key.sign(id, timestamp, body));
        let mut header = signatures.next().unwrap_or_default();
        for signature in signatures {
            header.push(' ');
            header.push_str(&signature);
        }
        header
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crypto::standard_webhooks::{VerifyingKey, generate_symmetric, verify};

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
    fn a_secret_that_was_replaced_signs_until_its_time_is_over() {
        let (old, new) = (generate_symmetric(), generate_symmetric());
        for (until_ms, verifies) in [(1_700_000_000_001, true), (1_700_000_000_000, false)] {
            let retiring = [Retiring {
                secret: old.clone(),
                until: Timestamp::from_millis(until_ms),
            }];
            let signer = Signer::new(std::slice::from_ref(&new)).unwrap();
            let signer = signer.beside(&retiring).unwrap();
            check(&signer, &new, true);
            check(&signer, &old, verifies);
        }
    }

    #[test]
    fn nothing_is_signed_without_a_key() {
        assert!(Signer::new(&[]).is_err());
        assert!(Signer::new(&[Secret::default()]).is_err());
        assert!(Signer::new(&[generate_symmetric(), Secret::new("hunter2".to_owned())]).is_err());
    }
}
