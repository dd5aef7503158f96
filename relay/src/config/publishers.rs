//! `publishers = ["whpk_…"]`: whose plugins are taken, by the relay or by a tenant.

use super::reader::Section;
use crate::model::publisher::{Publisher, Publishers};

/// Publishers that one list may name.
const PUBLISHERS_MAX: usize = 32;

/// Reads the list; without one everybody's plugins are taken.
pub(super) fn read(section: &Section<'_>) -> Publishers {
    let Some(texts) = section.strings("publishers") else {
        return Publishers::default();
    };
    if texts.is_empty() || texts.len() > PUBLISHERS_MAX {
        section.fault(
            "publishers",
            format!("names {} keys", texts.len()),
            format!("name 1 to {PUBLISHERS_MAX}, or leave it out to take everybody's plugins"),
        );
    }
    let read = |text: &str| match text.parse::<Publisher>() {
        Ok(publisher) => Some(publisher),
        Err(error) => {
            let remedy = "write the key that `relay plugin keygen` shows";
            section.fault("publishers", format!("has {text:?}, which {error}"), remedy);
            None
        }
    };
    Publishers::only(texts.into_iter().take(PUBLISHERS_MAX).filter_map(read).collect())
}
