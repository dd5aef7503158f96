//! Names, secrets, disabled endpoints and keys.

use async_trait::async_trait;

use super::MemoryStore;
use crate::model::id::{EndpointId, KeyId, TenantId};
use crate::model::time::Timestamp;
use crate::store::{Disabled, Error, Failing, Key, Named, Registry, SigningSecrets};

#[async_trait]
impl Registry for MemoryStore {
    async fn identify(
        &self,
        tenant: TenantId,
        kind: Named,
        names: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<i64>, Error> {
        let mut tables = self.tables();
        let tables = &mut *tables;
        let ids = names.into_iter().map(|name| {
            *tables
                .names
                .entry((tenant, kind, name))
                .or_insert_with(|| tables.ids.next(now))
        });
        Ok(ids.collect())
    }

    async fn signing_secrets(
        &self,
        endpoint: EndpointId,
        fresh: SigningSecrets,
    ) -> Result<SigningSecrets, Error> {
        Ok(self.tables().secrets.entry(endpoint).or_insert(fresh).clone())
    }

    async fn set_disabled(&self, endpoint: EndpointId, disabled: Option<Disabled>) -> Result<(), Error> {
        let mut tables = self.tables();
        match disabled {
            Some(disabled) => tables.disabled.insert(endpoint, disabled),
            None => tables.disabled.remove(&endpoint),
        };
        Ok(())
    }

    async fn disabled(&self) -> Result<Vec<(EndpointId, Disabled)>, Error> {
        Ok(self
            .tables()
            .disabled
            .iter()
            .map(|(id, disabled)| (*id, disabled.clone()))
            .collect())
    }

    async fn set_failing(&self, failing: &[(EndpointId, Option<Failing>)]) -> Result<(), Error> {
        let mut tables = self.tables();
        for (endpoint, failing) in failing {
            match failing {
                Some(failing) => tables.failing.insert(*endpoint, *failing),
                None => tables.failing.remove(endpoint),
            };
        }
        Ok(())
    }

    async fn failing(&self) -> Result<Vec<(EndpointId, Failing)>, Error> {
        let tables = self.tables();
        Ok(tables
            .failing
            .iter()
            .map(|(id, failing)| (*id, *failing))
            .collect())
    }

    async fn add_key(&self, key: Key) -> Result<(), Error> {
        let mut tables = self.tables();
        if tables.keys.iter().any(|known| known.id == key.id) {
            return Err(Error::Unavailable(format!("there is a key {} already", key.id)));
        }
        tables.keys.push(key);
        tables.keys.sort_by_key(|key| (key.created_at, key.id));
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<Key>, Error> {
        Ok(self.tables().keys.clone())
    }

    async fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<bool, Error> {
        let mut tables = self.tables();
        let key = tables
            .keys
            .iter_mut()
            .find(|key| key.id == id && key.revoked_at.is_none());
        Ok(key.is_some_and(|key| key.revoked_at.replace(now).is_none()))
    }
}
