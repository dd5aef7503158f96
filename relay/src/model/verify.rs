//! How a source tells genuine posts from forged ones, as data: enough to say how any known
//! sender proves who it is, and what it asks before it sends.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// How far a signed time may be from now when a sender says nothing else.
pub const TOLERANCE_DEFAULT: Duration = Duration::from_secs(300);

/// What a source asks of a post. Without a secret it fails closed.
#[derive(Debug, Clone, PartialEq)]
pub struct Verify {
    pub scheme: Scheme,
    pub handshake: Handshake,
}

impl From<Scheme> for Verify {
    /// Without a handshake.
    fn from(scheme: Scheme) -> Self {
        Self {
            scheme,
            handshake: Handshake::None,
        }
    }
}

/// The kind of proof.
#[derive(Debug, Clone, PartialEq)]
pub enum Scheme {
    /// Anyone may post: for senders that offer nothing, behind an unguessable name.
    None,
    /// Standard Webhooks: `v1` HMAC-SHA256 (`whsec_`), `v1a` Ed25519 (`whpk_`).
    StandardWebhooks {
        secrets: Vec<Secret>,
        tolerance: Duration,
    },
    Signature(Signature),
    Jwt(Jwt),
    /// A shared secret, compared in constant time.
    Token {
        /// A post has it at exactly one of these places.
        at: Vec<Place>,
        secrets: Vec<Secret>,
    },
    /// HTTP Basic.
    Basic {
        user: String,
        passwords: Vec<Secret>,
    },
}

/// A signature as data.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    pub algorithm: Algorithm,
    pub at: Place,
    /// What stands before each signature, such as `sha256=`.
    pub prefix: String,
    /// Splits a value that lists several entries, such as Stripe's `t=…,v1=…`.
    pub separator: Option<char>,
    /// How a signature is written.
    pub encoding: Encoding,
    /// What is signed, concatenated.
    pub parts: Vec<Part>,
    /// Where the time of signing stands and how old it may be; `None`: it is not signed.
    pub timestamp: Option<SignedTime>,
    /// Secrets of an HMAC, or public keys; one that fits suffices.
    pub keys: Vec<Secret>,
    /// How the keys are written; `None`: the text of a secret, PEM or bare base64 of a public
    /// key.
    pub key_encoding: Option<Encoding>,
}

impl Signature {
    /// The commonest scheme: one hex HMAC-SHA256 of the body in a header.
    pub fn of_body(header: &str, keys: Vec<Secret>) -> Self {
        Self {
            algorithm: Algorithm::Hmac(Digest::Sha256),
            at: Place::Header(header.to_owned()),
            prefix: String::new(),
            separator: None,
            encoding: Encoding::Hex,
            parts: vec![Part::Body],
            timestamp: None,
            keys,
            key_encoding: None,
        }
    }

    /// Whether a post cannot be changed without its signature becoming wrong. A signature
    /// inside the body cannot cover all of it, so there its fields are what counts.
    pub fn covers_body(&self) -> bool {
        let is_inside = matches!(self.at, Place::Body(_));
        self.parts.iter().any(|part| match part {
            Part::Body | Part::Form { .. } => true,
            Part::Value(Place::Body(_)) => is_inside,
            _ => false,
        })
    }
}

/// How a message is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Hmac(Digest),
    PublicKey(PublicKeyAlgorithm),
}

/// Algorithms whose signatures are checked with a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublicKeyAlgorithm {
    /// Checked strictly: small-order keys and malleable signatures are refused.
    Ed25519,
    /// The signature is DER.
    EcdsaP256Sha256,
    /// The signature is two numbers of fixed length, as in a JWT.
    EcdsaP256Sha256Fixed,
    /// The signature is DER.
    EcdsaP384Sha384,
    /// The signature is two numbers of fixed length, as in a JWT.
    EcdsaP384Sha384Fixed,
    /// Keys of 2048 to 8192 bits, as with the next two.
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
}

/// Digests that senders sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Digest {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Hex,
    Base64,
    Base64Url,
}

/// One part of what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    /// A value of the request, as it is written there.
    Value(Place),
    /// The time of signing, as the sender wrote it.
    Timestamp,
    /// The raw bytes of the body.
    Body,
    /// The address that the sender posts to: this one, and the query of the request.
    Url(url::Url),
    /// The parameters of a form, sorted by name: each name and its value.
    Form {
        /// Where senders put the SHA-256 of a body that is no form; then nothing stands here.
        body_digest: Option<Place>,
    },
}

/// The time of signing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTime {
    pub at: Place,
    /// What stands before it within a list, such as Stripe's `t=`.
    pub prefix: String,
    pub unit: TimeUnit,
    /// How far it may be from now, both ways.
    pub tolerance: Duration,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Any of the others, told by its looks.
    Any,
    Seconds,
    Milliseconds,
    Rfc3339,
}

/// A signed token (JWT), which may bind the body by a digest.
#[derive(Debug, Clone, PartialEq)]
pub struct Jwt {
    pub at: Place,
    /// The one that is taken: what a token says of itself chooses nothing.
    pub algorithm: Algorithm,
    /// The algorithm's name in a token's header.
    pub name: &'static str,
    pub keys: Vec<Secret>,
    /// As with a [`Signature`].
    pub key_encoding: Option<Encoding>,
    /// The claim with the SHA-256 of the body, in base64 or hex. Without one, a token proves who
    /// posts, not what.
    pub body_claim: Option<String>,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    /// How far clocks may differ, and how old a token without an end may be.
    pub tolerance: Duration,
}

/// What a platform asks before it sends events, or among them.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Handshake {
    #[default]
    None,
    /// Meta: `GET ?hub.mode=subscribe&hub.verify_token=…&hub.challenge=…` answered with the
    /// challenge if the token is right.
    Meta { verify_token: Secret },
    /// Slack: a JSON body `{"type": "url_verification", "challenge": …}`, signed like any.
    Slack,
    /// Zoom: a JSON body `{"event": "endpoint.url_validation", …}`, signed like any, answered
    /// with its token and the HMAC of it.
    Zoom,
    /// Okta: `GET` with a header to be echoed in JSON.
    Okta,
    /// WooCommerce: an unsigned form `webhook_id=…` when a webhook is saved, to be answered 200.
    WooCommerce,
    /// CloudEvents: `OPTIONS` that asks for consent.
    CloudEvents {
        /// Who may send; `*` among them: anyone.
        origins: Vec<String>,
        /// Requests a minute; `None`: any number.
        rate: Option<NonZeroU32>,
    },
}

/// Where a value stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A header, in lower case.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// A JSON Pointer into the body.
    Body(String),
}
