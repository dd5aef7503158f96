//! Rows of the store: what is read is what was written, or is refused as corrupt.

use std::sync::LazyLock;

use bytes::Bytes;
use relay::model::event::{Envelope, Event};
use relay::model::id::{EndpointId, EventId, SourceId, TenantId};
use relay::store::sqlite::fuzz::{read, written};
use rusqlite::types::Value;

use super::{NOW, Target};

/// An input is a list of these: a column, a kind of value, a length, and so many bytes.
const HEAD: usize = 3;

pub(super) const TARGET: Target = Target {
    name: "rows",
    seeds: || {
        vec![
            Vec::new(),
            b"\x0d\x02\x02{}".to_vec(),
            b"\x0c\x03\x1d{\"headers\":[],\"extensions\":[]}".to_vec(),
            b"\x05\x02\x08\x01\0\0\0\0\0\0\0\x06\x01\x01\x07".to_vec(),
            b"\x09\x00\x00\x0a\x01\x08\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec(),
        ]
    },
    words: &[
        "\x00\x01\x08",
        "\x04\x03\x03a.b",
        "\x0c\x03\x02{}",
        "\x0c\x03\x02[]",
        "{\"headers\":[[\"a\",\"b\"]],\"extensions\":[]}",
        "null",
        "\x06\x01\x08",
        "\x05\x02\x07",
        "\x0d\x03\x01",
    ],
    run,
};

static ROW: LazyLock<(Event, Vec<Value>)> = LazyLock::new(|| {
    let event = Event {
        id: EventId::from_raw(1 << 40),
        tenant: TenantId::DEFAULT,
        source: Some(SourceId::from_raw(5)),
        received_at: NOW,
        envelope: Envelope {
            id: Some("1".to_owned()),
            source: "shop".to_owned(),
            kind: "order.paid".to_owned(),
            time: Some(NOW),
            content_type: Some("application/json".to_owned()),
            extensions: vec![("a".to_owned(), "b".to_owned())],
            ..Envelope::default()
        },
        headers: vec![("x-request-id".to_owned(), "7".to_owned())],
        data: Bytes::from_static(b"{\"total\": 5}"),
    };
    let row = written(&event, &[EndpointId::from_raw(1), EndpointId::from_raw(2)]);
    (event, row)
});

fn run(mut input: &[u8]) {
    let (event, row) = &*ROW;
    let mut row = row.clone();
    while let Some((&[column, kind, length], rest)) = input.split_first_chunk::<HEAD>() {
        let (bytes, rest) = rest.split_at(rest.len().min(usize::from(length)));
        let column = usize::from(column) % row.len();
        row[column] = value(kind, bytes);
        input = rest;
    }
    if let Some(found) = read(&row) {
        assert_eq!(found, *event, "{row:?}");
    }
}

fn value(kind: u8, bytes: &[u8]) -> Value {
    match kind % 5 {
        0 => Value::Null,
        1 => Value::Integer(number(bytes)),
        2 => Value::Blob(bytes.to_vec()),
        3 => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        _ => Value::Real(f64::from_bits(number(bytes).cast_unsigned())),
    }
}

fn number(bytes: &[u8]) -> i64 {
    bytes
        .iter()
        .take(8)
        .rev()
        .fold(0, |number, byte| number << 8 | i64::from(*byte))
}
