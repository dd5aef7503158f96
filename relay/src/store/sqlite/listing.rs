//! What people ask: single events and deliveries, and pages of them.
//!
//! Pages are found by walking ids downwards, which needs no index that every accepted event
//! would have to keep up. A walk stops after [`ROWS_SEEN_MAX`] rows: the page is short then,
//! and its `next` goes on from there.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows, params};

use super::due::ANSWER_BYTES_MAX;
use super::failure::{Failure, readable};
use super::{plan, row};
use crate::model::attempt::Attempt;
use crate::model::delivery::{Delivery, State};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, TenantId, first_raw_at};
use crate::model::page::{LIMIT_MAX, Listed, Page};
use crate::model::time::Timestamp;
use crate::store::{DeliveryFilter, EventFilter};

/// Rows that one page may look at: some ten milliseconds.
const ROWS_SEEN_MAX: usize = 50_000;

/// An event, whoever's it is.
pub(super) fn any_event(connection: &Connection, id: EventId) -> Result<Option<Arc<Event>>, Failure> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        row::columns!(),
        " FROM events e WHERE e.id = ?1"
    ))?;
    let mut rows = statement.query([id.raw()])?;
    rows.next()?.map(|row| row::event(row, 0)).transpose()
}

/// An event of a tenant.
pub(super) fn event(
    connection: &Connection,
    tenant: TenantId,
    id: EventId,
) -> Result<Option<Arc<Event>>, Failure> {
    Ok(any_event(connection, id)?.filter(|event| event.tenant == tenant))
}

/// A page being filled: knows when it is full, and where the next one begins.
struct Filling<T> {
    items: Vec<(i64, T)>,
    limit: usize,
    seen: usize,
    bytes: usize,
}

impl<T> Filling<T> {
    fn new(page: Page) -> Self {
        Self {
            items: Vec::new(),
            limit: page.limit.clamp(1, LIMIT_MAX),
            seen: 0,
            bytes: 0,
        }
    }

    /// Whether a row may still be looked at.
    fn goes_on(&self) -> bool {
        self.items.len() <= self.limit && self.seen < ROWS_SEEN_MAX && self.bytes < ANSWER_BYTES_MAX
    }

    fn push(&mut self, id: i64, item: T, bytes: usize) {
        self.items.push((id, item));
        self.bytes += bytes;
    }

    /// The page; `last` is the last row looked at if the walk was cut short. One item more
    /// than fits tells that there is a next page.
    fn finish(mut self, last: Option<i64>) -> Listed<T> {
        let overfull = self.items.len() > self.limit;
        self.items.truncate(self.limit);
        let next = if overfull {
            self.items.last().map(|(id, _)| *id)
        } else {
            last
        };
        Listed {
            items: self.items.into_iter().map(|(_, item)| item).collect(),
            next,
        }
    }
}

/// Raw ids from the first to below the second: a span of time and what is left of it.
fn span(since: Option<Timestamp>, until: Option<Timestamp>, page: Page) -> (i64, i64) {
    let until = until.map_or(i64::MAX, first_raw_at);
    (
        since.map_or(0, first_raw_at),
        page.before.unwrap_or(i64::MAX).min(until),
    )
}

/// Events of a tenant, newest first.
pub(super) fn events(
    connection: &Connection,
    tenant: TenantId,
    filter: &EventFilter,
    page: Page,
) -> Result<Listed<Arc<Event>>, Failure> {
    let (from, below) = span(filter.since, filter.until, page);
    let mut statement = connection.prepare_cached(
        "SELECT id, tenant, source, kind FROM events WHERE id >= ?1 AND id < ?2 ORDER BY id DESC",
    )?;
    walk(statement.query([from, below])?, tenant, page, |id, row| {
        if !wants(filter, row)? {
            return Ok(None);
        }
        let event = readable(any_event(connection, EventId::from_raw(id)), "an event of a list")?;
        Ok(event.map(|event| (Arc::clone(&event), event.weight())))
    })
}

