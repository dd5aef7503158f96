//! `crypto`: digests and signatures over secrets and payloads that stay with the relay.

use bytes::Bytes;

use super::secrets::{mismatch, work};
use crate::crypto::{self, PublicKey};
use crate::model::verify::{Digest, Encoding, PublicKeyAlgorithm};
use crate::plugins::fault::Fault;
use crate::plugins::keys::{Piece, Work, Worked};
use crate::plugins::v0_1::bindings::relay::plugin::crypto as wit;
use crate::plugins::v0_1::bindings::relay::plugin::secrets::SecretError;
use crate::plugins::visit::Visit;

impl wit::Host for Visit {
    async fn hmac(
        &mut self,
        secret: String,
        digest: wit::Digest,
        parts: Vec<wit::Part>,
        encoding: wit::Encoding,
    ) -> wasmtime::Result<Result<String, SecretError>> {
        self.count_host_call()?;
        let message = Message::of(self, parts)?;
        Ok(
            match work(self, secret, Work::Hmac(digest.into()), message.0).await? {
                Ok(Worked::Bytes(signature)) => Ok(encode(encoding, &signature)),
                Ok(other) => return Err(mismatch(&other)),
                Err(error) => Err(error),
            },
        )
    }

    async fn hmac_verify(
        &mut self,
        secret: String,
        digest: wit::Digest,
        parts: Vec<wit::Part>,
        signature: String,
        encoding: wit::Encoding,
    ) -> wasmtime::Result<Result<bool, SecretError>> {
        self.count_host_call()?;
        let message = Message::of(self, parts)?;
        let given = decode(encoding, &signature);
        verdict(self, secret, Work::HmacIs(digest.into(), given), message).await
    }

    async fn verify(
        &mut self,
        key: wit::Key,
        scheme: wit::Scheme,
        parts: Vec<wit::Part>,
        signature: String,
        encoding: wit::Encoding,
    ) -> wasmtime::Result<Result<bool, SecretError>> {
        self.count_host_call()?;
        let message = Message::of(self, parts)?;
        let given = decode(encoding, &signature);
        let key = match &key {
            wit::Key::Secret(name) => {
                let work = Work::Verify(scheme.into(), given);
                return verdict(self, name.clone(), work, message).await;
            }
            wit::Key::Pem(pem) => PublicKey::Pem(pem),
            wit::Key::Raw(bytes) => PublicKey::Raw(bytes),
        };
        Ok(Ok(given.is_some_and(|given| {
            crypto::verify(scheme.into(), key, &message.join(), &given)
        })))
    }

    async fn hash(
        &mut self,
        digest: wit::Digest,
        parts: Vec<wit::Part>,
        encoding: wit::Encoding,
    ) -> wasmtime::Result<String> {
        self.count_host_call()?;
        let message = Message::of(self, parts)?;
        Ok(encode(encoding, &crypto::hash(digest.into(), &message.slices())))
    }

    async fn equals(&mut self, secret: String, given: String) -> wasmtime::Result<Result<bool, SecretError>> {
        self.count_host_call()?;
        verdict(self, secret, Work::Equals(given), Message(Vec::new())).await
    }
}

async fn verdict(
    visit: &mut Visit,
    secret: String,
    task: Work,
    message: Message,
) -> wasmtime::Result<Result<bool, SecretError>> {
    Ok(match work(visit, secret, task, message.0).await? {
        Ok(Worked::Verdict(is_so)) => Ok(is_so),
        Ok(other) => return Err(mismatch(&other)),
        Err(error) => Err(error),
    })
}

/// Bytes that may be hashed in one call: nothing can interrupt the relay's own work.
pub(in crate::plugins) const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The parts of a message, payloads shared.
struct Message(Vec<Piece>);

impl Message {
    fn of(visit: &mut Visit, parts: Vec<wit::Part>) -> wasmtime::Result<Self> {
        let message = Self::gather(visit, parts)?;
        if message.slices().iter().map(|piece| piece.len()).sum::<usize>() > MESSAGE_BYTES_MAX {
            let fault = Fault::over_limit(format!(
                "it had more than {MESSAGE_BYTES_MAX} bytes hashed at once"
            ));
            return Err(visit.stop(fault));
        }
        Ok(message)
    }

    fn gather(visit: &Visit, parts: Vec<wit::Part>) -> wasmtime::Result<Self> {
        let given = |bytes: Bytes| Piece { bytes, held: None };
        let part = |part| match part {
            wit::Part::Text(text) => Ok(given(Bytes::from(text))),
            wit::Part::Bytes(bytes) => Ok(given(Bytes::from(bytes))),
            wit::Part::Blob(of) => match visit.blob(of) {
                Some(bytes) => Ok(Piece {
                    bytes: bytes.clone(),
                    held: Some(of.wrapping_sub(visit.data_number())),
                }),
                None => Err(wasmtime::Error::msg(format!(
                    "there is no payload {of} in this call"
                ))),
            },
        };
        parts
            .into_iter()
            .map(part)
            .collect::<wasmtime::Result<_>>()
            .map(Self)
    }

    fn slices(&self) -> Vec<&[u8]> {
        self.0.iter().map(|piece| piece.bytes.as_ref()).collect()
    }

    fn join(self) -> Bytes {
        match <[Piece; 1]>::try_from(self.0) {
            Ok([only]) => only.bytes,
            Err(pieces) => {
                let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.bytes.as_ref()).collect();
                pieces.concat().into()
            }
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
