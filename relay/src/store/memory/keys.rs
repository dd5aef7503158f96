//! API keys.

use async_trait::async_trait;

use super::MemoryStore;
use super::events::list;
use crate::model::id::{KeyId, TenantId};
use crate::model::page::{Listed, Page};
use crate::model::time::Timestamp;
use crate::store::{Error, Key, KeyCount, KeyFilter, KeyRing};

#[async_trait]
impl KeyRing for MemoryStore {
    async fn add_key(&self, key: Key) -> Result<(), Error> {
        let mut tables = self.tables();
        if tables.keys.contains_key(&key.id) {
            return Err(Error::Unavailable(format!("there is a key {} already", key.id)));
        }
        tables.keys.insert(key.id, key);
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<Key>, Error> {
        let tables = self.tables();
        let mut keys: Vec<_> = tables
            .keys
            .values()
            .filter(|key| key.revoked_at.is_none())
            .cloned()
            .collect();
        keys.sort_by_key(|key| (key.created_at, key.id));
        Ok(keys)
    }

    async fn keys_of(&self, tenant: TenantId, filter: KeyFilter, page: Page) -> Result<Listed<Key>, Error> {
        let tables = self.tables();
        let below = KeyId::from_raw(page.before.unwrap_or(i64::MAX));
        let wanted = tables
            .keys
            .range(..below)
            .rev()
            .filter(|(_, key)| key.tenant == tenant && filter.wants(key));
        Ok(list(wanted.map(|(id, key)| (id.raw(), key.clone())), page))
    }

    async fn key(&self, tenant: TenantId, id: KeyId) -> Result<Option<Key>, Error> {
        let tables = self.tables();
        let key = tables.keys.get(&id);
        Ok(key.filter(|key| key.tenant == tenant).cloned())
    }

    async fn count_keys(&self, tenant: TenantId, now: Timestamp) -> Result<KeyCount, Error> {
        let tables = self.tables();
        let mut count = KeyCount::default();
        for key in tables.keys.values().filter(|key| key.tenant == tenant) {
            count.kept += 1;
            count.in_force += u64::from(key.is_in_force(now));
        }
        Ok(count)
    }

    async fn rename_key(&self, tenant: TenantId, id: KeyId, name: String) -> Result<bool, Error> {
        let mut tables = self.tables();
        let key = tables.keys.get_mut(&id).filter(|key| key.tenant == tenant);
        Ok(key.map(|key| key.name = name).is_some())
    }

    async fn revoke_key(&self, tenant: TenantId, id: KeyId, now: Timestamp) -> Result<bool, Error> {
        let mut tables = self.tables();
        let key = tables.keys.get_mut(&id);
        let key = key.filter(|key| key.tenant == tenant && key.revoked_at.is_none());
        Ok(key.map(|key| key.revoked_at = Some(now)).is_some())
    }

    async fn forget_keys(&self, before: Timestamp, limit: usize) -> Result<usize, Error> {
        let mut tables = self.tables();
        let is_old = |end: Option<Timestamp>| end.is_some_and(|end| end < before);
        let old: Vec<_> = tables
            .keys
            .values()
            .filter(|key| is_old(key.revoked_at) || is_old(key.expires_at))
            .map(|key| key.id)
            .take(limit)
            .collect();
        for id in &old {
            tables.keys.remove(id);
        }
        Ok(old.len())
    }
}
