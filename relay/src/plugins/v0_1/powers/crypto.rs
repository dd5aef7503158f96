//! `crypto`: digests and signatures over secrets and payloads that stay with the relay.

use bytes::Bytes;

use super::secrets::granted;
use crate::crypto::{self, PublicKey};
use crate::model::verify::{Digest, Encoding, PublicKeyAlgorithm};
use crate::plugins::fault::Fault;
use crate::plugins::v0_1::bindings::relay::plugin::crypto as wit;
use crate::plugins::v0_1::bindings::relay::plugin::secrets::SecretError;
use crate::plugins::visit::Visit;

impl wit::Host for Visit {
    fn hmac(
        &mut self,
        secret: String,
        digest: wit::Digest,
        parts: Vec<wit::Part>,
        encoding: wit::Encoding,
    ) -> wasmtime::Result<Result<String, SecretError>> {
        self.count_host_call()?;
        let message = Message::of(self, parts)?;
        Ok(granted(self, &secret).map(|key| encode(encoding, &message.hmac(digest, key))))
    }

    fn hmac_verify(
        &mut self,
        secret: String,
        digest: wit::Digest,
        parts: Vec<wit::Part>,
        signature: String,
        encoding: wit::Encoding,
    ) -> wasmtime::Result<Result<bool, SecretError>> {
        self.count_host_call()?;
        let message = Message::of(self, parts)?;
        Ok(granted(self, &secret).map(|key| {
            decode(encoding, &signature).is_some_and(|given| crypto::same(&message.hmac(digest, key), &given))
        }))
    }

    fn verify(
        &mut self,
        key: wit::Key,
        scheme: wit::Scheme,
        parts: Vec<wit::Part>,
        signature: String,
        encoding: wit::Encoding,
    ) -> wasmtime::Result<Result<bool, SecretError>> {
        self.count_host_call()?;
        let message = Message::of(self, parts)?.join();
        let key = match &key {
            wit::Key::Secret(name) => match granted(self, name) {
                Ok(pem) => PublicKey::Pem(pem),
                Err(error) => return Ok(Err(error)),
            },
            wit::Key::Pem(pem) => PublicKey::Pem(pem),
            wit::Key::Raw(bytes) => PublicKey::Raw(bytes),
        };
        let Some(signature) = decode(encoding, &signature) else {
            return Ok(Ok(false));
        };
        Ok(Ok(crypto::verify(scheme.into(), key, &message, &signature)))
    }

    fn hash(
        &mut self,
        digest: wit::Digest,
        parts: Vec<wit::Part>,
        encoding: wit::Encoding,
    ) -> wasmtime::Result<String> {
        self.count_host_call()?;
        let message = Message::of(self, parts)?;
        Ok(encode(encoding, &crypto::hash(digest.into(), &message.slices())))
    }

    fn equals(&mut self, secret: String, given: String) -> wasmtime::Result<Result<bool, SecretError>> {
        self.count_host_call()?;
        Ok(granted(self, &secret).map(|known| crypto::same(known.as_bytes(), given.as_bytes())))
    }
}

/// Bytes that may be hashed in one call: nothing can interrupt the relay's own work.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The parts of a message, payloads shared.
struct Message(Vec<Bytes>);

impl Message {
    fn of(visit: &mut Visit, parts: Vec<wit::Part>) -> wasmtime::Result<Self> {
        let message = Self::gather(visit, parts)?;
        if message.0.iter().map(Bytes::len).sum::<usize>() > MESSAGE_BYTES_MAX {
            let fault = Fault::over_limit(format!(
                "it had more than {MESSAGE_BYTES_MAX} bytes hashed at once"
            ));
            return Err(visit.stop(fault));
        }
        Ok(message)
    }

    fn gather(visit: &Visit, parts: Vec<wit::Part>) -> wasmtime::Result<Self> {
        let part = |part| match part {
            wit::Part::Text(text) => Ok(Bytes::from(text)),
            wit::Part::Bytes(bytes) => Ok(Bytes::from(bytes)),
            wit::Part::Blob(of) => visit
                .blob(of)
                .cloned()
                .ok_or_else(|| wasmtime::Error::msg(format!("there is no payload {of} in this call"))),
        };
        parts
            .into_iter()
            .map(part)
            .collect::<wasmtime::Result<_>>()
            .map(Self)
    }

    fn slices(&self) -> Vec<&[u8]> {
        self.0.iter().map(AsRef::as_ref).collect()
    }

    fn hmac(&self, digest: wit::Digest, key: &str) -> Vec<u8> {
        crypto::hmac(digest.into(), key.as_bytes(), &self.slices())
    }

    fn join(self) -> Bytes {
        match <[Bytes; 1]>::try_from(self.0) {
            Ok([only]) => only,
            Err(parts) => parts.concat().into(),
        }
    }
}

fn encode(encoding: wit::Encoding, bytes: &[u8]) -> String {
    crypto::encode(encoding.into(), bytes)
}

fn decode(encoding: wit::Encoding, text: &str) -> Option<Vec<u8>> {
    crypto::decode(encoding.into(), text)
}

impl From<wit::Digest> for Digest {
    fn from(digest: wit::Digest) -> Self {
        match digest {
            wit::Digest::Sha1 => Self::Sha1,
            wit::Digest::Sha256 => Self::Sha256,
            wit::Digest::Sha512 => Self::Sha512,
        }
    }
}

impl From<wit::Encoding> for Encoding {
    fn from(encoding: wit::Encoding) -> Self {
        match encoding {
            wit::Encoding::Hex => Self::Hex,
            wit::Encoding::Base64 => Self::Base64,
            wit::Encoding::Base64url => Self::Base64Url,
        }
    }
}

impl From<wit::Scheme> for PublicKeyAlgorithm {
    fn from(scheme: wit::Scheme) -> Self {
        match scheme {
            wit::Scheme::Ed25519 => Self::Ed25519,
            wit::Scheme::EcdsaP256Sha256 => Self::EcdsaP256Sha256,
            wit::Scheme::RsaPkcs1Sha256 => Self::RsaPkcs1Sha256,
        }
    }
}
