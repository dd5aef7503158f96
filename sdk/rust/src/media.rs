//! Files that the relay keeps for a time and serves under a signed address of its own: for media
//! whose own address dies.

use std::fmt;
use std::time::Duration;

use crate::{Payload, host};

/// Where a file is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Who has it can fetch the file, until it expires.
    pub url: String,
    /// RFC 3339.
    pub expires: String,
    /// Bytes.
    pub size: u32,
}

/// Why a file is not kept.
///
/// No `std::error::Error`, so that `?` knows which [`Fault`](crate::Fault) it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaError {
    /// The owner has not granted it, or the relay has no address that the world knows.
    Denied(String),
    /// The file is longer than this many bytes.
    TooLarge(u32),
    /// There is no room left for files.
    QuotaExceeded,
    /// It cannot be kept now.
    Unavailable(String),
}

impl fmt::Display for MediaError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(reason) => formatter.write_str(reason),
            Self::TooLarge(bytes) => write!(formatter, "the file has more than {bytes} bytes"),
            Self::QuotaExceeded => write!(formatter, "there is no room left for files"),
            Self::Unavailable(reason) => write!(formatter, "the file cannot be kept: {reason}"),
        }
    }
}

/// Keeps a payload, such as the body of an answer, for `ttl` (whole seconds), or as long as the relay
/// usually keeps one. The same bytes of the same type are kept once.
///
/// # Errors
/// If it is not granted, too large, there is no room, or the relay cannot write.
pub fn keep(payload: Payload, content_type: &str, ttl: Option<Duration>) -> Result<Kept, MediaError> {
    let seconds = |ttl: Duration| u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX);
    host::media_keep(payload.0, content_type, ttl.map(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Host, event};

    #[test]
    fn the_same_bytes_have_the_same_address_and_an_end_that_was_asked_for() {
        let keep = |bytes: &str, ttl| {
            let event = event("a").text(bytes);
            Host::new().run(event, |event| keep(event.data(), "image/png", ttl))
        };
        let one = keep("one", None).expect("it is kept");
        assert_eq!(one.size, 3);
        assert_eq!(one.expires, "2023-12-14T22:13:20.000Z");
        let again = keep("one", Some(Duration::from_millis(60_900))).expect("it is kept");
        assert_eq!(
            (again.url, again.expires.as_str()),
            (one.url.clone(), "2023-11-14T22:14:20.000Z")
        );
        assert_ne!(keep("other", None).expect("it is kept").url, one.url);
    }
}
