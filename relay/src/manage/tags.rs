//! Names that stand for one version of a plugin at a time.

use serde_json::{Value, json};

use super::Manager;
use super::follow::Next;
use super::plugins::{PluginRefused, Versioned, one_of};
use crate::model::audit::By;
use crate::model::id::TenantId;
use crate::model::plugin::{CURRENT, Pin, Tag};

/// Tags of one plugin.
const TAGS_MAX: usize = 20;

impl Manager {
    /// Has a tag stand for a version, for all that follow the tag, at once.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn tag(
        &self,
        tenant: TenantId,
        (name, tag): (&str, &Tag),
        pin: &Pin,
        by: By,
    ) -> Result<Versioned, PluginRefused> {
        if tag.as_str() == CURRENT {
            return Err(PluginRefused::ReservedTag);
        }
        let config = self.lock().await;
        let mut own = self.owned(tenant, name)?;
        let version = one_of(&own, pin)?;
        let before = own.tags.insert(tag.clone(), version);
        if own.tags.len() > TAGS_MAX {
            return Err(PluginRefused::TooMany(TAGS_MAX as u64, "tags of this plugin"));
        }
        if before != Some(version) {
            let was = json!({"tag": tag, "version": before});
            let is = json!({"tag": tag, "version": version});
            let deed = self.deed(tenant, by, "plugin.tagged", name, (was, is));
            self.put_plugin(&config, Next::turned(tenant, name, own), deed)
                .await?;
        }
        self.versioned(tenant, name, version, before.is_none())
    }

    /// Takes a tag away that nobody follows.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn untag(&self, tenant: TenantId, name: &str, tag: &Tag, by: By) -> Result<(), PluginRefused> {
        if tag.as_str() == CURRENT {
            return Err(PluginRefused::ReservedTag);
        }
        let config = self.lock().await;
        let mut own = self.owned(tenant, name)?;
        let version = own.tags.remove(tag).ok_or(PluginRefused::UnknownTag)?;
        let mut users = self.users(tenant, name, true);
        users.retain(|user| user.follows_tag(tag.as_str()));
        if !users.is_empty() {
            return Err(PluginRefused::InUse(users));
        }
        let was = json!({"tag": tag, "version": version});
        let deed = self.deed(tenant, by, "plugin.untagged", name, (was, Value::Null));
        self.put_plugin(&config, Next::turned(tenant, name, own), deed)
            .await
    }
}
