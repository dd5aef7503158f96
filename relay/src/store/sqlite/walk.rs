//! Walks along events and deliveries, in either direction, that end in time.
//!
//! Ids are made in the order of time, so a walk along them needs no index that every accepted
//! event would have to keep up. What ended without success is rare, and has one: `deliveries_undelivered`.
//! A walk stops after [`TIME_MAX`]: what it found is short then, and it says where to go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, Rows, named_params};
use serde::Deserialize;

use super::due::ANSWER_BYTES_MAX;
use super::failure::{Failure, readable};
use super::{listing, row};
use crate::model::attempt::Outcome;
use crate::model::delivery::{Delivery, State};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, SourceId, TenantId};
use crate::store::filter::is_of;
use crate::store::{DeliveryFilter, EventFilter, Span, Text};

/// How long a walk may take: a page has to be there within 100 ms, on a busy machine too.
const TIME_MAX: Duration = Duration::from_millis(40);
/// Pending deliveries that are sorted by id for a walk: some milliseconds.
const WAITING_MAX: i64 = 20_000;
/// Rows between two looks at the clock.
const ROWS_PER_LOOK: usize = 64;

/// Which way a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    NewestFirst,
    OldestFirst,
}

impl Direction {
    const fn sql(self) -> &'static str {
        match self {
            Self::NewestFirst => "DESC",
            Self::OldestFirst => "ASC",
        }
    }
}

/// What a walk is to find.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) tenant: TenantId,
    pub(super) span: Span,
    pub(super) direction: Direction,
    pub(super) limit: usize,
}

/// What a walk has found, and the id at which it goes on.
pub(super) type Found<T> = (Vec<T>, Option<i64>);

/// A list being filled: knows when it is full, and where the next one begins.
pub(super) struct Filling<T> {
    items: Vec<(i64, T)>,
    limit: usize,
    seen: usize,
    bytes: usize,
    begun: Instant,
}

impl<T> Filling<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            items: Vec::new(),
            limit,
            seen: 0,
            bytes: 0,
            begun: Instant::now(),
        }
    }

    /// Whether another row may be looked at after this one.
    pub(super) fn goes_on(&mut self) -> bool {
        self.seen += 1;
        let in_time = !self.seen.is_multiple_of(ROWS_PER_LOOK) || self.begun.elapsed() < TIME_MAX;
        in_time && self.items.len() <= self.limit && self.bytes < ANSWER_BYTES_MAX
    }

    pub(super) fn push(&mut self, id: i64, item: T, bytes: usize) {
        self.items.push((id, item));
        self.bytes += bytes;
    }

    /// The list; `last` is the last row looked at if the walk was cut short. One item more than
    /// fits tells that there is more.
    pub(super) fn finish(mut self, last: Option<i64>) -> Found<T> {
        let overfull = self.items.len() > self.limit;
        self.items.truncate(self.limit);
        let next = if overfull {
            self.items.last().map(|(id, _)| *id)
        } else {
            last
        };
        (self.items.into_iter().map(|(_, item)| item).collect(), next)
    }
}

/// Events of a tenant.
pub(super) fn events(
    connection: &Connection,
    plan: Plan,
    filter: &EventFilter,
) -> Result<Found<Arc<Event>>, Failure> {
    // The payload stands last in its row, and is walked through only if it is asked for.
    let data = if filter.text.is_some() { "data" } else { "NULL" };
    // Where the trace stands, among all that came with the event.
    let meta = if filter.trace_id.is_some() { "meta" } else { "NULL" };
    let sql = format!(
        "SELECT id, tenant, source, kind, sender_id, subject, {meta}, {data} FROM events
         WHERE id > ?1 AND id < ?2 ORDER BY id {}",
        plan.direction.sql()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([plan.span.after, plan.span.before])?;
    let mut filling = Filling::new(plan.limit);
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if row.get::<_, i64>(1)? == plan.tenant.raw() && may_want(filter, row)? {
            let event = listing::any_event(connection, EventId::from_raw(id));
            let event = readable(event, "an event of a list")?;
            if let Some(event) = event.filter(|event| !filter.looks_deep() || filter.wants(event)) {
                let weight = event.weight();
                filling.push(id, event, weight);
            }
        }
        if !filling.goes_on() {
            return Ok(filling.finish(Some(id)));
        }
    }
    Ok(filling.finish(None))
}

