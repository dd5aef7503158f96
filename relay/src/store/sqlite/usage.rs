//! Counts what limited tenants send and have stored, in the transactions that change it.

use std::collections::{HashMap, HashSet};

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
        if tenants.iter().all(|tenant| counted.contains(tenant)) {
            return Ok(known);
        }
        self.writer
            .run(Weight::SMALL, move |session| meter(session, &tenants, now))
            .await
    }

    async fn meter_only(&self, tenants: Vec<TenantId>) -> Result<(), Error> {
        let wanted: HashSet<_> = tenants.into_iter().collect();
        let known = self.usage().await?;
        if known.iter().all(|(tenant, _)| wanted.contains(tenant)) {
            return Ok(());
        }
        self.writer
            .run(Weight::SMALL, move |session| meter_only(session, &wanted))
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

/// Begins to count for tenants for which it is not counted yet.
pub(super) fn meter(
    session: &mut Session<'_>,
    tenants: &[TenantId],
    now: Timestamp,
) -> Result<Vec<(TenantId, Usage)>, Failure> {
    let connection = session.connection();
    let before = metered(connection)?;
    let new = tenants.iter().filter(|tenant| !before.contains(tenant));
    for (tenant, usage) in stored(connection, new.copied(), now)? {
        connection
            .prepare_cached("INSERT INTO usage (tenant, day, events, bytes) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                tenant.raw(),
                usage.day,
                usage.events.cast_signed(),
                usage.bytes.cast_signed()
            ])?;
        session.metered.insert(tenant);
    }
    usage(connection)
}

fn meter_only(session: &mut Session<'_>, wanted: &HashSet<TenantId>) -> Result<(), Failure> {
    for gone in metered(session.connection())?.difference(wanted) {
        session
            .statement("DELETE FROM usage WHERE tenant = ?1")?
            .execute([gone.raw()])?;
        session.metered.remove(gone);
    }
    Ok(())
}

/// Every event that may be of one of several tenants. Added up here: grouped by SQLite, the payloads
/// would go through its sorter, of which no more is read than their lengths.
const STORED: &str = "SELECT tenant, id, length(data) FROM events WHERE id > ?1";

/// What is there already of tenants; none has events from before it was made.
fn stored(
    connection: &Connection,
    tenants: impl Iterator<Item = TenantId>,
    now: Timestamp,
) -> rusqlite::Result<HashMap<TenantId, Usage>> {
    let day = Usage::day_of(now);
    let midnight = first_raw_at(Usage::end_of(day - 1));
    let none = Usage {
        day,
        ..Usage::default()
    };
    let mut found: HashMap<_, _> = tenants.map(|tenant| (tenant, none)).collect();
    let Some(oldest) = found.keys().min().map(|tenant| tenant.raw()) else {
        return Ok(found);
    };
    let mut statement = connection.prepare_cached(STORED)?;
    let mut rows = statement.query([oldest])?;
    while let Some(row) = rows.next()? {
        if let Some(usage) = found.get_mut(&TenantId::from_raw(row.get(0)?)) {
            usage.events += u64::from(row.get::<_, i64>(1)? >= midnight);
            usage.bytes += row.get::<_, i64>(2)?.unsigned_abs();
        }
    }
    Ok(found)
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
        Owned::Media(id) => ("SELECT tenant FROM media WHERE id = ?1", id.raw()),
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

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::store::sqlite::schema;

    #[test]
    fn many_new_tenants_are_counted_in_one_pass() {
        const EVENTS: i32 = 2000;
        const TENANTS: i64 = 100;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relay.db");
        let mut connection = schema::open_writer(&path).unwrap();
        schema::migrate(&mut connection, &path).unwrap();
        connection
            .execute(
                "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < ?1 - 1)
                 INSERT INTO events (id, tenant, received_at, kind, endpoints, checksum, origin, data)
                 SELECT 1000 + n, 1 + n % ?2, 0, 'a.b', x'', 0, 'api', x'001122' FROM n",
                params![EVENTS, TENANTS],
            )
            .unwrap();
        let mut session = Session::new(&connection, &path, 100).unwrap();
        let tenants: Vec<_> = (1..=TENANTS).map(TenantId::from_raw).collect();
        let used = meter(&mut session, &tenants, Timestamp::from_millis(1_770_000_000_000)).unwrap();
        assert_eq!(used.len(), tenants.len());
        assert!(
            used.iter()
                .all(|(_, usage)| (usage.events, usage.bytes) == (0, 60)),
            "{used:?}"
        );
        let steps = connection
            .prepare_cached(STORED)
            .unwrap()
            .get_status(StatementStatus::VmStep);
        assert!(
            (EVENTS..EVENTS * 20).contains(&steps),
            "{steps} steps for {EVENTS} events"
        );
    }
}
