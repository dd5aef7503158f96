//! Recording where deliveries stand: the other half of the writer's hot path.

use std::time::Duration;

use rusqlite::{Connection, Statement, params};

use super::failure::Failure;
use super::job::{Urgency, Weight};
use super::session::{Session, keep};
use crate::model::delivery::{Progress, State};
use crate::model::id::{DeliveryId, EndpointId, EventId, TenantId};
use crate::model::time::Timestamp;
use crate::store::{Error, Record};

/// Attempts of one delivery that are kept: the latest. A schedule has about ten; asking by
/// hand again and again must not grow a row without end.
pub(super) const ATTEMPTS_KEPT_MAX: u32 = 100;

/// Bytes of a row apart from its texts, near enough to bound transactions by.
const ROW_BYTES: usize = 64;

/// What recording needs prepared.
pub(super) struct Statements<'c> {
    put: Statement<'c>,
    shelve: Statement<'c>,
    trim: Statement<'c>,
}

impl<'c> Statements<'c> {
    /// Prepares them.
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            put: keep(
                connection,
                "INSERT INTO deliveries (id, event, endpoint, tenant, state, due, attempts, manual, updated_at,
                                         reason, last, messages)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9, ?10, ?11)
                 ON CONFLICT (id) DO UPDATE SET
                     -- What was called off while an attempt was under way is not tried again.
                     state = iif(state = 4 AND excluded.state = 0, 4, excluded.state),
                     due = iif(state = 4 AND excluded.state = 0, NULL, excluded.due),
                     attempts = excluded.attempts,
                     manual = 0,
                     updated_at = max(updated_at, excluded.updated_at),
                     reason = iif(state = 4 AND excluded.state = 0, reason, excluded.reason),
                     last = coalesce(excluded.last, last),
                     messages = coalesce(excluded.messages, messages)
                 -- Only to wait changes nothing: the row that is there knows better.
                 WHERE excluded.last IS NOT NULL OR excluded.state <> 0",
            )?,
            shelve: keep(
                connection,
                "INSERT OR REPLACE INTO attempts (delivery, number, attempt)
                 SELECT id, attempts, last FROM deliveries WHERE id = ?1 AND attempts < ?2 AND last IS NOT NULL",
            )?,
            trim: keep(connection, "DELETE FROM attempts WHERE delivery = ?1 AND number <= ?2")?,
        })
    }
}

/// A record, encoded by the caller, so that the writer only binds.
pub(super) struct RecordRow {
    delivery: DeliveryId,
    event: EventId,
    endpoint: EndpointId,
    tenant: TenantId,
    state: State,
    due: Option<i64>,
    attempts: u32,
    updated_at: Timestamp,
    reason: Option<String>,
    last: Option<String>,
    messages: Option<Vec<u8>>,
}

impl RecordRow {
    /// Encodes a record, of which the messages are sealed already.
    pub(super) fn new(record: &Record, messages: Option<Vec<u8>>) -> Result<Self, Error> {
        let progress = &record.progress;
        let last = progress.attempt.as_ref().map(serde_json::to_string).transpose();
        Ok(Self {
            delivery: record.delivery,
            event: record.event,
            endpoint: record.endpoint,
            tenant: record.tenant,
            state: progress.state,
            due: due(progress),
            attempts: record.attempts,
            updated_at: changed_at(record),
            reason: progress.reason.clone(),
            last: last.map_err(|error| Error::Unavailable(error.to_string()))?,
            messages,
        })
    }

    fn bytes(&self) -> usize {
        let last = self.last.as_ref().map_or(0, String::len);
        let reason = self.reason.as_ref().map_or(0, String::len);
        ROW_BYTES + last + reason + self.messages.as_ref().map_or(0, Vec::len)
    }
}

/// When the change happened: at the end of the attempt; without one, not before the delivery
/// was planned.
fn changed_at(record: &Record) -> Timestamp {
    match &record.progress.attempt {
        Some(attempt) => attempt.started_at + Duration::from_micros(attempt.duration_us),
        None => record.delivery.made_at(),
    }
}

/// What these records add to a transaction.
pub(super) fn weight(rows: &[RecordRow]) -> Weight {
    let bytes = rows.iter().map(RecordRow::bytes).sum();
    Weight {
        urgency: Urgency::MayLinger,
        events: rows.len(),
        bytes,
    }
}

/// Records all of them.
pub(super) fn record(session: &mut Session<'_>, rows: &[RecordRow]) -> Result<(), Failure> {
    rows.iter()
        .try_for_each(|row| Ok(record_one(&mut session.record, row)?))
}

fn record_one(statements: &mut Statements<'_>, row: &RecordRow) -> rusqlite::Result<()> {
    // A first attempt supersedes none: the common case is the one insert below.
    if row.attempts > 1 && row.last.is_some() {
        shelve(statements, row.delivery, row.attempts)?;
    }
    statements.put.execute(params![
        row.delivery.raw(),
        row.event.raw(),
        row.endpoint.raw(),
        row.tenant.raw(),
        row.state.code(),
        row.due,
        row.attempts,
        row.updated_at.as_millis(),
        row.reason,
        row.last,
        row.messages,
    ])?;
    Ok(())
}

/// Moves the attempt that is about to be superseded to its table.
fn shelve(statements: &mut Statements<'_>, delivery: DeliveryId, attempts: u32) -> rusqlite::Result<()> {
    statements.shelve.execute(params![delivery.raw(), attempts])?;
    if let Some(oldest) = attempts
        .checked_sub(ATTEMPTS_KEPT_MAX)
        .filter(|&oldest| oldest > 0)
    {
        statements.trim.execute(params![delivery.raw(), oldest])?;
    }
    Ok(())
}

/// The due time to store: set exactly while pending, so that no pending row is out of reach.
fn due(progress: &Progress) -> Option<i64> {
    (progress.state == State::Pending).then(|| progress.due.unwrap_or_default().as_millis())
}
