//! How many relays an event has gone through, so that one that goes in circles comes to an end.
//!
//! Two systems that are kept in step through a relay can send each other the same change for ever. What
//! a relay sends says how far it has come; who passes that on with what it makes of it is stopped.

use super::event::Header;

/// The header that says it.
pub const HEADER: &str = "relay-hops";
/// The CloudEvents extension attribute that does.
pub const EXTENSION: &str = "relayhops";
/// An event that has gone through so many relays is not taken any more.
pub const HOPS_MAX: u8 = 8;

/// How many relays an event has gone through, as extension attributes and headers say; of several
/// numbers the highest, and 0 without any.
pub fn of(extensions: &[Header], headers: &[Header]) -> u8 {
    let carried = extensions.iter().chain(headers);
    let said = carried.filter(|(name, _)| name == EXTENSION || name == HEADER);
    said.filter_map(|(_, text)| read(text)).max().unwrap_or_default()
}

/// Reads a number of hops; one that is too large for any is the highest there is.
pub fn read(text: &str) -> Option<u8> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_number_counts() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (extension, said, hops) in [
            ("1", "2", 2),
            ("3", "x", 3),
            ("", "-1", 0),
            ("999999999999", "1", u8::MAX),
        ] {
            let found = of(&[header(EXTENSION, extension)], &[header(HEADER, said)]);
            assert_eq!(found, hops, "{extension} {said}");
        }
        assert_eq!(of(&[header("other", "7")], &[]), 0);
    }
}
