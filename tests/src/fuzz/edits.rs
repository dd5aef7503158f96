//! A plugin's edits on a payload: what comes out is JSON if what went in was, and has what was
//! set where it was set.

use relay::plugins::fuzz::{Edit, edit, find};
use serde::de::IgnoredAny;

use super::{Target, split, texts};

pub(super) const TARGET: Target = Target {
    name: "edits",
    seeds: || {
        texts(&[
            "set /b 2\nremove /a/0\n\n{\n  \"a\": [1, 2.50, {\"b/c\": \"x\\ny\"}],\n  \"\\u0064\": true\n}",
            "move /a /c/d\ncopy /c /e\n\n{\"a\": {\"x\": null}, \"c\": {}}",
            "merge  {\"a\": null, \"n\": {\"m\": 1}}\nset /l/- [1]\n\n{\"a\": 1, \"l\": []}",
            "set /a~1b/~0 \"\\ud83d\\ude00\"\nset  {}\n\n{\"a/b\": {\"~\": 1}, \"a/b\": {\"~\": 2}}",
            "remove /0\nremove /-\n\n [ 1 , 2 ] ",
        ])
    },
    words: &[
        "set ",
        "remove ",
        "move ",
        "copy ",
        "merge ",
        "/a",
        "/-",
        "/0",
        "/~1",
        "/~0",
        "~2",
        "{}",
        "[]",
        "null",
        "\"\\u0061\"",
        "\\ud800",
        "1e999",
        "-0",
        "\n\n",
        "{\"a\":",
        "[[",
        "]]",
        ",",
        "\"\": ",
    ],
    run,
};

fn run(input: &[u8]) {
    let (lines, payload) = split(input, b"\n\n");
    let Ok(lines) = std::str::from_utf8(lines) else {
        return;
    };
    let edits: Vec<Edit<'_>> = lines.lines().filter_map(read).collect();
    let Ok(edited) = edit(payload, &edits) else { return };
    assert!(is_json(&edited), "{edited}");
    if let Some(Edit::Set { at, value }) = edits.last()
        && !at.contains('-')
    {
        assert_eq!(
            find(&edited, at),
            Some(value.trim_matches([' ', '\t', '\r', '\n'])),
            "{at} in {edited}"
        );
    }
}

fn read(line: &str) -> Option<Edit<'_>> {
    let (verb, rest) = line.split_once(' ')?;
    let (at, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(match verb {
        "set" => Edit::Set { at, value: rest },
        "remove" => Edit::Remove { at },
        "move" => Edit::Move { from: at, to: rest },
        "copy" => Edit::Copy { from: at, to: rest },
        "merge" => Edit::Merge { at, patch: rest },
        _ => return None,
    })
}

pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}
