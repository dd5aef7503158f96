//! Deliveries: the trait, from calls to jobs and reads.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::checksum::Checksum;
use super::failure::Failure;
use super::job::Weight;
use super::record::{self, RecordRow};
use super::session::Session;
use super::{SqliteStore, due, listing, messages};
use crate::model::attempt::Attempt;
use crate::model::delivery::{Delivery, State};
use crate::model::id::{DeliveryId, EndpointId, EventId, TenantId};
use crate::model::message::Messages;
use crate::model::page::{Listed, Page};
use crate::model::time::Timestamp;
use crate::store::{DeliveryFilter, DeliveryQueue, DueBatch, Error, Record, Retried, UnfinishedPage};

#[async_trait]
impl DeliveryQueue for SqliteStore {
    async fn record(&self, records: &[Record]) -> Result<(), Error> {
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            let messages = match &record.progress.messages {
                Some(frozen) => Some(self.sealed(record, frozen).await?),
                None => None,
            };
            rows.push(RecordRow::new(record, messages)?);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let weight = record::weight(&rows);
        self.writer
            .run(weight, move |session| record::record(session, &rows))
            .await
    }

    async fn due(
        &self,
        endpoint: EndpointId,
        now: Timestamp,
        skip: HashSet<DeliveryId>,
        limit: usize,
    ) -> Result<DueBatch, Error> {
        let vault = Arc::clone(&self.vault);
        self.readers
            .run(move |connection| due::due(connection, &vault, endpoint, now, &skip, limit))
            .await
    }

    async fn give_up(&self, deliveries: Vec<DeliveryId>, reason: &str, now: Timestamp) -> Result<(), Error> {
        let reason = reason.to_owned();
        let work = move |session: &mut Session<'_>| give_up(session, &deliveries, &reason, now);
        self.writer.run(Weight::SMALL, work).await
    }

    async fn cancel_all(
        &self,
        endpoint: EndpointId,
        before: DeliveryId,
        limit: usize,
        reason: &str,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let reason = reason.to_owned();
        let work =
            move |session: &mut Session<'_>| cancel_all(session, (endpoint, before), limit, &reason, now);
        self.writer.run(Weight::SMALL, work).await
    }

