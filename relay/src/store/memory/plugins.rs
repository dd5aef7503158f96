//! Plugins that were uploaded.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;

use super::MemoryStore;
use crate::model::audit::Deed;
use crate::model::id::TenantId;
use crate::model::plugin::{Tag, Version};
use crate::model::rollout::Rollouts;
use crate::store::{Error, NewVersion, PluginChange, Uploaded, Uploads};

/// A plugin with its components.
#[derive(Debug, Default)]
pub(super) struct Plugin {
    history: Vec<Version>,
    tags: BTreeMap<Tag, Version>,
    rollouts: Rollouts,
    /// Oldest first.
    versions: Vec<NewVersion>,
}

#[async_trait]
impl Uploads for MemoryStore {
    async fn uploaded(&self) -> Result<Vec<Uploaded>, Error> {
        let tables = self.tables();
        let plugins = tables.plugins.iter();
        let uploaded = plugins.map(|((tenant, name), plugin)| Uploaded {
            tenant: *tenant,
            name: name.clone(),
            history: plugin.history.clone(),
            tags: plugin.tags.clone(),
            rollouts: plugin.rollouts,
            versions: plugin.versions.iter().rev().map(|new| new.kept.clone()).collect(),
        });
        Ok(uploaded.collect())
    }

    async fn change_plugin(&self, change: PluginChange, deed: Deed) -> Result<(), Error> {
        let mut tables = self.tables();
        tables.note(deed)?;
        let key = (change.tenant, change.name);
        if change.history.is_empty() {
            tables.plugins.remove(&key);
            return Ok(());
        }
        let plugin = tables.plugins.entry(key).or_default();
        plugin.history = change.history;
        plugin.tags = change.tags;
        plugin.rollouts = change.rollouts;
        plugin
            .versions
            .retain(|new| Some(new.kept.version) != change.removed);
        plugin.versions.extend(change.added);
        if let Some((version, signatures)) = change.signed {
            let mut versions = plugin.versions.iter_mut();
            if let Some(new) = versions.find(|new| new.kept.version == version) {
                new.kept.signatures = Some(signatures);
            }
        }
        Ok(())
    }

    async fn about(&self, tenant: TenantId, name: &str, version: Version) -> Result<Option<String>, Error> {
        Ok(self.uploaded_version(tenant, name, version).map(|new| new.about))
    }

    async fn component(
        &self,
        tenant: TenantId,
        name: &str,
        version: Version,
    ) -> Result<Option<Bytes>, Error> {
        Ok(self
            .uploaded_version(tenant, name, version)
            .map(|new| new.component))
    }
}

impl MemoryStore {
    fn uploaded_version(&self, tenant: TenantId, name: &str, version: Version) -> Option<NewVersion> {
        let tables = self.tables();
        let plugin = tables.plugins.get(&(tenant, name.to_owned()))?;
        let mut versions = plugin.versions.iter();
        versions.find(|new| new.kept.version == version).cloned()
    }
}
