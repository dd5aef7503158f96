//! Which version of a plugin a use gets, whether it may, and what else runs beside it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::anyhow;

use super::assemble::{Checked, Workshop};
use super::installed::Own;
use crate::model::id::TenantId;
use crate::model::plugin::{PluginUse, Version};
use crate::model::publisher::{Publishers, Signatures, Untrusted};
use crate::model::rollout::{Mode, Rollout};
use crate::model::tenant::Tenant;
use crate::plugins::rollout::{Beside, Common, Watch};
use crate::plugins::services::Services;
use crate::plugins::{BindError, Bound, Owner};
use crate::store::Named;
use crate::store::memory::MemoryStore;

/// What is counted of the roll-outs under way, by tenant and plugin: it outlasts what is in force,
/// which is made anew at every change.
#[derive(Default)]
pub(super) struct Watches {
    pub(super) common: Common,
    of: Mutex<HashMap<(TenantId, String), Arc<Watch>>>,
}

impl Watches {
    /// The one of a plugin.
    pub(super) fn get(&self, tenant: TenantId, name: &str) -> Option<Arc<Watch>> {
        let of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.get(&(tenant, name.to_owned())).cloned()
    }

    /// The one of a roll-out, which begins now if there is none.
    fn of(&self, key: (TenantId, &str), rollout: Rollout, begin: impl FnOnce() -> Watch) -> Arc<Watch> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (key.0, key.1.to_owned());
        match of.get(&key) {
            Some(watch) if watch.is_of(&rollout) => Arc::clone(watch),
            _ => {
                let watch = Arc::new(begin());
                of.insert(key, Arc::clone(&watch));
                watch
            }
        }
    }

    /// Ends what is counted of a plugin.
    pub(super) fn forget(&self, tenant: TenantId, name: &str) {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.remove(&(tenant, name.to_owned()));
    }
}

/// Whose plugins a tenant may use: those of the operator's publishers and of its own, where they are
/// named.
pub(super) struct Trust<'t>([&'t Publishers; 2]);

impl Trust<'_> {
    pub(super) fn check(&self, version: Version, signatures: Option<&Signatures>) -> Result<(), Untrusted> {
        let mut lists = self.0.iter();
        lists.try_for_each(|publishers| publishers.check(&version, signatures))
    }

    /// Who of them has signed it.
    pub(super) fn signer(&self, version: Version, signatures: Option<&Signatures>) -> Option<String> {
        let mut lists = self.0.iter().rev();
        let found = lists.find_map(|publishers| publishers.signer(&version, signatures));
        found.map(ToString::to_string)
    }
}

impl Workshop {
    /// Whose uploads a tenant may use.
    pub(super) fn trust<'t>(&'t self, tenant: &'t Tenant) -> Trust<'t> {
        Trust([self.plugins.publishers(), &tenant.publishers])
    }

    /// Whether a definition uses what nobody vouches for whose plugins are taken. Then it must not go
    /// on as it was.
    pub(super) fn is_untrusted(&self, checked: &Checked, tenant: &Tenant) -> bool {
        let uses = match checked {
            Checked::Source(source) => &source.plugins,
            Checked::Endpoint(endpoint) => &endpoint.plugins,
            _ => return false,
        };
        let (installed, trust) = (self.installed(), self.trust(tenant));
        uses.iter().any(|used| {
            let own = installed.get(tenant.id, &used.name);
            let chosen = own.and_then(|own| Some((own, own.chosen(used.pin.as_ref()).ok()?)));
            chosen.is_some_and(|(own, version)| trust.check(version, own.signatures(version)).is_err())
        })
    }

    /// Binds every plugin of a list, or says of each that cannot be used why.
    pub(super) async fn bind(
        &self,
        uses: &[PluginUse],
        owner: &Owner,
        tenant: &Tenant,
    ) -> anyhow::Result<Vec<Bound>> {
        let kind = match owner.kind {
            Named::Source => "source",
            Named::Endpoint => "endpoint",
            Named::Rule => "rule",
            Named::EventType => "event type",
            Named::Alert => "alert",
        };
        let mut bound = Vec::new();
        let mut faults = Vec::new();
        for (index, used) in uses.iter().enumerate() {
            match self.bind_one(used, owner.clone(), tenant).await {
                Ok(made) => bound.push(made),
                Err(error) => faults.extend(each(error).map(|error| {
                    let place = place(&error, index);
                    let error = anyhow::Error::new(error);
                    format!("{kind} {}: {place}{error:#}", owner.name)
                })),
            }
        }
        if faults.is_empty() {
            Ok(bound)
        } else {
            Err(anyhow!(faults.join("\n  ")))
        }
    }

