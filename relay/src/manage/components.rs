//! The component that a version of a plugin is.

use bytes::Bytes;

use super::Manager;
use super::plugins::{PluginRefused, one_of};
use crate::model::id::TenantId;
use crate::model::plugin::{Pin, Version};

impl Manager {
    /// The component of a plugin that a tenant can use: the version that is asked for, if it is there.
    ///
    /// # Errors
    /// There is no such plugin or version, or it cannot be read.
    pub async fn component(&self, tenant: TenantId, name: &str, pin: &Pin) -> Result<Bytes, PluginRefused> {
        let installed = self.workshop.installed();
        if let Some(own) = installed.get(tenant, name) {
            let version = one_of(own, pin)?;
            let component = self.workshop.store.component(tenant, name, version).await?;
            return component.ok_or(PluginRefused::UnknownVersion);
        }
        if self.workshop.plugins.place(name).is_none() {
            return Err(PluginRefused::UnknownPlugin);
        }
        let component = self.workshop.plugins.component(name).await;
        let component = component.map_err(PluginRefused::Component)?;
        match pin.fits(&Version::of(&component)) {
            true => Ok(component),
            false => Err(PluginRefused::UnknownVersion),
        }
    }
}
