use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::model::endpoint::{RetryPolicy, Signatures};
use crate::model::event::Envelope;
use crate::model::id::EventId;
use crate::model::plugin::OnFault;
use crate::model::time::Timestamp;

use super::*;

fn endpoint(id: i64, event_types: &[&str]) -> Endpoint {
    Endpoint {
        id: EndpointId::from_raw(id),
        tenant: TenantId::DEFAULT,
        name: format!("e{id}"),
        url: "https://example.com/".parse().expect("a URL"),
        method: http::Method::POST,
        event_types: event_types
            .iter()
            .map(|pattern| pattern.parse().expect("a pattern"))
            .collect(),
        sources: Vec::new(),
        filter: None,
        plugins: Vec::new(),
        on_fault: OnFault::Retry,
        format: None,
        headers: Vec::new(),
        secrets: Vec::new(),
        signatures: Signatures::default(),
        timeout: Some(Duration::from_secs(10)),
        retry: RetryPolicy::default(),
        rate_limit: None,
        concurrency: NonZeroU32::MIN,
        query: Vec::new(),
        batch: None,
        consent_origin: None,
        sample: None,
        success_statuses: Vec::new(),
        disable_after: Duration::from_secs(3600),
        reply: None,
        enabled: true,
        digest: None,
        is_polled: false,
    }
}

fn event(tenant: TenantId, kind: &str, data: &'static str) -> Event {
    Event {
        id: EventId::from_raw(1),
        tenant,
        source: None,
        received_at: Timestamp::from_millis(0),
        envelope: Envelope {
            kind: kind.to_owned(),
            source: "s".to_owned(),
            ..Envelope::default()
        },
        headers: Vec::new(),
        data: Bytes::from_static(data.as_bytes()),
    }
}

fn build(endpoints: Vec<Endpoint>) -> Table {
    Table::build(endpoints.into_iter().map(Arc::new).collect()).expect("valid filters")
}

fn routed(table: &Table, event: &Event, source: Option<&str>) -> Vec<i64> {
    table
        .route(event, source)
        .iter()
        .map(|endpoint| endpoint.id.raw())
        .collect()
}

fn filtered(id: i64, filter: Value) -> Endpoint {
    Endpoint {
        filter: Some(filter),
        ..endpoint(id, &[])
    }
}

#[test]
fn each_matching_endpoint_comes_once_in_the_order_of_ids() {
    let table = build(vec![
        endpoint(5, &["a.*", "a.b", "*"]),
        endpoint(2, &["a.b"]),
        endpoint(9, &[]),
        endpoint(7, &["b"]),
    ]);
    assert_eq!(
        routed(&table, &event(TenantId::DEFAULT, "a.b", "{}"), None),
        [2, 5, 9]
    );
    assert_eq!(
        routed(&table, &event(TenantId::DEFAULT, "b", "{}"), None),
        [5, 7, 9]
    );
}

#[test]
fn tenants_never_see_each_others_events() {
    let other = TenantId::from_raw(2);
    let table = build(vec![
        endpoint(1, &[]),
        Endpoint {
            tenant: other,
            ..endpoint(2, &[])
        },
    ]);
    assert_eq!(routed(&table, &event(TenantId::DEFAULT, "a", "{}"), None), [1]);
    assert_eq!(routed(&table, &event(other, "a", "{}"), None), [2]);
    assert!(routed(&table, &event(TenantId::from_raw(3), "a", "{}"), None).is_empty());
    assert_eq!(table.explain(&event(other, "a", "{}"), None).len(), 1);
}

#[test]
fn an_endpoint_bound_to_sources_gets_nothing_else() {
    let sources = vec!["crm".to_owned(), "shop".to_owned()];
    let table = build(vec![
        Endpoint {
            sources,
            ..endpoint(1, &["a"])
        },
        endpoint(2, &["a"]),
    ]);
    let event = event(TenantId::DEFAULT, "a", "{}");
    assert_eq!(routed(&table, &event, Some("crm")), [1, 2]);
    assert_eq!(routed(&table, &event, Some("blog")), [2]);
    assert_eq!(routed(&table, &event, None), [2]);
}

#[test]
fn switched_off_endpoints_are_matched_so_that_their_deliveries_wait() {
    let table = build(vec![Endpoint {
        enabled: false,
        ..endpoint(1, &[])
    }]);
    assert_eq!(routed(&table, &event(TenantId::DEFAULT, "a", "{}"), None), [1]);
}