/// What can be said without reading the whole event.
fn may_want(filter: &EventFilter, row: &Row<'_>) -> Result<bool, Failure> {
    let is = |wanted: &Option<String>, column: usize| -> Result<bool, Failure> {
        let Some(wanted) = wanted else { return Ok(true) };
        let own = row
            .get_ref(column)?
            .as_str_or_null()
            .map_err(rusqlite::Error::from)?;
        Ok(own == Some(wanted.as_str()))
    };
    let source: Option<i64> = row.get(2)?;
    Ok(filter.source.is_none_or(|wanted| source == Some(wanted.raw()))
        && is_of(
            filter.kind.as_ref(),
            row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?,
        )
        && is(&filter.sender_id, 4)?
        && is(&filter.subject, 5)?
        && mentions(filter.trace_id.as_deref(), row, 6)?
        && has_text(filter.text.as_ref(), row, 7)?)
}

fn mentions(wanted: Option<&str>, row: &Row<'_>, column: usize) -> Result<bool, Failure> {
    let Some(wanted) = wanted else { return Ok(true) };
    let meta = row
        .get_ref(column)?
        .as_str_or_null()
        .map_err(rusqlite::Error::from)?;
    Ok(meta.is_some_and(|meta| meta.contains(wanted)))
}

fn has_text(text: Option<&Text>, row: &Row<'_>, column: usize) -> Result<bool, Failure> {
    match text {
        None => Ok(true),
        Some(text) => Ok(text.is_in(row::blob(row, column)?)),
    }
}

/// Deliveries of a tenant that have a row.
pub(super) fn deliveries(
    connection: &Connection,
    plan: Plan,
    filter: &DeliveryFilter,
) -> Result<Found<Delivery>, Failure> {
    let states = unusual_states(connection, filter)?;
    let mut statements = Vec::new();
    match &states {
        Some(states) => {
            for state in states {
                statements.push((prepare(connection, plan, Some(*state), filter)?, Some(*state)));
            }
        }
        None => statements.push((prepare(connection, plan, None, filter)?, None)),
    }
    let mut streams = Vec::new();
    for (statement, state) in &mut statements {
        streams.push(Stream::open(statement, plan, *state, filter)?);
    }
    let mut filling = Filling::new(plan.limit);
    while let Some(head) = next(&mut streams, plan.direction, filter, plan.tenant)? {
        if head.is_wanted && has_event(connection, filter, head.event)? {
            let delivery = listing::stored(connection, DeliveryId::from_raw(head.id))?;
            if let Some(delivery) = delivery.filter(|delivery| filter.wants(delivery)) {
                filling.push(head.id, delivery, 0);
            }
        }
        if !filling.goes_on() {
            return Ok(filling.finish(Some(head.id)));
        }
    }
    Ok(filling.finish(None))
}

/// The states to walk along in their indexes; `None` to walk along all deliveries, because some of
/// those that are asked for have no index, or so many wait that to sort them takes too long.
fn unusual_states(connection: &Connection, filter: &DeliveryFilter) -> Result<Option<Vec<State>>, Failure> {
    let failed_only = filter.error_class.is_some()
        || filter
            .status_code
            .is_some_and(|status| !(200..300).contains(&status));
    let can_be = |state: &State| filter.wants_state(*state) && !(failed_only && *state == State::Succeeded);
    let states: Vec<State> = State::ALL.into_iter().filter(can_be).collect();
    if states.contains(&State::Succeeded) || states.contains(&State::Pending) && many_wait(connection)? {
        return Ok(None);
    }
    Ok(Some(states))
}

fn many_wait(connection: &Connection) -> Result<bool, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM
             (SELECT 1 FROM deliveries INDEXED BY deliveries_waiting WHERE state = 0 LIMIT ?1)",
    )?;
    let count: i64 = statement.query_row([WAITING_MAX + 1], |row| row.get(0))?;
    Ok(count > WAITING_MAX)
}

fn prepare<'c>(
    connection: &'c Connection,
    plan: Plan,
    state: Option<State>,
    filter: &DeliveryFilter,
) -> rusqlite::Result<CachedStatement<'c>> {
    let last = if filter.asks_outcome() { "last" } else { "NULL" };
    // The same names in each, so that all are bound alike.
    let from = match state {
        Some(State::Pending) => {
            "deliveries WHERE (:tenant IS NOT NULL OR :state IS NOT NULL)
             AND id IN (SELECT id FROM deliveries INDEXED BY deliveries_waiting WHERE state = 0) AND"
        }
        Some(_) => {
            "deliveries INDEXED BY deliveries_undelivered
             WHERE tenant = :tenant AND state = :state AND state >= 2 AND"
        }
        None => "deliveries WHERE (:tenant IS NOT NULL OR :state IS NOT NULL) AND",
    };
    connection.prepare_cached(&format!(
        "SELECT id, event, tenant, endpoint, state, attempts, {last} FROM {from} id > :after AND id < :before
         ORDER BY id {}",
        plan.direction.sql()
    ))
}

