//! The colour of an embed's edge.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

/// A colour: read as `#RRGGBB`, written as the number that Discord wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Color(u32);

impl<'de> Deserialize<'de> for Color {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text
            .strip_prefix('#')
            .filter(|digits| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &"a colour such as #ED4245"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_numbers_for_discord() {
        for (text, expected) in [
            ("\"#ED4245\"", Some(15_548_997)),
            ("\"#000000\"", Some(0)),
            ("\"#+12345\"", None),
            ("\"red\"", None),
        ] {
            assert_eq!(serde_json::from_str(text).ok(), expected.map(Color), "{text}");
        }
    }
}