/// Fills a page from rows of ids and tenants, newest first, with what `read` makes of those of
/// the tenant: an item and its bytes, or nothing if it is not wanted.
fn walk<T>(
    mut rows: Rows<'_>,
    tenant: TenantId,
    page: Page,
    mut read: impl FnMut(i64, &Row<'_>) -> Result<Option<(T, usize)>, Failure>,
) -> Result<Listed<T>, Failure> {
    let mut filling = Filling::new(page);
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        filling.seen += 1;
        if row.get::<_, i64>(1)? == tenant.raw()
            && let Some((item, bytes)) = read(id, row)?
        {
            filling.push(id, item, bytes);
        }
        if !filling.goes_on() {
            return Ok(filling.finish(Some(id)));
        }
    }
    Ok(filling.finish(None))
}

fn wants(filter: &EventFilter, row: &Row<'_>) -> Result<bool, Failure> {
    let source: Option<i64> = row.get(2)?;
    Ok(filter.source.is_none_or(|wanted| source == Some(wanted.raw()))
        && wants_kind(filter.kind.as_deref(), row, 3)?)
}

fn wants_kind(wanted: Option<&str>, row: &Row<'_>, column: usize) -> Result<bool, Failure> {
    let Some(wanted) = wanted else { return Ok(true) };
    let kind = row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(kind == wanted)
}

/// Deliveries of a tenant, newest first.
pub(super) fn deliveries(
    connection: &Connection,
    tenant: TenantId,
    filter: &DeliveryFilter,
    page: Page,
) -> Result<Listed<Delivery>, Failure> {
    if let Some(event) = filter.event {
        return deliveries_of(connection, tenant, event, filter, page);
    }
    let (from, below) = span(filter.since, filter.until, page);
    let mut statement = connection.prepare_cached(
        "SELECT id, tenant, endpoint, state FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id DESC",
    )?;
    walk(statement.query([from, below])?, tenant, page, |id, row| {
        let is_wanted = filter
            .endpoint
            .is_none_or(|endpoint| row.get(2) == Ok(endpoint.raw()))
            && filter.state.is_none_or(|state| row.get(3) == Ok(state.code()));
        if !is_wanted {
            return Ok(None);
        }
        let delivery = stored(connection, DeliveryId::from_raw(id))?;
        let delivery = delivery.filter(|delivery| wants_type(filter, delivery));
        Ok(delivery.map(|delivery| (delivery, 0)))
    })
}

fn wants_type(filter: &DeliveryFilter, delivery: &Delivery) -> bool {
    filter
        .kind
        .as_ref()
        .is_none_or(|kind| *kind == delivery.event_type)
}

/// Deliveries of one event, those without a row too.
fn deliveries_of(
    connection: &Connection,
    tenant: TenantId,
    event: EventId,
    filter: &DeliveryFilter,
    page: Page,
) -> Result<Listed<Delivery>, Failure> {
    let (from, below) = span(filter.since, filter.until, page);
    let Some(source) = Planner::find(connection, event)?.filter(|planner| planner.tenant == tenant) else {
        return Ok(Listed {
            items: Vec::new(),
            next: None,
        });
    };
    let mut filling = Filling::new(page);
    for &(id, endpoint) in source
        .planned
        .iter()
        .rev()
        .filter(|(id, _)| (from..below).contains(&id.raw()))
    {
        if filter.endpoint.is_some_and(|wanted| wanted != endpoint) {
            continue;
        }
        let delivery = stored(connection, id)?.unwrap_or_else(|| source.delivery(id, endpoint));
        if filter.state.is_none_or(|state| state == delivery.state) && wants_type(filter, &delivery) {
            filling.push(id.raw(), delivery, 0);
        }
        if !filling.goes_on() {
            break;
        }
    }
    Ok(filling.finish(None))
}

/// One delivery of a tenant.
pub(super) fn delivery(
    connection: &Connection,
    tenant: TenantId,
    id: DeliveryId,
) -> Result<Option<Delivery>, Failure> {
    let delivery = match stored(connection, id)? {
        Some(delivery) => Some(delivery),
        None => planned(connection, id)?,
    };
    Ok(delivery.filter(|delivery| delivery.tenant == tenant))
}

