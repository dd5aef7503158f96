//! What waits, and what was in flight when the relay stopped.

use std::collections::HashSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};

use super::failure::{Failure, readable};
use super::plan::{self, Standing};
use super::{listing, messages, row};
use crate::model::id::{DeliveryId, EndpointId, EventId};
use crate::model::message::Messages;
use crate::model::time::Timestamp;
use crate::store::{Due, DueBatch, Unfinished, UnfinishedPage};

/// Payload bytes of one answer, whatever the limit in rows: at least one row is given.
pub(super) const ANSWER_BYTES_MAX: usize = 8 << 20;

/// The deliveries of an endpoint that are due.
pub(super) fn due(
    connection: &Connection,
    endpoint: EndpointId,
    now: Timestamp,
    skip: &HashSet<DeliveryId>,
    limit: usize,
) -> Result<DueBatch, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT id, due FROM deliveries INDEXED BY deliveries_waiting
         WHERE endpoint = ?1 AND state = 0 ORDER BY due, id",
    )?;
    let mut waiting = statement.query([endpoint.raw()])?;
    let mut batch = DueBatch::default();
    let mut bytes = 0;
    while let Some(row) = waiting.next()? {
        let delivery = DeliveryId::from_raw(row.get(0)?);
        let due = Timestamp::from_millis(row.get(1)?);
        if skip.contains(&delivery) {
            continue;
        }
        if due > now || batch.due.len() >= limit || bytes >= ANSWER_BYTES_MAX {
            batch.next = Some(due);
            break;
        }
        if let Some(due) = readable(load(connection, delivery), "a waiting delivery")? {
            bytes += due.event.weight() + due.messages.as_ref().map_or(0, weight);
            batch.due.push(due);
        }
    }
    Ok(batch)
}

fn weight(messages: &Messages) -> usize {
    messages.list.iter().map(|message| message.body.len()).sum()
}

fn load(connection: &Connection, delivery: DeliveryId) -> Result<Option<Due>, Failure> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT d.endpoint, d.due, d.attempts, d.manual, d.messages, ",
        row::columns!(),
        " FROM deliveries d JOIN events e ON e.id = d.event WHERE d.id = ?1"
    ))?;
    let mut rows = statement.query([delivery.raw()])?;
    let Some(row) = rows.next()? else {
        return Err(Failure::Corrupt(format!(
            "delivery {delivery} has lost its event"
        )));
    };
    let messages = match row.get_ref(4)? {
        ValueRef::Null => None,
        value => Some(messages::decode(
            delivery,
            value.as_blob().map_err(rusqlite::Error::from)?,
        )?),
    };
    Ok(Some(Due {
        delivery,
        event: row::event(row, 5)?,
        endpoint: EndpointId::from_raw(row.get(0)?),
        due: Timestamp::from_millis(row.get(1)?),
        attempts: row.get(2)?,
        manual: row.get(3)?,
        messages,
    }))
}

/// The endpoints for which something waits: one step into the index for each, however many
/// deliveries wait.
pub(super) fn waiting(connection: &Connection) -> Result<Vec<(EndpointId, Timestamp)>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT endpoint, due FROM deliveries INDEXED BY deliveries_waiting
         WHERE state = 0 AND endpoint > ?1 ORDER BY endpoint, due LIMIT 1",
    )?;
    let mut waiting: Vec<(EndpointId, Timestamp)> = Vec::new();
    let mut after = i64::MIN;
    while let Some((endpoint, due)) = statement
        .query_row([after], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
    {
        waiting.push((EndpointId::from_raw(endpoint), Timestamp::from_millis(due)));
        after = endpoint;
    }
    Ok(waiting)
}

/// The events behind `after` that have deliveries without a row.
pub(super) fn unfinished(
    connection: &Connection,
    after: EventId,
    limit: usize,
) -> Result<UnfinishedPage, Failure> {
    let mut events =
        connection.prepare_cached("SELECT id, endpoints FROM events WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut events = events.query([after.raw(), i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut standing = Standing::prepare(connection)?;
    let mut standing = Standing::new(&mut standing, after.raw())?;
    let mut page = UnfinishedPage::default();
    let (mut looked_at, mut bytes) = (0, 0);
    while let Some(row) = events.next()? {
        let id = EventId::from_raw(row.get(0)?);
        let missing = readable(
            missing(&mut standing, id, row::blob(row, 1)?),
            "an event in flight",
        )?;
        if let Some(deliveries) = missing
            && let Some(event) = readable(listing::any_event(connection, id), "an event in flight")?
        {
            bytes += event.weight();
            page.events.push(Unfinished { event, deliveries });
        }
        looked_at += 1;
        if looked_at == limit || bytes >= ANSWER_BYTES_MAX {
            page.next = Some(id);
            break;
        }
    }
    Ok(page)
}

/// The planned deliveries of an event that have no row; `None` if all have one.
fn missing(
    standing: &mut Standing<'_>,
    event: EventId,
    endpoints: &[u8],
) -> Result<Option<Vec<(DeliveryId, EndpointId)>>, Failure> {
    let mut missing = Vec::new();
    for (delivery, endpoint) in plan::decode(event, endpoints)? {
        if standing.of(delivery)?.is_none() {
            missing.push((delivery, endpoint));
        }
    }
    Ok(Some(missing).filter(|missing| !missing.is_empty()))
}
