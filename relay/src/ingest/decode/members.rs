//! The members of one JSON object, each still as it was written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::json::escape_token;

use super::fault::{At, FaultKind, Faults};

/// Most members of one event's object; attributes are at most half of these.
const MEMBERS_MAX: usize = 64;
/// Longest part of a stranger's name that is repeated in a message, in characters.
const NAME_SHOWN_MAX: usize = 64;

/// The members of an object, in order.
pub(super) struct Members<'a> {
    /// Where the object stands.
    pointer: String,
    list: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Members<'a> {
    /// Reads an object; notes a fault if the text is none, or has too many or equal members.
    pub(super) fn parse(text: &'a str, pointer: String, faults: &mut Faults) -> Option<Self> {
        let list = match serde_json::from_str(text) {
            Ok(List(list)) => list,
            Err(error) if error.is_data() => {
                let kind = FaultKind::wrong_kind(kind_of(text), "an object");
                faults.add(At::Body(pointer), kind);
                return None;
            }
            Err(error) => {
                faults.add(At::Body(pointer), FaultKind::Json(error.to_string()));
                return None;
            }
        };
        if list.len() > MEMBERS_MAX {
            faults.add(
                At::Body(pointer),
                FaultKind::TooMany {
                    what: "members",
                    max: MEMBERS_MAX,
                },
            );
            return None;
        }
        let members = Self { pointer, list };
        members.refuse_duplicates(faults);
        Some(members)
    }

    fn refuse_duplicates(&self, faults: &mut Faults) {
        for (index, (name, _)) in self.list.iter().enumerate() {
            if self.list[..index].iter().any(|(earlier, _)| earlier == name) {
                faults.add(self.at(name), FaultKind::Duplicate);
            }
        }
    }

    /// Notes every member whose name is not among the known ones.
    pub(super) fn refuse_unknown(&self, known: &[&str], faults: &mut Faults) {
        for (name, _) in &self.list {
            if !known.contains(&&**name) {
                faults.add(
                    self.at(name),
                    FaultKind::Unknown(format!("known are {}", known.join(", "))),
                );
            }
        }
    }

    /// Every member, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.list.iter().map(|(name, value)| (&**name, *value))
    }

    /// The member as it was written, null included.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.list
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| *value)
    }

    /// A string that may be absent or null.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        check: impl Fn(&str) -> Result<T, FaultKind>,
        faults: &mut Faults,
    ) -> Option<T> {
        let raw = self.raw(name).filter(|raw| !is_null(raw))?;
        let checked = text_of(raw).and_then(|text| check(&text));
        faults.keep(|| self.at(name), checked)
    }

    /// A string that has to be there.
    pub(super) fn required<T>(
        &self,
        name: &str,
        check: impl Fn(&str) -> Result<T, FaultKind>,
        faults: &mut Faults,
    ) -> Option<T> {
        if self.raw(name).is_none_or(is_null) {
            faults.add(self.at(name), FaultKind::Missing);
            return None;
        }
        self.optional(name, check, faults)
    }

    /// Where the object stands.
    pub(super) fn root(&self) -> At {
        At::Body(self.pointer.clone())
    }

    /// Where a member stands; the name cut if it is long.
    pub(super) fn at(&self, name: &str) -> At {
        let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
        At::Body(format!("{}/{}", self.pointer, escape_token(&shown)))
    }
}

pub(super) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// The text of a JSON string.
pub(super) fn text_of(raw: &RawValue) -> Result<Cow<'_, str>, FaultKind> {
    let text = raw.get();
    if !text.starts_with('"') {
        return Err(FaultKind::wrong_kind(kind_of(text), "a string"));
    }
    match text.get(1..text.len() - 1) {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        // What is left to be wrong is half of a surrogate pair.
        _ => serde_json::from_str(text)
            .map(Cow::Owned)
            .map_err(|error| FaultKind::Json(error.to_string())),
    }
}

/// What kind of value a JSON text is.
pub(super) fn kind_of(text: &str) -> &'static str {
    match text.trim_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// The members of an object; those past [`MEMBERS_MAX`] are counted by one more entry.
struct List<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for List<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::with_capacity(8);
        while list.len() <= MEMBERS_MAX {
            let Some((Name(name), value)) = map.next_entry()? else {
                return Ok(List(list));
            };
            list.push((name, value));
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(List(list))
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
