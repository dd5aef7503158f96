//! The audit log. Not sealed: there is no secret in it, and whoever holds the file may check it.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::SqliteStore;
use super::failure::Failure;
use super::job::Weight;
use super::session::Session;
use crate::model::audit::{Deed, Entry};
use crate::model::id::TenantId;
use crate::model::page::{LIMIT_MAX, Listed, Page};
use crate::model::time::Timestamp;
use crate::store::audit::PAGE_BYTES_MAX;
use crate::store::{Audit, AuditFilter, Chain, Chained, Error, Link, chain_hash};

#[async_trait]
impl Audit for SqliteStore {
    async fn note(&self, deed: Deed) -> Result<(), Error> {
        let write = move |session: &mut Session<'_>| note(session, &deed);
        self.writer.run(Weight::SMALL, write).await
    }

    async fn noted(&self, tenant: TenantId, filter: AuditFilter, page: Page) -> Result<Listed<Entry>, Error> {
        let list = move |connection: &Connection| list(connection, tenant, &filter, page);
        self.readers.run(list).await
    }

    async fn chain(&self, tenant: TenantId, after: u64, limit: usize) -> Result<Chain, Error> {
        let read = move |connection: &Connection| chain(connection, tenant, after, limit);
        self.readers.run(read).await
    }

    async fn forget_notes(&self, before: Timestamp, limit: usize) -> Result<usize, Error> {
        let forget = move |session: &mut Session<'_>| forget(session, before, limit);
        self.writer.run(Weight::SMALL, forget).await
    }
}

/// Appends a deed, in the transaction that it belongs to.
pub(super) fn note(session: &Session<'_>, deed: &Deed) -> Result<(), Failure> {
    let head = head(session.connection(), deed.tenant)?;
    let entry = Entry::new(head.number + 1, deed.clone());
    let text = serde_json::to_string(&entry)
        .map_err(|error| Failure::Corrupt(format!("an audit entry is no JSON: {error}")))?;
    session
        .statement(
            "INSERT INTO audit (tenant, number, at, actor, action, object, name, entry, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            entry.tenant.raw(),
            number(entry.number),
            entry.at.as_millis(),
            entry.actor.map(|key| key.raw()),
            entry.action,
            entry.resource.as_ref().map(|object| &object.id),
            entry.resource.as_ref().and_then(|object| object.name.as_ref()),
            text,
            chain_hash(&head.hash, &text),
        ])?;
    Ok(())
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The end of a tenant's chain.
fn head(connection: &Connection, tenant: TenantId) -> Result<Link, Failure> {
    let sql = "SELECT number, hash FROM audit WHERE tenant = ?1 ORDER BY number DESC LIMIT 1";
    let last = connection
        .prepare_cached(sql)?
        .query_row([tenant.raw()], link)
        .optional()?;
    match last {
        Some(last) => Ok(last),
        None => anchor(connection, tenant),
    }
}

fn anchor(connection: &Connection, tenant: TenantId) -> Result<Link, Failure> {
    let sql = "SELECT number, hash FROM audit_anchors WHERE tenant = ?1";
    let anchor = connection
        .prepare_cached(sql)?
        .query_row([tenant.raw()], link)
        .optional()?;
    Ok(anchor.unwrap_or_default())
}

fn link(row: &rusqlite::Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link {
        number: u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
        hash: row.get(1)?,
    })
}

