//! JSON Pointers (RFC 6901), as plugins write them.

use std::borrow::Cow;

/// Longest pointer, in bytes.
const LEN_MAX: usize = 4096;
/// Most steps of a pointer: also bounds how deep edits nest.
pub(crate) const STEPS_MAX: usize = 128;

/// What is wrong with a pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("the pointer {0:?} does not begin with a slash")]
    NoSlash(String),
    #[error("the pointer {0:?} has a `~` that is neither `~0` nor `~1`")]
    Tilde(String),
    #[error("a pointer is longer than {LEN_MAX} bytes or {STEPS_MAX} steps")]
    TooLong,
}

/// A pointer, split and decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer<'p>(Vec<Token<'p>>);

/// One step of a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token<'p>(Cow<'p, str>);

impl<'p> Pointer<'p> {
    /// Reads a pointer; the empty one stands for the whole document.
    pub(crate) fn parse(text: &'p str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        if text.len() > LEN_MAX {
            return Err(Invalid::TooLong);
        }
        let steps = text
            .strip_prefix('/')
            .ok_or_else(|| Invalid::NoSlash(excerpt(text)))?;
        let tokens: Vec<_> = steps
            .split('/')
            .map(|step| Token::parse(step, text))
            .collect::<Result<_, _>>()?;
        if tokens.len() > STEPS_MAX {
            return Err(Invalid::TooLong);
        }
        Ok(Self(tokens))
    }

    /// Its steps, outermost first.
    pub(crate) fn tokens(&self) -> &[Token<'p>] {
        &self.0
    }

    /// Whether `other` lies strictly inside what this points at.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        other.0.len() > self.0.len() && other.0.starts_with(&self.0)
    }
}

impl<'p> Token<'p> {
    fn parse(step: &'p str, whole: &str) -> Result<Self, Invalid> {
        if !step.contains('~') {
            return Ok(Self(Cow::Borrowed(step)));
        }
        let mut decoded = String::with_capacity(step.len());
        let mut parts = step.split('~');
        decoded.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let (character, rest) = match part.as_bytes().first() {
                Some(b'0') => ('~', &part[1..]),
                Some(b'1') => ('/', &part[1..]),
                _ => return Err(Invalid::Tilde(excerpt(whole))),
            };
            decoded.push(character);
            decoded.push_str(rest);
        }
        Ok(Self(Cow::Owned(decoded)))
    }

    /// A step to that very key.
    pub(crate) const fn key(key: &'p str) -> Self {
        Self(Cow::Borrowed(key))
    }

    /// The key it means, decoded.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `written`, a key with its quotes, is the key that this step names.
    pub(crate) fn is_key(&self, written: &str) -> bool {
        let inner = &written[1..written.len() - 1];
        if inner == self.0 {
            return !inner.contains('\\');
        }
        // What is escaped is longer than what it means.
        inner.len() > self.0.len()
            && inner.contains('\\')
            && serde_json::from_str::<String>(written).is_ok_and(|key| key == self.0)
    }

    /// The index it means in an array: digits without a leading zero.
    pub(crate) fn index(&self) -> Option<usize> {
        let is_plain = self.0 == "0" || !self.0.starts_with(['0', '+']);
        if is_plain { self.0.parse().ok() } else { None }
    }

    /// Whether it stands for the place behind the last item of an array.
    pub(crate) fn is_append(&self) -> bool {
        self.0 == "-"
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once() {
        let pointer = Pointer::parse("/a~1b/~01/ /").expect("a valid pointer");
        let keys: Vec<_> = pointer.tokens().iter().map(Token::as_str).collect();
        assert_eq!(keys, ["a/b", "~1", " ", ""]);
    }

    #[test]
    fn malformed_pointers_are_refused() {
        for text in ["a", "#/a", "/a~", "/a~2", "/~~0"] {
            assert!(Pointer::parse(text).is_err(), "{text}");
        }
        assert_eq!(Pointer::parse(&"/a".repeat(STEPS_MAX + 1)), Err(Invalid::TooLong));
        assert_eq!(
            Pointer::parse(&"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".repeat(120)),
            Err(Invalid::TooLong)
        );
    }

    #[test]
    fn only_plain_digits_are_an_index() {
        for (text, index) in [
            ("0", Some(0)),
            ("12", Some(12)),
            ("01", None),
            ("+1", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(Token::key(text).index(), index, "{text}");
        }
    }
}
