//! What the lean form of `transform` answers most often, edits and changes of one message, in one text: to
//! hand a list over value by value costs a script more than to make it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::plugins::changes::Change;
use crate::plugins::edits::Edit;
use crate::plugins::fault::Fault;

/// One message, as it is described.
#[derive(Debug, Default, PartialEq)]
pub(in crate::plugins) struct Edited {
    pub(in crate::plugins) changes: Vec<Change>,
    pub(in crate::plugins) edits: Vec<Edit>,
}

impl Edited {
    /// Reads a JSON list: of each step the name of its case, then its strings. Steps take more memory than
    /// their text: up to so many bytes, as a list of them would have been charged.
    pub(in crate::plugins) fn read(text: &str, bytes_max: usize) -> Result<Self, Fault> {
        let mut steps = Steps {
            made: Self::default(),
            left: Some(bytes_max),
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let read = json.deserialize_seq(&mut steps).and_then(|()| json.end());
        match (read, steps.left) {
            (_, None) => Err(Fault::over_limit("it made more edits than its output may have")),
            (Ok(()), _) => Ok(steps.made),
            (Err(error), _) => Err(Fault::bad_answer(format!(
                "its edits are no list of edits and changes: {error}"
            ))),
        }
    }
}

/// What was read so far.
struct Steps {
    made: Edited,
    /// Bytes that may still be taken; `None`: they were not enough.
    left: Option<usize>,
}

impl Steps {
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
        self.charge(size_of::<Edit>())?;
        self.made.edits.push(made);
        Ok(())
    }

    fn change<E: Error>(&mut self, change: Change) -> Result<(), E> {
        self.charge(size_of::<Change>())?;
        self.made.changes.push(change);
        Ok(())
    }

    fn charge<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.left = self.left.and_then(|left| left.checked_sub(bytes));
        self.left.map(drop).ok_or_else(|| E::custom("too many steps"))
    }
}

impl<'de> Visitor<'de> for &mut Steps {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(case) = list.next_element()? {
            self.add(case, &mut list)?;
        }
        Ok(())
    }
}

/// The cases of `edit` and `change`, and the one of its own.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "kebab-case")]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::FaultKind;

    const MUCH: usize = 1 << 20;

    #[test]
    fn steps_are_read_in_their_order() {
        let text = r#"["set-value","/a",{"b": [1.50]},"set-header","x","y","set","/c","\"d\"","remove","/e",
            "move","/f","/g","copy","/h","/i","merge","","{}","add-header","x","z","remove-header","h",
            "set-attribute","subject","s","remove-attribute","ext"]"#;
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        let ((at, value), (to, text_value)) = (pair("/a", "{\"b\": [1.50]}"), pair("/c", "\"d\""));
        let edited = Edited::read(text, MUCH).expect("a list of steps");
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
        assert_eq!(Edited::read("[]", MUCH), Ok(Edited::default()));
    }

    #[test]
    fn what_is_no_list_of_steps_is_refused() {
        for (text, why) in [
            ("", "EOF"),
            ("{}", "a list"),
            ("[\"send\"]", "`send`, expected one of"),
            ("[\"set\",\"/a\"]", "lacks a string"),
            ("[\"set\",\"/a\",1]", "a string"),
            ("[\"set-value\",\"/a\"]", "lacks a string"),
            ("[1]", "expected"),
            ("[{\"remove\":null},\"/a\"]", "expected"),
            ("[] []", "trailing"),
        ] {
            let refused = Edited::read(text, MUCH).expect_err("no list of steps");
            assert!(refused.message.contains(why), "{text}: {}", refused.message);
        }
    }

    #[test]
    fn steps_are_charged_for_the_memory_they_take() {
        let text = r#"["remove","","remove-header","","remove",""]"#;
        let enough = 2 * size_of::<Edit>() + size_of::<Change>();
        assert!(Edited::read(text, enough).is_ok());
        let refused = Edited::read(text, enough - 1).expect_err("too many steps");
        assert_eq!(refused.kind, FaultKind::OverLimit);
    }
}
