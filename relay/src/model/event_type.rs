//! Event types and the patterns that endpoints subscribe with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest event type, in bytes.
pub const LEN_MAX: usize = 256;

/// What is wrong with an event type or a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("is empty")]
    Empty,
    #[error("is longer than {LEN_MAX} bytes")]
    TooLong,
    #[error("contains {0:?}; letters, digits and `.`, `-`, `_`, `/`, `:` are allowed")]
    Character(char),
    #[error("has an empty segment; segments are separated by single full stops")]
    EmptySegment,
    #[error("begins with `{OWN}`, as only the relay's own events do")]
    Own,
    #[error("has `*` inside a segment; `*` stands for whole segments, as in `message.*`")]
    Wildcard,
}

/// What the types of the relay's own events begin with, and nobody else's.
pub const OWN: &str = "relay.";

/// Whether that is the type of an event in which the relay tells about itself.
pub fn is_own(text: &str) -> bool {
    text.starts_with(OWN)
}

/// Checks an event type such as `invoice.paid`: segments separated by full stops. One of the
/// relay's own is not to be used by others.
///
/// # Errors
/// Says which rule is broken.
pub fn check(text: &str) -> Result<(), Error> {
    if is_own(text) {
        return Err(Error::Own);
    }
    check_any(text)
}

/// Checks an event type, be it one of the relay's own.
///
/// # Errors
/// Says which rule is broken.
pub fn check_any(text: &str) -> Result<(), Error> {
    check_segments(text, |segment| match bad_character(segment) {
        Some(character) => Err(Error::Character(character)),
        None => Ok(()),
    })
}

fn check_segments(text: &str, segment_is_fine: impl Fn(&str) -> Result<(), Error>) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::Empty);
    }
    if text.len() > LEN_MAX {
        return Err(Error::TooLong);
    }
    for segment in text.split('.') {
        if segment.is_empty() {
            return Err(Error::EmptySegment);
        }
        segment_is_fine(segment)?;
    }
    Ok(())
}

fn bad_character(segment: &str) -> Option<char> {
    segment
        .chars()
        .find(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | ':')))
}

/// Which event types an endpoint wants: `message.*` is everything below `message`, `*`
/// alone is everything, `message.*.failed` has one free segment in the middle. The relay's own
/// events are wanted only by patterns that begin with `relay.`.
///
/// Serde is for what was stored; what people write is read by [`FromStr`], which checks it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The event type, if the pattern stands for exactly one.
    pub fn exact(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&self.0)
    }

    /// Whether there is a type that both patterns want.
    pub fn overlaps(&self, other: &Self) -> bool {
        if is_own(&self.0) != is_own(&other.0) {
            return false;
        }
        let (mut one, mut two) = (self.0.split('.').peekable(), other.0.split('.').peekable());
        loop {
            let (Some(left), Some(right)) = (one.next(), two.next()) else {
                return false;
            };
            let (left_ends, right_ends) = (one.peek().is_none(), two.peek().is_none());
            let fit = left == right || left == "*" || right == "*";
            match (fit, left_ends, right_ends) {
                (false, ..) => return false,
                (true, true, true) => return true,
                // A star at the end takes all that is left.
                (true, true, false) => return left == "*",
                (true, false, true) => return right == "*",
                (true, false, false) => {}
            }
        }
    }

    /// Whether the pattern wants that type.
    pub fn matches(&self, event_type: &str) -> bool {
        if is_own(event_type) && !is_own(&self.0) {
            return false;
        }
        let mut wanted = self.0.split('.').peekable();
        let mut given = event_type.split('.');
        while let Some(segment) = wanted.next() {
            let is_last = wanted.peek().is_none();
            match (segment, given.next()) {
                // A star at the end takes all that is left, which must be something.
                ("*", Some(_)) if is_last => return true,
                ("*", Some(_)) => {}
                (literal, Some(found)) if literal == found => {}
                _ => return false,
            }
        }
        given.next().is_none()
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        check_segments(text, |segment| match segment {
            "*" => Ok(()),
            _ if segment.contains('*') => Err(Error::Wildcard),
            _ => match bad_character(segment) {
                Some(character) => Err(Error::Character(character)),
                None => Ok(()),
            },
        })?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_whole_segments() {
        for (pattern, event_type, wanted) in [
            ("*", "a", true),
            ("*", "a.b", true),
            ("message.*", "message.received", true),
            ("message.*", "message.received.late", true),
            ("message.*", "message", false),
            ("message.*", "messages.received", false),
            ("message.*.failed", "message.sms.failed", true),
            ("message.*.failed", "message.failed", false),
            ("invoice.paid", "invoice.paid", true),
            ("invoice.paid", "invoice.paid.late", false),
            ("*", "relay.alert.firing", false),
            ("*.alert.firing", "relay.alert.firing", false),
            ("relay.*", "relay.alert.firing", true),
            ("relay.*.firing", "relay.alert.firing", true),
            ("*", "relays.alert", true),
        ] {
            let parsed: Pattern = pattern.parse().expect("a valid pattern");
            assert_eq!(parsed.matches(event_type), wanted, "{pattern} on {event_type}");
        }
    }

    #[test]
    fn patterns_overlap_where_some_type_matches_both() {
        let words = |segments: &[&str], longest: usize| -> Vec<String> {
            let mut all: Vec<String> = segments.iter().map(|word| (*word).to_owned()).collect();
            let mut begin = 0;
            for _ in 1..longest {
                let end = all.len();
                for at in begin..end {
                    all.extend(
                        segments
                            .iter()
                            .map(|word| format!("{}.{word}", all[at]))
                            .collect::<Vec<_>>(),
                    );
                }
                begin = end;
            }
            all
        };
        let types = words(&["a", "b", "relay"], 4);
        let patterns: Vec<Pattern> = words(&["a", "b", "relay", "*"], 3)
            .iter()
            .map(|text| text.parse().expect("a valid pattern"))
            .collect();
        for one in &patterns {
            for two in &patterns {
                let both = types.iter().any(|kind| one.matches(kind) && two.matches(kind));
                assert_eq!(one.overlaps(two), both, "{one} and {two}");
            }
        }
    }

    #[test]
    fn the_relays_own_types_are_nobody_elses() {
        assert_eq!(check("relay.alert.firing"), Err(Error::Own));
        assert_eq!((check("relay"), check("relays.x")), (Ok(()), Ok(())));
    }

    #[test]
    fn malformed_patterns_say_what_is_wrong() {
        for (text, error) in [
            ("", Error::Empty),
            ("a..b", Error::EmptySegment),
            ("a*", Error::Wildcard),
            ("a b", Error::Character(' ')),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(error));
        }
    }
}
