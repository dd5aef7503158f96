//! Members that come twice in one object. Most readers see the last one of them, as pointers do; who
//! reads what was redacted may be another one.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Whether some object within a JSON text has two members of one name; `None` if it is no JSON.
pub fn is_in(json: &str) -> Option<bool> {
    serde_json::from_str::<Repeats>(json)
        .ok()
        .map(|Repeats(found)| found)
}

struct Repeats(bool);

impl<'de> Deserialize<'de> for Repeats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Looker).map(Self)
    }
}

struct Looker;

impl<'de> Visitor<'de> for Looker {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let mut names = HashSet::new();
        let mut found = false;
        while let Some(name) = members.next_key::<String>()? {
            found |= !names.insert(name);
            found |= members.next_value::<Repeats>()?.0;
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(Repeats(within)) = elements.next_element()? {
            found |= within;
        }
        Ok(found)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_members_of_one_name_are_found_at_any_depth() {
        for (json, found) in [
            (r#"{"a":1,"b":{"a":null}}"#, Some(false)),
            (r#"{"a":1,"a":1}"#, Some(true)),
            (r#"{"a":1,"\u0061":1}"#, Some(true)),
            (r#"[1.5,-1,true,{"x":[{"b":"","b":2}]}]"#, Some(true)),
            (r#""a""#, Some(false)),
            (r#"{"a":1"#, None),
        ] {
            assert_eq!(is_in(json), found, "{json}");
        }
    }
}
