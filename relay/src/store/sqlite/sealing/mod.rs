//! Seals what a store holds in the clear from the time before it sealed anything.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::Error;
use super::failure::Failure;
use super::state::state_row;
use super::vault::{DataKey, Place, Vault, is_sealed};
use super::{messages, reopen, secrets, state};
use crate::model::id::TenantId;

/// Deliveries sealed in one transaction: bounds what the write-ahead log gains.
const BITE: usize = 1000;
/// Bytes of messages sealed in one transaction, at least one delivery's: they are held in memory.
const BITE_BYTES: usize = 8 << 20;

/// The size of the database, in bytes.
const SIZE: &str = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";

/// Does it once; what a crash interrupts goes on at the next start.
pub(super) fn seal_what_is_clear(
    connection: &mut Connection,
    path: &Path,
    vault: &Vault,
) -> Result<(), Error> {
    let sql = "SELECT value FROM marks WHERE name = 'sealed'";
    let mark: i64 = connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(Failure::from)?;
    if mark == 1 {
        return Ok(());
    }
    seal(connection, vault)?;
    if let Err(error) = rewrite(connection) {
        // Everything is sealed and can be worked with. Without the mark it is tried again.
        tracing::warn!(
            ?error,
            "the store could not be rewritten: what was in the clear may still stand in its free space; \
             it is tried again at the next start"
        );
        // It may have failed in a sync.
        *connection = reopen::open(path)?;
        return Ok(());
    }
    Ok(mark_done(connection)?)
}

fn seal(connection: &mut Connection, vault: &Vault) -> Result<(), Failure> {
    let mut after = i64::MIN;
    while let Some(last) = seal_messages(connection, vault, after)? {
        after = last;
    }
    let transaction = connection.transaction()?;
    seal_secrets(&transaction, vault)?;
    seal_state(&transaction, vault)?;
    Ok(transaction.commit()?)
}

fn mark_done(connection: &mut Connection) -> Result<(), Failure> {
    let transaction = connection.transaction()?;
    transaction.execute("UPDATE marks SET value = 1 WHERE name = 'sealed'", [])?;
    transaction.execute_batch("DROP TABLE signing_secrets_in_the_clear")?;
    Ok(transaction.commit()?)
}

/// Leaves nothing behind of what was sealed: SQLite keeps the old bytes in the free space of
/// its pages, and in its log.
fn rewrite(connection: &Connection) -> Result<(), Failure> {
    let has_any = "SELECT EXISTS (SELECT 1 FROM deliveries) OR EXISTS (SELECT 1 FROM signing_secrets)
                       OR EXISTS (SELECT 1 FROM state)";
    if connection.query_row(has_any, [], |row| row.get(0))? {
        let bytes: i64 = connection.query_row(SIZE, [], |row| row.get(0))?;
        tracing::info!(
            bytes,
            "the store's secrets are sealed now, and it is rewritten once: that takes a while, and up to \
             twice its size of free disk"
        );
        // The copy it makes on the way is as large as the database: not for the memory.
        connection.execute_batch("PRAGMA temp_store = file")?;
        let rewritten = connection.execute_batch("VACUUM");
        connection.execute_batch("PRAGMA temp_store = memory")?;
        rewritten?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}

/// Seals the messages of some deliveries; the last that it looked at, `None` at the end.
fn seal_messages(connection: &mut Connection, vault: &Vault, after: i64) -> Result<Option<i64>, Failure> {
    let transaction = connection.transaction()?;
    let rows = bite(&transaction, after)?;
    for (id, tenant, bytes) in &rows {
        if is_sealed(bytes) {
            continue;
        }
        let key = key_of(&transaction, vault, TenantId::from_raw(*tenant))?;
        let sealed = key.seal(messages::COLUMN, &id.to_le_bytes(), bytes);
        transaction.execute(
            "UPDATE deliveries SET messages = ?2 WHERE id = ?1",
            params![id, sealed],
        )?;
    }
    transaction.commit()?;
    Ok(rows.last().map(|(id, ..)| *id))
}

/// The next deliveries with messages, as many as are sealed in one transaction: their ids, tenants
/// and messages.
fn bite(connection: &Connection, after: i64) -> Result<Vec<(i64, i64, Vec<u8>)>, Failure> {
    let sql = "SELECT id, tenant, messages FROM deliveries
               WHERE id > ?1 AND messages IS NOT NULL ORDER BY id";
    let mut statement = connection.prepare(sql)?;
    let mut found = statement.query([after])?;
    let (mut rows, mut size) = (Vec::new(), 0);
    while rows.len() < BITE && size < BITE_BYTES {
        let Some(row) = found.next()? else { break };
        let messages: Vec<u8> = row.get(2)?;
        size += messages.len();
        rows.push((row.get(0)?, row.get(1)?, messages));
    }
    Ok(rows)
}

fn seal_secrets(connection: &Connection, vault: &Vault) -> Result<(), Failure> {
    let sql = "SELECT endpoint, symmetric, asymmetric FROM signing_secrets_in_the_clear";
    let rows: Vec<(i64, String, String)> =
        clear(connection, sql, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (endpoint, symmetric, asymmetric) in rows {
        let tenant = secrets::tenant_of(connection, endpoint)?;
        let key = key_of(connection, vault, tenant)?;
        let row = endpoint.to_le_bytes();
        let symmetric = key.seal(secrets::SYMMETRIC, &row, symmetric.as_bytes());
        let asymmetric = key.seal(secrets::ASYMMETRIC, &row, asymmetric.as_bytes());
        connection.execute(
            "INSERT INTO signing_secrets (endpoint, tenant, symmetric, asymmetric) VALUES (?1, ?2, ?3, ?4)",
            params![endpoint, tenant.raw(), symmetric, asymmetric],
        )?;
    }
    connection.execute("DELETE FROM signing_secrets_in_the_clear", [])?;
    Ok(())
}

fn seal_state(connection: &Connection, vault: &Vault) -> Result<(), Failure> {
    let sql = "SELECT tenant, owner, plugin, key, value FROM state";
    let rows: Vec<(i64, i64, String, String, Vec<u8>)> = clear(connection, sql, |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    })?;
    for (tenant, owner, plugin, name, value) in rows {
        let key = key_of(connection, vault, TenantId::from_raw(tenant))?;
        let row = state_row(owner, &plugin, &name);
        let place = Place {
            tenant: key.tenant(),
            column: state::COLUMN,
            row: &row,
        };
        // Values have no mark of their own: what opens was sealed before a crash.
        if vault.unseal(&place, &value).is_ok() {
            continue;
        }
        let sealed = key.seal(state::COLUMN, &row, &value);
        connection.execute(
            "UPDATE state SET value = ?5 WHERE tenant = ?1 AND owner = ?2 AND plugin = ?3 AND key = ?4",
            params![tenant, owner, plugin, name, sealed],
        )?;
    }
    Ok(())
}

/// All rows of a query, read before any of them is written.
fn clear<T>(
    connection: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Failure> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A tenant's key. One that is made here is used only in the transaction that makes it
/// durable: should that fail, the start fails too.
fn key_of(connection: &Connection, vault: &Vault, tenant: TenantId) -> Result<Arc<DataKey>, Failure> {
    if vault.key(tenant).is_none() {
        vault.keep(vault.make(connection, tenant)?);
    }
    vault
        .key(tenant)
        .ok_or_else(|| Failure::Corrupt("a data key was not kept".to_owned()))
}

#[cfg(test)]
mod tests;
