//! Filters: a pattern that reads gives the same verdict however an event's JSON is spaced.

use bytes::Bytes;
use relay::model::event::{Envelope, Event};
use relay::model::id::{EventId, TenantId};
use relay::route::filter::Filter;
use relay::route::view::View;

use super::{NOW, Target, split, texts};

pub(super) const TARGET: Target = Target {
    name: "filters",
    seeds: || {
        texts(&[
            "{\"type\": [\"a.b\", {\"prefix\": \"c\"}], \"data\": {\"total\": [{\"numeric\": [\">\", 100, \"<=\", 1e3]}]}}\n\n{\"total\": 500}",
            "{\"data\": {\"labels\": [{\"wildcard\": \"*sa*s*\"}], \"ip\": [{\"cidr\": \"10.0.0.0/8\"}]}}\n\n{\"labels\": [\"x\", \"sales\"], \"ip\": \"10.1.2.3\"}",
            "{\"$or\": [{\"data\": {\"a\": [{\"exists\": false}]}}, {\"subject\": [{\"anything-but\": {\"suffix\": \"x\"}}]}]}\n\n{\"b\": {\"a\": [1.0, true, null]}}",
            "{\"data\": {\"o\": {\"k\": [{\"equals-ignore-case\": \"\\u00c4\"}]}}}\n\n{\"o\": [{\"k\": \"\\u00e4\"}, {\"k\": 1}]}",
        ])
    },
    words: &[
        "{\"numeric\": [\"=\", 0]}",
        "{\"age\": [\"<\", \"10m\"]}",
        "{\"time\": [\">=\", \"2026-01-31T15:00:00Z\"]}",
        "{\"exists\": true}",
        "{\"wildcard\": \"\\\\*\"}",
        "{\"wildcard\": \"**\"}",
        "{\"cidr\": \"::/0\"}",
        "{\"anything-but\": [1, \"a\"]}",
        "\"$or\": [",
        "\"data\": {",
        "\"type\": ",
        "[]",
        "{}",
        "null",
        "1e308",
        "-0.0",
        "9007199254740993",
        "0.1",
        "\\ud83d\\ude00",
        "\n\n",
        "\"a\": ",
        "[[[[",
    ],
    run,
};

fn run(input: &[u8]) {
    let (pattern, data) = split(input, b"\n\n");
    let Ok(pattern) = serde_json::from_slice(pattern) else {
        return;
    };
    let filter = match Filter::parse(&pattern) {
        Ok(filter) => filter,
        Err(faults) => {
            assert!(faults.iter().all(|fault| !fault.message.is_empty()) && !faults.is_empty());
            return;
        }
    };
    let verdict = matches(&filter, data);
    if std::str::from_utf8(data).is_ok() {
        assert_eq!(matches(&filter, &spaced(data)), verdict, "spaces mean nothing");
    }
}

fn matches(filter: &Filter, data: &[u8]) -> bool {
    let event = Event {
        id: EventId::from_raw(1),
        tenant: TenantId::DEFAULT,
        source: None,
        received_at: NOW,
        envelope: Envelope {
            source: "s".to_owned(),
            kind: "a.b".to_owned(),
            ..Envelope::default()
        },
        headers: Vec::new(),
        data: Bytes::copy_from_slice(data),
    };
    let view = View::new(&event);
    let verdict = filter.matches(&view);
    assert_eq!(
        filter.explain(&view).is_none(),
        verdict,
        "what does not match has a reason"
    );
    verdict
}

/// The same JSON with a space behind each sign outside of strings.
fn spaced(json: &[u8]) -> Vec<u8> {
    let mut spaced = Vec::with_capacity(json.len() * 2);
    let (mut is_string, mut is_escaped) = (false, false);
    for &byte in json {
        spaced.push(byte);
        if is_string {
            is_string = is_escaped || byte != b'"';
            is_escaped = byte == b'\\' && !is_escaped;
        } else {
            is_string = byte == b'"';
            if b"{}[],:".contains(&byte) {
                spaced.push(b' ');
            }
        }
    }
    spaced
}
