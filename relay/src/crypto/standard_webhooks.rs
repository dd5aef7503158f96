//! Standard Webhooks: signing and verifying `id.timestamp.body`.
//!
//! `v1` is HMAC-SHA256 under a `whsec_` secret, `v1a` is Ed25519 under a `whsk_` key, which
//! the receiver checks with the `whpk_` key. Works on raw bytes: a body need not be UTF-8.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::Signer as _;

use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::store::SigningSecrets;

/// What an HMAC secret begins with.
pub const SYMMETRIC_PREFIX: &str = "whsec_";
/// What an Ed25519 signing key begins with.
pub const PRIVATE_PREFIX: &str = "whsk_";
/// What an Ed25519 public key begins with.
pub const PUBLIC_PREFIX: &str = "whpk_";
/// Fewest and most bytes of an HMAC secret.
const SYMMETRIC_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of a secret made by the relay.
const SYMMETRIC_BYTES_MADE: usize = 32;
/// Most signatures of one header that are looked at: each Ed25519 check costs some 30 µs.
const SIGNATURES_MAX: usize = 16;
/// Most digits of a timestamp: enough for the year 33658.
const TIMESTAMP_DIGITS_MAX: usize = 12;

/// Secrets are written with padding or without.
const SECRET_BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a secret is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("is empty")]
    Empty,
    #[error("begins with none of {0}")]
    Prefix(&'static str),
    #[error("is not base64 after its prefix")]
    Base64,
    #[error("holds {found} bytes; {wanted} are needed")]
    Length { found: usize, wanted: &'static str },
    #[error("holds a public key that does not belong to its seed")]
    Mismatch,
    #[error("is no Ed25519 public key that can be trusted")]
    WeakKey,
}

/// Why a message is not taken as genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("there is no key to verify with")]
    NoKey,
    #[error("the id is empty or contains a full stop")]
    Id,
    #[error("the timestamp is not a whole number of seconds")]
    Timestamp,
    #[error("the timestamp is too old")]
    TooOld,
    #[error("the timestamp is too far in the future")]
    TooNew,
    #[error("there is no signature of a version that the keys can check")]
    NoSignature,
    #[error("there are more than {SIGNATURES_MAX} signatures")]
    TooMany,
    #[error("no signature matches")]
    Mismatch,
}

/// A key to sign with, made ready so that signing costs little.
#[derive(Clone)]
pub enum SigningKey {
    /// `whsec_…`: makes `v1`.
    Symmetric(Box<hmac::Key>),
    /// `whsk_…`: makes `v1a`.
    Asymmetric(Box<ed25519_dalek::SigningKey>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Symmetric(_) => "SigningKey(v1, ***)",
            Self::Asymmetric(_) => "SigningKey(v1a, ***)",
        })
    }
}

impl SigningKey {
    /// Reads a `whsec_…` or `whsk_…` secret.
    ///
    /// # Errors
    /// Says what is wrong with the secret, never what it is.
    pub fn parse(secret: &Secret) -> Result<Self, KeyError> {
        let text = secret.reveal();
        if let Some(base64) = text.strip_prefix(SYMMETRIC_PREFIX) {
            return symmetric_key(base64).map(Self::Symmetric);
        }
        let Some(base64) = text.strip_prefix(PRIVATE_PREFIX) else {
            return Err(unknown_prefix(text, "`whsec_`, `whsk_`"));
        };
        let pair: [u8; 64] = sized(decode(base64)?, "64, seed and public key,")?;
        let key = ed25519_dalek::SigningKey::from_keypair_bytes(&pair).map_err(|_| KeyError::Mismatch)?;
        Ok(Self::Asymmetric(Box::new(key)))
    }

    /// The signature with its version, as the header lists it. `id` contains no full stop.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let timestamp = timestamp.to_string();
        match self {
            Self::Symmetric(key) => written("v1,", mac(key, id, &timestamp, body).as_ref()),
            Self::Asymmetric(key) => written("v1a,", &key.sign(&content(id, &timestamp, body)).to_bytes()),
        }
    }

    /// The `whpk_…` key that receivers verify with; `None` for an HMAC secret.
    pub fn public(&self) -> Option<String> {
        match self {
            Self::Symmetric(_) => None,
            Self::Asymmetric(key) => Some(written(PUBLIC_PREFIX, key.verifying_key().as_bytes())),
        }
    }

    /// Fresh secrets for an endpoint.
    pub fn generate() -> SigningSecrets {
        let pair = ed25519_dalek::SigningKey::from_bytes(&super::random()).to_keypair_bytes();
        SigningSecrets {
            symmetric: generate_symmetric(),
            asymmetric: Secret::new(written(PRIVATE_PREFIX, &pair)),
        }
    }
}

/// A fresh `whsec_…` secret.
pub fn generate_symmetric() -> Secret {
    Secret::new(written(
        SYMMETRIC_PREFIX,
        &super::random::<SYMMETRIC_BYTES_MADE>(),
    ))
}

/// A key to verify with.
#[derive(Clone)]
pub enum VerifyingKey {
    /// `whsec_…`: checks `v1`.
    Symmetric(Box<hmac::Key>),
    /// `whpk_…`: checks `v1a`.
    Asymmetric(Box<ed25519_dalek::VerifyingKey>),
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Symmetric(_) => "VerifyingKey(v1, ***)",
            Self::Asymmetric(_) => "VerifyingKey(v1a)",
        })
    }
}

