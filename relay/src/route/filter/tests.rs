use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use crate::model::event::{Envelope, Event};
use crate::model::id::{EventId, TenantId};
use crate::model::time::Timestamp;

use super::*;

fn event(data: &str) -> Event {
    Event {
        id: EventId::from_raw(1),
        tenant: TenantId::DEFAULT,
        source: None,
        received_at: Timestamp::from_millis(1_700_000_000_007),
        envelope: Envelope {
            source: "crm".to_owned(),
            kind: "message.received".to_owned(),
            ..Envelope::default()
        },
        headers: Vec::new(),
        data: Bytes::copy_from_slice(data.as_bytes()),
    }
}

fn matches(pattern: &Json, event: &Event) -> bool {
    let filter = Filter::parse(pattern).unwrap_or_else(|faults| panic!("{pattern}: {faults:?}"));
    let view = View::new(event);
    let matches = filter.matches(&view);
    assert_eq!(filter.explain(&view).is_none(), matches, "{pattern}");
    matches
}

/// Holds one list of alternatives against the value of `x`.
fn check(alternatives: Json, x: Json, expected: bool) {
    let pattern = json!({"data": {"x": alternatives}});
    let event = event(&json!({"x": x}).to_string());
    assert_eq!(matches(&pattern, &event), expected, "{pattern} on {x}");
}

#[test]
fn plain_values_are_equal_by_kind_and_value() {
    for (wanted, found, expected) in [
        (json!("a"), json!("a"), true),
        (json!("a"), json!("A"), false),
        (json!(1), json!(1.0), true),
        (json!(1), json!("1"), false),
        (json!(true), json!(true), true),
        (json!(true), json!("true"), false),
        (json!(null), json!(null), true),
        (json!(""), json!(null), false),
        (
            json!(9_007_199_254_740_993_i64),
            json!(9_007_199_254_740_992_i64),
            false,
        ),
        (
            json!(18_446_744_073_709_551_615_u64),
            json!(18_446_744_073_709_551_615_u64),
            true,
        ),
        (json!("a"), json!({"a": 1}), false),
    ] {
        check(json!([wanted]), found, expected);
    }
    check(json!(["a", "b", 3]), json!(3), true);
}

#[test]
fn every_operator_holds_and_fails() {
    for (operator, holds, fails) in [
        (json!({"prefix": "ab"}), json!("abc"), json!("xab")),
        (
            json!({"prefix": {"equals-ignore-case": "ÀB"}}),
            json!("àBc"),
            json!("abc"),
        ),
        (json!({"suffix": "bc"}), json!("abc"), json!("bca")),
        (
            json!({"suffix": {"equals-ignore-case": "bC"}}),
            json!("aBc"),
            json!("aBd"),
        ),
        (
            json!({"wildcard": "*sales*"}),
            json!("pre-sales, vip"),
            json!("sale"),
        ),
        (
            json!({"equals-ignore-case": "Straße"}),
            json!("sTRAßE"),
            json!("strasse"),
        ),
        (json!({"numeric": [">", 0, "<=", 5]}), json!(5), json!(0)),
        (json!({"numeric": ["=", 1.5]}), json!(1.5), json!("1.5")),
        (json!({"numeric": [">=", -2]}), json!(-2), json!(-2.5)),
        // The event came in at 2023-11-14T22:13:20.007Z.
        (
            json!({"age": ["<", "10m"]}),
            json!("2023-11-14T22:03:21Z"),
            json!("2023-11-14T22:03:20Z"),
        ),
        (
            json!({"age": [">=", "5m", "<", "1h"]}),
            json!(1_699_999_000),
            json!(1_699_999_999_000_i64),
        ),
        (json!({"age": ["<", "0s"]}), json!(1_700_000_001), json!("soon")),
        (
            json!({"time": [">=", "2023-11-14T00:00:00Z", "<", "2023-11-15T00:00:00Z"]}),
            json!("2023-11-14T23:59:59+01:00"),
            json!("2023-11-15T00:00:00Z"),
        ),
        (json!({"exists": true}), json!(null), json!({"y": 1})),
        (
            json!({"cidr": "10.1.0.0/16"}),
            json!("10.1.2.3"),
            json!("10.2.0.0"),
        ),
        (
            json!({"cidr": "2001:db8::/32"}),
            json!("2001:db8::1"),
            json!("10.1.2.3"),
        ),
        (json!({"anything-but": "a"}), json!("b"), json!("a")),
        (json!({"anything-but": ["a", 1]}), json!(2), json!(1)),
        (
            json!({"anything-but": {"prefix": "ab"}}),
            json!("ba"),
            json!("abc"),
        ),
        (
            json!({"anything-but": {"suffix": ["ab", "cd"]}}),
            json!("ba"),
            json!("xcd"),
        ),
        (
            json!({"anything-but": {"wildcard": "a*b"}}),
            json!("ba"),
            json!("axb"),
        ),
        (
            json!({"anything-but": {"equals-ignore-case": ["A"]}}),
            json!("b"),
            json!("a"),
        ),
    ] {
        check(json!([operator.clone()]), holds, true);
        if operator != json!({"exists": true}) {
            check(json!([operator.clone()]), fails, false);
            check(json!([operator]), json!({"an": "object"}), false);
        }
    }
}

