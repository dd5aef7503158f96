//! What fuzzing reaches that is private otherwise: an event's row.

use std::cell::RefCell;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::failure::Failure;
use super::{plan, row};
use crate::model::event::Event;
use crate::model::id::EndpointId;

thread_local! {
    static DATABASE: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

/// The columns of an event as they are stored.
///
/// # Panics
/// If it cannot be stored.
pub fn written(event: &Event, endpoints: &[EndpointId]) -> Vec<Value> {
    let row = row::EventRow::new(Arc::new(event.clone()), endpoints.iter().copied())
        .expect("an event can be encoded");
    let envelope = &event.envelope;
    let text = |text: Option<&str>| text.map_or(Value::Null, |text| Value::Text(text.to_owned()));
    let number = |number: Option<i64>| number.map_or(Value::Null, Value::Integer);
    vec![
        Value::Integer(event.id.raw()),
        Value::Integer(event.tenant.raw()),
        number(event.source.map(|source| source.raw())),
        Value::Integer(event.received_at.as_millis()),
        text(Some(&envelope.kind)),
        Value::Blob(row.endpoints),
        Value::Integer(row.checksum),
        text(Some(&envelope.source)),
        text(envelope.id.as_deref()),
        text(envelope.subject.as_deref()),
        number(envelope.time.map(|time| time.as_millis())),
        text(envelope.content_type.as_deref()),
        text(row.meta.as_deref()),
        Value::Blob(event.data.to_vec()),
    ]
}

/// Reads such columns as the store does; `None` if it would call them corrupt.
///
/// # Panics
/// If SQLite itself fails.
pub fn read(columns: &[Value]) -> Option<Event> {
    DATABASE.with_borrow_mut(|database| {
        let database =
            database.get_or_insert_with(|| Connection::open_in_memory().expect("a database in memory"));
        let wanted = vec!["?"; columns.len()].join(", ");
        let mut statement = database
            .prepare_cached(&format!("SELECT {wanted}"))
            .expect("a list of values is valid SQL");
        let mut rows = statement
            .query(rusqlite::params_from_iter(columns))
            .expect("values can be bound");
        let found = rows.next().expect("values can be read").expect("there is a row");
        let decoded = row::event(found, 0).and_then(|event| {
            plan::decode(event.id, row::blob(found, 5)?)?;
            Ok::<_, Failure>(event)
        });
        decoded.ok().map(Arc::unwrap_or_clone)
    })
}