/// A delivery that has a row.
fn stored(connection: &Connection, id: DeliveryId) -> Result<Option<Delivery>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT d.tenant, d.event, d.endpoint, e.kind, d.state, d.due, d.attempts, d.reason, d.updated_at
         FROM deliveries d JOIN events e ON e.id = d.event WHERE d.id = ?1",
    )?;
    let mut rows = statement.query([id.raw()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Delivery {
        id,
        tenant: TenantId::from_raw(row.get(0)?),
        event: EventId::from_raw(row.get(1)?),
        endpoint: EndpointId::from_raw(row.get(2)?),
        event_type: row.get(3)?,
        state: plan::state(row.get(4)?)?,
        due: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
        attempts: row.get(6)?,
        reason: row.get(7)?,
        updated_at: Timestamp::from_millis(row.get(8)?),
    }))
}

/// A delivery that has no row, from the event that plans it: the last one whose id is
/// smaller, as an event and its deliveries take consecutive ids.
fn planned(connection: &Connection, id: DeliveryId) -> Result<Option<Delivery>, Failure> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM events WHERE id < ?1 ORDER BY id DESC LIMIT 1")?;
    let Some(event) = statement
        .query_map([id.raw()], |row| row.get(0))?
        .next()
        .transpose()?
    else {
        return Ok(None);
    };
    let Some(source) = Planner::find(connection, EventId::from_raw(event))? else {
        return Ok(None);
    };
    let endpoint = source.planned.iter().find(|(planned, _)| *planned == id);
    Ok(endpoint.map(|&(id, endpoint)| source.delivery(id, endpoint)))
}

/// What an event's row tells of the deliveries it plans.
struct Planner {
    id: EventId,
    tenant: TenantId,
    kind: String,
    received_at: Timestamp,
    planned: Vec<(DeliveryId, EndpointId)>,
}

impl Planner {
    fn find(connection: &Connection, id: EventId) -> Result<Option<Self>, Failure> {
        let mut statement = connection
            .prepare_cached("SELECT tenant, kind, received_at, endpoints FROM events WHERE id = ?1")?;
        let mut rows = statement.query([id.raw()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(Self {
            id,
            tenant: TenantId::from_raw(row.get(0)?),
            kind: row.get(1)?,
            received_at: Timestamp::from_millis(row.get(2)?),
            planned: plan::decode(id, row::blob(row, 3)?)?,
        }))
    }

    fn delivery(&self, id: DeliveryId, endpoint: EndpointId) -> Delivery {
        Delivery {
            id,
            tenant: self.tenant,
            event: self.id,
            endpoint,
            event_type: self.kind.clone(),
            state: State::Pending,
            due: Some(self.received_at),
            attempts: 0,
            reason: None,
            updated_at: self.received_at,
        }
    }
}

/// The attempts of a delivery, first to last.
pub(super) fn attempts(
    connection: &Connection,
    tenant: TenantId,
    id: DeliveryId,
) -> Result<Vec<Attempt>, Failure> {
    // The latest stands in the row itself, behind all numbers.
    let mut statement = connection.prepare_cached(
        "SELECT a.attempt, a.number FROM attempts a JOIN deliveries d ON d.id = a.delivery
         WHERE a.delivery = ?1 AND d.tenant = ?2
         UNION ALL
         SELECT last, 1 << 32 FROM deliveries WHERE id = ?1 AND tenant = ?2 AND last IS NOT NULL
         ORDER BY 2",
    )?;
    let mut rows = statement.query(params![id.raw(), tenant.raw()])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(attempt(id, row.get_ref(0)?)?);
    }
    Ok(attempts)
}

fn attempt(id: DeliveryId, json: ValueRef<'_>) -> Result<Attempt, Failure> {
    let json = json.as_str().map_err(rusqlite::Error::from)?;
    serde_json::from_str(json)
        .map_err(|error| Failure::Corrupt(format!("an attempt of delivery {id} does not read: {error}")))
}
