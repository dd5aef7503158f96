//! The filters that Jinja lacks and messages need.

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::{Offset, TimeZone};
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use relay_sdk::template::cut;
use relay_sdk::time::Time;

/// How a time is written unless told otherwise.
const FORMAT: &str = "%Y-%m-%d %H:%M";

pub(crate) fn add_to(environment: &mut Environment<'_>) {
    environment.add_filter("date", date);
    environment.add_filter("truncate", truncate);
}

/// `{{ data.at | date("%d.%m.%Y %H:%M", offset=120) }}`: a time in RFC 3339, or a Unix time in
/// seconds or milliseconds, as clocks show it that are `offset` minutes ahead of UTC.
fn date(value: &Value, format: Option<&str>, options: Kwargs) -> Result<Value, Error> {
    let offset = options.get::<Option<i32>>("offset")?.unwrap_or_default();
    options.assert_all_used()?;
    if matches!(value.kind(), ValueKind::Undefined | ValueKind::None) {
        return Ok(Value::UNDEFINED);
    }
    let refused = |cause: String| Error::new(ErrorKind::InvalidOperation, cause);
    let time =
        read(value).ok_or_else(|| refused(format!("date: {} is no time", cut(value.to_string(), 40))))?;
    let offset = offset
        .checked_mul(60)
        .and_then(|seconds| Offset::from_seconds(seconds).ok())
        .ok_or_else(|| refused(format!("date: no clock is {offset} minutes ahead of UTC")))?;
    let time =
        Timestamp::from_millisecond(time.unix_ms()).map_err(|error| refused(format!("date: {error}")))?;
    let text = strtime::format(format.unwrap_or(FORMAT), &time.to_zoned(TimeZone::fixed(offset)));
    text.map(Value::from)
        .map_err(|error| refused(format!("date: {error}")))
}

fn read(value: &Value) -> Option<Time> {
    let text = value.to_string();
    let unix = text.parse::<i64>().ok().or_else(|| value.as_i64());
    unix.map(Time::from_unix).or_else(|| Time::parse(&text))
}

/// `{{ data.text | truncate(80) }}`: at most so many characters, the last of which says that it
/// was cut.
fn truncate(value: &Value, characters: usize) -> Value {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => value.clone(),
        _ => cut(value.to_string(), characters).into(),
    }
}
