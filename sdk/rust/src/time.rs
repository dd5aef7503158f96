//! Points in time, read and written without a calendar library in the plugin.

use std::fmt;

const MS_PER_SECOND: i64 = 1_000;
const MS_PER_DAY: i64 = 86_400_000;
/// Unix times beyond this are milliseconds: as seconds they would be in the year 5138.
const SECONDS_MAX: i64 = 100_000_000_000;

/// A point in time, in milliseconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    unix_ms: i64,
}

/// A point in time as a calendar and a clock show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// The year.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999.
    pub millisecond: u16,
}

impl Time {
    /// From milliseconds since 1970.
    pub fn from_unix_ms(unix_ms: i64) -> Self {
        Self { unix_ms }
    }

    /// From a Unix time of either unit: platforms use both. Past the year 5138 as seconds, a
    /// number is read as milliseconds.
    pub fn from_unix(number: i64) -> Self {
        let is_seconds = number.abs() < SECONDS_MAX;
        Self {
            unix_ms: if is_seconds {
                number * MS_PER_SECOND
            } else {
                number
            },
        }
    }

    /// Reads RFC 3339, such as `2025-06-09T14:05:12.000Z`; a space may stand for the `T`.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = (text.get(..10)?, text.get(11..)?);
        if !matches!(text.as_bytes().get(10)?, b'T' | b't' | b' ') {
            return None;
        }
        let split = rest.find(['Z', 'z', '+', '-'])?;
        let (clock, offset) = rest.split_at(split);
        let days = days(date)?;
        Some(Self {
            unix_ms: days * MS_PER_DAY + clock_ms(clock)? - offset_ms(offset)?,
        })
    }

    /// Reads a time in RFC 3339, or a Unix time of either unit.
    pub fn read(text: &str) -> Option<Self> {
        let unix = text.trim().parse().map(Self::from_unix).ok();
        unix.or_else(|| Self::parse(text))
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(self) -> i64 {
        self.unix_ms
    }

    /// Whole seconds since 1970.
    pub fn unix_seconds(self) -> i64 {
        self.unix_ms.div_euclid(MS_PER_SECOND)
    }

    /// The same point as seen by clocks that are this far ahead of UTC.
    #[must_use]
    pub fn shifted(self, minutes: i32) -> Self {
        Self {
            unix_ms: self
                .unix_ms
                .saturating_add(i64::from(minutes) * 60 * MS_PER_SECOND),
        }
    }

    /// What the calendar and the clock show, in UTC.
    pub fn civil(self) -> Civil {
        let (year, month, day) = date(self.unix_ms.div_euclid(MS_PER_DAY));
        let ms = self.unix_ms.rem_euclid(MS_PER_DAY);
        Civil {
            year,
            month,
            day,
            hour: (ms / 3_600_000) as u8,
            minute: (ms / 60_000 % 60) as u8,
            second: (ms / 1_000 % 60) as u8,
            millisecond: (ms % 1_000) as u16,
        }
    }
}

/// RFC 3339 in UTC; milliseconds only if there are any.
impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
            millisecond,
        } = self.civil();
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        match millisecond {
            0 => write!(formatter, "Z"),
            ms => write!(formatter, ".{ms:03}Z"),
        }
    }
}

/// Days since 1970 of `YYYY-MM-DD`.
fn days(date: &str) -> Option<i64> {
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (
        digits(parts.next()?, 4)?,
        digits(parts.next()?, 2)?,
        digits(parts.next()?, 2)?,
    );
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    // Years that begin in March put the leap day last, and make the days before a month a
    // linear function of it.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    Some(
        year * 365 + year.div_euclid(4) - year.div_euclid(100)
            + year.div_euclid(400)
            + (153 * month + 2) / 5
            + day
            - 719_469,
    )
}

/// Year, month and day of a number of days since 1970.
fn date(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (years, month) = if month < 10 {
        (0, month + 3)
    } else {
        (1, month - 9)
    };
    (era * 400 + year + years, month as u8, day as u8)
}

/// Milliseconds since midnight of `HH:MM`, `HH:MM:SS` or `HH:MM:SS.fff`.
fn clock_ms(clock: &str) -> Option<i64> {
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.splitn(3, ':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |second| digits(second, 2))?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let ms = digits(format!("{fraction:0<3}").get(..3)?, 3)?;
    Some(((hour * 60 + minute) * 60 + second) * MS_PER_SECOND + ms)
}

/// Milliseconds of `Z`, `+HH:MM` or `-HHMM`.
fn offset_ms(offset: &str) -> Option<i64> {
    let (sign, rest) = match offset.as_bytes().first()? {
        b'Z' | b'z' => return (offset.len() == 1).then_some(0),
        b'-' => (-1, &offset[1..]),
        _ => (1, &offset[1..]),
    };
    let rest = rest.replace(':', "");
    let (hours, minutes) = (digits(rest.get(..2)?, 2)?, digits(rest.get(2..)?, 2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60 * MS_PER_SECOND)
}

fn digits(text: &str, length: usize) -> Option<i64> {
    (text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, unix_ms, written) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            (
                "2025-06-09T14:05:12.000Z",
                1_749_477_912_000,
                "2025-06-09T14:05:12Z",
            ),
            (
                "2024-02-29 23:59:59.9999+02:00",
                1_709_243_999_999,
                "2024-02-29T21:59:59.999Z",
            ),
            ("1969-12-31t23:59z", -60_000, "1969-12-31T23:59:00Z"),
            (
                "2000-03-01T00:00:00-0530",
                951_888_600_000,
                "2000-03-01T05:30:00Z",
            ),
        ] {
            let time = Time::parse(text).unwrap();
            assert_eq!(
                (time.unix_ms(), time.to_string().as_str()),
                (unix_ms, written),
                "{text}"
            );
        }
    }

    #[test]
    fn every_day_comes_back() {
        for days_since in (-200_000..200_000).step_by(61) {
            let time = Time::from_unix_ms(days_since * MS_PER_DAY + 1);
            assert_eq!(Time::parse(&time.to_string()), Some(time));
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2025",
            "2025-06-09",
            "2025-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2025-06-09T24:00:00Z",
            "2025-06-09T10:00:00",
            "2025-06-09T10:00:00.x1Z",
            "2025-06-09T10:00:00.ééZ",
            "2025-06-09T10:00:00+2",
            "2025-06-09T1é:00:00Z",
            "2025-06-09T10:00:00Zx",
            "+025-06-09T10:00:00Z",
        ] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }

    #[test]
    fn unix_times_are_of_either_unit() {
        assert_eq!(Time::from_unix(1_749_477_912), Time::from_unix(1_749_477_912_000));
        for text in ["1749477912", "1749477912000", "2025-06-09T14:05:12Z"] {
            assert_eq!(Time::read(text), Some(Time::from_unix(1_749_477_912)), "{text}");
        }
        assert_eq!(Time::read("soon"), None);
        assert_eq!(
            Time::from_unix(1_749_477_912).shifted(90).to_string(),
            "2025-06-09T15:35:12Z"
        );
    }
}
