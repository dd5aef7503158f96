//! Steps over JSON text, checking it on the way.

use std::ops::Range;

use smallvec::SmallVec;

/// Deepest nesting that is read.
pub(crate) const DEPTH_MAX: usize = 512;

/// Where and why a text is not JSON. Small, since every step over a value answers with one, or with none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not JSON: {what} at byte {at}")]
pub(crate) struct Malformed {
    pub(crate) at: usize,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum What {
    #[error("something behind the value")]
    Behind,
    #[error("nested too deeply")]
    Depth,
    #[error("neither a comma nor the end of the container")]
    Comma,
    #[error("a key is missing")]
    Key,
    #[error("a colon is missing")]
    Colon,
    #[error("no value")]
    Value,
    #[error("a control character in a string")]
    Control,
    #[error("a string without an end")]
    Endless,
    #[error("an unknown escape in a string")]
    Escape,
    #[error("an incomplete number")]
    Number,
}

#[cold]
const fn malformed<T>(at: usize, what: What) -> Result<T, Malformed> {
    Err(Malformed { at, what })
}

/// Where the one value of a document stands; the whole text is checked.
pub(crate) fn document(text: &str) -> Result<Range<usize>, Malformed> {
    let bytes = text.as_bytes();
    let start = skip_space(bytes, 0);
    let end = skip_value(bytes, start, DEPTH_MAX)?;
    nothing_behind(bytes, end)?;
    Ok(start..end)
}

/// Makes sure that the value that ends at `end` is the only one.
pub(super) fn nothing_behind(text: &[u8], end: usize) -> Result<(), Malformed> {
    let rest = skip_space(text, end);
    if rest < text.len() {
        return malformed(rest, What::Behind);
    }
    Ok(())
}

#[inline]
pub(super) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// The end of the value that starts at `at`, nested no deeper than that.
fn skip_value(text: &[u8], mut at: usize, depth_max: usize) -> Result<usize, Malformed> {
    // What closes each container that is open.
    let mut open: SmallVec<[u8; 64]> = SmallVec::new();
    loop {
        let opened = match text.get(at) {
            Some(b'{') => Some(b'}'),
            Some(b'[') => Some(b']'),
            _ => None,
        };
        match opened {
            Some(closer) => {
                let inside = skip_space(text, at + 1);
                if text.get(inside) == Some(&closer) {
                    at = inside + 1;
                } else if open.len() == depth_max {
                    return malformed(at, What::Depth);
                } else {
                    open.push(closer);
                    at = if closer == b'}' {
                        skip_key(text, inside)?.value
                    } else {
                        inside
                    };
                    continue;
                }
            }
            None => at = skip_scalar(text, at)?,
        }
        loop {
            let Some(&closer) = open.last() else {
                return Ok(at);
            };
            at = skip_space(text, at);
            match text.get(at) {
                Some(b',') => {
                    at = skip_space(text, at + 1);
                    if closer == b'}' {
                        at = skip_key(text, at)?.value;
                    }
                    break;
                }
                Some(byte) if *byte == closer => {
                    open.pop();
                    at += 1;
                }
                _ => return malformed(at, What::Comma),
            }
        }
    }
}

struct Key {
    end: usize,
    /// Where the value starts.
    value: usize,
}

#[inline]
fn skip_key(text: &[u8], at: usize) -> Result<Key, Malformed> {
    if text.get(at) != Some(&b'"') {
        return malformed(at, What::Key);
    }
    let end = skip_string(text, at)?;
    let colon = skip_space(text, end);
    if text.get(colon) != Some(&b':') {
        return malformed(colon, What::Colon);
    }
    Ok(Key {
        end,
        value: skip_space(text, colon + 1),
    })
}

#[inline]
fn skip_scalar(text: &[u8], at: usize) -> Result<usize, Malformed> {
    match text.get(at) {
        Some(b'"') => skip_string(text, at),
        Some(b'-' | b'0'..=b'9') => skip_number(text, at),
        Some(b't') => skip_word(text, at, b"true"),
        Some(b'f') => skip_word(text, at, b"false"),
        Some(b'n') => skip_word(text, at, b"null"),
        _ => malformed(at, What::Value),
    }
}

fn skip_word(text: &[u8], at: usize, word: &[u8]) -> Result<usize, Malformed> {
    if text[at..].starts_with(word) {
        Ok(at + word.len())
    } else {
        malformed(at, What::Value)
    }
}

#[inline]
fn skip_string(text: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut at = start + 1;
    loop {
        at = skip_plain(text, at);
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = skip_escape(text, at)?,
            Some(_) => return malformed(at, What::Control),
            None => return malformed(start, What::Endless),
        }
    }
}

