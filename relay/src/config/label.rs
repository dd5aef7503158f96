//! What people note about a source or endpoint. The relay does nothing with it but show it and
//! find by it.

use super::reader::Section;

const DESCRIPTION_CHARS_MAX: usize = 1000;
const WORD_CHARS_MAX: usize = 100;
const TAGS_MAX: usize = 20;

/// Checks `description`, `owner`, `external_id` and `tags`.
pub(super) fn check(section: &Section<'_>) {
    text(section, "description", DESCRIPTION_CHARS_MAX);
    text(section, "owner", WORD_CHARS_MAX);
    external_id(section);
    let tags = section.strings("tags").unwrap_or_default();
    if tags.len() > TAGS_MAX {
        section.fault(
            "tags",
            format!("has {} tags", tags.len()),
            format!("use at most {TAGS_MAX}"),
        );
    }
    let is_long = |tag: &&str| tag.chars().count() > WORD_CHARS_MAX;
    if tags.iter().any(|tag| tag.is_empty() || is_long(tag)) {
        section.fault(
            "tags",
            "has a tag that is empty or long",
            format!("use 1 to {WORD_CHARS_MAX} characters"),
        );
    }
}

/// What something else knows it by: a text, or a whole number.
fn external_id(section: &Section<'_>) {
    let id = section.string_or_number("external_id").unwrap_or_default();
    bounded(section, "external_id", &id, WORD_CHARS_MAX);
}

/// Checks one more word that people note.
pub(super) fn word(section: &Section<'_>, key: &'static str) {
    text(section, key, WORD_CHARS_MAX);
}

fn text(section: &Section<'_>, key: &'static str, chars_max: usize) {
    bounded(section, key, section.string(key).unwrap_or_default(), chars_max);
}

fn bounded(section: &Section<'_>, key: &'static str, text: &str, chars_max: usize) {
    let chars = text.chars().count();
    if chars > chars_max {
        section.fault(
            key,
            format!("has {chars} characters"),
            format!("use at most {chars_max}"),
        );
    }
}
