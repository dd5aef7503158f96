//! Which part of a file is asked for (RFC 9110, section 14): players ask for the one that they play.

/// A part of a file: from its first byte to its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Part {
    pub(super) const fn bytes(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a request wants of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    Part(Part),
    /// Nothing that is there.
    Nothing,
}

/// Reads the header `range` for a file of that many bytes. What is no range, or several, counts for
/// none: a server may answer with all of it.
pub(super) fn wanted(range: Option<&str>, bytes: u64) -> Wanted {
    let Some((first, last)) = range.and_then(bounds) else {
        return Wanted::All;
    };
    let part = match (first, last) {
        (Some(first), last) => Part {
            first,
            last: last.unwrap_or(u64::MAX).min(bytes.saturating_sub(1)),
        },
        (None, Some(length)) => Part {
            first: bytes.saturating_sub(length),
            last: bytes.saturating_sub(1),
        },
        (None, None) => return Wanted::All,
    };
    if last.zip(first).is_some_and(|(last, first)| last < first) {
        return Wanted::All;
    }
    let is_nothing = part.first >= bytes || (first, last) == (None, Some(0));
    if is_nothing {
        Wanted::Nothing
    } else {
        Wanted::Part(part)
    }
}

/// `bytes=FIRST-LAST`, either of which may be missing.
fn bounds(range: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, spec) = range.split_once('=')?;
    let (first, last) = spec.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    Some((number(first)?, number(last)?))
}

/// `Some(None)`: there is none. A number with more digits than ours is past every end.
fn number(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_and_whatever_is_none_is_left_alone() {
        let part = |first, last| Wanted::Part(Part { first, last });
        for (range, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=0-3", part(0, 3)),
            ("Bytes = 4-", part(4, 9)),
            ("bytes=9-99", part(9, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-99", part(0, 9)),
            ("bytes=0-99999999999999999999", part(0, 9)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=99999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=3-2", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("lines=0-1", Wanted::All),
            ("bytes", Wanted::All),
            ("", Wanted::All),
        ] {
            assert_eq!(wanted(Some(range), 10), expected, "{range}");
        }
        assert_eq!(wanted(None, 10), Wanted::All);
    }

    #[test]
    fn of_an_empty_file_there_is_no_part() {
        for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(wanted(Some(range), 0), Wanted::Nothing, "{range}");
        }
        assert_eq!(wanted(None, 0), Wanted::All);
    }
}
