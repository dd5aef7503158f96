//! Forms: `application/x-www-form-urlencoded`, as browsers and many platforms post them.
//!
//! The format is that of the [URL standard](https://url.spec.whatwg.org/#urlencoded-parsing),
//! read more strictly: what the standard would pass on damaged is an error here.

use std::fmt;

/// Why a form cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Which pair of the form, from 1 on.
    pub field: usize,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What is wrong with a part of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// A `%` without two hexadecimal digits behind it.
    Escape,
    /// Bytes that are not UTF-8, such as `%E4` of a form in Latin-1.
    Encoding,
}

/// The names and values of a form, decoded, in their order. A pair without `=` has an empty value.
pub fn fields(form: &str) -> impl Iterator<Item = Result<(String, String), Error>> + '_ {
    let pairs = form.split('&').filter(|pair| !pair.is_empty());
    pairs.enumerate().map(|(index, pair)| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let at = |damage| Error {
            field: index + 1,
            damage,
        };
        Ok((decoded(name).map_err(at)?, decoded(value).map_err(at)?))
    })
}

/// Undoes URL encoding.
pub(crate) fn decoded(text: &str) -> Result<String, Damage> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(bytes.next())? << 4 | hex_digit(bytes.next())?,
            other => other,
        });
    }
    String::from_utf8(plain).map_err(|_| Damage::Encoding)
}

fn hex_digit(byte: Option<u8>) -> Result<u8, Damage> {
    let digit = byte.and_then(|byte| (byte as char).to_digit(16));
    digit.map(|digit| digit as u8).ok_or(Damage::Escape)
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Escape => "has a `%` without two hexadecimal digits behind it",
            Self::Encoding => "is not UTF-8",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "field {} of the form {}", self.field, self.damage)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_in_their_order() {
        let form = "a=1&&to%6ben=s%C3%A9+cret%26&a=2&flag&=nameless&x==y";
        let expected = [
            ("a", "1"),
            ("token", "sé cret&"),
            ("a", "2"),
            ("flag", ""),
            ("", "nameless"),
            ("x", "=y"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(fields(form).collect::<Result<Vec<_>, _>>().unwrap(), expected);
        assert_eq!(fields("").count(), 0);
    }

    #[test]
    fn damage_names_its_field() {
        for (form, expected) in [
            (
                "a=1&b=100%",
                "field 2 of the form has a `%` without two hexadecimal digits behind it",
            ),
            (
                "%zz=1",
                "field 1 of the form has a `%` without two hexadecimal digits behind it",
            ),
            ("a=1&&b=K%E4se", "field 2 of the form is not UTF-8"),
        ] {
            let read: Result<Vec<_>, Error> = fields(form).collect();
            assert_eq!(read.unwrap_err().to_string(), expected);
        }
    }
}
