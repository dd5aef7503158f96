//! What plugins remember.

use async_trait::async_trait;

use super::Error;
use crate::model::id::TenantId;
use crate::model::time::Timestamp;

/// Whose state it is: one plugin on one endpoint or source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    pub tenant: TenantId,
    /// The raw id of the endpoint or source.
    pub owner: i64,
    pub plugin: String,
}

/// What came of writing state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written<T> {
    Done(T),
    /// The scope holds as many bytes as it may; nothing was written.
    QuotaExceeded,
}

/// Bytes of keys and values that one scope may hold.
pub const STATE_BYTES_MAX: usize = 1 << 20;

/// Small durable state of plugins. A key past its time is as good as absent.
#[async_trait]
pub trait PluginState: Send + Sync {
    async fn state_value(&self, scope: &Scope, key: &str, now: Timestamp) -> Result<Option<Vec<u8>>, Error>;

    async fn set_state(
        &self,
        scope: &Scope,
        key: &str,
        value: Vec<u8>,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<()>, Error>;

    async fn delete_state(&self, scope: &Scope, key: &str) -> Result<(), Error>;

    /// True for the first caller until `expires`.
    async fn claim_state(
        &self,
        scope: &Scope,
        key: &str,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Written<bool>, Error>;

    /// Adds to a counter (8 bytes, little-endian; absent or of another length counts as 0)
    /// and returns its new value, saturating. `expires` is used only by the first add.
    async fn add_state(
        &self,
        scope: &Scope,
        key: &str,
        delta: i64,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<i64>, Error>;

    /// Writes `value` if the present value is `expected` (`None`: absent); whether it did.
    async fn swap_state(
        &self,
        scope: &Scope,
        key: &str,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<bool>, Error>;

    /// Up to `limit` keys that begin with `prefix`, in byte order, after the key `after`.
    async fn state_keys(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<String>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<String>, Error>;
}
