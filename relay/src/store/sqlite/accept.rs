//! Accepting events: the hot path of the writer.

use std::sync::Arc;

use rusqlite::{Connection, Statement, params};

use super::failure::Failure;
use super::job::{Urgency, Weight};
use super::row::EventRow;
use super::rules::{self, Losses};
use super::session::{Session, keep};
use super::{plan, usage};
use crate::model::delivery::State;
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, SourceId};
use crate::model::time::Timestamp;
use crate::store::{Accepted, DedupeKey, Error, NewEvent, RuleEffects};

/// What accepting needs prepared.
pub(super) struct Statements<'c> {
    insert: Statement<'c>,
    wait: Statement<'c>,
    remember: Statement<'c>,
}

impl<'c> Statements<'c> {
    /// Prepares them.
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            insert: keep(
                connection,
                "INSERT INTO events (id, tenant, source, received_at, kind, endpoints, checksum, origin,
                                     sender_id, subject, time, content_type, meta, data)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?,
            wait: keep(
                connection,
                "INSERT INTO deliveries (id, event, endpoint, tenant, state, due, attempts, manual, updated_at,
                                         reason)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?8)",
            )?,
            remember: keep(
                connection,
                "INSERT INTO dedupe (tenant, key, event, seen_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING",
            )?,
        })
    }
}

/// An event to accept, encoded.
pub(super) struct Offer {
    row: EventRow,
    /// The deliveries that get a row at once.
    rows: Vec<DeliveryRow>,
    dedupe: Option<DedupeKey>,
    rules: Option<(Box<RuleEffects>, Arc<Losses>)>,
}

struct DeliveryRow {
    id: DeliveryId,
    endpoint: EndpointId,
    state: State,
    reason: Option<&'static str>,
}

impl Offer {
    /// Encodes an event.
    pub(super) fn new(new: NewEvent, losses: &Arc<Losses>) -> Result<Self, Error> {
        let id = new.event.id;
        let planned = new.deliveries.iter().enumerate();
        let rows = planned.filter_map(|(number, planned)| {
            let (state, reason) = planned.begins.row()?;
            Some(DeliveryRow {
                id: id.delivery(number),
                endpoint: planned.endpoint,
                state,
                reason,
            })
        });
        let rows = rows.collect();
        let row = EventRow::new(new.event, new.deliveries.iter().map(|planned| planned.endpoint))?;
        Ok(Self {
            row,
            rows,
            dedupe: new.dedupe,
            rules: new.rules.map(|rules| (rules, Arc::clone(losses))),
        })
    }
}

/// What accepting these adds to a transaction.
pub(super) fn weight(offers: &[Offer]) -> Weight {
    let bytes = offers.iter().map(|offer| offer.row.event.weight()).sum();
    Weight {
        urgency: Urgency::First,
        events: offers.len(),
        bytes,
    }
}

/// Accepts all of them.
pub(super) fn accept(
    session: &mut Session<'_>,
    offers: &[Offer],
    now: Timestamp,
) -> Result<Vec<Accepted>, Failure> {
    offers
        .iter()
        .map(|offer| accept_one(session, offer, now))
        .collect()
}

fn accept_one(session: &mut Session<'_>, offer: &Offer, now: Timestamp) -> Result<Accepted, Failure> {
    let event = &*offer.row.event;
    if let Some((rules, _)) = &offer.rules
        && let Some(timer) = &rules.fires
        && !rules::take(session, timer)?
    {
        return Ok(Accepted::Outdated);
    }
    if let Some(key) = offer.dedupe
        && let Some(first) = remember(session, event, key, now)?
    {
        return Ok(Accepted::Duplicate(first));
    }
    insert(&mut session.accept.insert, &offer.row)?;
    if session.metered.contains(&event.tenant) {
        usage::count(session, event)?;
    }
    for delivery in &offer.rows {
        let due = (delivery.state == State::Pending).then(|| now.as_millis());
        session.accept.wait.execute(params![
            delivery.id.raw(),
            event.id.raw(),
            delivery.endpoint.raw(),
            event.tenant.raw(),
            delivery.state.code(),
            due,
            now.as_millis(),
            delivery.reason,
        ])?;
    }
    if let Some((rules, losses)) = &offer.rules {
        rules::apply(session, event, rules, losses, now)?;
    }
    Ok(Accepted::New)
}

/// Remembers the key, or finds the event that had it first.
fn remember(
    session: &mut Session<'_>,
    event: &Event,
    key: DedupeKey,
    now: Timestamp,
) -> Result<Option<EventId>, Failure> {
    let tenant = event.tenant.raw();
    let row = params![tenant, key.0.as_slice(), event.id.raw(), now.as_millis()];
    if session.accept.remember.execute(row)? == 1 {
        return Ok(None);
    }
    let first = session
        .statement("SELECT event FROM dedupe WHERE tenant = ?1 AND key = ?2")?
        .query_one(params![tenant, key.0.as_slice()], |row| row.get(0))?;
    Ok(Some(EventId::from_raw(first)))
}

fn insert(statement: &mut Statement<'_>, row: &EventRow) -> rusqlite::Result<()> {
    let event = &*row.event;
    let envelope = &event.envelope;
    statement.execute(params![
        event.id.raw(),
        event.tenant.raw(),
        event.source.map(SourceId::raw),
        event.received_at.as_millis(),
        envelope.kind,
        row.endpoints,
        row.checksum,
        envelope.source,
        envelope.id,
        envelope.subject,
        envelope.time.map(Timestamp::as_millis),
        envelope.content_type,
        row.meta,
        &*event.data,
    ])?;
    Ok(())
}

/// The largest id that the store has given room to, in events, deliveries and what was
/// removed.
pub(super) fn last_raw_id(connection: &Connection) -> Result<i64, Failure> {
    let rows: i64 = connection.query_row(
        "SELECT max(coalesce((SELECT max(id) FROM deliveries), 0),
                    (SELECT value FROM marks WHERE name = 'last_removed'))",
        [],
        |row| row.get(0),
    )?;
    let mut statement =
        connection.prepare_cached("SELECT id, endpoints FROM events ORDER BY id DESC LIMIT 1")?;
    let mut events = statement.query([])?;
    let Some(row) = events.next()? else {
        return Ok(rows);
    };
    let event = EventId::from_raw(row.get(0)?);
    let planned = plan::decode(event, super::row::blob(row, 1)?)?;
    Ok(rows.max(plan::last_raw(event, planned.len())))
}
