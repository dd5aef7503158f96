//! When a request was signed, and whether that is close enough to now.

use std::borrow::Cow;
use std::time::Duration;

use crate::model::time::Timestamp;
use crate::model::verify::{SignedTime, TimeUnit};

use super::super::Request;
use super::signature::entries;
use super::{Forgery, place};

/// Numbers above this count milliseconds: as seconds they are beyond the year 5000.
const SECONDS_MAX: i64 = 100_000_000_000;
/// Longest number that is read as a time.
const TIME_DIGITS_MAX: usize = 15;

/// The time of signing as the sender wrote it, found to be close enough to now.
pub(super) fn read<'r>(
    time: &SignedTime,
    separator: Option<char>,
    request: &Request<'r>,
    now: Timestamp,
) -> Result<Cow<'r, str>, Forgery> {
    let value = place::value(&time.at, request)?;
    let text = if time.prefix.is_empty() {
        value.trim().to_owned()
    } else {
        entry(&value, &time.prefix, separator)?.to_owned()
    };
    let at = parse(&text, time.unit).ok_or(Forgery::NoTime)?;
    if distance(at, now) > time.tolerance {
        Err(Forgery::Stale)
    } else {
        Ok(Cow::Owned(text))
    }
}

/// The one entry with that prefix.
fn entry<'v>(value: &'v str, prefix: &str, separator: Option<char>) -> Result<&'v str, Forgery> {
    let mut found = entries(value, separator).filter_map(|entry| entry.strip_prefix(prefix));
    let text = found.next().ok_or(Forgery::NoTime)?;
    if found.next().is_some() {
        return Err(Forgery::Repeated("the time of signing".into()));
    }
    Ok(text)
}

fn parse(text: &str, unit: TimeUnit) -> Option<Timestamp> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match unit {
        TimeUnit::Rfc3339 => text.parse().ok(),
        TimeUnit::Any if !is_number => text.parse().ok(),
        _ if !is_number || text.len() > TIME_DIGITS_MAX => None,
        TimeUnit::Seconds => text.parse::<i64>().ok().map(seconds),
        TimeUnit::Milliseconds => text.parse().ok().map(Timestamp::from_millis),
        TimeUnit::Any => text.parse().ok().map(|number| {
            if number > SECONDS_MAX {
                Timestamp::from_millis(number)
            } else {
                seconds(number)
            }
        }),
    }
}

/// Fifteen digits times a thousand fit.
const fn seconds(number: i64) -> Timestamp {
    Timestamp::from_millis(number * 1000)
}

/// Seconds are whole on the wire, so they are compared whole: a signature made within the
/// present second is not from the future.
pub(super) fn distance(at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_secs(at.as_secs().abs_diff(now.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_named_is_the_only_one_that_is_read() {
        let ms = |text, unit| parse(text, unit).map(Timestamp::as_millis);
        for (text, unit, read) in [
            ("1600000000", TimeUnit::Any, Some(1_600_000_000_000)),
            ("1600000000123", TimeUnit::Any, Some(1_600_000_000_123)),
            ("2020-09-13T12:26:40Z", TimeUnit::Any, Some(1_600_000_000_000)),
            ("1600000000", TimeUnit::Seconds, Some(1_600_000_000_000)),
            ("1600000000", TimeUnit::Milliseconds, Some(1_600_000_000)),
            ("1600000000", TimeUnit::Rfc3339, None),
            ("2020-09-13T12:26:40Z", TimeUnit::Rfc3339, Some(1_600_000_000_000)),
            ("2020-09-13T12:26:40Z", TimeUnit::Seconds, None),
            ("+1600000000", TimeUnit::Seconds, None),
            ("-1", TimeUnit::Any, None),
            ("", TimeUnit::Any, None),
            ("9999999999999999", TimeUnit::Any, None),
            (
                "999999999999999",
                TimeUnit::Seconds,
                Some(999_999_999_999_999_000),
            ),
        ] {
            assert_eq!(ms(text, unit), read, "{text} {unit:?}");
        }
    }
}