/// Steps over bytes that mean nothing in a string, eight at a time.
fn skip_plain(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    while let Some(&chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(chunk);
        // Of a byte below 128, the high bit is set in a difference if it is less than what is taken
        // away, or one before it was: so the first that is set is right.
        let quotes = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
        let escapes = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
        let controls = word.wrapping_sub(ONES * 0x20);
        let special = (quotes | escapes | controls) & !word & HIGHS;
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while text
        .get(at)
        .is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20))
    {
        at += 1;
    }
    at
}

fn skip_escape(text: &[u8], at: usize) -> Result<usize, Malformed> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') if is_hex4(text, at + 2) => Ok(at + 6),
        _ => malformed(at, What::Escape),
    }
}

fn is_hex4(text: &[u8], at: usize) -> bool {
    text.get(at..at + 4)
        .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

fn skip_number(text: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut at = start + usize::from(text[start] == b'-');
    match text.get(at) {
        Some(b'0') => at += 1,
        Some(b'1'..=b'9') => at = skip_digits(text, at),
        _ => return malformed(start, What::Number),
    }
    if text.get(at) == Some(&b'.') {
        at = skip_some_digits(text, start, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let signed = matches!(text.get(at + 1), Some(b'+' | b'-'));
        at = skip_some_digits(text, start, at + 1 + usize::from(signed))?;
    }
    Ok(at)
}

fn skip_digits(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

fn skip_some_digits(text: &[u8], start: usize, at: usize) -> Result<usize, Malformed> {
    let end = skip_digits(text, at);
    if end == at {
        malformed(start, What::Number)
    } else {
        Ok(end)
    }
}

/// Where a member of an object, or an item of an array, stands in the text.
pub(super) struct Member {
    /// Where the space before it starts: behind the `{`, `[` or comma.
    pub(super) start: usize,
    /// Its key with the quotes; `None` in an array.
    pub(super) key: Option<Range<usize>>,
    pub(super) value: Range<usize>,
    /// Where the space behind it ends: before the comma, `}` or `]`.
    pub(super) end: usize,
}

/// The members of one object or array, in order. The end of it is part of the check: an
/// iteration that ends without an error has seen a whole container.
pub(super) struct Members<'t> {
    text: &'t [u8],
    at: usize,
    closer: u8,
    end: Option<usize>,
    has_failed: bool,
}

impl<'t> Members<'t> {
    /// Those of the value that starts where `value` does and ends there or before; `None` if it is neither
    /// an object nor an array.
    pub(super) fn of(text: &'t str, value: Range<usize>) -> Option<Self> {
        let text = &text.as_bytes()[..value.end];
        let closer = match text.get(value.start) {
            Some(b'{') => b'}',
            Some(b'[') => b']',
            _ => return None,
        };
        let at = value.start + 1;
        let first = skip_space(text, at);
        Some(Self {
            text,
            at,
            closer,
            end: (text.get(first) == Some(&closer)).then_some(first + 1),
            has_failed: false,
        })
    }

    /// Where the container ends, once all its members were read.
    pub(super) const fn end(&self) -> Option<usize> {
        self.end
    }

    fn read(&mut self) -> Result<Member, Malformed> {
        let start = self.at;
        let mut value_start = skip_space(self.text, start);
        let mut key = None;
        if self.closer == b'}' {
            let found = skip_key(self.text, value_start)?;
            key = Some(value_start..found.end);
            value_start = found.value;
        }
        let value_end = skip_value(self.text, value_start, DEPTH_MAX - 1)?;
        let end = skip_space(self.text, value_end);
        match self.text.get(end) {
            Some(b',') => self.at = end + 1,
            Some(byte) if *byte == self.closer => self.end = Some(end + 1),
            _ => return malformed(end, What::Comma),
        }
        Ok(Member {
            start,
            key,
            value: value_start..value_end,
            end,
        })
    }
}

impl Iterator for Members<'_> {
    type Item = Result<Member, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.end.is_some() || self.has_failed {
            return None;
        }
        let member = self.read();
        self.has_failed = member.is_err();
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_serde_json_on_what_is_json() {
        for text in [
            "0",
            "-0",
            "01",
            "-",
            "1.",
            "1.5",
            ".5",
            "1e",
            "1e+",
            "1e+9",
            "1E-9",
            "true",
            "tru",
            "nul",
            "null ",
            " {} ",
            "[]",
            "[ ]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\":1}",
            "{\"a\" : 1 , \"b\":[]}",
            "{a:1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u00e9\"",
            "\"tab\there\"",
            "\"é and 12345678\"",
            "[[[[]]]]",
            "[[]",
            "]",
            "[}",
            "{]",
            "\"a\" \"b\"",
            "",
            " ",
        ] {
            let known = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(document(text).is_ok(), known, "{text}");
        }
    }

    #[test]
    fn every_byte_position_of_a_special_byte_in_a_chunk_is_seen() {
        for before in 0..20 {
            let text = format!("\"{}\u{1}{}\"", "x".repeat(before), "y".repeat(20));
            assert_eq!(document(&text).expect_err("a control character").at, before + 1);
        }
    }
}
