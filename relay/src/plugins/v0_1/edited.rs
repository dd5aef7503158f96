//! What the lean form of `transform` answers most often, edits and changes of one message, in one text: to
//! hand a list over value by value costs a script more than to make it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::plugins::changes::Change;
use crate::plugins::edits::Edit;
use crate::plugins::fault::Fault;

/// One message, as it is described.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Edited {
    pub(super) changes: Vec<Change>,
    pub(super) edits: Vec<Edit>,
}

impl Edited {
    /// Reads a JSON list: of each step the name of its case, then its strings.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        serde_json::from_str(text).map_err(|error| {
            Fault::bad_answer(format!("its edits are no list of edits and changes: {error}"))
        })
    }

    fn add<'de, A: SeqAccess<'de>>(&mut self, case: Case, list: &mut A) -> Result<(), A::Error> {
        let made = match case {
            Case::Set => Edit::Set {
                at: string(list)?,
                value: string(list)?,
            },
            Case::SetValue => Edit::Set {
                at: string(list)?,
                value: value(list)?,
            },
            Case::Remove => Edit::Remove { at: string(list)? },
            Case::Move => Edit::Move {
                from: string(list)?,
                to: string(list)?,
            },
            Case::Copy => Edit::Copy {
                from: string(list)?,
                to: string(list)?,
            },
            Case::Merge => Edit::Merge {
                at: string(list)?,
                patch: string(list)?,
            },
            Case::SetAttribute => return self.change(Change::SetAttribute(string(list)?, string(list)?)),
            Case::RemoveAttribute => return self.change(Change::RemoveAttribute(string(list)?)),
            Case::SetHeader => return self.change(Change::SetHeader(string(list)?, string(list)?)),
            Case::AddHeader => return self.change(Change::AddHeader(string(list)?, string(list)?)),
            Case::RemoveHeader => return self.change(Change::RemoveHeader(string(list)?)),
        };
        self.edits.push(made);
        Ok(())
    }

    fn change<E>(&mut self, change: Change) -> Result<(), E> {
        self.changes.push(change);
        Ok(())
    }
}

/// The cases of `edit` and `change`, and the one of its own.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Case {
    Set,
    SetValue,
    Remove,
    Move,
    Copy,
    Merge,
    SetAttribute,
    RemoveAttribute,
    SetHeader,
    AddHeader,
    RemoveHeader,
}

fn string<'de, A: SeqAccess<'de>>(list: &mut A) -> Result<String, A::Error> {
    list.next_element()?.ok_or_else(too_short)
}

fn value<'de, A: SeqAccess<'de>>(list: &mut A) -> Result<String, A::Error> {
    let value: &RawValue = list.next_element()?.ok_or_else(too_short)?;
    Ok(value.get().to_owned())
}

fn too_short<E: Error>() -> E {
    E::custom("the last step lacks a string")
}

impl<'de> Deserialize<'de> for Edited {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Steps;

        impl<'de> Visitor<'de> for Steps {
            type Value = Edited;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Edited, A::Error> {
                let mut edited = Edited::default();
                while let Some(case) = list.next_element()? {
                    edited.add(case, &mut list)?;
                }
                Ok(edited)
            }
        }

        deserializer.deserialize_seq(Steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_in_their_order() {
        let text = r#"["set-value","/a",{"b": [1.50]},"set-header","x","y","set","/c","\"d\"","remove","/e",
            "move","/f","/g","copy","/h","/i","merge","","{}","add-header","x","z","remove-header","h",
            "set-attribute","subject","s","remove-attribute","ext"]"#;
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        let ((at, value), (to, text_value)) = (pair("/a", "{\"b\": [1.50]}"), pair("/c", "\"d\""));
        let edited = Edited::read(text).expect("a list of steps");
        let edits = [
            Edit::Set { at, value },
            Edit::Set {
                at: to,
                value: text_value,
            },
            Edit::Remove { at: "/e".to_owned() },
            Edit::Move {
                from: "/f".to_owned(),
                to: "/g".to_owned(),
            },
            Edit::Copy {
                from: "/h".to_owned(),
                to: "/i".to_owned(),
            },
            Edit::Merge {
                at: String::new(),
                patch: "{}".to_owned(),
            },
        ];
        assert_eq!(edited.edits, edits);
        let changes = [
            Change::SetHeader("x".to_owned(), "y".to_owned()),
            Change::AddHeader("x".to_owned(), "z".to_owned()),
            Change::RemoveHeader("h".to_owned()),
            Change::SetAttribute("subject".to_owned(), "s".to_owned()),
            Change::RemoveAttribute("ext".to_owned()),
        ];
        assert_eq!(edited.changes, changes);
        assert_eq!(Edited::read("[]"), Ok(Edited::default()));
    }

    #[test]
    fn what_is_no_list_of_steps_is_refused() {
        for (text, why) in [
            ("", "EOF"),
            ("{}", "a list"),
            ("[\"send\"]", "unknown variant `send`"),
            ("[\"set\",\"/a\"]", "lacks a string"),
            ("[\"set\",\"/a\",1]", "a string"),
            ("[\"set-value\",\"/a\"]", "lacks a string"),
            ("[1]", "expected"),
            ("[] []", "trailing"),
        ] {
            let refused = Edited::read(text).expect_err("no list of steps");
            assert!(refused.message.contains(why), "{text}: {}", refused.message);
        }
    }
}
