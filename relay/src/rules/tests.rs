use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::model::event::Envelope;
use crate::model::id::EventId;
use crate::model::rule::{Cancel, Changes, Condition, Emit};
use crate::model::time::Timestamp;
use crate::store::Act;

fn event(kind: &str, data: &Value) -> Event {
    Event {
        id: EventId::from_raw(1 << 30),
        tenant: TenantId::DEFAULT,
        source: None,
        received_at: Timestamp::from_millis(0),
        envelope: Envelope {
            source: "crm".to_owned(),
            kind: kind.to_owned(),
            ..Envelope::default()
        },
        headers: Vec::new(),
        data: Bytes::from(data.to_string()),
    }
}

fn rule(condition: Condition) -> Rule {
    Rule {
        id: RuleId::from_raw(7),
        tenant: TenantId::DEFAULT,
        name: "watch".to_owned(),
        enabled: true,
        event_types: vec!["ticket.*".parse().expect("a pattern")],
        sources: Vec::new(),
        filter: None,
        include_emitted: false,
        key: vec!["/id".to_owned()],
        condition,
        emit: Emit {
            kind: "ticket.noticed".to_owned(),
            member: "relay".to_owned(),
        },
        version: 1,
    }
}

fn changes(from: Option<Vec<Value>>, to: Option<Vec<Value>>) -> Rule {
    rule(Condition::Changes(Changes {
        value: "/status".to_owned(),
        from,
        to,
    }))
}

fn quiet() -> Rule {
    rule(Condition::Inactive {
        after: Duration::from_secs(60),
        cancel: Some(Cancel {
            event_types: vec!["ticket.closed".parse().expect("a pattern")],
            filter: None,
            key: vec!["/ticket".to_owned()],
        }),
    })
}

fn watcher(rule: Rule) -> Watcher {
    Watcher::new(Arc::new(rule)).expect("a sound filter")
}

fn key_of(rule: &Rule, data: &Value) -> Result<String, Skip> {
    match watcher(rule.clone()).look(&event("ticket.seen", data), None) {
        Seen::Effect(effect) => Ok(effect.key),
        Seen::Skipped(skip) => Err(skip),
        Seen::Unwanted => panic!("{data} is wanted"),
    }
}

#[test]
fn a_key_is_written_in_one_way_only() {
    let one = quiet();
    for (data, key) in [
        (json!({"id": "T-1"}), Ok("\"T-1\"".to_owned())),
        (json!({"id": 17}), Ok("17".to_owned())),
        (json!({"id": 17.0}), Ok("17".to_owned())),
        (json!({"id": true}), Ok("true".to_owned())),
        (json!({"id": null}), Err(Skip::NoKey)),
        (json!({"id": {}}), Err(Skip::NoKey)),
        (json!({}), Err(Skip::NoKey)),
        (json!("T-1"), Err(Skip::NoKey)),
        (json!({"id": "x".repeat(2000)}), Err(Skip::LongKey)),
    ] {
        assert_eq!(key_of(&one, &data), key, "{data}");
    }
    let two = Rule {
        key: vec!["/id".to_owned(), "/shop/0".to_owned()],
        ..quiet()
    };
    assert_eq!(
        key_of(&two, &json!({"id": 1, "shop": ["a"]})),
        Ok("[1,\"a\"]".to_owned())
    );
    let none = Rule {
        key: Vec::new(),
        ..quiet()
    };
    assert_eq!(key_of(&none, &json!("text")), Ok(String::new()));
}

#[test]
fn a_change_is_from_and_to_what_is_asked_for() {
    let closed = || Some(vec![json!("closed"), json!(0)]);
    let open = || Some(vec![json!("open")]);
    for (from, to, before, value, expected) in [
        (None, None, None, "\"x\"", true),
        (None, None, Some("\"x\""), "\"x\"", false),
        (None, closed(), None, "\"closed\"", true),
        (None, closed(), Some("\"open\""), "0", true),
        (None, closed(), Some("\"open\""), "\"pending\"", false),
        (open(), closed(), None, "\"closed\"", false),
        (open(), closed(), Some("\"open\""), "\"closed\"", true),
        (open(), closed(), Some("\"pending\""), "\"closed\"", false),
        (open(), None, Some("\"open\""), "null", true),
    ] {
        let watcher = watcher(changes(from, to));
        assert_eq!(
            watcher.is_change(before, value),
            expected,
            "{before:?} to {value}"
        );
    }
}

#[test]
fn what_calls_it_off_counts_more_than_what_sets_it_off() {
    let watcher = watcher(quiet());
    let act = |kind: &str, data: Value| match watcher.look(&event(kind, &data), None) {
        Seen::Effect(effect) => Some((effect.key, effect.act)),
        _ => None,
    };
    let (key, armed) = act("ticket.seen", json!({"id": 1})).expect("an effect");
    assert!(key == "1" && matches!(armed, Act::Rearm { .. }), "{armed:?}");
    let cancelled = act("ticket.closed", json!({"id": 2, "ticket": 1}));
    assert_eq!(cancelled, Some(("1".to_owned(), Act::Cancel)));
    assert_eq!(act("message.seen", json!({"id": 1})), None);
}

#[test]
fn what_rules_emitted_is_seen_only_if_asked_for_and_not_for_ever() {
    let seen = |include_emitted: bool, hops: u8| {
        let rule = Rule {
            include_emitted,
            ..changes(None, None)
        };
        let book = Rulebook::build(vec![Arc::new(rule)]).expect("sound filters");
        let event = event("ticket.seen", &json!({"id": 1, "status": "open"}));
        let looked = book.look(&event, None, hops);
        (
            looked.effects.map(|effects| effects.hops),
            looked.skipped.first().map(|(_, skip)| *skip),
        )
    };
    assert_eq!(seen(false, 0), (Some(0), None));
    assert_eq!(seen(false, 1), (None, None));
    assert_eq!(seen(true, 1), (Some(1), None));
    assert_eq!(seen(true, HOPS_MAX), (None, Some(Skip::Hops)));
}

#[test]
fn rules_that_are_off_or_of_another_tenant_see_nothing() {
    let off = Rule {
        enabled: false,
        ..changes(None, None)
    };
    let foreign = Rule {
        tenant: TenantId::from_raw(2),
        ..changes(None, None)
    };
    for rule in [off, foreign] {
        let book = Rulebook::build(vec![Arc::new(rule)]).expect("sound filters");
        let event = event("ticket.seen", &json!({"id": 1, "status": "open"}));
        assert!(book.look(&event, None, 0).effects.is_none());
    }
}

#[test]
fn what_is_emitted_says_why() {
    let rule = changes(None, None);
    let mut event = event("ticket.seen", &json!({"id": 1}));
    event
        .envelope
        .extensions
        .push(("dataschema".to_owned(), "/s".to_owned()));
    let cause = emission::Cause {
        key: "1",
        from: Some("\"open\""),
        to: Some("\"closed\""),
    };
    let post = emission::post(&rule, &event, cause);
    let data: Value = serde_json::from_slice(&post.data).expect("JSON");
    let why = json!({"rule": "watch", "event": event.id, "key": 1, "from": "open", "to": "closed"});
    assert_eq!(data, json!({"id": 1, "relay": why}));
    let names: Vec<_> = post
        .envelope
        .extensions
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        (post.envelope.kind.as_str(), names),
        ("ticket.noticed", vec!["relayrule", "relaycause"])
    );
    assert_eq!(post.envelope.source, "crm");
}
