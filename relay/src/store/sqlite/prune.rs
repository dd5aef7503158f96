//! Removing what has had its time, in bites.

use rusqlite::{Connection, params};

use super::failure::{Failure, readable};
use super::plan::{self, Standing};
use super::row;
use super::session::Session;
use super::{deliveries, replayed, state, usage};
use crate::model::delivery::State;
use crate::model::id::{EventId, first_raw_at};
use crate::model::time::Timestamp;
use crate::store::Pruned;

/// Events looked at for each that may be removed: many in a row may have to stay.
const LOOKS_PER_EVENT: usize = 4;

/// How far one bite goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) before: Timestamp,
    pub(super) dedupe_before: Timestamp,
    pub(super) now: Timestamp,
    pub(super) limit: usize,
}

/// Takes one bite.
pub(super) fn prune(session: &mut Session<'_>, bounds: Bounds) -> Result<Pruned, Failure> {
    let bite = find(session.connection(), session.pruned_to, bounds)?;
    let mut pruned = Pruned::default();
    for range in &bite.ranges {
        remove(session, *range, &mut pruned)?;
    }
    session.pruned_to = bite.goes_on_after.unwrap_or(0);
    let keys = forget_keys(session, bounds)?;
    let values = state::expire(session, bounds.now, bounds.limit)?;
    pruned.more = bite.goes_on_after.is_some() || keys >= bounds.limit || values >= bounds.limit;
    Ok(pruned)
}

/// Events that may go, as few ranges of raw ids, first and last included.
struct Bite {
    ranges: Vec<(i64, i64)>,
    /// The last event looked at, if there are more behind it.
    goes_on_after: Option<i64>,
}

fn find(connection: &Connection, after: i64, bounds: Bounds) -> Result<Bite, Failure> {
    let judge = Judge::new(connection)?;
    let mut events = connection
        .prepare_cached("SELECT id, endpoints FROM events WHERE id > ?1 AND id < ?2 ORDER BY id")?;
    let mut events = events.query([after, first_raw_at(bounds.before)])?;
    let mut standing = Standing::prepare(connection)?;
    let mut standing = Standing::new(&mut standing, after)?;
    let mut bite = Bite {
        ranges: Vec::new(),
        goes_on_after: None,
    };
    let (mut looked_at, mut found, mut last, mut adjacent) = (0, 0, after, false);
    while let Some(row) = events.next()? {
        if found == bounds.limit || looked_at == bounds.limit.saturating_mul(LOOKS_PER_EVENT) {
            bite.goes_on_after = Some(last);
            break;
        }
        let event = EventId::from_raw(row.get(0)?);
        let done = judge.last_among(connection, &mut standing, event, row::blob(row, 1)?)?;
        if let Some(end) = done {
            match bite.ranges.last_mut().filter(|_| adjacent) {
                Some(range) => range.1 = end,
                None => bite.ranges.push((event.raw(), end)),
            }
            found += 1;
        }
        adjacent = done.is_some();
        looked_at += 1;
        last = event.raw();
    }
    Ok(bite)
}

/// Decides of events, one by one, whether they may go.
pub(super) struct Judge {
    checkpoint: EventId,
    /// Whether any event was replayed.
    replays: bool,
}

impl Judge {
    pub(super) fn new(connection: &Connection) -> Result<Self, Failure> {
        Ok(Self {
            checkpoint: deliveries::checkpoint(connection)?,
            replays: replayed::any(connection)?,
        })
    }

    /// The last raw id of an event and its deliveries, if it may go.
    pub(super) fn last_of(
        &self,
        connection: &Connection,
        event: EventId,
        endpoints: &[u8],
    ) -> Result<Option<i64>, Failure> {
        let mut standing = Standing::prepare(connection)?;
        let mut standing = Standing::new(&mut standing, event.raw())?;
        self.last_among(connection, &mut standing, event, endpoints)
    }

    /// The same in a walk along many.
    fn last_among(
        &self,
        connection: &Connection,
        standing: &mut Standing<'_>,
        event: EventId,
        endpoints: &[u8],
    ) -> Result<Option<i64>, Failure> {
        let is_checked = event <= self.checkpoint;
        let finished = finished(standing, event, endpoints, is_checked);
        let Some(last) = readable(finished, "an old event")? else {
            return Ok(None);
        };
        // What a timer will emit again.
        let mut armed = connection.prepare_cached("SELECT 1 FROM timers WHERE event = ?1")?;
        let waits = armed.exists([event.raw()])? || self.replays && replayed::waits(connection, event)?;
        Ok((!waits).then_some(last))
    }
}

/// The last raw id of an event and its deliveries if none of them is still to be made. A
/// delivery without a row is in flight, unless the checkpoint says that all had one.
fn finished(
    standing: &mut Standing<'_>,
    event: EventId,
    endpoints: &[u8],
    checked: bool,
) -> Result<Option<i64>, Failure> {
    let planned = plan::decode(event, endpoints)?;
    for (delivery, _) in &planned {
        match standing.of(*delivery)? {
            Some(State::Pending) => return Ok(None),
            None if !checked => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(plan::last_raw(event, planned.len())))
}

/// Removes a range of events, first and last raw id included, with all that belongs to them.
pub(super) fn remove(session: &Session<'_>, range: (i64, i64), pruned: &mut Pruned) -> Result<(), Failure> {
    // Among the ids there may be replays of older events: those stay as long as their event.
    session
        .statement(
            "DELETE FROM attempts WHERE delivery BETWEEN ?1 AND ?2
             AND delivery NOT IN (SELECT id FROM replayed WHERE id BETWEEN ?1 AND ?2)",
        )?
        .execute(range)?;
    pruned.deliveries += session
        .statement("DELETE FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND event >= ?1")?
        .execute(range)?;
    if replayed::any(session.connection())? {
        pruned.deliveries += replayed::remove(session, range)?;
    }
    if !session.metered.is_empty() {
        usage::take_off(session, range)?;
    }
    pruned.events += session
        .statement("DELETE FROM events WHERE id BETWEEN ?1 AND ?2")?
        .execute(range)?;
    session
        .statement("UPDATE marks SET value = max(value, ?1) WHERE name = 'last_removed'")?
        .execute([range.1])?;
    Ok(())
}

fn forget_keys(session: &Session<'_>, bounds: Bounds) -> Result<usize, Failure> {
    let mut statement = session.statement(
        "DELETE FROM dedupe WHERE (tenant, key) IN
             (SELECT tenant, key FROM dedupe WHERE seen_at < ?1 ORDER BY seen_at LIMIT ?2)",
    )?;
    let limit = i64::try_from(bounds.limit).unwrap_or(i64::MAX);
    Ok(statement.execute(params![bounds.dedupe_before.as_millis(), limit])?)
}
