//! JSON as strangers send it: checked for depth before anything reads it.

use std::borrow::Cow;

/// Deepest nesting of objects and arrays that is read anywhere.
pub const DEPTH_MAX: usize = 64;

/// Whether objects and arrays are nested deeper than [`DEPTH_MAX`].
///
/// Looks at each byte once and needs no memory, so it can stand before parsers that recurse.
pub fn is_too_deep(text: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => at = after_string(text, at),
            b'{' | b'[' if depth == DEPTH_MAX => return true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Where the string that began before `at` is over.
fn after_string(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        if text[at + found] == b'"' {
            return at + found + 1;
        }
        // A backslash takes the next byte with it.
        at += found + 2;
    }
    text.len()
}

/// A text that can be looked into by JSON Pointer without parsing all of it.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a>(&'a str);

impl<'a> Lookup<'a> {
    /// Looks at the first byte, the encoding and the depth; `None` for what is no JSON object
    /// or array, or too deep. The rest may still turn out to be malformed.
    pub fn of(text: &'a [u8]) -> Option<Self> {
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace())?;
        if !matches!(first, b'{' | b'[') || is_too_deep(text) {
            return None;
        }
        std::str::from_utf8(text).ok().map(Self)
    }

    /// The string, number or boolean at a pointer, as text; `None` for anything else.
    pub fn scalar(self, pointer: &str) -> Option<Cow<'a, str>> {
        scalar(self.raw(pointer)?)
    }

    /// What stands at a pointer, as it was written.
    pub fn raw(self, pointer: &str) -> Option<&'a str> {
        let mut here = self.0;
        for token in tokens(pointer)? {
            here = child(here, &token)?;
        }
        Some(here)
    }
}

/// Whether the text is a JSON Pointer (RFC 6901) to something below the root.
pub fn is_pointer(text: &str) -> bool {
    let mut rest = text.as_bytes().split(|&byte| byte == b'~');
    rest.next();
    text.starts_with('/') && rest.all(|after| matches!(after.first(), Some(b'0' | b'1')))
}

/// A name as one token of a JSON Pointer.
pub fn escape_token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn tokens(pointer: &str) -> Option<impl Iterator<Item = Cow<'_, str>>> {
    let tokens = pointer.strip_prefix('/')?.split('/');
    Some(tokens.map(|token| {
        if token.contains('~') {
            Cow::Owned(token.replace("~1", "/").replace("~0", "~"))
        } else {
            Cow::Borrowed(token)
        }
    }))
}

fn child<'a>(json: &'a str, token: &str) -> Option<&'a str> {
    let found = match json.trim_start().as_bytes().first()? {
        b'{' => sonic_rs::get(json, [token]),
        b'[' => sonic_rs::get(json, [index(token)?]),
        _ => return None,
    };
    match found.ok()?.as_raw_cow() {
        Cow::Borrowed(raw) => Some(raw),
        Cow::Owned(_) => None,
    }
}

fn index(token: &str) -> Option<usize> {
    let is_canonical = token == "0" || !token.starts_with(['0', '+']);
    is_canonical.then(|| token.parse().ok()).flatten()
}

fn scalar(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' if raw.contains('\\') => serde_json::from_str(raw).ok().map(Cow::Owned),
        b'"' => raw.get(1..raw.len() - 1).map(Cow::Borrowed),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(raw)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_strings_only() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!is_too_deep(nested(DEPTH_MAX).as_bytes()));
        assert!(is_too_deep(nested(DEPTH_MAX + 1).as_bytes()));
        let brackets = "[".repeat(DEPTH_MAX + 1);
        assert!(!is_too_deep(format!(r#"{{"a\"": "\\{brackets}"}}"#).as_bytes()));
        assert!(!is_too_deep(b"\"\\"));
    }

    #[test]
    fn pointers_lead_to_scalars() {
        let body = br#" {"a": {"b/c": ["x", {"~": 17}], "t": true, "e": "q\"\u00e9"}, "n": null}"#;
        let json = Lookup::of(body).expect("an object");
        for (pointer, value) in [
            ("/a/b~1c/0", Some("x")),
            ("/a/b~1c/1/~0", Some("17")),
            ("/a/t", Some("true")),
            ("/a/e", Some("q\"é")),
            ("/n", None),
            ("/a", None),
            ("", None),
            ("/", None),
            ("/a/b~1c/2", None),
            ("/a/b~1c/01", None),
            ("/a/b~1c/-", None),
            ("/n/x", None),
        ] {
            assert_eq!(json.scalar(pointer).as_deref(), value, "{pointer}");
        }
    }

    #[test]
    fn what_is_no_object_or_array_cannot_be_looked_into() {
        for text in ["", "  ", "7", "payload=%7B%7D", "<a/>"] {
            assert!(Lookup::of(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Lookup::of(b"{\"\xff\":1}").is_none());
    }

    #[test]
    fn malformed_text_has_no_values() {
        for text in ["{", "{\"a\"", "{\"a\":", "{\"a\":tru", "[1,", "{]", "{\"a\" 1}"] {
            let json = Lookup::of(text.as_bytes()).expect("begins like JSON");
            assert_eq!(json.scalar("/a"), None, "{text}");
            assert_eq!(json.scalar("/0/1"), None, "{text}");
        }
    }

    #[test]
    fn pointers_are_checked() {
        assert!(is_pointer("/a/~0/~1b") && is_pointer("/"));
        assert!(!is_pointer("") && !is_pointer("a") && !is_pointer("/a~2") && !is_pointer("/~"));
        assert_eq!(escape_token("a/b~c"), "a~1b~0c");
    }

    proptest::proptest! {
        #[test]
        fn looking_up_never_panics(
            text in proptest::collection::vec(proptest::sample::select(
                b"{}[]\",:\\ x1-.tfnu\xc3\xa9\xff".to_vec()), 0..60),
            pointer in "(/[ax01~]{0,2}){0,3}",
        ) {
            if let Some(json) = Lookup::of(&text) {
                json.scalar(&pointer);
            }
        }
    }
}
