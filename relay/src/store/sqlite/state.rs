//! The small durable state of plugins.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::failure::Failure;
use super::job::{Urgency, Weight};
use super::session::Session;
use super::vault::{DataKey, OVERHEAD_BYTES, Place, Vault};
use crate::model::id::TenantId;
use crate::model::time::Timestamp;
use crate::store::{Error, PluginState, STATE_BYTES_MAX, Scope, Written};

/// A value and when it ends.
type Live = (Vec<u8>, Option<i64>);

#[async_trait]
impl PluginState for SqliteStore {
    async fn state_value(&self, scope: &Scope, key: &str, now: Timestamp) -> Result<Option<Vec<u8>>, Error> {
        let slot = self.slot(scope, key, now).await?;
        self.readers.run(move |connection| slot.value(connection)).await
    }

    async fn set_state(
        &self,
        scope: &Scope,
        key: &str,
        value: Vec<u8>,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<()>, Error> {
        let slot = self.slot(scope, key, now).await?;
        self.writer
            .run(weight(&value), move |session| slot.put(session, &value, expires))
            .await
    }

    async fn delete_state(&self, scope: &Scope, key: &str) -> Result<(), Error> {
        let slot = self.slot(scope, key, Timestamp::default()).await?;
        self.writer
            .run(Weight::SMALL, move |session| slot.delete(session))
            .await
    }

    async fn claim_state(
        &self,
        scope: &Scope,
        key: &str,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Written<bool>, Error> {
        let slot = self.slot(scope, key, now).await?;
        self.writer
            .run(Weight::SMALL, move |session| {
                slot.swap(session, None, &[], Some(expires))
            })
            .await
    }

    async fn add_state(
        &self,
        scope: &Scope,
        key: &str,
        delta: i64,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<i64>, Error> {
        let slot = self.slot(scope, key, now).await?;
        self.writer
            .run(Weight::SMALL, move |session| slot.add(session, delta, expires))
            .await
    }

    async fn swap_state(
        &self,
        scope: &Scope,
        key: &str,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<bool>, Error> {
        let slot = self.slot(scope, key, now).await?;
        let work = move |session: &mut Session<'_>| slot.swap(session, expected.as_deref(), &value, expires);
        self.writer.run(Weight::SMALL, work).await
    }

    async fn state_keys(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<String>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<String>, Error> {
        let slot = self.slot(scope, prefix, now).await?;
        self.readers
            .run(move |connection| slot.keys(connection, after.as_deref(), limit))
            .await
    }
}

fn weight(value: &[u8]) -> Weight {
    Weight {
        urgency: Urgency::Now,
        events: 1,
        bytes: value.len() + Weight::SMALL.bytes,
    }
}

impl SqliteStore {
    async fn slot(&self, scope: &Scope, key: &str, now: Timestamp) -> Result<Slot, Error> {
        Ok(Slot {
            scope: scope.clone(),
            key: key.to_owned(),
            now,
            data_key: self.key(scope.tenant).await?,
            vault: Arc::clone(&self.vault),
        })
    }
}

/// One key of one scope, looked at at one time.
struct Slot {
    scope: Scope,
    key: String,
    now: Timestamp,
    /// Seals the value, which may be a token that the plugin was given.
    data_key: Arc<DataKey>,
    vault: Arc<Vault>,
}

/// The column of the values, sealed and bound to scope and key.
pub(super) const COLUMN: &str = "state.value";

/// What tells a value's row from the others: a plugin's name has no zero in it.
pub(super) fn state_row(owner: i64, plugin: &str, key: &str) -> Vec<u8> {
    [&owner.to_le_bytes(), plugin.as_bytes(), b"\0", key.as_bytes()].concat()
}

/// What a key and its value count: the sealed value without what sealing adds.
macro_rules! size {
    () => {
        "octet_length(key) + octet_length(value) - 33"
    };
}

const _: () = assert!(OVERHEAD_BYTES == 33, "the 33 in `size` is what sealing adds");

impl Slot {
    fn row(&self) -> Vec<u8> {
        state_row(self.scope.owner, &self.scope.plugin, &self.key)
    }

    fn value(&self, connection: &Connection) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.live(connection)?.map(|(value, _)| value))
    }

    /// The value and when it ends, unless that time has come.
    fn live(&self, connection: &Connection) -> Result<Option<Live>, Failure> {
        let mut statement = connection.prepare_cached(
            "SELECT value, expires FROM state
             WHERE tenant = ?1 AND owner = ?2 AND plugin = ?3 AND key = ?4
               AND (expires IS NULL OR expires > ?5)",
        )?;
        let Scope {
            tenant,
            owner,
            plugin,
        } = &self.scope;
        let row = params![tenant.raw(), owner, plugin, self.key, self.now.as_millis()];
        let found = statement
            .query_map(row, |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))?
            .next()
            .transpose()?;
        let Some((sealed, expires)) = found else {
            return Ok(None);
        };
        let place = Place {
            tenant: self.scope.tenant,
            column: COLUMN,
            row: &self.row(),
        };
        Ok(Some((self.vault.unseal(&place, &sealed)?, expires)))
    }

    fn put(
        &self,
        session: &Session<'_>,
        value: &[u8],
        expires: Option<Timestamp>,
    ) -> Result<Written<()>, Failure> {
        self.put_until(session, value, expires.map(Timestamp::as_millis))
    }

    fn put_until(
        &self,
        session: &Session<'_>,
        value: &[u8],
        expires: Option<i64>,
    ) -> Result<Written<()>, Failure> {
        let wanted = self.key.len() + value.len();
        if self.size_without(session)? + wanted > STATE_BYTES_MAX {
            // What is past its time does not count.
            expire_scope(session, &self.scope, self.now)?;
            if self.size_without(session)? + wanted > STATE_BYTES_MAX {
                return Ok(Written::QuotaExceeded);
            }
        }
        let size = self.size_without(session)? + wanted;
        let sealed = self.data_key.seal(COLUMN, &self.row(), value);
        let Scope {
            tenant,
            owner,
            plugin,
        } = &self.scope;
        session
            .statement(
                "INSERT OR REPLACE INTO state (tenant, owner, plugin, key, value, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![tenant.raw(), owner, plugin, self.key, sealed, expires])?;
        session
            .statement(
                "INSERT OR REPLACE INTO state_sizes (tenant, owner, plugin, bytes) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![tenant.raw(), owner, plugin, size as i64])?;
        Ok(Written::Done(()))
    }

    /// Bytes the scope holds apart from this key.
    fn size_without(&self, session: &Session<'_>) -> Result<usize, Failure> {
        let mut statement = session.statement(concat!(
            "SELECT coalesce((SELECT bytes FROM state_sizes WHERE tenant = ?1 AND owner = ?2 AND plugin = ?3), 0)
                  - coalesce((SELECT ", size!(), " FROM state
                              WHERE tenant = ?1 AND owner = ?2 AND plugin = ?3 AND key = ?4), 0)",
        ))?;
        let Scope {
            tenant,
            owner,
            plugin,
        } = &self.scope;
        let size: i64 =
            statement.query_one(params![tenant.raw(), owner, plugin, self.key], |row| row.get(0))?;
        usize::try_from(size)
            .map_err(|_| Failure::Corrupt(format!("the state of plugin {plugin} holds {size} bytes")))
    }

    fn delete(&self, session: &Session<'_>) -> Result<(), Failure> {
        let Scope {
            tenant,
            owner,
            plugin,
        } = &self.scope;
        let mut statement = session.statement(concat!(
            "DELETE FROM state WHERE tenant = ?1 AND owner = ?2 AND plugin = ?3 AND key = ?4
             RETURNING ",
            size!()
        ))?;
        let row = params![tenant.raw(), owner, plugin, self.key];
        let freed: Option<i64> = statement.query_map(row, |row| row.get(0))?.next().transpose()?;
        freed.map_or(Ok(()), |freed| shrink(session, &self.scope, freed))
    }

    fn swap(
        &self,
        session: &Session<'_>,
        expected: Option<&[u8]>,
        value: &[u8],
        expires: Option<Timestamp>,
    ) -> Result<Written<bool>, Failure> {
        if self.value(session.connection())?.as_deref() != expected {
            return Ok(Written::Done(false));
        }
        Ok(match self.put(session, value, expires)? {
            Written::Done(()) => Written::Done(true),
            Written::QuotaExceeded => Written::QuotaExceeded,
        })
    }

    fn add(
        &self,
        session: &Session<'_>,
        delta: i64,
        expires: Option<Timestamp>,
    ) -> Result<Written<i64>, Failure> {
        let (count, expires) = match self.live(session.connection())? {
            Some((value, expires)) => (value.try_into().map_or(0, i64::from_le_bytes), expires),
            None => (0, expires.map(Timestamp::as_millis)),
        };
        let count = count.saturating_add(delta);
        Ok(match self.put_until(session, &count.to_le_bytes(), expires)? {
            Written::Done(()) => Written::Done(count),
            Written::QuotaExceeded => Written::QuotaExceeded,
        })
    }

    /// Keys that begin with this one.
    fn keys(
        &self,
        connection: &Connection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Failure> {
        let mut statement = connection.prepare_cached(
            "SELECT key FROM state
             WHERE tenant = ?1 AND owner = ?2 AND plugin = ?3 AND key >= ?4 AND (?5 IS NULL OR key > ?5)
               AND (expires IS NULL OR expires > ?6)
             ORDER BY key",
        )?;
        let Scope {
            tenant,
            owner,
            plugin,
        } = &self.scope;
        let row = params![tenant.raw(), owner, plugin, self.key, after, self.now.as_millis()];
        let mut rows = statement.query(row)?;
        let mut keys = Vec::new();
        while keys.len() < limit
            && let Some(row) = rows.next()?
        {
            let key: String = row.get(0)?;
            if !key.starts_with(&self.key) {
                break;
            }
            keys.push(key);
        }
        Ok(keys)
    }
}

fn shrink(session: &Session<'_>, scope: &Scope, freed: i64) -> Result<(), Failure> {
    session
        .statement(
            "UPDATE state_sizes SET bytes = bytes - ?4 WHERE tenant = ?1 AND owner = ?2 AND plugin = ?3",
        )?
        .execute(params![scope.tenant.raw(), scope.owner, scope.plugin, freed])?;
    Ok(())
}

/// Removes what is past its time in one scope; the scope's quota bounds the work.
fn expire_scope(session: &Session<'_>, scope: &Scope, now: Timestamp) -> Result<(), Failure> {
    let mut statement = session.statement(concat!(
        "DELETE FROM state WHERE tenant = ?1 AND owner = ?2 AND plugin = ?3 AND expires <= ?4
         RETURNING ",
        size!()
    ))?;
    let row = params![scope.tenant.raw(), scope.owner, scope.plugin, now.as_millis()];
    let freed = statement
        .query_map(row, |row| row.get::<_, i64>(0))?
        .sum::<Result<i64, _>>()?;
    shrink(session, scope, freed)
}

/// Removes up to `limit` values past their time, in all scopes; how many it removed.
pub(super) fn expire(session: &Session<'_>, now: Timestamp, limit: usize) -> Result<usize, Failure> {
    let mut statement = session.statement(concat!(
        "DELETE FROM state WHERE (tenant, owner, plugin, key) IN
             (SELECT tenant, owner, plugin, key FROM state WHERE expires <= ?1 ORDER BY expires LIMIT ?2)
         RETURNING tenant, owner, plugin, ",
        size!()
    ))?;
    let row = params![now.as_millis(), i64::try_from(limit).unwrap_or(i64::MAX)];
    let removed = statement.query_map(row, |row| {
        let tenant = TenantId::from_raw(row.get(0)?);
        Ok((
            Scope {
                tenant,
                owner: row.get(1)?,
                plugin: row.get(2)?,
            },
            row.get(3)?,
        ))
    })?;
    let removed = removed.collect::<Result<Vec<(Scope, i64)>, _>>()?;
    for (scope, freed) in &removed {
        shrink(session, scope, *freed)?;
    }
    Ok(removed.len())
}
