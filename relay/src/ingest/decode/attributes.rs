//! The rules of the context attributes, whatever way they came.

use crate::model::event_type;
use crate::model::time::Timestamp;

use super::fault::FaultKind;
use super::{EXTENSION_LEN_MAX, ID_LEN_MAX, TEXT_LEN_MAX};

/// Longest time that is looked at, in bytes.
const TIME_LEN_MAX: usize = 64;
/// Longest name of an extension attribute, as CloudEvents recommends.
const EXTENSION_NAME_LEN_MAX: usize = 20;

pub(super) fn id(text: &str) -> Result<String, FaultKind> {
    line(text, ID_LEN_MAX)
}

pub(super) fn subject(text: &str) -> Result<String, FaultKind> {
    line(text, TEXT_LEN_MAX)
}

/// A source or dataschema: a URI reference, looked at only for what none may contain.
pub(super) fn uri_reference(text: &str) -> Result<String, FaultKind> {
    if let Some(character) = text
        .chars()
        .find(|c| c.is_whitespace() || matches!(c, '<' | '>' | '"'))
    {
        return Err(FaultKind::Character(character));
    }
    line(text, TEXT_LEN_MAX)
}

pub(super) fn event_type(text: &str) -> Result<String, FaultKind> {
    event_type::check(text)?;
    Ok(text.to_owned())
}

pub(super) fn time(text: &str) -> Result<Timestamp, FaultKind> {
    if text.len() > TIME_LEN_MAX {
        return Err(FaultKind::Time);
    }
    text.parse().map_err(|_| FaultKind::Time)
}

pub(super) fn content_type(text: &str) -> Result<String, FaultKind> {
    match text.chars().find(|c| !c.is_ascii() || c.is_control()) {
        Some(character) => Err(FaultKind::Character(character)),
        None => line(text, TEXT_LEN_MAX),
    }
}

pub(super) fn spec_version(text: &str) -> Result<(), FaultKind> {
    if text == "1.0" {
        Ok(())
    } else {
        Err(FaultKind::SpecVersion)
    }
}

/// `data` is reserved by CloudEvents.
pub(super) fn extension_name(name: &str) -> Result<(), FaultKind> {
    let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.is_empty() || name.len() > EXTENSION_NAME_LEN_MAX || name == "data" || !name.bytes().all(is_fine)
    {
        return Err(FaultKind::ExtensionName);
    }
    Ok(())
}

pub(super) fn extension(text: &str) -> Result<String, FaultKind> {
    bounded(text, EXTENSION_LEN_MAX)
}

/// Text that is not empty, not too long, and in one line.
fn line(text: &str, max: usize) -> Result<String, FaultKind> {
    if text.is_empty() {
        Err(FaultKind::Empty)
    } else {
        bounded(text, max)
    }
}

fn bounded(text: &str, max: usize) -> Result<String, FaultKind> {
    if text.len() > max {
        return Err(FaultKind::TooLong { max });
    }
    // Attributes end up in headers, where a line break would begin another one.
    match text.chars().find(|c| c.is_control()) {
        Some(character) => Err(FaultKind::Character(character)),
        None => Ok(text.to_owned()),
    }
}
