//! A source: the door where a sender posts, and how its posts are understood.

use std::time::Duration;

use super::id::{SourceId, TenantId};
use super::plugin::PluginUse;
use super::secret::Secret;

/// One source, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub id: SourceId,
    pub tenant: TenantId,
    /// The last segment of `/in/{name}`.
    pub name: String,
    pub verify: Verify,
    pub mapping: Mapping,
    /// `authenticate` plugins run after `verify`; `transform` plugins reshape before storing.
    pub plugins: Vec<PluginUse>,
    pub body_bytes_max: usize,
}

/// How a source tells genuine posts from forged ones. Without a secret it fails closed.
#[derive(Debug, Clone, PartialEq)]
pub enum Verify {
    /// Anyone may post: for senders that offer nothing, behind an unguessable name.
    None,
    /// Standard Webhooks: `v1` HMAC-SHA256 (`whsec_`), `v1a` Ed25519 (`whpk_`).
    StandardWebhooks {
        secrets: Vec<Secret>,
        tolerance: Duration,
    },
    Hmac(HmacScheme),
    /// A shared secret, compared in constant time.
    Token {
        at: Place,
        secrets: Vec<Secret>,
    },
    /// HTTP Basic.
    Basic {
        user: String,
        passwords: Vec<Secret>,
    },
}

/// An HMAC signature as data: enough to say how most senders sign.
#[derive(Debug, Clone, PartialEq)]
pub struct HmacScheme {
    pub digest: Digest,
    pub encoding: Encoding,
    /// The header with the signature, in lower case.
    pub header: String,
    /// What stands before each signature, such as `sha256=`.
    pub prefix: String,
    /// Splits a header that lists several values, such as Stripe's `t=…,v1=…`.
    pub separator: Option<char>,
    /// What is signed, concatenated.
    pub parts: Vec<Part>,
    /// Where the time of signing stands and how old it may be; `None`: not signed.
    pub timestamp: Option<SignedTime>,
    pub secrets: Vec<Secret>,
    /// How the secrets are written; `None`: their text is the key.
    pub secret_encoding: Option<Encoding>,
    /// A `GET` handshake or challenge that this sender expects to be answered.
    pub handshake: Handshake,
}

/// Digests that senders sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

/// How a signature is written.
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
    /// The value of a header, in lower case.
    Header(String),
    /// The time of signing, as the sender wrote it.
    Timestamp,
    /// The raw bytes of the body.
    Body,
}

/// The time of signing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTime {
    /// The header it stands in, in lower case.
    pub header: String,
    /// What stands before it within a list, such as Stripe's `t=`.
    pub prefix: String,
    /// How far it may be from now, both ways.
    pub tolerance: Duration,
}

/// A challenge that a platform sends before it sends events.
#[derive(Debug, Clone, PartialEq)]
pub enum Handshake {
    None,
    /// Meta: `GET ?hub.mode=subscribe&hub.verify_token=…&hub.challenge=…` answered with the
    /// challenge if the token is right.
    Meta {
        verify_token: Secret,
    },
    /// Slack: a JSON body `{"type": "url_verification", "challenge": …}`, signed like any.
    Slack,
}

/// Where a value stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A header, in lower case; `authorization: Bearer x` is read as `x`.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// A JSON Pointer into the body.
    Body(String),
}

/// Where a value of the envelope comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Literal(String),
    /// A header, in lower case.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// A JSON Pointer into the body.
    Body(String),
}

/// Places to look for one value; the first that has one counts.
pub type Origins = Vec<Origin>;

/// How a post becomes an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    pub kind: Template,
    pub id: Origins,
    /// RFC 3339, or seconds or milliseconds since 1970.
    pub time: Origins,
    pub subject: Origins,
    pub dedupe: Dedupe,
}

/// What makes two posts the same event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dedupe {
    /// All of these have to be present, else the post is never a duplicate. Empty: the id is
    /// the one that counts.
    pub required: Vec<Origins>,
    /// These count too where they are present.
    pub optional: Vec<Origins>,
}

/// The event type: origins tried in order, values put through a table, a prefix in front.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// What stands before the value, such as `email.`.
    pub prefix: String,
    pub origins: Origins,
    /// What a sender's own word becomes; words not listed are kept.
    pub words: Vec<(String, String)>,
    /// The type when no origin has a value; empty: the source's name followed by `.event`.
    pub fallback: String,
}
