//! A source: the door where a sender posts, and how its posts are understood.

use std::time::Duration;

use super::id::{SourceId, TenantId};
use super::plugin::PluginUse;
use super::verify::Verify;

/// One source, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub id: SourceId,
    pub tenant: TenantId,
    /// The last segment of `/in/{name}`.
    pub name: String,
    pub verify: Verify,
    pub mapping: Mapping,
    /// Takes out of a genuine post what nobody may see, before anything else is made of it.
    pub redact: Option<PluginUse>,
    /// `authenticate` plugins run after `verify`; `transform` plugins reshape before storing.
    pub plugins: Vec<PluginUse>,
    pub body_bytes_max: usize,
    /// Whose answer its sender waits for; `None`: an event is answered once it is stored.
    pub synchronous: Option<Synchronous>,
}

/// That a sender is answered with what the receiver of one endpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synchronous {
    /// The name of the endpoint.
    pub endpoint: String,
    /// `None`: that of the endpoint.
    pub timeout: Option<Duration>,
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
    /// A parameter of a body that is a form.
    Form(String),
    /// The SHA-256 of the whole body, in hex: for senders that repeat a post byte for byte and
    /// give it no id.
    BodyDigest,
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
