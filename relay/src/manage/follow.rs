//! How a change of a plugin comes into force: for all that follow it at once, or not at all.

use std::sync::Arc;

use super::Manager;
use super::assemble::{self, Checked, Workshop};
use super::entry::{Entry, Origin};
use super::installed::{Installed, Own, User};
use super::plugins::PluginRefused;
use super::shelf::Shelf;
use crate::config::Config;
use crate::model::audit::Deed;
use crate::model::id::{EndpointId, TenantId};
use crate::model::plugin::{Choice, Version};
use crate::model::publisher::Signatures;
use crate::queue::Terms;
use crate::store::{NewVersion, PluginChange};

/// What becomes of one plugin.
pub(super) struct Next {
    pub(super) tenant: TenantId,
    pub(super) name: String,
    pub(super) own: Own,
    pub(super) added: Option<NewVersion>,
    pub(super) signed: Option<(Version, Signatures)>,
    pub(super) removed: Option<Version>,
}

impl Next {
    /// The same versions, used otherwise.
    pub(super) fn turned(tenant: TenantId, name: &str, own: Own) -> Self {
        Self {
            tenant,
            name: name.to_owned(),
            own,
            added: None,
            signed: None,
            removed: None,
        }
    }
}

/// Which uses of a plugin are another thing after a change.
struct Affected<'c> {
    before: Option<&'c Own>,
    after: &'c Own,
    /// A version that may be used only now.
    signed: Option<Version>,
}

impl Affected<'_> {
    fn is(&self, choice: Option<&Choice>) -> bool {
        let stands_for = |own: &Own| own.chosen(choice).ok();
        let (before, after) = (self.before.and_then(stands_for), stands_for(self.after));
        let is_signed = self.signed.is_some() && self.signed == after;
        let rollout = |own: &Own| own.rollouts.under_way;
        let is_rolled_out = choice.is_none() && self.before.and_then(rollout) != rollout(self.after);
        before != after || is_signed || is_rolled_out
    }
}

impl Manager {
    /// Keeps a plugin as it is to be, and puts it in force for all that follow it. What could not be
    /// used before and cannot now stays as it is, and stands in nobody's way.
    pub(super) async fn put_plugin(
        &self,
        config: &Config,
        next: Next,
        deed: Deed,
    ) -> Result<(), PluginRefused> {
        let Next {
            tenant,
            name,
            mut own,
            added,
            signed,
            removed,
        } = next;
        if let Some((version, signatures)) = &signed {
            own.sign(*version, signatures.clone());
        }
        let before = self.workshop.installed();
        let affected = Affected {
            before: before.get(tenant, &name),
            after: &own,
            signed: signed.as_ref().map(|(version, _)| *version),
        };
        let following = self.following(tenant, &name, |choice| affected.is(choice));
        let change = PluginChange {
            tenant,
            name: name.clone(),
            history: own.history.clone(),
            tags: own.tags.clone(),
            rollouts: own.rollouts,
            added,
            signed,
            removed,
        };
        let mut installed = Installed::clone(&before);
        installed.put(tenant, name, own);
        let workshop = self.workshop.with(installed.clone());
        let remade = self.remake(config, &workshop, tenant, following).await?;
        if remade.is_empty() {
            return self.keep_plugin(installed, change, deed).await;
        }
        let mut shelf = Shelf::clone(&self.shelf());
        for entry in &remade {
            shelf.insert(Arc::clone(entry));
        }
        // Made first: between keeping and putting in force nothing may fail.
        let directory = assemble::directory(&shelf)
            .map_err(|unusable| PluginRefused::Unusable(vec![unusable.to_string()]))?;
        self.keep_plugin(installed, change, deed).await?;
        let rested: Vec<_> = remade.iter().filter(|entry| self.rests(entry)).collect();
        self.swap(shelf, directory);
        for entry in rested {
            // What waited goes out from here on. The terms of the others have not changed.
            if let Some(target) = entry.target() {
                let endpoint = EndpointId::from_raw(entry.resource.id);
                self.queue.set_terms(endpoint, Some(Terms::of(&target.endpoint)));
            }
        }
        Ok(())
    }

    async fn keep_plugin(
        &self,
        installed: Installed,
        change: PluginChange,
        deed: Deed,
    ) -> Result<(), PluginRefused> {
        let ended = change.rollouts.under_way.is_none();
        let (tenant, name) = (change.tenant, change.name.clone());
        self.workshop.store.change_plugin(change, deed).await?;
        self.workshop.install(installed);
        if ended {
            self.workshop.watches.forget(tenant, &name);
        }
        Ok(())
    }

    /// Whether nothing is sent to what stands in an entry's place at present.
    fn rests(&self, entry: &Entry) -> bool {
        let resource = &entry.resource;
        let before = self.find(resource.tenant, resource.kind, Some(resource.id), "");
        before.is_none_or(|before| before.target().is_none())
    }

    /// Whether all that follow what is current could use a version in its place; nothing changes.
    pub(super) async fn try_version(
        &self,
        config: &Config,
        (tenant, name): (TenantId, &str),
        mut own: Own,
        version: Version,
    ) -> Result<(), PluginRefused> {
        own.rollouts.under_way = None;
        own.promote(version);
        let mut installed = Installed::clone(&self.workshop.installed());
        installed.put(tenant, name.to_owned(), own);
        let workshop = self.workshop.with(installed);
        let following = self.following(tenant, name, |choice| choice.is_none());
        self.remake(config, &workshop, tenant, following).await.map(drop)
    }

    /// Makes these anew.
    async fn remake(
        &self,
        config: &Config,
        workshop: &Workshop,
        tenant: TenantId,
        following: Vec<Arc<Entry>>,
    ) -> Result<Vec<Arc<Entry>>, PluginRefused> {
        let (mut remade, mut faults) = (Vec::new(), Vec::new());
        let of = self.tenant(tenant).ok_or(PluginRefused::UnknownPlugin)?;
        for entry in following {
            let resource = &entry.resource;
            let made = match Checked::read(config, resource.kind, &resource.definition) {
                Ok(checked) => {
                    let checked = checked.called(resource.id, resource.tenant);
                    let made = workshop.make(config, checked, &of).await;
                    made.map_err(|fault| format!("{fault:#}"))
                }
                Err(found) => Err(found.join("; ")),
            };
            match made {
                Ok(made) => remade.push(Arc::new(Entry {
                    resource: resource.clone(),
                    origin: entry.origin,
                    made,
                    unusable: None,
                })),
                Err(_) if entry.unusable.is_some() => {}
                Err(fault) => faults.push(fault),
            }
        }
        match faults.is_empty() {
            true => Ok(remade),
            false => Err(PluginRefused::Unusable(faults)),
        }
    }

    /// What uses a plugin so.
    fn following(
        &self,
        tenant: TenantId,
        name: &str,
        is_so: impl Fn(Option<&Choice>) -> bool,
    ) -> Vec<Arc<Entry>> {
        let shelf = self.shelf();
        let follows = |entry: &&Arc<Entry>| {
            let resource = &entry.resource;
            // One that the configuration file declares, too, is not in force.
            let counts = shelf.named(tenant, resource.kind, &resource.name);
            let user = User::of(entry, name);
            entry.origin == Origin::Api
                && counts.is_some_and(|counts| counts.resource.id == resource.id)
                && user.is_some_and(|user| user.pins.iter().any(|choice| is_so(choice.as_ref())))
        };
        shelf.of_tenant(tenant).filter(follows).cloned().collect()
    }
}
