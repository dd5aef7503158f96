//! The component that a version of a plugin is, and trying it out.

use std::sync::Arc;

use bytes::Bytes;

use super::Manager;
use super::plugins::{PluginRefused, one_of};
use crate::model::id::TenantId;
use crate::model::plugin::{Pin, Version};
use crate::plugins::fixtures::{Fixture, Found, Trial};
use crate::plugins::services::Services;
use crate::store::memory::MemoryStore;

impl Manager {
    /// The component of a plugin that a tenant can use: the version that is asked for, or the current one.
    ///
    /// # Errors
    /// There is no such plugin or version, or it cannot be read.
    pub async fn component(
        &self,
        tenant: TenantId,
        name: &str,
        pin: Option<&Pin>,
    ) -> Result<Bytes, PluginRefused> {
        let installed = self.workshop.installed();
        if let Some(own) = installed.get(tenant, name) {
            let version = match pin {
                Some(pin) => one_of(own, pin)?,
                None => own.current().ok_or(PluginRefused::UnknownVersion)?,
            };
            let component = self.workshop.store.component(tenant, name, version).await?;
            return component.ok_or(PluginRefused::UnknownVersion);
        }
        if self.workshop.plugins.place(name).is_none() {
            return Err(PluginRefused::UnknownPlugin);
        }
        let component = self.workshop.plugins.component(name).await;
        let component = component.map_err(PluginRefused::Component)?;
        match pin.is_none_or(|pin| pin.fits(&Version::of(&component))) {
            true => Ok(component),
            false => Err(PluginRefused::UnknownVersion),
        }
    }

    /// Has a version of a plugin, or the current one, do what a fixture asks for, with the limits that
    /// plugins have and state that is forgotten with it.
    ///
    /// # Errors
    /// Why it cannot be used at all.
    pub async fn try_plugin(
        &self,
        tenant: TenantId,
        name: &str,
        pin: Option<&Pin>,
        fixture: &Fixture,
    ) -> Result<(Version, Found), PluginRefused> {
        let component = self.component(tenant, name, pin).await?;
        let version = Version::of(&component);
        let limits = self.lock().await.plugins.limits;
        let state = Arc::new(MemoryStore::default());
        let trial = Trial {
            plugins: self.workshop.plugins.apart(state.clone(), Services::default()),
            state,
            clock: Arc::clone(&self.workshop.clock),
            name: name.to_owned(),
            component,
            limits,
            replies: Arc::default(),
        };
        let bound = trial.bind(fixture, false).await;
        let found = match bound.map_err(PluginRefused::Component)? {
            Ok(bound) => trial.play(fixture, &bound).await,
            Err(refused) => refused,
        };
        Ok((version, found))
    }
}
