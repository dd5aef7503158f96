//! Resources.

use std::collections::HashMap;

use async_trait::async_trait;

use super::{MemoryStore, Tables};
use crate::model::audit::Deed;
use crate::model::id::{EndpointId, SourceId, TenantId};
use crate::model::page::{LIMIT_MAX, Listed, Page};
use crate::model::resource::{Kind, Resource};
use crate::model::time::Timestamp;
use crate::store::{Error, Resources, Saved, Which};

#[async_trait]
impl Resources for MemoryStore {
    fn fresh_id(&self, now: Timestamp) -> i64 {
        self.tables().ids.next(now)
    }

    async fn save(&self, resource: Resource, deed: Option<Deed>) -> Result<Saved, Error> {
        let mut tables = self.tables();
        let known = tables.resources.get(&resource.id);
        let known = known.filter(|known| known.tenant == resource.tenant && known.kind == resource.kind);
        if known.map_or(0, |known| known.revision) + 1 != resource.revision {
            return Ok(Saved::Changed);
        }
        let is_rival = |other: &Resource| {
            other.id != resource.id
                && other.deleted_at.is_none()
                && (other.tenant, other.kind, &other.name) == (resource.tenant, resource.kind, &resource.name)
        };
        if resource.deleted_at.is_none() && tables.resources.values().any(is_rival) {
            return Ok(Saved::NameTaken);
        }
        if let Some(deed) = deed {
            tables.note(deed)?;
        }
        tables.resources.insert(resource.id, resource);
        Ok(Saved::Done)
    }

    async fn resource(&self, tenant: TenantId, kind: Kind, id: i64) -> Result<Option<Resource>, Error> {
        let tables = self.tables();
        let found = tables.resources.get(&id);
        Ok(found
            .filter(|found| found.tenant == tenant && found.kind == kind)
            .cloned())
    }

    async fn resources(
        &self,
        tenant: TenantId,
        kind: Kind,
        which: Which,
        page: Page,
    ) -> Result<Listed<Resource>, Error> {
        let limit = page.limit.clamp(1, LIMIT_MAX);
        let tables = self.tables();
        let mut items: Vec<Resource> = tables
            .resources
            .range(..page.before.unwrap_or(i64::MAX))
            .rev()
            .map(|(_, resource)| resource)
            .filter(|resource| resource.tenant == tenant && resource.kind == kind)
            .filter(|resource| resource.deleted_at.is_some() == (which == Which::Deleted))
            .take(limit + 1)
            .cloned()
            .collect();
        let is_overfull = items.len() > limit;
        items.truncate(limit);
        Ok(Listed {
            next: items.last().map(|last| last.id).filter(|_| is_overfull),
            items,
        })
    }

    async fn living(&self) -> Result<Vec<Resource>, Error> {
        let tables = self.tables();
        let living = tables.resources.values();
        Ok(living
            .filter(|resource| resource.deleted_at.is_none())
            .cloned()
            .collect())
    }

    async fn is_deleted(&self, id: i64) -> Result<bool, Error> {
        let tables = self.tables();
        let is_gone = |found: &Resource| found.deleted_at.is_some();
        let found = tables.resources.get(&id);
        Ok(found.is_some_and(|resource| {
            let tenant = tables.resources.get(&resource.tenant.raw());
            is_gone(resource) || tenant.is_some_and(|tenant| tenant.kind == Kind::Tenant && is_gone(tenant))
        }))
    }

    async fn forget_resources(
        &self,
        deleted_before: Timestamp,
        kept_max: usize,
        limit: usize,
    ) -> Result<usize, Error> {
        let mut tables = self.tables();
        let mut deleted: Vec<_> = tables
            .resources
            .values()
            .filter_map(|resource| Some((resource.deleted_at?, resource.id, resource.tenant, resource.kind)))
            .collect();
        deleted.sort_unstable_by(|one, other| other.cmp(one));
        let mut kept: HashMap<_, usize> = HashMap::new();
        deleted.retain(|(at, _, tenant, kind)| {
            let kept = kept.entry((*tenant, *kind)).or_default();
            *kept += 1;
            *at < deleted_before || *kept > kept_max
        });
        deleted.truncate(limit);
        for (_, id, _, kind) in &deleted {
            tables.resources.remove(id);
            tables.forget_owner(*id);
            if *kind == Kind::Tenant {
                tables.forget_all_of(TenantId::from_raw(*id));
            }
        }
        Ok(deleted.len())
    }
}

impl Tables {
    /// Forgets what belonged to a source or endpoint.
    fn forget_owner(&mut self, id: i64) {
        let endpoint = EndpointId::from_raw(id);
        self.secrets.remove(&endpoint);
        self.retiring.remove(&endpoint);
        self.paths.remove(&SourceId::from_raw(id));
        self.disabled.remove(&endpoint);
        self.failing.remove(&endpoint);
        self.state.retain(|scope, _| scope.owner != id);
    }

    /// Forgets what a tenant had.
    fn forget_all_of(&mut self, gone: TenantId) {
        let own = self.resources.values().filter(|own| own.tenant == gone);
        let own: Vec<i64> = own.map(|own| own.id).collect();
        for id in own {
            self.resources.remove(&id);
            self.forget_owner(id);
        }
        self.keys.retain(|_, key| key.tenant != gone);
        self.jobs.retain(|_, job| job.tenant != gone);
        self.inspectors.retain(|inspector| inspector.tenant != gone);
        self.plugins.retain(|(tenant, _), _| *tenant != gone);
        self.end_media_of(gone);
    }
}
