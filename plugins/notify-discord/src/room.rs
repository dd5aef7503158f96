//! How much an embed may hold.
//!
//! Lengths are counted in units of UTF-16: no count that Discord could use is higher.

/// Discord's limit for all texts of an embed together.
const EMBED_MAX: usize = 6_000;
/// The least of a text that is worth showing.
const SHOWN_MIN: usize = 8;

/// What is left of an embed's room.
pub(crate) struct Room(usize);

impl Room {
    pub(crate) fn of_an_embed() -> Self {
        Self(EMBED_MAX)
    }

    /// As much of a text as fits, at most `max`; `None` if that is next to nothing.
    pub(crate) fn take(&mut self, text: String, max: usize) -> Option<String> {
        let text = cut(text, max);
        let text = match length(&text) {
            fits if fits <= self.0 => text,
            _ if self.0 < SHOWN_MIN => return None,
            _ => cut(text, self.0),
        };
        self.0 -= length(&text);
        Some(text)
    }

    /// Two texts that make sense only together, each with its own limit.
    pub(crate) fn take_both(
        &mut self,
        (one, one_max): (String, usize),
        (other, other_max): (String, usize),
    ) -> Option<(String, String)> {
        let (one, before) = (cut(one, one_max), self.0);
        let taken = self
            .0
            .checked_sub(length(&one))
            .and_then(|left| {
                self.0 = left;
                self.take(other, other_max)
            })
            .map(|other| (one, other));
        if taken.is_none() {
            self.0 = before;
        }
        taken
    }
}

/// Cuts a text to at most `max`; its last character then says that it was cut.
pub(crate) fn cut(text: String, max: usize) -> String {
    if length(&text) <= max {
        return text;
    }
    let mut left = max.saturating_sub(1);
    let fits = |character: &char| {
        let taken = left.checked_sub(character.len_utf16());
        left = taken.unwrap_or(left);
        taken.is_some()
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push('…');
    kept
}

fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, max, expected) in [
            ("äöü", 3, "äöü"),
            ("äöüß", 3, "äö…"),
            ("😀😀", 4, "😀😀"),
            ("😀😀😀", 4, "😀…"),
            ("a😀b", 3, "a…"),
        ] {
            assert_eq!(cut(text.into(), max), expected, "{text}");
        }
    }

    #[test]
    fn room_is_shared_and_pairs_stay_together() {
        let mut room = Room(30);
        assert_eq!(room.take("x".repeat(9), 6), Some("xxxxx…".into()));
        assert_eq!(
            room.take_both(("n".repeat(20), 256), ("v".repeat(9), 1_024)),
            None
        );
        let pair = room.take_both(("n".repeat(4), 256), ("v".repeat(40), 1_024));
        assert_eq!(pair, Some(("nnnn".into(), format!("{}…", "v".repeat(19)))));
        assert_eq!((room.take("y".into(), 5), room.0), (None, 0));
    }
}
