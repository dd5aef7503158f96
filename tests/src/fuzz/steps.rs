//! A plugin's edits and changes in one text: what is read is what stands there, as far as another
//! reader of JSON sees, and what comes of applying it to a payload is JSON.

use relay::plugins::fuzz::Steps;
use serde_json::Value;

use super::edits::is_json;
use super::{Target, split, texts};

/// Bytes that the steps of an input may take: few, so that some take too many.
const BYTES_MAX: usize = 4 << 10;

pub(super) const TARGET: Target = Target {
    name: "steps",
    seeds: || {
        texts(&[
            "[\"set-value\",\"/a\",{\"b\": [1.50]},\"set\",\"/c\",\"\\\"d\\\"\"]\n\n{\"a\": 1}",
            "[\"remove\",\"/e\",\"move\",\"/f\",\"/g\",\"copy\",\"/g\",\"/i\"]\n\n{\"e\": 1, \"f\": {\"g\": 2}}",
            "[\"merge\",\"\",\"{\\\"a\\\":null}\",\"set-header\",\"x\",\"y\",\"add-header\",\"x\",\"z\"]\n\n{\"a\": 1}",
            "[\"remove-header\",\"h\",\"set-attribute\",\"subject\",\"s\",\"remove-attribute\",\"ext\"]\n\n[]",
            "[]\n\nnull",
        ])
    },
    words: &[
        "\"set\",\"",
        "\"set-value\",\"",
        "\"remove\",\"",
        "\"move\",\"",
        "\"copy\",\"",
        "\"merge\",\"\",\"{}\"",
        "\"set-header\",\"x\",\"y\"",
        "\"remove-attribute\",\"",
        "\"\\u0073et\",\"/a\",\"1\"",
        "\",\"",
        ",",
        "[[",
        "]]",
        "{\"a\":",
        "/a",
        "/-",
        "\\ud800",
        "1e999",
        "null",
        "\n\n",
    ],
    run,
};

fn run(input: &[u8]) {
    let (steps, payload) = split(input, b"\n\n");
    let Ok(text) = std::str::from_utf8(steps) else {
        return;
    };
    let read = Steps::read(text, BYTES_MAX);
    if let Ok(steps) = &read {
        assert!(is_json(text), "read what is not JSON: {text}");
        if let Ok(made) = steps.apply(payload) {
            assert!(is_json(&made), "{made}");
        }
    }
    // What nests deeper than that reader goes is for the edits themselves to refuse.
    if let Ok(Value::Array(list)) = serde_json::from_str(text) {
        match (count(&list), read) {
            (Some(count), Ok(steps)) => assert_eq!(steps.len(), count, "{text}"),
            (Some(_), Err(why)) => assert!(why.contains("more edits than"), "{text}: {why}"),
            (None, read) => assert!(read.is_err(), "{text}: {read:?}"),
        }
    }
}

/// How many steps a list holds; `None` if it is no list of steps.
fn count(mut list: &[Value]) -> Option<usize> {
    let mut count = 0;
    while let [case, rest @ ..] = list {
        let strings = match case.as_str()? {
            "remove" | "remove-attribute" | "remove-header" => 1,
            "set-value" => {
                let [Value::String(_), _, after @ ..] = rest else {
                    return None;
                };
                (list, count) = (after, count + 1);
                continue;
            }
            "set" | "move" | "copy" | "merge" | "set-attribute" | "set-header" | "add-header" => 2,
            _ => return None,
        };
        let (own, after) = rest.split_at_checked(strings)?;
        own.iter().all(Value::is_string).then_some(())?;
        (list, count) = (after, count + 1);
    }
    Some(count)
}