    async fn bind_one(&self, used: &PluginUse, owner: Owner, tenant: &Tenant) -> Result<Bound, BindError> {
        let installed = self.installed();
        let own = installed.get(owner.tenant, &used.name);
        let version = installed.version(owner.tenant, &used.name, used.pin.as_ref())?;
        let (Some(own), Some(version)) = (own, version) else {
            return self.plugins.bind(used, owner).await;
        };
        let trusted = self.trust(tenant).check(version, own.signatures(version));
        trusted.map_err(|reason| BindError::Untrusted {
            name: used.name.clone(),
            reason,
        })?;
        let uploads = self.store.as_ref();
        let bound = self
            .plugins
            .bind_uploaded(uploads, version, used, owner.clone())
            .await?;
        match own.rollouts.under_way.filter(|_| used.pin.is_none()) {
            Some(rollout) => Ok(self.accompany(bound, (own, rollout), used, owner, tenant).await),
            None => Ok(bound),
        }
    }

    /// Puts the candidate beside what is in use. One that cannot be used there, as the definition was
    /// changed since, is left out of it.
    async fn accompany(
        &self,
        bound: Bound,
        (own, rollout): (&Own, Rollout),
        used: &PluginUse,
        owner: Owner,
        tenant: &Tenant,
    ) -> Bound {
        let before = rollout.promoted.map(|promoted| promoted.before);
        let Some(before) = before.or_else(|| own.current()) else {
            return bound;
        };
        let watch = self.watches.of((owner.tenant, used.name.as_str()), rollout, || {
            let common = self.watches.common.clone();
            Watch::new(rollout, before, self.clock.now(), common)
        });
        if rollout.promoted.is_some() {
            return bound.with(Beside::promoted(watch));
        }
        // A source has no deliveries to choose from.
        if owner.kind != Named::Endpoint {
            return bound;
        }
        let name = owner.name.clone();
        match self.candidate((own, rollout), used, owner, tenant).await {
            Ok(candidate) => bound.with(match rollout.mode {
                Mode::Canary => Beside::canary(candidate, watch),
                Mode::Shadow => Beside::shadow(candidate, watch),
            }),
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(endpoint = name, plugin = used.name, version = %rollout.version, error,
                    "a version that is rolled out cannot be used here, and is left out");
                bound
            }
        }
    }

    async fn candidate(
        &self,
        (own, rollout): (&Own, Rollout),
        used: &PluginUse,
        owner: Owner,
        tenant: &Tenant,
    ) -> Result<Bound, BindError> {
        let version = rollout.version;
        let trusted = self.trust(tenant).check(version, own.signatures(version));
        trusted.map_err(|reason| BindError::Untrusted {
            name: used.name.clone(),
            reason,
        })?;
        let plugins = match rollout.mode {
            Mode::Canary => self.plugins.clone(),
            // What is not used must not leave anything behind or send anything.
            Mode::Shadow => self
                .plugins
                .apart(Arc::new(MemoryStore::default()), Services::default()),
        };
        let uploads = self.store.as_ref();
        plugins.bind_uploaded(uploads, version, used, owner).await
    }
}

/// What is wrong with a use, one after the other.
fn each(error: BindError) -> impl Iterator<Item = BindError> {
    match error {
        BindError::Several(errors) => errors,
        error => vec![error],
    }
    .into_iter()
}

/// The key that has to be written, where there is one.
fn place(error: &BindError, index: usize) -> String {
    match error {
        BindError::NotGranted { .. } => format!("plugins[{index}].grants: "),
        BindError::NoSecret { .. } => format!("plugins[{index}].secrets: "),
        BindError::Config { .. } => format!("plugins[{index}].config: "),
        _ => String::new(),
    }
}
