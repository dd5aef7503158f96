//! Names, secrets and disabled endpoints.

use async_trait::async_trait;

use super::MemoryStore;
use crate::model::id::{EndpointId, TenantId};
use crate::model::time::Timestamp;
use crate::store::{Disabled, Error, Failing, Named, Registry, Retiring, Rotation, SigningSecrets};

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
        tenant: TenantId,
        endpoint: EndpointId,
        fresh: SigningSecrets,
    ) -> Result<SigningSecrets, Error> {
        let mut tables = self.tables();
        let (_, kept) = tables.secrets.entry(endpoint).or_insert((tenant, fresh));
        Ok(kept.clone())
    }

    async fn retiring_secrets(&self, endpoint: EndpointId) -> Result<Vec<Retiring>, Error> {
        let tables = self.tables();
        let retiring = tables.retiring.get(&endpoint);
        Ok(retiring.map(|(_, retiring)| retiring.clone()).unwrap_or_default())
    }

    async fn rotate_secrets(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        rotation: Rotation,
    ) -> Result<(), Error> {
        let mut tables = self.tables();
        if let Some(own) = rotation.own {
            tables.secrets.insert(endpoint, (tenant, own));
        }
        tables.retiring.insert(endpoint, (tenant, rotation.retiring));
        Ok(())
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
}
