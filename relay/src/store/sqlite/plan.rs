//! The deliveries that an event plans, told from its row alone.

use rusqlite::{CachedStatement, Connection, Rows};

use super::failure::Failure;
use crate::model::delivery::State;
use crate::model::id::{DeliveryId, EndpointId, EventId};

const ID_BYTES: usize = 8;

/// The list of endpoints as it is stored: 8 bytes each, little-endian.
pub(super) fn encode(endpoints: impl ExactSizeIterator<Item = EndpointId>) -> Vec<u8> {
    let mut list = Vec::with_capacity(endpoints.len() * ID_BYTES);
    endpoints.for_each(|endpoint| list.extend_from_slice(&endpoint.raw().to_le_bytes()));
    list
}

/// The deliveries of an event from its list of endpoints.
pub(super) fn decode(event: EventId, endpoints: &[u8]) -> Result<Vec<(DeliveryId, EndpointId)>, Failure> {
    let (ids, rest) = endpoints.as_chunks::<ID_BYTES>();
    if !rest.is_empty() {
        let bytes = endpoints.len();
        return Err(Failure::Corrupt(format!(
            "the endpoints of event {event} take {bytes} bytes, not 8 each"
        )));
    }
    let endpoint = |id: &[u8; ID_BYTES]| EndpointId::from_raw(i64::from_le_bytes(*id));
    Ok(ids
        .iter()
        .enumerate()
        .map(|(number, id)| (event.delivery(number), endpoint(id)))
        .collect())
}

/// The largest raw id that an event or one of its planned deliveries has.
pub(super) fn last_raw(event: EventId, deliveries: usize) -> i64 {
    match deliveries.checked_sub(1) {
        Some(last) => event.delivery(last).raw(),
        None => event.raw(),
    }
}

/// Where planned deliveries stand, asked for in the order of their ids: one walk along the
/// rows beside a walk along the events.
pub(super) struct Standing<'s> {
    rows: Rows<'s>,
    /// The row not yet passed.
    next: Option<(i64, i64)>,
}

impl<'s> Standing<'s> {
    /// The statement to walk along.
    pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
        connection.prepare_cached("SELECT id, state FROM deliveries WHERE id > ?1 ORDER BY id")
    }

    /// Begins behind `after`.
    pub(super) fn new(statement: &'s mut CachedStatement<'_>, after: i64) -> Result<Self, Failure> {
        let mut standing = Self {
            rows: statement.query([after])?,
            next: None,
        };
        standing.advance()?;
        Ok(standing)
    }

    /// The state of a delivery that has a row. Ids must not go down from call to call.
    pub(super) fn of(&mut self, delivery: DeliveryId) -> Result<Option<State>, Failure> {
        while self.next.is_some_and(|(id, _)| id < delivery.raw()) {
            self.advance()?;
        }
        match self.next {
            Some((id, code)) if id == delivery.raw() => state(code).map(Some),
            _ => Ok(None),
        }
    }

    fn advance(&mut self) -> Result<(), Failure> {
        // As it is, not as a damaged row: without the walk, every delivery would seem to have none.
        self.next = match self.rows.next().map_err(Failure::Sql)? {
            Some(row) => Some((row.get(0)?, row.get(1)?)),
            None => None,
        };
        Ok(())
    }
}

/// The state stored under a number.
pub(super) fn state(code: i64) -> Result<State, Failure> {
    State::from_code(code).ok_or_else(|| Failure::Corrupt(format!("there is no delivery state {code}")))
}
