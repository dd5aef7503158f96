//! What the management API answered to requests that their callers named, so that a repeat does
//! nothing twice.

use async_trait::async_trait;

use super::Error;
use crate::model::id::TenantId;
use crate::model::time::Timestamp;

/// Names that one tenant may have in use.
pub const REPLIES_MAX: usize = 10_000;

/// Which request: a digest of its caller and of the name that they gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestName {
    pub tenant: TenantId,
    pub digest: [u8; 32],
}

/// A digest of all that a request asks for.
pub type Fingerprint = [u8; 32];

/// An answer, as far as it is given again.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// It may hold a secret that is shown once.
    pub body: Vec<u8>,
}

/// Without the body.
impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// What became of claiming a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// It was free, and is the caller's.
    Yours,
    /// It was used for a request that asked for something else.
    Reused,
    /// It was used for the same request, which has no answer: it is still being done, or the
    /// relay stopped meanwhile.
    Unanswered,
    /// It was used for the same request, which was answered so.
    Answered(Reply),
    /// The tenant has as many names in use as it may.
    TooMany,
}

/// What the management API asks of a store so that a repeat does nothing twice.
#[async_trait]
pub trait Replies: Send + Sync {
    /// Claims a name, durably when it returns.
    async fn claim_name(
        &self,
        name: RequestName,
        fingerprint: Fingerprint,
        now: Timestamp,
    ) -> Result<Claimed, Error>;

    /// Keeps the answer to the request of that name, if the name is claimed.
    async fn keep_reply(&self, name: RequestName, reply: Reply) -> Result<(), Error>;

    /// Frees a name.
    async fn free_name(&self, name: RequestName) -> Result<(), Error>;

    /// Frees up to `limit` names claimed before then; how many.
    async fn forget_replies(&self, claimed_before: Timestamp, limit: usize) -> Result<usize, Error>;
}