/// A row that a walk has come to.
#[derive(Debug, Clone, Copy)]
struct Head {
    id: i64,
    event: i64,
    /// Whether the filter wants it, as far as its row tells.
    is_wanted: bool,
}

/// Rows in the order of their ids, and the one that comes next.
struct Stream<'s> {
    rows: Rows<'s>,
    head: Option<Head>,
}

impl<'s> Stream<'s> {
    fn open(
        statement: &'s mut CachedStatement<'_>,
        plan: Plan,
        state: Option<State>,
        filter: &DeliveryFilter,
    ) -> Result<Self, Failure> {
        let rows = statement.query(named_params! {
            ":tenant": plan.tenant.raw(),
            ":state": state.map(State::code),
            ":after": plan.span.after,
            ":before": plan.span.before,
        })?;
        let mut stream = Self { rows, head: None };
        stream.advance(filter, plan.tenant)?;
        Ok(stream)
    }

    fn advance(&mut self, filter: &DeliveryFilter, tenant: TenantId) -> Result<(), Failure> {
        self.head = match self.rows.next()? {
            Some(row) => Some(Head {
                id: row.get(0)?,
                event: row.get(1)?,
                is_wanted: wants(filter, tenant, row)?,
            }),
            None => None,
        };
        Ok(())
    }
}

/// The next row of all streams.
fn next(
    streams: &mut [Stream<'_>],
    direction: Direction,
    filter: &DeliveryFilter,
    tenant: TenantId,
) -> Result<Option<Head>, Failure> {
    let place = |stream: &Stream<'_>| {
        let id = stream.head.map(|head| head.id)?;
        Some(if direction == Direction::NewestFirst {
            -id
        } else {
            id
        })
    };
    let first = streams
        .iter_mut()
        .filter(|stream| stream.head.is_some())
        .min_by_key(|stream| place(stream));
    let Some(stream) = first else { return Ok(None) };
    let head = stream.head;
    stream.advance(filter, tenant)?;
    Ok(head)
}

fn wants(filter: &DeliveryFilter, tenant: TenantId, row: &Row<'_>) -> Result<bool, Failure> {
    if row.get::<_, i64>(2)? != tenant.raw() {
        return Ok(false);
    }
    let endpoint: i64 = row.get(3)?;
    let state: i64 = row.get(4)?;
    let attempts: u32 = row.get(5)?;
    let event: i64 = row.get(1)?;
    Ok(filter.endpoint.is_none_or(|wanted| wanted.raw() == endpoint)
        && filter.event.is_none_or(|wanted| wanted.raw() == event)
        && (filter.states.is_empty() || filter.states.iter().any(|wanted| wanted.code() == state))
        && filter.attempts_min.is_none_or(|min| attempts >= min)
        && (!filter.asks_outcome() || filter.wants_outcome(outcome(filter, row)?.as_ref())))
}

/// Whether a text may say what is asked for: reading it as JSON costs ten times as much.
fn may_say(filter: &DeliveryFilter, last: &str) -> bool {
    filter
        .status_code
        .is_none_or(|status| last.contains(&format!("\"status\":{status}")))
}

/// How the last attempt ended; a row whose attempt cannot be read says nothing of it.
fn outcome(filter: &DeliveryFilter, row: &Row<'_>) -> Result<Option<Outcome>, Failure> {
    #[derive(Deserialize)]
    struct Last {
        outcome: Outcome,
    }
    let last = row.get_ref(6)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    Ok(last
        .filter(|last| may_say(filter, last))
        .and_then(|last| serde_json::from_str::<Last>(last).ok())
        .map(|last| last.outcome))
}

/// Whether a delivery's event is one that the filter wants.
fn has_event(connection: &Connection, filter: &DeliveryFilter, event: i64) -> Result<bool, Failure> {
    if filter.kind.is_none() && filter.test.is_none() && !filter.asks_event() {
        return Ok(true);
    }
    let data = if filter.text.is_some() { "data" } else { "NULL" };
    let mut statement =
        connection.prepare_cached(&format!("SELECT kind, source, {data} FROM events WHERE id = ?1"))?;
    let found = statement.query_row([event], |row| {
        let kind = row.get_ref(0)?.as_str()?;
        let source: Option<i64> = row.get(1)?;
        let is_wanted = is_of(filter.kind.as_ref(), kind)
            && filter.source.is_none_or(|wanted| source == Some(wanted.raw()))
            && filter
                .test
                .is_none_or(|wanted| wanted == (source == Some(SourceId::TEST.raw())));
        Ok(match &filter.text {
            Some(text) if is_wanted => text.is_in(row.get_ref(2)?.as_blob()?),
            _ => is_wanted,
        })
    });
    Ok(found.optional()?.unwrap_or(false))
}
