//! Names, and what receivers have come to; what endpoints sign with is in `secrets`.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::failure::Failure;
use super::job::Weight;
use super::session::Session;
use crate::model::id::{EndpointId, TenantId};
use crate::model::time::Timestamp;
use crate::store::{Disabled, Error, Failing, Named, Registry, Retiring, Rotation, SigningSecrets};

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
        tenant: TenantId,
        endpoint: EndpointId,
        fresh: SigningSecrets,
    ) -> Result<SigningSecrets, Error> {
        self.own_secrets(tenant, endpoint, fresh).await
    }

    async fn retiring_secrets(&self, endpoint: EndpointId) -> Result<Vec<Retiring>, Error> {
        self.retiring(endpoint).await
    }

    async fn rotate_secrets(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        rotation: Rotation,
    ) -> Result<(), Error> {
        self.rotate(tenant, endpoint, rotation).await
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