fn list(
    connection: &Connection,
    tenant: TenantId,
    filter: &AuditFilter,
    page: Page,
) -> Result<Listed<Entry>, Failure> {
    let limit = page.limit.clamp(1, LIMIT_MAX);
    let mut statement = connection.prepare_cached(
        "SELECT entry FROM audit
         WHERE tenant = ?1 AND number < ?2
             AND (?3 IS NULL OR actor = ?3) AND (?4 IS NULL OR action = ?4)
             AND (?5 IS NULL OR object = ?5 OR name = ?5)
             AND (?6 IS NULL OR at >= ?6) AND (?7 IS NULL OR at < ?7)
         ORDER BY number DESC LIMIT ?8",
    )?;
    let mut rows = statement.query(params![
        tenant.raw(),
        page.before.unwrap_or(i64::MAX),
        filter.actor.map(|key| key.raw()),
        filter.action,
        filter.resource,
        filter.since.map(Timestamp::as_millis),
        filter.until.map(Timestamp::as_millis),
        limit as i64 + 1,
    ])?;
    let mut items: Vec<Entry> = Vec::new();
    let (mut bytes, mut has_more) = (0, false);
    while let Some(row) = rows.next()? {
        if items.len() == limit || bytes >= PAGE_BYTES_MAX {
            has_more = true;
            break;
        }
        let text = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        bytes += text.len();
        let entry = serde_json::from_str(text);
        items
            .push(entry.map_err(|error| Failure::Corrupt(format!("an audit entry does not read: {error}")))?);
    }
    Ok(Listed {
        next: items.last().map(|last| number(last.number)).filter(|_| has_more),
        items,
    })
}

fn chain(connection: &Connection, tenant: TenantId, after: u64, limit: usize) -> Result<Chain, Failure> {
    // Entries and anchor as they were at one time: what is forgotten in between would be missing.
    let connection = &*connection.unchecked_transaction()?;
    let mut statement = connection.prepare_cached(
        "SELECT number, hash, entry FROM audit WHERE tenant = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
    )?;
    // One more than are wanted tells whether there are more.
    let rows_max = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![tenant.raw(), number(after), rows_max])?;
    let mut entries: Vec<Chained> = Vec::new();
    let (mut bytes, mut has_more) = (0, false);
    while let Some(row) = rows.next()? {
        if entries.len() == limit || bytes >= PAGE_BYTES_MAX {
            has_more = true;
            break;
        }
        let text: String = row.get(2)?;
        bytes += text.len();
        entries.push(Chained {
            link: link(row)?,
            text,
        });
    }
    Ok(Chain {
        entries,
        anchor: anchor(connection, tenant)?,
        has_more,
    })
}

/// Takes away what is old from the beginning of each chain on, so that what stays hangs together.
fn forget(session: &Session<'_>, before: Timestamp, limit: usize) -> Result<usize, Failure> {
    let tenants: Vec<i64> = session
        .statement(
            // A seek for each tenant: the first entry of a chain is its oldest.
            "WITH RECURSIVE owner(tenant) AS (
                 SELECT min(tenant) FROM audit
                 UNION ALL
                 SELECT (SELECT min(tenant) FROM audit WHERE tenant > owner.tenant)
                 FROM owner WHERE owner.tenant IS NOT NULL
             )
             SELECT tenant FROM owner WHERE tenant IS NOT NULL
                 AND (SELECT at FROM audit WHERE audit.tenant = owner.tenant ORDER BY number LIMIT 1) < ?1",
        )?
        .query_map([before.as_millis()], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut forgotten = 0;
    for tenant in tenants {
        let old: Vec<(i64, Link)> = session
            .statement("SELECT number, hash, at FROM audit WHERE tenant = ?1 ORDER BY number LIMIT ?2")?
            .query_map(params![tenant, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                Ok((row.get(2)?, link(row)?))
            })?
            .collect::<Result<_, _>>()?;
        let last = old.iter().take_while(|(at, _)| *at < before.as_millis()).last();
        let Some((_, last)) = last else { continue };
        session
            .statement(
                "INSERT INTO audit_anchors (tenant, number, hash) VALUES (?1, ?2, ?3)
                 ON CONFLICT (tenant) DO UPDATE SET number = ?2, hash = ?3",
            )?
            .execute(params![tenant, number(last.number), last.hash])?;
        forgotten += session
            .statement("DELETE FROM audit WHERE tenant = ?1 AND number <= ?2")?
            .execute(params![tenant, number(last.number)])?;
    }
    Ok(forgotten)
}
