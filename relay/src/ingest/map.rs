//! Finds in a platform's post what makes it an event: type, id, time, subject.
//!
//! Never refuses: a genuine post that says less than the mapping hopes for still becomes an
//! event, with what is missing left out or filled in.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;

use crate::crypto;
use crate::model::event::Envelope;
use crate::model::event_type;
use crate::model::json::Lookup;
use crate::model::source::{Origin, Source, Template};
use crate::model::time::Timestamp;
use crate::model::verify::{Digest, Encoding};

use super::{Request, headers};

/// Longest id or subject that is taken over, in bytes; a longer one counts as absent, since
/// half of it would be another one.
pub const VALUE_LEN_MAX: usize = 512;
/// Longest content type that is taken over, in bytes.
pub const CONTENT_TYPE_LEN_MAX: usize = 256;

/// A request, ready to be asked for values.
#[derive(Debug)]
pub struct Reader<'r> {
    request: &'r Request<'r>,
    body: Option<Lookup<'r>>,
}

impl<'r> Reader<'r> {
    /// Looks whether the body is JSON that can be looked into.
    pub fn new(request: &'r Request<'r>) -> Self {
        Self {
            request,
            body: Lookup::of(request.body),
        }
    }

    /// The first value that is there and not empty.
    pub fn value<'o>(&self, origins: &'o [Origin]) -> Option<Cow<'o, str>>
    where
        'r: 'o,
    {
        origins
            .iter()
            .find_map(|origin| self.at(origin).filter(|value| !value.is_empty()))
    }

    fn at<'o>(&self, origin: &'o Origin) -> Option<Cow<'o, str>>
    where
        'r: 'o,
    {
        match origin {
            Origin::Literal(text) => Some(Cow::Borrowed(text)),
            Origin::Header(name) => self
                .request
                .headers
                .get(name)
                .map(|value| Cow::Owned(headers::text(value.as_bytes()))),
            Origin::Query(name) => url::form_urlencoded::parse(self.request.query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            Origin::Body(pointer) => self.body?.scalar(pointer),
            Origin::Form(name) if headers::is_form(self.request.headers) => {
                url::form_urlencoded::parse(self.request.body)
                    .find(|(key, _)| key == name)
                    .map(|(_, value)| value)
            }
            Origin::Form(_) => None,
            Origin::BodyDigest => {
                let digest = crypto::hash(Digest::Sha256, &[self.request.body]);
                Some(Cow::Owned(crypto::encode(Encoding::Hex, &digest)))
            }
        }
    }

    /// The envelope by a source's mapping.
    pub fn envelope(&self, source: &Source) -> Envelope {
        let mapping = &source.mapping;
        Envelope {
            id: self.value(&mapping.id).and_then(|id| short_line(&id)),
            source: source.name.clone(),
            kind: self.kind(&mapping.kind, &source.name),
            subject: self
                .value(&mapping.subject)
                .and_then(|subject| short_line(&subject)),
            time: self.value(&mapping.time).and_then(|time| Timestamp::read(&time)),
            content_type: self.content_type(),
            extensions: Vec::new(),
        }
    }

    fn kind(&self, template: &Template, source: &str) -> String {
        let found = self.value(&template.origins).and_then(|word| {
            let known = template.words.iter().find(|(theirs, _)| *theirs == word);
            let word = known.map_or(&*word, |(_, ours)| ours.as_str());
            // Cleaned alone first: a word without a letter to keep must not leave the prefix.
            clean(word).and_then(|word| clean(&format!("{}{word}", template.prefix)))
        });
        found
            .or_else(|| clean(&template.fallback))
            .or_else(|| clean(&format!("{source}.event")))
            .unwrap_or_else(|| "event".to_owned())
    }

    fn content_type(&self) -> Option<String> {
        let value = self.request.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        (!value.is_empty() && value.len() <= CONTENT_TYPE_LEN_MAX).then(|| value.to_owned())
    }
}

/// One line that is short enough to be kept whole.
fn short_line(text: &str) -> Option<String> {
    (text.len() <= VALUE_LEN_MAX && !text.contains(char::is_control)).then(|| text.to_owned())
}

/// Makes a valid event type of a sender's word: other characters become `_`, empty segments
/// go, what is too long is cut, and `relay.` in front becomes `relay_`. `None` if no letter or digit is left.
pub fn clean(word: &str) -> Option<String> {
    let mut kind = String::with_capacity(word.len().min(event_type::LEN_MAX));
    let segments = word
        .split('.')
        .map(str::trim)
        .filter(|segment| !segment.is_empty());
    for (index, segment) in segments.enumerate() {
        if index > 0 {
            kind.push('.');
        }
        kind.extend(segment.chars().map(allowed));
        if kind.len() > event_type::LEN_MAX {
            break;
        }
    }
    kind.truncate(kind.floor_char_boundary(event_type::LEN_MAX));
    let kind = kind.trim_end_matches('.');
    let kind = match kind.strip_prefix(event_type::OWN) {
        // No platform speaks for the relay.
        Some(rest) => format!("relay_{rest}"),
        None => kind.to_owned(),
    };
    kind.contains(char::is_alphanumeric).then_some(kind)
}

fn allowed(character: char) -> char {
    if character.is_alphanumeric() || matches!(character, '-' | '_' | '/' | ':') {
        character
    } else {
        '_'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_words_become_event_types() {
        for (word, kind) in [
            ("message.received", Some("message.received")),
            ("Newsletter Opened", Some("Newsletter_Opened")),
            ("a..b.", Some("a.b")),
            (" . ", None),
            ("", None),
            ("***", None),
            ("ação", Some("ação")),
            ("a\u{202e}b\n", Some("a_b")),
        ] {
            assert_eq!(clean(word).as_deref(), kind, "{word:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_made_of_a_word_is_an_event_type(word in "\\PC{0,400}") {
            if let Some(kind) = clean(&word) {
                proptest::prop_assert_eq!(event_type::check(&kind), Ok(()), "{}", kind);
            }
        }
    }
}
