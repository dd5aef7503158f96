//! The audit log: entries of which each holds the one before it by a digest.

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};

use super::Error;
use crate::model::audit::{Deed, Entry};
use crate::model::id::{KeyId, TenantId};
use crate::model::page::{Listed, Page};
use crate::model::time::Timestamp;

/// Bytes of entries that are read at once: one may have as many as a definition, twice.
pub(super) const PAGE_BYTES_MAX: usize = 4 << 20;

/// A digest of an entry and of all before it.
pub type ChainHash = [u8; 32];

/// Where a chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    pub number: u64,
    pub hash: ChainHash,
}

/// An entry exactly as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chained {
    pub link: Link,
    /// The JSON text of an [`Entry`].
    pub text: String,
}

/// A piece of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// What the first entry that is kept follows on: what came before has had its time.
    pub anchor: Link,
    pub entries: Vec<Chained>,
    /// Whether there are more behind these.
    pub has_more: bool,
}

/// Which entries are asked for; `None` does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub actor: Option<KeyId>,
    pub action: Option<String>,
    /// An id or a name.
    pub resource: Option<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// The hash of an entry: SHA-256 over the hash before it and its own text.
pub fn chain_hash(before: &ChainHash, text: &str) -> ChainHash {
    let mut context = Context::new(&SHA256);
    context.update(before);
    context.update(text.as_bytes());
    let mut hash = ChainHash::default();
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// What the audit asks of a store.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Appends a deed to the chain of its tenant.
    async fn note(&self, deed: Deed) -> Result<(), Error>;

    /// Entries of a tenant, newest first. A page ends early where its entries are large.
    async fn noted(&self, tenant: TenantId, filter: AuditFilter, page: Page) -> Result<Listed<Entry>, Error>;

    /// Up to `limit` entries of a tenant after a number, oldest first, as they were written; fewer
    /// where they are large, but at least one.
    async fn chain(&self, tenant: TenantId, after: u64, limit: usize) -> Result<Chain, Error>;

    /// Forgets up to `limit` of the oldest entries of each tenant that are from before then; how
    /// many. What the rest follows on is remembered.
    async fn forget_notes(&self, before: Timestamp, limit: usize) -> Result<usize, Error>;
}
