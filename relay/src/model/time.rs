//! A moment, to the millisecond.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Numbers from here on count milliseconds, microseconds: as the unit before they would be
/// thousands of years away.
const MILLISECONDS_FROM: f64 = 1e11;
const MICROSECONDS_FROM: f64 = 1e14;
/// The last year that RFC 3339 can write ends before this, in milliseconds since 1970.
const MS_MAX: f64 = 253_402_300_800_000.0;

/// Milliseconds since 1970-01-01T00:00:00Z; written as RFC 3339 with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// That many milliseconds after 1970 began.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970 began.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970 began, as `webhook-timestamp` wants them.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// RFC 3339, or a [number](Self::from_number).
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.parse() {
            Ok(number) => Self::from_number(number),
            Err(_) => text.parse().ok(),
        }
    }

    /// That many seconds, milliseconds or microseconds after 1970 began, whichever it can be.
    pub fn from_number(number: f64) -> Option<Self> {
        let ms = match number {
            number if number >= MICROSECONDS_FROM => number / 1000.0,
            number if number >= MILLISECONDS_FROM => number,
            number => number * 1000.0,
        };
        // Zero is what a sender writes who does not know. Not a number is in no range.
        (ms > 0.0 && ms < MS_MAX).then(|| Self(ms.round() as i64))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            // Beyond the years RFC 3339 can write.
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time such as 2026-01-31T15:04:05Z")]
pub struct ParseError;

impl FromStr for Timestamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse::<jiff::Timestamp>()
            .map(|time| Self(time.as_millisecond()))
            .map_err(|_| ParseError)
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Reads `500ms`, `30s`, `5m`, `2h`, `7d`, or several in a row as in `1h30m`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |at| digits + at);
        let milliseconds = match &rest[digits..unit_end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(count.checked_mul(milliseconds)?))?;
        rest = &rest[unit_end..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_unit() {
        for (text, ms) in [
            ("2024-01-15T10:30:00Z", Some(1_705_314_600_000)),
            ("1749506891", Some(1_749_506_891_000)),
            ("1749506891.25", Some(1_749_506_891_250)),
            ("1749506891123", Some(1_749_506_891_123)),
            ("1749506891123456", Some(1_749_506_891_123)),
            ("0", None),
            ("-5", None),
            ("NaN", None),
            ("inf", None),
            ("1e300", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(Timestamp::read(text).map(Timestamp::as_millis), ms, "{text}");
        }
    }

    #[test]
    fn is_written_with_milliseconds_in_utc() {
        assert_eq!(
            Timestamp::from_millis(1_700_000_000_007).to_string(),
            "2023-11-14T22:13:20.007Z"
        );
    }

    #[test]
    fn offsets_and_fractions_are_read() {
        let time: Timestamp = "2023-11-14T23:13:20.0071+01:00".parse().expect("a valid time");
        assert_eq!(time, Timestamp::from_millis(1_700_000_000_007));
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
