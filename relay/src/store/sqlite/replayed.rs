//! Deliveries that an event did not plan: someone asked for it to be sent again.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::checksum::Checksum;
use super::failure::Failure;
use super::session::Session;
use crate::model::attempt::Trigger;
use crate::model::delivery::State;
use crate::model::id::{DeliveryId, EndpointId, EventId};
use crate::model::time::Timestamp;

fn checksum(delivery: DeliveryId, event: EventId, endpoint: EndpointId) -> i64 {
    Checksum::new()
        .number(delivery.raw())
        .number(event.raw())
        .number(endpoint.raw())
        .finish()
}

/// Makes a delivery of an event that is there, due at once; whether the event is there.
pub(super) fn add(
    session: &Session<'_>,
    tenant: i64,
    (delivery, event, endpoint): (DeliveryId, EventId, EndpointId),
    now: Timestamp,
) -> Result<bool, Failure> {
    let is_there = session
        .statement("SELECT 1 FROM events WHERE id = ?1 AND tenant = ?2")?
        .exists([event.raw(), tenant])?;
    if !is_there {
        return Ok(false);
    }
    session
        .statement("INSERT INTO replayed (id, event, endpoint, checksum) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            delivery.raw(),
            event.raw(),
            endpoint.raw(),
            checksum(delivery, event, endpoint)
        ])?;
    session
        .statement(
            "INSERT INTO deliveries (id, event, endpoint, tenant, state, due, attempts, manual, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?6)",
        )?
        .execute(params![
            delivery.raw(),
            event.raw(),
            endpoint.raw(),
            tenant,
            State::Pending.code(),
            now.as_millis(),
            Trigger::Replay.code(),
        ])?;
    Ok(true)
}

/// Whether a delivery is a replay of that event to that endpoint.
pub(super) fn is(
    connection: &Connection,
    delivery: DeliveryId,
    event: EventId,
    endpoint: EndpointId,
) -> Result<bool, Failure> {
    let mut statement = connection
        .prepare_cached("SELECT checksum FROM replayed WHERE id = ?1 AND event = ?2 AND endpoint = ?3")?;
    let row = params![delivery.raw(), event.raw(), endpoint.raw()];
    let found: Option<i64> = statement.query_row(row, |row| row.get(0)).optional()?;
    Ok(found == Some(checksum(delivery, event, endpoint)))
}

/// The replays of an event, oldest first.
pub(super) fn of(connection: &Connection, event: EventId) -> Result<Vec<(DeliveryId, EndpointId)>, Failure> {
    let mut statement =
        connection.prepare_cached("SELECT id, endpoint FROM replayed WHERE event = ?1 ORDER BY id")?;
    let rows = statement.query_map([event.raw()], |row| {
        Ok((
            DeliveryId::from_raw(row.get(0)?),
            EndpointId::from_raw(row.get(1)?),
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether a replay of that event still waits.
pub(super) fn waits(connection: &Connection, event: EventId) -> Result<bool, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM replayed r JOIN deliveries d ON d.id = r.id WHERE r.event = ?1 AND d.state = 0",
    )?;
    Ok(statement.exists([event.raw()])?)
}

/// Whether there is any at all.
pub(super) fn any(connection: &Connection) -> Result<bool, Failure> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM replayed LIMIT 1")?
        .exists([])?)
}

/// Removes the replays of a range of events, first and last included, with their attempts; how
/// many.
pub(super) fn remove(session: &Session<'_>, range: (i64, i64)) -> Result<usize, Failure> {
    let of_range = "IN (SELECT id FROM replayed WHERE event BETWEEN ?1 AND ?2)";
    session
        .statement(&format!("DELETE FROM attempts WHERE delivery {of_range}"))?
        .execute(range)?;
    let removed = session
        .statement(&format!("DELETE FROM deliveries WHERE id {of_range}"))?
        .execute(range)?;
    session
        .statement(
            "UPDATE marks SET value = max(value, coalesce(
                 (SELECT max(id) FROM replayed WHERE event BETWEEN ?1 AND ?2), 0))
             WHERE name = 'last_removed'",
        )?
        .execute(range)?;
    session
        .statement("DELETE FROM replayed WHERE event BETWEEN ?1 AND ?2")?
        .execute(range)?;
    Ok(removed)
}
