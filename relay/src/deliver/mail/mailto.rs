//! Reads `mailto:` URLs: whom they name, and what the mail is called.
//!
//! Source: RFC 6068. Of the headers that such a URL may set `subject` alone is taken: the others
//! would let whoever writes a URL address further people, or say things in the operator's name.

use std::fmt;

use lettre::Address;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{Recipients, is_plain};

/// Recipients of one URL.
pub const RECIPIENTS_MAX: usize = 10;
/// Longest subject, in characters.
pub const SUBJECT_CHARS_MAX: usize = 200;

/// Whom a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailto {
    /// At least one.
    pub to: Vec<Address>,
    /// What each mail is called, in place of what its event is.
    pub subject: Option<String>,
}

impl fmt::Display for Mailto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to: Vec<&str> = self.to.iter().map(AsRef::as_ref).collect();
        write!(f, "mailto:{}", to.join(","))
    }
}

/// Why mail cannot be sent by a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("this relay sends no mail: it has no `[mail]`")]
    NoServer,
    #[error("it names nobody")]
    Nobody,
    #[error("it names more than {RECIPIENTS_MAX} recipients")]
    TooMany,
    #[error("{0:?} is no mail address in ASCII")]
    Address(String),
    #[error("mail to {0} is not allowed by `mail.recipients`")]
    Recipient(String),
    #[error("of a mail's headers a URL may say `subject` once, and nothing else")]
    Header,
    #[error("its subject is no line of 1 to {SUBJECT_CHARS_MAX} characters")]
    Subject,
}

/// Reads a URL.
///
/// # Errors
/// What of it cannot be used.
pub fn read(url: &Url) -> Result<Mailto, Error> {
    if url.has_host() || url.fragment().is_some() {
        return Err(Error::Nobody);
    }
    let parts = url.path().split(',').filter(|part| !part.is_empty());
    let to: Vec<Address> = parts
        .take(RECIPIENTS_MAX + 1)
        .map(address)
        .collect::<Result<_, _>>()?;
    match to.len() {
        0 => Err(Error::Nobody),
        1..=RECIPIENTS_MAX => Ok(Mailto {
            to,
            subject: url.query().map(subject).transpose()?,
        }),
        _ => Err(Error::TooMany),
    }
}

/// Reads a URL of somebody who may write to these alone; `None`: to nobody.
///
/// # Errors
/// What of it cannot be used, or whom it may not name.
pub fn check(url: &Url, allowed: Option<&Recipients>) -> Result<(), Error> {
    let allowed = allowed.ok_or(Error::NoServer)?;
    let mailto = read(url)?;
    let refused = mailto.to.iter().find(|address| !allowed.allow(address));
    refused.map_or(Ok(()), |address| Err(Error::Recipient(address.to_string())))
}

fn address(part: &str) -> Result<Address, Error> {
    let wrong = || Error::Address(part.chars().take(100).collect());
    let text = percent_decode_str(part).decode_utf8().map_err(|_| wrong())?;
    let address: Address = text.parse().map_err(|_| wrong())?;
    match is_plain(&address) {
        true => Ok(address),
        false => Err(wrong()),
    }
}

