//! What people ask: single events and deliveries, and pages of them.
//!
//! Pages are found by [walks](super::walk), which may end early: a page is short then, and its
//! `next` goes on from there.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::failure::{Failure, readable};
use super::walk::{self, Direction, Filling, Found, Plan};
use super::{plan, replayed, row};
use crate::model::attempt::Attempt;
use crate::model::delivery::{Delivery, State};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, SourceId, TenantId, first_raw_at};
use crate::model::page::{LIMIT_MAX, Listed, Page};
use crate::model::time::Timestamp;
use crate::store::{DeliveryFilter, EventFilter, Span};

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
    let plan = newest_first(tenant, (filter.since, filter.until), page);
    Ok(listed(walk::events(connection, plan, filter)?))
}

/// Deliveries of a tenant, newest first.
pub(super) fn deliveries(
    connection: &Connection,
    tenant: TenantId,
    filter: &DeliveryFilter,
    page: Page,
) -> Result<Listed<Delivery>, Failure> {
    match filter.event {
        Some(event) => deliveries_of(connection, tenant, event, filter, page),
        None => {
            let plan = newest_first(tenant, (filter.since, filter.until), page);
            Ok(listed(walk::deliveries(connection, plan, filter)?))
        }
    }
}

fn newest_first(tenant: TenantId, time: (Option<Timestamp>, Option<Timestamp>), page: Page) -> Plan {
    let (from, below) = span(time.0, time.1, page);
    Plan {
        tenant,
        span: Span {
            after: from - 1,
            before: below,
        },
        direction: Direction::NewestFirst,
        limit: page.limit.clamp(1, LIMIT_MAX),
    }
}

fn listed<T>((items, next): Found<T>) -> Listed<T> {
    Listed { items, next }
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
    let mut all = source.planned.clone();
    all.extend(replayed::of(connection, event)?);
    let event = match filter.asks_event() {
        true => readable(any_event(connection, event), "an event of a list")?,
        false => None,
    };
    let mut filling = Filling::new(page.limit.clamp(1, LIMIT_MAX));
    for &(id, endpoint) in all
        .iter()
        .rev()
        .filter(|(id, _)| (from..below).contains(&id.raw()))
    {
        let delivery = stored(connection, id)?.unwrap_or_else(|| source.delivery(id, endpoint));
        let is_wanted = filter.wants(&delivery)
            && event.as_ref().is_none_or(|event| filter.wants_event(event))
            && (!filter.asks_outcome() || {
                let attempts = attempts(connection, tenant, id)?;
                filter.wants_outcome(attempts.last().map(|attempt| &attempt.outcome))
            });
        if is_wanted {
            filling.push(id.raw(), delivery, 0);
        }
        if !filling.goes_on() {
            return Ok(listed(filling.finish(Some(id.raw()))));
        }
    }
    Ok(listed(filling.finish(None)))
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
pub(super) fn stored(connection: &Connection, id: DeliveryId) -> Result<Option<Delivery>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT d.tenant, d.event, d.endpoint, e.kind, d.state, d.due, d.attempts, d.reason, d.updated_at,
                e.source
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
        test: row.get(9) == Ok(Some(SourceId::TEST.raw())),
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
            // A test has its row from the start.
            test: false,
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
