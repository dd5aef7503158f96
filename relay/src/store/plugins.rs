//! Plugins that were uploaded: their versions, which of them is current, and what else stands for one.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;

use super::Error;
use crate::model::audit::Deed;
use crate::model::id::{KeyId, TenantId};
use crate::model::plugin::{Tag, Version};
use crate::model::publisher::Signatures;
use crate::model::rollout::Rollouts;
use crate::model::time::Timestamp;

/// A plugin of a tenant, without the components.
#[derive(Debug, Clone, PartialEq)]
pub struct Uploaded {
    pub tenant: TenantId,
    pub name: String,
    /// Its versions in the order in which they were promoted; the last is current.
    pub history: Vec<Version>,
    pub tags: BTreeMap<Tag, Version>,
    pub rollouts: Rollouts,
    /// Newest first.
    pub versions: Vec<UploadedVersion>,
}

/// A version that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedVersion {
    pub version: Version,
    pub made_at: Timestamp,
    /// `None`: whoever runs the relay.
    pub made_by: Option<KeyId>,
    /// Bytes of the component.
    pub bytes: u64,
    pub signatures: Option<Signatures>,
}

/// A version to be kept.
#[derive(Debug, Clone)]
pub struct NewVersion {
    pub kept: UploadedVersion,
    /// What the component says about itself, as JSON.
    pub about: String,
    pub component: Bytes,
}

/// What becomes of a plugin.
#[derive(Debug, Clone)]
pub struct PluginChange {
    pub tenant: TenantId,
    pub name: String,
    /// As in [`Uploaded`]. Without any, the plugin goes with whatever it has.
    pub history: Vec<Version>,
    pub tags: BTreeMap<Tag, Version>,
    pub rollouts: Rollouts,
    /// With its signatures.
    pub added: Option<NewVersion>,
    /// A version that is there, and is signed only now, or by others.
    pub signed: Option<(Version, Signatures)>,
    pub removed: Option<Version>,
}

/// What managing plugins asks of a store.
#[async_trait]
pub trait Uploads: Send + Sync {
    /// Every plugin of all tenants. Those that are damaged are left out, and logged.
    async fn uploaded(&self) -> Result<Vec<Uploaded>, Error>;

    /// Changes a plugin and notes the deed. Both or none.
    async fn change_plugin(&self, change: PluginChange, deed: Deed) -> Result<(), Error>;

    /// What a version says about itself.
    async fn about(&self, tenant: TenantId, name: &str, version: Version) -> Result<Option<String>, Error>;

    /// The component that a version is. Whether it still is, is for the caller to see.
    async fn component(&self, tenant: TenantId, name: &str, version: Version)
    -> Result<Option<Bytes>, Error>;
}
