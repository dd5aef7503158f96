//! Names, secrets, disabled endpoints and keys.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqliteStore;
use super::failure::Failure;
use super::job::Weight;
use super::session::Session;
use super::vault::{DataKey, Place, Vault};
use crate::model::id::{EndpointId, KeyId, TenantId};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::store::{Disabled, Error, Failing, Key, Named, Registry, Role, SigningSecrets};

/// Columns that are sealed, each bound to its endpoint.
pub(super) const SYMMETRIC: &str = "signing_secrets.symmetric";
pub(super) const ASYMMETRIC: &str = "signing_secrets.asymmetric";

#[async_trait]
impl Registry for SqliteStore {
    async fn identify(
        &self,
        tenant: TenantId,
        kind: Named,
        names: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<i64>, Error> {
        let ids = Arc::clone(&self.ids);
        let work = move |session: &mut Session<'_>| {
            names
                .iter()
                .map(|name| identify(session, tenant, kind, name, || ids.next(now)))
                .collect()
        };
        self.writer.run(Weight::SMALL, work).await
    }

    async fn signing_secrets(
        &self,
        endpoint: EndpointId,
        fresh: SigningSecrets,
    ) -> Result<SigningSecrets, Error> {
        // Looked for first: at a start there are as many as endpoints, and a commit each takes long.
        let vault = Arc::clone(&self.vault);
        let (tenant, known) = self
            .readers
            .run(move |connection| {
                let known = kept_secrets(connection, endpoint, &vault)?;
                Ok((tenant_of(connection, endpoint.raw())?, known))
            })
            .await?;
        if let Some(known) = known {
            return Ok(known);
        }
        let key = self.key(tenant).await?;
        let vault = Arc::clone(&self.vault);
        self.writer
            .run(Weight::SMALL, move |session| {
                signing_secrets(session, endpoint, &fresh, &key, &vault)
            })
            .await
    }

    async fn set_disabled(&self, endpoint: EndpointId, disabled: Option<Disabled>) -> Result<(), Error> {
        let work = move |session: &mut Session<'_>| set_disabled(session, endpoint, disabled.as_ref());
        self.writer.run(Weight::SMALL, work).await
    }

    async fn disabled(&self) -> Result<Vec<(EndpointId, Disabled)>, Error> {
        self.readers.run(disabled).await
    }

    async fn set_failing(&self, failing: &[(EndpointId, Option<Failing>)]) -> Result<(), Error> {
        let failing = failing.to_vec();
        let work = move |session: &mut Session<'_>| {
            failing
                .iter()
                .try_for_each(|(endpoint, failing)| set_failing(session, *endpoint, failing.as_ref()))
        };
        self.writer.run(Weight::SMALL, work).await
    }

    async fn failing(&self) -> Result<Vec<(EndpointId, Failing)>, Error> {
        self.readers.run(failing).await
    }

    async fn add_key(&self, key: Key) -> Result<(), Error> {
        self.writer
            .run(Weight::SMALL, move |session| add_key(session, &key))
            .await
    }

    async fn keys(&self) -> Result<Vec<Key>, Error> {
        self.readers.run(keys).await
    }

    async fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<bool, Error> {
        self.writer
            .run(Weight::SMALL, move |session| revoke_key(session, id, now))
            .await
    }
}

/// The largest id given to a name; 0 without any.
pub(super) fn last_name(connection: &Connection) -> Result<i64, Error> {
    let last = connection.query_row("SELECT coalesce(max(id), 0) FROM names", [], |row| row.get(0));
    Ok(last.map_err(Failure::from)?)
}

