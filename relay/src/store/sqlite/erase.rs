//! Overwrites what was stored of an event, and of what was sent for it.

use rusqlite::params;

use super::failure::Failure;
use super::plan;
use super::row::EventRow;
use super::session::Session;
use super::{listing, replayed, usage};
use crate::model::attempt::Attempt;
use crate::model::delivery::State;
use crate::model::id::{DeliveryId, EventId, TenantId};
use crate::model::time::Timestamp;

/// Puts a tombstone in the place of an event; whether it is there. The ids, the type and where
/// its deliveries stand stay; those that are pending are cancelled.
pub(super) fn erase(
    session: &Session<'_>,
    tenant: TenantId,
    id: EventId,
    now: Timestamp,
) -> Result<bool, Failure> {
    let Some(event) = listing::event(session.connection(), tenant, id)? else {
        return Ok(false);
    };
    let endpoints: Vec<u8> = session
        .statement("SELECT endpoints FROM events WHERE id = ?1")?
        .query_row([id.raw()], |row| row.get(0))?;
    let planned = plan::decode(id, &endpoints)?;
    let row = EventRow::new(
        event.erased(now).into(),
        planned.iter().map(|(_, endpoint)| *endpoint),
    )
    .map_err(|error| Failure::Unavailable(error.to_string()))?;
    let envelope = &row.event.envelope;
    if session.metered.contains(&tenant) {
        let left = i64::try_from(row.event.data.len()).unwrap_or(i64::MAX);
        usage::shrink(session, id, left)?;
    }
    session
        .statement(
            "UPDATE events SET checksum = ?2, origin = ?3, sender_id = NULL, subject = NULL, content_type = ?4,
                               meta = NULL, data = ?5
             WHERE id = ?1",
        )?
        .execute(params![
            id.raw(),
            row.checksum,
            envelope.source,
            envelope.content_type,
            &*row.event.data
        ])?;
    let replays = replayed::of(session.connection(), id)?;
    for (delivery, _) in planned.into_iter().chain(replays) {
        erase_delivery(session, delivery, now)?;
    }
    Ok(true)
}

fn erase_delivery(session: &Session<'_>, delivery: DeliveryId, now: Timestamp) -> Result<(), Failure> {
    session
        .statement("UPDATE deliveries SET messages = NULL WHERE id = ?1 AND messages IS NOT NULL")?
        .execute([delivery.raw()])?;
    session
        .statement(
            "UPDATE deliveries SET reason = NULL WHERE id = ?1 AND state <> ?2 AND reason IS NOT NULL",
        )?
        .execute(params![delivery.raw(), State::Cancelled.code()])?;
    session
        .statement(
            "UPDATE deliveries SET state = ?2, due = NULL, updated_at = ?3, reason = 'its event was erased'
             WHERE id = ?1 AND state = 0",
        )?
        .execute(params![delivery.raw(), State::Cancelled.code(), now.as_millis()])?;
    rewrite(
        session,
        "SELECT last, 0 FROM deliveries WHERE id = ?1 AND last IS NOT NULL",
        "UPDATE deliveries SET last = ?3 WHERE id = ?1 AND ?2 = 0",
        delivery,
    )?;
    rewrite(
        session,
        "SELECT attempt, number FROM attempts WHERE delivery = ?1",
        "UPDATE attempts SET attempt = ?3 WHERE delivery = ?1 AND number = ?2",
        delivery,
    )
}

/// Takes what was said out of each attempt. One that cannot be read goes as a whole.
fn rewrite(session: &Session<'_>, read: &str, write: &str, delivery: DeliveryId) -> Result<(), Failure> {
    let mut statement = session.statement(read)?;
    let attempts = statement.query_map([delivery.raw()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    for (text, number) in attempts.collect::<Result<Vec<_>, _>>()? {
        let erased = serde_json::from_str(&text)
            .ok()
            .and_then(|attempt: Attempt| serde_json::to_string(&attempt.erased()).ok());
        session
            .statement(write)?
            .execute(params![delivery.raw(), number, erased.unwrap_or_default()])?;
    }
    Ok(())
}
