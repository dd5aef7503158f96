//! Tests that are kept, and what the newest rows tell.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::accept::{self, Offer};
use super::failure::Failure;
use super::job::Weight;
use super::record::{self, RecordRow};
use super::session::Session;
use super::{SqliteStore, plan, row};
use crate::model::delivery::State;
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, InspectorId, SourceId, TenantId};
use crate::model::inspector::Inspector;
use crate::model::time::Timestamp;
use crate::store::insight::{DURATIONS_MAX, TYPES_MAX};
use crate::store::{Activity, Begins, Error, Insight, NewEvent, Planned, Recent, Record};

/// Rows of each table that are looked at: some ten milliseconds.
const ROWS_SEEN_MAX: i64 = 20_000;

#[async_trait]
impl Insight for SqliteStore {
    async fn keep_test(&self, event: Arc<Event>, record: Record) -> Result<(), Error> {
        let planned = Planned {
            endpoint: record.endpoint,
            begins: Begins::InMemory,
        };
        let now = event.received_at;
        let new = NewEvent {
            event,
            deliveries: vec![planned],
            dedupe: None,
            rules: None,
        };
        let offer = Offer::new(new, &self.losses)?;
        let row = RecordRow::new(&record, None)?;
        self.writer
            .run(Weight::SMALL, move |session| {
                accept::accept(session, std::slice::from_ref(&offer), now)?;
                record::record(session, std::slice::from_ref(&row))
            })
            .await
    }

    async fn planned(
        &self,
        tenant: TenantId,
        event: EventId,
    ) -> Result<Option<Vec<(DeliveryId, EndpointId)>>, Error> {
        self.readers
            .run(move |connection| planned(connection, tenant, event))
            .await
    }

    async fn add_inspector(&self, inspector: Inspector) -> Result<(), Error> {
        self.writer
            .run(Weight::SMALL, move |session| add_inspector(session, &inspector))
            .await
    }

    async fn inspectors(&self) -> Result<Vec<Inspector>, Error> {
        self.readers.run(inspectors).await
    }

    async fn remove_inspector(&self, tenant: TenantId, id: InspectorId) -> Result<(), Error> {
        self.writer
            .run(Weight::SMALL, move |session| {
                session
                    .statement("DELETE FROM inspectors WHERE id = ?1 AND tenant = ?2")?
                    .execute([id.raw(), tenant.raw()])?;
                Ok(())
            })
            .await
    }

    async fn recent(&self, tenant: TenantId) -> Result<Recent, Error> {
        self.readers
            .run(move |connection| recent(connection, tenant))
            .await
    }
}

fn planned(
    connection: &Connection,
    tenant: TenantId,
    event: EventId,
) -> Result<Option<Vec<(DeliveryId, EndpointId)>>, Failure> {
    let mut statement =
        connection.prepare_cached("SELECT endpoints FROM events WHERE id = ?1 AND tenant = ?2")?;
    let mut rows = statement.query([event.raw(), tenant.raw()])?;
    match rows.next()? {
        Some(found) => plan::decode(event, row::blob(found, 0)?).map(Some),
        None => Ok(None),
    }
}

fn add_inspector(session: &mut Session<'_>, inspector: &Inspector) -> Result<(), Failure> {
    session
        .statement("INSERT INTO inspectors VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            inspector.id.raw(),
            inspector.tenant.raw(),
            inspector.name,
            inspector.token,
            inspector.status,
            inspector.created_at.as_millis(),
            inspector.expires_at.as_millis(),
        ])?;
    Ok(())
}

fn inspectors(connection: &Connection) -> Result<Vec<Inspector>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT id, tenant, name, token, status, created_at, expires_at FROM inspectors ORDER BY id",
    )?;
    let read = |row: &Row<'_>| {
        Ok(Inspector {
            id: InspectorId::from_raw(row.get(0)?),
            tenant: TenantId::from_raw(row.get(1)?),
            name: row.get(2)?,
            token: row.get(3)?,
            status: row.get(4)?,
            created_at: Timestamp::from_millis(row.get(5)?),
            expires_at: Timestamp::from_millis(row.get(6)?),
        })
    };
    let found = statement.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(found)
}

fn recent(connection: &Connection, tenant: TenantId) -> Result<Recent, Failure> {
    let mut recent = Recent::default();
    look_at_deliveries(connection, tenant, &mut recent)?;
    look_at_types(connection, tenant, &mut recent)?;
    Ok(recent)
}

