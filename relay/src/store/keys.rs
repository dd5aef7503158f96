//! API keys, as the management API and the doors ask for them.

use async_trait::async_trait;

use super::Error;
use crate::model::id::{KeyId, TenantId};
use crate::model::page::{Listed, Page};
use crate::model::time::Timestamp;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything, in every tenant.
    Admin,
    /// Everything in one tenant.
    Manage,
    /// Post events.
    Send,
    /// Look.
    Read,
}

/// An API key as it is stored: the key itself is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub id: KeyId,
    pub tenant: TenantId,
    pub name: String,
    pub role: Role,
    /// SHA-256 of the key: enough for random tokens of 160 bits and more.
    pub hash: [u8; 32],
    pub created_at: Timestamp,
    /// When it stops working by itself, by the wall clock.
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl Key {
    /// Whether it works.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Which keys are asked for; `None` does not restrict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyFilter {
    pub role: Option<Role>,
    pub revoked: Option<bool>,
    /// Keys of admins are left out.
    pub without_admins: bool,
}

impl KeyFilter {
    /// Whether a key is asked for.
    pub fn wants(&self, key: &Key) -> bool {
        self.role.is_none_or(|role| role == key.role)
            && self
                .revoked
                .is_none_or(|revoked| revoked == key.revoked_at.is_some())
            && !(self.without_admins && key.role == Role::Admin)
    }
}

/// How many keys a tenant has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyCount {
    pub in_force: u64,
    /// Revoked and expired ones too, until they are forgotten.
    pub kept: u64,
}

/// See the module.
#[async_trait]
pub trait KeyRing: Send + Sync {
    /// Keeps a key.
    async fn add_key(&self, key: Key) -> Result<(), Error>;

    /// Keys of all tenants that are not revoked, oldest first; some may be past their time.
    async fn keys(&self) -> Result<Vec<Key>, Error>;

    /// Keys of a tenant, newest first.
    async fn keys_of(&self, tenant: TenantId, filter: KeyFilter, page: Page) -> Result<Listed<Key>, Error>;

    /// One key of a tenant, revoked or not.
    async fn key(&self, tenant: TenantId, id: KeyId) -> Result<Option<Key>, Error>;

    /// How many keys a tenant has.
    async fn count_keys(&self, tenant: TenantId, now: Timestamp) -> Result<KeyCount, Error>;

    /// Calls a key otherwise; false if the tenant has none with that id.
    async fn rename_key(&self, tenant: TenantId, id: KeyId, name: String) -> Result<bool, Error>;

    /// Revokes a key of a tenant; false if it has none with that id, or it is revoked already.
    async fn revoke_key(&self, tenant: TenantId, id: KeyId, now: Timestamp) -> Result<bool, Error>;

    /// Forgets up to `limit` keys that were revoked or expired before then; how many.
    async fn forget_keys(&self, before: Timestamp, limit: usize) -> Result<usize, Error>;
}
