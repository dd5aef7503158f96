//! Counts what limited tenants send and have stored, in the transactions that change it.

use std::collections::HashSet;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::SqliteStore;
use super::failure::Failure;
use super::job::Weight;
use super::plan;
use super::session::Session;
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, TenantId, first_raw_at};
use crate::model::time::Timestamp;
use crate::store::{Error, Metering, Owned, Usage};

#[async_trait]
impl Metering for SqliteStore {
    async fn meter(&self, tenants: Vec<TenantId>, now: Timestamp) -> Result<Vec<(TenantId, Usage)>, Error> {
        let known = self.usage().await?;
        let counted: HashSet<_> = known.iter().map(|(tenant, _)| *tenant).collect();
        if counted == tenants.iter().copied().collect() {
            return Ok(known);
        }
        self.writer
            .run(Weight::SMALL, move |session| meter(session, &tenants, now))
            .await
    }

    async fn usage(&self) -> Result<Vec<(TenantId, Usage)>, Error> {
        self.readers.run(usage).await
    }

    async fn owner(&self, owned: Owned) -> Result<Option<TenantId>, Error> {
        self.readers.run(move |connection| owner(connection, owned)).await
    }
}

/// The tenants that are counted.
pub(super) fn metered(connection: &Connection) -> rusqlite::Result<HashSet<TenantId>> {
    let mut statement = connection.prepare("SELECT tenant FROM usage")?;
    let tenants = statement.query_map([], |row| row.get(0).map(TenantId::from_raw))?;
    tenants.collect()
}

/// Counts an event that is being accepted.
pub(super) fn count(session: &Session<'_>, event: &Event) -> rusqlite::Result<()> {
    session
        .statement(
            "UPDATE usage SET events = iif(day = ?2, events, 0) + 1, day = ?2, bytes = bytes + ?3
             WHERE tenant = ?1",
        )?
        .execute(params![
            event.tenant.raw(),
            Usage::day_of(event.received_at),
            event.data.len() as i64
        ])?;
    Ok(())
}

/// Takes off what a range of events that is about to be removed has stored.
pub(super) fn take_off(session: &Session<'_>, range: (i64, i64)) -> rusqlite::Result<()> {
    session
        .statement(
            "UPDATE usage SET bytes = max(0, usage.bytes - gone.bytes)
             FROM (SELECT tenant, sum(length(data)) AS bytes FROM events
                   WHERE id BETWEEN ?1 AND ?2 GROUP BY tenant) AS gone
             WHERE usage.tenant = gone.tenant",
        )?
        .execute(range)?;
    Ok(())
}

/// Takes off what an event has stored beyond what is left of it.
pub(super) fn shrink(session: &Session<'_>, event: EventId, left: i64) -> rusqlite::Result<()> {
    session
        .statement(
            "UPDATE usage SET bytes = max(0, usage.bytes - was.bytes + ?2)
             FROM (SELECT tenant, length(data) AS bytes FROM events WHERE id = ?1) AS was
             WHERE usage.tenant = was.tenant",
        )?
        .execute(params![event.raw(), left])?;
    Ok(())
}

fn meter(
    session: &mut Session<'_>,
    tenants: &[TenantId],
    now: Timestamp,
) -> Result<Vec<(TenantId, Usage)>, Failure> {
    let connection = session.connection();
    let before = metered(connection)?;
    for gone in before.iter().filter(|tenant| !tenants.contains(tenant)) {
        connection.execute("DELETE FROM usage WHERE tenant = ?1", [gone.raw()])?;
    }
    for new in tenants.iter().filter(|tenant| !before.contains(tenant)) {
        begin(connection, *new, now)?;
    }
    session.metered = tenants.iter().copied().collect();
    usage(connection)
}

/// Counts what is there already; a tenant has no events from before it was made.
fn begin(connection: &Connection, tenant: TenantId, now: Timestamp) -> rusqlite::Result<()> {
    let day = Usage::day_of(now);
    let midnight = first_raw_at(Usage::end_of(day - 1));
    connection.execute(
        "INSERT INTO usage (tenant, day, events, bytes)
         SELECT ?1, ?2, count(*) FILTER (WHERE id >= ?3), coalesce(sum(length(data)), 0)
         FROM events WHERE id > ?1 AND tenant = ?1",
        params![tenant.raw(), day, midnight],
    )?;
    Ok(())
}

fn usage(connection: &Connection) -> Result<Vec<(TenantId, Usage)>, Failure> {
    let mut statement =
        connection.prepare_cached("SELECT tenant, day, events, bytes FROM usage ORDER BY tenant")?;
    let rows = statement.query_map([], |row| {
        let usage = Usage {
            day: row.get(1)?,
            events: row.get::<_, i64>(2)?.unsigned_abs(),
            bytes: row.get::<_, i64>(3)?.unsigned_abs(),
        };
        Ok((TenantId::from_raw(row.get(0)?), usage))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn owner(connection: &Connection, owned: Owned) -> Result<Option<TenantId>, Failure> {
    let (sql, id) = match owned {
        Owned::Event(id) => ("SELECT tenant FROM events WHERE id = ?1", id.raw()),
        Owned::Delivery(id) => return owner_of_delivery(connection, id),
        Owned::Key(id) => ("SELECT tenant FROM keys WHERE id = ?1", id.raw()),
        Owned::Job(id) => ("SELECT tenant FROM jobs WHERE id = ?1", id.raw()),
        Owned::Inspector(id) => ("SELECT tenant FROM inspectors WHERE id = ?1", id.raw()),
        Owned::Resource(id) => (
            "SELECT tenant FROM resources WHERE id = ?1 UNION ALL SELECT tenant FROM names WHERE id = ?1",
            id,
        ),
    };
    let found = connection
        .prepare_cached(sql)?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(found.map(TenantId::from_raw))
}

/// A delivery may have no row yet; then the event before it has planned it.
fn owner_of_delivery(connection: &Connection, id: DeliveryId) -> Result<Option<TenantId>, Failure> {
    let stored = connection
        .prepare_cached("SELECT tenant FROM deliveries WHERE id = ?1")?
        .query_row([id.raw()], |row| row.get(0))
        .optional()?;
    if let Some(tenant) = stored {
        return Ok(Some(TenantId::from_raw(tenant)));
    }
    let sql = "SELECT id, tenant, endpoints FROM events WHERE id < ?1 ORDER BY id DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([id.raw()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let planned = plan::decode(EventId::from_raw(row.get(0)?), super::row::blob(row, 2)?)?;
    let is_planned = planned.iter().any(|(delivery, _)| *delivery == id);
    Ok(is_planned.then_some(TenantId::from_raw(row.get(1)?)))
}
