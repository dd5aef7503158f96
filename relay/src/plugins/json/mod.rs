//! JSON as text: values found and changed in place, so that what nobody names keeps every
//! byte it had.
//!
//! Nothing here recurses over the text: payloads and pointers come from strangers, and the
//! host's side of a plugin call runs on a small stack.

pub(super) mod pointer;
pub(super) mod scan;
pub(super) mod tree;

use std::ops::Range;

use pointer::{Pointer, Token};
use scan::Members;

/// The text of the value at `pointer`; `None` if there is none, or `text` is not JSON.
///
/// Of a key that comes twice the last one counts, as with nearly every parser.
pub(super) fn find<'t>(text: &'t str, pointer: &Pointer<'_>) -> Option<&'t str> {
    let Some((first, deeper)) = pointer.tokens().split_first() else {
        return scan::document(text).ok().map(|value| &text[value]);
    };
    // The first step looks at all members, and so checks the whole document.
    let start = scan::skip_space(text.as_bytes(), 0);
    let mut members = Members::of(text, start..text.len())?;
    let mut value = member(text, &mut members, first)?;
    scan::nothing_behind(text.as_bytes(), members.end()?).ok()?;
    for token in deeper {
        value = member(text, &mut Members::of(text, value)?, token)?;
    }
    Some(&text[value])
}

/// Where the value of the member stands that a step names.
fn member(text: &str, members: &mut Members<'_>, token: &Token<'_>) -> Option<Range<usize>> {
    let mut found = None;
    for (index, member) in members.enumerate() {
        let member = member.ok()?;
        let is_it = match &member.key {
            Some(key) => token.is_key(&text[key.clone()]),
            None => token.index() == Some(index),
        };
        if is_it {
            found = Some(member.value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, pointer: &str, expected: Option<&str>) {
        let pointer = Pointer::parse(pointer).expect("a valid pointer");
        assert_eq!(find(text, &pointer), expected, "{pointer:?} in {text}");
    }

    #[test]
    fn values_are_found_as_they_are_written() {
        let text = r#" { "a" : [1, 2.50, {"b/c": "x\ny", "~": null}], "": 1e5, "\u0064": true } "#;
        check(text, "", Some(text.trim()));
        check(text, "/a/1", Some("2.50"));
        check(text, "/a/2/b~1c", Some(r#""x\ny""#));
        check(text, "/a/2/~0", Some("null"));
        check(text, "/", Some("1e5"));
        check(text, "/d", Some("true"));
        for absent in ["/b", "/a/3", "/a/01", "/a/-", "/a/1/x", "/a/b"] {
            check(text, absent, None);
        }
    }

    #[test]
    fn of_repeated_keys_the_last_counts() {
        check(r#"{"a":1,"b":2,"a":3}"#, "/a", Some("3"));
    }

    #[test]
    fn what_is_no_json_has_no_values() {
        for text in [
            "",
            "hello",
            "{",
            r#"{"a":1"#,
            r#"{"a":1}x"#,
            r#"{"a":1,}"#,
            r#"{"a":[}"#,
            "{\"a\":\"\n\"}",
        ] {
            check(text, "/a", None);
        }
    }

    #[test]
    fn bottomless_nesting_is_refused_and_not_recursed_into() {
        let text = "[".repeat(1 << 20);
        check(&text, "/0", None);
    }
}
