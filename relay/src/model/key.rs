//! What an API key looks like.

/// What every key begins with, for people and for scanners.
pub const PREFIX: &str = "rk_";
/// Characters behind the prefix: enough to be unguessable, few enough for a header.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=128;

/// Whether a text could be a key: the prefix and enough behind it.
pub fn is_key(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|rest| {
        LENGTH.contains(&rest.len())
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}