/// A plus sign stands for itself here.
fn subject(query: &str) -> Result<String, Error> {
    let (name, value) = query.split_once('=').ok_or(Error::Header)?;
    if !name.eq_ignore_ascii_case("subject") || value.contains('&') {
        return Err(Error::Header);
    }
    let subject = percent_decode_str(value)
        .decode_utf8()
        .map_err(|_| Error::Subject)?;
    let is_line = !subject.trim().is_empty() && !subject.chars().any(char::is_control);
    match is_line && subject.chars().count() <= SUBJECT_CHARS_MAX {
        true => Ok(subject.into_owned()),
        false => Err(Error::Subject),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_text(text: &str) -> Result<(Vec<String>, Option<String>), Error> {
        let mailto = read(&Url::parse(text).unwrap())?;
        Ok((
            mailto.to.iter().map(ToString::to_string).collect(),
            mailto.subject,
        ))
    }

    #[test]
    fn urls_name_people_and_perhaps_a_subject() {
        for (url, to, subject) in [
            ("mailto:ops@acme.example", vec!["ops@acme.example"], None),
            (
                "MAILTO:a@b.example,c@d.example",
                vec!["a@b.example", "c@d.example"],
                None,
            ),
            (
                "mailto:a%2Bb@c.example?subject=On%20call:%201+1",
                vec!["a+b@c.example"],
                Some("On call: 1+1"),
            ),
            (
                "mailto:a@b.example?Subject=%C3%9C",
                vec!["a@b.example"],
                Some("Ü"),
            ),
        ] {
            let to = to.into_iter().map(str::to_owned).collect();
            assert_eq!(read_text(url), Ok((to, subject.map(str::to_owned))), "{url}");
        }
    }

    #[test]
    fn nothing_but_people_and_a_subject_gets_through() {
        let many = format!("mailto:{}", ["a@b.example"; RECIPIENTS_MAX + 1].join(","));
        let long = format!("mailto:a@b.example?subject={}", "x".repeat(SUBJECT_CHARS_MAX + 1));
        for (url, error) in [
            ("mailto:", Error::Nobody),
            ("mailto:,", Error::Nobody),
            ("mailto:a@b.example#x", Error::Nobody),
            ("mailto://a@b.example", Error::Nobody),
            ("mailto:ops", Error::Address("ops".to_owned())),
            ("mailto:a@b@", Error::Address("a@b@".to_owned())),
            (
                "mailto:a@b.example%0D%0Abcc:c@d.example",
                Error::Address("a@b.example%0D%0Abcc:c@d.example".to_owned()),
            ),
            (
                "mailto:a%0D%0ADATA@b.example",
                Error::Address("a%0D%0ADATA@b.example".to_owned()),
            ),
            (
                "mailto:b%C3%BC@b.example",
                Error::Address("b%C3%BC@b.example".to_owned()),
            ),
            ("mailto:a@b.example?bcc=c@d.example", Error::Header),
            ("mailto:a@b.example?subject=x&bcc=c@d.example", Error::Header),
            ("mailto:a@b.example?subject=x&subject=y", Error::Header),
            ("mailto:a@b.example?body=x", Error::Header),
            ("mailto:a@b.example?subject=", Error::Subject),
            (
                "mailto:a@b.example?subject=x%0D%0ABcc:%20c@d.example",
                Error::Subject,
            ),
            (&many, Error::TooMany),
            (&long, Error::Subject),
        ] {
            assert_eq!(read_text(url), Err(error), "{url}");
        }
    }

    #[test]
    fn who_may_be_written_to_is_the_operators_to_say() {
        let url = Url::parse("mailto:a@b.example,c@d.example").unwrap();
        assert_eq!(check(&url, None), Err(Error::NoServer));
        let allowed = Recipients::read(&["b.example"]).unwrap();
        assert_eq!(
            check(&url, Some(&allowed)),
            Err(Error::Recipient("c@d.example".to_owned()))
        );
        let allowed = Recipients::read(&["b.example", "d.example"]).unwrap();
        assert_eq!(check(&url, Some(&allowed)), Ok(()));
    }

    proptest! {
        #[test]
        fn no_url_brings_a_line_break_through(rest in "[ -~]{0,60}|(%[0-9A-F]{2}|[a-z@.,?=&]){0,30}") {
            if let Ok(url) = Url::parse(&format!("mailto:{rest}"))
                && let Ok(mailto) = read(&url)
            {
                let texts = mailto.to.iter().map(ToString::to_string).chain(mailto.subject);
                prop_assert!(texts.into_iter().all(|text| !text.contains(['\r', '\n', '\0'])));
            }
        }
    }
}
