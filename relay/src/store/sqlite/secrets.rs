//! What endpoints sign with, sealed with their tenant's key.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::SqliteStore;
use super::failure::Failure;
use super::job::Weight;
use super::session::Session;
use super::vault::{DataKey, Place, Vault};
use crate::model::id::{EndpointId, TenantId};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::store::{Error, Retiring, Rotation, SigningSecrets};

/// Columns that are sealed, each bound to its endpoint.
pub(super) const SYMMETRIC: &str = "signing_secrets.symmetric";
pub(super) const ASYMMETRIC: &str = "signing_secrets.asymmetric";
const RETIRING: &str = "retiring_secrets.secrets";

impl SqliteStore {
    pub(super) async fn own_secrets(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        fresh: SigningSecrets,
    ) -> Result<SigningSecrets, Error> {
        // Looked for first: at a start there are as many as endpoints, and a commit each takes long.
        let vault = Arc::clone(&self.vault);
        let known = self
            .readers
            .run(move |connection| kept(connection, endpoint, &vault))
            .await?;
        if let Some(known) = known {
            return Ok(known);
        }
        let key = self.key(tenant).await?;
        let vault = Arc::clone(&self.vault);
        self.writer
            .run(Weight::SMALL, move |session| {
                keep(session, endpoint, &fresh, &key, "ON CONFLICT DO NOTHING")?;
                kept(session.connection(), endpoint, &vault)?.ok_or_else(|| {
                    Failure::Corrupt("signing secrets that were just kept are not there".to_owned())
                })
            })
            .await
    }

    pub(super) async fn retiring(&self, endpoint: EndpointId) -> Result<Vec<Retiring>, Error> {
        let vault = Arc::clone(&self.vault);
        self.readers
            .run(move |connection| retiring(connection, endpoint, &vault))
            .await
    }

    pub(super) async fn rotate(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        rotation: Rotation,
    ) -> Result<(), Error> {
        let key = self.key(tenant).await?;
        self.writer
            .run(Weight::SMALL, move |session| {
                if let Some(own) = &rotation.own {
                    let replace = "ON CONFLICT DO UPDATE SET tenant = ?2, symmetric = ?3, asymmetric = ?4";
                    keep(session, endpoint, own, &key, replace)?;
                }
                keep_retiring(session, endpoint, &rotation.retiring, &key)
            })
            .await
    }
}

/// Whose endpoint it is.
pub(super) fn tenant_of(connection: &Connection, endpoint: i64) -> Result<TenantId, Failure> {
    let tenant = connection
        .prepare_cached(
            "SELECT tenant FROM names WHERE id = ?1 UNION ALL SELECT tenant FROM resources WHERE id = ?1",
        )?
        .query_row([endpoint], |row| row.get(0))
        .optional()?;
    Ok(tenant.map_or(TenantId::DEFAULT, TenantId::from_raw))
}

fn keep(
    session: &Session<'_>,
    endpoint: EndpointId,
    secrets: &SigningSecrets,
    key: &DataKey,
    on_conflict: &str,
) -> Result<(), Failure> {
    let row = endpoint.raw().to_le_bytes();
    let seal = |column, secret: &Secret| key.seal(column, &row, secret.reveal().as_bytes());
    let sql = format!(
        "INSERT INTO signing_secrets (endpoint, tenant, symmetric, asymmetric) VALUES (?1, ?2, ?3, ?4)
         {on_conflict}"
    );
    session.statement(&sql)?.execute(params![
        endpoint.raw(),
        key.tenant().raw(),
        seal(SYMMETRIC, &secrets.symmetric),
        seal(ASYMMETRIC, &secrets.asymmetric),
    ])?;
    Ok(())
}

/// The secrets of an endpoint that are kept, if any are.
fn kept(
    connection: &Connection,
    endpoint: EndpointId,
    vault: &Vault,
) -> Result<Option<SigningSecrets>, Failure> {
    let row = endpoint.raw().to_le_bytes();
    let found = connection
        .prepare_cached("SELECT tenant, symmetric, asymmetric FROM signing_secrets WHERE endpoint = ?1")?
        .query_row([endpoint.raw()], |row| {
            Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
        })
        .optional()?;
    let Some((tenant, symmetric, asymmetric)) = found else {
        return Ok(None);
    };
    let open = |column, sealed: &[u8]| {
        let place = Place {
            tenant: TenantId::from_raw(tenant),
            column,
            row: &row,
        };
        let text = String::from_utf8(vault.unseal(&place, sealed)?);
        text.map(Secret::new)
            .map_err(|_| Failure::Corrupt(format!("a sealed value of {column} is no text")))
    };
    Ok(Some(SigningSecrets {
        symmetric: open(SYMMETRIC, &symmetric)?,
        asymmetric: open(ASYMMETRIC, &asymmetric)?,
    }))
}

/// A secret that retires, as it is sealed.
#[derive(Serialize, Deserialize)]
struct Written {
    secret: String,
    until: i64,
}

fn keep_retiring(
    session: &Session<'_>,
    endpoint: EndpointId,
    retiring: &[Retiring],
    key: &DataKey,
) -> Result<(), Failure> {
    if retiring.is_empty() {
        session
            .statement("DELETE FROM retiring_secrets WHERE endpoint = ?1")?
            .execute([endpoint.raw()])?;
        return Ok(());
    }
    let written: Vec<_> = retiring
        .iter()
        .map(|retiring| Written {
            secret: retiring.secret.reveal().to_owned(),
            until: retiring.until.as_millis(),
        })
        .collect();
    let json = serde_json::to_vec(&written)
        .map_err(|error| Failure::Corrupt(format!("secrets are no JSON: {error}")))?;
    session
        .statement("INSERT OR REPLACE INTO retiring_secrets (endpoint, tenant, secrets) VALUES (?1, ?2, ?3)")?
        .execute(params![
            endpoint.raw(),
            key.tenant().raw(),
            key.seal(RETIRING, &endpoint.raw().to_le_bytes(), &json),
        ])?;
    Ok(())
}

fn retiring(connection: &Connection, endpoint: EndpointId, vault: &Vault) -> Result<Vec<Retiring>, Failure> {
    let found = connection
        .prepare_cached("SELECT tenant, secrets FROM retiring_secrets WHERE endpoint = ?1")?
        .query_row([endpoint.raw()], |row| {
            Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .optional()?;
    let Some((tenant, sealed)) = found else {
        return Ok(Vec::new());
    };
    let place = Place {
        tenant: TenantId::from_raw(tenant),
        column: RETIRING,
        row: &endpoint.raw().to_le_bytes(),
    };
    let written: Vec<Written> = serde_json::from_slice(&vault.unseal(&place, &sealed)?)
        .map_err(|error| Failure::Corrupt(format!("a sealed value of {RETIRING} does not read: {error}")))?;
    let retiring = written.into_iter().map(|written| Retiring {
        secret: Secret::new(written.secret),
        until: Timestamp::from_millis(written.until),
    });
    Ok(retiring.collect())
}
