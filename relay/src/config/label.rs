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
    text(section, "external_id", WORD_CHARS_MAX);
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

/// Checks one more word that people note.
pub(super) fn word(section: &Section<'_>, key: &'static str) {
    text(section, key, WORD_CHARS_MAX);
}

fn text(section: &Section<'_>, key: &'static str, chars_max: usize) {
    let chars = section.string(key).unwrap_or_default().chars().count();
    if chars > chars_max {
        section.fault(
            key,
            format!("has {chars} characters"),
            format!("use at most {chars_max}"),
        );
    }
}
