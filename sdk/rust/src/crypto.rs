//! Native, constant-time crypto over secrets and payloads that the relay holds.
//!
//! ```
//! # use relay_sdk::prelude::*;
//! use relay_sdk::crypto::{Digest, Encoding};
//!
//! fn is_genuine(request: &Request) -> Result<bool, Fault> {
//!     let given = request.header("x-signature").or_invalid("no signature")?;
//!     Ok(crypto::hmac_verify("signing-key", Digest::Sha256, &[request.body().into()], &given, Encoding::Hex)?)
//! }
//! ```

use crate::secrets::SecretError;
use crate::{Payload, host};

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// SHA-1, for senders that know no better.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How a digest or signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Lower-case hexadecimal; read in either case.
    Hex,
    /// Base64 with padding.
    Base64,
    /// URL-safe Base64 without padding.
    Base64Url,
}

/// A public-key signature scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Checked strictly: no small-order keys.
    Ed25519,
    /// Signatures are DER.
    EcdsaP256Sha256,
    /// PKCS #1 v1.5.
    RsaPkcs1Sha256,
}

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    /// The name of a granted secret that holds PEM.
    Secret(&'a str),
    /// PEM.
    Pem(&'a str),
    /// The key's own bytes: 32 for Ed25519, an uncompressed point for P-256, a DER RSAPublicKey.
    Raw(&'a [u8]),
}

/// A piece of a message; the message is the concatenation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A payload that the relay holds, which need not enter the plugin.
    Payload(Payload),
}

impl<'a> From<&'a str> for Part<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Part<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Part<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Payload> for Part<'_> {
    fn from(payload: Payload) -> Self {
        Self::Payload(payload)
    }
}

/// The keyed hash of a message under a granted secret.
///
/// # Errors
/// If the secret is not granted, or cannot be read now.
pub fn hmac(
    secret: &str,
    digest: Digest,
    parts: &[Part<'_>],
    encoding: Encoding,
) -> Result<String, SecretError> {
    host::hmac(secret, digest, parts, encoding)
}

/// Whether a keyed hash is right, in constant time. What does not decode is not.
///
/// # Errors
/// If the secret is not granted, or cannot be read now.
pub fn hmac_verify(
    secret: &str,
    digest: Digest,
    parts: &[Part<'_>],
    signature: &str,
    encoding: Encoding,
) -> Result<bool, SecretError> {
    host::hmac_verify(secret, digest, parts, signature, encoding)
}

/// Whether a signature is right. What does not decode is not.
///
/// # Errors
/// If the secret that holds the key is not granted, or cannot be read now.
pub fn verify(
    key: Key<'_>,
    scheme: Scheme,
    parts: &[Part<'_>],
    signature: &str,
    encoding: Encoding,
) -> Result<bool, SecretError> {
    host::verify(key, scheme, parts, signature, encoding)
}

/// The hash of a message.
pub fn hash(digest: Digest, parts: &[Part<'_>], encoding: Encoding) -> String {
    host::hash(digest, parts, encoding)
}

/// Whether `given` is the granted secret, in constant time.
///
/// # Errors
/// If the secret is not granted, or cannot be read now.
pub fn equals(secret: &str, given: &str) -> Result<bool, SecretError> {
    host::equals(secret, given)
}