fn identify(
    session: &Session<'_>,
    tenant: TenantId,
    kind: Named,
    name: &str,
    fresh: impl FnOnce() -> i64,
) -> Result<i64, Failure> {
    let key = params![tenant.raw(), named(kind), name];
    let mut known =
        session.statement("SELECT id FROM names WHERE tenant = ?1 AND kind = ?2 AND name = ?3")?;
    if let Some(id) = known.query_map(key, |row| row.get(0))?.next().transpose()? {
        return Ok(id);
    }
    let id = fresh();
    session
        .statement("INSERT INTO names (tenant, kind, name, id) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![tenant.raw(), named(kind), name, id])?;
    Ok(id)
}

/// The number a kind of name is stored as.
const fn named(kind: Named) -> i64 {
    match kind {
        Named::Source => 1,
        Named::Endpoint => 2,
        Named::Rule => 3,
        Named::EventType => 4,
        Named::Alert => 12,
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

fn signing_secrets(
    session: &Session<'_>,
    endpoint: EndpointId,
    fresh: &SigningSecrets,
    key: &DataKey,
    vault: &Vault,
) -> Result<SigningSecrets, Failure> {
    let row = endpoint.raw().to_le_bytes();
    let seal = |column, secret: &Secret| key.seal(column, &row, secret.reveal().as_bytes());
    session
        .statement(
            "INSERT INTO signing_secrets (endpoint, tenant, symmetric, asymmetric) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            endpoint.raw(),
            key.tenant().raw(),
            seal(SYMMETRIC, &fresh.symmetric),
            seal(ASYMMETRIC, &fresh.asymmetric),
        ])?;
    kept_secrets(session.connection(), endpoint, vault)?
        .ok_or_else(|| Failure::Corrupt("signing secrets that were just kept are not there".to_owned()))
}

/// The secrets of an endpoint that are kept, if any are.
fn kept_secrets(
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

fn set_disabled(
    session: &Session<'_>,
    endpoint: EndpointId,
    disabled: Option<&Disabled>,
) -> Result<(), Failure> {
    match disabled {
        Some(disabled) => session
            .statement("INSERT OR REPLACE INTO disabled (endpoint, at, reason) VALUES (?1, ?2, ?3)")?
            .execute(params![endpoint.raw(), disabled.at.as_millis(), disabled.reason])?,
        None => session
            .statement("DELETE FROM disabled WHERE endpoint = ?1")?
            .execute([endpoint.raw()])?,
    };
    Ok(())
}

fn disabled(connection: &Connection) -> Result<Vec<(EndpointId, Disabled)>, Failure> {
    let mut statement =
        connection.prepare_cached("SELECT endpoint, at, reason FROM disabled ORDER BY endpoint")?;
    let rows = statement.query_map([], |row| {
        let disabled = Disabled {
            at: Timestamp::from_millis(row.get(1)?),
            reason: row.get(2)?,
        };
        Ok((EndpointId::from_raw(row.get(0)?), disabled))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn set_failing(
    session: &Session<'_>,
    endpoint: EndpointId,
    failing: Option<&Failing>,
) -> Result<(), Failure> {
    match failing {
        Some(failing) => session
            .statement(
                "INSERT OR REPLACE INTO failing (endpoint, since, failures, warned) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                endpoint.raw(),
                failing.since.as_millis(),
                failing.failures,
                failing.warned
            ])?,
        None => session
            .statement("DELETE FROM failing WHERE endpoint = ?1")?
            .execute([endpoint.raw()])?,
    };
    Ok(())
}

fn failing(connection: &Connection) -> Result<Vec<(EndpointId, Failing)>, Failure> {
    let mut statement = connection
        .prepare_cached("SELECT endpoint, since, failures, warned FROM failing ORDER BY endpoint")?;
    let rows = statement.query_map([], |row| {
        let failing = Failing {
            since: Timestamp::from_millis(row.get(1)?),
            failures: row.get(2)?,
            warned: row.get(3)?,
        };
        Ok((EndpointId::from_raw(row.get(0)?), failing))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn add_key(session: &Session<'_>, key: &Key) -> Result<(), Failure> {
    session
        .statement(
            "INSERT INTO keys (id, tenant, name, role, hash, created_at, revoked_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            key.id.raw(),
            key.tenant.raw(),
            key.name,
            role_code(key.role),
            key.hash.as_slice(),
            key.created_at.as_millis(),
            key.revoked_at.map(Timestamp::as_millis),
        ])?;
    Ok(())
}

fn keys(connection: &Connection) -> Result<Vec<Key>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT id, tenant, name, role, hash, created_at, revoked_at FROM keys ORDER BY created_at, id",
    )?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(key(row)?);
    }
    Ok(keys)
}

fn key(row: &Row<'_>) -> Result<Key, Failure> {
    Ok(Key {
        id: KeyId::from_raw(row.get(0)?),
        tenant: TenantId::from_raw(row.get(1)?),
        name: row.get(2)?,
        role: role(row.get(3)?)?,
        hash: row.get(4)?,
        created_at: Timestamp::from_millis(row.get(5)?),
        revoked_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
    })
}

fn revoke_key(session: &Session<'_>, id: KeyId, now: Timestamp) -> Result<bool, Failure> {
    let changed = session
        .statement("UPDATE keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")?
        .execute([id.raw(), now.as_millis()])?;
    Ok(changed == 1)
}

/// The number a role is stored as.
const fn role_code(role: Role) -> i64 {
    match role {
        Role::Admin => 1,
        Role::Manage => 2,
        Role::Send => 3,
        Role::Read => 4,
    }
}

fn role(code: i64) -> Result<Role, Failure> {
    [Role::Admin, Role::Manage, Role::Send, Role::Read]
        .into_iter()
        .find(|role| role_code(*role) == code)
        .ok_or_else(|| Failure::Corrupt(format!("there is no role {code}")))
}
