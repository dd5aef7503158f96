//! What plugins reach beyond the event in hand, as this module asks for it. Whether a use may is
//! checked before; who offers it decides how.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::model::event::Header;
use crate::model::id::TenantId;
use crate::model::time::Timestamp;

/// Those who offer it; `None`: this relay does not.
#[derive(Clone, Default)]
pub struct Services {
    pub http: Option<Arc<dyn Fetch>>,
    pub judge: Option<Arc<dyn Judge>>,
    pub media: Option<Arc<dyn Media>>,
}

/// Sends requests, to no address that nobody may reach, and follows nothing.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Sends one request and reads its answer to the end.
    ///
    /// # Errors
    /// Why there is no answer.
    async fn fetch(&self, tenant: TenantId, request: FetchRequest) -> Result<Fetched, FetchError>;
}

/// A request of a plugin, to a host that its owner granted.
#[derive(Debug, Clone)]
pub struct FetchRequest {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    /// The secret that is to be its bearer token, until whoever has the secrets puts it in.
    pub bearer_secret: Option<String>,
    pub body: Bytes,
    /// For all of it: name, connection, TLS, request and answer.
    pub timeout: Duration,
    /// Longest body of the answer.
    pub body_bytes_max: usize,
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<Header>,
    pub body: Bytes,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum FetchError {
    #[error("{0}")]
    Denied(String),
    #[error("it took too long")]
    Timeout,
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Failed(String),
}

/// Judges by instructions, within a tenant's budget.
#[async_trait]
pub trait Judge: Send + Sync {
    /// Picks one of the choices.
    ///
    /// # Errors
    /// Why there is no ruling.
    async fn decide(&self, tenant: TenantId, question: Question) -> Result<Judged<Ruling>, JudgeError>;

    /// Fills a JSON Schema from the subject; JSON text that is valid under it.
    ///
    /// # Errors
    /// Why there is none.
    async fn extract(&self, tenant: TenantId, form: Form) -> Result<Judged<String>, JudgeError>;
}

/// What a judge says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged<T> {
    pub answer: T,
    /// Whether it was asked the same before, or is by another at this moment.
    pub was_cached: bool,
}

/// What to decide, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Trusted.
    pub instructions: String,
    /// Not trusted.
    pub subject: String,
    pub choices: Vec<String>,
}

/// What to fill, and from what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Trusted.
    pub instructions: String,
    /// Not trusted.
    pub subject: String,
    /// JSON Schema, as JSON text.
    pub schema: String,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    pub choice: String,
    /// 0 to 1.
    pub confidence: f32,
    pub reason: String,
}

/// Why there is no ruling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum JudgeError {
    #[error("nothing is set up that judges; see [judge] in the configuration")]
    NotConfigured,
    #[error("the tenant's budget for today is spent")]
    BudgetSpent,
    #[error("it took too long")]
    Timeout,
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Unavailable(String),
}

/// Keeps files for a time and serves them under signed addresses.
#[async_trait]
pub trait Media: Send + Sync {
    /// Keeps a file; the same bytes of a tenant are kept once.
    ///
    /// # Errors
    /// Why it is not kept.
    async fn keep(&self, tenant: TenantId, file: File) -> Result<Kept, MediaError>;
}

/// A file to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub bytes: Bytes,
    pub content_type: String,
    /// `None`: as long as the operator usually keeps one.
    pub ttl: Option<Duration>,
}

/// Where a file is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub url: String,
    pub expires: Timestamp,
    pub size: u32,
}

/// Why a file is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum MediaError {
    #[error("{0}")]
    Denied(String),
    #[error("the file has more than {0} bytes")]
    TooLarge(usize),
    #[error("there is no room left for files")]
    QuotaExceeded,
    #[error("{0}")]
    Unavailable(String),
}