impl VerifyingKey {
    /// Reads a `whsec_…` secret or a `whpk_…` key.
    ///
    /// # Errors
    /// Says what is wrong with the secret, never what it is.
    pub fn parse(secret: &Secret) -> Result<Self, KeyError> {
        let text = secret.reveal();
        if let Some(base64) = text.strip_prefix(SYMMETRIC_PREFIX) {
            return symmetric_key(base64).map(Self::Symmetric);
        }
        let Some(base64) = text.strip_prefix(PUBLIC_PREFIX) else {
            return Err(unknown_prefix(text, "`whsec_`, `whpk_`"));
        };
        let key = ed25519_dalek::VerifyingKey::from_bytes(&sized(decode(base64)?, "32")?)
            .map_err(|_| KeyError::WeakKey)?;
        // Anyone can sign under a key of small order.
        if key.is_weak() {
            return Err(KeyError::WeakKey);
        }
        Ok(Self::Asymmetric(Box::new(key)))
    }
}

/// Checks the three headers of a message: one good signature under one key suffices, which
/// is how secrets rotate. The timestamp may be `tolerance` from `now` either way, inclusive.
///
/// # Errors
/// Says why the message is not taken as genuine; for the log, not for the caller.
pub fn verify(
    keys: &[VerifyingKey],
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: Timestamp,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    if keys.is_empty() {
        return Err(VerifyError::NoKey);
    }
    if id.is_empty() || id.contains('.') {
        return Err(VerifyError::Id);
    }
    check_time(timestamp, now, tolerance)?;
    let given = given_signatures(signatures)?;
    let mut checked = false;
    for key in keys {
        match matches(key, &given, id, timestamp, body) {
            Some(true) => return Ok(()),
            Some(false) => checked = true,
            None => {}
        }
    }
    Err(if checked {
        VerifyError::Mismatch
    } else {
        VerifyError::NoSignature
    })
}

fn check_time(timestamp: &str, now: Timestamp, tolerance: Duration) -> Result<(), VerifyError> {
    if timestamp.len() > TIMESTAMP_DIGITS_MAX || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(VerifyError::Timestamp);
    }
    let signed_at: i64 = timestamp.parse().map_err(|_| VerifyError::Timestamp)?;
    if signed_at.abs_diff(now.as_secs()) <= tolerance.as_secs() {
        Ok(())
    } else if signed_at < now.as_secs() {
        Err(VerifyError::TooOld)
    } else {
        Err(VerifyError::TooNew)
    }
}

/// One signature of the header, its version known.
enum Given {
    Symmetric(Vec<u8>),
    Asymmetric(ed25519_dalek::Signature),
}

/// The signatures of known versions; unknown ones and what does not decode are skipped, so
/// that senders may add versions.
fn given_signatures(header: &str) -> Result<Vec<Given>, VerifyError> {
    let mut given = Vec::new();
    for (index, entry) in header.split(' ').filter(|entry| !entry.is_empty()).enumerate() {
        if index == SIGNATURES_MAX {
            return Err(VerifyError::TooMany);
        }
        given.extend(given_signature(entry));
    }
    Ok(given)
}

fn given_signature(entry: &str) -> Option<Given> {
    let (version, base64) = entry.split_once(',')?;
    match version {
        "v1" => STANDARD.decode(base64).ok().map(Given::Symmetric),
        "v1a" => {
            let bytes = STANDARD.decode(base64).ok()?;
            ed25519_dalek::Signature::from_slice(&bytes)
                .ok()
                .map(Given::Asymmetric)
        }
        _ => None,
    }
}

/// Whether one of the signatures is good under `key`; `None` if none is of its version.
fn matches(key: &VerifyingKey, given: &[Given], id: &str, timestamp: &str, body: &[u8]) -> Option<bool> {
    match key {
        VerifyingKey::Symmetric(key) => {
            let mut macs = given.iter().filter_map(Given::symmetric).peekable();
            macs.peek()?;
            let expected = mac(key, id, timestamp, body);
            Some(macs.any(|mac| super::same(mac, expected.as_ref())))
        }
        VerifyingKey::Asymmetric(key) => {
            let mut signatures = given.iter().filter_map(Given::asymmetric).peekable();
            signatures.peek()?;
            let content = content(id, timestamp, body);
            Some(signatures.any(|signature| key.verify_strict(&content, signature).is_ok()))
        }
    }
}

impl Given {
    fn symmetric(&self) -> Option<&[u8]> {
        match self {
            Self::Symmetric(mac) => Some(mac),
            Self::Asymmetric(_) => None,
        }
    }

    const fn asymmetric(&self) -> Option<&ed25519_dalek::Signature> {
        match self {
            Self::Symmetric(_) => None,
            Self::Asymmetric(signature) => Some(signature),
        }
    }
}

fn symmetric_key(base64: &str) -> Result<Box<hmac::Key>, KeyError> {
    let bytes = decode(base64)?;
    if !SYMMETRIC_BYTES.contains(&bytes.len()) {
        return Err(KeyError::Length {
            found: bytes.len(),
            wanted: "24 to 64",
        });
    }
    Ok(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
}

fn decode(base64: &str) -> Result<Vec<u8>, KeyError> {
    SECRET_BASE64.decode(base64).map_err(|_| KeyError::Base64)
}

fn sized<const N: usize>(bytes: Vec<u8>, wanted: &'static str) -> Result<[u8; N], KeyError> {
    bytes.try_into().map_err(|bytes: Vec<u8>| KeyError::Length {
        found: bytes.len(),
        wanted,
    })
}

const fn unknown_prefix(text: &str, wanted: &'static str) -> KeyError {
    if text.is_empty() {
        KeyError::Empty
    } else {
        KeyError::Prefix(wanted)
    }
}

fn mac(key: &hmac::Key, id: &str, timestamp: &str, body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        context.update(part);
    }
    context.sign()
}

fn content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

fn written(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::with_capacity(prefix.len() + bytes.len().div_ceil(3) * 4);
    text.push_str(prefix);
    STANDARD.encode_string(bytes, &mut text);
    text
}
