//! Text with `*` in it, matched in time linear in the text.

/// Literal pieces with anything between them. `\*` is a star and `\\` a backslash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wildcard {
    pieces: Vec<String>,
}

/// What is wrong with the text of a wildcard.
pub(super) const ESCAPES: &str = "has a backslash before something other than `*` or `\\`";

impl Wildcard {
    /// Reads the text; the error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut pieces = vec![String::new()];
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            let literal = match character {
                '*' => {
                    pieces.push(String::new());
                    continue;
                }
                '\\' => rest
                    .next()
                    .filter(|next| matches!(next, '*' | '\\'))
                    .ok_or(ESCAPES)?,
                other => other,
            };
            if let Some(piece) = pieces.last_mut() {
                piece.push(literal);
            }
        }
        Ok(Self { pieces })
    }

    /// The first and the last piece stand at the ends; each one between is taken where it
    /// first comes, which leaves the most for those after it, so nothing is tried twice.
    pub(super) fn matches(&self, text: &str) -> bool {
        let Some((first, others)) = self.pieces.split_first() else {
            return false;
        };
        let Some((last, between)) = others.split_last() else {
            return text == first;
        };
        let inner = text
            .strip_prefix(first.as_str())
            .and_then(|rest| rest.strip_suffix(last.as_str()));
        let Some(mut rest) = inner else { return false };
        for piece in between {
            let Some(at) = rest.find(piece.as_str()) else {
                return false;
            };
            rest = &rest[at + piece.len()..];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "abc", true),
            ("a*", "bc", false),
            ("*sales*", "orders, sales, vip", true),
            ("*sales*", "sale", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a**b", "ab", true),
            ("*ab*ab*", "ab", false),
            ("*ab*ab*", "xabyab", true),
            (r"\*\\*", r"*\x", true),
            (r"\*", "x", false),
            ("é*", "éa", true),
        ] {
            let wildcard = Wildcard::parse(pattern).expect("a valid wildcard");
            assert_eq!(wildcard.matches(text), matches, "{pattern} on {text}");
        }
        assert!(Wildcard::parse(r"a\b").is_err() && Wildcard::parse("a\\").is_err());
    }

    #[test]
    fn many_stars_take_no_longer() {
        let wildcard = Wildcard::parse(&"*a".repeat(400)).expect("a valid wildcard");
        assert!(!wildcard.matches(&format!("{}b", "a".repeat(1 << 20))));
    }

    /// Tries every way: right by being plain.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skipped| reference(rest, &text[skipped..])),
            Some((literal, rest)) => text.first() == Some(literal) && reference(rest, &text[1..]),
        }
    }

    proptest::proptest! {
        #[test]
        fn is_as_good_as_trying_every_way(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            let wildcard = Wildcard::parse(&pattern).expect("a valid wildcard");
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            proptest::prop_assert_eq!(wildcard.matches(&text), reference(&chars(&pattern), &chars(&text)));
        }
    }
}
