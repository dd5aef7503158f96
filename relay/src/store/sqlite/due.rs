//! What waits, and what was in flight when the relay stopped.

use std::collections::HashSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Rows};

use super::failure::{Failure, readable};
use super::plan::{self, Standing};
use super::vault::{Place, Vault};
use super::{listing, messages, replayed, row};
use crate::model::attempt::Trigger;
use crate::model::id::{DeliveryId, EndpointId, EventId, TenantId};
use crate::model::message::Messages;
use crate::model::time::Timestamp;
use crate::store::{Due, DueBatch, Unfinished, UnfinishedPage};

/// Payload bytes of one answer, whatever the limit in rows: at least one row is given.
pub(super) const ANSWER_BYTES_MAX: usize = 8 << 20;

/// The deliveries of an endpoint that are due.
pub(super) fn due(
    connection: &Connection,
    vault: &Vault,
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
        match readable(
            load(connection, vault, delivery),
            format_args!("delivery {delivery}"),
        )? {
            Some(due) => {
                bytes += due.event.weight() + due.messages.as_ref().map_or(0, weight);
                batch.due.push(due);
            }
            None => batch.damaged.push(delivery),
        }
    }
    Ok(batch)
}

fn weight(messages: &Messages) -> usize {
    messages.list.iter().map(|message| message.body.len()).sum()
}

fn load(connection: &Connection, vault: &Vault, delivery: DeliveryId) -> Result<Option<Due>, Failure> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT d.endpoint, d.due, d.attempts, d.manual, d.messages, d.tenant, ",
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
        sealed => {
            let place = Place {
                tenant: TenantId::from_raw(row.get(5)?),
                column: messages::COLUMN,
                row: &delivery.raw().to_le_bytes(),
            };
            let bytes = vault.unseal(&place, sealed.as_blob().map_err(rusqlite::Error::from)?)?;
            Some(messages::decode(delivery, &bytes)?)
        }
    };
    let event = row::event(row, 6)?;
    let endpoint = EndpointId::from_raw(row.get(0)?);
    // The event's own list is under its checksum; the delivery's row is not.
    let planned = plan::decode(event.id, row::blob(row, 6 + row::ENDPOINTS)?)?;
    let owed_since = if planned.contains(&(delivery, endpoint)) {
        event.received_at
    } else if replayed::is(connection, delivery, event.id, endpoint)? {
        delivery.made_at()
    } else {
        return Err(Failure::Corrupt(format!(
            "delivery {delivery} to {endpoint} is none of event {}",
            event.id
        )));
    };
    Ok(Some(Due {
        delivery,
        event,
        endpoint,
        due: Timestamp::from_millis(row.get(1)?),
        attempts: row.get(2)?,
        trigger: trigger(delivery, row.get(3)?)?,
        owed_since,
        messages,
    }))
}

fn trigger(delivery: DeliveryId, code: i64) -> Result<Trigger, Failure> {
    Trigger::from_code(code)
        .ok_or_else(|| Failure::Corrupt(format!("delivery {delivery} has no trigger {code}")))
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
    let mut last = after;
    loop {
        let looked = look(connection, &mut events, &mut standing);
        let found = match looked {
            Ok(Some(found)) => found,
            Ok(None) => break,
            // What was found before the damage is of use.
            Err(failure) if looked_at == 0 => return Err(failure),
            Err(_) => {
                page.next = Some(last);
                break;
            }
        };
        last = found.id;
        if let Some(unfinished) = found.unfinished {
            bytes += unfinished.event.weight();
            page.events.push(unfinished);
        }
        looked_at += 1;
        if looked_at == limit || bytes >= ANSWER_BYTES_MAX {
            page.next = Some(last);
            break;
        }
    }
    Ok(page)
}

/// An event that was looked at.
struct Looked {
    id: EventId,
    unfinished: Option<Unfinished>,
}

/// Looks at the next event; `None` at the end.
fn look(
    connection: &Connection,
    events: &mut Rows<'_>,
    standing: &mut Standing<'_>,
) -> Result<Option<Looked>, Failure> {
    // As it is, not as a damaged row: here the walk itself ends.
    let Some(row) = events.next().map_err(Failure::Sql)? else {
        return Ok(None);
    };
    let id = EventId::from_raw(row.get(0)?);
    let what = format_args!("event {id}, in flight,");
    let missing = readable(missing(standing, id, row::blob(row, 1)?), what)?;
    let unfinished = match missing {
        Some(deliveries) => {
            readable(listing::any_event(connection, id), what)?.map(|event| Unfinished { event, deliveries })
        }
        None => None,
    };
    Ok(Some(Looked { id, unfinished }))
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