#[test]
fn absence_is_seen_below_absent_objects_too() {
    let absent = json!([{"exists": false}]);
    for (pattern, data, expected) in [
        (json!({"data": {"y": absent}}), "{\"x\":1}", true),
        (json!({"data": {"x": absent}}), "{\"x\":null}", false),
        (json!({"data": {"y": {"z": absent}}}), "{}", true),
        (json!({"data": {"y": {"z": absent}}}), "{\"y\":5}", true),
        (json!({"data": {"y": {"z": absent}}}), "{\"y\":[]}", true),
        (
            json!({"data": {"y": {"z": absent}}}),
            "{\"y\":[{\"z\":1}]}",
            false,
        ),
        (
            json!({"data": {"y": {"z": absent}}}),
            "{\"y\":[{\"z\":1},{}]}",
            true,
        ),
        (json!({"data": absent}), "not json", true),
        (json!({"data": {"x": [{"anything-but": 1}]}}), "{}", false),
        (json!({"subject": absent}), "{}", true),
    ] {
        assert_eq!(matches(&pattern, &event(data)), expected, "{pattern} on {data}");
    }
}

#[test]
fn one_element_of_an_array_is_enough_and_must_do_for_all() {
    let items = r#"{"items":[{"sku":"a","n":1},{"sku":"b","n":5},[{"sku":"c","n":9}]],"tags":["x",["y"]]}"#;
    for (pattern, expected) in [
        (json!({"data": {"tags": ["y"]}}), true),
        (json!({"data": {"tags": ["z"]}}), false),
        (json!({"data": {"tags": [{"anything-but": "x"}]}}), true),
        (json!({"data": {"items": {"sku": ["b"], "n": [5]}}}), true),
        (json!({"data": {"items": {"sku": ["a"], "n": [5]}}}), false),
        (json!({"data": {"items": {"sku": ["c"], "n": [9]}}}), true),
    ] {
        assert_eq!(matches(&pattern, &event(items)), expected, "{pattern}");
    }
}