#[test]
fn filters_decide_last_and_explain_themselves() {
    let table = build(vec![
        filtered(1, json!({"data": {"n": [{"numeric": [">", 3]}]}})),
        filtered(2, json!({"data": {"n": [{"numeric": [">", 30]}]}})),
        endpoint(3, &["b"]),
        Endpoint {
            sources: vec!["x".to_owned()],
            ..endpoint(4, &[])
        },
    ]);
    let event = event(TenantId::DEFAULT, "a", r#"{"n": 7}"#);
    assert_eq!(routed(&table, &event, None), [1]);
    let decisions: Vec<_> = table
        .explain(&event, None)
        .into_iter()
        .map(|(_, decision)| decision)
        .collect();
    let mismatch = Mismatch {
        pointer: "/data/n".to_owned(),
        operators: vec!["numeric"],
        wanted: r#"[{"numeric":[">",30]}]"#.to_owned(),
        found: "7".to_owned(),
    };
    assert_eq!(
        decisions,
        [
            Decision::Wanted,
            Decision::Filter(mismatch),
            Decision::Type,
            Decision::Source
        ]
    );
}

#[test]
fn every_malformed_filter_is_named() {
    let endpoints = vec![
        filtered(1, json!({"typo": ["x"]})),
        endpoint(2, &[]),
        filtered(3, json!(5)),
    ];
    let malformed =
        Table::build(endpoints.into_iter().map(Arc::new).collect()).expect_err("two are malformed");
    let names: Vec<_> = malformed
        .iter()
        .map(|malformed| malformed.name.as_str())
        .collect();
    assert_eq!(names, ["e1", "e3"]);
    assert!(malformed[0].to_string().contains("/typo"), "{}", malformed[0]);
}

#[test]
fn a_copy_with_changes_is_as_one_built_of_them_and_the_original_stays() {
    let bound = |id, source: &str| Endpoint {
        sources: vec![source.to_owned()],
        ..endpoint(id, &["a", "b.*"])
    };
    let before = build(vec![
        endpoint(1, &["a"]),
        bound(2, "crm"),
        endpoint(3, &[]),
        endpoint(4, &["*.c"]),
    ]);
    let mut after = before.clone();
    after.put(Arc::new(endpoint(1, &["b.c"]))).expect("no filter");
    after.put(Arc::new(bound(2, "shop"))).expect("no filter");
    after.remove(EndpointId::from_raw(3));
    after.put(Arc::new(endpoint(5, &["a"]))).expect("no filter");
    after
        .put(Arc::new(filtered(6, json!({"typo": 1}))))
        .expect_err("malformed");
    let built = build(vec![
        endpoint(1, &["b.c"]),
        bound(2, "shop"),
        endpoint(4, &["*.c"]),
        endpoint(5, &["a"]),
    ]);
    for kind in ["a", "b.c", "x"] {
        let event = event(TenantId::DEFAULT, kind, "{}");
        for source in [None, Some("crm"), Some("shop")] {
            assert_eq!(
                routed(&after, &event, source),
                routed(&built, &event, source),
                "{kind} {source:?}"
            );
        }
    }
    let event = event(TenantId::DEFAULT, "a", "{}");
    assert_eq!(routed(&before, &event, Some("crm")), [1, 2, 3]);
    assert_eq!(
        after.named(TenantId::DEFAULT, "e5"),
        Some(EndpointId::from_raw(5))
    );
    assert_eq!(after.named(TenantId::DEFAULT, "e3"), None);
    for id in [1, 2, 4, 5] {
        after.remove(EndpointId::from_raw(id));
    }
    assert!(after.is_empty() && after.tenants.is_empty() && before.len() == 4);
}

/// Filters whose keys are shared, nested, within arrays, or not keys at all.
fn keyed() -> Vec<Value> {
    vec![
        json!({"data": {"customer": ["c1"]}}),
        json!({"data": {"customer": ["c2", "c1"]}}),
        json!({"data": {"customer": ["c1", 7]}}),
        json!({"data": {"env": ["prod"], "customer": ["c2"]}}),
        json!({"data": {"env": ["prod"], "customer": ["c3"]}}),
        json!({"data": {"lines": {"sku": ["a"], "count": [1]}}}),
        json!({"data": {"lines": {"sku": ["b"]}}}),
        json!({"data": {"labels": ["x"]}}),
        json!({"data": {"labels": [{"anything-but": ["x"]}]}}),
        json!({"type": ["a.b"], "data": {"customer": [{"exists": false}]}}),
        json!({"$or": [{"data": {"customer": ["c1"]}}, {"type": ["a.c"]}]}),
        json!({"subject": ["s"], "data": {"customer": ["c1"]}}),
    ]
}

#[test]
fn filters_found_by_their_keys_decide_as_each_by_itself() {
    let kinds: [&[&str]; 4] = [&[], &["a.b"], &["a.*", "a.b", "*"], &["*.b", "a.*.c"]];
    let endpoints: Vec<_> = (1..)
        .zip(
            keyed()
                .iter()
                .flat_map(|filter| kinds.map(|kinds| (filter, kinds))),
        )
        .map(|(id, (filter, kinds))| Endpoint {
            filter: Some(filter.clone()),
            ..endpoint(id, kinds)
        })
        .collect();
    let table = build(endpoints.clone());
    let mut changed = table.clone();
    for endpoint in endpoints.iter().rev() {
        changed.remove(endpoint.id);
    }
    assert!(
        changed.is_empty() && changed.tenants.is_empty(),
        "nothing is left in any bucket"
    );
    for endpoint in endpoints.iter().rev() {
        changed.put(Arc::new(endpoint.clone())).expect("valid");
        // Once more: it takes its own place.
        changed.put(Arc::new(endpoint.clone())).expect("valid");
    }
    for data in [
        "{}",
        "[]",
        "not json",
        r#"{"customer": "c1", "env": "prod"}"#,
        r#"{"customer": ["c2", ["c1"], 7], "env": "prod"}"#,
        r#"[{"customer": "c3", "env": ["prod", "test"]}, {"customer": "c2"}]"#,
        r#"{"lines": [{"sku": "a", "count": 2}, [{"sku": "a", "count": 1}], {"sku": ["b"]}]}"#,
        r#"{"labels": ["x", "y"]}"#,
        r#"{"customer": null, "labels": []}"#,
    ] {
        for kind in ["a.b", "a.c", "b"] {
            for subject in [None, Some("s".to_owned())] {
                let mut event = event(TenantId::DEFAULT, kind, data);
                event.envelope.subject = subject;
                let each = table.explain(&event, None).into_iter();
                let each = each.filter(|(_, decision)| *decision == Decision::Wanted);
                let each: Vec<i64> = each.map(|(endpoint, _)| endpoint.id.raw()).collect();
                assert_eq!(routed(&table, &event, None), each, "{kind} {data}");
                assert_eq!(routed(&changed, &event, None), each, "{kind} {data}, changed");
            }
        }
    }
}

#[test]
fn ten_thousand_endpoints_give_what_each_alone_would() {
    const COUNT: i64 = 10_000;
    let all: Vec<_> = (0..COUNT)
        .map(|id| {
            let kinds = [
                format!("t{}.x", id % 997),
                format!("t{}.*", id % 499),
                "t7.x".to_owned(),
            ];
            let kinds: Vec<_> = kinds
                .iter()
                .take(1 + (id % 3) as usize)
                .map(String::as_str)
                .collect();
            let sources = if id % 5 == 0 {
                vec![format!("s{}", id % 7)]
            } else {
                Vec::new()
            };
            Endpoint {
                sources,
                ..endpoint(id, &kinds)
            }
        })
        .collect();
    let table = build(all.clone());
    assert_eq!((table.len(), table.endpoints().count()), (10_000, 10_000));
    for (kind, source) in [
        ("t7.x", None),
        ("t7.x", Some("s3")),
        ("t300.y", None),
        ("t996.x", Some("s0")),
        ("z", None),
    ] {
        let event = event(TenantId::DEFAULT, kind, "{}");
        let expected: Vec<i64> = all
            .iter()
            .filter(|endpoint| endpoint.event_types.iter().any(|pattern| pattern.matches(kind)))
            .filter(|endpoint| {
                endpoint.sources.is_empty() || source.is_some_and(|source| endpoint.sources[0] == source)
            })
            .map(|endpoint| endpoint.id.raw())
            .collect();
        assert_eq!(routed(&table, &event, source), expected, "{kind} {source:?}");
        let explained = table.explain(&event, source);
        let wanted = explained
            .iter()
            .filter(|(_, decision)| *decision == Decision::Wanted)
            .count();
        assert_eq!(wanted, expected.len());
    }
}
