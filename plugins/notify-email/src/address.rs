//! Addresses of mail. They are taken apart and put together anew, so that no value of an event
//! can add a recipient.

use std::fmt;

use relay_sdk::template::{Template, verbatim};
use relay_sdk::{Event, Fault};

/// Longest address (RFC 5321, section 4.5.3.1.3) and name, in bytes.
const ADDRESS_BYTES_MAX: usize = 254;
const NAME_BYTES_MAX: usize = 200;

/// Someone who sends or gets mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) name: Option<String>,
    pub(crate) email: String,
}

impl Address {
    /// The address of a template; `None` if it is empty once it is filled in.
    pub(crate) fn of(template: &Template, event: &Event, at: &str) -> Result<Option<Self>, Fault> {
        let Some(text) = template.render_some(event, verbatim) else {
            return Ok(None);
        };
        // Told without the value, which is someone's address.
        let fault = || Fault::invalid(format!("{at} is no e-mail address"));
        Self::parse(text.trim()).map(Some).ok_or_else(fault)
    }

    /// Reads `ann@example.org` or `Ann <ann@example.org>`.
    fn parse(text: &str) -> Option<Self> {
        let (name, email) = match text.strip_suffix('>') {
            Some(text) => text.split_once('<')?,
            None => ("", text),
        };
        let name = name.trim().trim_matches('"').trim();
        let is_named = name.len() <= NAME_BYTES_MAX && !name.contains(is_special);
        (is_named && is_address(email)).then(|| Self {
            name: (!name.is_empty()).then(|| name.to_owned()),
            email: email.to_owned(),
        })
    }
}

/// What a name could break out of its quotes with, or begin another address.
fn is_special(character: char) -> bool {
    character.is_control() || matches!(character, '<' | '>' | '"' | '\\' | '@')
}

fn is_address(text: &str) -> bool {
    let is_plain = |character: char| {
        !character.is_control()
            && !character.is_whitespace()
            && !matches!(
                character,
                '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '"' | '\\' | '@'
            )
    };
    let is_part = |part: &str| !part.is_empty() && part.chars().all(is_plain);
    text.len() <= ADDRESS_BYTES_MAX
        && text
            .split_once('@')
            .is_some_and(|(local, domain)| is_part(local) && is_part(domain))
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "\"{name}\" <{}>", self.email),
            None => formatter.write_str(&self.email),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, expected) in [
            ("ann@example.org", "ann@example.org"),
            ("Ann <ann@example.org>", "\"Ann\" <ann@example.org>"),
            ("\"Lee, Ann\" <ann@example.org>", "\"Lee, Ann\" <ann@example.org>"),
            ("<ann+x@example.org>", "ann+x@example.org"),
            ("jürgen@bücher.example", "jürgen@bücher.example"),
        ] {
            let read = Address::parse(text).map(|address| address.to_string());
            assert_eq!(read.as_deref(), Some(expected), "{text}");
        }
        let long = format!("{}@b.example", "a".repeat(300));
        for text in ["a", "a@", "<a@b", "a@b>", "A\" <a@b>, <c@d>", "a@b:c", &long] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
