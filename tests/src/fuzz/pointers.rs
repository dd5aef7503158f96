//! JSON pointers into a text: the reader in place finds what a parser of the whole finds.

use relay::model::json::{Lookup, is_pointer, is_too_deep};
use relay::plugins::fuzz::find;
use serde_json::Value;

use super::{Target, split, texts};

pub(super) const TARGET: Target = Target {
    name: "pointers",
    seeds: || {
        texts(&[
            "/a/1\n{\"a\": [1, 2.50, {\"b/c\": \"x\\ny\", \"~\": null}], \"\": 1e5, \"\\u0064\": true}",
            "/a/2/b~1c\n{\"a\": [1, 2.50, {\"b/c\": \"x\\ny\", \"~\": null}]}",
            "/d\n {\"d\": 1, \"d\": \"\\ud83d\\ude00\"}",
            "\n[[]]",
        ])
    },
    words: &[
        "/a",
        "/0",
        "/-",
        "/~1",
        "/~0",
        "~2",
        "/01",
        "{\"a\":",
        "[",
        "]",
        "}",
        "\"\\u0061\"",
        "\\ud800",
        "1e999",
        "-0.0",
        "true",
        "null",
        "\u{feff}",
        ",",
        "\"\"",
    ],
    run,
};

fn run(input: &[u8]) {
    let (pointer, text) = split(input, b"\n");
    let (Ok(pointer), Ok(text)) = (std::str::from_utf8(pointer), std::str::from_utf8(text)) else {
        return;
    };
    let found = find(text, pointer);
    let looked_up = Lookup::of(text.as_bytes()).and_then(|lookup| lookup.scalar(pointer));
    if is_too_deep(text.as_bytes()) {
        assert_eq!(looked_up, None);
        return;
    }
    let whole = serde_json::from_str::<Value>(text);
    let Ok(whole) = whole else { return };
    let is_pointer = pointer.is_empty() || is_pointer(pointer);
    let expected = whole
        .pointer(pointer)
        .filter(|_| is_pointer && pointer.len() <= 4096);
    let found = found.map(|found| serde_json::from_str::<Value>(found).expect("a part of JSON is JSON"));
    assert_eq!(found.as_ref(), expected, "{pointer:?} in {text}");
}