    async fn cancel(
        &self,
        tenant: TenantId,
        deliveries: Vec<DeliveryId>,
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<(DeliveryId, EndpointId)>, Error> {
        let reason = reason.to_owned();
        let weight = Weight {
            events: deliveries.len(),
            ..Weight::SMALL
        };
        let work = move |session: &mut Session<'_>| cancel(session, tenant, &deliveries, &reason, now);
        self.writer.run(weight, work).await
    }

    async fn waiting(&self) -> Result<Vec<(EndpointId, Timestamp)>, Error> {
        self.readers.run(due::waiting).await
    }

    async fn unfinished(&self, after: EventId, limit: usize) -> Result<UnfinishedPage, Error> {
        self.readers
            .run(move |connection| due::unfinished(connection, after, limit))
            .await
    }

    async fn set_checkpoint(&self, upto: EventId) -> Result<(), Error> {
        let work = move |session: &mut Session<'_>| set_checkpoint(session, upto);
        self.writer.run(Weight::SMALL, work).await
    }

    async fn checkpoint(&self) -> Result<EventId, Error> {
        self.readers.run(checkpoint).await
    }

    async fn set_clock_ahead(&self, ms: i64) -> Result<(), Error> {
        let work = move |session: &mut Session<'_>| set_clock_ahead(session, ms);
        self.writer.run(Weight::SMALL, work).await
    }

    async fn clock_ahead(&self) -> Result<i64, Error> {
        self.readers.run(clock_ahead).await
    }

    async fn deliveries(
        &self,
        tenant: TenantId,
        filter: DeliveryFilter,
        page: Page,
    ) -> Result<Listed<Delivery>, Error> {
        self.readers
            .run(move |connection| listing::deliveries(connection, tenant, &filter, page))
            .await
    }

    async fn delivery(&self, tenant: TenantId, id: DeliveryId) -> Result<Option<Delivery>, Error> {
        self.readers
            .run(move |connection| listing::delivery(connection, tenant, id))
            .await
    }

    async fn attempts(&self, tenant: TenantId, id: DeliveryId) -> Result<Vec<Attempt>, Error> {
        self.readers
            .run(move |connection| listing::attempts(connection, tenant, id))
            .await
    }

    async fn retry(&self, tenant: TenantId, id: DeliveryId, now: Timestamp) -> Result<Retried, Error> {
        self.writer
            .run(Weight::SMALL, move |session| retry(session, tenant, id, now))
            .await
    }
}

fn give_up(
    session: &mut Session<'_>,
    deliveries: &[DeliveryId],
    reason: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let mut statement = session.statement(
        "UPDATE deliveries SET state = ?2, due = NULL, reason = ?3, updated_at = ?4 WHERE id = ?1 AND state = ?5",
    )?;
    for id in deliveries {
        let (failed, pending) = (State::Failed.code(), State::Pending.code());
        statement.execute(params![id.raw(), failed, reason, now.as_millis(), pending])?;
    }
    Ok(())
}

fn cancel_all(
    session: &Session<'_>,
    (endpoint, before): (EndpointId, DeliveryId),
    limit: usize,
    reason: &str,
    now: Timestamp,
) -> Result<usize, Failure> {
    let sql = "UPDATE deliveries SET state = ?2, due = NULL, reason = ?3, updated_at = ?4 WHERE id IN
        (SELECT id FROM deliveries WHERE endpoint = ?1 AND state = 0 AND id < ?6 LIMIT ?5)";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let cancelled = State::Cancelled.code();
    let given = params![
        endpoint.raw(),
        cancelled,
        reason,
        now.as_millis(),
        limit,
        before.raw()
    ];
    Ok(session.statement(sql)?.execute(given)?)
}

impl SqliteStore {
    /// Messages hold what plugins put into them, such as the token of the service they are for.
    async fn sealed(&self, record: &Record, frozen: &Messages) -> Result<Vec<u8>, Error> {
        let row = record.delivery.raw().to_le_bytes();
        let key = self.key(record.tenant).await?;
        Ok(key.seal(messages::COLUMN, &row, &messages::encode(frozen)?))
    }
}

/// With a checksum beside it: were it read as larger than it is, what was in flight would be
/// forgotten.
fn set_checkpoint(session: &mut Session<'_>, upto: EventId) -> Result<(), Failure> {
    session
        .statement(
            "INSERT OR REPLACE INTO marks (name, value) VALUES ('checkpoint', ?1), ('checkpoint_checksum', ?2)",
        )?
        .execute([upto.raw(), checkpoint_checksum(upto)])?;
    Ok(())
}

const fn checkpoint_checksum(upto: EventId) -> i64 {
    Checksum::new().number(upto.raw()).finish()
}

/// The last checkpoint; the smallest id if it is damaged, which costs a longer look at the next
/// start and loses nothing.
pub(super) fn checkpoint(connection: &Connection) -> Result<EventId, Failure> {
    const NONE: EventId = EventId::from_raw(0);
    let mut statement = connection.prepare_cached("SELECT value FROM marks WHERE name = ?1")?;
    let mut mark = |name| statement.query_row([name], |row| row.get::<_, i64>(0)).optional();
    let (upto, checksum) = (mark("checkpoint")?, mark("checkpoint_checksum")?);
    match (upto.map(EventId::from_raw), checksum) {
        (Some(upto), Some(checksum)) if checksum == checkpoint_checksum(upto) => Ok(upto),
        (Some(NONE), None) => Ok(NONE),
        _ => {
            tracing::error!("the checkpoint is damaged: every event in the store is looked at instead");
            Ok(NONE)
        }
    }
}

fn set_clock_ahead(session: &mut Session<'_>, ms: i64) -> Result<(), Failure> {
    session
        .statement("INSERT OR REPLACE INTO marks (name, value) VALUES ('clock_ahead', ?1)")?
        .execute([ms])?;
    Ok(())
}

fn clock_ahead(connection: &Connection) -> Result<i64, Failure> {
    let mut statement = connection.prepare_cached("SELECT value FROM marks WHERE name = 'clock_ahead'")?;
    let found = statement.query_row([], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or_default())
}

/// A delivery without a row is in flight: it gets one that says so.
fn cancel(
    session: &mut Session<'_>,
    tenant: TenantId,
    deliveries: &[DeliveryId],
    reason: &str,
    now: Timestamp,
) -> Result<Vec<(DeliveryId, EndpointId)>, Failure> {
    let mut statement = session.statement(
        "INSERT INTO deliveries (id, event, endpoint, tenant, state, attempts, manual, updated_at, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET
             state = excluded.state, due = NULL, updated_at = excluded.updated_at, reason = excluded.reason",
    )?;
    let mut cancelled = Vec::new();
    for &id in deliveries {
        let Some(delivery) = listing::delivery(session.connection(), tenant, id)?
            .filter(|delivery| delivery.state == State::Pending)
        else {
            continue;
        };
        statement.execute(params![
            id.raw(),
            delivery.event.raw(),
            delivery.endpoint.raw(),
            tenant.raw(),
            State::Cancelled.code(),
            now.as_millis(),
            reason,
        ])?;
        cancelled.push((id, delivery.endpoint));
    }
    Ok(cancelled)
}

fn retry(
    session: &mut Session<'_>,
    tenant: TenantId,
    id: DeliveryId,
    now: Timestamp,
) -> Result<Retried, Failure> {
    let mut statement = session.statement(
        "UPDATE deliveries SET state = ?3, due = ?4, manual = 1, reason = NULL, updated_at = ?4
         WHERE id = ?1 AND tenant = ?2 RETURNING endpoint",
    )?;
    let row = params![id.raw(), tenant.raw(), State::Pending.code(), now.as_millis()];
    let endpoint: Option<i64> = statement.query_map(row, |row| row.get(0))?.next().transpose()?;
    if let Some(endpoint) = endpoint {
        return Ok(Retried::Waits(EndpointId::from_raw(endpoint)));
    }
    let planned = listing::delivery(session.connection(), tenant, id)?;
    Ok(planned.map_or(Retried::Unknown, |_| Retried::InFlight))
}
