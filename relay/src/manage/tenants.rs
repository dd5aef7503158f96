//! Tenants: the default one that is always there, and what comes and goes with the others.

use std::sync::Arc;

use serde_json::json;

use super::Manager;
use super::assemble::Checked;
use super::change::{self, Refused};
use super::entry::{Entry, Origin};
use super::shelf::Shelf;
use crate::config::Config;
use crate::model::id::{EndpointId, TenantId};
use crate::model::policy::Policy;
use crate::model::publisher::Publishers;
use crate::model::quota::Reached;
use crate::model::resource::{Definition, Kind, Resource};
use crate::model::tenant::Tenant;
use crate::queue::Job;

/// Where tenants stand on the shelf: all of them are the operator's.
pub(super) const OWNER: TenantId = TenantId::DEFAULT;

impl Manager {
    /// Tenants as a shelf of their own: those of the store, and the default one if nobody has
    /// changed it yet.
    pub(super) async fn tenants(&self, config: &Config, living: &[Resource]) -> anyhow::Result<Shelf> {
        let mut shelf = Shelf::default();
        let kept = living.iter().filter(|resource| resource.kind == Kind::Tenant);
        let mut tenants: Vec<Resource> = kept.cloned().collect();
        let is_default = |tenant: &Resource| tenant.id == TenantId::DEFAULT.raw();
        if !tenants.iter().any(is_default) {
            tenants.push(default_tenant());
        }
        for resource in tenants {
            // What cannot be read any more, such as a limit that has other bounds now, is left out
            // of it: a tenant is not put out of force by that.
            let checked = Checked::read(config, Kind::Tenant, &resource.definition);
            let (checked, unusable) = match checked {
                Ok(checked) => (checked, None),
                Err(faults) => (Checked::Tenant(bare(&resource)), Some(faults.join("; "))),
            };
            let tenant = bare(&resource);
            let made = self
                .workshop
                .make(config, checked.called(resource.id, OWNER), &tenant)
                .await?;
            let entry = Entry {
                resource,
                origin: Origin::Api,
                made,
                unusable,
            };
            shelf.insert(Arc::new(entry));
        }
        Ok(shelf)
    }

    /// A tenant in force.
    pub fn tenant(&self, id: TenantId) -> Option<Arc<Tenant>> {
        in_force(&self.shelf(), id)
    }

    /// Whether a tenant may have one more of a kind.
    pub(super) fn check_room(&self, tenant: TenantId, kind: Kind) -> Result<(), Refused> {
        let (count, max) = (self.shelf().count(tenant, kind), change::max(kind));
        if count >= max {
            return Err(Refused::TooMany(max));
        }
        let quota = self.tenant(tenant).ok_or(Refused::Unknown)?.quota;
        let (limit, max) = match kind {
            Kind::Source => ("sources", quota.sources),
            Kind::Endpoint => ("endpoints", quota.endpoints),
            Kind::Rule | Kind::EventType | Kind::Alert | Kind::Tenant => return Ok(()),
        };
        Ok(Reached::check(limit, count as u64, max)?)
    }

    /// Whether a tenant may use so many plugins in an entry that had `before`. Whoever is over the
    /// limit already may take some away.
    pub(super) fn check_plugins(
        &self,
        tenant: TenantId,
        before: Option<&Entry>,
        uses: usize,
    ) -> Result<(), Refused> {
        let quota = self.tenant(tenant).ok_or(Refused::Unknown)?.quota;
        let own = before.map_or(0, Entry::plugin_uses);
        let Some(max) = quota.plugins.filter(|_| uses > own) else {
            return Ok(());
        };
        let others = self.plugin_uses(tenant) - own as u64;
        if others + uses as u64 > max {
            return Err(Refused::Quota(Reached {
                limit: "plugins",
                used: others + own as u64,
                max,
            }));
        }
        Ok(())
    }

    /// Plugin uses in all chains of a tenant.
    pub fn plugin_uses(&self, tenant: TenantId) -> u64 {
        let shelf = self.shelf();
        shelf
            .of_tenant(tenant)
            .map(|entry| entry.plugin_uses() as u64)
            .sum()
    }

    /// Takes all that a tenant has off the shelf; what waited in memory for each of its endpoints.
    /// To be called when the shelf is in force.
    pub(super) fn retire_all(&self, before: &Shelf, tenant: TenantId) -> Vec<(EndpointId, Vec<Job>)> {
        let endpoints = before
            .of_tenant(tenant)
            .filter(|entry| entry.resource.kind == Kind::Endpoint);
        let retired = endpoints.map(|entry| {
            let endpoint = EndpointId::from_raw(entry.resource.id);
            (endpoint, self.queue.retire(endpoint))
        });
        retired.collect()
    }
}

/// A tenant of a shelf.
pub(super) fn in_force(shelf: &Shelf, id: TenantId) -> Option<Arc<Tenant>> {
    let entry = shelf.get((OWNER, Kind::Tenant, id.raw()))?;
    entry.tenant().cloned()
}

/// A tenant of which no more is known than its name, that it has nothing sent in the clear, and whose
/// plugins it takes: what is unreadable beside these must not loosen them.
fn bare(resource: &Resource) -> Tenant {
    let policy = resource.definition.keys.get("policy");
    Tenant {
        id: TenantId::from_raw(resource.id),
        name: resource.name.clone(),
        plan: None,
        quota: crate::model::quota::Quota::default(),
        policy: Policy {
            https_only: policy.is_some_and(|policy| policy["https_only"] == true),
            ..Policy::default()
        },
        publishers: match policy.and_then(|policy| policy.get("publishers")) {
            Some(named) => {
                let named = named.as_array().into_iter().flatten();
                let named = named.filter_map(|text| text.as_str()?.parse().ok());
                Publishers::only(named.collect())
            }
            None => Publishers::default(),
        },
    }
}

/// The default tenant, as long as nobody has changed it.
fn default_tenant() -> Resource {
    let id = TenantId::DEFAULT;
    let mut definition = Definition::default();
    definition
        .keys
        .insert("name".to_owned(), json!(Tenant::DEFAULT_NAME));
    Resource {
        id: id.raw(),
        tenant: OWNER,
        kind: Kind::Tenant,
        name: Tenant::DEFAULT_NAME.to_owned(),
        definition,
        revision: 0,
        created_at: id.made_at(),
        updated_at: id.made_at(),
        deleted_at: None,
    }
}
