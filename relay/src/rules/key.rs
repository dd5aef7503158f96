//! What identifies whatever is watched, and the value that is watched of it: scalars in the data
//! of an event, as JSON, written in one way only.

use std::cell::OnceCell;

use serde_json::{Number, Value};

use crate::model::event::Event;
use crate::model::json::Lookup;
use crate::model::rule::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

use super::Skip;

/// The data of an event; looked into when the first rule asks for it.
pub(super) struct Data<'e> {
    event: &'e Event,
    lookup: OnceCell<Option<Lookup<'e>>>,
}

impl<'e> Data<'e> {
    pub(super) const fn of(event: &'e Event) -> Self {
        Self {
            event,
            lookup: OnceCell::new(),
        }
    }

    fn raw(&self, pointer: &str) -> Option<&'e str> {
        let lookup = || {
            let event = self.event;
            event.is_json().then(|| Lookup::of(&event.data)).flatten()
        };
        self.lookup
            .get_or_init(lookup)
            .and_then(|lookup| lookup.raw(pointer))
    }

    /// The key at these pointers: nothing without any, the value at a single one, a list of the
    /// values at several.
    pub(super) fn key(&self, pointers: &[String]) -> Result<String, Skip> {
        let part = |pointer: &String| {
            let raw = self.raw(pointer).ok_or(Skip::NoKey)?;
            if raw.len() > KEY_BYTES_MAX {
                return Err(Skip::LongKey);
            }
            scalar(raw).filter(|part| part != "null").ok_or(Skip::NoKey)
        };
        let key = match pointers {
            [] => String::new(),
            [one] => part(one)?,
            several => {
                let parts: Vec<String> = several.iter().map(part).collect::<Result<_, _>>()?;
                format!("[{}]", parts.join(","))
            }
        };
        if key.len() > KEY_BYTES_MAX {
            return Err(Skip::LongKey);
        }
        Ok(key)
    }

    /// The value at a pointer.
    pub(super) fn value(&self, pointer: &str) -> Result<String, Skip> {
        let raw = self.raw(pointer).ok_or(Skip::NoValue)?;
        if raw.len() > VALUE_BYTES_MAX {
            return Err(Skip::LongValue);
        }
        scalar(raw).ok_or(Skip::NoValue)
    }
}

/// A text, number, `true`, `false` or `null`, however it was written.
fn scalar(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok().and_then(|value| canonical(&value))
}

/// A scalar, written in one way only: `1.0` and `1e0` are `1`.
pub(super) fn canonical(value: &Value) -> Option<String> {
    match value {
        Value::Array(_) | Value::Object(_) => None,
        Value::Number(number) => {
            Some(whole(number).map_or_else(|| number.to_string(), |whole| whole.to_string()))
        }
        other => Some(other.to_string()),
    }
}

/// A number without a fraction that is small enough to be exact.
#[expect(clippy::cast_possible_truncation, reason = "below 2^53 nothing is cut off")]
fn whole(number: &Number) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let float = number.as_f64().filter(|_| number.is_f64())?;
    (float.fract() == 0.0 && float.abs() < EXACT_MAX).then_some(float as i64)
}