#[test]
fn fields_go_together_and_branches_stand_for_each_other() {
    let event = event(r#"{"a":1,"b":{"c":2}}"#);
    for (pattern, expected) in [
        (
            json!({"type": [{"prefix": "message."}], "source": ["crm"], "data": {"a": [1]}}),
            true,
        ),
        (json!({"type": ["message.sent"], "data": {"a": [1]}}), false),
        (json!({"$or": [{"type": ["x"]}, {"data": {"a": [1]}}]}), true),
        (
            json!({"source": ["shop"], "$or": [{"type": ["x"]}, {"data": {"a": [1]}}]}),
            false,
        ),
        (
            json!({"data": {"$or": [{"a": [2]}, {"b": {"$or": [{"c": [1]}, {"c": [2]}]}}]}}),
            true,
        ),
        (json!({"data": {"$or": [{"a": [2]}, {"b": {"c": [1]}}]}}), false),
        (json!({"time": [{"prefix": "2023-11-14T22:13:20.007"}]}), true),
        (json!({"id": [{"prefix": "evt_"}]}), true),
    ] {
        assert_eq!(matches(&pattern, &event), expected, "{pattern}");
    }
}

#[test]
fn data_that_cannot_be_parsed_has_no_fields() {
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    for data in ["", "x", "{\"x\":", "\u{1}", &deep] {
        assert!(
            !matches(&json!({"data": {"x": [{"exists": true}]}}), &event(data)),
            "{data}"
        );
    }
    let mut text = event("{\"x\":1}");
    text.envelope.content_type = Some("text/plain".to_owned());
    assert!(!matches(&json!({"data": {"x": [1]}}), &text));
    assert!(matches(&json!({"data": ["plain"]}), &event("\"plain\"")));
}

#[test]
fn an_explanation_names_the_clause_and_what_was_found() {
    let filter =
        Filter::parse(&json!({"data": {"order": {"total": [{"numeric": [">", 100]}]}}})).expect("valid");
    let explain = |data: &str| filter.explain(&View::new(&event(data))).expect("does not match");
    let mismatch = explain(r#"{"order":{"total":7}}"#);
    assert_eq!(mismatch.pointer, "/data/order/total");
    assert_eq!(mismatch.operators, ["numeric"]);
    assert_eq!(mismatch.message(), r#"found 7, wanted [{"numeric":[">",100]}]"#);
    assert!(explain("{}").message().starts_with("found absent"));
    let long = explain(&json!({"order": {"total": "é".repeat(400)}}).to_string());
    assert!(long.message().len() < 200, "{}", long.message());
}

#[test]
fn every_fault_of_a_pattern_is_named_at_once() {
    let faults = |pattern: &Json| -> Vec<String> {
        let faults = Filter::parse(pattern).expect_err("malformed");
        faults.into_iter().map(|fault| fault.pointer).collect()
    };
    for (pattern, pointers) in [
        (json!([]), vec![""]),
        (json!({}), vec![""]),
        (json!({"kind": ["a"]}), vec!["/kind"]),
        (json!({"type": "a"}), vec!["/type"]),
        (json!({"type": {"x": ["a"]}}), vec!["/type"]),
        (json!({"type": []}), vec!["/type"]),
        (json!({"data": {}}), vec!["/data"]),
        (json!({"data": {"a/b": [["x"]]}}), vec!["/data/a~1b/0"]),
        (
            json!({"data": {"a": [{}, {"prefix": "x", "suffix": "y"}, {"like": "x"}]}}),
            vec!["/data/a/0", "/data/a/1", "/data/a/2/like"],
        ),
        (
            json!({"data": {"a": [{"prefix": 1}, {"prefix": ""}, {"wildcard": "a\\b"}]}}),
            vec!["/data/a/0/prefix", "/data/a/1/prefix", "/data/a/2/wildcard"],
        ),
        (
            json!({"data": {"a": [{"numeric": []}, {"numeric": [">"]}, {"numeric": ["!", 1]}, {"numeric": 5}]}}),
            vec![
                "/data/a/0/numeric",
                "/data/a/1/numeric",
                "/data/a/2/numeric",
                "/data/a/3/numeric",
            ],
        ),
        (
            json!({"data": {"a": [{"exists": "yes"}, {"cidr": "10.0.0.1/33"}]}}),
            vec!["/data/a/0/exists", "/data/a/1/cidr"],
        ),
        (
            json!({"data": {"a": [{"anything-but": []}, {"anything-but": {"exists": true}}, {"anything-but": [[]]}]}}),
            vec![
                "/data/a/0/anything-but",
                "/data/a/1/anything-but",
                "/data/a/2/anything-but/0",
            ],
        ),
        (
            json!({"data": {"a": [{"anything-but": {"prefix": ["x", 1]}}]}}),
            vec!["/data/a/0/anything-but/prefix/1"],
        ),
        (json!({"$or": [{"type": ["a"]}]}), vec!["/$or"]),
        (
            json!({"$or": [{"tpye": ["a"]}, 5]}),
            vec!["/$or/0/tpye", "/$or/1"],
        ),
    ] {
        assert_eq!(faults(&pattern), pointers, "{pattern}");
    }
}

#[test]
fn depth_size_and_faults_are_bounded() {
    let mut deep = json!([1]);
    for _ in 0..DEPTH_MAX + 5 {
        deep = json!({"x": deep});
    }
    assert!(Filter::parse(&json!({"data": deep})).is_err());
    let numbers = |count: usize| json!({"data": {"x": vec![json!(1); count]}});
    assert!(Filter::parse(&numbers(TESTS_MAX)).is_ok());
    assert_eq!(
        Filter::parse(&numbers(TESTS_MAX + 100))
            .expect_err("too many")
            .len(),
        1
    );
    let long = json!({"type": ["x".repeat(TEXT_LEN_MAX + 1)]});
    assert!(Filter::parse(&long).is_err());
    let bad = json!({"data": {"x": vec![json!({}); 500]}});
    assert_eq!(Filter::parse(&bad).expect_err("malformed").len(), FAULTS_MAX);
}

/// Reads the pattern anew for every value: slow and plain.
mod reference {
    use super::*;

    pub(super) fn holds(pattern: &Map<String, Json>, on: Option<&Json>) -> bool {
        pattern.iter().all(|(name, rule)| {
            if name == "$or" {
                let branches = rule.as_array().expect("a list");
                return branches
                    .iter()
                    .any(|branch| holds(branch.as_object().expect("an object"), on));
            }
            let value = on.and_then(Json::as_object).and_then(|object| object.get(name));
            match rule {
                Json::Object(below) => match value {
                    Some(Json::Array(_)) => {
                        let objects: Vec<_> = flat(value)
                            .into_iter()
                            .filter(|element| element.is_object())
                            .collect();
                        objects.iter().any(|object| holds(below, Some(object)))
                            || objects.is_empty() && holds(below, None)
                    }
                    other => holds(below, other),
                },
                rule => rule
                    .as_array()
                    .expect("a list")
                    .iter()
                    .any(|test| one(test, value)),
            }
        })
    }

    fn flat(value: Option<&Json>) -> Vec<&Json> {
        match value {
            Some(Json::Array(list)) => list.iter().flat_map(|element| flat(Some(element))).collect(),
            other => other.into_iter().collect(),
        }
    }

    fn one(test: &Json, value: Option<&Json>) -> bool {
        if let Some(wanted) = test.get("exists") {
            return Json::Bool(value.is_some()) == *wanted;
        }
        flat(value)
            .into_iter()
            .any(|element| !element.is_object() && scalar(test, element))
    }

    fn scalar(test: &Json, value: &Json) -> bool {
        let Some((name, wanted)) = test.as_object().and_then(|map| map.iter().next()) else {
            return test == value;
        };
        match name.as_str() {
            "anything-but" => !wanted.as_array().expect("a list").contains(value),
            "prefix" => value
                .as_str()
                .is_some_and(|text| text.starts_with(wanted.as_str().expect("text"))),
            "numeric" => value
                .as_f64()
                .is_some_and(|number| number > wanted[1].as_f64().expect("a number")),
            other => panic!("{other}"),
        }
    }
}

mod property {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["a", "b", "c"].prop_map(|name| name.to_owned())
    }

    fn plain() -> impl Strategy<Value = Json> {
        prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Json::from),
            (0..4_i64).prop_map(Json::from),
            "[xy]{0,2}".prop_map(Json::from),
        ]
    }

    fn data() -> impl Strategy<Value = Json> {
        plain().prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                object(inner),
            ]
        })
    }

    fn object(inner: impl Strategy<Value = Json>) -> impl Strategy<Value = Json> {
        let map = proptest::collection::hash_map(name(), inner, 1..4);
        map.prop_map(|map| Json::Object(map.into_iter().collect()))
    }

    fn test() -> impl Strategy<Value = Json> {
        prop_oneof![
            3 => plain(),
            1 => any::<bool>().prop_map(|flag| json!({"exists": flag})),
            1 => proptest::collection::vec(plain(), 1..3).prop_map(|list| json!({"anything-but": list})),
            1 => "[xy]".prop_map(|text| json!({"prefix": text})),
            1 => (0..3_i64).prop_map(|number| json!({"numeric": [">", number]})),
        ]
    }

    fn pattern() -> impl Strategy<Value = Json> {
        let tests = proptest::collection::vec(test(), 1..3).prop_map(Json::from);
        let leaf = object(tests);
        leaf.prop_recursive(3, 30, 3, |inner| {
            let or = (inner.clone(), inner.clone()).prop_map(|(one, two)| json!({"$or": [one, two]}));
            prop_oneof![object(inner), or]
        })
    }

    proptest! {
        #[test]
        fn filters_agree_with_the_plain_reading(pattern in pattern(), data in object(data())) {
            let whole = json!({"data": pattern});
            let event = event(&data.to_string());
            let expected = reference::holds(pattern.as_object().expect("an object"), Some(&data));
            prop_assert_eq!(matches(&whole, &event), expected);
        }

        #[test]
        fn reading_any_pattern_never_panics(pattern in data()) {
            Filter::parse(&pattern).ok();
            Filter::parse(&json!({"data": pattern})).ok();
        }
    }
}
