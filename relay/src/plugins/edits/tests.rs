use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const BOUNDS: Bounds = Bounds {
    growth: 1 << 16,
    work: tree::WORK_MAX,
};

fn set(at: &str, value: &str) -> Edit {
    Edit::Set {
        at: at.into(),
        value: value.into(),
    }
}

fn remove(at: &str) -> Edit {
    Edit::Remove { at: at.into() }
}

fn rename(from: &str, to: &str) -> Edit {
    Edit::Move {
        from: from.into(),
        to: to.into(),
    }
}

fn copy(from: &str, to: &str) -> Edit {
    Edit::Copy {
        from: from.into(),
        to: to.into(),
    }
}

fn merge(at: &str, patch: &str) -> Edit {
    Edit::Merge {
        at: at.into(),
        patch: patch.into(),
    }
}

fn check(text: &str, edits: &[Edit], expected: &str) {
    assert_eq!(
        apply(text.as_bytes(), edits, BOUNDS).as_deref(),
        Ok(expected),
        "{edits:?} on {text}"
    );
}

fn refuses(text: &str, edit: Edit, expected: &str) {
    let error = apply(text.as_bytes(), &[edit], BOUNDS)
        .expect_err(expected)
        .to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn nothing_named_keeps_every_byte() {
    let text = " { \"a\" : 1.50 ,\t\"b\":[ 1e5 , -0 ],\"\\u0063\":\"\\/\" }\n";
    check(text, &[], text);
    check(
        text,
        &[set("/b/1", "7")],
        " { \"a\" : 1.50 ,\t\"b\":[ 1e5 , 7 ],\"\\u0063\":\"\\/\" }\n",
    );
    check(
        text,
        &[set("/c", "null")],
        " { \"a\" : 1.50 ,\t\"b\":[ 1e5 , -0 ],\"\\u0063\":null }\n",
    );
}

#[test]
fn set_replaces_creates_and_appends() {
    check(
        r#"{"a":1}"#,
        &[set("/a", "2"), set("/b", "\"x\"")],
        r#"{"a":2,"b":"x"}"#,
    );
    check("{}", &[set("/a/b/c", "1")], r#"{"a":{"b":{"c":1}}}"#);
    check(
        "[1]",
        &[set("/-", "2"), set("/2", "3"), set("/0", "0")],
        "[0,2,3]",
    );
    check(r#"{"a":[]}"#, &[set("/a/-/b", "1")], r#"{"a":[{"b":1}]}"#);
    check("[1,2]", &[set("", " {} ")], "{}");
    check(
        r#"{"a~/b":1}"#,
        &[set("/a~0~1b", "2"), set("/\"", "3")],
        r#"{"a~/b":2,"\"":3}"#,
    );
}

#[test]
fn new_members_look_like_their_neighbours() {
    check(
        "{\n  \"a\": 1\n}",
        &[set("/b", "2")],
        "{\n  \"a\": 1,\n  \"b\": 2\n}",
    );
    check(
        "{\n  \"a\": 1,\n  \"b\": 2\n}",
        &[remove("/b")],
        "{\n  \"a\": 1\n}",
    );
    check("{ \"a\": 1, \"b\": 2 }", &[remove("/a")], "{ \"b\": 2 }");
    check("[ 1, 2 ]", &[remove("/0"), remove("/0")], "[]");
}

#[test]
fn what_is_absent_is_no_error_to_remove_move_or_copy() {
    let text = r#"{"a":{"b":1},"c":[1]}"#;
    check(
        text,
        &[
            remove("/x"),
            remove("/a/b/c"),
            remove("/c/7"),
            remove("/c/-"),
            rename("/x", "/y"),
            copy("/a/x", "/y"),
        ],
        text,
    );
}

#[test]
fn values_move_and_copy() {
    check(
        r#"{"a":1.0,"b":{}}"#,
        &[rename("/a", "/b/c")],
        r#"{"b":{"c":1.0}}"#,
    );
    check(
        r#"{"a":[ 1 ]}"#,
        &[copy("/a", "/b"), set("/b/0", "2")],
        r#"{"a":[ 1 ],"b":[ 2 ]}"#,
    );
    check(
        r#"{"a":{"b":1}}"#,
        &[copy("/a", "/a/c"), rename("/a", "/a")],
        r#"{"a":{"b":1,"c":{"b":1}}}"#,
    );
    refuses(r#"{"a":{}}"#, rename("/a", "/a/b"), "moved into itself");
}

#[test]
fn merge_patches_follow_rfc_7396() {
    // Appendix A of the RFC.
    for (target, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":{"b":"d","c":null}}"#,
            r#"{"a":{"b":"d"}}"#,
        ),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, "\"bar\"", "\"bar\""),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        check(target, &[merge("", patch)], result);
        check(
            &format!("{{\"x\":{target}}}"),
            &[merge("/x", patch)],
            &format!("{{\"x\":{result}}}"),
        );
    }
    check(
        "{}",
        &[merge("/a/b", r#"{"c":1,"d":null}"#)],
        r#"{"a":{"b":{"c":1}}}"#,
    );
}

#[test]
fn an_edited_key_leaves_no_second_value_behind() {
    check(r#"{"p":1,"a":2,"p":3}"#, &[remove("/p")], r#"{"a":2}"#);
    check(
        r#"{"p":1,"a":2,"\u0070":3}"#,
        &[set("/p", "0")],
        r#"{"a":2,"\u0070":0}"#,
    );
    check(r#"{"u":{"p":1},"u":{}}"#, &[remove("/u/p")], r#"{"u":{}}"#);
}

#[test]
fn unusable_edits_say_which_and_why() {
    refuses(
        "{}",
        set("a", "1"),
        "edit 1 (set \"a\"): the pointer \"a\" does not begin with a slash",
    );
    refuses("{}", set("/a~", "1"), "neither `~0` nor `~1`");
    refuses("{}", set("/a", "{"), "not JSON");
    refuses("{}", set("/a", "1 2"), "not JSON");
    refuses("{}", merge("/a", "oops"), "not JSON");
    refuses("{}", remove(""), "cannot be taken away");
    refuses(
        r#"{"a":1}"#,
        set("/a/b", "1"),
        "`b` leads into a value that is neither",
    );
    refuses("[1]", set("/5", "1"), "`5` is not an index");
    refuses("[1]", set("/x", "1"), "`x` is not an index");
    refuses("hello", set("/a", "1"), "the payload cannot be edited: not JSON");
    assert_eq!(apply(b"\xff", &[], BOUNDS), Err(Error::Encoding));
}

#[test]
fn copies_of_copies_hit_the_bound_on_growth() {
    let edits: Vec<_> = (0..64).map(|n| copy("", &format!("/{n}"))).collect();
    let error = apply(br#"{"a":"xxxxxxxxxxxxxxxx"}"#, &edits, BOUNDS)
        .expect_err("too long")
        .to_string();
    assert!(error.contains("bytes longer"), "{error}");
}

#[test]
fn work_on_huge_documents_is_bounded() {
    let members: Vec<_> = (0..20_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let object = format!("{{{}}}", members.join(","));
    let error = apply(
        object.as_bytes(),
        &[merge("", &object)],
        Bounds {
            growth: 1 << 20,
            ..BOUNDS
        },
    )
    .expect_err("too much")
    .to_string();
    assert!(error.contains("too much work"), "{error}");
}

// ---- against a plain implementation on values --------------------------------------------

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]",
        Just("~".to_owned()),
        Just("/".to_owned()),
        Just("é\"".to_owned()),
        Just(String::new())
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z\"\\\\\n]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|list| Value::Object(list.into_iter().collect())),
        ]
    })
}

fn pointer() -> impl Strategy<Value = String> {
    let step = prop_oneof![4 => key(), 2 => "[0-3]", 1 => Just("-".to_owned())];
    prop::collection::vec(step, 0..4).prop_map(|steps| {
        steps
            .iter()
            .map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1")))
            .collect()
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (pointer(), value()).prop_map(|(at, value)| Edit::Set {
            at,
            value: value.to_string()
        }),
        pointer().prop_map(|at| Edit::Remove { at }),
        (pointer(), pointer()).prop_map(|(from, to)| Edit::Move { from, to }),
        (pointer(), pointer()).prop_map(|(from, to)| Edit::Copy { from, to }),
        (pointer(), value()).prop_map(|(at, patch)| Edit::Merge {
            at,
            patch: patch.to_string()
        }),
    ]
}

/// A merge behind the last element once looked for the element it had just appended under
/// `-`, which by then meant the one after it, and so merged nothing.
#[test]
fn a_merge_behind_the_last_element_appends_the_merged_object() {
    let edits = [merge("/-", r#"{"a":[]}"#)];
    assert_eq!(apply(b"[1]", &edits, BOUNDS).unwrap(), r#"[1,{"a":[]}]"#);
}

fn steps(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect()
}

fn reference_place<'v>(mut value: &'v mut Value, at: &str) -> Option<&'v mut Value> {
    for step in steps(at) {
        value = match value {
            Value::Object(map) => map.entry(step).or_insert_with(|| json!({})),
            Value::Array(list) => {
                let index = if step == "-" {
                    list.len()
                } else {
                    step.parse().ok()?
                };
                if index == list.len() {
                    list.push(json!({}));
                }
                list.get_mut(index)?
            }
            _ => return None,
        };
    }
    Some(value)
}

fn reference_take(value: &mut Value, at: &str) -> Option<Option<Value>> {
    let (parents, last) = at.rsplit_once('/')?;
    let last = steps(&format!("/{last}")).remove(0);
    let Some(parent) = value.pointer_mut(parents) else {
        return Some(None);
    };
    Some(match parent {
        Value::Object(map) => map.shift_remove(&last),
        Value::Array(list) => last
            .parse::<usize>()
            .ok()
            .filter(|n| *n < list.len())
            .map(|n| list.remove(n)),
        _ => None,
    })
}

fn reference_merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(map) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.shift_remove(key);
        } else {
            reference_merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// `None` where the relay must refuse.
fn reference(value: &mut Value, edit: &Edit) -> Option<()> {
    match edit {
        Edit::Set { at, value: new } => *reference_place(value, at)? = serde_json::from_str(new).ok()?,
        Edit::Remove { at } => drop(reference_take(value, at)?),
        Edit::Move { from, to } if from == to => {}
        Edit::Move { from, to } => {
            if to.starts_with(&format!("{from}/")) {
                return None;
            }
            if let Some(moved) = reference_take(value, from)? {
                *reference_place(value, to)? = moved;
            }
        }
        Edit::Copy { from, to } => {
            if let Some(copied) = value.pointer(from).cloned() {
                *reference_place(value, to)? = copied;
            }
        }
        Edit::Merge { at, patch } => {
            reference_merge(reference_place(value, at)?, &serde_json::from_str(patch).ok()?)
        }
    }
    Some(())
}

proptest! {
    #[test]
    fn text_edits_mean_what_edits_of_values_mean(
        start in value(),
        is_pretty in any::<bool>(),
        edits in prop::collection::vec(edit(), 0..6),
    ) {
        let text = if is_pretty { serde_json::to_string_pretty(&start).unwrap() } else { start.to_string() };
        let mut expected = start;
        let mut is_possible = true;
        for edit in &edits {
            is_possible = is_possible && reference(&mut expected, edit).is_some();
        }
        let result = apply(text.as_bytes(), &edits, BOUNDS);
        prop_assert_eq!(result.is_ok(), is_possible, "{:?}", result);
        if let Ok(result) = result {
            prop_assert_eq!(serde_json::from_str::<Value>(&result).unwrap(), expected, "{}", result);
        }
    }

    #[test]
    fn no_input_makes_edits_panic(payload in any::<Vec<u8>>(), at in ".{0,12}", value in ".{0,12}") {
        let edits = [set(&at, &value), merge(&at, &value), copy(&at, &value), rename(&value, &at), remove(&at)];
        for edit in edits {
            drop(apply(&payload, std::slice::from_ref(&edit), BOUNDS));
            drop(apply(br#"{"a":[1,{"b":2}]}"#, &[edit], BOUNDS));
        }
    }
}