/// Walks the newest deliveries. What costs a look elsewhere is asked only where it would tell
/// something new.
fn look_at_deliveries(connection: &Connection, tenant: TenantId, recent: &mut Recent) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT id, event, endpoint, state, attempts, updated_at, tenant FROM deliveries ORDER BY id DESC LIMIT ?1",
    )?;
    let mut rows = statement.query([ROWS_SEEN_MAX])?;
    let (mut seen, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let delivery = DeliveryId::from_raw(row.get(0)?);
        seen += 1;
        last = Some(delivery.made_at());
        if row.get::<_, i64>(6)? != tenant.raw() {
            continue;
        }
        let endpoint = EndpointId::from_raw(row.get(2)?);
        let found = Found {
            made_at: delivery.made_at(),
            state: plan::state(row.get(3)?)?,
            attempts: row.get(4)?,
            updated_at: Timestamp::from_millis(row.get(5)?),
        };
        let activity = recent.endpoints.get(&endpoint);
        if activity.is_some_and(|activity| !found.tells(activity))
            || is_test(connection, EventId::from_raw(row.get(1)?))?
        {
            continue;
        }
        let activity = recent.endpoints.entry(endpoint).or_default();
        found.tell(activity);
        if found.state == State::Succeeded && activity.durations.len() < DURATIONS_MAX {
            activity.durations.extend(duration(connection, delivery)?);
        }
    }
    recent.since = last.filter(|_| seen == ROWS_SEEN_MAX);
    Ok(())
}

/// What a row tells of its endpoint.
struct Found {
    made_at: Timestamp,
    state: State,
    attempts: u32,
    updated_at: Timestamp,
}

impl Found {
    fn is_failure(&self) -> bool {
        self.state == State::Failed || self.state == State::Pending && self.attempts > 0
    }

    fn tells(&self, of: &Activity) -> bool {
        let is_newer = |known: Option<Timestamp>| known.is_none_or(|known| self.updated_at > known);
        self.state == State::Succeeded && (is_newer(of.last_success) || of.durations.len() < DURATIONS_MAX)
            || self.is_failure() && is_newer(of.last_failure)
            || of.last_delivery.is_none()
    }

    fn tell(&self, of: &mut Activity) {
        of.last_delivery = of.last_delivery.max(Some(self.made_at));
        if self.state == State::Succeeded {
            of.last_success = of.last_success.max(Some(self.updated_at));
        } else if self.is_failure() {
            of.last_failure = of.last_failure.max(Some(self.updated_at));
        }
    }
}

fn is_test(connection: &Connection, event: EventId) -> Result<bool, Failure> {
    let mut statement = connection.prepare_cached("SELECT source FROM events WHERE id = ?1")?;
    let source: Option<Option<i64>> = statement.query_row([event.raw()], |row| row.get(0)).optional()?;
    Ok(source.flatten() == Some(SourceId::TEST.raw()))
}

/// How long the last attempt of a delivery took.
fn duration(connection: &Connection, delivery: DeliveryId) -> Result<Option<Duration>, Failure> {
    let mut statement = connection
        .prepare_cached("SELECT json_extract(last, '$.duration_us') FROM deliveries WHERE id = ?1")?;
    let micros: Option<i64> = statement.query_row([delivery.raw()], |row| row.get(0))?;
    Ok(micros
        .and_then(|micros| u64::try_from(micros).ok())
        .map(Duration::from_micros))
}

fn look_at_types(connection: &Connection, tenant: TenantId, recent: &mut Recent) -> Result<(), Failure> {
    let mut statement =
        connection.prepare_cached("SELECT tenant, kind, source FROM events ORDER BY id DESC LIMIT ?1")?;
    let mut rows = statement.query([ROWS_SEEN_MAX])?;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        let is_test = row.get::<_, Option<i64>>(2)? == Some(SourceId::TEST.raw());
        if is_test || row.get::<_, i64>(0)? != tenant.raw() {
            continue;
        }
        let kind = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        if !recent.types.contains(kind) {
            if recent.types.len() == TYPES_MAX {
                return Ok(());
            }
            recent.types.insert(kind.to_owned());
        }
    }
    recent.has_all_types = seen < ROWS_SEEN_MAX;
    Ok(())
}
