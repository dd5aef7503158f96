//! API keys.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqliteStore;
use super::failure::Failure;
use super::job::Weight;
use super::session::Session;
use crate::model::id::{KeyId, TenantId};
use crate::model::page::{LIMIT_MAX, Listed, Page};
use crate::model::time::Timestamp;
use crate::store::{Error, Key, KeyCount, KeyFilter, KeyRing, Role};

const COLUMNS: &str = "id, tenant, name, role, hash, created_at, expires_at, revoked_at FROM keys";

#[async_trait]
impl KeyRing for SqliteStore {
    async fn add_key(&self, key: Key) -> Result<(), Error> {
        self.writer
            .run(Weight::SMALL, move |session| add(session, &key))
            .await
    }

    async fn keys(&self) -> Result<Vec<Key>, Error> {
        self.readers
            .run(|connection| {
                let sql = format!("SELECT {COLUMNS} WHERE revoked_at IS NULL ORDER BY created_at, id");
                collect(connection.prepare(&sql)?.query([])?)
            })
            .await
    }

    async fn keys_of(&self, tenant: TenantId, filter: KeyFilter, page: Page) -> Result<Listed<Key>, Error> {
        self.readers
            .run(move |connection| list(connection, tenant, filter, page))
            .await
    }

    async fn key(&self, tenant: TenantId, id: KeyId) -> Result<Option<Key>, Error> {
        self.readers
            .run(move |connection| {
                let sql = format!("SELECT {COLUMNS} WHERE id = ?1 AND tenant = ?2");
                let mut statement = connection.prepare_cached(&sql)?;
                let mut rows = statement.query([id.raw(), tenant.raw()])?;
                rows.next()?.map(read).transpose()
            })
            .await
    }

    async fn count_keys(&self, tenant: TenantId, now: Timestamp) -> Result<KeyCount, Error> {
        self.readers
            .run(move |connection| count(connection, tenant, now))
            .await
    }

    async fn rename_key(&self, tenant: TenantId, id: KeyId, name: String) -> Result<bool, Error> {
        self.writer
            .run(Weight::SMALL, move |session| {
                let changed = session
                    .statement("UPDATE keys SET name = ?3 WHERE id = ?1 AND tenant = ?2")?
                    .execute(params![id.raw(), tenant.raw(), name])?;
                Ok(changed == 1)
            })
            .await
    }

    async fn revoke_key(&self, tenant: TenantId, id: KeyId, now: Timestamp) -> Result<bool, Error> {
        self.writer
            .run(Weight::SMALL, move |session| {
                let sql = "UPDATE keys SET revoked_at = ?3
                           WHERE id = ?1 AND tenant = ?2 AND revoked_at IS NULL";
                let changed = session
                    .statement(sql)?
                    .execute([id.raw(), tenant.raw(), now.as_millis()])?;
                Ok(changed == 1)
            })
            .await
    }

    async fn forget_keys(&self, before: Timestamp, limit: usize) -> Result<usize, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.writer
            .run(Weight::SMALL, move |session| {
                let sql = "DELETE FROM keys WHERE id IN
                    (SELECT id FROM keys WHERE min(coalesce(revoked_at, ?1), coalesce(expires_at, ?1)) < ?1
                     LIMIT ?2)";
                Ok(session.statement(sql)?.execute([before.as_millis(), limit])?)
            })
            .await
    }
}

fn add(session: &Session<'_>, key: &Key) -> Result<(), Failure> {
    session
        .statement(
            "INSERT INTO keys (id, tenant, name, role, hash, created_at, expires_at, revoked_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            key.id.raw(),
            key.tenant.raw(),
            key.name,
            code(key.role),
            key.hash.as_slice(),
            key.created_at.as_millis(),
            key.expires_at.map(Timestamp::as_millis),
            key.revoked_at.map(Timestamp::as_millis),
        ])?;
    Ok(())
}

fn list(
    connection: &Connection,
    tenant: TenantId,
    filter: KeyFilter,
    page: Page,
) -> Result<Listed<Key>, Failure> {
    let limit = page.limit.clamp(1, LIMIT_MAX);
    let sql = format!("SELECT {COLUMNS} WHERE tenant = ?1 AND id < ?2 ORDER BY id DESC");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([tenant.raw(), page.before.unwrap_or(i64::MAX)])?;
    let mut items = Vec::new();
    // A tenant has a bounded number of keys, so looking at each is bounded, too.
    while let Some(row) = rows.next()? {
        let key = read(row)?;
        if filter.wants(&key) {
            items.push(key);
        }
        if items.len() > limit {
            break;
        }
    }
    let is_overfull = items.len() > limit;
    items.truncate(limit);
    Ok(Listed {
        next: items.last().map(|last| last.id.raw()).filter(|_| is_overfull),
        items,
    })
}

fn count(connection: &Connection, tenant: TenantId, now: Timestamp) -> Result<KeyCount, Failure> {
    let sql = "SELECT count(*), count(*) FILTER
                   (WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2))
               FROM keys WHERE tenant = ?1";
    let counted = connection
        .prepare_cached(sql)?
        .query_row([tenant.raw(), now.as_millis()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    let (kept, in_force) = counted.unwrap_or_default();
    Ok(KeyCount {
        kept: kept.unsigned_abs(),
        in_force: in_force.unsigned_abs(),
    })
}

fn collect(mut rows: rusqlite::Rows<'_>) -> Result<Vec<Key>, Failure> {
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(read(row)?);
    }
    Ok(keys)
}

fn read(row: &Row<'_>) -> Result<Key, Failure> {
    let time = |column| -> Result<Option<Timestamp>, Failure> {
        Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
    };
    Ok(Key {
        id: KeyId::from_raw(row.get(0)?),
        tenant: TenantId::from_raw(row.get(1)?),
        name: row.get(2)?,
        role: role(row.get(3)?)?,
        hash: row.get(4)?,
        created_at: Timestamp::from_millis(row.get(5)?),
        expires_at: time(6)?,
        revoked_at: time(7)?,
    })
}

/// The number a role is stored as.
const fn code(role: Role) -> i64 {
    match role {
        Role::Admin => 1,
        Role::Manage => 2,
        Role::Send => 3,
        Role::Read => 4,
    }
}

fn role(stored: i64) -> Result<Role, Failure> {
    [Role::Admin, Role::Manage, Role::Send, Role::Read]
        .into_iter()
        .find(|role| code(*role) == stored)
        .ok_or_else(|| Failure::Corrupt(format!("there is no role {stored}")))
}
